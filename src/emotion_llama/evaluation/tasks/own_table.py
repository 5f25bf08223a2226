"""One's own data: a table in CSV, one row a clip.

Columns: `name` or `video` (a path, relative to the table), one of `label`, `words` ("['happy', 'proud']" or "happy,
proud"), `sentiment` (a number) and `description`; and, where wanted, `subtitle`, `group` (a person or a source, drawn
together in intervals), `fold` (from 1), `frame_count`, `note` (metrics are also given by note). Others are errors.
Labels that are forms of one word ("anger", "angry", "Angry") are one class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalSample, Truth
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark
from emotion_llama.evaluation.tasks.emer import TASK as DESCRIPTION_TASK
from emotion_llama.evaluation.tasks.open_vocabulary import WORDS_TASK, stored_groups
from emotion_llama.evaluation.tasks.readers import Convert, description, read_csv, sentiment, word_list
from emotion_llama.evaluation.tasks.unibench import SENTIMENT_TASK
from emotion_llama.evaluation.tasks.wheels import chosen_wheels
from emotion_llama.labels import LABEL_SPACES, MERR9, SYNONYMS, LabelSpace
from emotion_llama.media.text_file import read_text
from emotion_llama.predictors.base import Task
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
from emotion_llama.tables import read_records


def label_form(word: str) -> str:
    """The label that a word is a form of ("anger": "angry"), else the word itself, in lower case.

    Noun and adjective of an emotion begin alike. Other synonyms ("calm" of "neutral") can be classes of their own.
    """
    key = word.strip().lower()
    return next((label for label in SYNONYMS.get(key, ()) if label[:3] == key[:3]), key)


TRUTHS: Mapping[str, Convert] = {
    "label": lambda value: Truth(label=label_form(str(value))),
    "words": word_list,
    "sentiment": sentiment,
    "description": description,
}
OTHERS = ("subtitle", "group", "fold", "frame_count", "note")
KNOWN = ("name", "video", *TRUTHS, *OTHERS)
EXPECTED = f"name or video, one of {', '.join(TRUTHS)}, and any of {', '.join(OTHERS)}"


def table_file(
    folder: Path, *, labels: str | Sequence[str] | None = None, wheels: Path | None = None,
    mapping: str | int | None = None, groups: Path | None = None,
) -> Benchmark:  # fmt: skip
    """One's own data.

    Args:
        folder: the table, or a folder with the table cases.csv.
        labels: "merr9", "mer6", "dfew7", or the labels themselves, a list or with commas between; by default merr9
            where it holds all labels of the table, else the table's labels in alphabetical order.
        wheels: for words, the folder of the wheel files: EW at level 1. Without, words are scored in groups of synonyms
            (MER2024-OV), stored or judged.
        mapping: as `open_vocabulary.mer2025_fg`'s.
        groups: for words, a folder of stored groups.
    """
    path = folder / "cases.csv" if folder.is_dir() else folder
    kind = kind_of(path)
    if labels is not None and kind != "label":
        raise InputError(f"{path} has no labels but {kind}; leave the option labels out")
    own = Benchmark(  # its folder is the table itself
        "csv", f"1 ({path.name})", "groups", "average", WORDS_TASK, path, [{"": read_table}],
        clip_folders=(), has_transcripts=False, groups=None if groups is None else stored_groups(groups),
    )  # fmt: skip
    if kind == "label":
        space = _space(labels, path)
        instruction = pick_instruction("emotion") if space == MERR9 else emotion_instruction(space.labels)
        task = Task("emotion", space.labels, instruction, MAX_NEW_TOKENS)
        version = f"1 ({path.name}, {space.name})"
        return replace(
            own, version=version, metric="label", primary="weighted_f1", task=task, asked=space, scored=space
        )
    if kind == "sentiment":
        return replace(own, metric="sentiment", primary="waf", task=SENTIMENT_TASK)
    if kind == "description":
        return replace(own, metric="description", primary="clue_overlap", task=DESCRIPTION_TASK)
    if wheels is not None:
        return replace(own, metric="wheels", primary="ew", wheels=chosen_wheels(path.parent, wheels, mapping)[0])
    return own


def read_table(path: Path) -> Iterator[EvalSample]:
    """The samples of a table, in order; InputError where the table is malformed or empty."""
    kind, number = kind_of(path), 0
    for number, row in read_records(path, KNOWN.__contains__, EXPECTED, text=read_text(path, None)):
        where = f"{path}, line {number}"
        cells = {name: cell.strip() for name, cell in row.items() if cell.strip()}
        video = cells.get("video")
        name = cells.get("name") or Path(video or "").stem
        if not name:
            raise InputError(f"{where}: neither name nor video is given")
        for column in ("fold", "frame_count"):
            if not cells.get(column, "0").isdecimal():
                raise InputError(f"{where}: {column} is {cells[column]!r}, expected a whole number")
        if kind not in cells and kind != "words":
            raise InputError(f"{where}: the {kind} is empty")
        try:
            truth = TRUTHS[kind](cells.get(kind, ""))
        except ValueError as error:
            raise InputError(f"{where}: {name} has {error}") from None
        fold, frames = (int(cells[column]) if column in cells else None for column in ("fold", "frame_count"))
        media = None if video is None else path.parent / video
        yield EvalSample(
            name, truth, media, cells.get("subtitle"), cells.get("group"), fold, frames, cells.get("note", "")
        )  # fmt: skip
    if not number:
        raise InputError(f"{path} has no rows")


def kind_of(path: Path) -> str:
    """What the truths of a table are, one of `TRUTHS`; InputError where its columns are not those of such a table."""
    _, header = next(read_csv(path))
    truths = [name for name in TRUTHS if name in header]
    if len(truths) != 1 or not {"name", "video"} & set(header):
        raise InputError(f"{path} has the columns {', '.join(header) or '(none)'}; expected {EXPECTED}")
    return truths[0]


def _space(labels: str | Sequence[str] | None, path: Path) -> LabelSpace:
    there = sorted({sample.truth.label or "" for sample in read_table(path)})
    if isinstance(labels, str) and labels in LABEL_SPACES:
        space = LABEL_SPACES[labels]
    elif labels is not None:
        given = labels.split(",") if isinstance(labels, str) else labels
        space = LabelSpace("own", tuple(dict.fromkeys(label_form(str(label)) for label in given if str(label).strip())))
    else:
        space = MERR9 if set(there) <= set(MERR9.labels) else LabelSpace("own", tuple(there))
    if unknown := [label for label in there if label not in space.labels]:
        raise InputError(f"{path} has the label {unknown[0]!r}, which is none of {', '.join(space.labels)}")
    return space
