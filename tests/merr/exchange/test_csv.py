"""Our CSV: what goes out comes back as it was, edits are seen, and no cell is a formula."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError
from emotion_llama.merr.io.csv_table import read_text, write_text
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.records import Field, Provenance, key_of
from emotion_llama.merr.store import Store

Make = Callable[..., Store]
NASTY = (
    'He said "no", then\r\nleft\n\n', "=HYPERLINK(1)", "+1", "-1 degrees", "@SUM", "\tx", "\rx", "'", "''", "'=1", "'a",
    "你好，“世界”", "a,b;c\td", " x ", '""', "null", "NaN", "{\"a\": 1}", "\\n", "é\u0301",
)  # fmt: skip


@pytest.mark.parametrize("text", [*NASTY, ""])
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    cell = write_text(text)
    assert read_text(cell) == text
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")


def test_a_missing_text_is_an_empty_cell() -> None:
    assert (write_text(None), read_text("")) == ("", None)
    assert write_text("") == "'"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def build(make_build: Make, spec: Any) -> Store:
    extras = (
        Field("prosody", {"pause_count": 0, "pitch_median_hz": 180.25, "backend": "own"}, Provenance("measured", "m")),
        Field("visual_objective", None, Provenance("rules", "r"), "en", "no picture was taken"),
        Field("clues", {"supporting": ["a, b", 'c "d"'], "misleading": []}, Provenance("rules", "r"), "zh"),
        Field("conflicts", [], Provenance("measured", "m")),
        Field("features", {"root": "/f"}, Provenance("imported", "f")),
    )
    row = {"person": "=p", "given_subtitle": "", "fps": 29.97, "path": None}
    return make_build(
        *(
            spec(f"clip_{i:02d}", words=t, coarse={"en": f"{t}.", "zh": f"{t}。"}, fine={"zh": t}, split="train")
            for i, t in enumerate(NASTY)
        ),
        spec("extra", extra=extras, split="test", row=row),
        spec("not_fine", drop=("contradicts: happy, sad", "fine"), words=None, split="train"),
        spec("-abc", label="sad", split="train"),
    )  # fmt: skip


def test_round_trip_gives_the_same_samples(build: Store, make_build: Make) -> None:
    path = export_build(build, None, "csv").folder / "samples.csv"
    other = make_build(folder="other")
    tally = import_files([path], other)
    assert tally.problems.counts == {}
    before = {s.clip.clip_id: s for s in build.samples("coarse")}
    after = {s.clip.clip_id: s for s in other.samples("coarse")}
    assert before.keys() == after.keys()
    for clip_id, sample in before.items():
        assert after[clip_id].clip == sample.clip
        assert {k: (f.value, f.why_missing) for k, f in after[clip_id].fields.items()} == {
            k: (f.value, f.why_missing) for k, f in sample.fields.items()
        }
        for key, found in sample.fields.items():
            made = after[clip_id].fields[key].provenance
            assert (made.annotator, made.model, made.prompt_sha256, made.label_shown, made.tokens_in) == (
                found.provenance.annotator, found.provenance.model, found.provenance.prompt_sha256,
                found.provenance.label_shown, found.provenance.tokens_in,
            )  # fmt: skip
    assert other.count("fine") == build.count("fine")
    again = export_build(other, None, "csv").folder / "samples.csv"
    assert again.read_bytes() == path.read_bytes()


def test_cells_of_one_row(build: Store) -> None:
    row = next(r for r in rows_of(export_build(build, None, "csv").folder / "samples.csv") if r["clip_id"] == "extra")
    assert row["label"] == "happy"
    assert json.loads(row["label_details"])["strength"] == "strong"
    assert row["visual_expression_en"] == '["eyes widened", "mouth open"]'
    assert (row["visual_objective_en"], row["conflicts"], row["person"], row["given_subtitle"], row["path"]) == (
        "", "[]", "'=p", "'", "",
    )  # fmt: skip
    assert json.loads(row["why_missing"]) == {"visual_objective_en": "no picture was taken"}
    assert (row["fps"], row["has_audio"], row["frame_count"], row["split"]) == ("29.97", "true", "75", "test")
    assert json.loads(row["provenance"])["fine_caption_en"]["prompt_sha256"] == "ab" * 32
    assert "made_at" not in row["provenance"]


def test_a_clip_whose_name_is_a_formula_is_marked_and_comes_back(make_build: Make, spec: Any) -> None:
    # No blank and no slash, and yet Excel would start a program for it.
    folder = export_build(make_build(spec("=calc|A!Z"), spec("-a")), None, "csv").folder
    assert [row["clip_id"] for row in rows_of(folder / "samples.csv")] == ["'-a", "'=calc|A!Z"]
    other = make_build(folder="other")
    import_files([folder / "samples.csv"], other)
    assert [clip.clip_id for clip in other.clips()] == ["-a", "=calc|A!Z"]


def test_one_language_has_its_columns_only(build: Store) -> None:
    tally = export_build(build, None, "csv", Choice(language="zh"))
    header = rows_of(tally.folder / "samples.csv")[0]
    assert "coarse_caption_zh" in header
    assert not [column for column in header if column.endswith("_en")]
    assert tally.samples == {"coarse": len(NASTY), "fine": len(NASTY)}


def edited(folder: Path, **changes: str) -> Path:
    rows = rows_of(folder / "samples.csv")
    rows[0].update(changes)
    path = folder.parent / "edited.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # as Excel saves it
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_edits_are_imported_and_told_apart(make_build: Make, spec: Any) -> None:
    folder = export_build(make_build(spec("a"), spec("b")), None, "csv").folder
    other = make_build(folder="other")
    tally = import_files([edited(folder, fine_caption_en="Better. She is sad.", label="sad")], other)
    assert tally.problems.counts == {
        "edited since it was exported: fine_caption_en": 1,
        "edited since it was exported: label": 1,
    }
    one, two = other.samples("fine")
    assert one.value("fine_caption", "en") == "Better. She is sad."
    assert one.fields["fine_caption", "en"].provenance.annotator == "imported"
    assert one.fields["fine_caption", "en"].provenance.model.startswith("edited.csv (sha256 ")
    # What was measured for the old label says nothing of the new one.
    assert one.value("label") == {
        "label": "sad", "source": "given", "strength": None, "score": None, "confidence": None, "units": {},
        "candidates": {}, "table": "", "by_rules": None,
    }  # fmt: skip
    assert one.fields["coarse_caption", "en"].provenance.annotator == "rules"
    assert two.fields["fine_caption", "en"].provenance.annotator == "openai"


def test_edited_label_that_is_none_is_counted_and_not_taken(make_build: Make, spec: Any) -> None:
    folder = export_build(make_build(spec("a")), None, "csv").folder
    other = make_build(folder="other")
    tally = import_files([edited(folder, label="grumpy")], other)
    assert any(kind.startswith("unknown label 'grumpy'") for kind in tally.problems.counts)
    assert other.sample("a").value("label") is None


def test_a_split_that_is_none_is_counted_and_not_taken(make_build: Make, spec: Any) -> None:
    """A slip in a spreadsheet ("tran") became a split, and its clip was left out of every export."""
    folder = export_build(make_build(spec("a", split="train")), None, "csv").folder
    other = make_build(folder="other")
    tally = import_files([edited(folder, split="tran")], other)
    assert tally.problems.counts["unknown split 'tran' (expected train, validation, test)"] == 1
    assert other.sample("a").value("split") is None


def test_edits_into_the_build_itself_need_replace(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"))
    path = edited(export_build(store, None, "csv").folder, coarse_caption_en="New text")
    assert import_files([path], store).kept == {"coarse_caption (en)": 1}
    assert store.sample("a").value("coarse_caption", "en") == "This person in the video smiles."
    tally = import_files([path], store, replace_made=True)
    assert tally.fields == {"coarse_caption (en)": 1}
    assert store.sample("a").value("coarse_caption", "en") == "New text"
    assert store.sample("a").runs["coarse_caption"].fingerprint.startswith("imported:")
    assert import_files([path], store, replace_made=True).fields == {}


def test_broken_rows_are_counted_with_their_lines(make_build: Make, spec: Any) -> None:
    folder = export_build(make_build(spec("a"), spec("b"), spec("c"), spec("d")), None, "csv").folder
    lines = (folder / "samples.csv").read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace("320", "wide")
    lines[3] = lines[1]
    lines.append("e,f")
    (folder / "broken.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tally = import_files([folder / "broken.csv"], make_build(folder="other"))
    assert tally.new_clips == 2
    assert tally.problems.counts == {
        "a clip stands twice: the first counts": 1, "malformed cell": 1,
        f"malformed row (expected {len(lines[0].split(','))} cells)": 1,
    }  # fmt: skip
    assert tally.problems.examples("malformed cell")[0].startswith("broken.csv, line 3: invalid literal for int")


def test_foreign_columns_are_refused(make_build: Make, spec: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("clip_id,why_missing,mood\na,,x\n")
    with pytest.raises(InputError, match="the column 'mood' is none of ours"):
        import_files([path], make_build())
    path.write_text("clip_id,why_missing,label,label\na,,x,y\n")
    with pytest.raises(InputError, match="two columns are called 'label'"):
        import_files([path], make_build())


def test_columns_and_fields_name_each_other() -> None:
    assert key_of("fine_caption_zh") == ("fine_caption", "zh")
    assert key_of("label") == ("label", "")
    assert key_of("fine_caption_fr") is None
    assert key_of("label_en") is None
