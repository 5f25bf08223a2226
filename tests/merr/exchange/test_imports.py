"""Imports of what others have published: every file format, every problem counted, nothing of a build overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MER6
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.records import StageRun
from emotion_llama.merr.store import Store

Make = Callable[..., Store]
FINE = {
    "sample_00000023": {
        "AU_list": ["AU04", "AU05"],
        "visual_prior_list": ["eyes widened", "brows drawn together"],
        "audio_prior_list": "an angry tone",
        "peak_index": "12",
        "peak_AU_list": ["AU05"],
        "text": "Get out!",
        "pseu_emotion": "angry",
        "smp_reason_caption": "The brows are drawn together, the voice is loud. The person is angry.",
    }
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def label_of(store: Store, clip_id: str) -> object:
    value = store.sample(clip_id).value("label")
    return value["label"] if isinstance(value, dict) else None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("relative_test3_NCEV.txt", "samplenew_00006611 125 sad -10\nsamplenew_00006666 205 angry -1.5\n"),
        ("MER2024-noise_NCE.txt", "samplenew_00006611 125 sad\nsamplenew_00006666 205 angry\n"),
        (
            "MERR_fine_grained.txt",
            "\ufeffsamplenew_00006611 125 sad -10 x y\r\nsamplenew_00006666\t205  angry\t-1.5\r\n",
        ),
    ],
)
def test_lists_of_three_columns_and_more(make_build: Make, tmp_path: Path, name: str, text: str) -> None:
    store = make_build()
    tally = import_files([write(tmp_path / name, text)], store)
    assert (tally.new_clips, tally.fields["label"]) == (2, 2)
    assert tally.problems.counts == {}
    one, two = store.samples()
    assert [label_of(store, c) for c in ("samplenew_00006611", "samplenew_00006666")] == ["sad", "angry"]
    assert (one.clip.stated_frame_count, two.clip.stated_frame_count) == (125, 205)
    assert one.value("published") is None
    assert (two.value("published") == {"valence": -1.5}) == ("NCE.txt" not in name)


def test_list_of_two_columns(make_build: Make, tmp_path: Path) -> None:
    store = make_build()
    import_files([write(tmp_path / "labels.txt", "a happy\nb Surprised\n")], store)
    assert (label_of(store, "a"), label_of(store, "b")) == ("happy", "surprise")
    assert store.clip("a").stated_frame_count is None


def test_provenance_names_the_file_and_its_hash(make_build: Make, tmp_path: Path) -> None:
    import hashlib

    store = make_build()
    path = write(tmp_path / "labels.txt", "a happy\n")
    import_files([path], store)
    made = store.sample("a").fields["label", ""].provenance
    assert made.annotator == "imported"
    assert made.model == f"labels.txt (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]})"
    assert store.sample("a").runs["pseudo_label"].fingerprint.startswith("imported:")


def test_problems_of_lists_are_counted_with_their_lines(make_build: Make, tmp_path: Path) -> None:
    text = "\n".join(
        [
            "a 10 happy -10", "b 10 disgust -10", "c ten sad -10", "alone", "", "d/e 10 sad -10", "a 10 happy -10",
            "f 10 sad -10", "f 10 angry -10", "g 10 anger x", "h -7 sad -10", "i -1 sad -10", "b2 12 disgust 0",
        ]
    )  # fmt: skip
    tally = import_files([write(tmp_path / "l.txt", text)], store := make_build())
    assert [sample.clip.clip_id for sample in store.samples()] == ["a", "g", "i"]
    nine = "neutral, angry, happy, sad, worried, surprise, fear, contempt, doubt"
    assert tally.problems.counts == {
        f"unknown label 'disgust' (labels of merr9: {nine})": 2,
        "malformed row (expected: name [frame_count] label [valence])": 2,
        "malformed row: the frame count is no whole number": 2,
        "a name stands twice (with the same label)": 1,
        "a name stands twice with different labels: neither is taken": 1,
        "label written 'anger': read as 'angry'": 1,
        "the valence is no number: left out": 1,
    }
    assert tally.problems.examples("malformed row (expected: name [frame_count] label [valence])") == (
        "l.txt, line 4: alone", "l.txt, line 6: d/e 10 sad -10",
    )  # fmt: skip
    assert tally.problems.examples("a name stands twice with different labels: neither is taken") == (
        "l.txt, line 9: f",
    )
    assert tally.rows == {"l.txt": 12}
    assert store.clip("i").stated_frame_count is None  # -1: our export's sign for a count that nobody knows


def test_labels_of_another_space(make_build: Make, tmp_path: Path) -> None:
    tally = import_files([write(tmp_path / "l.txt", "a 9 doubt\nb 9 sad\n")], make_build(), space=MER6)
    assert tally.new_clips == 1
    assert next(iter(tally.problems.counts)).startswith("unknown label 'doubt' (labels of mer6:")


def test_published_json(make_build: Make, tmp_path: Path) -> None:
    coarse = {"sample_00000023": {"caption": "A man shouts."}, "sample_00000024": {"caption": "A woman smiles."}}
    (tmp_path / "m").mkdir()
    write(tmp_path / "m/MERR_fine_grained.json", json.dumps(FINE))
    write(tmp_path / "m/MERR_coarse_grained.json", json.dumps(coarse))
    write(tmp_path / "m/notes.md", "not ours")
    store = make_build()
    tally = import_files([tmp_path / "m"], store)
    assert tally.problems.counts == {}
    sample = store.sample("sample_00000023")
    assert sample.value("coarse_caption", "en") == "A man shouts."
    assert sample.value("fine_caption", "en") == FINE["sample_00000023"]["smp_reason_caption"]
    assert sample.value("visual_expression", "en") == ["eyes widened", "brows drawn together"]
    assert sample.value("audio_tone", "en") == "an angry tone"
    assert sample.value("subtitle") == {"text": "Get out!", "source": "imported", "language": "en"}
    assert sample.value("published") == {"AU_list": ["AU04", "AU05"], "peak_index": "12", "peak_AU_list": ["AU05"]}
    assert (store.count("coarse"), store.count("fine")) == (2, 1)


def test_published_files_come_out_as_they_went_in(make_build: Make, tmp_path: Path) -> None:
    entry = {**FINE["sample_00000023"], "caption": "A man shouts."}
    folder = tmp_path / "m"
    folder.mkdir()
    write(folder / "MERR_fine_grained.json", json.dumps({"sample_00000023": entry}))
    write(folder / "MERR_fine_grained.txt", "sample_00000023 35 angry -1.174107\n")
    write(folder / "transcription_en_all.csv", "name,sentence\nsample_00000023,Get out!\n")
    store = make_build()
    import_files([folder], store)
    out = export_build(store, None, "merr").folder
    assert json.loads((out / "MERR_fine_grained.json").read_text()) == {"sample_00000023": entry}
    for name in ("MERR_fine_grained.txt", "transcription_en_all.csv"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_problems_of_published_json(make_build: Make, tmp_path: Path) -> None:
    entries = {
        "a": {"caption": "Error: 429 Too Many Requests", "smp_reason_caption": 5, "mood": "x"},
        "b c": {"caption": "x"},
        "d": "text",
        "e": {"caption": "  ", "visual_prior_list": "smile", "pseu_emotion": "unknown"},
        "f": {"caption": "A good one."},
    }
    text = json.dumps(entries)[:-1] + ', "f": {"caption": "A better one."}}'
    store = make_build()
    tally = import_files([write(tmp_path / "MERR.json", text)], store)
    assert {k.split(" (labels")[0]: n for k, n in tally.problems.counts.items()} == {
        "a name stands twice (the last one counts)": 1,
        "caption is blank": 1,
        "caption is the text of an error, not a description": 1,
        "key 'mood' is not one of MERR's: left out": 1,
        "malformed entry (expected a name and an object)": 2,
        "smp_reason_caption is no text": 1,
        "unknown label 'unknown'": 1,
        "visual_prior_list is no list of texts": 1,
    }
    assert [s.value("coarse_caption", "en") for s in store.samples()] == ["A better one."]


@pytest.mark.parametrize(("text", "message"), [("[1]", "got list"), ("{", "is no JSON")])
def test_json_of_another_shape(make_build: Make, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_files([write(tmp_path / "x.json", text)], make_build())


def test_sentences_with_and_without_words(make_build: Make, tmp_path: Path) -> None:
    store = make_build()
    text = 'name,sentence\na,"Well, ""no""."\nb,\nc, 你好\na,Well\nd e,x\nf,x,y\n'
    tally = import_files([write(tmp_path / "transcription_en_all.csv", text)], store)
    assert store.sample("a").value("subtitle") == {"text": 'Well, "no".', "source": "imported", "language": "en"}
    silent = store.sample("b").fields["subtitle", ""]
    assert (silent.value, silent.why_missing) == (None, "no words in transcription_en_all.csv")
    assert store.sample("c").value("subtitle") == {"text": "你好", "source": "imported", "language": "zh"}
    assert tally.problems.counts == {
        "malformed row (expected 2 cells and a name)": 2,
        "a name stands twice (with another text: the first counts)": 1,
    }


def test_emer_tables_hold_descriptions(make_build: Make, tmp_path: Path) -> None:
    store = make_build()
    one = "names,emotions,subtitles,reasons\na,happy,Hello,She smiles and is happy.\n"
    two = "name,chinese,english\nb,她在微笑。,She smiles.\n"
    import_files([write(tmp_path / "gt-eng.csv", one), write(tmp_path / "final.csv", two)], store)
    assert store.sample("a").value("fine_caption", "en") == "She smiles and is happy."
    assert label_of(store, "a") == "happy"
    assert store.sample("b").value("fine_caption", "zh") == "她在微笑。"
    assert store.sample("b").value("fine_caption", "en") == "She smiles."
    assert store.sample("b").value("subtitle") is None


def test_table_of_labels(make_build: Make, tmp_path: Path) -> None:
    store = make_build()
    import_files([write(tmp_path / "train-label.tsv", "name\tdiscrete\tvalence\na\tworried\t-1\n")], store)
    assert label_of(store, "a") == "worried"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "name,mood\na,b\n", "is nothing that can be imported"),
        ("t.csv", 'name,sentence\na,"open\n', None),
        ("t.npz", "x", "is nothing that can be imported"),
        ("t.csv", "name,sentence\n", "nothing could be taken from .*t.csv: no rows"),
        ("t.txt", "a disgust\n", "nothing could be taken from .*unknown label 'disgust'"),
    ],
)
def test_files_that_cannot_be_imported(
    make_build: Make, tmp_path: Path, name: str, text: str, message: str | None
) -> None:
    path = write(tmp_path / name, text)
    if message is None:
        tally = import_files([path], make_build())  # a quotation mark that ends with the file is read to its end
        assert tally.rows == {"t.csv": 1}
    else:
        with pytest.raises(InputError, match=message):
            import_files([path], make_build())


def test_paths_that_are_not_there(make_build: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.txt does not exist"):
        import_files([tmp_path / "nowhere.txt"], make_build())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds nothing that can be imported"):
        import_files([tmp_path / "empty"], make_build())
    (tmp_path / "gb.csv").write_bytes("name,sentence\na,你好\n".encode("gb18030"))
    with pytest.raises(InputError, match=r"gb.csv is not UTF-8 text .* save it as UTF-8"):
        import_files([tmp_path / "gb.csv"], make_build())


def test_two_files_that_disagree(make_build: Make, tmp_path: Path) -> None:
    one = write(tmp_path / "a.txt", "a 10 sad\nb 10 sad\n")
    two = write(tmp_path / "b.txt", "a 12 angry\nb 10 sad\n")
    tally = import_files([one, two], store := make_build())
    assert label_of(store, "a") == "sad"
    assert store.clip("a").stated_frame_count == 10
    assert tally.problems.counts == {
        "two files disagree about label (the first counts)": 1,
        "two files state different frame counts (the first counts)": 1,
    }
    assert tally.problems.examples("two files disagree about label (the first counts)") == ("a: 'sad'; b.txt: 'angry'",)


def test_what_a_build_made_stays(make_build: Make, spec: Any, tmp_path: Path) -> None:
    store = make_build(spec("a"), spec("b", None, words=None))
    path = write(tmp_path / "l.txt", "a 75 sad\nb 75 sad\nc 75 sad\n")
    tally = import_files([path], store)
    assert (tally.new_clips, tally.known_clips, tally.kept, tally.fields) == (1, 2, {"label": 2}, {"label": 1})
    assert label_of(store, "a") == "happy"
    assert store.clip("a").path == "/videos/a.mp4"  # what is known of the clip stays as well
    assert store.clip("a").stated_frame_count == 75
    replaced = import_files([path], store, replace_made=True)
    assert replaced.fields == {"label": 2}
    assert [label_of(store, c) for c in "abc"] == ["sad", "sad", "sad"]
    assert store.sample("a").value("subtitle") is not None


def test_a_failed_phase_may_be_filled_in(make_build: Make, spec: Any, tmp_path: Path) -> None:
    store = make_build(spec("a", coarse={}))
    store.record(StageRun("a", "coarse_caption", "failed", "x", None, "no answer"), None)
    text = json.dumps({"a": {"caption": "A smile."}})
    tally = import_files([write(tmp_path / "MERR_coarse_grained.json", text)], store)
    assert tally.fields == {"coarse_caption (en)": 1}
    assert store.sample("a").runs["coarse_caption"].status == "done"


def test_imports_of_one_stage_add_up(make_build: Make, tmp_path: Path) -> None:
    """A second language, or a second file, does not push the first one out."""
    store = make_build()
    for language, text in (("en", "A smile."), ("zh", "微笑。")):
        path = write(tmp_path / f"MERR_{language}.json", json.dumps({"a": {"caption": text}}))
        import_files([path], store, language=language)
    import_files([write(tmp_path / "v.txt", "a 9 sad -2.5\n")], store)
    sample = store.sample("a")
    assert (sample.value("coarse_caption", "en"), sample.value("coarse_caption", "zh")) == ("A smile.", "微笑。")
    again = import_files([write(tmp_path / "w.txt", "a 9 angry\n")], store)
    assert again.kept == {"label": 1}
    assert label_of(store, "a") == "sad"


def test_clip_that_was_set_aside_is_not_changed(make_build: Make, spec: Any, tmp_path: Path) -> None:
    store = make_build(spec("a"), spec("b"))
    store.set_aside(["a"], "beyond the limit")
    tally = import_files([write(tmp_path / "l.txt", "a 75 sad\nb 75 sad\n")], store)
    assert tally.problems.counts == {"the build has set this clip aside: not changed": 1}
    assert [row.clip_id for row in store.clips()] == ["b"]


OPENFACE_UNITS = [f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)]


def openface(path: Path, frames: list[dict[str, float]]) -> Path:
    header = ["frame", " face_id", " timestamp", " confidence", " success", *(f" {u}" for u in OPENFACE_UNITS)]
    lines = [", ".join(h.strip() for h in header)]
    for i, units in enumerate(frames):
        cells = [
            i + 1,
            0,
            round(i * 0.04, 3),
            0.98,
            units.get("success", 1),
            *(units.get(u, 0.0) for u in OPENFACE_UNITS),
        ]
        lines.append(", ".join(str(c) for c in cells))
    return write(path, "\n".join(lines) + "\n")


def test_openface_tables_give_the_peak(make_build: Make, tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    frames = [{}, {"AU12_r": 1.0}, {"AU12_r": 2.5, "AU06_r": 1.5, "AU45_r": 0.5}, {"AU12_r": 9.0, "success": 0}]
    openface(tmp_path / "of/clip_a.csv", [*frames, {}])
    openface(tmp_path / "of/clip_b.csv", [{"success": 0}, {"success": 0}])
    openface(tmp_path / "of/clip_c.csv", [{"AU12_r": 7.0}])
    # What OpenFace leaves beside a table is no list of labels.
    write(tmp_path / "of/clip_a_of_details.txt", "Input:clip_a.mp4\nCamera parameters:500,500,320,240\n")
    write(tmp_path / "of/settings.json", '{"model": "x"}')
    store = make_build()
    tally = import_files([tmp_path / "of"], store)
    peak = store.sample("clip_a").value("peak")
    assert isinstance(peak, dict)
    assert (peak["frame_index"], peak["pts_seconds"], peak["score"], peak["rule"]) == (2, 0.08, 4.5, "all")
    assert peak["units"] == {"AU12": 2.5, "AU06": 1.5}  # above 0.8, as everywhere
    assert store.clip("clip_a").stated_frame_count == 5
    assert store.sample("clip_b").fields["peak", ""].why_missing == "clip_b.csv has no frame with a face"
    assert tally.problems.counts == {"OpenFace table that cannot be read": 1}
    assert tally.rows == {"clip_a.csv": 1, "clip_b.csv": 1, "clip_c.csv": 1}
    assert "must be within 0..5, found 0..7" in tally.problems.examples("OpenFace table that cannot be read")[0]


def test_feature_folders_are_recorded_and_checked(make_build: Make, spec: Any, tmp_path: Path) -> None:
    for folder in ("mae_340_UTT", "maeV_399_UTT", "HL-UTT"):
        (tmp_path / "f" / folder).mkdir(parents=True)
        for name in ("a", "b", "stranger"):
            np.save(tmp_path / "f" / folder / f"{name}.npy", np.zeros(1024, np.float32))
    np.save(tmp_path / "f/HL-UTT/b.npy", np.zeros((50, 1024), np.float32))  # one vector a frame
    (tmp_path / "f/maeV_399_UTT/a.npy").write_bytes((tmp_path / "f/maeV_399_UTT/a.npy").read_bytes()[:-8])
    store = make_build(spec("a"), spec("b"), spec("c"))
    tally = import_files([tmp_path / "f"], store)
    assert store.sample("a").value("features") == {
        "layout": "MER2023", "root": str(tmp_path / "f"),
        "face": {"file": "mae_340_UTT/a.npy", "shape": [1024]},
        "audio": {"file": "HL-UTT/a.npy", "shape": [1024]},
    }  # fmt: skip
    assert tally.problems.counts == {
        "HL-UTT: not one vector of 1024 numbers": 1,
        "maeV_399_UTT: not one vector of 1024 numbers": 1,
        "no file in HL-UTT": 1,
        "no file in mae_340_UTT": 1,
        "no file in maeV_399_UTT": 1,
    }
    assert "(50, 1024)" in tally.problems.examples("HL-UTT: not one vector of 1024 numbers")[0]
    assert [row.clip_id for row in store.clips()] == ["a", "b", "c"]  # features alone make no clips of a build


def test_feature_folders_into_an_empty_build(make_build: Make, tmp_path: Path) -> None:
    (tmp_path / "f/mae_340_23_UTT").mkdir(parents=True)
    np.save(tmp_path / "f/mae_340_23_UTT/a.npy", np.zeros((1, 1024), np.float32))
    store = make_build()
    tally = import_files([tmp_path / "f"], store)
    assert tally.problems.counts == {
        "no folder HL_23_UTT (audio features)": 1, "no folder maeVideo_399_23_UTT (temporal features)": 1,
    }  # fmt: skip
    value = store.sample("a").value("features")
    assert isinstance(value, dict)
    assert (value["layout"], value["face"]) == ("MER2024", {"file": "mae_340_23_UTT/a.npy", "shape": [1024]})


def test_table_that_breaks_in_the_middle(make_build: Make, tmp_path: Path) -> None:
    """A quotation mark without its partner swallows the rest of a long file: Python stops at 128 KiB a cell."""
    rows = "".join(f"clip_{i},some words that are said\n" for i in range(5000))
    path = write(tmp_path / "t.csv", 'name,sentence\na,"never closed\n' + rows)
    with pytest.raises(InputError, match=r"t\.csv, line \d+: the table cannot be read .* without its partner before"):
        import_files([path], make_build())


def test_table_without_what_is_needed() -> None:
    from emotion_llama.labels import MERR9
    from emotion_llama.merr.io.content import FileContent, read_table

    with pytest.raises(InputError, match="name, mood"):
        read_table("name,mood\na,b\n", FileContent("t.csv", ""), MERR9)


def test_problems_of_emer_tables(make_build: Make, tmp_path: Path) -> None:
    text = "name,chinese,english\na,,She smiles.\nb,微笑,Error: quota exceeded\n"
    store = make_build()
    tally = import_files([write(tmp_path / "final.csv", text)], store)
    assert tally.problems.counts == {
        "chinese is empty": 1, "english is the text of an error, not a description": 1,
    }  # fmt: skip
    assert store.sample("b").value("fine_caption", "en") is None


def test_build_goes_on_from_imported_fields(make_build: Make, tmp_path: Path) -> None:
    """An imported label is a finished run to the planner: no build replaces it."""
    from emotion_llama.merr.recipe import Recipe
    from emotion_llama.merr.stage import plan_phase
    from emotion_llama.merr.stages import STAGE_NAMES, build_stages

    store = make_build()
    import_files([write(tmp_path / "l.txt", "a happy\n")], store)
    stage = build_stages(Recipe())[STAGE_NAMES.index("pseudo_label")]
    clips = {row.clip_id: row for row in store.clips()}
    needs = ("ingest", *stage.needs)
    runs = {name: store.run_states(name) for name in {stage.name, *needs}}
    pending, finished, _ = plan_phase(stage, clips, runs, {need: {"a": "ok"} for need in needs}, session=1)
    assert (pending, finished) == ({}, {"a"})
