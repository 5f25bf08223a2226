"""Every example counts alike, by hand."""

import math

import pytest
import torch

from emotion_llama.train.trainer import answer_positions, mean_of_examples


def test_a_short_answer_counts_as_much_as_a_long_one() -> None:
    labels = torch.tensor([[-100, -100, 1, -100], [-100, 0, 0, 0]])
    logits = torch.zeros(2, 4, 2)
    logits[0, 1, 1] = math.log(3.0)  # the label's token has probability 3/4; all others 1/2
    where = answer_positions(labels)
    assert where.tolist() == [[False, True, False, False], [True, True, True, False]]
    loss = mean_of_examples(logits[where], labels)
    assert float(loss) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    # By the root of the length the three tokens count sqrt(3) times the one; by the length, three times.
    for power, weight in ((0.5, math.sqrt(3)), (1.0, 3.0)):
        loss = mean_of_examples(logits[where], labels, power)
        assert float(loss) == pytest.approx((math.log(4 / 3) + weight * math.log(2)) / (1 + weight))


def test_an_example_without_an_answer_counts_for_nothing() -> None:
    labels = torch.tensor([[-100, -100], [-100, 1]])
    logits = torch.zeros(2, 2, 4)
    assert float(mean_of_examples(logits[answer_positions(labels)], labels)) == pytest.approx(math.log(4))
