"""Small figures that all counters share: who belongs to a set, spreads, counts in order, reasons made alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from emotion_llama.merr.figures import Spread
from emotion_llama.merr.records import Sample, Scope

UNKNOWN = "not known"


def is_coarse(sample: Sample) -> bool:
    """The sample belongs to the coarse set: never dropped as a whole, and with a coarse caption."""
    return not _is_dropped(sample, "all") and _has(sample, "coarse_caption")


def is_fine(sample: Sample) -> bool:
    """The sample belongs to the fine set: in the coarse set, with a fine caption, and not dropped from there."""
    return is_coarse(sample) and not _is_dropped(sample, "fine") and _has(sample, "fine_caption")


def by_size(counter: Mapping[str, int]) -> dict[str, int]:
    """Counts by falling size, equal ones by name: the same on every run."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def spread(numbers: Sequence[float]) -> Spread | None:
    """Mean, extremes and percentiles (linear interpolation); None of no numbers."""
    if not numbers:
        return None
    low, median, high = (float(v) for v in np.percentile(numbers, (10, 50, 90)))
    return Spread(len(numbers), float(np.mean(numbers)), float(min(numbers)), low, median, high, float(max(numbers)))


def reason_kind(reason: str) -> str:
    """A reason whose numbers and quoted names are made alike, so that it can be counted."""
    named = re.sub(r"(?<!\w)'[^']*'|\"[^\"]*\"", "…", reason)
    return re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", "N", named)


def _is_dropped(sample: Sample, scope: Scope) -> bool:
    return any(run.status == "dropped" and (run.scope or "all") == scope for run in sample.runs.values())


def _has(sample: Sample, name: str) -> bool:
    return any(f.value is not None for (found, _), f in sample.fields.items() if found == name)
