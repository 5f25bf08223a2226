"""Subtitles that are burnt into the pictures, by an optional text recogniser: what changes in the middle below.

Few pictures a second are read, of each the lower half. A text that stays in place over several pictures is one line.
Subtitles are told from channel marks, clocks and adverts by where they stand and by what changes: they stand in the
middle, or begin at one place, in a band of one height where one text follows another.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import MissingDependency
from emotion_llama.media.frames import Tap
from emotion_llama.media.language import script_language
from emotion_llama.records import Transcript, TranscriptLine, UInt8

INSTALL = 'pip install "emotion-llama[screen-text]"'
SOURCE = "screen text"

FRAMES_PER_SECOND = 2.0
MAX_SIDE = 1280  # of the pictures, pixels
_DETECTED_SIDE = 960  # text is looked for at this size; it is read in full
LOWER_PART = 0.5  # of the picture, in which subtitles are looked for

# Places and sizes as shares of the whole picture; our own choice, from how subtitles are set.
_CENTRED = 0.06  # distance of a line's middle from the picture's
_SAME_MIDDLE = 0.03  # and from the other lines' of the band
_BORDER = 0.015  # what reaches so near to a side is cut off by it: it moves through the picture
_CRAWLS = 0.3  # share of a row's texts that do
_ALIGNED = 0.02  # distance of left edges that are one
_MIN_ALIGNED = 3  # texts that begin at one place make it the place of subtitles
_HEIGHTS = (0.025, 0.14)
_SAME_HEIGHT = 0.35  # of a band's median
_SAME_ROW = 0.5  # of a line's height
_NEXT_ROW = 1.8  # heights between two rows of one subtitle
_STAYS_SECONDS = 10.0  # nobody leaves a line for so long
_SAME_TEXT, _SAME_SHORT, _SHORT = 0.6, 0.5, 3  # share of characters by which two readings are of one line
_MIN_CONFIDENCE = 0.8
_MAX_GAP = 2  # pictures after which a text that comes again is a new line


class Seen(NamedTuple):
    """One text in one picture; its box in shares of the whole picture."""

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> tuple[float, float]:
        """X and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def height(self) -> float:
        """Of the box."""
        return self.bottom - self.top


ReadPicture = Callable[[UInt8], "list[Seen]"]


def load_reader() -> ReadPicture:
    """Reads all text in a picture [H, W, 3] RGB, boxes in shares of it: PP-OCR on ONNX Runtime, Chinese and English.

    Raises:
        MissingDependency: rapidocr-onnxruntime is not installed.
    """
    try:
        package = import_module("rapidocr_onnxruntime")
    except ImportError as error:
        raise MissingDependency("rapidocr-onnxruntime", "text on the screen", INSTALL) from error
    engine = package.RapidOCR(
        det_limit_type="max", det_limit_side_len=_DETECTED_SIDE, intra_op_num_threads=1, inter_op_num_threads=1
    )

    def read(image: UInt8) -> list[Seen]:
        height, width = image.shape[:2]
        found, _ = engine(np.ascontiguousarray(image[:, :, ::-1]), use_cls=False)
        seen = []
        for corners, text, confidence in found or ():
            x, y = np.asarray(corners, float).T
            box = (x.min() / width, y.min() / height, x.max() / width, y.max() / height)
            seen.append(Seen(text.strip(), float(confidence), *map(float, box)))
        return seen

    return read


class ScreenText:
    """Takes pictures of a clip in order, a few a second, and gives the lines that were shown.

    Args:
        read: reads the text of a picture (`load_reader`).
    """

    def __init__(self, read: ReadPicture) -> None:
        self._read = read
        self._times: list[float] = []
        self._seen: list[list[Seen]] = []
        self._before: tuple[UInt8, list[Seen]] | None = None

    @property
    def tap(self) -> Tap:
        """Takes the pictures that are read out of a pass over the clip."""
        return Tap(FRAMES_PER_SECOND, MAX_SIDE, self.take)

    def take(self, seconds: float, image: UInt8) -> None:
        """The picture [H, W, 3] that is shown at a time."""
        first = round(image.shape[0] * (1 - LOWER_PART))
        part = image[first:]
        if self._before is None or not np.array_equal(self._before[0], part):
            share = part.shape[0] / image.shape[0]
            found = [
                one._replace(top=1 - share + share * one.top, bottom=1 - share + share * one.bottom)
                for one in self._read(part)
            ]
            self._before = part.copy(), [one for one in found if _is_word(one.text)]
        self._times.append(seconds)
        self._seen.append(self._before[1])

    def transcript(self, duration_seconds: float) -> Transcript:
        """The subtitles as lines with confidences and times (half a second exact); notes of what else there was."""
        texts = _follow(self._seen)
        step = 1 / FRAMES_PER_SECOND
        subtitles = _subtitles(texts, self._times, step)
        rows = []
        for text in subtitles:
            start = max(0.0, self._times[text.first] - (step / 2 if text.first else step))
            end = min(duration_seconds, self._times[text.last] + step / 2)
            if text.last == len(self._times) - 1:
                end = duration_seconds
            rows.append(TranscriptLine(text.words, start, end, confidence=text.confidence))
        others = {text.words for text in texts if text not in subtitles and text.confidence >= _MIN_CONFIDENCE}
        notes = []
        if others:
            notes.append(f"{SOURCE}: {len(others)} other texts left out (marks, adverts), such as {min(others)!r}")
        if not rows:
            notes.insert(0, f"{SOURCE}: no subtitle was found in {len(self._times)} pictures")
        tops = [text.middle[1] for text in subtitles]
        return Transcript(tuple(_joined(rows, tops)), SOURCE, None, tuple(notes))


def agreement(one: str, other: str) -> float:
    """Share of characters, 0..1, in which two texts agree, without regard to case, blanks and marks."""
    first, second = (re.sub(r"[\W_]+", "", text.lower()) for text in (one, other))
    blocks = difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(1, len(first), len(second))


def beside_speech(screen: Transcript, heard: Transcript) -> Transcript:
    """Subtitles with what was heard where none was shown, and a note on how far the two agree where both are.

    What is burnt in was written by a person, and counts where both are there.
    """
    if not screen.lines or not heard.lines:
        words = screen if screen.lines else heard
        return replace(words, notes=(*screen.notes, *heard.notes))
    alone = [line for line in heard.lines if not any(_overlap(line, shown) > 0.5 for shown in screen.lines)]
    both = " ".join(line.text for line in heard.lines if line not in alone)
    notes = [*screen.notes, *heard.notes]
    if both:
        share = agreement(screen.text, both)
        notes.append(
            f"{screen.source} and {heard.source} agree in {100 * share:.0f} % of the characters where both are"
        )
    lines = [replace(line, source=screen.source) for line in screen.lines]
    lines += [replace(line, source=heard.source) for line in alone]
    lines.sort(key=lambda line: line.start_seconds or 0.0)
    source = f"{screen.source} and {heard.source}"
    return Transcript(tuple(lines), source, heard.language, tuple(notes), heard.language_probability)


def _overlap(line: TranscriptLine, shown: TranscriptLine) -> float:
    """The share of a line during which another is there."""
    start, end = line.start_seconds or 0.0, line.end_seconds or 0.0
    common = min(end, shown.end_seconds or 0.0) - max(start, shown.start_seconds or 0.0)
    return max(0.0, common) / max(end - start, 1e-6)


# --- one text over several pictures ---------------------------------------------------------------------------------


class _Text(NamedTuple):
    """A text that stays in its place, in pictures `first` to `last`."""

    words: str
    confidence: float
    first: int
    last: int
    middle: tuple[float, float]
    left: float
    right: float
    height: float


def _is_word(text: str) -> bool:
    return script_language(text) is not None or len(re.findall(r"[^\W\d_]", text)) >= 2


def _follow(pictures: Sequence[Sequence[Seen]]) -> list[_Text]:
    """Texts over time, in order of appearance."""
    open_runs: list[list[tuple[int, Seen]]] = []
    done: list[list[tuple[int, Seen]]] = []
    for number, seen in enumerate(pictures):
        still = [run for run in open_runs if number - run[-1][0] <= _MAX_GAP]
        done += [run for run in open_runs if number - run[-1][0] > _MAX_GAP]
        open_runs = still
        for one in seen:
            same = [run for run in open_runs if run[-1][0] < number and _is_same(run[-1][1], one)]
            if same:
                max(same, key=lambda run: agreement(run[-1][1].text, one.text)).append((number, one))
            else:
                open_runs.append([(number, one)])
    return sorted((_text(run) for run in done + open_runs), key=lambda text: (text.first, text.middle[1]))


def _is_same(before: Seen, one: Seen) -> bool:
    in_row = abs(before.middle[1] - one.middle[1]) <= _SAME_ROW * max(before.height, one.height)
    over = min(before.right, one.right) - max(before.left, one.left)
    is_short = min(len(before.text), len(one.text)) <= _SHORT
    return in_row and over > 0 and agreement(before.text, one.text) >= (_SAME_SHORT if is_short else _SAME_TEXT)


def _text(run: Sequence[tuple[int, Seen]]) -> _Text:
    """What most pictures say, weighed by confidence."""
    votes: Counter[str] = Counter()
    for _, one in run:
        votes[one.text] += one.confidence  # type: ignore[assignment]  # counts of any kind of number
    words = max(votes, key=lambda text: (votes[text], len(text)))
    agreeing = [one for _, one in run if one.text == words]
    x, y = (median(one.middle[axis] for one in agreeing) for axis in (0, 1))
    return _Text(
        words,
        sum(one.confidence for one in agreeing) / len(agreeing),
        run[0][0],
        run[-1][0],
        (x, y),
        min(one.left for _, one in run),
        max(one.right for _, one in run),
        median(one.height for one in agreeing),
    )


# --- which of them are subtitles --------------------------------------------------------------------------------------


def _subtitles(texts: Sequence[_Text], times: Sequence[float], step: float) -> list[_Text]:
    """The texts of the band in which, in the middle or from one place on, one follows another."""
    fitting = [
        text
        for text in texts
        if _HEIGHTS[0] <= text.height <= _HEIGHTS[1]
        and text.confidence >= _MIN_CONFIDENCE
        and times[text.last] - times[text.first] + step <= _STAYS_SECONDS
    ]
    still = [text for text in fitting if not _crawls(text, texts)]
    centred = [text for text in still if abs(text.middle[0] - 0.5) <= _CENTRED]
    aligned = [text for text in still if text not in centred and _begins_with_others(text, still)]
    placed = centred + aligned
    if not placed:
        return []
    bands = [[other for other in placed if _is_in_row(other, text)] for text in placed]
    # The band that says most, in different characters: a mark says the same again and again.
    best = max(bands, key=lambda band: len(set("".join(text.words for text in band))))
    height = median(text.height for text in best)
    place, middle = (median(text.middle[axis] for text in best) for axis in (1, 0))
    alike = [
        text
        for text in placed
        if abs(text.height - height) <= _SAME_HEIGHT * height
        and (text in aligned or abs(text.middle[0] - middle) <= _SAME_MIDDLE)
    ]
    rows = [text for text in alike if abs(text.middle[1] - place) <= _SAME_ROW * height]
    # A second row belongs to it where it is there together with the band, or takes its place.
    near = [text for text in alike if text not in rows and abs(text.middle[1] - place) <= _NEXT_ROW * height]
    second = [text for text in near if any(text.first <= row.last and row.first <= text.last for row in rows)]
    return sorted(rows + second, key=lambda text: (text.first, text.middle[1]))


def _crawls(text: _Text, others: Iterable[_Text]) -> bool:
    """Whether the texts in its row are cut off by the picture's sides."""
    row = [one for one in others if _is_in_row(one, text)]
    cut = sum(one.left < _BORDER or one.right > 1 - _BORDER for one in row)
    return cut > _CRAWLS * len(row)


def _is_in_row(text: _Text, other: _Text) -> bool:
    return abs(text.middle[1] - other.middle[1]) <= _SAME_ROW * max(text.height, other.height)


def _begins_with_others(text: _Text, others: Iterable[_Text]) -> bool:
    """Whether several different texts begin where this one does, in its row."""
    same = {one.words for one in others if _is_in_row(one, text) and abs(one.left - text.left) <= _ALIGNED}
    different = [one for one, other in pairwise(sorted(same)) if agreement(one, other) < _SAME_TEXT]
    return len(different) >= _MIN_ALIGNED - 1


def _joined(rows: Sequence[TranscriptLine], tops: Sequence[float]) -> list[TranscriptLine]:
    """Rows that are there at one time and in one script as one line, from above; in two scripts they stay two."""
    lines: list[TranscriptLine] = []
    for _, row in sorted(zip(tops, rows), key=lambda pair: (pair[1].start_seconds or 0.0, pair[0])):
        before = lines[-1] if lines else None
        if (
            before is not None
            and (row.start_seconds, row.end_seconds) == (before.start_seconds, before.end_seconds)
            and script_language(before.text) == script_language(row.text)
        ):
            sure = min(before.confidence or 0.0, row.confidence or 0.0)
            lines[-1] = TranscriptLine(f"{before.text} {row.text}", row.start_seconds, row.end_seconds, confidence=sure)
        else:
            lines.append(row)
    return lines
