"""Scores of one system in one condition: labels with grouped intervals, calibration, reasons; and two compared.

Notation: N clips. All shares are 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import calibration, label_score
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES, Interval, bootstrap, mcnemar
from merr_synth.nano.naming import Naming, NamingTotals, total

TEMPERATURES = (0.05, 20.0)  # between which one is looked for
FIGURES = ("uar", "accuracy", "weighted_f1")
SHARES = ("share_named", "share_invented", "share_quoted_right", "share_read_right")
Probabilities = Mapping[str, float] | None  # None: no answer


@dataclass(frozen=True)
class TestClip:
    """One clip of the table: its true label, whose clips it is drawn with, and its kind ("conflict sarcasm")."""

    name: str
    label: str
    person: str
    kind: str = "plain"

    __test__ = False  # pytest, which takes classes of this name for tests


class LabelScores(NamedTuple):
    """Labels told of N clips; a clip without an answer is wrong.

    Attributes:
        clips, unanswered: N, and how many have no answer.
        figures: of `FIGURES`, with intervals over people.
        answered_accuracy: over the answered clips alone; None where there is none.
        ece: expected calibration error of the answers; None where there is none.
    """

    clips: int
    unanswered: int
    figures: Mapping[str, Interval]
    answered_accuracy: float | None
    ece: float | None


class Difference(NamedTuple):
    """UAR of one system minus another's on the same clips.

    Attributes:
        uar: with its interval over people.
        p_value: exact McNemar test, which takes clips as independent.
        only_first, only_second: clips that one alone has right.
    """

    uar: Interval
    p_value: float
    only_first: int
    only_second: int


def part_of(clips: Sequence[TestClip], kind: str) -> list[int]:
    """Numbers of the clips whose kind begins with that word; of "all", all."""
    return [i for i, clip in enumerate(clips) if kind == "all" or clip.kind.split()[0] == kind.split()[0]]


def label_of(probabilities: Probabilities) -> str | None:
    """The likeliest label; None where there is no answer."""
    return None if probabilities is None else max(probabilities, key=lambda name: probabilities[name])


def score_condition(
    clips: Sequence[TestClip], told: Sequence[Probabilities], *, num_resamples: int = NUM_RESAMPLES
) -> LabelScores:
    """Score what a system told.

    Raises:
        InputError: no clips, or another number of answers.
    """
    _check(clips, told)
    truth, people = [clip.label for clip in clips], [clip.person for clip in clips]
    answers = [label_of(one) for one in told]
    figures = {
        name: bootstrap(label_score(truth, answers, name), len(clips), groups=people, num_resamples=num_resamples)
        for name in FIGURES
    }
    answered = [(answer, label) for answer, label in zip(answers, truth) if answer is not None]
    right = sum(answer == label for answer, label in answered)
    fit = calibration(truth, told)
    return LabelScores(
        len(clips), len(clips) - len(answered), figures, right / len(answered) if answered else None,
        None if fit is None else fit["ece"],
    )  # fmt: skip


def compare(
    clips: Sequence[TestClip],
    first: Sequence[Probabilities],
    second: Sequence[Probabilities],
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Difference:
    """UAR of the first minus the second on the same clips.

    Raises:
        InputError: no clips, or another number of answers.
    """
    _check(clips, first)
    _check(clips, second)
    truth, people = [clip.label for clip in clips], [clip.person for clip in clips]
    told = [[label_of(one) for one in side] for side in (first, second)]
    scores = [label_score(truth, answers, "uar") for answers in told]
    right = [[answer == label for answer, label in zip(answers, truth)] for answers in told]
    difference = bootstrap(
        lambda rows: scores[0](rows) - scores[1](rows), len(clips), groups=people, num_resamples=num_resamples
    )
    return Difference(difference, *mcnemar(*right))


class ReasonScores(NamedTuple):
    """Reasons of N clips: sums, and the shares of `SHARES` with intervals over people; None of nothing."""

    totals: NamingTotals
    shares: Mapping[str, Interval | None]


def score_reasons(people: Sequence[str], rows: Sequence[Naming], *, num_resamples: int = NUM_RESAMPLES) -> ReasonScores:
    """Score reasons.

    Args:
        people: whose each clip is.
        rows: one a clip.
        num_resamples: of the bootstrap.

    Raises:
        InputError: no clips, or another number of rows.
    """
    _check(people, rows)
    counts = np.array([total([row]) for row in rows])
    shares: dict[str, Interval | None] = {}
    for name in SHARES:
        score = _share(counts, name)
        is_there = np.isfinite(score(np.arange(len(rows))))
        shares[name] = (
            bootstrap(score, len(rows), groups=people, num_resamples=num_resamples) if is_there else None
        )  # fmt: skip
    return ReasonScores(total(rows), shares)


def _share(counts: npt.NDArray[np.int64], name: str) -> Callable[[npt.NDArray[np.int64]], float]:
    def score(rows: npt.NDArray[np.int64]) -> float:
        value: float | None = getattr(NamingTotals(*counts[rows].sum(axis=0).tolist()), name)
        return float("nan") if value is None else value

    return score


def _check(clips: Sequence[object], told: Sequence[object]) -> None:
    if not clips or len(clips) != len(told):
        raise InputError(f"expected at least one clip and an answer for each, got {len(clips)} and {len(told)}")


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P values of several tests after Holm (1979): the smallest times their number, and so on, never falling."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, least = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - place)))
        found[i] = least
    return found


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

    bounds = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=tuple(bounds), method="bounded").x))
