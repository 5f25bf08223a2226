"""A build at a glance: statistics, quality, comparison, recipe and a few examples, read from its store in one pass."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from emotion_llama.errors import InputError
from emotion_llama.merr.assessor import Assessor
from emotion_llama.merr.comparison import Comparison, compare
from emotion_llama.merr.counts import by_size, is_coarse, is_fine
from emotion_llama.merr.figures import Statistics
from emotion_llama.merr.quality import Measure
from emotion_llama.merr.records import Sample
from emotion_llama.merr.review_figures import ReviewCounter, ReviewStatistics
from emotion_llama.merr.reviews import newest_reviews
from emotion_llama.merr.statistics import Collector
from emotion_llama.merr.values import label_of, part

if TYPE_CHECKING:
    from emotion_llama.merr.store import Store

MOST_EXAMPLES = 3  # of one label
_Rank: TypeAlias = tuple[bool, float, str]  # has a fine description, how strong or how drawn, id


@dataclass(frozen=True, repr=False)
class Example:
    """A sample to look at, with its peak frame as PNG bytes where there is one."""

    sample: Sample
    picture_png: bytes | None


@dataclass(frozen=True, repr=False)
class Overview:
    """What `merr stats` shows. `recipe` is the build's, as plain values."""

    name: str
    statistics: Statistics
    measures: tuple[Measure, ...]
    comparison: Comparison
    examples: tuple[Example, ...]
    recipe: Mapping[str, Any]  # JSON values of any depth
    reviews: ReviewStatistics | None = None  # None where nobody has reviewed anything


def look_over(store: Store, *, with_examples: bool = True) -> Overview:
    """Read a build once and count it.

    Args:
        store: open, for reading at least.
        with_examples: also choose up to three samples a label and read their pictures.
    """
    collector, assessor, chooser = Collector(), Assessor(), Chooser()
    reviews = newest_reviews(store)
    reviewed = ReviewCounter(reviews)
    for sample in store.samples("all"):
        collector.add(sample)
        assessor.add(sample)
        reviewed.add(sample)
        if with_examples:
            chooser.add(sample)
    statistics = collector.result()
    examples = tuple(Example(s, store.artifact(s.clip.clip_id, "peak_frame")) for s in chooser.chosen())
    name = store.folder.resolve().name
    recipe = {} if store.recipe is None else store.recipe.model_dump(mode="json")
    return Overview(
        name, statistics, assessor.measures(), compare(statistics, name), examples, recipe,
        reviewed.result() if reviews else None,
    )  # fmt: skip


class Chooser:
    """Examples of each label: the strongest expression, one in conflict, and others that chance chose.

    Of these, those with a fine description come first. Holds a few samples a label, however many it sees.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._strongest: dict[str, tuple[_Rank, Sample]] = {}
        self._conflict: dict[str, tuple[_Rank, Sample]] = {}
        self._others: dict[str, list[tuple[_Rank, Sample]]] = defaultdict(list)

    def add(self, sample: Sample) -> None:
        """Offer one sample."""
        label = label_of(sample)
        if label is None or not is_coarse(sample):
            return
        self._counts[label] += 1
        clip_id = sample.clip.clip_id
        score = part(sample.value("label"), "score")
        strong = (is_fine(sample), float(score) if isinstance(score, (int, float)) else 0.0, clip_id)
        # A hash of the id stands for chance, the same on every run.
        drawn = (is_fine(sample), float(crc32(clip_id.encode())), clip_id)
        _keep_larger(self._strongest, label, strong, sample)
        if sample.value("conflicts"):
            _keep_larger(self._conflict, label, drawn, sample)
        self._others[label] = sorted([*self._others[label], (drawn, sample)], key=lambda item: item[0])[-MOST_EXAMPLES:]

    def chosen(self) -> tuple[Sample, ...]:
        """At most three a label, labels by the number of their samples."""
        found: list[Sample] = []
        for label in by_size(self._counts):
            offered = [self._strongest[label][1], *(s for _, s in reversed(self._others[label]))]
            if label in self._conflict:
                offered.insert(1, self._conflict[label][1])
            found += list({s.clip.clip_id: s for s in offered}.values())[:MOST_EXAMPLES]
        return tuple(found)


def _keep_larger(kept: dict[str, tuple[_Rank, Sample]], label: str, rank: _Rank, sample: Sample) -> None:
    if label not in kept or kept[label][0] < rank:
        kept[label] = (rank, sample)


def find_clip(store: Store, wanted: str) -> str:
    """The id of a clip by its id, by a beginning that only one has, or by its media file.

    Raises:
        InputError: none has it, or several, or it was set aside; the message names some.
    """
    clips = store.clips()
    ids = [clip.clip_id for clip in clips]
    path = os.path.abspath(wanted)  # noqa: PTH100  (links stay as named, as the ledger has them)
    found = (
        [wanted] if wanted in ids
        else [clip.clip_id for clip in clips if clip.path == path]
        or [clip_id for clip_id in ids if clip_id.startswith(wanted)]
    )  # fmt: skip
    if len(found) == 1:
        return found[0]
    aside = store.query("SELECT why_left FROM clips WHERE NOT here AND (clip_id = ? OR path = ?)", (wanted, path))
    if aside and not found:
        raise InputError(f"{wanted!r} was set aside, {aside[0][0]}; build with it among the inputs to have it back")
    if found:
        raise InputError(f"{wanted!r} begins {len(found)} clips: {', '.join(found[:5])}...; give more of the id")
    near = get_close_matches(wanted, ids, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"its {len(ids)} clips begin with {', '.join(ids[:3])}"
    raise InputError(f"{store.folder} has no clip {wanted!r}; {hint}")


def sample_document(sample: Sample) -> dict[str, Any]:  # a JSON object
    """A sample as JSON values."""
    return {
        "clip": asdict(sample.clip),
        "fields": [asdict(sample.fields[key]) for key in sorted(sample.fields)],
        "runs": [asdict(sample.runs[stage]) for stage in sorted(sample.runs)],
        "artifacts": dict(sorted(sample.artifacts.items())),
    }


def overview_document(overview: Overview) -> dict[str, Any]:  # a JSON object
    """The figures as JSON values, without examples."""
    return {
        "name": overview.name,
        "statistics": asdict(overview.statistics),
        "quality": [asdict(measure) for measure in overview.measures],
        "comparison": asdict(overview.comparison),
        "reviews": None if overview.reviews is None else asdict(overview.reviews),
        "recipe": dict(overview.recipe),
    }
