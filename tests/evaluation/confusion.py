"""Truths and answers that have a given confusion matrix."""

from collections.abc import Sequence


def from_confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[list[str], list[str | None]]:
    """Of a matrix [L, L], rows are the truth."""
    cells = [
        (label, answer, n)
        for label, row in zip(labels, counts, strict=True)
        for answer, n in zip(labels, row, strict=True)
    ]
    truth = [label for label, _, n in cells for _ in range(n)]
    answers: list[str | None] = [answer for _, answer, n in cells for _ in range(n)]
    return truth, answers
