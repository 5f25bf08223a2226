"""The published MERR files: exact fields and types, and that the published training code would load them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.merr_files import sentence_cell
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.records import Field, Provenance
from emotion_llama.merr.store import Store

Make = Callable[..., Store]

# What pandas.read_csv makes NaN by default (pandas' documentation of `na_values`, version 3.1).
PANDAS_NAN = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
}  # fmt: skip
NINE = ["neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"]


class PublishedLoader:
    """The accesses of the published data set class to its files (minigpt4/datasets/datasets/first_face.py), restated.

    A list is split at blanks: the name is the first column, the label the third, which must be one of nine. The coarse
    and the fine file are objects by name; the table gives the sentence of the row whose name is equal.
    """

    def __init__(self, folder: Path, list_name: str) -> None:
        self.rows = [line.strip().split(" ") for line in (folder / list_name).read_text("ascii").splitlines()]
        self.coarse = json.loads((folder / "MERR_coarse_grained.json").read_text("ascii"))
        self.fine = json.loads((folder / "MERR_fine_grained.json").read_text("ascii"))
        with (folder / "transcription_en_all.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        assert list(table[0]) == ["name", "sentence"]
        self.sentences: dict[str, list[str]] = {}
        for row in table:
            self.sentences.setdefault(row["name"], []).append(row["sentence"])

    def item(self, index: int, task: str) -> dict[str, Any]:
        row = self.rows[index]
        name = row[0]
        answer = {
            "emotion": lambda: row[2],
            "reason": lambda: self.coarse[name]["caption"],
            "reason_v2": lambda: self.fine[name]["smp_reason_caption"],
        }[task]()
        sentence = self.sentences[name][0]
        assert sentence not in PANDAS_NAN, "pandas would give NaN"
        line = f"The person in video says: {sentence}. "
        return {"answer": answer.lower(), "emotion": NINE.index(row[2]), "line": line, "id": name}


@pytest.fixture
def exported(make_build: Make, spec: Any) -> Path:
    store = make_build(
        spec("sample_1", split="train"),
        spec("sample_2", "surprise", words=None, fine={}, split="train"),
        spec("sample_3", "disgust", split="train"),
        spec("sample_4", "sad", words="None", split="test", row={"frame_count": None, "stated_frame_count": 41}),
        spec("sample_5", drop=("too dark: 12 of 255", "all"), split="train"),
        spec("sample_6", "angry", words='He said "no",\nthen left 你好', drop=("vague", "fine"), split="train"),
    )
    return export_build(store, None, "merr").folder


@pytest.mark.parametrize(
    ("list_name", "task", "count"),
    [
        ("MERR_coarse_grained.txt", "emotion", 4),
        ("MERR_coarse_grained.txt", "reason", 4),
        ("MERR_coarse_grained_train.txt", "reason", 3),
        ("MERR_fine_grained.txt", "reason_v2", 2),
        ("MERR_fine_grained_train.txt", "reason_v2", 1),
    ],
)
def test_published_loader_loads_every_row(exported: Path, list_name: str, task: str, count: int) -> None:
    loader = PublishedLoader(exported, list_name)
    items = [loader.item(i, task) for i in range(len(loader.rows))]
    assert len(items) == count
    assert all(item["answer"] and isinstance(item["answer"], str) for item in items)


def test_items_are_the_samples(exported: Path) -> None:
    item = PublishedLoader(exported, "MERR_fine_grained.txt").item(0, "reason_v2")
    assert item == {
        "answer": "the cheeks are raised. the person is happy.", "emotion": 2, "id": "sample_1",
        "line": "The person in video says: What a nice day. ",
    }  # fmt: skip
    silent = PublishedLoader(exported, "MERR_coarse_grained.txt").item(1, "emotion")
    assert silent["line"] == "The person in video says:  . "
    assert silent["emotion"] == 5


def test_lists_hold_name_count_label_valence(exported: Path) -> None:
    assert (exported / "MERR_coarse_grained.txt").read_bytes() == (
        b"sample_1 75 happy -10\nsample_2 75 surprise -10\nsample_4 41 sad -10\nsample_6 75 angry -10\n"
    )
    assert (exported / "MERR_coarse_grained_test.txt").read_text() == "sample_4 41 sad -10\n"


def test_fine_objects_have_the_published_keys_and_types(exported: Path) -> None:
    fine = json.loads((exported / "MERR_fine_grained.json").read_text())
    assert list(fine) == ["sample_1", "sample_4"]
    assert fine["sample_1"] == {
        "AU_list": ["AU06", "AU12"],
        "visual_prior_list": ["eyes widened", "mouth open"],
        "audio_prior_list": "a loud voice",
        "peak_index": "12",
        "peak_AU_list": ["AU12", "AU06"],
        "text": "What a nice day",
        "pseu_emotion": "happy",
        "caption": "This person in the video smiles.",
        "smp_reason_caption": "The cheeks are raised. The person is happy.",
    }


def test_coarse_objects_lack_only_the_fine_description(exported: Path) -> None:
    coarse = json.loads((exported / "MERR_coarse_grained.json").read_text())
    assert list(coarse) == ["sample_1", "sample_2", "sample_4", "sample_6"]
    assert "smp_reason_caption" not in coarse["sample_2"]
    assert coarse["sample_2"]["text"] == ""
    assert coarse["sample_6"]["text"] == 'He said "no",\nthen left 你好'


def test_label_outside_the_nine_is_left_out_and_counted(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"), spec("b", "disgust"), spec("c", "disgust"), spec("d", None))
    tally = export_build(store, None, "merr")
    assert tally.left_out == {"label 'disgust' is none of MERR's nine": 2, "no label": 1}
    assert tally.samples == {"coarse": 1, "fine": 1}
    assert "b" not in (tally.folder / "transcription_en_all.csv").read_text()


def test_reasons_of_dropped_and_failed_clips_are_counted(make_build: Make, spec: Any) -> None:
    from emotion_llama.merr.records import StageRun

    store = make_build(
        spec("a"), spec("b", drop=("near duplicate of 17", "all")), spec("c", coarse={}, fine={}), spec("d", coarse={})
    )
    store.record(StageRun("d", "visual_objective", "failed", "x", None, "empty: the reply was empty"), None)
    assert export_build(store, None, "merr").left_out == {
        "dropped at balance: near duplicate of N": 1,
        "failed at visual_objective: empty": 1,
        "no coarse caption (en)": 1,
    }


def test_scope_and_language_and_split_are_honoured(make_build: Make, spec: Any) -> None:
    both = {"en": "A smile.", "zh": "微笑。"}
    store = make_build(
        spec("a", coarse=both, fine={"zh": "他很高兴。"}, split="train"),
        spec("b", coarse=both, fine=both, split="test"),
        spec("c", split="train"),
    )
    tally = export_build(store, None, "merr", Choice(scope="fine", language="zh"))
    assert sorted(tally.files) == [
        "MERR_fine_grained.json", "MERR_fine_grained.txt", "MERR_fine_grained_test.txt",
        "MERR_fine_grained_train.txt", "transcription_en_all.csv",
    ]  # fmt: skip
    fine = json.loads((tally.folder / "MERR_fine_grained.json").read_text())
    assert [entry["smp_reason_caption"] for entry in fine.values()] == ["他很高兴。", "微笑。"]
    assert tally.left_out == {"no coarse caption (zh)": 1}
    test = export_build(store, None, "merr", Choice(scope="coarse", splits=("test",)))
    assert (test.folder / "MERR_coarse_grained.txt").read_text() == "b 75 happy -10\n"
    assert test.left_out == {"not in the split test": 2}
    assert not (test.folder / "MERR_fine_grained.txt").exists()  # of the export before


def test_why_a_clip_is_not_in_the_fine_set(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"), spec("b", fine={}), spec("c", drop=("grounded in 2 of 9 cues", "fine")))
    assert export_build(store, None, "merr", Choice(scope="fine")).left_out == {
        "dropped from the fine set at consistency: grounded in N of N cues": 1, "no fine caption (en)": 1,
    }  # fmt: skip


def test_language_that_the_build_lacks(make_build: Make, spec: Any) -> None:
    with pytest.raises(InputError, match="has no captions in 'zh' \\(it has: en\\)"):
        export_build(make_build(spec("a")), None, "merr", Choice(language="zh"))


def test_build_without_captions(make_build: Make, spec: Any) -> None:
    with pytest.raises(InputError, match="has no captions to export"):
        export_build(make_build(spec("a", coarse={}, fine={})), None, "merr")


def test_nothing_left_says_why_and_leaves_nothing(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", "disgust"))
    with pytest.raises(InputError, match=r"nothing is left to export.*1 label 'disgust' is none"):
        export_build(store, None, "merr")
    assert list((store.folder / "export/merr").iterdir()) == []


def test_clip_without_a_split_beside_others_is_left_out(make_build: Make, spec: Any) -> None:
    tally = export_build(make_build(spec("a", split="train"), spec("b")), None, "merr")
    assert tally.left_out == {"no split, where other clips have one": 1}


def test_names_that_are_all_numbers_are_told_of(make_build: Make, spec: Any) -> None:
    tally = export_build(make_build(spec("001"), spec("002")), None, "merr")
    assert any("all names are numbers" in note for note in tally.notes)


def test_frame_count_that_nobody_knows_is_minus_one(make_build: Make, spec: Any) -> None:
    tally = export_build(make_build(spec("a", row={"frame_count": None})), None, "merr")
    assert (tally.folder / "MERR_coarse_grained.txt").read_text() == "a -1 happy -10\n"


def test_imported_units_and_valence_come_out_where_nothing_was_measured(make_build: Make, spec: Any) -> None:
    kept = Field(
        "published",
        {"AU_list": ["AU04"], "peak_index": "7", "peak_AU_list": ["AU04"], "valence": -1.174107},
        Provenance("imported", "x"),
    )
    store = make_build(spec("a", "sad", peak=None, extra=(kept,)))
    tally = export_build(store, None, "merr")
    entry = json.loads((tally.folder / "MERR_fine_grained.json").read_text())["a"]
    assert (entry["peak_index"], entry["peak_AU_list"]) == ("7", ["AU04"])
    assert entry["AU_list"] == ["AU06", "AU12"]  # of the label, which was measured
    assert (tally.folder / "MERR_fine_grained.txt").read_text() == "a 75 sad -1.174107\n"


@pytest.mark.parametrize(
    ("words", "cell"), [(None, " "), ("  ", " "), ("None", "None "), ("NA", "NA "), ("a\n b", "a b"), ("Nana", "Nana")]
)
def test_sentences_that_pandas_would_lose(words: str | None, cell: str) -> None:
    assert sentence_cell(words) == cell
    assert cell not in PANDAS_NAN


def test_same_content_gives_the_same_bytes(make_build: Make, spec: Any) -> None:
    specs = [spec(name, split=split) for name, split in (("b", "test"), ("a", "train"), ("c", "train"))]
    one = make_build(*specs, folder="one")
    two = make_build(*reversed(specs), folder="two")
    for kind in ("merr", "csv", "sharegpt", "parquet"):
        first, second = export_build(one, None, kind), export_build(two, None, kind)
        names = sorted(p.relative_to(first.folder) for p in first.folder.rglob("*") if p.is_file())
        assert names == sorted(p.relative_to(second.folder) for p in second.folder.rglob("*") if p.is_file())
        for name in names:
            assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
