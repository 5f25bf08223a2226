"""Calibration of probabilities: calibration error (ECE), Brier score, log loss, and temperature scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotion_llama.errors import InputError

NUM_BINS = 15  # Guo et al., On Calibration of Modern Neural Networks (ICML 2017)
_TEMPERATURES = (0.05, 20.0)  # between which one is looked for
_MIN_PROBABILITY = 1e-12  # a probability of 0 for the truth would be an infinite loss


def calibration(
    truth: Sequence[str], probabilities: Sequence[Mapping[str, float] | None], *, num_bins: int = NUM_BINS
) -> dict[str, Any] | None:
    """Calibration of the answers that have probabilities; None when none has.

    ECE after Guo et al. (ICML 2017): equal-width bins of the top probability, mean of |accuracy - confidence| weighted
    by the bins' clips. Brier (1950): mean over clips of the squared distance to the truth's indicator. A truth that the
    predictor's label space does not hold has probability 0.

    Returns:
        "ece" 0..1, "brier" 0..2 (a sum over labels), "log_loss" in nats, "num_clips" with probabilities; and "bins", of
        each (low, high] the clips whose top probability lies there, their mean top probability and their accuracy, both
        None for an empty bin: tuples (low, high, num_clips, confidence, accuracy).

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
    bins, error = [], 0.0
    for k in range(num_bins):
        inside = which == k
        count = int(inside.sum())
        confidence, accuracy = (float(x[inside].mean()) if count else None for x in (top, right))
        bins.append((float(edges[k]), float(edges[k + 1]), count, confidence, accuracy))
        if confidence is not None and accuracy is not None:
            error += count * abs(accuracy - confidence)
    return {
        "ece": error / len(kept),
        "brier": float(np.mean(squares - 2 * of_truth + 1.0)),
        "log_loss": float(-np.log(np.maximum(of_truth, _MIN_PROBABILITY)).mean()),
        "num_clips": len(kept),
        "bins": bins,
    }


def fit_temperature(truth: Sequence[str], scores: Sequence[Mapping[str, float]]) -> float:
    """The temperature that makes probabilities fit best: softmax(score / temperature) has the least log loss.

    Temperature scaling (Guo et al., ICML 2017); fit it on clips that play no part in the metrics. It changes no label.

    Args:
        truth: the true label of each clip.
        scores: log-likelihoods of all labels, likewise.

    Raises:
        InputError: nothing to fit to, or lengths or labels differ.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    if len(truth) != len(scores) or not truth:
        raise InputError(f"expected scores for each of at least one clip, got {len(scores)} for {len(truth)} clips")
    names = sorted(scores[0])
    if unknown := next((label for label in truth if label not in names), None):
        raise InputError(f"{unknown!r} is not among the scored labels ({', '.join(names)})")
    table = np.array([[row[name] for name in names] for row in scores], float)
    rows, columns = np.arange(len(truth)), np.array([names.index(label) for label in truth])

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(table / np.exp(log_temperature), axis=1)[rows, columns].mean())

    bounds = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=tuple(bounds), method="bounded").x))
