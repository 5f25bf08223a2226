"""What is said in a clip, from a subtitle file, a table of many clips, plain text, or a track of the media file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.media.subtitles_parse import TIMING_EXAMPLE, Cues, lines_of, parse_ass, parse_cues
from emotion_llama.media.subtitles_text import said
from emotion_llama.media.text_file import read_text
from emotion_llama.media.transcript_table import find_sentence
from emotion_llama.records import Transcript, TranscriptLine

SIDECAR_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
TRANSCRIPT_SUFFIXES = (*SIDECAR_SUFFIXES, ".csv", ".tsv", ".txt")

# ISO 639-1 <- the other names that files carry.
_LANGUAGES = {
    name: names.split()[0]
    for names in (
        "en eng english", "de ger deu german deutsch", "nl dut nld dutch", "da dan danish", "sv swe swedish",
        "no nor nb nob norwegian", "fi fin finnish", "fr fre fra french", "es spa spanish", "it ita italian",
        "pt por portuguese", "pl pol polish", "cs cze ces czech", "hu hun hungarian", "ro rum ron romanian",
        "tr tur turkish", "ru rus russian", "uk ukr ukrainian", "el gre ell greek", "ar ara arabic", "he heb hebrew",
        "zh chi zho chinese chs cht", "ja jpn japanese", "ko kor korean", "hin hindi", "vi vie vietnamese",
    )
    for name in names.split()
}  # fmt: skip
_KINDS = frozenset({"sdh", "cc", "hi", "forced", "default", "full"})
# What is said of those that hold more or less than what the person says.
_MARKS = {
    "forced": "forced: only some lines", "sdh": "sdh: for people who hear badly", "cc": "cc: for people who hear badly",
    "hi": "hi: for people who hear badly",
}  # fmt: skip
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)
_MOST = 0.5  # of the cues outside the clip, from which on an offset is suspected


def read_subtitles(
    path: str | os.PathLike[str],
    *,
    clip_name: str | None = None,
    encoding: str | None = None,
    duration_seconds: float | None = None,
) -> Transcript:
    """Read a subtitle file, a table of transcripts, or plain text; its suffix says which.

    - `.srt`, `.vtt`, `.ass`, `.ssa`: what is said, by start time: without markup, sounds in brackets, songs, adverts
      and repeats of rolling captions. Cues may overlap; a cue that repeats the one before it without a pause prolongs
      it. `<v Name>`, `NAME:` and an event's name give the speaker. A cue that cannot be read is passed over.
    - `.csv`, `.tsv`: the row whose name column is `clip_name`, with or without the clip's suffix (columns: see
      `transcript_table`); a table with one row needs no name. An empty cell means that nothing was said.
    - `.txt`: each line that is not blank, without times.

    A file that holds no cue, or a blank one, gives a transcript without lines: nothing was said. The transcript's notes
    say what was not taken, and what was assumed.

    Args:
        path: the side file.
        clip_name: the clip's name in a table.
        encoding: of the file; by default as `text_file.read_text` finds it.
        duration_seconds: of the clip; cues outside it are not taken.

    Raises:
        InputError: the file cannot be read or has another suffix, its letters are of an encoding that is not named,
            none of its cues can be read (the first is named), or a table has no such row or columns (the nearest names
            are named).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    notes: list[str] = []
    if suffix in SIDECAR_SUFFIXES:
        text = read_text(path, encoding, notes.append)
        cues = parse_ass(text) if suffix in (".ass", ".ssa") else parse_cues(text)
        if cues is None:
            raise InputError(f"{path}: no line with '-->' came; a subtitle file with times was expected")
        if cues.bad and not cues.cues:
            raise InputError(f"{path}, {cues.bad[0]}; expected such as {TIMING_EXAMPLE}")
        language, kinds = _tags_of(path, clip_name)
        words = _transcript(cues, path.name, language or cues.language, duration_seconds, notes)
        marks = [text for kind, text in _MARKS.items() if kind in kinds]
        return replace(words, source=f"{path.name} ({', '.join(marks)})") if marks else words
    if suffix in (".csv", ".tsv"):
        text, language, table_notes = find_sentence(path, clip_name, encoding)
        return Transcript((TranscriptLine(text),) if text else (), path.name, language, table_notes)
    if suffix == ".txt":
        texts = (" ".join(line.split()) for line in lines_of(read_text(path, encoding, notes.append)))
        return Transcript(tuple(TranscriptLine(line) for line in texts if line), path.name, None, tuple(notes))
    raise InputError(f"{path}: transcripts are read from {', '.join(TRANSCRIPT_SUFFIXES)} files, not from {suffix!r}")


def read_embedded(
    path: Path, *, number: int | None = None, zero_seconds: float = 0.0, duration_seconds: float | None = None
) -> Transcript | list[str]:
    """What is said by a text track inside a media file; where none can be read, a line for each track that is there.

    Args:
        path: the media file.
        number: which of its subtitle tracks, from 1; None chooses (see `subtitles_tracks.read_track`).
        zero_seconds: the container's time of the clip's beginning.
        duration_seconds: of the clip; cues outside it are not taken.

    Raises:
        InputError: there is no such track, or it holds images.
        MediaError: the file cannot be opened.
    """
    from emotion_llama.media.subtitles_tracks import read_track

    cues, source, language, notes = read_track(path, number, zero_seconds)
    return notes if cues is None else _transcript(cues, source, _canonical(language), duration_seconds, notes)


def find_sidecars(media_path: str | os.PathLike[str]) -> list[Path]:
    """The subtitle files beside a media file, best first: for `talk.mp4`, `talk.srt`, then `talk.en.srt`.

    Names are compared without regard to case. Between a name and its suffix only a language and kinds may stand, behind
    `.`, `_` or `-`: `talk.eng.sdh.srt`, `talk_en.srt`. Of several, one without a language comes first, then English,
    then the alphabet; those marked `forced` hold only some lines and come last.
    """
    media_path = Path(media_path)
    stem = media_path.stem.lower()
    found = []
    try:
        names = os.listdir(media_path.parent)  # noqa: PTH208 (names are enough, and a folder may hold thousands)
    except OSError:
        return []
    for name in names:
        front, suffix = os.path.splitext(name.lower())  # noqa: PTH122
        if suffix not in SIDECAR_SUFFIXES or not front.startswith(stem):
            continue
        tags = _tags(front[len(stem) :])
        if tags is not None:
            language, kinds = tags
            is_other = language is not None and not language.startswith("en")
            rank = ("forced" in kinds, language is not None, is_other, language or "", len(kinds), front)
            found.append((*rank, SIDECAR_SUFFIXES.index(suffix), name))
    return [media_path.parent / one[-1] for one in sorted(found)]


def _tags(rest: str) -> tuple[str | None, frozenset[str]] | None:
    """Language and kinds that stand behind a media file's name; None where something else does.

    Behind a point any two or three letters are a language; behind other signs only those that are known.
    """
    language, kinds = None, set()
    for sign, tag in re.findall(r"([._ -]?)([^._ ]*)", rest.lower().replace("-", "_", rest[:1] == "-")):
        if not sign and not tag:
            continue
        known = _canonical(tag)
        if tag in _KINDS:
            kinds.add(tag)
        elif language is None and sign and (tag in _LANGUAGES or _is_tag(tag, sign)):
            language = known
        else:
            return None
    return language, frozenset(kinds)


def _is_tag(tag: str, sign: str) -> bool:
    return _LANGUAGE_TAG.fullmatch(tag) is not None and (sign == "." or tag.partition("-")[0] in _LANGUAGES)


def _canonical(tag: str | None) -> str | None:
    """A language's tag in its usual form: "en" for "eng" and "English"."""
    if tag is None:
        return None
    first, sign, rest = tag.lower().partition("-")
    return _LANGUAGES.get(first, first) + sign + rest


def _tags_of(path: Path, clip_name: str | None) -> tuple[str | None, frozenset[str]]:
    """Language and kinds that a file's name states: "en" for talk.en.srt, and for talk_eng.sdh.srt beside talk.mp4."""
    stem = path.stem
    if clip_name and stem.lower().startswith(clip_name.lower()):
        return _tags(stem[len(clip_name) :]) or (None, frozenset())
    parts, kinds = stem.lower().split("."), set()
    while len(parts) > 1 and parts[-1] in _KINDS:
        kinds.add(parts.pop())
    tag = parts[-1] if len(parts) > 1 else ""
    return _canonical(tag) if tag in _LANGUAGES or _is_tag(tag, ".") else None, frozenset(kinds)


def _transcript(
    cues: Cues, source: str, language: str | None, duration_seconds: float | None, notes: Sequence[str]
) -> Transcript:
    """The words of cues within the clip, and notes on the rest."""
    lines, asides = said(cues.cues)
    asides["comment or sign"] += cues.asides
    told = list(notes)
    if cues.bad:
        told.append(f"{source}: {_count(len(cues.bad), 'cue')} could not be read ({cues.bad[0]})")
    others = [_count(number, what) for what, number in sorted(asides.items()) if number]
    if others:
        told.append(f"{source}: not taken for words: {', '.join(others)}")
    inside = [line for line in lines if _is_inside(line, duration_seconds)]
    outside = len(lines) - len(inside)
    if outside:
        told.append(f"{source}: {outside} of {len(lines)} lines lie outside the clip{_offset(lines, inside)}")
    return Transcript(tuple(inside), source, language, tuple(told))


def _is_inside(line: TranscriptLine, duration_seconds: float | None) -> bool:
    start, end = line.start_seconds or 0.0, line.end_seconds or 0.0
    return end >= 0 and (duration_seconds is None or start < duration_seconds)


def _offset(lines: Sequence[TranscriptLine], inside: Sequence[TranscriptLine]) -> str:
    if len(inside) > (1 - _MOST) * len(lines):
        return ""
    begin = lines[0].start_seconds or 0.0
    return f" (they begin at {begin:.1f} s: an offset is likely, or they are of a longer recording)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} " + " or ".join(f"{one}s" for one in what.split(" or "))
