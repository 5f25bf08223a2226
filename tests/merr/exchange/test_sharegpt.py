"""ShareGPT: conversations whose tags and media match, and the entry that registers them with LLaMA-Factory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.stage import StageOutput
from emotion_llama.merr.store import Store
from emotion_llama.prompts.tasks import instruction_pool

Make = Callable[..., Store]
PNG = ("peak_frame", (".png", b"png"))


def with_sound(store: Store, clip_id: str) -> None:
    from emotion_llama.merr.records import StageRun

    run = StageRun(clip_id, "evidence", "done", "x", "y")
    store.record(run, StageOutput((), {"sound.wav": b"RIFF" + clip_id.encode()}))


def test_conversations_of_the_coarse_and_the_fine_set(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", split="train", artifacts=dict([PNG])), spec("b", words=None, fine={}, split="test"))
    with_sound(store, "a")
    tally = export_build(store, None, "sharegpt")
    assert tally.files == {
        "merr_coarse_test.json": 2, "merr_coarse_train.json": 2, "merr_fine_train.json": 1, "dataset_info.json": None,
    }  # fmt: skip
    (fine,) = json.loads((tally.folder / "merr_fine_train.json").read_text(encoding="utf-8"))
    user, assistant = fine["messages"]
    assert user["role"], assistant["role"] == ("user", "assistant")
    opening = "<video><audio>The person in video says: What a nice day. "
    assert user["content"].startswith(opening)
    assert user["content"].removeprefix(opening) in instruction_pool("reason")
    assert assistant == {"role": "assistant", "content": "The cheeks are raised. The person is happy."}
    assert fine["videos"] == ["/videos/a.mp4"]
    assert fine["images"] == []
    assert (tally.folder / fine["audios"][0]).resolve().read_bytes() == b"RIFFa"
    emotion, reason = json.loads((tally.folder / "merr_coarse_test.json").read_text(encoding="utf-8"))
    assert emotion["messages"][0]["content"] == "<video>" + instruction_pool("emotion")[0]
    assert emotion["messages"][1]["content"] == "happy"
    assert reason["messages"][1]["content"] == "This person in the video smiles."


def test_info_registers_each_file(make_build: Make, spec: Any) -> None:
    tally = export_build(make_build(spec("a")), None, "sharegpt", Choice(scope="fine", name="my-set"))
    assert json.loads((tally.folder / "dataset_info.json").read_text()) == {
        "my-set_fine_train": {
            "file_name": "my-set_fine_train.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "videos": "videos", "audios": "audios", "images": "images"},
            "tags": {
                "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
            },
        }
    }  # fmt: skip


def test_peak_as_an_image(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", artifacts=dict([PNG])))
    tally = export_build(store, None, "sharegpt", Choice(scope="fine", media="peak"))
    (entry,) = json.loads((tally.folder / "merr_fine_train.json").read_text())
    assert entry["messages"][0]["content"].startswith("<video><image>The person")
    assert (tally.folder / entry["images"][0]).resolve().read_bytes() == b"png"
    assert entry["messages"][0]["content"].count("<image>") == len(entry["images"])


def test_one_object_a_line(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", words='two\nlines 你好 "x"', fine={"en": "One.\u2028The person is happy."}), spec("b"))
    tally = export_build(store, None, "sharegpt", Choice(scope="fine", lines=True))
    lines = (tally.folder / "merr_fine_train.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [len(json.loads(line)["messages"]) for line in lines] == [2, 2]
    assert "你好" in lines[0]


def test_questions_are_drawn_by_clip(make_build: Make, spec: Any) -> None:
    store = make_build(*(spec(f"clip_{i}") for i in range(40)))
    tally = export_build(store, None, "sharegpt", Choice(scope="fine"))
    entries = json.loads((tally.folder / "merr_fine_train.json").read_text())
    assert len(entries) == 40
    asked = {entry["messages"][0]["content"].partition("What a nice day. ")[2] for entry in entries}
    assert asked == set(instruction_pool("reason"))  # 40 draws miss one of five with probability 0.0007
    fewer = export_build(make_build(spec("clip_7"), folder="two"), None, "sharegpt", Choice(scope="fine"))
    same = next(entry for entry in entries if entry["videos"] == ["/videos/clip_7.mp4"])
    assert json.loads((fewer.folder / "merr_fine_train.json").read_text()) == [same]


def test_what_has_no_media_or_a_tag_of_its_own_is_left_out(make_build: Make, spec: Any) -> None:
    store = make_build(
        spec("a"),
        spec("b", row={"path": None}),
        spec("c", words="he typed <video> into the box"),
        spec("d", fine={"en": "<image> shows it. The person is happy."}),
    )
    tally = export_build(store, None, "sharegpt", Choice(scope="fine"))
    assert tally.files["merr_fine_train.json"] == 1
    assert tally.left_out == {
        "reason_v2: its texts hold a <video>, <audio> or <image> of their own": 2,
        "reason_v2: no media file is known": 1,
    }


def test_sound_without_a_picture(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", row={"width": None, "height": None, "frame_count": None}))
    with_sound(store, "a")
    tally = export_build(store, None, "sharegpt", Choice(scope="fine"))
    (entry,) = json.loads((tally.folder / "merr_fine_train.json").read_text())
    assert entry["messages"][0]["content"].startswith("<audio>The person")
    assert entry["videos"] == []


def test_a_killed_export_is_not_complete(make_build: Make, spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import emotion_llama.merr.io.export as export

    store = make_build(spec("a"))

    def dies(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "write_manifest", dies)
    with pytest.raises(KeyboardInterrupt):
        export_build(store, None, "sharegpt")
    assert list(Path(store.folder / "export/sharegpt").iterdir()) == []
