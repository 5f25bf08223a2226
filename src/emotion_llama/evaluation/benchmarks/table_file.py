"""One's own data: a table in CSV, one row a clip.

Columns: `name` or `video` (a path, relative to the table), one of `label`, `words` ("['happy', 'proud']" or "happy,
proud"), `sentiment` (a number) and `description`; and, where wanted, `subtitle`, `group` (a person or a source, drawn
together in intervals), `fold` (from 1), `frame_count`, `note` (scores are also given by note). Others are errors.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.benchmarks.mer2024 import WORDS_INSTRUCTION, stored_groups
from emotion_llama.evaluation.benchmarks.mer2025 import chosen_wheels
from emotion_llama.evaluation.benchmarks.unibench import SENTIMENT_INSTRUCTION
from emotion_llama.evaluation.open_vocabulary import parse_word_list
from emotion_llama.evaluation.overlap import DescriptionScorer
from emotion_llama.evaluation.parsers import SENTIMENTS
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Kind, Truth
from emotion_llama.evaluation.scoring import LabelScorer, Scorer
from emotion_llama.evaluation.scoring_words import GroupScorer, SentimentScorer, WheelScorer
from emotion_llama.labels import LABEL_SPACES, MERR9, LabelSpace
from emotion_llama.media.text_file import read_text
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction

TRUTHS: dict[str, Kind] = {
    "label": "label", "words": "words", "sentiment": "sentiment", "description": "description",
}  # fmt: skip
COLUMNS = ("name", "video", *TRUTHS, "subtitle", "group", "fold", "frame_count", "note")


@dataclass(frozen=True)
class TableFile:
    """A table of clips."""

    path: Path

    @cached_property
    def rows(self) -> list[tuple[int, dict[str, str]]]:
        """Line number and cells by column; InputError where the table cannot be read or has other columns."""
        reader = csv.reader(io.StringIO(read_text(self.path, None), newline=""))
        try:
            header = [cell.strip().lower() for cell in next(reader, [])]
            self._check_header(header)
            rows = []
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{self.path}, line {reader.line_num}: {len(row)} cells came, {len(header)} were expected"
                    )
                rows.append((reader.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=True)}))
        except csv.Error as error:
            raise InputError(f"{self.path}, line {reader.line_num}: the table cannot be read ({error})") from None
        if not rows:
            raise InputError(f"{self.path} has no rows")
        return rows

    @property
    def kind(self) -> Kind:
        """What its truths are."""
        return next(kind for column, kind in TRUTHS.items() if column in self.rows[0][1])

    def cases(self) -> list[Case]:
        """All clips, in order.

        Raises:
            InputError: the table is malformed, or a name stands twice.
        """
        found = [self._case(number, cells) for number, cells in self.rows]
        doubled = next((name for name, n in Counter(case.case_id for case in found).items() if n > 1), None)
        if doubled is not None:
            raise InputError(f"{self.path}: {doubled} stands twice")
        return found

    def check(self) -> list[FileProblem]:
        """Clips that are named and not there."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.path), is_fatal=True)]
        problems = []
        if all(case.media is None for case in cases):
            problems.append(FileProblem("no row names a video: only predictions can be scored", str(self.path)))
        gone = [case for case in cases if case.media is not None and not case.media.is_file()]
        if gone:
            problems.append(FileProblem(f"no file {gone[0].media}", str(self.path), len(gone)))
        problems += files.release_problems([case for case in cases if case not in gone], self.path)
        return problems

    def _check_header(self, header: Sequence[str]) -> None:
        truths = [name for name in TRUTHS if name in header]
        strange = [name for name in header if name not in COLUMNS or header.count(name) > 1]
        if strange or len(truths) != 1 or not {"name", "video"} & set(header):
            raise InputError(
                f"{self.path} has the columns {', '.join(header) or '(none)'}; expected name or video, one of "
                f"{', '.join(TRUTHS)}, and any of {', '.join(COLUMNS[6:])}"
            )

    def _case(self, number: int, cells: dict[str, str]) -> Case:
        video = cells.get("video", "")
        name = cells.get("name") or Path(video).stem
        if not name:
            raise InputError(f"{self.path}, line {number}: neither name nor video is given")
        return Case(
            name,
            self._truth(number, cells),
            self.path.parent / video if video else None,
            cells.get("subtitle") or None,
            cells.get("group") or None,
            self._whole(number, cells, "fold"),
            self._whole(number, cells, "frame_count"),
            cells.get("note", ""),
        )

    def _truth(self, number: int, cells: dict[str, str]) -> Truth:
        column = next(name for name in TRUTHS if name in cells)
        text = cells[column]
        if column == "words":
            return Truth(words=tuple(parse_word_list(text)))
        if not text:
            raise InputError(f"{self.path}, line {number}: the {column} is empty")
        if column == "label":
            return Truth(label=text)
        if column == "description":
            return Truth(description=text)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self.path}, line {number}: the sentiment is {text!r}, expected a number")
        return Truth(sentiment=value)

    def _whole(self, number: int, cells: dict[str, str], column: str) -> int | None:
        text = cells.get(column, "")
        if not text:
            return None
        if not text.isdecimal():
            raise InputError(f"{self.path}, line {number}: {column} is {text!r}, expected a whole number")
        return int(text)


def table_file(
    folder: Path,
    *,
    labels: str | Sequence[str] | None = None,
    wheels: str | Path | None = None,
    mapping: str | int | None = None,
    groups: str | Path | None = None,
) -> Benchmark:
    """One's own data.

    Args:
        folder: the table, or a folder with the table cases.csv.
        labels: "merr9", "mer6", "dfew7", or the labels themselves, a list or with commas between; by default merr9
            where it holds all labels of the table, else the table's labels in alphabetical order.
        wheels: for words, the folder of the wheel files: EW at level 1. Without, words are scored in groups of synonyms
            (MER2024-OV), stored or judged.
        mapping: as `mer2025.mer2025_fg`'s.
        groups: for words, a folder of stored groups.

    Raises:
        InputError: the table is malformed, or an option does not fit it.
    """
    path = folder / "cases.csv" if folder.is_dir() else folder
    table = TableFile(path)
    kind = table.kind
    if labels is not None and kind != "label":
        raise InputError(f"{path} has no labels but {kind}; leave the option labels out")
    space = _space(labels, table) if kind == "label" else None
    ask, scorer, primary = _question(kind, space, path, wheels, mapping)
    return Benchmark(
        name="csv",
        version=f"1 ({path.name}{'' if space is None else ', ' + space.name})",
        kind=kind,
        ask=ask,
        folder=path,
        primary=primary,
        source=table,
        scorer=scorer,
        groups=None if groups is None else stored_groups(path.parent, files.given_path(groups, "groups")),
    )


def _space(labels: str | Sequence[str] | None, table: TableFile) -> LabelSpace:
    there = sorted({cells["label"] for _, cells in table.rows})
    named = [labels] if isinstance(labels, str) and labels in LABEL_SPACES else []
    if named:
        space = LABEL_SPACES[named[0]]
    elif labels is not None:
        given = labels.split(",") if isinstance(labels, str) else labels
        space = LabelSpace("own", tuple(label.strip() for label in map(str, given) if label.strip()))
    else:
        space = MERR9 if set(there) <= set(MERR9.labels) else LabelSpace("own", tuple(there))
    if strange := [label for label in there if label not in space.labels]:
        raise InputError(f"{table.path} has the label {strange[0]!r}, which is none of {', '.join(space.labels)}")
    return space


def _question(
    kind: Kind, space: LabelSpace | None, path: Path, wheels: str | Path | None, mapping: str | int | None
) -> tuple[Ask, Scorer, str]:
    if space is not None:
        instruction = pick_instruction("emotion") if space == MERR9 else emotion_instruction(space.labels)
        return Ask("emotion", instruction, space.labels), LabelScorer(space, space), "weighted_f1"
    if kind == "sentiment":
        return Ask("free", SENTIMENT_INSTRUCTION, SENTIMENTS), SentimentScorer(), "waf"
    if kind == "description":
        return Ask("reason_v2"), DescriptionScorer(), "clue_overlap"
    ask = Ask("free", WORDS_INSTRUCTION)
    if wheels is None:
        return ask, GroupScorer(), "average"
    return ask, WheelScorer(chosen_wheels(path.parent, wheels, mapping), (1,)), "ew"
