"""Results in other formats, read back by readers that know nothing of ours."""

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from emotion_llama import Analyzer
from emotion_llama.cli.main import main
from emotion_llama.document import analysis_document
from emotion_llama.errors import InputError
from emotion_llama.exports import FORMATS, export, formats_of, names_of
from emotion_llama.exports.tiers import LEAST_SECONDS, PRESENT, tiers
from emotion_llama.schema import AnalysisDocument

CLIP = Path(__file__).parents[2] / "src" / "emotion_llama" / "serve" / "web" / "examples" / "smile.mp4"
WORDS = 'I am "so" happy, <b>I</b> can\'t wait & fly.'


@pytest.fixture(scope="module")
def document() -> AnalysisDocument:
    analysis = Analyzer.load("rules").analyze(CLIP, subtitle=WORDS)
    return AnalysisDocument.model_validate_json(analysis_document(analysis).model_dump_json())


@pytest.fixture(scope="module")
def two_people(document: AnalysisDocument) -> AnalysisDocument:
    """The same face twice, the second over ten minutes, uncertain, with lines that overlap."""
    values = json.loads(document.model_dump_json())
    values["clip"]["duration_seconds"] = 600.0
    second = json.loads(json.dumps(values["people"][0]))
    second.update(person_id=2, is_main=False)
    segment = second["segments"][0]
    segment["end_seconds"] = 600.0
    segment["prediction"].update(label=None, is_uncertain=True)
    curves = segment["evidence"]["action_units"]["curves"]
    count = 15_000
    curves["pts_seconds"] = [i / 25 for i in range(count)]
    row = curves["intensity"][0]
    unit = segment["evidence"]["action_units"]["names"].index("AU12")
    curves["intensity"] = [
        [(2.5 if 100 <= i / 25 < 101 else None if i == 9 else 0.0) if j == unit else 0.0 for j in range(len(row))]
        for i in range(count)
    ]
    for name in ("confidence", "is_blink", "is_speech"):
        curves[name] = [curves[name][0]] * count
    line = {"speaker": None, "language": None, "confidence": None, "words": [], "source": None}
    segment["evidence"]["transcript"]["lines"] = [
        {**line, "text": "one", "start_seconds": 599.0, "end_seconds": 600.0},
        {**line, "text": "two", "start_seconds": 599.5, "end_seconds": 600.0},
    ]
    values["people"].append(second)
    return AnalysisDocument.model_validate(values)


def made(document: AnalysisDocument, form: str, folder: Path) -> Path:
    return export([("talk, ä.mp4", document)], (form,), folder)[0]


def rows_of(path: Path, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), delimiter=separator))


def test_summary_has_a_row_for_each_person_and_segment(two_people: AnalysisDocument, tmp_path: Path) -> None:
    first, second = rows_of(made(two_people, "summary", tmp_path))
    segment = two_people.people[0].segments[0]
    assert (first["clip"], first["label"], second["label"], second["is_uncertain"]) == ("talk, ä.mp4", "happy", "", "1")
    assert segment.prediction.probabilities is not None
    assert float(first["p_happy"]) == segment.prediction.probabilities["happy"]
    assert segment.evidence.action_units is not None
    assert float(first["AU12_held"]) == segment.evidence.action_units.held["AU12"]
    assert first["transcript"] == WORDS
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and len(name) <= 64 for name in first)  # R and SPSS


def test_long_has_a_codebook_for_every_variable(two_people: AnalysisDocument, tmp_path: Path) -> None:
    table, book = export([("a", two_people)], ("long",), tmp_path)
    rows, meanings = rows_of(table), {row["variable"]: row for row in rows_of(book)}
    assert {row["variable"] for row in rows} == set(meanings)
    assert all(row["meaning"] and row["unit"] for row in meanings.values())
    assert all(row["value"] for row in rows)  # what was not measured has no row
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in meanings)


def test_openface_leaves_out_what_was_not_measured(two_people: AnalysisDocument, tmp_path: Path) -> None:
    rows = rows_of(made(two_people, "openface", tmp_path))
    second = [row for row in rows if row["face_id"] == "2"]
    assert len(second) == 15_000
    assert second[9]["AU12_r"] == ""
    assert float(second[2500]["AU12_r"]) == 2.5
    assert float(second[2500]["timestamp"]) == 100.0
    assert [int(row["frame"]) for row in second] == sorted({int(row["frame"]) for row in second})
    assert not any(name.endswith("_c") for name in rows[0])


def test_openface_needs_curves(document: AnalysisDocument, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without --no-curves"):
        made(document.model_copy(update={"has_curves": False}), "openface", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tiers_hold_episodes_and_never_overlap(two_people: AnalysisDocument) -> None:
    found = {tier.name: tier for tier in tiers(two_people)}
    (smile,) = found["person_2_AU12"].intervals
    assert (smile.start_seconds, smile.end_seconds, smile.text) == (100.0, 101.0, "2.5")
    assert [one.text for name in ("person_2_lines", "person_2_lines_2") for one in found[name].intervals] == [
        "one",
        "two",
    ]
    for tier in found.values():
        for one, after in pairwise(tier.intervals):
            assert one.end_seconds <= after.start_seconds
            if tier.kind == "unit":
                assert one.end_seconds - one.start_seconds >= LEAST_SECONDS
                assert float(one.text) >= PRESENT


def test_elan_reads_it(two_people: AnalysisDocument, tmp_path: Path) -> None:
    root = ElementTree.parse(made(two_people, "eaf", tmp_path)).getroot()
    times = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "")) for slot in root.iter("TIME_SLOT")}
    tier = next(one for one in root.iter("TIER") if one.get("TIER_ID") == "person_2_AU12")
    aligned = next(tier.iter("ALIGNABLE_ANNOTATION"))
    assert [times[aligned.get(f"TIME_SLOT_REF{i}")] for i in (1, 2)] == [100_000, 101_000]
    lines = next(one for one in root.iter("TIER") if one.get("TIER_ID") == "person_1_lines")
    assert next(lines.iter("ANNOTATION_VALUE")).text == WORDS
    assert all(" " not in str(name) for name in times)
    assert next(root.iter("MEDIA_DESCRIPTOR")).get("RELATIVE_MEDIA_URL") == "./smile.mp4"
    # The order that the schema wants, and references that lead somewhere.
    assert list(dict.fromkeys(one.tag for one in root)) == ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE"]
    assert {one.get("LINGUISTIC_TYPE_REF") for one in root.iter("TIER")} == {"default-lt"}


def test_praat_reads_it(two_people: AnalysisDocument, tmp_path: Path) -> None:
    text = made(two_people, "textgrid", tmp_path).read_text(encoding="utf-8")
    names = re.findall(r'name = "(.*)"', text)
    assert int(re.search(r"size = (\d+)", text)[1]) == len(names)  # type: ignore[index]
    for part in text.split("    item [")[1:]:
        spans = re.findall(r"\[\d+\]:\n +xmin = ([\d.]+)\n +xmax = ([\d.]+)\n +text = \"(.*)\"", part)
        assert float(spans[0][0]) == 0
        assert float(spans[-1][1]) == 600
        assert all(end == start for (_, end, _), (start, _, _) in pairwise(spans))  # no gap
    assert WORDS.replace('"', '""') in text


def test_boris_has_a_stop_for_each_start(two_people: AnalysisDocument, tmp_path: Path) -> None:
    rows = rows_of(made(two_people, "boris", tmp_path))
    running: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["Subject"], row["Behavior"]
        running[key] = running.get(key, 0) + (1 if row["Behavior type"] == "START" else -1)
        assert running[key] >= 0
    assert set(running.values()) == {0}
    assert ("person 2", "uncertain") in running
    assert ("person 2", "AU12") in running


def test_bids_events_are_in_order(two_people: AnalysisDocument, tmp_path: Path) -> None:
    table, about = export([("a", two_people)], ("bids",), tmp_path)
    rows = rows_of(table, "\t")
    assert [float(row["onset"]) for row in rows] == sorted(float(row["onset"]) for row in rows)
    (smile,) = [row for row in rows if row["person_id"] == "2" and row["name"] == "AU12"]
    assert (float(smile["onset"]), float(smile["duration"]), smile["value"]) == (100, 1, "2.5")
    assert set(rows[0]) < set(json.loads(about.read_text()))


def test_subtitles_say_what_is_said_with_the_label(two_people: AnalysisDocument, tmp_path: Path) -> None:
    srt = made(two_people, "srt", tmp_path).read_text(encoding="utf-8")
    assert f"Person 1: {WORDS} [happy]" in srt
    assert "00:09:59,500 --> 00:10:00,000\nPerson 2: two [uncertain]" in srt
    vtt = made(two_people, "vtt", tmp_path).read_text(encoding="utf-8")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "&lt;b&gt;I&lt;/b&gt; can't wait &amp; fly. [happy]" in vtt


def test_formats_are_named_and_nothing_is_written_over(document: AnalysisDocument, tmp_path: Path) -> None:
    assert formats_of("srt, EAF,srt") == ("srt", "eaf")
    for wrong in ("", "doc", "srt,doc"):
        with pytest.raises(InputError, match="no export format"):
            formats_of(wrong)
    export([("a", document)], tuple(FORMATS), tmp_path)
    with pytest.raises(InputError, match="is there already"):
        export([("b", document), ("a", document)], ("srt",), tmp_path)
    assert not (tmp_path / "b.srt").exists()
    export([("a", document)], ("srt",), tmp_path, overwrite=True)
    assert names_of([Path("x/a.mp4.emotion.json"), Path("y/a.mp4.emotion.json"), Path("b.wav.emotion.json")]) == [
        "x_a.mp4", "y_a.mp4", "b.wav",
    ]  # fmt: skip


def test_stored_results_of_a_folder(document: AnalysisDocument, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "results" / "deep"
    folder.mkdir(parents=True)
    (folder / "talk.mp4.emotion.json").write_text(document.model_dump_json(), encoding="utf-8")
    (folder / "bad.mp4.emotion.json").write_text("{}", encoding="utf-8")
    arguments = ["export-results", str(tmp_path / "results"), "--format", "summary,srt", "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out.count("wrote ") == 2
    assert "bad.mp4.emotion.json is no result" in err
    assert "1 results exported, 1 failed" in err
    assert (tmp_path / "out" / "talk.mp4.srt").exists()
    assert main(arguments) == 1  # nothing is written over
    assert main(["export-results", str(tmp_path), "--format", "srt", "--out", str(tmp_path / "none")]) == 1


def test_analyze_exports_what_it_stored(tmp_path: Path, capsys: Any) -> None:
    assert main(["analyze", str(CLIP), "--export", "srt"]) == 1
    assert "--out" in capsys.readouterr().err
    assert main(["analyze", str(CLIP), "--out", str(tmp_path), "--export", "eaf,summary", "-q"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "smile.mp4.eaf",
        "smile.mp4.emotion.json",
        "summary.csv",
    ]
