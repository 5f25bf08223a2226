"""Which samples an export takes, in which language and split, and why it leaves the others out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from emotion_llama.errors import InputError
from emotion_llama.merr.counts import is_coarse, is_fine, reason_kind
from emotion_llama.merr.export.choice import LANGUAGES, SPLITS, Build, Choice
from emotion_llama.merr.records import Sample
from emotion_llama.merr.values import text_of


@dataclass
class Selection:
    """Walks a build once; afterwards `left_out` says what was not taken, by reason.

    Attributes:
        language: whose captions decide whether a sample belongs to a set.
        languages: all languages that descriptions are in, English first.
        has_splits: some sample of the coarse set has a split.
    """

    build: Build
    choice: Choice
    language: str
    languages: tuple[str, ...]
    has_splits: bool
    left_out: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Taken]:
        """The samples taken, sorted by id. Walking again counts anew."""
        self.left_out.clear()
        for sample in self.build.samples("all"):
            taken = self._take(sample)
            if isinstance(taken, str):
                self.left_out[taken] += 1
            else:
                yield taken

    def _take(self, sample: Sample) -> Taken | str:
        """The sample as it is taken, or why it is not."""
        dropped = next((r for r in sample.runs.values() if r.status == "dropped" and (r.scope or "all") == "all"), None)
        if dropped is not None:
            return f"dropped at {dropped.stage}: {reason_kind(dropped.reason or '')}"
        failed = next((r for r in sample.runs.values() if r.status == "failed"), None)
        coarse = is_coarse(sample) and text_of(sample.value("coarse_caption", self.language)) is not None
        fine = is_fine(sample) and text_of(sample.value("fine_caption", self.language)) is not None
        if not coarse:
            why = f"no coarse caption ({self.language})"
            return f"failed at {failed.stage}: {reason_kind(failed.reason or '')}" if failed else why
        if self.choice.scope == "fine" and not fine:
            return _why_not_fine(sample, self.language)
        split = split_of(sample)
        if split is None and self.has_splits:
            return "no split, where other clips have one"
        if self.choice.splits and (split or "train") not in self.choice.splits:
            return f"not in the split {' or '.join(self.choice.splits)}"
        return Taken(sample, split or "train", self.choice.scope != "fine", fine and self.choice.scope != "coarse")


@dataclass(frozen=True)
class Taken:
    """A sample of the export: its split ("train" in a build without splits), and the sets it belongs to."""

    sample: Sample
    split: str
    coarse: bool
    fine: bool


def select(build: Build, choice: Choice) -> Selection:
    """What an export of `build` takes.

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
    return Selection(build, choice, language, languages, has_splits)


def split_of(sample: Sample) -> str | None:
    """The sample's split, where it has one."""
    split = sample.value("split")
    return split if isinstance(split, str) and split in SPLITS else None


def wanted_languages(selection: Selection) -> Sequence[str]:
    """Languages of the columns of a table: the one asked for, or all."""
    return (selection.language,) if selection.choice.language else selection.languages


def _why_not_fine(sample: Sample, language: str) -> str:
    dropped = next((r for r in sample.runs.values() if r.status == "dropped" and r.scope == "fine"), None)
    if dropped is None:
        return f"no fine caption ({language})"
    return f"dropped from the fine set at {dropped.stage}: {reason_kind(dropped.reason or '')}"
