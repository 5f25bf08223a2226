"""Whether probabilities mean what they say: expected calibration error, Brier score, log loss.

Notation: N clips, L labels, B bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float

NUM_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks (ICML 2017)
_LEAST = 1e-12  # a probability of 0 for the truth would be an infinite loss


class Bin(NamedTuple):
    """Clips whose top probability lies in (low, high]: how many, how sure on average, how often right."""

    low: float
    high: float
    num_clips: int
    confidence: float | None
    accuracy: float | None


class Calibration(NamedTuple):
    """`ece` 0..1, `brier` 0..2 (a sum over labels), `log_loss` in nats, over `num_clips` clips with probabilities."""

    ece: float
    brier: float
    log_loss: float
    num_clips: int
    bins: tuple[Bin, ...]


def calibration(
    truth: Sequence[str], probabilities: Sequence[Mapping[str, float] | None], *, num_bins: int = NUM_BINS
) -> Calibration | None:
    """Calibration of the answers that have probabilities; None when none has.

    ECE after Guo et al. (ICML 2017): equal-width bins of the top probability, mean of |accuracy - confidence| weighted
    by the bins' clips. Brier (1950): mean over clips of the squared distance to the truth's indicator. A truth that the
    system's label space does not hold has probability 0.

    Raises:
        InputError: lengths differ, or probabilities of a clip do not sum to 1.
    """
    if len(truth) != len(probabilities):
        raise InputError(f"expected probabilities for {len(truth)} clips, got {len(probabilities)}")
    kept = [(label, p) for label, p in zip(truth, probabilities, strict=True) if p is not None]
    if not kept:
        return None
    for _, p in kept:
        if abs(sum(p.values()) - 1.0) > 1e-4:
            raise InputError(f"probabilities of a clip sum to {sum(p.values()):.4f}, expected 1")
    top = np.array([max(p.values()) for _, p in kept])
    right = np.array([max(p, key=lambda name: p[name]) == label for label, p in kept], float)
    of_truth = np.array([p.get(label, 0.0) for label, p in kept])
    squares = np.array([sum(x * x for x in p.values()) for _, p in kept])
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    which = np.clip(np.ceil(top * num_bins).astype(int) - 1, 0, num_bins - 1)
    bins = tuple(_bin(edges, k, top[which == k], right[which == k]) for k in range(num_bins))
    ece = sum(
        b.num_clips * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    )
    return Calibration(
        ece=float(ece / len(kept)),
        brier=float(np.mean(squares - 2 * of_truth + 1.0)),
        log_loss=float(-np.log(np.maximum(of_truth, _LEAST)).mean()),
        num_clips=len(kept),
        bins=bins,
    )


def _bin(edges: Float, k: int, top: Float, right: Float) -> Bin:
    some = len(top) > 0
    return Bin(
        float(edges[k]),
        float(edges[k + 1]),
        len(top),
        float(top.mean()) if some else None,
        float(right.mean()) if some else None,
    )
