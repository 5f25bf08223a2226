"""How our model is asked: samples as prompts, the instruction for a label space, its reasons as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import out_of_domain
from emotion_llama.predictors.base import Sample
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import Layout
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from emotion_llama.prompts.builder import Turn

# A long talk would push the instruction out of the model's context; its beginning and its end are kept.
MAX_WORDS = 400


def prompt_batch(
    model: Any,
    processor: Any,
    layout: Layout,
    samples: Sequence[Sample],
    task: str,
    instruction: str | None,
    history: Sequence[Turn] = (),
) -> Any:
    """The model's inputs for one question about each of B samples, filled on the left; nothing is encoded again."""
    features = [sample.features or ClipFeatures() for sample in samples]
    batch = processor(
        features, task=task, instruction=instruction, layout=layout.name,
        words=[None if sample.text is None else shortened(sample.text) for sample in samples],
        cues=[_cues(sample) if layout.has_cues else None for sample in samples],
        history=[list(history)] * len(samples) if history else None,
    ).to(model.device)  # fmt: skip
    visions = [one.vision for one in features]
    known = [vision for vision in visions if vision is not None]
    if known and len(known) == sum(one.global_image is not None for one in features):
        import torch

        del batch["pixel_values"]
        # Rows of clips without a picture are never read; NaN would show if one were.
        empty = torch.full_like(known[0], torch.nan)
        batch["vision_features"] = torch.cat([empty if vision is None else vision for vision in visions])
    return batch


def _cues(sample: Sample) -> str | None:
    return sample.cues if sample.cues is not None or sample.evidence is None else cue_text(sample.evidence)


def label_instruction(space: LabelSpace) -> str:
    """The published instruction where its nine labels hold all of the space's, else the same with the space's own."""
    if set(space.labels) <= set(MERR9.labels):
        return pick_instruction("emotion")
    return emotion_instruction(space.labels)


def reasons(
    label: str, text: str, space: LabelSpace, *, missing: Sequence[Missing] = (), why_none: str | None = None,
    outside: Sequence[str] = (),
) -> str:  # fmt: skip
    """The generated reasons, and what has to be known about them.

    Args:
        label: the predicted label.
        text: as generated; "" where there is none.
        space: of the label.
        missing: what the model did not have of the clip.
        why_none: why it was not asked for reasons.
        outside: encoders whose vectors are out of domain; said first.
    """
    named = parse_tolerant(text, space, model="").label if text else None
    sentences = [out_of_domain.warning(outside)] if outside else []
    sentences += [as_sentence(text)] if text else []
    if why_none is not None:
        sentences.append(f"No reasons: {why_none}.")
    if named is not None and named != label:
        sentences.append(f"These reasons name {named}; the label is the likeliest of the label space, {label}.")
    if missing:
        lacking = ", ".join(f"{one.what} ({one.reason})" for one in missing)
        sentences.append(f"Read without {lacking}.")
    return " ".join(sentences)


def as_sentence(text: str) -> str:
    """Published weights write without capitals and full stops; the first letter and the last mark are put back."""
    whole = text[0].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def shortened(words: str) -> str:
    """At most `MAX_WORDS` words: the beginning and the end of a long talk."""
    spoken = words.split()
    if len(spoken) <= MAX_WORDS:
        return " ".join(spoken)
    half = MAX_WORDS // 2
    return " ".join([*spoken[:half], "...", *spoken[-half:]])
