"""A clip made ready for a model's questions: what its encoders saw, kept apart from the words told beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emotion_llama.records import Missing

if TYPE_CHECKING:
    import torch

    from emotion_llama.models.clip_media import ClipMedia
    from emotion_llama.prompts.builder import Turn


@dataclass(frozen=True, repr=False, eq=False)
class Encoded:
    """What the encoders made of a clip's frame, faces and sound; depends on nothing else.

    Attributes:
        clip: the picture at the size the model takes, and the utterance features.
        vision: [1, 1 + N, D] of the global encoder, on the model's device: the dearest part of a short prompt. None
            without a picture.
        missing: which of "global_image", "face", "temporal" and "audio" is not there, and why.
        unlike: which vectors are unlike those that the model learned from, where it knows them (`familiarity`).
    """

    clip: ClipMedia
    vision: torch.Tensor | None
    missing: tuple[Missing, ...]
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class Prepared:
    """One person in one segment, ready to be asked about; made by the reader that is asked.

    Attributes:
        encoded: what the encoders saw.
        words: what is said, shortened; None where that is not known.
        cues: what was measured, in words; None where the prompt layout tells no cues.
    """

    encoded: Encoded
    words: str | None
    cues: str | None


def prompt_batch(
    processor: Any,  # an EmotionLlamaProcessor; transformers is only partly typed
    cases: Sequence[Prepared],
    layout: str,
    device: str,
    *,
    task: str,
    instruction: str | None = None,
    history: Sequence[Turn] = (),
) -> Any:
    """The model's inputs for one question about each of B cases, filled on the left; nothing is encoded again.

    Args:
        processor: of the model.
        cases: prepared with that model.
        layout: prompt layout.
        device: where the model is.
        task: a name of `prompts.TASKS`.
        instruction: instead of the task's own.
        history: earlier turns of the chat, the same for all.
    """
    batch = processor(
        [case.encoded.clip for case in cases], task=task, instruction=instruction, layout=layout,
        words=[case.words for case in cases], cues=[case.cues for case in cases],
        history=[list(history)] * len(cases) if history else None,
    ).to(device)  # fmt: skip
    seen = [case.encoded.vision for case in cases]
    there = [vision for vision in seen if vision is not None]
    if there:
        import torch

        del batch["pixel_values"]
        # Rows of clips without a picture are never read; NaN would tell if one were.
        empty = torch.full_like(there[0], torch.nan)
        batch["vision_features"] = torch.cat([empty if vision is None else vision for vision in seen])
    return batch
