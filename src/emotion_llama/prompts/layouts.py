"""The named layouts, where the encoders' tokens stand in the prompt, and the pieces that a prompt is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from emotion_llama.errors import InputError

SlotKind = Literal["patches", "face", "temporal", "audio", "global"]

# In the order in which the published model concatenates them: 256 of the first, one of each other.
SLOTS: tuple[SlotKind, ...] = ("patches", "face", "temporal", "audio", "global")
VIDEO_PLACEHOLDER: Final = "<VideoHere>"
FEATURE_PLACEHOLDER: Final = "<FeatureHere>"


@dataclass(frozen=True)
class Segment:
    """A piece of a prompt.

    Attributes:
        kind: "text", tokenised on its own, apart from its neighbours; "bos" or "eos", one begin or end token; or the
            place of an encoder's tokens.
        text: of a piece of text.
        is_answer: training predicts it.
    """

    kind: Literal["text", "bos", "eos"] | SlotKind
    text: str = ""
    is_answer: bool = False


@dataclass(frozen=True)
class Layout:
    """How a prompt is put together.

    Attributes:
        name: as options spell it.
        features_at: where the tokens other than the patches stand.
        bos_count: begin tokens at the start.
        has_cues: the measured cues are part of the text.
        has_media_turn: the video is a user's turn of its own, without an end of turn before the next one.
        keeps_answers: earlier answers are part of a chat; otherwise an end token stands for each.
        answers_apart: an answer is tokenised on its own and closed by an end token; otherwise it is tokenised together
            with the turn before it.
    """

    name: str
    features_at: Literal["<VideoHere>", "<FeatureHere>"]
    bos_count: int
    has_cues: bool = False
    has_media_turn: bool = False
    keeps_answers: bool = True
    answers_apart: bool = True


# `train` is what the published weights were trained on (`prompt_wrap` of minigpt_base.py). `released` is what the
# published evaluation feeds (`get_context_emb`): it knows `<VideoHere>` only, so that all tokens go there and the words
# "<FeatureHere>" are read as words, and it begins twice, once in the text and once by the tokenizer. `demo` is the
# published web demo: as `released`, the video in a turn of its own, earlier answers forgotten. `evidence` is ours.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("train", FEATURE_PLACEHOLDER, bos_count=1),
        Layout("released", VIDEO_PLACEHOLDER, bos_count=2, answers_apart=False),
        Layout(
            "demo", VIDEO_PLACEHOLDER, bos_count=2, has_media_turn=True, keeps_answers=False, answers_apart=False
        ),
        Layout("evidence", FEATURE_PLACEHOLDER, bos_count=1, has_cues=True),
    )
}  # fmt: skip


def layout_named(name: str) -> Layout:
    """The layout called `name`.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in LAYOUTS:
        raise InputError(f"no prompt layout {name!r} (there are: {', '.join(LAYOUTS)})")
    return LAYOUTS[name]
