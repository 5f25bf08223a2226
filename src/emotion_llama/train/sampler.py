"""Which example and task each position of a run is: sampled once from a seed, for any number of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.train.examples import Example

WINDOW_BATCHES = 50  # examples of alike length are put together within this many batches


class Draw(NamedTuple):
    """A position of a run: the number of an example, the task, and the seed of what is left to chance."""

    example: int
    task: str
    seed: str


def sample_draws(
    examples: Sequence[Example],
    tasks: Mapping[str, float],
    num_draws: int,
    *,
    seed: int,
    batch_size: int = 1,
    lengths: Mapping[str, int] | None = None,
    balance: str | None = None,
) -> list[Draw]:
    """All draws of a run.

    A task is drawn by its weight for each position (so the published code mixes tasks within its iterations). Examples
    of a task come in passes: each pass shuffles all examples that have an answer to it, so that none comes a second
    time before all came once. With `balance`, each class of that truth is as frequent as the others, in passes of its
    own.

    Args:
        examples: of the whole training set.
        tasks: task -> how often it is drawn, relative to the others.
        num_draws: positions: steps x examples a step, over all processes.
        seed: of everything.
        batch_size: examples that share a pass through the model; used with `lengths` alone.
        lengths: example name -> length of its prompt and answer: within `WINDOW_BATCHES` batches examples are ordered
            by length, and batches shuffled, so that little is padded; None leaves the order by chance.
        balance: name of a truth ("label") by which examples are drawn evenly; None draws them as they are.

    Raises:
        InputError: no draws, a weight that is not above 0, a task that no example answers, or a truth that no example
            has.
    """
    if num_draws < 1 or not tasks:
        raise InputError(f"a run needs draws and tasks, got {num_draws} draws and {len(tasks)} tasks")
    if wrong := next((task for task, weight in tasks.items() if not weight > 0), None):
        raise InputError(f"the weight of task {wrong!r} is {tasks[wrong]}, expected a number above 0")
    names, weights = list(tasks), np.array(list(tasks.values()))
    columns = np.random.default_rng([seed, 1]).choice(len(names), size=num_draws, p=weights / weights.sum())
    numbers = np.zeros(num_draws, np.int64)
    for column, task in enumerate(names):
        places = np.flatnonzero(columns == column)
        rng = np.random.default_rng([seed, 2, column])
        numbers[places] = _passes(_pools(examples, task, balance), len(places), rng)
    order = np.arange(num_draws)
    if lengths is not None:
        order = _by_length(np.array([lengths[examples[i].name] for i in numbers]), batch_size, seed)
    return [Draw(int(numbers[i]), names[columns[i]], f"{seed}:{position}") for position, i in enumerate(order)]


def validation_draws(examples: Sequence[Example], tasks: Mapping[str, float]) -> list[Draw]:
    """Every example with each of its tasks once."""
    return [
        Draw(i, task, f"validation:{example.name}")
        for i, example in enumerate(examples)
        for task in tasks
        if task in example.answers
    ]


def _pools(examples: Sequence[Example], task: str, balance: str | None) -> list[npt.NDArray[np.int64]]:
    """Numbers of the examples that answer a task; one pool a class where classes are balanced."""
    found = [i for i, example in enumerate(examples) if task in example.answers]
    if not found:
        raise InputError(f"no example has an answer to task {task!r}; leave the task out of the recipe")
    if balance is None:
        return [np.array(found)]
    classes = sorted({examples[i].truths[balance] for i in found if balance in examples[i].truths})
    if not classes:
        raise InputError(f"no example of task {task!r} has a {balance!r} to balance by; leave `balance` out")
    return [np.array([i for i in found if examples[i].truths.get(balance) == one]) for one in classes]


def _passes(pools: Sequence[npt.NDArray[np.int64]], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`count` numbers, each pool in shuffled passes; pools take turns in an order that is shuffled each round."""
    if len(pools) == 1:
        passes = -(-count // len(pools[0]))
        whole: npt.NDArray[np.int64] = np.concatenate([rng.permutation(pools[0]) for _ in range(max(passes, 1))])
        return whole[:count]
    rounds = -(-count // len(pools))
    turns = np.concatenate([rng.permutation(len(pools)) for _ in range(max(rounds, 1))])[:count]
    out = np.zeros(count, np.int64)
    for number, pool in enumerate(pools):
        places = np.flatnonzero(turns == number)
        out[places] = _passes([pool], len(places), rng)
    return out


def _by_length(lengths: npt.NDArray[np.int64], batch_size: int, seed: int) -> npt.NDArray[np.int64]:
    """An order of the positions in which batches hold alike lengths."""
    rng = np.random.default_rng([seed, 3])
    window = batch_size * WINDOW_BATCHES
    order: list[npt.NDArray[np.int64]] = []
    for begin in range(0, len(lengths), window):
        inside = begin + np.argsort(lengths[begin : begin + window], kind="stable")
        batches = [inside[i : i + batch_size] for i in range(0, len(inside), batch_size)]
        # A smaller last batch stays last, or it would shift all that follow.
        last = [batches.pop()] if len(batches[-1]) < batch_size else []
        order += [*(batches[i] for i in rng.permutation(len(batches))), *last]
    return np.concatenate(order)
