"""Training examples from files: published or exported MERR folders, and one's own clips in CSV or JSONL.

MERR folder: `MERR_coarse_grained.{txt,json}` teach the tasks emotion (the label) and reason (`caption`),
`MERR_fine_grained.{txt,json}` emotion and reason_v2 (`smp_reason_caption`), words come from
`transcription_en_all.csv`. Either pair may be missing, and so may the words. Where descriptions of one kind alone are
asked for, that pair alone is read, labels included: so the published stages have it. Of a clip with two labels the
fine one counts. A folder with lists by split (`MERR_coarse_grained_train.txt`, as `merr export` writes them) gives the
clips of one split; for the folder of a build, its `export/merr` is read.

CSV or JSONL: columns `name` or `video` (one must be there), `label`, `description`, `subtitle`, `cues`, `group`,
`note`. A label teaches the task emotion; a description what the recipe asks for of reason and reason_v2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.readers import find_clips, label_list, one_of, transcripts_of
from emotion_llama.labels import LabelSpace
from emotion_llama.media.text_file import read_text
from emotion_llama.merr.records import SPLITS
from emotion_llama.models.folders import read_json_object
from emotion_llama.prompts.tasks import check_task
from emotion_llama.tables import read_records

COARSE, FINE = "MERR_coarse_grained", "MERR_fine_grained"
COLUMNS = ("name", "video", "label", "description", "subtitle", "cues", "group", "note")
DESCRIPTION_TASKS = ("reason", "reason_v2")


@dataclass(frozen=True)
class Example:
    """One clip with what it teaches."""

    name: str  # unique within its data set; features are found by it
    answers: Mapping[str, str]  # task (of `prompts.TASKS`) -> what the model is to answer
    media: Path | None = None  # the clip; None where features are at hand
    words: str | None = None  # the transcript; None leaves its line out
    cues: str | None = None  # measured cues as text, for layouts that have them
    group: str | None = None  # person or source, for splits and intervals
    note: str = ""  # kind of clip ("conflict", "silent", ...), for tables by kind
    truths: Mapping[str, str] = field(default_factory=dict)  # what evaluation compares with, e.g. {"label": "sad"}.

    def __post_init__(self) -> None:
        if not self.answers:
            raise InputError(f"{self.name} teaches nothing: it has no answer to any task")
        for task, answer in self.answers.items():
            check_task(task)
            if not answer.strip():
                raise InputError(f"{self.name}: the answer to task {task!r} is empty; leave the task out instead")
        for name in ("answers", "truths"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


def read_examples(
    paths: Iterable[Path],
    tasks: Collection[str],
    space: LabelSpace,
    videos: Path | None = None,
    *,
    split: str | None = None,
) -> list[Example]:
    """All examples of some folders and files, in order.

    Args:
        paths: MERR folders, CSV and JSONL files.
        tasks: of the recipe; answers to others are left out.
        space: labels must be in it.
        videos: folder of the clips that MERR files name; None: they have none.
        split: "train", "validation" or "test", of the MERR folders that have splits; None takes all their clips.

    Raises:
        InputError: a file is missing or malformed, a label is in no way a label of the space, a name stands twice with
            different contents, a MERR folder has splits and no such one, or nothing is left.
    """
    examples: dict[str, Example] = {}
    for path in paths:
        source = _merr(path, tasks, space, videos, split) if path.is_dir() else _table(path, tasks, space)
        for example in source:
            known = examples.get(example.name)
            examples[example.name] = example if known is None else _joined(known, example, path)
    if not examples:
        raise InputError(f"no examples in {', '.join(map(str, paths))} for the tasks {', '.join(sorted(tasks))}")
    return list(examples.values())


def _joined(known: Example, other: Example, path: Path) -> Example:
    """One clip that two files describe: coarse and fine."""
    for name in ("answers", "truths"):
        first, second = getattr(known, name), getattr(other, name)
        if clash := next((key for key in first if key in second and first[key] != second[key]), None):
            raise InputError(
                f"{path}: {known.name} has another {clash} than before, {second[clash][:40]!r} and not "
                f"{first[clash][:40]!r}; names must be unique over all files of a run"
            )
    either = {
        name: getattr(known, name) or getattr(other, name) for name in ("media", "words", "cues", "group", "note")
    }
    answers, truths = {**known.answers, **other.answers}, {**known.truths, **other.truths}
    return Example(known.name, answers, truths=truths, **either)


# --- MERR's own files -----------------------------------------------------------------------------------------------


def _merr(
    folder: Path, tasks: Collection[str], space: LabelSpace, videos: Path | None, split: str | None
) -> Iterator[Example]:
    pairs = [(COARSE, "caption", "reason"), (FINE, "smp_reason_caption", "reason_v2")]
    described = [pair for pair in pairs if pair[2] in tasks] or pairs
    lists = _lists(folder, [stem for stem, _, _ in described], split)
    clips = {} if videos is None else find_clips([videos])
    examples: dict[str, Example] = {}
    for stem, key, task in described:
        if stem not in lists:
            continue
        names = lists[stem]
        words = transcripts_of(names.parent)
        captions = read_json_object(names.parent / f"{stem}.json") if task in tasks else {}
        for sample in label_list(one_of(space))(names):
            name, label = sample.sample_id, sample.truth.label or ""
            answers = {"emotion": label} if "emotion" in tasks else {}
            if task in tasks:
                answers[task] = _caption(captions.get(name), key, f"{names}: {name}", task)
            if answers:
                before = examples[name].answers if name in examples else {}
                truths = {"label": label}
                examples[name] = Example(
                    name, {**before, **answers}, clips.get(name), words.get(name) or None, truths=truths
                )
    yield from examples.values()


def _lists(folder: Path, stems: Iterable[str], split: str | None) -> dict[str, Path]:
    """Stem -> the list of names to read: that of the split, where the folder has splits."""
    build = folder / "export" / "merr"
    place = build if build.is_dir() and not any((folder / f"{stem}.txt").is_file() for stem in stems) else folder
    there = [stem for stem in stems if (place / f"{stem}.txt").is_file()]
    if not there:
        expected = " or ".join(f"{stem}.txt" for stem in stems)
        raise InputError(
            f"{folder} does not hold the MERR files that the recipe's tasks need: expected {expected}; "
            "`emotion-llama merr export` writes them for a build"
        )
    splits = [name for name in SPLITS if any((place / f"{stem}_{name}.txt").is_file() for stem in there)]
    if split is None or not splits:
        return {stem: place / f"{stem}.txt" for stem in there}
    found = {stem: path for stem in there if (path := place / f"{stem}_{split}.txt").is_file()}
    if not found:
        raise InputError(f"{place} has no clips of split {split!r} (its splits: {', '.join(splits)})")
    return found


def _caption(entry: object, key: str, where: str, task: str) -> str:
    text = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where} has no {key} in the JSON file beside it, which task {task!r} needs")
    return text


# --- one's own tables -----------------------------------------------------------------------------------------------


def _table(path: Path, tasks: Collection[str], space: LabelSpace) -> Iterator[Example]:
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise InputError(f"{path}: expected a MERR folder, a .csv or a .jsonl file")
    names: set[str] = set()
    for number, row in read_records(path, COLUMNS.__contains__, ", ".join(COLUMNS), text=read_text(path, None)):
        where = f"{path}, line {number}"
        cells = {key: str(value).strip() for key, value in row.items() if value not in (None, "")}
        example = _row(where, cells, path.parent, tasks, space)
        if example is not None:
            if example.name in names:
                raise InputError(
                    f"{where}: {example.name} stands there a second time; give each clip a name of its own"
                )
            names.add(example.name)
            yield example


def _row(where: str, cells: Mapping[str, str], base: Path, tasks: Collection[str], space: LabelSpace) -> Example | None:
    media = base / cells["video"] if "video" in cells else None
    name = cells.get("name") or (media.stem if media is not None else None)
    if name is None:
        raise InputError(f"{where}: expected a name or a video, got neither")
    label = _label(cells["label"], space, where) if "label" in cells else None
    answers: dict[str, str] = {}
    if label is not None and "emotion" in tasks:
        answers["emotion"] = label
    if "description" in cells:
        answers |= {task: cells["description"] for task in DESCRIPTION_TASKS if task in tasks}
    if not answers:
        return None
    truths = {} if label is None else {"label": label}
    words, cues, group = cells.get("subtitle"), cells.get("cues"), cells.get("group")
    return Example(name, answers, media, words, cues, group, cells.get("note", ""), truths)


def _label(word: str, space: LabelSpace, where: str) -> str:
    label = space.find(word)
    if label is None:
        raise InputError(
            f"{where}: {word!r} is no label of {space.name} (labels: {', '.join(space.labels)}); "
            "set data.label_space, or map it"
        )
    return label
