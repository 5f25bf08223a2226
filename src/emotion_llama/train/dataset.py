"""The positions of a run: which example and task each is, and what the model is given of it.

Positions are sampled once from a seed, the same for any number of processes. Legend: B draws of a batch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ENCODERS, ClipFeatures
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.train.examples import DESCRIPTION_TASKS, Example

if TYPE_CHECKING:
    from transformers import BatchFeature

    from emotion_llama.models.features.published_folders import FeatureSource

# The media of an example; None where there are none.
MediaSource = Callable[[Example], ClipFeatures | None]
# A position of a run: the number of an example, the task, and the seed of what is left to chance.
Draw = tuple[int, str, str]
# What can be left out of an example: the tokens of an encoder, or the transcript, or the cues.
DROPPABLE = (*ENCODERS, "words", "cues")
NO_CUES = "Measured cues. Not measured."
WINDOW_BATCHES = 50  # examples of alike length are put together within this many batches


@dataclass(frozen=True)
class PromptConfig:
    """How examples become prompts."""

    layout: str = "train"  # of `prompts.LAYOUTS`; `evidence` has cues
    # name of `DROPPABLE` -> how often it is left out, 0..1. Something is always left: an example that would lose
    # everything keeps all.
    dropout: Mapping[str, float] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)  # task -> instruction pool in place of the task's own
    # layout -> how often it is drawn for an example, relative to the others, in place of `layout`
    layouts: Mapping[str, float] = field(default_factory=dict)
    # a description keeps all that it mentions: words and cues are never left out of its prompt, and encoders only where
    # the cues are there. Otherwise it teaches to name what is not in the prompt.
    grounded: bool = False


@dataclass(frozen=True, repr=False)
class TrainingItem:
    """One draw, ready for the processor."""

    name: str
    media: ClipFeatures
    task: str
    instruction: str
    words: str | None
    cues: str | None
    answer: str
    layout: str | None = None  # None: the collator's

    def __repr__(self) -> str:
        return f"TrainingItem({self.name}, [{self.task}], {self.media!r})"


class TrainingDataset:
    """A map-style data set: position -> `TrainingItem`. The same position is the same item in every process."""

    def __init__(
        self, examples: Sequence[Example], draws: Sequence[Draw], media: MediaSource, config: PromptConfig
    ) -> None:
        self._examples = examples
        self._draws = draws
        self._media = media
        self._config = config

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, position: int) -> TrainingItem:
        number, task, seed = self._draws[position]
        example = self._examples[number]
        media = self._media(example) or ClipFeatures()
        layout = self._layout(seed)
        has_cues = layout_named(layout).has_cues
        dropped = self._dropped(seed, task, example, media, has_cues)
        return TrainingItem(
            example.name,
            media.without(dropped),
            task,
            pick_instruction(task, pool=self._config.pools.get(task), seed=seed),
            None if "words" in dropped else example.words,
            (NO_CUES if "cues" in dropped else example.cues or NO_CUES) if has_cues else None,
            example.answers[task],
            layout,
        )

    def _layout(self, seed: str) -> str:
        layouts = self._config.layouts
        if not layouts:
            return self._config.layout
        return random.Random(f"{seed}:layout").choices(list(layouts), list(layouts.values()))[0]  # noqa: S311

    def _dropped(self, seed: str, task: str, example: Example, media: ClipFeatures, has_cues: bool) -> frozenset[str]:
        chance = random.Random(f"{seed}:dropout")  # noqa: S311 - no secret
        dropped = frozenset(name for name in DROPPABLE if chance.random() < self._config.dropout.get(name, 0.0))
        if self._config.grounded and task in DESCRIPTION_TASKS:
            dropped = dropped - {"words", "cues"} if has_cues and example.cues else frozenset()
        left = [name for name, there in zip(ENCODERS, media.present, strict=True) if there and name not in dropped]
        has_text = (example.words and "words" not in dropped) or (has_cues and example.cues and "cues" not in dropped)
        return dropped if left or has_text else frozenset()


def collate(processor: Any, layout: str, items: Sequence[TrainingItem]) -> BatchFeature:
    """The processor's batch of B items, padded on the right, with `labels` that are -100 outside the answers."""
    batch: BatchFeature = processor(
        [item.media for item in items],
        task=[item.task for item in items],
        instruction=[item.instruction for item in items],
        words=[item.words for item in items],
        cues=[item.cues for item in items],
        answers=[item.answer for item in items],
        layout=[item.layout or layout for item in items],
    )
    return batch


# --- features of examples ---------------------------------------------------------------------------------------------


def stored_media(source: FeatureSource, hidden: frozenset[str], example: Example) -> ClipFeatures | None:
    """Features by the example's name, without those of the `hidden` encoders; None where the source has none.

    Published folders hold no frames: their clips are used without one.
    """
    if example.name not in source:
        return None
    return source[example.name].without(hidden)


def usable(
    examples: Sequence[Example], media: MediaSource, *, text_alone: bool = False
) -> tuple[list[Example], dict[str, list[str]]]:
    """Examples that can be learnt from, and the names of the others by reason.

    With `text_alone`, examples with words or cues and no media are usable (modality dropout may leave no more).
    """
    kept: list[Example] = []
    left_out: dict[str, list[str]] = {}
    for example in examples:
        found = media(example)
        has_media, has_text = found is not None and any(found.present), bool(example.words or example.cues)
        if has_media or (text_alone and has_text):
            kept.append(example)
        else:
            reason = "no features of that name" if found is None else "its features hold no image, face or sound"
            left_out.setdefault(reason, []).append(example.name)
    return kept, left_out


# --- which example and task each position is --------------------------------------------------------------------------


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
        batch_size: examples of a step, over all passes and processes; used with `lengths` alone.
        lengths: example name -> length of its prompt and answer: within `WINDOW_BATCHES` batches examples are ordered
            by length, and batches shuffled, so that little is padded; None leaves the order by chance.
        balance: name of a truth ("label") by which examples are drawn evenly; None draws them as they are.

    Raises:
        InputError: a task that no example answers, or a truth that no example has.
    """
    names, weights = list(tasks), np.array(list(tasks.values()))
    columns = np.random.default_rng([seed, 1]).choice(len(names), size=num_draws, p=weights / weights.sum())
    numbers = np.zeros(num_draws, np.int64)
    for column, task in enumerate(names):
        places = np.flatnonzero(columns == column)
        rng = np.random.default_rng([seed, 2, column])
        numbers[places] = _passes(_pools(examples, task, balance), len(places), rng)
    order = np.arange(num_draws)
    if lengths is not None:
        order = _by_length(np.array([lengths[examples[i].name] for i in numbers.tolist()]), batch_size, seed)
    return [(int(numbers[i]), names[columns[i]], f"{seed}:{position}") for position, i in enumerate(order)]


def validation_draws(examples: Sequence[Example], tasks: Mapping[str, float]) -> list[Draw]:
    """Every example with each of its tasks once."""
    return [
        (i, task, f"validation:{example.name}")
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
