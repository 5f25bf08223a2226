"""Loading a tokenizer from a language model's folder, also from a bare SentencePiece file, alike in every version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BLANK = "\u2581"
_SPECIALS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}  # LLaMA's, where a folder names none
PUBLISHED_PAD = "$$"  # minigpt4/models/base_model.py: a word of the vocabulary, so that no row has to be added
_PROBES = ("[INST] <video>", "</video> <feature>", "a  b\n c\t7.5%, d'accord", "caf\u00e9 \u4f60\U0001f600")


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`: from `tokenizer.json`, else built from `tokenizer.model` (SentencePiece, BPE).

    A SentencePiece file is read with the sentencepiece library alone: transformers' own reader needs a protobuf newer
    than MediaPipe allows, and its result depends on the version (blanks at the start of a text, begin tokens). What is
    built is compared with SentencePiece itself on a few texts. It adds a begin token where asked to add special tokens,
    as LLaMA's does; its padding token is "$$", as the published training has it, where the vocabulary knows it.

    Raises:
        InputError: the folder has neither file, or the file is not a BPE model that can be rebuilt.
        MissingDependency: transformers, or sentencepiece where needed, is not installed.
    """
    place = Path(folder)
    if (place / "tokenizer.json").is_file():
        return _ready(place)
    if not (place / "tokenizer.model").is_file():
        raise InputError(f"{place}: no tokenizer.json and no tokenizer.model; expected a language model's folder")
    return _from_pieces(place)


def _ready(place: Path) -> PreTrainedTokenizerBase:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise _missing("transformers") from error
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place)
    return tokenizer


def _missing(package: str) -> MissingDependency:
    return MissingDependency(package, "loading a tokenizer", "pip install 'emotion-llama[model]'")


def _from_pieces(place: Path) -> PreTrainedTokenizerBase:
    try:
        from sentencepiece import SentencePieceProcessor
        from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise _missing(str(error.name)) from error
    source = SentencePieceProcessor(model_file=str(place / "tokenizer.model"))
    specials = _special_tokens(place, source)
    vocabulary = {source.id_to_piece(index): index for index in range(source.get_piece_size())}
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=_merges(source, vocabulary), unk_token=specials["unk_token"],
            fuse_unk=True, byte_fallback=any(source.is_byte(index) for index in vocabulary.values()),
        )
    )  # fmt: skip
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
    for piece, index in vocabulary.items():
        if source.is_control(index) or source.is_unknown(index) or source.is_byte(index):
            continue
        pairs = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        ranked += [
            (-source.get_score(index), index, vocabulary[left], vocabulary[right], (left, right))
            for left, right in pairs
            if left in vocabulary and right in vocabulary
        ]
    return [entry[-1] for entry in sorted(ranked)]


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
