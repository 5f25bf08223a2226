"""One builder of prompts: task, words, cues and earlier turns in; the pieces to tokenise out."""

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
    Slot,
    SlotKind,
    Special,
    Text,
    layout_named,
)
from emotion_llama.prompts.tasks import pick_instruction, task_named

MEDIA = f"<video>{VIDEO_PLACEHOLDER}</video> <feature>{FEATURE_PLACEHOLDER}</feature>"
_SHOWN = {"bos": "<s>", "eos": "</s>"}


@dataclass(frozen=True)
class Turn:
    """One exchange of a chat: what the user said and, where it is known, the answer."""

    text: str
    answer: str | None = None


@dataclass(frozen=True)
class Prompt:
    """Pieces in order, and the name of the layout that ordered them."""

    segments: tuple[Segment, ...]
    layout: str

    @property
    def slots(self) -> tuple[SlotKind, ...]:
        """The encoders whose tokens have a place, in order."""
        return tuple(piece.kind for piece in self.segments if isinstance(piece, Slot))

    @property
    def shown(self) -> str:
        """The prompt as one readable line: special tokens as the published code writes them, slots as `{face}`."""
        return "".join(
            piece.text
            if isinstance(piece, Text)
            else _SHOWN[piece.kind]
            if isinstance(piece, Special)
            else f"{{{piece.kind}}}"
            for piece in self.segments
        )


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
        cues: measured cues in words, told before the character line.

    Raises:
        InputError: the task is unknown, or there is no instruction.
    """
    tag = task_named(task).tag
    asked = pick_instruction(task) if instruction is None else " ".join(instruction.split())
    if not asked:
        raise InputError("the instruction is empty; leave it out to get the task's own")
    spoken = " ".join((words or "").split())
    line = f"The person in video says: {spoken}. " if spoken else ""
    told = f"{cues} " if cues else ""
    return f"{told}{line} [{tag}] {asked} " if tag is not None else f"{told}{line} {asked} "


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
) -> Prompt:
    """The prompt for one clip.

    A missing modality is left out: no place is kept for the tokens of an encoder that is not in `present`, and the
    words around it stay. Missing words leave out the character line.

    Args:
        task: one of `tasks.TASKS`.
        words: what is said in the clip; told in the turn that is built here.
        instruction: instead of the first of the task's pool; a must for "free".
        cues: measured cues in words (`cues.cue_text`); needed by, and only told in, layouts with cues.
        layout: one of `layouts.LAYOUTS`.
        present: encoders whose tokens are there.
        history: earlier turns of the chat; the first of them then carries the video.
        answer: what training predicts; None for generation.

    Raises:
        InputError: an unknown name, no instruction, or a layout with cues without them.
    """
    chosen = layout_named(layout)
    if chosen.has_cues and not cues:
        raise InputError(f"layout {layout!r} tells measured cues, got none; give evidence, or use layout 'train'")
    asked = user_text(task, words=words, instruction=instruction, cues=cues if chosen.has_cues else None)
    turns = [*history, Turn(asked, answer)]
    head = _media(MEDIA, chosen, frozenset(present))
    return Prompt(tuple(_joined(_chat(head, turns, chosen))), layout)


def prompt_from_text(
    text: str, *, layout: str = "train", present: Collection[SlotKind] = SLOTS, answer: str | None = None
) -> Prompt:
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
    head = [*_begin(chosen.bos_count), Text("[INST] "), *_media(bare, chosen, frozenset(present)), Text(" [/INST]")]
    return Prompt(tuple(_joined([*head, *_answered(answer)])), layout)


def _media(text: str, layout: Layout, present: frozenset[SlotKind]) -> list[Segment]:
    """`text` with its placeholders replaced by the slots that are there; pieces are not joined yet."""
    before, _, after = text.partition(VIDEO_PLACEHOLDER)
    at_video: tuple[SlotKind, ...] = SLOTS if layout.features_at == VIDEO_PLACEHOLDER else SLOTS[:1]
    pieces: list[Segment] = [Text(before), *_slots(at_video, present)]
    if layout.features_at == VIDEO_PLACEHOLDER:
        return [*pieces, _APART, Text(after)]
    between, _, rest = after.partition(FEATURE_PLACEHOLDER)
    return [*pieces, _APART, Text(between), *_slots(SLOTS[1:], present), _APART, Text(rest)]


# Marks a border at which the reference splits its text even where no slot stands: an empty piece joins nothing.
_APART = Text("")


def _slots(kinds: Sequence[SlotKind], present: frozenset[SlotKind]) -> list[Slot]:
    return [Slot(kind) for kind in kinds if kind in present]


def _begin(count: int) -> list[Segment]:
    return [Special("bos")] * count


def _answered(answer: str | None) -> list[Segment]:
    """An answer as a text of its own; a blank before it would be tokenised apart by some tokenizers, not by others."""
    if answer is None:
        return []
    return [_APART, Text(answer.strip(), is_answer=True), Special("eos", is_answer=True)]


def _chat(head: list[Segment], turns: Sequence[Turn], layout: Layout) -> list[Segment]:
    pieces = [*_begin(layout.bos_count), Text("[INST] "), *head]
    for number, turn in enumerate(turns):
        is_last = number == len(turns) - 1
        if number == 0 and not layout.has_media_turn:
            pieces.append(Text(f" {turn.text} [/INST]"))
        else:
            pieces += [Special("bos"), Text(f"[INST] {turn.text.strip()} [/INST]")]
        if is_last or layout.answers_apart:
            pieces += _answered(turn.answer)
        elif layout.keeps_answers:
            pieces.append(Text(turn.answer or ""))
        else:
            pieces.append(Special("eos"))
        if not is_last and turn.answer is None:
            raise InputError(f"turn {number + 1} of {len(turns)} has no answer; only the last may be open")
    return pieces


def _joined(pieces: Sequence[Segment]) -> list[Segment]:
    """Neighbouring texts of one kind made one, so that they are tokenised together; empty texts keep theirs apart."""
    joined: list[Segment] = []
    is_apart = True
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Text) and not piece.text:
            is_apart = is_apart or piece is _APART
        elif isinstance(piece, Text) and isinstance(last, Text) and not is_apart and last.is_answer == piece.is_answer:
            joined[-1] = Text(last.text + piece.text, last.is_answer)
        else:
            joined.append(piece)
            is_apart = False
    return joined
