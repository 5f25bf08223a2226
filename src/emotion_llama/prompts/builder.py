"""Builds prompts: from task, transcript, cues and earlier turns to the pieces that are tokenised."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emotion_llama.errors import InputError
from emotion_llama.prompts.layouts import (
    FEATURE_PLACEHOLDER,
    SLOTS,
    VIDEO_PLACEHOLDER,
    Layout,
    Segment,
    SlotKind,
    layout_named,
)
from emotion_llama.prompts.tasks import check_task, pick_instruction

MEDIA = f"<video>{VIDEO_PLACEHOLDER}</video> <feature>{FEATURE_PLACEHOLDER}</feature>"
_SHOWN = {"bos": "<s>", "eos": "</s>"}


@dataclass(frozen=True)
class Turn:
    """One exchange of a chat: what the user said and, where it is known, the answer."""

    text: str
    answer: str | None = None


def prompt_text(segments: Sequence[Segment]) -> str:
    """A prompt as one readable line: special tokens as the published code writes them, slots as `{face}`."""
    return "".join(piece.text or _SHOWN.get(piece.kind, f"{{{piece.kind}}}") for piece in segments)


def user_text(
    task: str = "emotion", *, words: str | None = None, instruction: str | None = None, cues: str | None = None
) -> str:
    """What the user says after the video, as the published data set class writes it, blanks included.

    Template: `{line} [{task}] {instruction} `, where the character line is `The person in video says: {words}. `.
    Without words (None, or blanks only) there is no character line; free text has no tag.

    Args:
        task: one of `tasks.TASKS`.
        words: what is said in the clip.
        instruction: instead of the first of the task's pool; a must for "free".
        cues: measured cues as text, before the character line.

    Raises:
        InputError: the task is unknown, or there is no instruction.
    """
    tag = "" if check_task(task) == "free" else f"[{task}] "
    asked = pick_instruction(task) if instruction is None else " ".join(instruction.split())
    if not asked:
        raise InputError("the instruction is empty; leave it out to get the task's own")
    spoken = " ".join((words or "").split())
    line = f"The person in video says: {spoken}. " if spoken else ""
    measured = f"{cues} " if cues else ""
    return f"{measured}{line} {tag}{asked} "


def build_prompt(
    task: str = "emotion",
    *,
    words: str | None = None,
    instruction: str | None = None,
    cues: str | None = None,
    layout: str = "train",
    present: Collection[SlotKind] = SLOTS,
    history: Sequence[Turn] = (),
    answer: str | None = None,
) -> tuple[Segment, ...]:
    """The prompt for one clip.

    A missing modality is left out: no place is kept for the tokens of an encoder that is not in `present`, and the
    words around it stay. Missing words leave out the character line.

    Args:
        task: one of `tasks.TASKS`.
        words: what is said in the clip, for the turn that is built here.
        instruction: instead of the first of the task's pool; a must for "free".
        cues: measured cues as text (`cues.cue_text`); needed by layouts with cues, left out by others.
        layout: one of `layouts.LAYOUTS`.
        present: encoders whose tokens are there.
        history: earlier turns of the chat; the first of them then carries the video.
        answer: what training predicts; None for generation.

    Raises:
        InputError: an unknown name, no instruction, or a layout with cues without them.
    """
    chosen = layout_named(layout)
    if chosen.has_cues and not cues:
        raise InputError(f"layout {layout!r} needs measured cues, got none; give them, or use layout 'train'")
    asked = user_text(task, words=words, instruction=instruction, cues=cues if chosen.has_cues else None)
    turns = [*history, Turn(asked, answer)]
    head = _media(MEDIA, chosen, frozenset(present))
    return _joined(_chat(head, turns, chosen))


def prompt_from_text(
    text: str, *, layout: str = "train", present: Collection[SlotKind] = SLOTS, answer: str | None = None
) -> tuple[Segment, ...]:
    """The prompt for a ready text with `<VideoHere>` and `<FeatureHere>` in it, as the published code takes it.

    `text` stands between `[INST] ` and ` [/INST]`; where these and a leading `<s>` are there, they are taken off.

    Raises:
        InputError: a placeholder is missing, doubled or out of order, or the layout needs more than a text.
    """
    chosen = layout_named(layout)
    if chosen.has_media_turn or chosen.has_cues:
        raise InputError(f"layout {layout!r} cannot take a ready text; use 'train' or 'released'")
    bare = text.removeprefix("<s>").removeprefix("[INST] ").removesuffix(" [/INST]")
    counts = [bare.count(VIDEO_PLACEHOLDER), bare.count(FEATURE_PLACEHOLDER)]
    if counts != [1, 1] or bare.index(VIDEO_PLACEHOLDER) > bare.index(FEATURE_PLACEHOLDER):
        raise InputError(
            f"expected one {VIDEO_PLACEHOLDER} and after it one {FEATURE_PLACEHOLDER}, got {counts[0]} and {counts[1]}"
        )
    head = [
        *[Segment("bos")] * chosen.bos_count,
        Segment("text", "[INST] "),
        *_media(bare, chosen, frozenset(present)),
        Segment("text", " [/INST]"),
    ]
    return _joined([*head, *_answered(answer)])


def _media(text: str, layout: Layout, present: frozenset[SlotKind]) -> list[Segment]:
    """`text` with its placeholders replaced by the slots that are there; pieces are not joined yet."""
    before, _, after = text.partition(VIDEO_PLACEHOLDER)
    at_video: tuple[SlotKind, ...] = SLOTS if layout.features_at == VIDEO_PLACEHOLDER else SLOTS[:1]
    pieces: list[Segment] = [Segment("text", before), *(Segment(kind) for kind in at_video if kind in present)]
    if layout.features_at == VIDEO_PLACEHOLDER:
        return [*pieces, _APART, Segment("text", after)]
    between, _, rest = after.partition(FEATURE_PLACEHOLDER)
    at_feature = [Segment(kind) for kind in SLOTS[1:] if kind in present]
    return [*pieces, _APART, Segment("text", between), *at_feature, _APART, Segment("text", rest)]


# Marks a border at which the reference splits its text even where no slot stands: an empty piece joins nothing.
_APART = Segment("text")


def _answered(answer: str | None) -> list[Segment]:
    """An answer as a text of its own; a blank before it would be tokenised apart by some tokenizers, not by others."""
    if answer is None:
        return []
    return [_APART, Segment("text", answer.strip(), is_answer=True), Segment("eos", is_answer=True)]


def _chat(head: list[Segment], turns: Sequence[Turn], layout: Layout) -> list[Segment]:
    pieces = [*[Segment("bos")] * layout.bos_count, Segment("text", "[INST] "), *head]
    for number, turn in enumerate(turns):
        is_last = number == len(turns) - 1
        if number == 0 and not layout.has_media_turn:
            pieces.append(Segment("text", f" {turn.text} [/INST]"))
        else:
            pieces += [Segment("bos"), Segment("text", f"[INST] {turn.text.strip()} [/INST]")]
        if is_last or layout.answers_apart:
            pieces += _answered(turn.answer)
        elif layout.keeps_answers:
            pieces.append(Segment("text", turn.answer or ""))
        else:
            pieces.append(Segment("eos"))
        if not is_last and turn.answer is None:
            raise InputError(f"turn {number + 1} of {len(turns)} has no answer; only the last may be open")
    return pieces


def _joined(pieces: Sequence[Segment]) -> tuple[Segment, ...]:
    """Neighbouring texts of one kind made one, so that they are tokenised together; empty texts keep theirs apart."""
    joined: list[Segment] = []
    is_apart = True
    for piece in pieces:
        last = joined[-1] if joined else None
        if piece.kind == "text" and not piece.text:
            is_apart = is_apart or piece is _APART
        elif last and piece.kind == last.kind == "text" and not is_apart and last.is_answer == piece.is_answer:
            joined[-1] = Segment("text", last.text + piece.text, last.is_answer)
        else:
            joined.append(piece)
            is_apart = False
    return tuple(joined)
