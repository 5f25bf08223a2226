"""Training positions as the processor's batches: features, prompt and answer of each draw, with modalities left out.

Legend: B draws of a batch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emotion_llama.models.clips import ENCODERS, ClipFeatures
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.train.examples import DESCRIPTION_TASKS, Example
from emotion_llama.train.sampler import Draw

if TYPE_CHECKING:
    from transformers import BatchFeature

    from emotion_llama.models.features.sources import FeatureSource

# The media of an example; None where there are none.
MediaSource = Callable[[Example], ClipFeatures | None]
# What can be left out of an example: the tokens of an encoder, or the transcript, or the cues.
DROPPABLE = (*ENCODERS, "words", "cues")
NO_CUES = "Measured cues. Not measured."


@dataclass(frozen=True)
class PromptConfig:
    """How examples become prompts.

    Attributes:
        layout: of `prompts.LAYOUTS`; `evidence` has cues.
        dropout: name of `DROPPABLE` -> how often it is left out, 0..1. Something is always left: an example that would
            lose everything keeps all.
        pools: task -> instruction pool in place of the task's own.
        layouts: layout -> how often it is drawn for an example, relative to the others, in place of `layout`.
        grounded: a description keeps all that it mentions: words and cues are never left out of its prompt, and
            encoders only where the cues are there. Otherwise it teaches to name what is not in the prompt.
    """

    layout: str = "train"
    dropout: Mapping[str, float] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, float] = field(default_factory=dict)
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
        draw = self._draws[position]
        example = self._examples[draw.example]
        media = self._media(example) or ClipFeatures()
        layout = self._layout(draw)
        has_cues = layout_named(layout).has_cues
        dropped = self._dropped(draw, example, media, has_cues)
        return TrainingItem(
            example.name,
            media.without(dropped),
            draw.task,
            pick_instruction(draw.task, pool=self._config.pools.get(draw.task), seed=draw.seed),
            None if "words" in dropped else example.words,
            (NO_CUES if "cues" in dropped else example.cues or NO_CUES) if has_cues else None,
            example.answers[draw.task],
            layout,
        )

    def _layout(self, draw: Draw) -> str:
        layouts = self._config.layouts
        if not layouts:
            return self._config.layout
        return random.Random(f"{draw.seed}:layout").choices(list(layouts), list(layouts.values()))[0]  # noqa: S311

    def _dropped(self, draw: Draw, example: Example, media: ClipFeatures, has_cues: bool) -> frozenset[str]:
        chance = random.Random(f"{draw.seed}:dropout")  # noqa: S311 - no secret
        dropped = frozenset(name for name in DROPPABLE if chance.random() < self._config.dropout.get(name, 0.0))
        if self._config.grounded and draw.task in DESCRIPTION_TASKS:
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

    Args:
        examples: to be sorted.
        media: of an example.
        text_alone: examples with words or cues and no media count as usable (modality dropout may leave no more).
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
