"""Taking clips in: every file becomes a clip, a drop or a failure; names are unique and last; manifests are strict."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.ingest import Taken, ingest
from emotion_llama.merr.inputs import fit, name_clips, read_manifest
from emotion_llama.merr.recipe import Recipe, load_recipe

TONE = (0.1 * np.sin(np.arange(8000) / 9)).astype(np.float32)


def video(path: Path, shade: int = 0, num_frames: int = 5, sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [np.full((48, 64, 3), 20 * i + shade, np.uint8) for i in range(num_frames)]
    return write_clip(path, images, 25.0, TONE if sound else None, sample_rate_hz=16_000)


def take(*inputs: Path, recipe: Recipe | None = None, **options: object) -> dict[str, Taken]:
    found = ingest(inputs, recipe or Recipe(), **options)  # type: ignore[arg-type]
    assert [row.clip_id for row, _, _ in found] == sorted(row.clip_id for row, _, _ in found)
    assert [row.clip_id for row, _, _ in found] == [run.clip_id for _, run, _ in found]
    return {row.clip_id: (row, run, warnings) for row, run, warnings in found}


def reasons(found: Mapping[str, Taken]) -> dict[str, str]:
    return {name: run.reason or "" for name, (_, run, _) in found.items() if run.status == "dropped"}


def failed(found: Mapping[str, Taken]) -> set[str]:
    return {name for name, (_, run, _) in found.items() if run.status == "failed"}


def test_a_clip_is_probed_counted_and_hashed(tmp_path: Path) -> None:
    import hashlib

    path = video(tmp_path / "my clip.mp4", num_frames=7)
    row, run, warnings = take(tmp_path)["my_clip"]
    assert (run.status, run.reason, warnings) == ("done", None, ())
    assert row.path == str(path)
    assert row.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row.frame_count, row.fps, row.width, row.height, row.has_audio) == (7, 25.0, 64, 48, True)
    assert row.duration_seconds == pytest.approx(0.5, abs=0.05)  # the sound's half second
    assert (row.given_label, row.source, row.person, row.given_split, row.subtitle_source) == (None,) * 5


def test_suffixes_in_any_case_and_hidden_files_left_alone(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4").rename(tmp_path / "a.MP4")
    video(tmp_path / "b.mp4", 3).rename(tmp_path / ".b.mp4")
    (tmp_path / "notes.txt").write_text("no clip")
    assert set(take(tmp_path)) == {"a"}


def test_unreadable_files_are_failures_with_the_media_error(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    video(tmp_path / "good.mp4")
    found = take(tmp_path, tmp_path / "gone.mp4")
    assert failed(found) == {"broken", "empty", "gone"}
    for name in failed(found):
        row, run, _ = found[name]
        assert (row.sha256, run.output_sha256) == (None, None)
        assert run.reason
        assert str(tmp_path) not in run.reason  # the row says which file it is


def test_a_name_that_is_no_text_is_a_failure_that_can_be_stored(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    path.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")))
    row, run, _ = take(tmp_path)["cafxe9"]
    assert run.status == "failed"
    assert "no UTF-8 text" in (run.reason or "")
    (row.path or "").encode()


def test_the_same_bytes_twice_are_dropped_naming_the_one_that_stays(tmp_path: Path) -> None:
    video(tmp_path / "b.mp4")
    for name in ("a.mp4", "c.mp4"):
        (tmp_path / name).write_bytes((tmp_path / "b.mp4").read_bytes())
    assert reasons(take(tmp_path)) == {
        "b": "same bytes as another clip: a",
        "c": "same bytes as another clip: a",
    }
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\nc.mp4,sad\n")
    # The one that says more stays.
    assert set(reasons(take(tmp_path, manifest))) == {"a", "b"}


def test_two_unreadable_files_are_no_duplicates(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"not a video at all" * 50)
    assert reasons(take(tmp_path)) == {}


def test_sound_beside_its_video_is_counted_and_no_clip_of_its_own(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    write_clip(tmp_path / "a.wav", None, audio=TONE, sample_rate_hz=16_000)
    write_clip(tmp_path / "alone.wav", None, audio=TONE[:4000], sample_rate_hz=16_000)
    found = take(tmp_path)
    assert reasons(found) == {"a-wav": "sound beside a video of its name: a.mp4"}
    alone = found["alone"][0]
    assert (alone.frame_count, alone.width, alone.has_audio) == (None, None, True)


def test_nothing_to_take_in_is_an_error() -> None:
    with pytest.raises(InputError, match="no clips"):
        ingest([], Recipe())


def test_a_folder_without_media_is_no_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, named or the current one, was taken for a clip without a name: a traceback."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no clips given \(.*empty: no media files\): expected files, folders"):
        take(tmp_path / "empty")
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match=r"no clips given \(\.: no media files\)"):
        take(Path())
    video(tmp_path / "full" / "a.mp4")
    assert set(take(tmp_path / "empty", tmp_path / "full")) == {"a"}


def test_a_folder_that_is_nowhere_is_a_slip_and_a_file_is_a_clip_that_failed(tmp_path: Path) -> None:
    """A mistyped folder became a clip that failed, and a build's own clips were all set aside for it."""
    with pytest.raises(InputError, match="vidoes"):
        take(tmp_path / "vidoes")
    video(tmp_path / "a.mp4")
    found = take(tmp_path / "a.mp4", tmp_path / "gone.mp4")
    assert failed(found) == {"gone"}


def test_a_limit_takes_the_first_in_order(tmp_path: Path) -> None:
    for i, name in enumerate(("c", "a", "b")):
        video(tmp_path / f"{name}.mp4", i)
    assert set(take(tmp_path, limit=2)) == {"a", "b"}


def test_progress_counts_all_files_whatever_becomes_of_them(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"broken")
    told: list[tuple[int, int]] = []
    take(tmp_path, workers=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


# --- words beside the clip --------------------------------------------------------------------------------------------


def test_a_subtitle_file_beside_the_clip_gives_its_words(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.zh.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n你好\n", encoding="utf-8")
    row = take(tmp_path)["a"][0]
    assert (row.given_subtitle, row.subtitle_source, row.subtitle_language) == ("你好", "a.zh.srt", "zh")
    assert take(tmp_path, recipe=load_recipe(None, ["ingest.sidecars=false"]))["a"][0].given_subtitle is None


def test_one_that_cannot_be_used_is_told_and_costs_the_clip_nothing(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.srt").write_text("no times here")
    row, run, (warning,) = take(tmp_path)["a"]
    assert (run.status, row.given_subtitle) == ("done", None)
    assert warning.startswith("the file beside the clip cannot be used: ")


def test_a_blank_one_says_that_nothing_is_said(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "a.srt").write_text("")
    row = take(tmp_path)["a"][0]
    assert (row.given_subtitle, row.subtitle_source) == ("", "a.srt")


# --- manifests --------------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_is_known(tmp_path: Path) -> None:
    video(tmp_path / "clips" / "a.mp4")
    video(tmp_path / "clips" / "b.mp4", 3)
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "Path,name,label,subtitle,person,source,split\n"
        'clips/a.mp4,first,Anger,"Go  away,\nnow!",P1,film,dev\n'
        "\n"
        "clips/b.mp4,,,,,,\n",
        encoding="utf-8-sig",
    )
    found = take(manifest)
    row = found["first"][0]
    assert (row.given_label, row.given_subtitle, row.subtitle_source) == ("angry", "Go away, now!", "given")
    assert (row.person, row.source, row.given_split) == ("P1", "film", "validation")
    assert found["b"][0].given_label is None
    # With the folder it lies in, each file is still one clip, and the manifest counts.
    assert set(take(tmp_path / "clips", manifest)) == {"first", "b"}


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"path": "a.mp4", "label": "happy", "split": "train", "person": null}\n\n')
    row = take(manifest)["a"][0]
    assert (row.given_label, row.given_split, row.person) == ("happy", "train", None)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "m.csv",
            "path,lable,mood\na.mp4,sad,1\n",
            "unknown columns 'lable', 'mood'",
        ),
        ("m.csv", "name,label\na,sad\n", "no column 'path'"),
        ("m.csv", "path,label,label\na.mp4,sad,sad\n", "the column 'label' is there twice"),
        ("m.csv", "path,label\na.mp4\n", "line 2: 1 cells came, 2"),
        ("m.csv", "path,label\na.mp4,furry\n", r"line 2, label: 'furry' is none of merr9 \(neutral, angry"),
        ("m.csv", "path,label\na.mp4,disgust\n", "line 2, label: 'disgust' is none of merr9"),
        (
            "m.csv",
            "path,split\na.mp4,tset\n",
            "line 2, split: .*got 'tset'",
        ),
        ("m.csv", "path,name\na.mp4,x\nb.mp4,x\n", "the name 'x' stands in 2 rows; names are unique"),
        ("m.csv", "path\n", "the manifest has no clip"),
        ("m.csv", "", "no column 'path'"),
        ("m.csv", "path,label\n,sad\n", "line 2, path: needed, and not given"),
        (
            "m.csv",
            "name;path\na;b.mp4\n",
            "semicolons",
        ),
        ("m.csv", "name\tpath\na\tb.mp4\n", "tabs"),
        ("m.csv", 'path,label\na.mp4,"sad\nb.mp4,sad\n', "line 3: "),
        ("m.jsonl", '{"path": "a.mp4", "labl": "sad"}\n', "line 1: unknown key 'labl'"),
        ("m.jsonl", '{"path": 3}\n', "line 1, path: .*got 3"),
        ("m.jsonl", '{"path": "a.mp4", "path": "b.mp4"}\n', "line 1: .*a key stands twice"),
        ("m.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("m.jsonl", "{\n", "line 1: no JSON"),
    ],
)
def test_a_manifest_with_mistakes_is_refused_with_their_rows(tmp_path: Path, name: str, text: str, match: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        read_manifest(path, MERR9)


def test_many_mistakes_are_named_together_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,label\n" + "".join(f"{i}.mp4,furry\n" for i in range(13)))
    with pytest.raises(InputError, match=r"line 2, label.*; line 3, label.*; and 3 more$"):
        read_manifest(path, MERR9)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "m.csv", MERR9)
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "gone.csv", MERR9)


def test_one_file_in_two_rows_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "m.csv").write_text("path\na.mp4\n./a.mp4\n")
    with pytest.raises(InputError, match=r"m\.csv, line 3: .*a\.mp4 stands in m\.csv, line 2"):
        ingest([tmp_path / "m.csv"], Recipe())


def test_given_splits_that_divide_a_person_stop_the_build_at_once(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    video(tmp_path / "b.mp4", 3)
    (tmp_path / "m.csv").write_text("path,person,split\na.mp4,P,train\nb.mp4,P,test\n")
    with pytest.raises(InputError, match=r"person P: one group of clips was given the splits test \(b\), train \(a\)"):
        ingest([tmp_path / "m.csv"], Recipe())


# --- what names of files say ------------------------------------------------------------------------------------------


def test_source_and_person_out_of_the_name(tmp_path: Path) -> None:
    video(tmp_path / "in" / "anna" / "film_01.mp4")
    video(tmp_path / "in" / "anna" / "film_02.mp4", 3)
    video(tmp_path / "in" / "other.mp4", 5)
    recipe = load_recipe(None, ["ingest.name_pattern='(?P<person>[^/]+)/(?P<source>.+)_[0-9]+$'"])
    found = take(tmp_path / "in", recipe=recipe)
    assert (found["film_01"][0].person, found["film_01"][0].source) == ("anna", "film")
    assert found["other"][0].person is None
    (tmp_path / "m.csv").write_text("path,person\nin/anna/film_01.mp4,Anna K.\n")
    assert take(tmp_path / "m.csv", recipe=recipe)["film_01"][0].person == "Anna K."


@pytest.mark.parametrize(
    ("pattern", "match"), [("(", "is no regular expression"), (".*", "got none"), ("(?P<film>.*)", "got film")]
)
def test_patterns_that_cannot_be_used_are_refused(tmp_path: Path, pattern: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ingest([tmp_path], load_recipe(None, [f"ingest.name_pattern='{pattern}'"]))


# --- names (pure) -----------------------------------------------------------------------------------------------------


def named(
    *paths: str, stated: Mapping[str, str] | None = None, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    found = name_clips(
        [Path(p) for p in paths],
        {Path(p): name for p, name in (stated or {}).items()},
        {Path(p): name for p, name in (known or {}).items()},
    )
    return {str(path): name for path, name in found.items() if str(path) in paths}


def test_names_are_stems_with_as_many_folders_as_it_takes() -> None:
    assert named("/v/a/x.mp4", "/v/b/x.mp4", "/v/b/y z.mp4") == {
        "/v/a/x.mp4": "a-x", "/v/b/x.mp4": "b-x", "/v/b/y z.mp4": "y_z",
    }  # fmt: skip
    assert named("/v/a/c/x.mp4", "/v/b/c/x.mp4")["/v/a/c/x.mp4"] == "a-c-x"
    assert named("/v/a/x.mp4")["/v/a/x.mp4"] == "x"


def test_files_that_differ_in_their_suffix_alone() -> None:
    assert named("/v/x.mp4", "/v/x.MOV") == {"/v/x.mp4": "x-mp4", "/v/x.MOV": "x-mov"}
    assert named("/v/x.mp4", "/v/x.wav") == {"/v/x.mp4": "x", "/v/x.wav": "x-wav"}
    assert named("/v/x.wav") == {"/v/x.wav": "x"}


def test_names_do_not_depend_on_the_order_of_files() -> None:
    paths = [
        "/v/a/x.mp4",
        "/v/b/x.mp4",
        "/v/x.mp4",
        "/v/a-x.mp4",
        "/v/q.mp4",
        "/v/q.mov",
        "/w/q.mp4",
        "/v/a b.mp4",
        "/v/a_b.mp4",
    ]
    expected = named(*paths)
    assert len(set(expected.values())) == len(paths)
    for shift in range(1, len(paths)):
        assert named(*paths[shift:], *paths[:shift]) == expected
    assert named(*reversed(paths)) == expected


def test_in_a_build_that_goes_on_clips_keep_their_names() -> None:
    before = named("/v/a/x.mp4")
    after = named("/v/a/x.mp4", "/v/b/x.mp4", known=before)
    assert after == {"/v/a/x.mp4": "x", "/v/b/x.mp4": "b-x"}
    # Also where the clip of that name is not among the inputs this time.
    assert named("/v/b/x.mp4", known=before) == {"/v/b/x.mp4": "b-x"}


def test_stated_names_count_and_have_to_be_free() -> None:
    assert named("/v/x.mp4", "/w/x.mp4", stated={"/v/x.mp4": "first"}) == {"/v/x.mp4": "first", "/w/x.mp4": "x"}
    assert named("/v/x.mp4", "/w/y.mp4", stated={"/v/x.mp4": "y"})["/w/y.mp4"] == "w-y"
    with pytest.raises(InputError, match=r"the name 'y' of /v/x\.mp4 is that of /w/y\.mp4 already; names are unique"):
        named("/v/x.mp4", stated={"/v/x.mp4": "y"}, known={"/w/y.mp4": "y"})
    with pytest.raises(InputError, match=r"'my clip' of .* has blanks or slashes; such as 'my_clip' will do"):
        named("/v/x.mp4", stated={"/v/x.mp4": "my clip"})


def test_fit_leaves_letters_of_all_languages() -> None:
    assert fit("片段 一/二") == "片段_一_二"
    assert fit("  ") == "clip"
