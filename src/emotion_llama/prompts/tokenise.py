"""Tokenizers from a language model's folder, and from the pieces of a prompt to token ids, alike in every version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.prompts.layouts import Segment, SlotKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of a token that is not predicted, as torch's cross entropy takes it
_BLANK = "\u2581"
_SPECIALS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}  # LLaMA's, where a folder names none
PUBLISHED_PAD = "$$"  # minigpt4/models/base_model.py: a word of the vocabulary, so that no row has to be added
_PROBES = (
    "[INST] <video>", "</video> <feature>", "a  b\n c\t7.5%, d'accord", "caf\u00e9 \u4f60\U0001f600", "  [INST]",
    "a $$ b$$", "$$ $$",
)  # fmt: skip


class Tokens(NamedTuple):
    """A tokenised prompt: ids [S], and labels [S] that are the id where an answer is predicted and -100 elsewhere."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def tokenise(
    segments: Sequence[Segment],
    tokenizer: PreTrainedTokenizerBase,
    placeholders: Mapping[SlotKind, tuple[int, int]],
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
        placeholders: slot -> the token id that it is expanded to, and how many of it.
        max_answer_tokens: cut of each answer, end token included (published: `max_txt_len`), or None.

    Raises:
        InputError: the tokenizer gives no ids for a text, or has no end token where one is needed.
    """
    ids: list[int] = []
    labels: list[int] = []
    answer_start: int | None = None
    for piece in segments:
        new = _ids(piece, tokenizer, placeholders)
        if piece.is_answer:
            answer_start = len(ids) if answer_start is None else answer_start
            if max_answer_tokens is not None:
                new = new[: max(0, max_answer_tokens - (len(ids) - answer_start))]
        else:
            answer_start = None
        ids += new
        labels += new if piece.is_answer else [IGNORED] * len(new)
    return Tokens(tuple(ids), tuple(labels))


def _ids(
    piece: Segment, tokenizer: PreTrainedTokenizerBase, placeholders: Mapping[SlotKind, tuple[int, int]]
) -> list[int]:
    if piece.kind == "text":
        return encode(piece.text, tokenizer)
    if piece.kind == "bos":
        return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    if piece.kind == "eos":
        if tokenizer.eos_token_id is None:
            raise InputError("the tokenizer has no end token (eos_token); answers need one")
        return [tokenizer.eos_token_id]
    token_id, num_tokens = placeholders[piece.kind]
    return [token_id] * num_tokens


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of a text alone: nothing added, nothing in it read as a special token.

    Raises:
        InputError: the tokenizer gives no ids for it.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    if text and not ids:
        raise InputError(
            f"the tokenizer gives no tokens for {text[:30]!r}: its vocabulary is not loaded; "
            "load it with emotion_llama.prompts.tokenise.load_tokenizer"
        )
    return ids


# --- loading ----------------------------------------------------------------------------------------------------------


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`: built from `tokenizer.model` (SentencePiece, BPE), else from `tokenizer.json`.

    The published model was trained on SentencePiece's ids. transformers itself gives others for either file where a
    text begins with a blank or holds a user-defined piece, and needs a protobuf newer than MediaPipe allows, so that
    `tokenizer.model` is read with the sentencepiece library and rebuilt, whether or not `tokenizer.json` lies beside
    it; the result is compared with SentencePiece on a few texts, and adds a begin token where asked to add special
    tokens, as LLaMA's does. `tokenizer.json` is read by transformers where it is alone (what this function gave, saved,
    gives the same ids again) or where `tokenizer.model` is not the whole truth: no BPE model, one that normalises, or
    special tokens outside it. A tokenizer without padding gets "$$", as the published training has it, where the
    vocabulary knows it.

    Raises:
        InputError: the folder has neither file, or tokenizer.model alone, which cannot be rebuilt.
        MissingDependency: transformers, or sentencepiece where needed, is not installed.
    """
    place = Path(folder)
    has_json = (place / "tokenizer.json").is_file()
    if not (place / "tokenizer.model").is_file():
        if has_json:
            return _ready(place)
        raise InputError(f"{place}: no tokenizer.json and no tokenizer.model; expected a language model's folder")
    try:
        return _from_pieces(place)
    except InputError:
        if has_json:
            return _ready(place)
        raise


def _ready(place: Path) -> PreTrainedTokenizerBase:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise _missing("transformers") from error
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place)
    if tokenizer.pad_token is None and PUBLISHED_PAD in tokenizer.get_vocab():
        tokenizer.pad_token = PUBLISHED_PAD
    return tokenizer


def _missing(package: str) -> MissingDependency:
    return MissingDependency(package, "loading a tokenizer", "pip install 'emotion-llama[model]'")


def _from_pieces(place: Path) -> PreTrainedTokenizerBase:
    try:
        from sentencepiece import SentencePieceProcessor
        from tokenizers import (
            AddedToken,
            Regex,
            Tokenizer,
            decoders,
            models,
            normalizers,
            pre_tokenizers,
            processors,
        )
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise _missing(str(error.name)) from error
    try:
        source = SentencePieceProcessor(model_file=str(place / "tokenizer.model"))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{place}: tokenizer.model is not a SentencePiece model ({error})") from error
    specials = _special_tokens(place, source)
    vocabulary = {source.id_to_piece(index): index for index in range(source.get_piece_size())}
    merges = _merges(source, vocabulary)
    whole = _user_defined(source, vocabulary, merges)
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token=specials["unk_token"], ignore_merges=bool(whole),
            fuse_unk=True, byte_fallback=any(source.is_byte(index) for index in vocabulary.values()),
        )
    )  # fmt: skip
    if whole:
        # What is cut out is taken as it is; a control piece spelt right after it must not be: it is cut in two.
        spelt = [re.escape(piece[0]) + f"(?={re.escape(piece[1:])})" for piece in _unspeakable(source, vocabulary)]
        pieces = "|".join(map(re.escape, whole))
        cuts: Any = [rf"(?<={pieces})(?:{'|'.join(spelt)})", pieces]
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(cut), "isolated") for cut in cuts])
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(_BLANK), normalizers.Replace(" ", _BLANK)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials.values()])
    begin = specials["bos_token"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, vocabulary[begin])]
    )
    _compare(source, backend, place)
    pad = {"pad_token": PUBLISHED_PAD} if PUBLISHED_PAD in vocabulary else {}
    built: Any = PreTrainedTokenizerFast  # its constructor has no types
    tokenizer: PreTrainedTokenizerBase = built(
        tokenizer_object=backend, clean_up_tokenization_spaces=False, **specials, **pad
    )
    return tokenizer


def _merges(source: Any, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, in the order in which SentencePiece joins: by the piece's score."""
    ranked = []
    unspeakable = _unspeakable(source, vocabulary)
    for piece, index in vocabulary.items():
        if piece in unspeakable:
            continue
        pairs = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        ranked += [
            (-source.get_score(index), index, vocabulary[left], vocabulary[right], (left, right))
            for left, right in pairs
            if left in vocabulary and right in vocabulary
        ]
    return [entry[-1] for entry in sorted(ranked)]


def _user_defined(source: Any, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> list[str]:
    """Pieces, the longest first, that SentencePiece cuts out of a text before it joins: no merge makes them."""
    others = {left + right for left, right in merges} | _unspeakable(source, vocabulary)
    return sorted((piece for piece in vocabulary if len(piece) > 1 and piece not in others), key=len, reverse=True)


def _unspeakable(source: Any, vocabulary: dict[str, int]) -> set[str]:
    """Pieces that no text gives by spelling them: control, unknown and byte pieces, and unused ones."""
    kinds = (source.is_control, source.is_unknown, source.is_byte, source.is_unused)
    return {piece for piece, index in vocabulary.items() if any(kind(index) for kind in kinds)}


def _special_tokens(place: Path, source: Any) -> dict[str, str]:
    """Unknown, begin and end token, as the folder's files name them, checked against the model."""
    named: dict[str, str] = dict(_SPECIALS)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = place / name
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for key in _SPECIALS:
            token = stored.get(key)
            text = token.get("content") if isinstance(token, dict) else token
            if isinstance(text, str) and text:
                named[key] = text
    for key, text in named.items():
        if source.id_to_piece(source.piece_to_id(text)) != text:
            raise InputError(f"{place}: {key} {text!r} is not a piece of tokenizer.model")
    return named


def _compare(source: Any, backend: Any, place: Path) -> None:
    backend.encode_special_tokens = True
    for text in _PROBES:
        expected, got = source.encode(text), backend.encode(text, add_special_tokens=False).ids
        if expected != got:
            raise InputError(
                f"{place}: tokenizer.model cannot be rebuilt: {text!r} gives {got}, SentencePiece gives {expected}; "
                "expected a BPE model without normalisation, as LLaMA's; save the tokenizer as tokenizer.json instead"
            )
    backend.encode_special_tokens = False
