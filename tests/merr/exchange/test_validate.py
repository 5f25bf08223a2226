"""Every problem that `validate` can find is made, and found; a sound build has none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.io.validate import validate
from emotion_llama.merr.quality.texts import error_like
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import Field, Provenance, StageRun
from emotion_llama.merr.store import Store

Make = Callable[..., Store]
RULES = Provenance("rules", "r")


def media(tmp_path: Path, name: str, **row: object) -> dict[str, object]:
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(name.encode())
    return {"path": str(path), "sha256": hashlib.sha256(name.encode()).hexdigest(), **row}


def problems(folder: Path, **options: Any) -> dict[str, int]:
    return dict(validate(folder, **options).problems.counts)


@pytest.fixture
def clip(spec: Any, tmp_path: Path) -> Callable[..., Any]:
    """Makes the spec of a sound clip whose media file is there."""

    def make(name: str, label: str = "happy", row: dict[str, object] | None = None, **changes: Any) -> Any:
        return spec(name, label, row=media(tmp_path, name, **(row or {})), **{"split": "train", **changes})

    return make


def test_sound_build_with_all_exports(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(
        clip("a", row={"person": "p", "stated_frame_count": 76}, artifacts={"peak_frame": (".png", b"x")}),
        clip("b", "sad", row={"person": "q"}, split="test", fine={}),
        clip("c", drop=("too dark", "all")),
    )
    for kind in ("merr", "csv", "sharegpt", "parquet"):
        export_build(store, None, kind)
    found = validate(store.folder, deep=True)
    assert found.problems.counts == {}
    assert found.is_valid
    # Each of the four holds 2 samples of the coarse set and 1 of the fine one.
    assert (found.clips, found.entries, len(found.exports)) == (3, 12, 4)
    assert "no problems" in found.text()
    assert found.frame_counts is not None
    assert found.frame_counts.fitting == 1


def test_media_that_are_gone_or_changed(make_build: Make, clip: Callable[..., Any], tmp_path: Path) -> None:
    store = make_build(clip("a"), clip("b"))
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "b.mp4").write_bytes(b"other")
    assert problems(store.folder) == {"a media file is gone": 1}
    assert problems(store.folder, deep=True) == {
        "a media file is gone": 1, "a media file was changed since it was taken in": 1,
    }  # fmt: skip


def test_artifacts_that_are_gone_or_damaged(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(*(clip(n, artifacts={"peak_frame": (".png", n.encode())}) for n in "abc"))
    paths = [store.folder / s.artifacts["peak_frame"] for s in store.samples()]
    paths[0].unlink()
    paths[1].write_bytes(b"z")
    assert problems(store.folder) == {"an artifact's file is damaged": 1, "an artifact's file is gone": 1}


def test_labels_and_texts(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(
        clip("a", "grumpy"),
        clip("b", fine={"en": "Error code: 500 - {'message': 'internal'}"}),
        clip("c", coarse={"en": "   "}, fine={}),
        clip("d", fine={"en": "The happy man smiles. The voice is loud. The person is happy."}),
        clip("e", words="I am happy", fine={"en": 'He says "I am happy" loudly. The person is happy.'}),
        clip("f", "sad", fine={"en": "I'm sorry, but I can't help with that."}, drop=("too dark", "all")),
    )
    assert problems(store.folder) == {
        "a label is none of merr9": 1,
        "coarse_caption (en) is empty": 1,
        "fine_caption (en) is the text of an error or a refusal": 1,
        "fine_caption (en) names the label before its last sentence": 1,
    }


def test_recipe_that_does_not_want_the_label_last(make_build: Make, clip: Callable[..., Any]) -> None:
    from emotion_llama.merr.recipe import load_recipe

    store = make_build(clip("d", fine={"en": "The happy man smiles. The voice is loud."}))
    store.put_recipe(load_recipe(None, ["consistency.require_label_last=false"]))
    assert problems(store.folder) == {}
    store.put_recipe(Recipe())
    assert problems(store.folder) == {"fine_caption (en) names the label before its last sentence": 1}


def test_peaks_outside_their_clips(make_build: Make, clip: Callable[..., Any]) -> None:
    peak = {"frame_index": 75, "pts_seconds": 3.0, "score": 1.0, "rule": "all", "units": {}, "why": "x"}
    kept = Field("published", {"peak_index": "80"}, Provenance("imported", "x"))
    store = make_build(
        clip("a", peak=peak), clip("b", extra=(kept,)), clip("c", peak={**peak, "frame_index": 74}),
        clip("d", peak={**peak, "frame_index": 900}, row={"frame_count": None}),
    )  # fmt: skip
    found = validate(store.folder)
    assert dict(found.problems.counts) == {"peak lies outside the clip": 1, "peak_index lies outside the clip": 1}
    assert found.problems.examples("peak lies outside the clip") == ("a: frame 75 of 75",)


def test_splits_that_divide(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(
        clip("a", row={"person": "p", "source": "s1"}),
        clip("b", row={"person": "p", "source": "s2"}, split="test"),
        clip("c", row={"source": "s1"}, split="validation"),
        clip("d", row={"source": "s2"}, split="test"),
    )
    found = validate(store.folder)
    assert dict(found.problems.counts) == {
        "a person stands in several splits": 1,
        "a source stands in several splits": 1,
    }
    assert found.problems.examples("a source stands in several splits") == ("s1: a in train, c in validation",)


def test_duplicates(make_build: Make, clip: Callable[..., Any]) -> None:
    same = {"sha256": "ab" * 32}
    store = make_build(clip("a", row=same), clip("A", row=same), clip("b", row=same, drop=("duplicate", "all")))
    assert problems(store.folder) == {
        "clips with the same media file (by hash)": 1,
        "ids that differ in capitals only (one file name on Windows and macOS)": 1,
    }


def test_fields_that_the_recipe_wants(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(clip("a"), clip("b", label=None), clip("c", split=None), clip("d", coarse={}, fine={}))
    store.put_recipe(Recipe(languages=("en", "zh")))
    store.put_stages([(name, (), "inline", 1) for name in ("pseudo_label", "coarse_caption", "splits")])
    store.record(StageRun("d", "coarse_caption", "done", "x", "y"), None)
    assert problems(store.folder) == {
        "a sample of the coarse set has no coarse caption (zh)": 3,
        "a sample of the fine set has no fine caption (zh)": 3,
        "a sample of the coarse set has no label": 1,
        "a sample of the coarse set has no split": 1,
    }


def test_frame_counts_of_another_release(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(*(clip(f"c{i}", row={"frame_count": 100, "stated_frame_count": 20 + 9 * i}) for i in range(12)))
    found = validate(store.folder)
    assert found.problems.counts["the ids are likely of another release than the videos"] == 1
    assert found.problems.counts["the media have another number of frames than the label file states"] == 11


def test_failed_and_imported_clips_are_notes(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(clip("a"), clip("b", row={"path": None, "sha256": None}))
    store.record(StageRun("a", "fine_caption", "failed", "x", None, "no answer"), None)
    found = validate(store.folder)
    assert found.is_valid
    imported, alone, failed = found.notes
    assert (imported, failed) == ("clips without media (imported): 1", "clips that failed at fine_caption: 1")
    assert alone.startswith("clips of which neither source nor person is known: 2; each was split by itself")


def broken_merr(folder: Path) -> None:
    coarse = json.loads((folder / "MERR_coarse_grained.json").read_text())
    coarse["b"]["caption"] = ""
    del coarse["c"]
    (folder / "MERR_coarse_grained.json").write_text(json.dumps(coarse))
    (folder / "transcription_en_all.csv").write_text("name,sentence\na,None\na,x\nc,\n")
    with (folder / "MERR_coarse_grained.txt").open("a") as file:
        file.write("z 12 disgust -10\n")


def test_export_that_the_published_code_cannot_load(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(clip("a", split=None), clip("b", split=None, fine={}), clip("c", split=None, fine={}))
    folder = export_build(store, None, "merr").folder
    broken_merr(folder)
    assert {k.split(" (labels")[0]: n for k, n in problems(folder).items()} == {
        "a file of the export is not what was exported": 3,
        "a name of the list is not in MERR_coarse_grained.json": 1,
        "a name of the list is not in transcription_en_all.csv (the published code stops)": 1,
        "a name stands twice in the table of sentences": 1,
        'a sentence that pandas reads as NaN (it becomes "nan" in the prompt)': 2,
        "an entry has no caption": 1,
        "unknown label 'disgust'": 1,
    }
    assert problems(store.folder)["an entry has no caption"] == 1  # the build's own check sees its exports


def test_export_that_is_damaged(make_build: Make, clip: Callable[..., Any], tmp_path: Path) -> None:
    store = make_build(clip("a"), clip("b"))
    share = export_build(store, None, "sharegpt").folder
    entries = json.loads((share / "merr_fine_train.json").read_text())
    entries[0]["videos"] = ["/nowhere.mp4"]
    (share / "merr_fine_train.json").write_text(json.dumps(entries))
    (share / "merr_coarse_train.json").unlink()
    assert problems(share) == {
        "a file of the export is gone": 1,
        "a file of the export is not what was exported": 1,
    }
    shards = export_build(store, None, "parquet").folder
    (shards / "data/train-00000-of-00001.parquet").write_bytes(b"PAR1")
    table = export_build(store, None, "csv").folder
    (table / "samples.csv").write_text("clip_id,why_missing,mood\n")
    for folder in (shards, table):
        assert problems(folder) == {"a file of the export is not what was exported": 1}


def test_export_that_was_never_finished(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(clip("a"))
    (store.folder / "export/csv").mkdir(parents=True)
    (store.folder / "export/csv/samples.csv").write_text("clip_id\n")
    assert problems(store.folder) == {"an export is not complete (it has no export.json)": 1}


def test_published_files_of_others(tmp_path: Path) -> None:
    """Somebody else's files need less: no manifest, and only the keys that the training code reads."""
    (tmp_path / "MERR_coarse_grained.json").write_text(json.dumps({"a": {"caption": "A smile."}}))
    (tmp_path / "MERR_coarse_grained.txt").write_text("a 12 happy -10\n")
    found = validate(tmp_path)
    assert found.problems.counts == {}
    (tmp_path / "MERR_fine_grained.json").write_text("[")
    (tmp_path / "export.json").write_text("[")
    assert problems(tmp_path) == {"a file is no JSON": 1, "the export's manifest is damaged": 1}


def test_neither_build_nor_export(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is neither a build .* nor an export"):
        validate(tmp_path)


def test_result_as_json(make_build: Make, clip: Callable[..., Any]) -> None:
    store = make_build(clip("a", "grumpy"))
    export_build(store, None, "csv", Choice(scope="fine"))
    document = validate(store.folder).document()
    assert (document["valid"], document["clips"], document["entries"]) == (False, 1, 1)
    assert {"problem": "a label is none of merr9", "count": 1, "examples": ["a: 'grumpy'"]} in document["problems"]


@pytest.mark.parametrize(
    "text",
    [
        "Error: 500", "An error occurred while calling the model", "ValueError: bad", "openai.RateLimitError: slow",
        "Traceback (most recent call last):", "429 Too Many Requests", "I'm sorry, but I can't assist with that.",
        "As an AI language model, I", "None", " n/a ", "<html><body>", "抱歉，我无法识别", "Request timed out",
    ],
)  # fmt: skip
def test_error_texts(text: str) -> None:
    assert error_like(text)


@pytest.mark.parametrize(
    "text",
    [
        "None of them smiles.", "The man is sorry.", "Sorry eyes and a bent head.", "Errors of judgement trouble her.",
        "An erratic voice.", "404 people watch.", "I cannot tell why she smiles, he says.", "Nana smiles.",
        "The person's timed output is loud.", "他说抱歉。",
    ],
)  # fmt: skip
def test_descriptions_are_no_error_texts(text: str) -> None:
    assert not error_like(text)
