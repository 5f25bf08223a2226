"""A tokenizer of one's own: LLaMA's way (BPE, bytes for what is unknown, a blank before the first word), few pieces.

Words are joined from letters as in any BPE. Fixed phrases, which every prompt and many answers hold word for word
(instructions, names of units and figures, halves of sentences of the reasons), are one piece each: a prompt is a third
as long for it. Numbers below ten with one decimal, as intensities are, are whole; other digits stand alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts.builder import MEDIA
from emotion_llama.prompts.layouts import FEATURE_PLACEHOLDER, VIDEO_PLACEHOLDER
from emotion_llama.prompts.tasks import instruction_pool
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.rules.wording import wording
from merr_synth.nano.descriptions import NOTHING

_BLANK = "\u2581"
SPECIALS = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{i:02X}>" for i in range(256))
_PIECE = rf"{_BLANK}?\d\.\d(?!\d)|{_BLANK}?\d|{_BLANK}?[A-Za-z]+(?:'[a-z]+)?|{_BLANK}?."
_LABEL_COUNT = 500  # as often as a frequent word, so that a label, which begins an answer, is one piece in any texts
_MOST_LETTERS = 200  # different characters with a piece of their own; others are bytes
# Of `prompts.cues`, as they stand there, with the blank before them.
_CUE_PHRASES = (
    "Measured cues.", " Face: strongest at", " Face: no marked movement, strongest at",
    " s while talking, of 5:", " s, of 5:",
    " Face: not measured", " Voice: not measured", " Words: not measured", " Voice:", "; pitch", ", pitch range",
    " semitones, slope", " semitones/s, level", " syllables per second,", "% pauses", ", tremor", "%, harmonicity",
    " dB, tilt", " dB.", " dB,", " Hz,", " semitones,", " semitones/s,", ", harmonicity",
    " Measured cues. Not measured.", "Measured cues. Not measured.", " The person in video says:", " while talking",
)  # fmt: skip
_PLACE = re.compile(r"\{\w+\}")
_FEWEST_WORDS = 2  # of a half sentence, to be a piece


def fixed_phrases() -> tuple[str, ...]:
    """All phrases that are one piece, the longest first."""
    found = set(_CUE_PHRASES)
    head, rest = MEDIA.split(VIDEO_PLACEHOLDER)
    middle, tail = rest.split(FEATURE_PLACEHOLDER)
    found |= {f"[INST] {head}", middle, tail, " [/INST]", NOTHING}
    found |= {f" {line}" for pool in ("emotion", "reason") for line in instruction_pool(pool)}
    found |= {f" [{task}]" for task in ("emotion", "reason", "reason_v2")}
    found |= {f" {name}" for name in AU_DESCRIPTIONS.values() if " " in name}
    words = wording("en")
    for template in [text for texts in words.reason.values() for text in texts] + list(words.coarse.values()):
        if template.startswith("^"):  # a pattern that finds, and no text
            continue
        for half in _PLACE.split(template):
            bare = half.strip()
            if len(re.findall(r"[A-Za-z']+", bare)) >= _FEWEST_WORDS:
                found |= {bare, f" {bare}"}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def train_tokenizer(texts: Iterable[str], num_pieces: int, out: Path) -> Any:
    """Learn the pieces from texts and write `tokenizer.json` into `out`; the same texts give the same pieces.

    Returns:
        The tokenizer, as `load_tokenizer` gives it.

    Raises:
        InputError: `num_pieces` leave no room for words.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    phrases = fixed_phrases()
    learnt = num_pieces - len(phrases)
    if learnt < len(SPECIALS) + len(_BYTES) + 100:
        raise InputError(
            f"num_pieces is {num_pieces}, of which bytes, special tokens and fixed phrases take "
            f"{len(SPECIALS) + len(_BYTES) + len(phrases)}; give at least 100 more"
        )
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(_BLANK, prepend_scheme="first", split=False),
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
        ]
    )
    learning = Tokenizer(models.BPE(unk_token=SPECIALS[0], byte_fallback=True, fuse_unk=True))
    learning.pre_tokenizer = split
    learning.train_from_iterator(
        without_phrases(chain(texts, MERR9.labels * _LABEL_COUNT), phrases),
        trainers.BpeTrainer(
            vocab_size=learnt, special_tokens=[*SPECIALS, *_BYTES], limit_alphabet=_MOST_LETTERS, min_frequency=2,
            show_progress=False,
        ),
    )  # fmt: skip
    model = json.loads(learning.to_str())["model"]
    backend = Tokenizer(
        models.BPE(
            vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], unk_token=SPECIALS[0],
            byte_fallback=True, fuse_unk=True,
        )
    )  # fmt: skip
    backend.pre_tokenizer = split
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIALS])
    backend.add_tokens([AddedToken(phrase, normalized=False, special=False) for phrase in phrases])
    build: Any = PreTrainedTokenizerFast  # its constructor has no types
    tokenizer = build(
        tokenizer_object=backend, clean_up_tokenization_spaces=False, unk_token=SPECIALS[0], bos_token=SPECIALS[1],
        eos_token=SPECIALS[2],
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    return load_tokenizer(out)


def without_phrases(texts: Iterable[str], phrases: tuple[str, ...]) -> Iterable[str]:
    """What is left of texts between fixed phrases: what words are to be learnt from."""
    cut = re.compile("|".join(map(re.escape, phrases)))
    for text in texts:
        yield from (part for part in cut.split(text) if part)
