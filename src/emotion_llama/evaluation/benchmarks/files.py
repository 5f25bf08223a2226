"""Reads the kinds of file that benchmarks are distributed in: tables, label lists, label archives, folders of clips."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.evaluation.npz_tables import read_tables
from emotion_llama.evaluation.records import Case, FileProblem
from emotion_llama.media.discover import MEDIA_SUFFIXES
from emotion_llama.media.text_file import read_text
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS

NO_COUNT = -1
_MOST_COUNTED = 200  # clips whose pictures are counted by a check: own choice, a few seconds of reading
# Tables of what is said, as the owners and the published code name them; the first one found counts.
TRANSCRIPTS = (
    "transcription_en_all.csv",  # MER2023, Emotion-LLaMA: name, sentence
    "transcription_all_new.csv",  # MER2024, Emotion-LLaMA: name, sentence_en
    "transcription-engchi-polish.csv",  # MERBench and AffectGPT: name, chinese, english
    "transcription_merge.csv",  # MER2024 in AffectGPT: the same columns
    "subtitle_chieng.csv",  # MER2025, MER2026: name, chinese, english
    "subtitle_eng.csv",  # OV-MERD+: name, sentence
)


class ListedLabel(NamedTuple):
    """One row of a label list; the count is None where the list has none."""

    name: str
    frame_count: int | None
    label: str


def given_path(value: object, option: str) -> Path | None:
    """The path that an option gives; None where it is not given.

    Raises:
        InputError: it is no text and no path.
    """
    if value is None:
        return None
    if not isinstance(value, (str, Path)):
        raise InputError(f"{option} is {value!r}, expected a path")
    return Path(value).expanduser()


def first_file(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of some files that is there.

    Raises:
        InputError: none is; the message names them all.
    """
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"{folder} holds no {what}; expected {' or '.join(names)}")
    return found


def read_rows(path: Path, columns: Sequence[str | tuple[str, ...]]) -> Iterator[list[str]]:
    """The cells of some columns, row by row, without blanks around them; rows without any text are passed over.

    Args:
        path: a table in CSV with a header.
        columns: wanted, each by its name or by several names of which the first that is there counts. A name that
            begins with "?" may be missing; its cells are then empty.

    Raises:
        InputError: the file cannot be read, a column is missing, or a row is too short.
    """
    rows = csv.reader(io.StringIO(read_text(path, None), newline=""))
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        places = [_place(path, header, column) for column in columns]
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) <= max((place for place in places if place is not None), default=0):
                raise InputError(f"{path}, line {rows.line_num}: {len(row)} cells came, {len(header)} were expected")
            yield ["" if place is None else row[place].strip() for place in places]
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: the table cannot be read ({error})") from None


def _place(path: Path, header: list[str], column: str | tuple[str, ...]) -> int | None:
    names = (column,) if isinstance(column, str) else column
    for name in names:
        if name.removeprefix("?") in header:
            return header.index(name.removeprefix("?"))
    if names[0].startswith("?"):
        return None
    raise InputError(f"{path} has the columns {', '.join(header) or '(none)'}; expected {' or '.join(names)}")


def read_label_list(path: Path) -> list[ListedLabel]:
    """`name label`, or `name frame_count label ...`, blank separated, without header (`*_NCE.txt`, `*_NCEV.txt`).

    Raises:
        InputError: a row is something else.
    """
    found = []
    for number, line in enumerate(read_text(path, None).splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) == 2:
            found.append(ListedLabel(clip_name(cells[0]), None, cells[1]))
            continue
        try:
            count = int(cells[1])
            found.append(ListedLabel(clip_name(cells[0]), None if count == NO_COUNT else count, cells[2]))
        except (IndexError, ValueError):
            raise InputError(
                f"{path}, line {number}: expected `name label` or `name frame_count label ...`, got {line[:60]!r}"
            ) from None
    return found


def read_corpus(path: Path, table: str) -> dict[str, dict[str, Any]]:
    """A table `name -> {"emo": ..., "val": ...}` of a label archive (.npz) of MERTools.

    Raises:
        InputError: the archive is damaged or holds something else.
    """
    (corpus,) = read_tables(path, (table,), f"a label archive with the table {table}")
    if not isinstance(corpus, dict) or not all(isinstance(labels, dict) for labels in corpus.values()):
        raise InputError(f"{path}: {table} is no table of names and labels")
    return {str(name): labels for name, labels in corpus.items()}


def corpus_value(path: Path, name: str, labels: Mapping[str, Any], key: str) -> Any:
    """One value of a clip's labels.

    Raises:
        InputError: it is not there.
    """
    if key not in labels:
        raise InputError(f"{path}: {name} has {', '.join(map(str, labels)) or 'nothing'}, expected {key}")
    return labels[key]


def clip_name(text: str) -> str:
    """A name as tables have it, without a media file's suffix; a full stop inside a name is kept."""
    name = Path(text.strip()).name
    return Path(name).stem if Path(name).suffix.lower() in MEDIA_SUFFIXES else name


def find_clips(folders: Iterable[Path], case_id: Callable[[str], str] = str) -> dict[str, Path]:
    """Case -> media file, of all files right inside some folders; earlier folders win.

    Args:
        folders: those that are not there are passed over.
        case_id: from a file's name without suffix to the case.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith("."):
                    found.setdefault(case_id(path.stem), path)
    return found


def read_sentences(path: Path, language: str | None = "en") -> dict[str, str]:
    """Name -> what is said, of a table of sentences.

    Args:
        path: with a column of names and one of `TEXT_COLUMNS`.
        language: of the column to take where there are several.

    Raises:
        InputError: the table has no such columns.
    """
    texts = sorted(TEXT_COLUMNS, key=lambda name: TEXT_COLUMNS[name] not in (language, None))
    return {clip_name(name): text for name, text in read_rows(path, [NAME_COLUMNS, tuple(texts)]) if name}


def sentences_of(folder: Path, given: Path | None = None) -> dict[str, str]:
    """What is said, from the given table or the first of `TRANSCRIPTS` in the folder; empty where there is none."""
    path = given or next((folder / name for name in TRANSCRIPTS if (folder / name).is_file()), None)
    return {} if path is None else read_sentences(path)


def count_problems(labels: Sequence[str], expected: Mapping[str, int], where: Path) -> Iterator[FileProblem]:
    """Labels that do not occur as often as in the owners' release."""
    got = Counter(labels)
    for label in sorted({*got, *expected}):
        if got[label] != expected.get(label, 0):
            what = f"clips labelled {label!r}: {got[label]}, in the owners' release {expected.get(label, 0)}"
            yield FileProblem(what, str(where), abs(got[label] - expected.get(label, 0)))


def total_problem(found: int, expected: int, where: Path) -> Iterator[FileProblem]:
    """Another number of clips than in the owners' release."""
    if found != expected:
        yield FileProblem(f"{found} clips, {expected} in the owners' release", str(where), abs(found - expected))


def media_problems(cases: Sequence[Case], where: Path) -> Iterator[FileProblem]:
    """Clips whose media are not there; not fatal, because files of predictions can be scored without."""
    missing = [case.case_id for case in cases if case.media is None]
    if missing and len(missing) == len(cases):
        yield FileProblem("no clip has a media file: only predictions can be scored", str(where), len(missing))
    elif missing:
        some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        yield FileProblem(f"no media file of {some}", str(where), len(missing))


def words_problem(cases: Sequence[Case], where: Path) -> Iterator[FileProblem]:
    """Clips without a sentence in the table, where there is a table at all."""
    without = sum(case.words is None for case in cases)
    if without == len(cases):
        yield FileProblem(f"no table of sentences; expected one of {', '.join(TRANSCRIPTS)}", str(where), without)
    elif without:
        yield FileProblem("clips that the table of sentences does not name", str(where), without)


def release_problems(cases: Sequence[Case], where: Path) -> Iterator[FileProblem]:
    """Media that are not those whose frame counts the label list states: ids of another release.

    Later releases use the ids of earlier ones for other clips (MER2025's for MER2023's), so that labels fit no video.
    Pictures of up to 200 clips, spread over the list, are counted.
    """
    from emotion_llama.errors import MediaError
    from emotion_llama.merr.imports.frame_counts import compare_frame_counts
    from emotion_llama.merr.ingest import count_pictures

    stated = [case for case in cases if case.frame_count is not None and case.media is not None]
    step = max(1, len(stated) // _MOST_COUNTED)
    real: dict[str, int] = {}
    broken = 0
    for case in stated[::step][:_MOST_COUNTED]:
        assert case.media is not None
        try:
            real[case.case_id] = count_pictures(case.media)
        except MediaError:
            broken += 1
    if broken:
        yield FileProblem("clips that cannot be opened", str(where), broken)
    counts = compare_frame_counts({c.case_id: c.frame_count for c in stated if c.frame_count is not None}, real)
    if counts.verdict in ("another release", "some differ"):
        what = " ".join(line.strip() for line in counts.lines())
        wrong = counts.compared - counts.fitting
        yield FileProblem(what, str(where), wrong, is_fatal=counts.verdict == "another release")
