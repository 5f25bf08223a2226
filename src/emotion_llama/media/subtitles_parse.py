"""Cues of SubRip, WebVTT and SubStation Alpha: times and raw text; what cannot be read is listed with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

TIMING_EXAMPLE = "'00:01:02,500 --> 00:01:04,000'"

_TIME = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
_SRT_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
# WebVTT counts the digits, and its blanks are these three. A decimal comma is accepted: it is SubRip's.
_VTT_TIME = r"(?:(\d+):)?([0-5]\d):([0-5]\d)[.,](\d{3})"
_VTT_TIMING = re.compile(rf"[ \t\f]*{_VTT_TIME}[ \t\f]*-->[ \t\f]*{_VTT_TIME}(?!\d).*")
# A line that can only be meant as one: two times with hours or fractions and at most signs between them.
_STAMP = r"\d+:[0-5]?\d(?::[0-5]?\d(?:[.,]\d{1,3})?|[.,]\d{1,3})"
_WRONG_ARROW = re.compile(rf"\s*{_STAMP}[\W_]{{1,8}}{_STAMP}(?:\s.*)?")
_ARROW = re.compile(r"\s*-?\s*\d[\d:.,\s]*-->|.*\d:\d.*-->|.*-->.*\d:\d")
_VTT_ASIDE = re.compile(r"NOTE([ \t]|$)|(STYLE|REGION)[ \t]*$|REGION:")
_VTT_SIGNATURE = re.compile(r"WEBVTT([ \t]|$)")
_VTT_LANGUAGE = re.compile(r"Language:\s*([A-Za-z]{2,3}(?:-\w+)*)\s*$")
_ASS_FIELDS = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
_ASS_TIME = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d)[.,:](\d{1,3})")
# Styles of what is written on the picture, and of songs.
_ASS_ASIDE = re.compile(r"\b(signs?|titles?|songs?|karaoke|lyrics?|op|ed|credits?|notes?|tl)\b|^(op|ed|sign)", re.I)


class Cue(NamedTuple):
    """One cue; its text has a line feed between lines, and a name between two NUL before what that person says."""

    start_seconds: float
    end_seconds: float
    text: str


class Cues(NamedTuple):
    """The cues in the order of the file.

    Attributes:
        cues: those that could be read.
        bad: one line of reason for each that could not.
        asides: number of cues that the file itself sets apart: comments, signs, songs.
        language: tag that the file states.
    """

    cues: list[Cue]
    bad: list[str]
    asides: int = 0
    language: str | None = None


def lines_of(text: str) -> list[str]:
    """The lines of a text; only CR LF, LF and CR end one, and NUL becomes U+FFFD, as WebVTT has it."""
    return re.split(r"\r\n|\r|\n", text.replace("\0", "\ufffd"))


def parse_cues(text: str) -> Cues | None:
    """Cues of a SubRip or WebVTT file; None where it has neither times nor a signature."""
    lines = lines_of(text)
    if _VTT_SIGNATURE.match(lines[0]):
        header = next((i for i, line in enumerate(lines) if i and (not line or "-->" in line)), len(lines))
        stated = next((match[1] for line in lines[1:header] if (match := _VTT_LANGUAGE.match(line))), None)
        return _read(lines, _vtt_cues(lines, header), _VTT_TIMING)._replace(language=stated)
    starts = [i for i, line in enumerate(lines) if _ARROW.match(line) or _WRONG_ARROW.fullmatch(line)]
    return _read(lines, _srt_cues(lines, starts), _SRT_TIMING) if starts or not text.strip() else None


def parse_ass(text: str) -> Cues:
    """Cues of a SubStation Alpha file (.ass, .ssa)."""
    found, fields = Cues([], []), _ASS_FIELDS
    asides = 0
    for number, line in enumerate(lines_of(text), 1):
        key, _, value = (part.strip() for part in line.partition(":"))
        if key.lower() == "format" and "text" in value.lower():
            fields = [name.strip().lower() for name in value.split(",")]
        asides += key.lower() == "comment"
        if key.lower() != "dialogue":
            continue
        cells = dict(zip(fields, (cell.strip() for cell in value.split(",", len(fields) - 1))))
        start, end = (_ASS_TIME.fullmatch(cells.get(name, "")) for name in ("start", "end"))
        if start is None or end is None or "text" not in cells:
            found.bad.append(f"line {number}: {line.strip()[:60]!r} is no event with two times")
            continue
        if is_aside(cells.get("style", "")):
            asides += 1
            continue
        said = named(cells["text"], cells.get("name", "") or cells.get("actor", ""))
        _add(found, number, _seconds(*start.groups()), _seconds(*end.groups()), said)
    return found._replace(asides=asides)


def is_aside(style: str) -> bool:
    """Whether a style of SubStation Alpha is for signs or songs, by its name."""
    return _ASS_ASIDE.search(style.replace("_", " ")) is not None


def named(text: str, speaker: str) -> str:
    """The text of a cue with its speaker in front."""
    return f"\0{speaker}\0{text}" if speaker else text


Block = tuple[int, list[str]]  # index of a line with times, and the lines below it


def _srt_cues(lines: list[str], starts: list[int]) -> Iterator[Block]:
    """Blank lines do not end a cue; the next one's times do, and the number above them."""
    for at, following in zip(starts, [*starts[1:], len(lines)]):
        has_number = following < len(lines) and following - 1 > at and lines[following - 1].strip().isdigit()
        yield at, lines[at + 1 : following - has_number]


def _vtt_cues(lines: list[str], index: int) -> Iterator[Block]:
    """By WebVTT's rules, but that text behind a blank line stays with its cue, and comments hold no cue."""
    cue: Block | None = None
    while index < len(lines):
        if not lines[index]:
            index += 1
            continue
        if _VTT_ASIDE.match(lines[index]):
            index = next((i for i in range(index, len(lines)) if not lines[i]), len(lines))
            continue
        at = next((i for i in (index, index + 1) if i < len(lines) and _is_timing(lines[i])), None)
        begin = end = index if at is None else at + 1
        while end < len(lines) and lines[end] and not _is_timing(lines[end]):
            end += 1
        text = lines[begin:end]
        if end < len(lines) and lines[end] and text and text[-1].strip().isdigit():
            text.pop()  # the number of a cue that follows without a blank line
        if at is not None:
            if cue is not None:
                yield cue
            cue = (at, text)
        elif cue is not None and not all(line.strip().isdigit() for line in text):
            cue[1].extend(text)
        index = max(end, index + 1)
    if cue is not None:
        yield cue


def _is_timing(line: str) -> bool:
    return "-->" in line or _WRONG_ARROW.fullmatch(line) is not None


def _read(lines: list[str], blocks: Iterator[Block], timing: re.Pattern[str]) -> Cues:
    found = Cues([], [])
    for index, text in blocks:
        match = timing.fullmatch(lines[index])
        if match is None:
            found.bad.append(f"line {index + 1}: {lines[index].strip()[:60]!r} is no time span")
        else:
            times = match.groups()
            _add(found, index + 1, _seconds(*times[:4]), _seconds(*times[4:]), "\n".join(text))
    return found


def _add(found: Cues, number: int, start: float, end: float, text: str) -> None:
    if end < start:
        found.bad.append(f"line {number}: the cue ends ({end:g} s) before it starts ({start:g} s)")
    else:
        found.cues.append(Cue(start, end, text))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return whole + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)
