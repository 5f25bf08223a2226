"""A build at a glance: statistics, quality, comparison, recipe and a few examples, read from its store in one pass."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from emotion_llama.errors import InputError
from emotion_llama.merr.quality.measures import Assessor, Measure
from emotion_llama.merr.records import Sample, is_coarse, is_fine, label_of, part
from emotion_llama.merr.review.decisions import newest_reviews
from emotion_llama.merr.review.figures import ReviewCounter, ReviewStatistics
from emotion_llama.merr.statistics import Collector, Statistics, by_size

if TYPE_CHECKING:
    from emotion_llama.merr.store import Store

MAX_EXAMPLES = 3  # of one label
# The page says of each data set whether it is large enough, not from which size on. EMER, which it calls too small,
# has 332 samples at most; the smallest that it calls large enough has some thousands. Own choice between them.
ENOUGH_SAMPLES = 1000
# Column of the published comparison -> the field that fills it.
FIELD_OF: Mapping[str, str] = {
    "audio_description": "audio_tone",
    "visual_objective_description": "visual_objective",
    "visual_expression_description": "visual_expression",
    "classification_label": "label",
    "multimodal_description": "fine_caption",
}
Example: TypeAlias = tuple[Sample, bytes | None]  # with its peak frame as PNG, where there is one
_Rank: TypeAlias = tuple[bool, float, str]  # has a fine description, how strong or how drawn, id


@dataclass(frozen=True, repr=False)
class Overview:
    """What `merr stats` shows."""

    name: str  # of the build
    statistics: Statistics  # `statistics.collect`
    measures: tuple[Measure, ...]  # of its quality
    # `compare`
    comparison: dict[str, Any]  # JSON values, as `compare` says
    examples: tuple[Example, ...]  # samples to look at
    # of the build, as plain values; empty without one
    recipe: Mapping[str, Any]  # JSON values of any depth
    reviews: ReviewStatistics | None = None  # counted; None where nobody has reviewed anything


def look_over(store: Store, *, with_examples: bool = True) -> Overview:
    """Read a build once and count it; choose up to three examples a label, with their pictures."""
    collector, assessor, chooser = Collector(), Assessor(), Chooser()
    reviews = newest_reviews(store)
    reviewed = ReviewCounter(reviews)
    for sample in store.samples("all"):
        collector.add(sample)
        assessor.add(sample)
        reviewed.add(sample)
        if with_examples:
            chooser.add(sample)
    statistics, name = collector.result(), store.folder.resolve().name
    return Overview(
        name, statistics, assessor.measures(), compare(statistics, name),
        examples=tuple((s, store.artifact(s.clip.clip_id, "peak_frame")) for s in chooser.chosen()),
        recipe={} if store.recipe is None else store.recipe.model_dump(mode="json"),
        reviews=reviewed.result() if reviews else None,
    )  # fmt: skip


def overview_document(overview: Overview) -> dict[str, Any]:  # a JSON object
    """The figures as JSON values, without examples."""
    return {
        "name": overview.name,
        "statistics": overview.statistics,
        "quality": [asdict(measure) for measure in overview.measures],
        "comparison": overview.comparison,
        "reviews": overview.reviews,
        "recipe": dict(overview.recipe),
    }


def compare(statistics: Statistics, name: str) -> dict[str, Any]:  # JSON values
    """The published table of which data set has which annotations, with a row for a build called `name`.

    A build has an annotation when any of its samples has it; beside it stands the share that does. Its quantity is
    sufficient from 1,000 samples on.

    Returns:
        `columns` with their titles; `rows`, each with `name`, `has` (column -> bool), `shares` where they are known,
        `coarse` and `fine` samples or None, and `is_own`; `source` of the published rows.
    """
    import yaml

    text = resources.files("emotion_llama.merr").joinpath("data/comparison.yaml").read_text(encoding="utf-8")
    published = yaml.safe_load(text)
    columns, coarse, fine = dict(published["columns"]), statistics["coarse"], statistics["fine"]
    sizes = published["sizes"]
    rows = [
        {"name": row, "has": dict(zip(columns, marks, strict=True)), "shares": {},
         "coarse": sizes.get(row, {}).get("coarse"), "fine": sizes.get(row, {}).get("fine"), "is_own": False}
        for row, marks in published["rows"].items()
    ]  # fmt: skip
    shares = {column: _share(statistics, field) for column, field in FIELD_OF.items()}
    has = {"sufficient_quantity": coarse >= ENOUGH_SAMPLES, **{c: s > 0 for c, s in shares.items()}}
    own = {"name": name, "has": has, "shares": shares, "coarse": coarse, "fine": fine, "is_own": True}
    return {"columns": columns, "rows": [*rows, own], "source": published["source"]}


def _share(statistics: Statistics, field: str) -> float:
    """Share of the coarse set that has the field, in the language that has it most often."""
    coarse: int = statistics["coarse"]
    if field == "fine_caption":  # one that was dropped from the fine set does not count
        return statistics["fine"] / coarse if coarse else 0.0
    present = max((c["present"] for c in statistics["coverage"] if c["name"] == field), default=0)
    return present / coarse if coarse else 0.0


class Chooser:
    """Examples of each label: the strongest expression, one in conflict, and others that chance chose.

    Of these, those with a fine description come first. Holds a few samples a label, however many it sees.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._ranked: defaultdict[tuple[str, str], list[tuple[_Rank, Sample]]] = defaultdict(list)  # label, kind

    def add(self, sample: Sample) -> None:
        """Offer one sample."""
        label = label_of(sample)
        if label is None or not is_coarse(sample):
            return
        self._counts[label] += 1
        clip_id, fine, score = sample.clip.clip_id, is_fine(sample), part(sample.value("label"), "score")
        strong = float(score) if isinstance(score, (int, float)) else 0.0
        drawn = float(crc32(clip_id.encode()))  # a hash of the id stands for chance, the same on every run
        self._offer((label, "strongest"), (fine, strong, clip_id), sample, 1)
        if sample.value("conflicts"):
            self._offer((label, "conflict"), (fine, drawn, clip_id), sample, 1)
        self._offer((label, "others"), (fine, drawn, clip_id), sample, MAX_EXAMPLES)

    def _offer(self, place: tuple[str, str], rank: _Rank, sample: Sample, most: int) -> None:
        ranked = [*self._ranked[place], (rank, sample)]
        self._ranked[place] = sorted(ranked, key=lambda item: item[0], reverse=True)[:most]

    def chosen(self) -> tuple[Sample, ...]:
        """At most three a label, labels by the number of their samples."""
        found: list[Sample] = []
        for label in by_size(self._counts):
            offered = [s for kind in ("strongest", "conflict", "others") for _, s in self._ranked[label, kind]]
            found += list({s.clip.clip_id: s for s in offered}.values())[:MAX_EXAMPLES]
        return tuple(found)


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
