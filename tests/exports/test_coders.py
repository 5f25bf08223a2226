"""Files of coders, as their tools write them, and the verb that compares them with our results."""

import csv
import re
from pathlib import Path

import pytest

from emotion_llama import Analyzer
from emotion_llama.cli.main import main
from emotion_llama.document import analysis_document
from emotion_llama.errors import InputError
from emotion_llama.evaluation.agreement import MACHINE, Coding
from emotion_llama.exports import export
from emotion_llama.exports.coders import read_codings
from emotion_llama.schema import AnalysisDocument

CLIP = Path(__file__).parents[2] / "src" / "emotion_llama" / "serve" / "web" / "examples" / "smile.mp4"
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1500"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="Emotion" ANNOTATOR="anna">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>happy</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="person_2_AU12" PARENT_REF="Emotion" ANNOTATOR="anna">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>B</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="words" ANNOTATOR="anna"/>
</ANNOTATION_DOCUMENT>"""
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "mood"
        xmin = 0
        xmax = 3
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "say ""cheese"" 7"
        intervals [2]:
            xmin = 1.5
            xmax = 3
            text = ""
    item [2]:
        class = "TextTier"
        name = "apex"
        xmin = 0
        xmax = 3
        points: size = 1
        points [1]:
            number = 1.25
            mark = "apex"
"""
SHORT = '"ooTextFile"\n"TextGrid"\n0\n3\n<exists>\n1\n"IntervalTier"\n"emotion"\n0\n3\n1\n0\n3\n"sad"\n'
BORIS = "\t".join(["Observation id", "Media file name", "Subject", "Behavior", "Modifiers", "Behavior type", "Time"])
EVENTS = [
    ("o1", "v\\talk.mp4", "person 1", *event)
    for event in (
        ("happy", "", "START", "1.0"), ("AU06", "3", "START", "1.5"), ("happy", "", "STOP", "2.0"),
        ("AU06", "3", "STOP", "2.5"), ("apex", "", "POINT", "1.8"),
    )
]  # fmt: skip
OLD = """Observation id\to1

Time\tSubject\tBehavior\tModifier #1\tStatus
1\tNo focal subject\tsad\t\tSTART
2\tNo focal subject\tsad\t\tSTOP
"""
AGGREGATED = """Observation id,Media file,Subject,Behavior,Modifiers,Behavior type,Start (s),Stop (s)
o1,talk.mp4,No focal subject,sad,,STATE,1.0,2.5
"""
TABLE = """onset,offset,label,coder,clip,person,intensity
0,1,sad,anna,talk.mp4,2,
0,1,AU12C,ben,talk,,
1,2,AU12,ben,talk,,4
"""


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)
    return path


def read(path: Path, **options: str) -> list[Coding]:
    return read_codings([path], clips=["talk", "talk_2"], **options)


def test_elan_with_slots_without_time_and_referring_annotations(tmp_path: Path) -> None:
    main_person, second = read(written(tmp_path, "talk.eaf", EAF))
    assert (main_person.coder, main_person.clip, main_person.person_id) == ("anna", "talk", None)
    assert main_person.labels == ((0.5, 1.0, "happy"),)
    assert (second.person_id, second.units) == (2, {"AU12": ((0.5, 1.0, "B"),)})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_praat_long_format(tmp_path: Path, encoding: str) -> None:
    [found] = read(written(tmp_path, "ben/talk.TextGrid", LONG, encoding), tier="mood")
    assert (found.coder, found.labels, found.peaks) == ("ben", ((0.0, 1.5, 'say "cheese" 7'),), (1.25,))


def test_praat_short_format(tmp_path: Path) -> None:
    [found] = read(written(tmp_path, "talk_2.carl.TextGrid", SHORT))
    assert (found.coder, found.clip, found.labels) == ("carl", "talk_2", ((0.0, 3.0, "sad"),))


def test_boris_tabular_old_and_aggregated_events(tmp_path: Path) -> None:
    [found] = read(written(tmp_path, "ben/events.tsv", "\n".join([BORIS, *("\t".join(e) for e in EVENTS)])))
    assert (found.coder, found.clip, found.person_id) == ("ben", "talk", 1)
    assert (found.labels, found.peaks) == (((1.0, 2.0, "happy"),), (1.8,))
    assert found.units == {"AU06": ((1.5, 2.5, "3"),)}
    [old] = read(written(tmp_path, "ben/talk.tsv", OLD))
    assert (old.clip, old.labels) == ("talk", ((1.0, 2.0, "sad"),))
    [aggregated] = read(written(tmp_path, "ben/talk.boris.csv", AGGREGATED))
    assert aggregated.labels == ((1.0, 2.5, "sad"),)


def test_tables_with_coders_clips_people_and_decimal_commas(tmp_path: Path) -> None:
    anna, ben = read(written(tmp_path, "codes.csv", TABLE))
    assert (anna.coder, anna.clip, anna.person_id, anna.labels) == ("anna", "talk", 2, ((0.0, 1.0, "sad"),))
    assert ben.units == {"AU12": ((0.0, 1.0, "C"), (1.0, 2.0, "4"))}
    [german] = read(written(tmp_path, "dora/talk.csv", "start;end;label\n0,5;1,5;happy\n"))
    assert (german.coder, german.labels) == ("dora", ((0.5, 1.5, "happy"),))
    [empty] = read(written(tmp_path, "dora/talk_2.csv", "onset,offset,label\n"))
    assert (empty.clip, empty.labels) == ("talk_2", ())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("talk.docx", "", "none of .eaf"),
        ("talk.eaf", "<a", "no ELAN file"),
        ("talk.eaf", "<other/>", "ANNOTATION_DOCUMENT"),
        ("talk.TextGrid", LONG[:300], "no whole TextGrid"),
        ("talk.TextGrid", "nothing", "no whole TextGrid"),
        ("talk.csv", "a,b\n1,2\n", "neither BORIS"),
        ("talk.csv", "onset,offset,label\n1,x,sad\n", "line 2: 'x' is no time"),
        ("talk.csv", "onset,offset,label\n2,1,sad\n", "line 2: from 2.0 s to 1.0 s"),
        ("talk.csv", "onset,offset,label\nnan,1,sad\n", "no stretch of time"),
        ("talk.csv", "onset,offset,label,person\n0,1,sad,Kim\n0,1,happy,Lee\n", "several people"),
        ("talk.tsv", BORIS + "\n" + "\t".join(EVENTS[0]), "happy begins and never stops"),
        ("talk.tsv", BORIS + "\n" + "\t".join(EVENTS[2]), "line 2: happy has STOP out of turn"),
        ("talk.json", "{}", "no result"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(written(tmp_path, name, text))


def test_a_tier_has_to_be_chosen_where_several_could_hold_labels(tmp_path: Path) -> None:
    path = written(tmp_path, "talk.TextGrid", LONG.replace('"apex"', '"gaze"'))
    with pytest.raises(InputError, match="mood, gaze"):
        read(path)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored result, and its exports."""
    folder = tmp_path_factory.mktemp("results")
    document = analysis_document(Analyzer.load("rules").analyze(CLIP))
    written(folder, "ours/smile.mp4.emotion.json", document.model_dump_json())
    stored = AnalysisDocument.model_validate_json(document.model_dump_json())
    export([("smile.mp4", stored)], ("eaf", "textgrid", "boris"), folder / "exports")
    return folder


def test_our_own_exports_come_back_as_the_result(results: Path) -> None:
    [ours] = read_codings([results / "ours"])
    assert (ours.coder, ours.clip, ours.is_main) == (MACHINE, "smile", True)
    assert ours.curves is not None
    assert ours.curves[1].shape == (len(ours.curves[0]), len(ours.units))
    # `analyze --out results/ --export ...` leaves both in one folder, where each clip was coded twice.
    [again] = [one for one in read_codings([results]) if one.is_main]
    assert again.labels == ours.labels
    for suffix in ("eaf", "TextGrid", "boris.csv"):
        [found] = read_codings([results / "exports" / f"smile.mp4.{suffix}"], clips=["smile"])
        assert (found.coder, found.clip, found.person_id) == ("exports", "smile", ours.person_id)
        assert [label for *_, label in found.labels] == [label for *_, label in ours.labels]
        shown = {unit: spans for unit, spans in ours.units.items() if spans}
        assert found.units.keys() == shown.keys()
        for unit, spans in found.units.items():
            assert [span[2] for span in spans] == [span[2] for span in shown[unit]]
            assert all(
                abs(a - b) < 1e-3
                for s, t in zip(spans, shown[unit], strict=True)
                for a, b in zip(s[:2], t[:2], strict=True)
            )


def test_the_verb_prints_within_80_columns_and_writes_table_and_page(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for coder in ("anna", "ben"):
        written(tmp_path, f"{coder}/smile.csv", "onset,offset,label\n0,1.0,joy\n1.0,2.0,neutral\n0.5,1.2,AU12B\n")
    table, page = tmp_path / "a.csv", tmp_path / "a.html"
    code = main(["agree", str(tmp_path / "anna"), str(tmp_path / "ben"), str(results / "ours"),
                 "--csv", str(table), "--html", str(page), "--map", "joy=happy", "--tier", "label"])  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert max(map(len, printed.splitlines())) <= 80
    printed = " ".join(printed.split())
    assert "human-machine" in printed
    assert "1 clip, which gives no intervals" in printed
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert any((r["figure"], r["between"], r["value"]) == ("Cohen's kappa", "human-human", "1.0") for r in rows)
    assert any(r["of"] == "AU12" and r["figure"] == "ICC(2,1)" and r["between"] == "human-machine" for r in rows)
    assert any(r["section"] == "confusion" and r["of"] == "happy > happy" for r in rows)
    html = page.read_text(encoding="utf-8")
    assert "anna &amp; machine" in html
    assert "Human-human" in html
    assert "<script" not in html


def test_differences_with_intervals_fit_into_80_columns(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Differences below nought were cut off at their end: "-0.14 [-.15, -.…"."""
    ours = (results / "ours" / "smile.mp4.emotion.json").read_text(encoding="utf-8")
    for clip in ("smile", "other"):
        written(tmp_path, f"ours/{clip}.mp4.emotion.json", ours.replace("smile.mp4", f"{clip}.mp4"))
        for coder, end in (("anna", 1.5), ("ben", 1.6)):
            written(tmp_path, f"{coder}/{clip}.csv", f"onset,offset,label\n0,{end},AU12E\n{end},6,AU12A\n0,6,joy\n")
    assert main(["agree", *(str(tmp_path / name) for name in ("anna", "ben", "ours"))]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"AU12 ICC\(2,1\) .* -\.\d\d \[-\.\d\d, -\.\d\d\]$", printed, re.M), printed


def test_the_verb_wants_humans_and_ours(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", str(results / "ours")]) == 1
    assert main(["agree", str(results / "exports"), str(results / "ours"), "--map", "joy"]) == 1
    assert "--map takes WORD=LABEL" in capsys.readouterr().err
