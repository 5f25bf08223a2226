"""Read what was said from a side file: .srt and .vtt subtitles, .csv and .tsv tables of many clips, plain .txt."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.media.text_file import read_text
from emotion_llama.media.transcript_table import find_sentence
from emotion_llama.records import Transcript, TranscriptLine

SIDECAR_SUFFIXES = (".srt", ".vtt")

_TIME = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
# A line that can only be meant as one: two times with hours or fractions and at most signs between them.
_STAMP = r"\d+:[0-5]?\d(?::[0-5]?\d(?:[.,]\d{1,3})?|[.,]\d{1,3})"
_WRONG_ARROW = re.compile(rf"\s*{_STAMP}[\W_]{{1,8}}{_STAMP}(?:\s.*)?")
_BLOCK = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
# Only what begins like a tag, so that "x < y" and ":<" stay: <i>, </font>, <c.red>, <00:01.000>, {\an8}
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)


def read_subtitles(
    path: str | os.PathLike[str], *, clip_name: str | None = None, encoding: str | None = None
) -> Transcript:
    """Read a subtitle file, a table of transcripts, or plain text; its suffix says which.

    - `.srt`, `.vtt`: cues by start time, without markup. Cues may overlap; empty ones are dropped, and a cue that
      repeats the text of the one before it without a pause prolongs it. `<v Name>` gives the speaker.
    - `.csv`, `.tsv`: the row whose name column is `clip_name`, with or without the clip's suffix (columns: see
      `transcript_table`); a table with one row needs no name. An empty cell means that nothing was said.
    - `.txt`: each line that is not blank, without times.

    A file that holds no cue, or a blank one, gives a transcript without lines: nothing was said.

    Args:
        path: the side file.
        clip_name: the clip's name in a table.
        encoding: of the file; by default its byte order mark decides, then UTF-8, then Windows-1252.

    Raises:
        InputError: the file cannot be read or has another suffix, its letters are of an encoding that is not named,
            a time stamp is malformed (file and line are named), or a table has no such row or columns (the nearest
            names are named).
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: transcripts are read from {', '.join(_READERS)} files, not from {path.suffix!r}")
    lines, language = reader(_Source(path, encoding, clip_name))
    return Transcript(tuple(lines), path.name, language or _language_of(path))


def find_sidecar(media_path: str | os.PathLike[str]) -> Path | None:
    """The subtitle file beside a media file, or None: `talk.srt`, `talk.vtt`, then `talk.en.srt`, for `talk.mp4`.

    Names are compared without regard to case. Between a name and its suffix only a language tag may stand; of several
    languages, English comes first, then the alphabet.
    """
    media_path = Path(media_path)
    stem = media_path.stem.lower()
    found = []
    try:
        names = os.listdir(media_path.parent)  # noqa: PTH208 (names are enough, and a folder may hold thousands)
    except OSError:
        return None
    for name in names:
        front, suffix = os.path.splitext(name.lower())  # noqa: PTH122
        if suffix not in SIDECAR_SUFFIXES or not front.startswith(stem):
            continue
        tag = front[len(stem) :]
        if not tag or (tag[0] == "." and _LANGUAGE_TAG.fullmatch(tag[1:])):
            found.append((tag != "", not tag.startswith(".en"), tag, SIDECAR_SUFFIXES.index(suffix), name))
    return media_path.parent / min(found)[-1] if found else None


class _Source(NamedTuple):
    path: Path
    encoding: str | None
    clip_name: str | None


class _Read(NamedTuple):
    lines: list[TranscriptLine]
    language: str | None


def _language_of(path: Path) -> str | None:
    """Language tag before the suffix: "en" for talk.en.srt."""
    tag = Path(path.stem).suffix[1:]
    return tag.lower() if path.suffix.lower() in SIDECAR_SUFFIXES and _LANGUAGE_TAG.fullmatch(tag) else None


def _read_cues(source: _Source) -> _Read:
    text = read_text(source.path, source.encoding)
    lines = text.splitlines()
    if text.strip() and not text.startswith("WEBVTT") and not any(map(_is_timing, lines)):
        raise InputError(f"{source.path}: no line with '-->' came; a subtitle file with times was expected")
    found: list[TranscriptLine] = []
    for number, block in _blocks(lines):
        found.append(_cue(source.path, number, lines[number], block))
    found.sort(key=lambda line: line.start_seconds or 0.0)
    joined: list[TranscriptLine] = []
    for line in found:
        if not line.text:
            continue
        if joined and _prolongs(joined[-1], line):
            end = max(joined[-1].end_seconds or 0.0, line.end_seconds or 0.0)
            joined[-1] = TranscriptLine(line.text, joined[-1].start_seconds, end, line.speaker)
        else:
            joined.append(line)
    return _Read(joined, None)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(index of the timing line, text lines below it) of each cue; notes, styles and regions are passed over."""
    index = 0
    while index < len(lines):
        if _BLOCK.match(lines[index]) and (index == 0 or not lines[index - 1].strip()):
            while index < len(lines) and lines[index].strip():
                index += 1
        elif _is_timing(lines[index]):
            end = index + 1
            while end < len(lines) and lines[end].strip() and not _begins_cue(lines, end):
                end += 1
            yield index, lines[index + 1 : end]
            index = end
        else:
            index += 1


def _begins_cue(lines: list[str], index: int) -> bool:
    """Whether a cue begins here without a blank line before it: a timing line, or a number above one."""
    following = lines[index + 1] if index + 1 < len(lines) else ""
    return _is_timing(lines[index]) or (lines[index].strip().isdigit() and _is_timing(following))


def _is_timing(line: str) -> bool:
    """Whether the line is meant as a cue's times, well written or not."""
    return "-->" in line or _WRONG_ARROW.fullmatch(line) is not None


def _cue(path: Path, index: int, timing: str, text_lines: list[str]) -> TranscriptLine:
    match = _TIMING.fullmatch(timing)
    if match is None:
        raise InputError(
            f"{path}, line {index + 1}: {timing.strip()!r} is no time span; expected such as "
            "'00:01:02,500 --> 00:01:04,000'"
        )
    start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
    if end < start:
        raise InputError(f"{path}, line {index + 1}: the cue ends ({end:g} s) before it starts ({start:g} s)")
    text = " ".join(text_lines)
    speaker = _VOICE.search(text)
    plain = " ".join(html.unescape(_TAG.sub("", text)).split())
    return TranscriptLine(plain, start, end, speaker.group(1).strip() if speaker else None)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return whole + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)


def _prolongs(before: TranscriptLine, line: TranscriptLine) -> bool:
    same = before.text == line.text and before.speaker == line.speaker
    return same and (line.start_seconds or 0.0) <= (before.end_seconds or 0.0)


def _read_table(source: _Source) -> _Read:
    text, language = find_sentence(source.path, source.clip_name, source.encoding)
    return _Read([TranscriptLine(text)] if text else [], language)


def _read_plain(source: _Source) -> _Read:
    lines = read_text(source.path, source.encoding).splitlines()
    return _Read([TranscriptLine(" ".join(line.split())) for line in lines if line.strip()], None)


_READERS: dict[str, Callable[[_Source], _Read]] = {
    ".srt": _read_cues,
    ".vtt": _read_cues,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".txt": _read_plain,
}
