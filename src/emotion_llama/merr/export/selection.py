"""Which samples an export takes, in which language and split, and why it leaves the others out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emotion_llama.errors import InputError
from emotion_llama.merr.export.choice import LANGUAGES, SPLITS, Build, Choice
from emotion_llama.merr.records import Sample, StageRun
from emotion_llama.merr.review_figures import ReviewCounter
from emotion_llama.merr.review_fixes import with_fixes
from emotion_llama.merr.review_records import Review
from emotion_llama.merr.reviews import newest_reviews
from emotion_llama.merr.statistics import reason_kind
from emotion_llama.merr.status import reason_group
from emotion_llama.merr.values import is_coarse, is_fine, text_of


@dataclass
class Selection:
    """Walks a build once; afterwards `left_out` says what was not taken, by reason.

    Attributes:
        language: of files that hold one language.
        languages: all languages that descriptions are in, English first.
        described: a sample belongs to a set when its description is there in one of these.
        has_splits: some sample of the coarse set has a split.
        reviews: the newest of each reviewer, by clip; empty where they are not to count.
        reviewed: counts what they came to, in the last walk.
    """

    build: Build
    choice: Choice
    language: str
    languages: tuple[str, ...]
    described: tuple[str, ...]
    has_splits: bool
    reviews: Mapping[str, Sequence[Review]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    reviewed: ReviewCounter = field(init=False)

    def __post_init__(self) -> None:
        self.reviewed = ReviewCounter(self.reviews)

    def __iter__(self) -> Iterator[Taken]:
        """The samples taken, sorted by id. Walking again counts anew."""
        self.left_out.clear()
        self.reviewed = ReviewCounter(self.reviews)
        for sample in self.build.samples("all"):
            taken = self._take(sample)
            if isinstance(taken, str):
                self.left_out[taken] += 1
            else:
                yield taken

    def _take(self, sample: Sample) -> Taken | str:
        """The sample as it is taken, or why it is not."""
        verdict = self.reviewed.add(sample)
        taken = self._as_built(with_fixes(sample, verdict.fixes))
        return taken if isinstance(taken, str) or verdict.why_left_out is None else verdict.why_left_out

    def _as_built(self, sample: Sample) -> Taken | str:
        dropped = next((r for r in sample.runs.values() if r.status == "dropped" and (r.scope or "all") == "all"), None)
        if dropped is not None:
            return f"dropped at {dropped.stage}: {_kind(dropped)}"
        failed = next((r for r in sample.runs.values() if r.status == "failed"), None)
        coarse = is_coarse(sample) and self._has(sample, "coarse_caption")
        fine = is_fine(sample) and self._has(sample, "fine_caption")
        if not coarse:
            why = f"no coarse caption ({' or '.join(self.described)})"
            return f"failed at {failed.stage}: {_kind(failed)}" if failed else why
        if self.choice.scope == "fine" and not fine:
            return _why_not_fine(sample, self.described)
        split = split_of(sample)
        if split is None and self.has_splits:
            return "no split, where other clips have one"
        if self.choice.splits and (split or "train") not in self.choice.splits:
            return f"not in the split {' or '.join(self.choice.splits)}"
        return Taken(sample, split or "train", self.choice.scope != "fine", fine and self.choice.scope != "coarse")

    def _has(self, sample: Sample, name: str) -> bool:
        return any(text_of(sample.value(name, language)) is not None for language in self.described)


@dataclass(frozen=True)
class Taken:
    """A sample of the export: its split ("train" in a build without splits), and the sets it belongs to."""

    sample: Sample
    split: str
    coarse: bool
    fine: bool


def select(build: Build, choice: Choice, *, one_language: bool = True) -> Selection:
    """What an export of `build` takes; its files hold descriptions of one language, or of all that are asked for.

    Raises:
        InputError: the build has no captions in the language asked for, or none at all.
    """
    found: set[str] = set()
    has_splits = False
    for sample in build.samples("coarse"):
        found.update(language for name, language in sample.fields if name == "coarse_caption")
        has_splits = has_splits or split_of(sample) is not None
    languages = tuple(language for language in LANGUAGES if language in found)
    if not languages:
        raise InputError(f"{build.folder} has no captions to export; see: emotion-llama merr status {build.folder}")
    language = choice.language or languages[0]
    if language not in languages:
        raise InputError(
            f"{build.folder} has no captions in {language!r} (it has: {', '.join(languages)}); "
            "add the language to the recipe's languages and build again"
        )
    described = (language,) if one_language or choice.language else languages
    reviews = newest_reviews(build) if choice.reviews == "honour" else {}
    return Selection(build, choice, language, languages, described, has_splits, reviews)


def split_of(sample: Sample) -> str | None:
    """The sample's split, where it has one."""
    split = sample.value("split")
    return split if isinstance(split, str) and split in SPLITS else None


def _why_not_fine(sample: Sample, languages: Sequence[str]) -> str:
    dropped = next((r for r in sample.runs.values() if r.status == "dropped" and r.scope == "fine"), None)
    if dropped is None:
        return f"no fine caption ({' or '.join(languages)})"
    return f"dropped from the fine set at {dropped.stage}: {_kind(dropped)}"


def _kind(run: StageRun) -> str:
    """Its reason as `merr status` counts it, numbers made alike."""
    return reason_kind(reason_group(run.reason or ""))
