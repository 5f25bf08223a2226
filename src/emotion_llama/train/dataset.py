"""Training positions as the processor's batches: media, prompt and answer of each draw, with modalities left out.

Legend: B draws of a batch.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.models.clip_media import ENCODERS, ClipMedia, without
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.train.draws import Draw
from emotion_llama.train.examples import DESCRIPTION_TASKS
from emotion_llama.train.media import MediaSource
from emotion_llama.train.records import Example

if TYPE_CHECKING:
    from transformers import BatchFeature

# What can be left out of an example: what an encoder makes of it, or the words, or the cues.
DROPPABLE = (*ENCODERS, "words", "cues")
NO_CUES = "Measured cues. Not measured."


@dataclass(frozen=True)
class Asking:
    """How examples become prompts.

    Attributes:
        layout: of `prompts.LAYOUTS`; `evidence` tells cues.
        layouts: layout -> how often it is drawn for an example, relative to the others, in place of `layout`.
        dropout: name of `DROPPABLE` -> how often it is left out, 0..1. Something is always left: an example that would
            lose everything keeps all.
        grounded: a description is learnt with all that it speaks of: words and cues are never left out for it, and
            pictures and sound only where the cues are told. Otherwise it teaches to name what nobody was shown.
        pools: task -> instruction pool in place of the task's own.
        instructions: task -> the one instruction to use, e.g. of another label set.
    """

    layout: str = "train"
    dropout: Mapping[str, float] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    instructions: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, float] = field(default_factory=dict)
    grounded: bool = False

    def __post_init__(self) -> None:
        for name in (self.layout, *self.layouts):
            layout_named(name)
        if wrong := next((name for name, weight in self.layouts.items() if not weight > 0), None):
            raise InputError(f"the weight of layout {wrong!r} is {self.layouts[wrong]}, expected a number above 0")
        for name, share in self.dropout.items():
            if name not in DROPPABLE:
                raise InputError(f"{name!r} cannot be left out of an example (there are: {', '.join(DROPPABLE)})")
            if not 0 <= share < 1:
                raise InputError(f"dropout of {name} is {share}, expected 0 and more, below 1")


@dataclass(frozen=True, repr=False)
class Lesson:
    """One draw, ready for the processor."""

    name: str
    media: ClipMedia
    task: str
    instruction: str
    words: str | None
    cues: str | None
    answer: str
    layout: str | None = None  # None: the collator's

    def __repr__(self) -> str:
        return f"Lesson({self.name}, [{self.task}], {self.media!r})"


class Lessons:
    """A map-style data set: position -> `Lesson`. The same position is the same lesson in every process."""

    def __init__(self, examples: Sequence[Example], draws: Sequence[Draw], media: MediaSource, asking: Asking) -> None:
        self._examples = examples
        self._draws = draws
        self._media = media
        self._asking = asking

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, position: int) -> Lesson:
        draw = self._draws[position]
        example = self._examples[draw.example]
        media = self._media(example) or ClipMedia()
        layout = self._layout(draw)
        has_cues = layout_named(layout).has_cues
        dropped = self._dropped(draw, example, media, has_cues)
        return Lesson(
            example.name,
            without(media, dropped),
            draw.task,
            self._instruction(draw),
            None if "words" in dropped else example.words,
            (NO_CUES if "cues" in dropped else example.cues or NO_CUES) if has_cues else None,
            example.answers[draw.task],
            layout,
        )

    def _layout(self, draw: Draw) -> str:
        layouts = self._asking.layouts
        if not layouts:
            return self._asking.layout
        return random.Random(f"{draw.seed}:layout").choices(list(layouts), list(layouts.values()))[0]  # noqa: S311

    def _instruction(self, draw: Draw) -> str:
        own = self._asking.instructions.get(draw.task)
        return own or pick_instruction(draw.task, pool=self._asking.pools.get(draw.task), seed=draw.seed)

    def _dropped(self, draw: Draw, example: Example, media: ClipMedia, has_cues: bool) -> frozenset[str]:
        chance = random.Random(f"{draw.seed}:dropout")  # noqa: S311 - no secret
        dropped = frozenset(name for name in DROPPABLE if chance.random() < self._asking.dropout.get(name, 0.0))
        if self._asking.grounded and draw.task in DESCRIPTION_TASKS:
            dropped = dropped - {"words", "cues"} if has_cues and example.cues else frozenset()
        left = [name for name, there in zip(ENCODERS, media.present, strict=True) if there and name not in dropped]
        has_text = (example.words and "words" not in dropped) or (has_cues and example.cues and "cues" not in dropped)
        return dropped if left or has_text else frozenset()


class Collator:
    """Lessons -> the processor's batch with labels."""

    def __init__(self, processor: Any, layout: str) -> None:  # an EmotionLlamaProcessor
        self._processor = processor
        self._layout = layout

    def __call__(self, lessons: Sequence[Lesson]) -> BatchFeature:
        """The batch, padded on the right, with `labels` that are -100 outside the answers."""
        batch: BatchFeature = self._processor(
            [lesson.media for lesson in lessons],
            task=[lesson.task for lesson in lessons],
            instruction=[lesson.instruction for lesson in lessons],
            words=[lesson.words for lesson in lessons],
            cues=[lesson.cues for lesson in lessons],
            answers=[lesson.answer for lesson in lessons],
            layout=[lesson.layout or self._layout for lesson in lessons],
        )
        return batch
