"""The order of a run: shares, passes, balance and lengths, the same for every number of processes."""

from collections import Counter

import pytest

from emotion_llama.errors import InputError
from emotion_llama.train.dataset import sample_draws
from emotion_llama.train.examples import Example

BOTH = [Example(f"both{i}", {"emotion": "sad", "reason": "x"}, truths={"label": "sad"}) for i in range(6)]
LABELLED = [Example(f"label{i}", {"emotion": "happy"}, truths={"label": "happy"}) for i in range(2)]
TASKS = {"emotion": 3.0, "reason": 1.0}


def test_tasks_come_by_their_weight_and_examples_in_whole_passes() -> None:
    draws = sample_draws(BOTH + LABELLED, TASKS, 4000, seed=1)
    tasks = Counter(task for _, task, _ in draws)
    assert tasks["emotion"] == pytest.approx(3000, abs=100)  # 3.6 standard deviations
    shown = [number for number, task, _ in draws if task == "reason"]
    for begin in range(0, len(shown) - 5, 6):
        assert sorted(shown[begin : begin + 6]) == list(range(6))  # no example twice before all came once
    assert [seed for _, _, seed in draws] == [f"1:{position}" for position in range(4000)]


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    one, same, other = (sample_draws(BOTH, TASKS, 60, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert [d[0] for d in one] != [d[0] for d in other]


def test_classes_can_be_drawn_evenly() -> None:
    draws = sample_draws(BOTH + LABELLED, {"emotion": 1.0}, 100, seed=1, balance="label")
    assert Counter((BOTH + LABELLED)[draw[0]].truths["label"] for draw in draws) == {"sad": 50, "happy": 50}
    plain = sample_draws(BOTH + LABELLED, {"emotion": 1.0}, 80, seed=1)
    assert Counter((BOTH + LABELLED)[draw[0]].truths["label"] for draw in plain) == {"sad": 60, "happy": 20}


def test_batches_hold_alike_lengths() -> None:
    examples = [Example(f"e{i:03d}", {"emotion": "sad"}) for i in range(200)]
    lengths = {example.name: i for i, example in enumerate(examples)}
    draws = sample_draws(examples, {"emotion": 1.0}, 202, seed=1, batch_size=4, lengths=lengths)
    assert Counter(draw[0] for draw in draws).most_common(3)[2][1] == 1  # 202 of 200: two come twice
    spreads = [max(d[0] for d in draws[i : i + 4]) - min(d[0] for d in draws[i : i + 4])
               for i in range(0, 200, 4)]  # fmt: skip
    assert max(spreads) <= 6
    starts = [draws[i][0] for i in range(0, 200, 4)]
    assert starts != sorted(starts)  # batches themselves come in no order


def test_refusals() -> None:
    with pytest.raises(InputError, match="no example has an answer to task 'reason'"):
        sample_draws(LABELLED, TASKS, 10, seed=1)
    with pytest.raises(InputError, match="has a 'mood' to balance by"):
        sample_draws(BOTH, TASKS, 10, seed=1, balance="mood")
