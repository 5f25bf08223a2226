"""The terminal text: never wider than asked, whatever the names and words are."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from emotion_llama.errors import InputError
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.report import console as consoles
from emotion_llama.report import terminal
from emotion_llama.results import Analysis, Prediction

ANSI = re.compile(r"\x1b\[[0-9;]*m")
HARD_NAMES = {
    "long": "a_very_long_name_" * 12 + ".mp4",
    "wide": "感情の分析のための長い動画ファイルの名前" * 4 + ".mp4",
    "mixed": "ë́motion 🙂 видео " * 9 + ".mkv",
    "control": "a\tb\nc\x1b[2Jd.mp4",
    "undecodable": "caf\udce9.mp4",
    "short": "a.mp4",
}
WORDS = "これはとても長い台詞です。" * 12 + " Donaudampfschifffahrtsgesellschaftskapitän" * 3


def _hard(analysis: Analysis, name: str) -> Analysis:
    person = analysis.people[0]
    transcript = Transcript((TranscriptLine(WORDS),), HARD_NAMES[name])
    segments = tuple(
        dataclasses.replace(
            s,
            evidence=dataclasses.replace(s.evidence, transcript=transcript),
        )
        for s in person.segments
    )
    people = (dataclasses.replace(person, segments=segments, why=WORDS), *analysis.people[1:])
    clip = dataclasses.replace(analysis.clip, path=Path("/data") / HARD_NAMES[name])
    return dataclasses.replace(analysis, clip=clip, people=people, warnings=(WORDS,))


@pytest.mark.parametrize("name", HARD_NAMES)
@pytest.mark.parametrize("width", [40, 57, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_asked(two_people: Analysis, name: str, width: int, encoding: str) -> None:
    hard = _hard(two_people, name)
    shown = terminal.render_terminal(hard, width=width, colour=True, encoding=encoding)
    lines = ANSI.sub("", shown).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert "\x1b" not in ANSI.sub("", shown)
    shown.encode(encoding)
    line = terminal.render_line(hard, width=width, encoding=encoding)
    assert cell_len(line) <= width
    assert "\n" not in line


def test_bars_use_the_whole_width(one_person: Analysis) -> None:
    lines = terminal.render_terminal(one_person, width=80).splitlines()
    (happy,) = [line for line in lines if line.startswith("  happy")]
    assert cell_len(happy) == 79
    # 80 columns less 2 + 8 of the name, 2 + 2 around the bar, 5 of the number and 1 at the end: 60; 71 % is 42.6.
    assert happy == "  happy     " + "█" * 42 + "▋" + " " * 17 + "   71 %"


def test_terminal_says_what_the_page_says_first(one_person: Analysis) -> None:
    shown = terminal.render_terminal(one_person)
    lines = shown.splitlines()
    assert lines[:5] == [
        "talk.mp4", "6.00 s · 1280 × 720 px, 25 fps · audio 48000 Hz", "", "Predicted: happy · 71 %",
        "Next is surprise with 12 %: a clear lead.",
    ]  # fmt: skip
    flat = " ".join(shown.split())
    for words in (
        "without a learned model",
        "Person 1 (main person)",
        "Face held: AU12 lip corner puller 2.9, AU06 cheek raiser 1.9",
        "; peak at 2.60 s",
        "Voice high-pitched, lively, fast voice (median pitch 205 Hz; pitch range 6.2 semitones",
        "Transcript “Oh! What a lovely surprise",
        "For happy Face cheek raiser (AU06) 2.2 of 5 (sad −0.6) happy +1.4",
        "For other labels Face lips part (AU25) 1.5 of 5 surprise +0.4",
        "Could not be measured Tremor, pitch modulation at 3–10 Hz: no steady voiced run of 0.5 s.",
    ):
        assert words in flat
    assert "\u00a0" not in shown
    assert shown.endswith("\n")
    assert not any(line.endswith(" ") for line in lines)


def test_segments_become_a_table(two_people: Analysis) -> None:
    shown = terminal.render_terminal(two_people)
    assert "  0.00 – 4.00 s   happy 71 %     AU12 3.2, AU06 2.1, AU25 1.4  “Oh!" in shown
    assert "  4.00 – 8.00 s   no answer\n" in shown
    assert "  Most probable segment  0.00 – 4.00 s: Predicted: happy · 71 %\n" in shown
    assert "Warnings\n  3 frames could not be decoded and were left out.\n" in shown


def test_many_people_and_segments(make_long: Callable[..., Analysis]) -> None:
    shown = terminal.render_terminal(make_long(60.0, people=9))
    assert max(cell_len(line) for line in shown.splitlines()) <= 80
    assert re.findall(r"^Person \d", shown, re.M) == [f"Person {n}" for n in range(1, 10)]


def test_an_hour_without_an_answer_is_one_row(silent_hour: Analysis) -> None:
    shown = terminal.render_terminal(silent_hour).replace("\u00a0", " ")
    assert "  0.00 s – 1:00:00  no answer  1800 segments\n" in shown
    assert "Neighbours with the same label share a row" in shown
    assert len(shown.splitlines()) < 25


def test_cues_against_the_answer_come_apart(two_people: Analysis) -> None:
    second = dataclasses.replace(two_people, people=two_people.people[1:])
    flat = " ".join(terminal.render_terminal(second).split())
    assert "Against sad Face cheek raiser (AU06) 2.2 of 5 (happy +1.4) sad −0.6" in flat


def test_no_answer(no_answer: Analysis) -> None:
    shown = terminal.render_terminal(no_answer)
    assert "No answer\nNo evidence: no face, no voice, no words.\n" in shown
    assert "%" not in shown
    assert "    Transcript: no subtitle was given and there is none beside the file.\n" in shown


def test_nobody_and_no_segment(one_person: Analysis) -> None:
    assert "No person was found." in terminal.render_terminal(dataclasses.replace(one_person, people=()))
    empty = dataclasses.replace(one_person.people[0], segments=())
    assert "No segment was analysed." in terminal.render_terminal(dataclasses.replace(one_person, people=(empty,)))


def test_label_without_probabilities_draws_no_bar(one_person: Analysis) -> None:
    segment = one_person.people[0].segments[0]
    prediction = dataclasses.replace(segment.prediction, probabilities=None, cues=())
    person = dataclasses.replace(one_person.people[0], segments=(dataclasses.replace(segment, prediction=prediction),))
    shown = terminal.render_terminal(dataclasses.replace(one_person, people=(person,)))
    assert "Predicted: happy\nThe model gave no probability for its answer.\n" in shown
    assert "█" not in shown


def test_ascii_has_the_same_content(one_person: Analysis) -> None:
    shown = terminal.render_terminal(one_person, encoding="latin-1")
    assert shown.isascii()
    assert "Predicted: happy - 71 %" in shown
    assert 'Transcript  "Oh! What a lovely surprise' in shown
    assert "cheek raiser (AU06) 2.2 of 5 (sad -0.6) " in shown
    assert "#" * 43 in shown  # 71 % of 60 columns


def test_colour_changes_nothing_but_colour(one_person: Analysis) -> None:
    coloured = terminal.render_terminal(one_person, colour=True)
    assert "\x1b[1mPredicted: happy" in coloured
    plain = terminal.render_terminal(one_person)
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


def test_too_narrow(one_person: Analysis) -> None:
    with pytest.raises(InputError, match="at least 40 columns, got 39"):
        terminal.render_terminal(one_person, width=39)


def test_line_keeps_both_ends_of_the_name(one_person: Analysis) -> None:
    assert terminal.render_line(one_person).startswith("talk.mp4  Predicted: happy · 71 %  ")
    clip = dataclasses.replace(one_person.clip, path=Path("x" * 50 + "end.mp4"))
    line = terminal.render_line(dataclasses.replace(one_person, clip=clip), width=44)
    # 44 less the headline's 23 and two spaces: 19 columns for the name.
    assert line == "x" * 9 + "…" + "xx" + "end.mp4" + "  Predicted: happy · 71 %"


@pytest.mark.parametrize(("terminal_like", "has_codes"), [(True, True), (False, False)])
def test_printing_to_a_console(one_person: Analysis, terminal_like: bool, has_codes: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal_like, color_system="standard", legacy_windows=False)
    terminal.print_analysis(one_person, console)
    terminal.print_line(one_person, console)
    written = file.getvalue()
    assert ("\x1b[" in written) is has_codes
    lines = [line.rstrip() for line in ANSI.sub("", written).splitlines()]
    assert lines[:-1] == terminal.render_terminal(one_person).splitlines()
    assert lines[-1] == terminal.render_line(one_person)


@pytest.mark.parametrize(
    ("encoding", "unicode"),
    [
        ("utf-8", True),
        ("UTF8", True),
        ("utf-16", True),
        ("ascii", False),
        ("cp1252", False),
        ("no-such", False),
        (None, False),
    ],
)
def test_encodings(encoding: str | None, unicode: bool) -> None:
    assert consoles.is_unicode(encoding) is unicode


def _printout(encoding: str = "utf-8") -> consoles.Printout:
    return consoles.Printout(40, colour=False, encoding=encoding)


def test_paragraphs_are_wrapped_behind_their_label_and_long_words_broken() -> None:
    out = _printout()
    out.paragraph("ab " + "c" * 40, "  label: ")
    out.paragraph("動画" * 20, "  ", indent=4)
    out.paragraph("")
    assert out.text().splitlines() == [
        "  label: ab", " " * 9 + "c" * 31, " " * 9 + "c" * 9,
        "  " + "動画" * 9, "    " + "動画" * 9, "    " + "動画" * 2, "",
    ]  # fmt: skip


def test_crop_counts_wide_characters_as_two() -> None:
    unicode, plain = _printout(), _printout("ascii")
    assert unicode.crop("動画動画", 5) == "動画…"
    assert unicode.crop("abc", 3) == "abc"
    assert plain.crop("abcdef", 4) == "a..."
    assert plain.crop("abcdef", 2) == ".."
    assert unicode.crop_middle("abcdefghij", 5) == "ab…ij"
    assert unicode.crop_middle("abcdefghij", 2) == "a…"


def test_numbers_stand_below_their_headers() -> None:
    out = _printout()
    out.numbers("Title", ("done", "left"), [("first", "1", "20"), (("a long, long name", "bold"), "3")], name_width=14)
    assert out.text().splitlines() == [
        "Title               done      left",
        "  first                1        20",
        "  a long, lon…         3",
    ]


def test_line_has_what_supports_the_answer_or_why_there_is_none(one_person: Analysis) -> None:
    segment = one_person.people[0].segments[0]
    assert "  AU12 2.9, AU06 1.9, AU25 1.4; " in terminal.render_line(one_person, width=120)
    silent = Prediction(None, None, "", "", "rules", problem="no evidence: no face, no voice, no words")
    person = dataclasses.replace(one_person.people[0], segments=(dataclasses.replace(segment, prediction=silent),))
    nothing = dataclasses.replace(one_person, people=(person,))
    assert terminal.render_line(nothing) == "talk.mp4  No answer  no evidence: no face, no voice, no words"
