"""Texts around a model's own: the instruction it is given, and its reasons as people read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.predictors.familiarity import warning
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
from emotion_llama.records import Missing


def label_instruction(space: LabelSpace) -> str:
    """The published instruction where its nine labels hold all of the space's, else the same with the space's own."""
    if set(space.labels) <= set(MERR9.labels):
        return pick_instruction("emotion")
    return emotion_instruction(space.labels)


def told_reasons(
    label: str, text: str, space: LabelSpace, *, missing: Sequence[Missing] = (), why_none: str | None = None,
    unlike: Sequence[str] = (),
) -> str:  # fmt: skip
    """The reasons that a model wrote, and what a reader of them has to know.

    Args:
        label: the label that is given.
        text: the model's; "" where it wrote none.
        space: where the label comes from.
        missing: what the model could not see or hear.
        why_none: why it was not asked for reasons.
        unlike: which encoders' vectors are unlike those it learned from; said first.
    """
    named = parse_tolerant(text, space, model="").label if text else None
    sentences = [warning(unlike)] if unlike else []
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
