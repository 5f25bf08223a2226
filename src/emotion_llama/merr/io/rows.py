"""The rows behind all exports: which samples are taken, in which split, set and language, and why others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.errors import InputError
from emotion_llama.merr.records import (
    SPLITS,
    Sample,
    StageRun,
    is_coarse,
    is_fine,
    label_of,
    split_of,
    text_of,
)
from emotion_llama.merr.review.decisions import Review, newest_reviews
from emotion_llama.merr.review.figures import ReviewCounter
from emotion_llama.merr.review.fixes import with_fixes
from emotion_llama.merr.statistics import reason_kind
from emotion_llama.merr.status import reason_group
from emotion_llama.merr.store import Store

ExportScope = Literal["coarse", "fine", "both"]
Media = Literal["none", "peak", "all"]
UseOfReviews = Literal["honour", "ignore"]
# What a writer says of its work: each file's rows (None: it holds no rows), samples by set, notes for the user.
Written: TypeAlias = tuple[dict[str, int | None], Mapping[str, int], Sequence[str]]


@dataclass(frozen=True)
class Choice:
    """What to export; InputError where a value is none of those listed."""

    scope: ExportScope = "both"  # clips of the coarse set, of the fine set, or both
    # of the descriptions; None takes English where the build has it (files of one language), all of them (tables)
    language: str | None = None
    splits: tuple[str, ...] = ()  # only these; empty for all
    # what parquet holds beside the texts: nothing, the peak frames, or peak frames, face crops and sound
    media: Media = "none"
    licence: str | None = None  # for the data-set card; None leaves the field open
    name: str = "merr"  # of the data set, in the card and in dataset_info.json
    lines: bool = False  # one JSON object a line (sharegpt), for files too long to be read at once
    # whether reviewers' decisions count: what they left out is left out, what they fixed is used
    reviews: UseOfReviews = "honour"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("scope", self.scope, get_args(ExportScope)),
            ("media", self.media, get_args(Media)),
            ("reviews", self.reviews, get_args(UseOfReviews)),
            ("language", self.language or LANGUAGES[0], LANGUAGES),
            *(("split", split, SPLITS) for split in self.splits),
        ):
            if value not in known:
                raise InputError(f"an export's {what} must be one of {', '.join(known)}; got {value!r}")
        if not self.name or not self.name.replace("-", "_").replace(".", "_").isidentifier():
            raise InputError(f"a data set's name is letters, digits, - and _, got {self.name!r}")


@dataclass(frozen=True)
class Row:
    """A sample of an export: its split ("train" in a build without splits), and the sets it belongs to."""

    sample: Sample
    split: str
    coarse: bool
    fine: bool

    @property
    def clip_id(self) -> str:
        """Name of its clip."""
        return self.sample.clip.clip_id

    @property
    def label(self) -> str | None:
        """Its label."""
        return label_of(self.sample)

    @property
    def subtitle(self) -> str | None:
        """What is said."""
        return text_of(self.sample.value("subtitle"))


class Rows:
    """Walks a build; afterwards `left_out` says what was not taken, by reason. Each walk counts anew.

    Attributes:
        store: the build.
        choice: which of its samples, in which form.
        target: the folder that the export will be in; paths of its files start from there.
        language: of files that hold one language.
        described: a sample belongs to a set when its description is there in one of these languages.
        has_splits: some sample of the coarse set has a split.
        left_out: reason -> samples that the last walk did not take; writers add those they cannot write.
        reviewed: counts what reviews came to, in the last walk.

    Raises:
        InputError: the build has no captions in the language asked for, or none at all.
    """

    def __init__(self, store: Store, choice: Choice, target: Path | None = None, *, one_language: bool = True) -> None:
        self.store, self.choice, self.target = store, choice, target or store.folder
        found: set[str] = set()
        self.has_splits = False
        for sample in store.samples("coarse"):
            found.update(language for name, language in sample.fields if name == "coarse_caption")
            self.has_splits = self.has_splits or split_of(sample) is not None
        languages = tuple(language for language in LANGUAGES if language in found)
        if not languages:
            raise InputError(f"{store.folder} has no captions to export; see: emotion-llama merr status {store.folder}")
        self.language = choice.language or languages[0]
        if self.language not in languages:
            raise InputError(
                f"{store.folder} has no captions in {self.language!r} (it has: {', '.join(languages)}); "
                "add the language to the recipe's languages and build again"
            )
        self.described = (self.language,) if one_language or choice.language else languages
        self.left_out: Counter[str] = Counter()
        self._reviews: Mapping[str, Sequence[Review]] = newest_reviews(store) if choice.reviews == "honour" else {}
        self.reviewed = ReviewCounter(self._reviews)

    def __iter__(self) -> Iterator[Row]:
        self.left_out.clear()
        self.reviewed = ReviewCounter(self._reviews)
        for sample in self.store.samples("all"):
            verdict = self.reviewed.add(sample)
            taken = self._row(with_fixes(sample, verdict.fixes))
            if isinstance(taken, Row) and verdict.why_left_out is not None:
                taken = verdict.why_left_out
            if isinstance(taken, Row):
                yield taken
            else:
                self.left_out[taken] += 1

    def by_set(self, rows: int, fine: int) -> dict[str, int]:
        """Samples of each set that was asked for, in a table that holds a sample once."""
        scope = self.choice.scope
        return {"coarse": rows, "fine": fine} if scope == "both" else {scope: rows}

    def _row(self, sample: Sample) -> Row | str:
        scope = self.choice.scope
        if dropped := _run(sample, "dropped", "all"):
            return f"dropped at {_what(dropped)}"
        fine = is_fine(sample) and self._has(sample, "fine_caption")
        if not (is_coarse(sample) and self._has(sample, "coarse_caption")):
            failed = _run(sample, "failed", "all")
            return f"failed at {_what(failed)}" if failed else f"no coarse caption ({' or '.join(self.described)})"
        if scope == "fine" and not fine:
            dropped = _run(sample, "dropped", "fine")
            why = f"no fine caption ({' or '.join(self.described)})"
            return f"dropped from the fine set at {_what(dropped)}" if dropped else why
        split = split_of(sample)
        if split is None and self.has_splits:
            return "no split, where other clips have one"
        if self.choice.splits and (split or "train") not in self.choice.splits:
            return f"not in the split {' or '.join(self.choice.splits)}"
        return Row(sample, split or "train", scope != "fine", fine and scope != "coarse")

    def _has(self, sample: Sample, name: str) -> bool:
        return any(text_of(sample.value(name, language)) is not None for language in self.described)


def _run(sample: Sample, status: str, scope: str) -> StageRun | None:
    return next((r for r in sample.runs.values() if r.status == status and (r.scope or "all") == scope), None)


def _what(run: StageRun) -> str:
    return f"{run.stage}: {reason_kind(reason_group(run.reason or ''))}"


def write_utf8(path: Path, text: str) -> None:
    """Write a file of an export: UTF-8, lines end with LF everywhere."""
    path.write_text(text, encoding="utf-8", newline="\n")
