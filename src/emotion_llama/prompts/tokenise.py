"""From the pieces of a prompt to token ids, the same with every version of every tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.prompts.layouts import Segment, Slot, SlotKind, Special

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of a token that is not predicted, as torch's cross entropy takes it


class Tokens(NamedTuple):
    """A tokenised prompt: ids [S], and labels [S] that are the id where an answer is predicted and -100 elsewhere."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


class Placeholder(NamedTuple):
    """What a slot is expanded to: `num_tokens` times `token_id`."""

    token_id: int
    num_tokens: int


def tokenise(
    segments: Sequence[Segment],
    tokenizer: PreTrainedTokenizerBase,
    placeholders: Mapping[SlotKind, Placeholder],
    *,
    max_answer_tokens: int | None = None,
) -> Tokens:
    """Tokenise every text on its own and put the pieces together.

    The reference splits its prompt at the placeholders and tokenises the parts one by one, so that each part begins
    like a new text (with SentencePiece: with a blank). Begin and end tokens are put where the layout has them, never by
    the tokenizer, whose own habit differs between versions; where it has no begin token (Qwen), none is put. Special
    tokens that are spelt in a text ("</s>" in a subtitle) are words.

    Args:
        segments: of `builder.Prompt`.
        tokenizer: any tokenizer of transformers.
        placeholders: what each slot is expanded to.
        max_answer_tokens: cut of each answer, end token included (published: `max_txt_len`), or None.

    Raises:
        InputError: the tokenizer gives no ids for a text, or has no end token where one is needed.
    """
    ids: list[int] = []
    labels: list[int] = []
    answer_start: int | None = None
    for piece in segments:
        new = _ids(piece, tokenizer, placeholders)
        is_answer = not isinstance(piece, Slot) and piece.is_answer
        if is_answer:
            answer_start = len(ids) if answer_start is None else answer_start
            if max_answer_tokens is not None:
                new = new[: max(0, max_answer_tokens - (len(ids) - answer_start))]
        else:
            answer_start = None
        ids += new
        labels += new if is_answer else [IGNORED] * len(new)
    return Tokens(tuple(ids), tuple(labels))


def _ids(piece: Segment, tokenizer: PreTrainedTokenizerBase, placeholders: Mapping[SlotKind, Placeholder]) -> list[int]:
    if isinstance(piece, Slot):
        place = placeholders[piece.kind]
        return [place.token_id] * place.num_tokens
    if isinstance(piece, Special):
        return _special(piece, tokenizer)
    return encode(piece.text, tokenizer)


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of a text alone: nothing added, nothing in it read as a special token.

    Raises:
        InputError: the tokenizer gives no ids for it.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    if text and not ids:
        raise InputError(
            f"the tokenizer gives no tokens for {text[:30]!r}: its vocabulary is not loaded; "
            "load it with emotion_llama.prompts.tokenizer_files.load_tokenizer"
        )
    return ids


def _special(piece: Special, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if piece.kind == "bos":
        return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end token (eos_token); answers need one")
    return [tokenizer.eos_token_id]
