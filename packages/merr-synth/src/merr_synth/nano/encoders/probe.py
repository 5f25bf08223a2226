"""How much of the truth one linear map finds in an encoder's vectors, on people it never saw.

The encoder stays as it is; on its vectors of training clips a ridge regression for each figure and a logistic one for
the label are fitted anew, and asked about the validation clips.

Legend: R rows, D width, T figures, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import score_labels
from emotion_llama.labels import MERR9
from emotion_llama.records import Float
from merr_synth.nano.encoders.lessons import FIGURES, Lesson, Lessons, TowerName, collate
from merr_synth.nano.encoders.targets import NO_LABEL

RIDGE = 1.0  # on vectors of unit deviation; own
_LOGISTIC_DECAY = 1e-3
_LOGISTIC_STEPS = 200


@dataclass(frozen=True, repr=False)
class Vectors:
    """Vectors of clips and what is true of them: rows [R, D] with figures [R, T], clips [B, D] with labels [B]."""

    rows: Float
    figures: Float
    clips: Float
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FigureScore:
    """One figure on validation rows: share of its variance explained, correlation, and how many rows tell it."""

    r2: float
    correlation: float
    rows: int


@dataclass(frozen=True)
class ProbeScores:
    """What the probes of one encoder reached; `uar` is over the nine labels (chance: 0.11)."""

    figures: Mapping[str, FigureScore]
    uar: float
    clips: int


def vectors_of(model: Any, lessons: Lessons, batch_size: int = 32) -> Vectors:
    """The encoder's vectors of lessons that are not varied.

    A frame's patch mean, which the global encoder gives beside its CLS, is left out: the CLS is what is asked about.
    """
    import torch

    model.eval()
    rows, figures, clips, labels = [], [], [], []
    with torch.inference_mode():
        for start in range(0, len(lessons), batch_size):
            chunk: list[Lesson] = [lessons[i] for i in range(start, min(start + batch_size, len(lessons)))]
            batch = collate(chunk)
            seen = model.see(batch["inputs"], batch["lengths"], len(chunk))
            rows.append(seen.rows[: len(batch["figures"])].float().numpy())
            clips.append(seen.clips.float().numpy())
            figures.append(batch["figures"].numpy())
            labels.append(batch["labels"].numpy())
    return Vectors(*(np.concatenate(part) for part in (rows, figures, clips, labels)))


def probe(tower: TowerName, learnt: Vectors, asked: Vectors) -> ProbeScores:
    """Fit on `learnt`, score on `asked`.

    Raises:
        InputError: no clip of one of them has a label.
    """
    told = ridge(learnt.rows, learnt.figures, asked.rows)
    scores = {name: figure_score(asked.figures[:, i], told[:, i]) for i, name in enumerate(FIGURES[tower])}
    known, wanted = learnt.labels != NO_LABEL, asked.labels != NO_LABEL
    if not known.any() or not wanted.any():
        raise InputError("no clip has a label to probe for; render more clips")
    guessed = logistic(learnt.clips[known], learnt.labels[known], asked.clips[wanted])
    names = MERR9.labels
    truth = [names[i] for i in asked.labels[wanted]]
    result = score_labels(truth, [names[i] for i in guessed], labels=names)
    return ProbeScores({name: score for name, score in scores.items() if score is not None}, result["uar"],
                       int(wanted.sum()))  # fmt: skip


def ridge(known: Float, figures: Float, asked: Float) -> Float:
    """[R, T] figures of vectors `asked`, by a ridge regression for each on the rows [., D] that tell it."""
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    x, z = (known - mean) / deviation, (asked - mean) / deviation
    told = np.full((len(z), figures.shape[1]), np.nan)
    for column, wanted in enumerate(figures.T):
        there = np.isfinite(wanted)
        if not there.any():
            continue
        centre, offset = x[there].mean(axis=0), wanted[there].mean()
        inner = x[there] - centre
        weights = np.linalg.solve(inner.T @ inner + RIDGE * np.eye(x.shape[1]), inner.T @ (wanted[there] - offset))
        told[:, column] = (z - centre) @ weights + offset
    return told


def figure_score(wanted: Float, told: Float) -> FigureScore | None:
    """R2 and Pearson's correlation over rows where both are numbers; None where there is nothing to explain."""
    there = np.isfinite(wanted) & np.isfinite(told)
    y, f = wanted[there].astype(np.float64), told[there].astype(np.float64)
    if len(y) < 2 or y.std() < 1e-6:
        return None
    r2 = 1 - float(((y - f) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return FigureScore(r2, float(np.corrcoef(y, f)[0, 1]) if f.std() > 1e-9 else 0.0, len(y))


def logistic(known: Float, labels: npt.NDArray[np.int64], asked: Float) -> npt.NDArray[np.int64]:
    """[R] labels of vectors `asked`, by a multinomial logistic regression."""
    import torch

    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    x, z = (torch.from_numpy(((v - mean) / deviation).astype(np.float32)) for v in (known, asked))
    y = torch.from_numpy(labels)
    weights = torch.zeros(x.shape[1] + 1, len(MERR9.labels), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_LOGISTIC_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weights[:-1] + weights[-1], y)
        value = value + _LOGISTIC_DECAY * (weights[:-1] ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return np.asarray((z @ weights[:-1] + weights[-1]).argmax(dim=1).numpy(), np.int64)


def probe_lines(tower: str, scores: ProbeScores) -> list[str]:
    """A table of at most 80 columns."""
    lines = [
        f"{tower}: label UAR {scores.uar:.3f} of {scores.clips} clips",
        f"  {'figure':<34}{'R2':>7}{'r':>7}{'rows':>8}",
    ]
    return lines + [
        f"  {name:<34}{score.r2:>7.2f}{score.correlation:>7.2f}{score.rows:>8}"
        for name, score in scores.figures.items()
    ]


def mean_r2(scores: ProbeScores, names: Sequence[str] | None = None) -> float:
    """Mean of the figures' R2, of all or of those named."""
    chosen = [score.r2 for name, score in scores.figures.items() if names is None or name in names]
    return float(np.mean(chosen))
