"""What coders marked, from the files of their tools: ELAN, Praat, BORIS, tables, and our own stored results."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path, PureWindowsPath
from typing import TypeAlias
from xml.etree import ElementTree

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.agreement import MACHINE, Coding
from emotion_llama.evaluation.metrics.classification import NO_ANSWER
from emotion_llama.exports import read_result
from emotion_llama.exports.tiers import unit_episodes
from emotion_llama.files import RESULT_SUFFIX

# Coder, clip, person (each None where the file does not say), tier, start, end (seconds), text, place in the file.
Mark: TypeAlias = tuple[str | None, str | None, str | None, str, float, float, str, str]
SUFFIXES = (".eaf", ".textgrid", ".csv", ".tsv", ".json")
# Parts of a file's name that are neither the clip nor a coder.
_KINDS = re.compile(
    r"eaf|textgrid|csv|tsv|json|boris|emotion|mp4|mov|avi|mkv|webm|m4v|mpe?g|wmv|flv|wav|mp3|m4a|aac|flac|og[gv]|opus"
)
_PERSON = re.compile(r"person[ _]?(\d+)(?:_(?=.)|$)", re.IGNORECASE)
_UNIT = re.compile(r"AU[ _]?0*(\d{1,2})\s*(?:_r|_c)?[ _:]?([A-E]?)(?:_\d+)?$", re.IGNORECASE)
_LABEL = re.compile(r"(?:.*[_@ -])?(?:label|emotion|expression|affect)s?(?:[_@ -].*)?$", re.IGNORECASE)
_NOT_CODED = re.compile(r"(?:.*_)?(?:lines|words)(?:_\d+)?$|speaker_", re.IGNORECASE)  # tiers of our own exports
_PEAK = frozenset({"apex", "peak"})
_NO_LABEL = frozenset({"uncertain", "no answer"})  # of our own exports; a guess has a question mark there
_COLUMNS = {
    "onset": ("onset", "start", "start_seconds", "begin"), "offset": ("offset", "end", "end_seconds", "stop"),
    "label": ("label", "value", "emotion"), "coder": ("coder", "annotator", "rater"),
    "clip": ("clip", "file", "video"), "person": ("person", "person_id"), "intensity": ("intensity",),
}  # fmt: skip


def read_codings(given: Sequence[Path], *, clips: Sequence[str] | None = None, tier: str | None = None) -> list[Coding]:
    """The codings of files, and of all files in folders.

    A clip is the file's name without its suffixes, or what a table says. A coder is what an ELAN tier or a table says;
    else what is behind the clip in the file's name (talk.anna.eaf), else the name of a table of several clips or of the
    folder. Without `clips`, all are of `MACHINE`.

    Args:
        given: files and folders.
        clips: names of the clips that files may be of; None for our own side.
        tier: a pattern for the tiers that hold labels; by default those named label, emotion and the like.

    Raises:
        InputError: a file cannot be read, is of no known kind or says something impossible.
    """
    found: list[Coding] = []
    for path in given:
        paths = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if clips is None and path.is_dir():  # exports beside our results say the same once more
            paths = [one for one in paths if one.name.endswith(RESULT_SUFFIX)] or paths
        if not paths:
            raise InputError(f"{path} holds none of {', '.join(SUFFIXES)}; give files of coders, or their folder")
        for one in paths:
            found += _of_file(one, clips, tier)
    return found


def _of_file(path: Path, clips: Sequence[str] | None, tier: str | None) -> list[Coding]:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_result(path, None if clips is None else path.parent.name)
    readers = {".eaf": _eaf, ".textgrid": _textgrid, ".csv": _table, ".tsv": _table}
    if suffix not in readers:
        raise InputError(f"{path} is none of {', '.join(SUFFIXES)}; export it from its tool as one of these")
    try:
        marks = list(readers[suffix](path, path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    return _codings(path, marks, clips, tier)


def _codings(path: Path, marks: Sequence[Mark], clips: Sequence[str] | None, tier: str | None) -> list[Coding]:
    """The marks of one file by coder, clip and person; a file without any says that there is nothing in its clip."""
    if not marks:
        stem, rest = _clip_of(path, clips)
        return [Coding(MACHINE if clips is None else rest or path.absolute().parent.name, stem)]
    chosen = _label_tiers(path, list(dict.fromkeys(mark[3] for mark in marks)), tier)
    several = len({mark[1] for mark in marks}) > 1
    labels, units, peaks = (defaultdict(list) for _ in range(3))
    unnumbered: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for coder, clip, who, name, start, end, text, place in marks:
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
            raise InputError(
                f"{path}, {place}: from {start} s to {end} s is no stretch of time; correct it in its tool"
            )
        stem, rest = _clip_of(path if clip is None else Path(PureWindowsPath(clip).name), clips)
        by = MACHINE if clips is None else coder or (rest if clip is None else path.stem if several else None)
        by = by or path.absolute().parent.name
        number = _PERSON.match(who or name) or _PERSON.match(name)
        if number is None and who:
            unnumbered[by, stem].add(who)
        key = by, stem, int(number[1]) if number else None
        unit = _UNIT.match(_PERSON.sub("", name)) or _UNIT.match(text.strip())
        if (word := text.strip().lower()) in _PEAK or name.lower() in _PEAK:
            peaks[key].append((start + end) / 2)
        elif unit:
            strength = unit[2] or ("" if _UNIT.match(text.strip()) else text)
            units[key].append((f"AU{int(unit[1]):02d}", (start, end, strength)))
        elif name in chosen and word and end > start:
            label = NO_ANSWER if word in _NO_LABEL else text.strip().removesuffix("?")
            labels[key].append((start, end, label))
    for (_, stem), names in unnumbered.items():
        if len(names) > 1:
            raise InputError(
                f"{path} codes several people in {stem} ({', '.join(sorted(names))}); name them as our results do, "
                "person 1 and so on, or leave one"
            )
    return [
        Coding(by, stem, person, tuple(sorted(labels[by, stem, person])), _by_unit(units[by, stem, person]),
               tuple(sorted(peaks[by, stem, person])))
        for by, stem, person in dict.fromkeys([*labels, *units, *peaks])
    ]  # fmt: skip


def _by_unit(marks: Sequence[tuple[str, tuple[float, float, str]]]) -> dict[str, tuple[tuple[float, float, str], ...]]:
    return {unit: tuple(sorted(span for name, span in marks if name == unit and span[1] > span[0]))
            for unit in sorted({name for name, _ in marks})}  # fmt: skip


def _label_tiers(path: Path, names: Sequence[str], pattern: str | None) -> set[str]:
    """The tiers that hold labels; see `read_codings`. A tier that stands alone may have any name."""
    plain = {name: _PERSON.sub("", name) for name in names}
    if pattern is not None:
        chosen = {name for name in names if fnmatchcase(plain[name].lower(), pattern.lower())}
    else:
        chosen = {name for name in names if _LABEL.match(plain[name])}
        rest = [name for name in names if not (_UNIT.match(plain[name]) or _NOT_CODED.match(name))]
        chosen = chosen or ({*rest} if len(rest) == 1 else set())
    if not chosen and not any(_UNIT.match(plain[name]) for name in names):
        held = ", ".join(names) or "none"
        raise InputError(f"{path} has no tier of labels or action units (tiers: {held}); name the tier: --tier NAME")
    return chosen


def _clip_of(path: Path, clips: Sequence[str] | None) -> tuple[str, str]:
    """The clip that a file's name means, and what follows it; the longest of `clips` that the name begins with."""
    first, *parts = path.name.split(".")
    name = ".".join([first, *(part for part in parts if not _KINDS.fullmatch(part.lower()))])
    clip = max((one for one in clips or () if re.match(re.escape(one) + r"(?:[._-]|$)", name)), key=len, default=name)
    return clip, name.removeprefix(clip).strip("._-")


# --- formats ----------------------------------------------------------------------------------------------------------


def _of_result(path: Path, coder: str | None) -> list[Coding]:
    document = read_result(path)
    found = []
    for person in document.people:
        segments = person.segments
        measured = [units for one in segments if (units := one.evidence.action_units) is not None]
        names = measured[0].names if measured and document.has_curves else []
        rows = [(at, row) for units in measured if units.curves and units.names == names
                for at, row in zip(units.curves.pts_seconds, units.curves.intensity, strict=True)]  # fmt: skip
        episodes = unit_episodes(person)
        found.append(Coding(
            coder or MACHINE, _clip_of(Path(document.clip.path), None)[0], person.person_id,
            tuple((one.start_seconds, one.end_seconds, one.prediction.label or NO_ANSWER) for one in segments),
            {name: tuple((a, b, text) for a, b, text in episodes.get(name, ())) for name in names},
            tuple(one.evidence.peak_frame.pts_seconds for one in segments if one.evidence.peak_frame),
            document.clip.duration_seconds, person.is_main,
            tuple(dict.fromkeys(label for one in segments for label in one.prediction.probabilities or ())),
            (np.array([at for at, _ in rows], float), np.array([row for _, row in rows], float)),
        ))  # fmt: skip
    return found


def _eaf(path: Path, content: bytes) -> Iterator[Mark]:
    """ELAN: annotations of aligned tiers, and those that refer to them; slots without a time lie evenly between."""
    try:
        root = ElementTree.fromstring(content)  # noqa: S314  expat 2.4.1 and newer bounds what entities expand to
        slots = [(one.get("TIME_SLOT_ID", ""), one.get("TIME_VALUE")) for one in root.iter("TIME_SLOT")]
        known = {i: int(value) / 1000 for i, (_, value) in enumerate(slots) if value is not None}
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path} is no ELAN file ({error}); save it again in ELAN") from None
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if root.tag != "ANNOTATION_DOCUMENT" or units != "milliseconds":
        raise InputError(f"{path}: expected ELAN's ANNOTATION_DOCUMENT in milliseconds, got {root.tag} in {units}")
    seconds = np.interp(np.arange(len(slots)), [*known], [*known.values()]).tolist() if known else []
    at = dict(zip((name for name, _ in slots), seconds))
    spans: dict[str | None, tuple[float, float]] = {}
    for one in root.iter("ALIGNABLE_ANNOTATION"):
        ends = [at.get(one.get(f"TIME_SLOT_REF{i}", "")) for i in (1, 2)]
        if ends[0] is None or ends[1] is None:
            raise InputError(f"{path}: annotation {one.get('ANNOTATION_ID')} has no times; save it again in ELAN")
        spans[one.get("ANNOTATION_ID")] = ends[0], ends[1]
    parents = {one.get("ANNOTATION_ID"): one.get("ANNOTATION_REF") for one in root.iter("REF_ANNOTATION")}
    for tier in root.iter("TIER"):
        for one in (*tier.iter("ALIGNABLE_ANNOTATION"), *tier.iter("REF_ANNOTATION")):
            name = own = one.get("ANNOTATION_ID")
            for _ in parents:  # at most so many steps, should they run in a circle
                name = name if name in spans else parents.get(name)
            if name in spans:
                yield (tier.get("ANNOTATOR") or None, None, tier.get("PARTICIPANT") or None, tier.get("TIER_ID", ""),
                       *spans[name], one.findtext("ANNOTATION_VALUE") or "", f"annotation {own}")  # fmt: skip


def _textgrid(path: Path, content: bytes) -> Iterator[Mark]:
    """Praat's long and short text format: only strings, numbers and flags that stand alone mean something."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="replace")
    tokens = iter(re.findall(r'"(?:[^"]|"")*"|(?<!\S)-?\d[\d.eE+-]*(?!\S)|(?<!\S)<\w+>', text))
    words = iter(lambda: next(tokens)[1:-1].replace('""', '"'), None)
    try:
        if (next(words), next(words)) != ("ooTextFile", "TextGrid"):
            raise ValueError("no text file of a TextGrid")
        next(tokens), next(tokens), next(tokens)
        for _ in range(int(next(tokens))):
            kind, name = next(words), next(words)
            next(tokens), next(tokens)
            for i in range(1, int(next(tokens)) + 1):
                start = float(next(tokens))
                end = float(next(tokens)) if kind == "IntervalTier" else start
                if (mark := next(words)).strip():
                    yield None, None, None, name, start, end, mark, f"tier {name}, interval {i}"
    except (ValueError, StopIteration, RuntimeError) as error:
        raise InputError(f"{path} is no whole TextGrid ({error}); save it in Praat as a text file") from None


def _table(path: Path, content: bytes) -> Iterator[Mark]:
    """BORIS's tabular or aggregated events, below lines on the observation in old versions; or onset, offset, label."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 ({error.reason}); save it as CSV UTF-8") from None
    for (number, line), separator in product(enumerate(lines, 1), "\t,;"):
        header = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=separator), [])]
        columns = {key: next((one for one in names if one in header), "") for key, names in _COLUMNS.items()}
        if "behavior" in header or all(columns[key] for key in ("onset", "offset", "label")):
            rows = enumerate(csv.reader(lines[number:], delimiter=separator), number + 1)
            cells = [(f"line {i}", dict(zip(header, map(str.strip, row)))) for i, row in rows if any(row)]
            yield from _boris(path, cells) if "behavior" in header else _plain(path, cells, columns)
            return
    raise InputError(
        f"{path} has neither BORIS's column Behavior nor onset, offset and label "
        f"(first line: {lines[0] if lines else 'none'}); name its columns so"
    )


def _plain(path: Path, cells: Sequence[tuple[str, dict[str, str]]], columns: dict[str, str]) -> Iterator[Mark]:
    for place, row in cells:
        get = {key: row.get(name, "") for key, name in columns.items()}
        person = f"person {get['person']}" if get["person"].isdecimal() else get["person"]
        unit = _UNIT.match(get["label"])
        yield (get["coder"] or None, get["clip"] or None, person or None, get["label"] if unit else "label",
               _seconds(path, place, get["onset"]), _seconds(path, place, get["offset"]),
               get["intensity"] if unit and not unit[2] else get["label"], place)  # fmt: skip


def _boris(path: Path, cells: Sequence[tuple[str, dict[str, str]]]) -> Iterator[Mark]:
    begun: dict[tuple[str, ...], float] = {}
    for place, row in cells:
        if row.get("behavioral category") in ("line", "word", "speaker"):  # of our own export
            continue
        media = row.get("media file name") or row.get("media file") or row.get("media file path") or ""
        clip = media.split(";")[0] or row.get("observation id") or None
        subject, what = row.get("subject", ""), row.get("behavior", "")
        strength = row.get("modifiers") or row.get("modifier #1") or ""
        who = None if subject.lower() in ("", "no focal subject") else subject
        unit = _UNIT.match(what)
        mark = (None, clip, who, what if unit else "label")
        text = strength if unit and not unit[2] else what
        if "start (s)" in row:
            start, end = (_seconds(path, place, row.get(f"{one} (s)") or row["start (s)"]) for one in ("start", "stop"))
            yield (*mark, start, end, text, place)
            continue
        time, key = _seconds(path, place, row.get("time", "")), (str(clip), subject, what)
        kind = (row.get("behavior type") or row.get("status") or "").upper()
        if kind == "START" and key not in begun:
            begun[key] = time
        elif kind == "STOP" and key in begun:
            yield (*mark, begun.pop(key), time, text, place)
        elif kind == "POINT":
            yield (*mark, time, time, text, place)
        else:
            raise InputError(
                f"{path}, {place}: {what} has {kind or 'no type'} out of turn; fix unpaired events in BORIS"
            )
    if begun:
        raise InputError(f"{path}: {next(iter(begun))[2]} begins and never stops; fix unpaired events in BORIS")


def _seconds(path: Path, place: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InputError(f"{path}, {place}: {text!r} is no time in seconds, such as 12.5") from None
