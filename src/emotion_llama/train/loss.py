"""The loss of a batch whose examples count alike, or nearly, however long their answers.

Notation: B examples, L positions, V pieces of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from emotion_llama.prompts.tokenise import IGNORED

if TYPE_CHECKING:
    import torch

# Of the recipe's `run.loss`; None leaves the loss to the model: a mean over all tokens of a step.
LENGTH_POWERS: Mapping[str, float | None] = MappingProxyType({"tokens": None, "roots": 0.5, "examples": 0.0})


def mean_of_examples(logits: torch.Tensor, labels: torch.Tensor, length_power: float = 0.0) -> torch.Tensor:
    """The mean over examples of the mean over answer tokens of the cross entropy, weighted by length ** `length_power`.

    In a mean over all tokens of a batch (power 1), reasons of a hundred tokens leave nothing for labels of one or two;
    with one example a pass, as published, every example counts alike (power 0), and a token of the reasons for next to
    nothing, which a language model that still has to learn to write cannot afford. A power of 0.5 lies between. The
    weighting is our own.

    Args:
        logits: [T, V] of the T positions whose next token is an answer's, example by example.
        labels: [B, L], -100 outside the answers; T of them, the first column left out, are no -100.
        length_power: how an example counts by the length of its answer.
    """
    import torch
    from torch.nn.functional import cross_entropy

    following = labels[:, 1:]
    is_answer = following != IGNORED
    losses = cross_entropy(logits.float(), following[is_answer], reduction="none")
    counts = is_answer.sum(dim=1)
    rows = torch.repeat_interleave(torch.arange(len(labels), device=labels.device), counts)
    sums = torch.zeros(len(labels), device=losses.device).index_add(0, rows, losses)
    has_answer = counts > 0
    weights = counts[has_answer].float() ** length_power
    return (weights * sums[has_answer] / counts[has_answer]).sum() / weights.sum()


def answer_positions(labels: torch.Tensor) -> torch.Tensor:
    """[B, L] where the next token is an answer's: the positions of `mean_of_examples`' logits."""
    import torch

    return torch.nn.functional.pad(labels[:, 1:] != IGNORED, (0, 1))
