"""The language model's tokenizer, checked before anything is written, and the ids that are free for placeholders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.json_files import read_json_object
from emotion_llama.prompts.tokenizer_files import PUBLISHED_PAD, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_JSON_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_SHOWN = 5


class Vocabulary(NamedTuple):
    """A tokenizer that fits its language model.

    Attributes:
        tokenizer: its padding token has a row in the table of embeddings.
        first_free_id: no word and no row has this id, or any after it.
        notes: choices that the user did not make.
    """

    tokenizer: PreTrainedTokenizerBase
    first_free_id: int
    notes: tuple[str, ...]


def read_vocabulary(folder: Path, vocab_size: int) -> Vocabulary:
    """The tokenizer in a language model's folder.

    Tokens that were added without a row for them (a "<pad>" of id `vocab_size`, in many copies of LLaMA) are no
    obstacle: they are in no prompt, and padding is done with the published "$$" or the end token instead.

    Args:
        folder: of the language model.
        vocab_size: rows of its table of embeddings.

    Raises:
        InputError: no tokenizer, a broken one, or one with ordinary words that the language model has no row for.
        MissingDependency: without transformers, or sentencepiece where needed.
    """
    tokenizer = _read(folder)
    words = tokenizer.get_vocab()
    beyond = {word: index for word, index in words.items() if index >= vocab_size}
    ordinary = sorted(beyond.keys() - tokenizer.get_added_vocab().keys(), key=beyond.__getitem__)
    if ordinary:
        raise InputError(
            f"{folder}: its tokenizer has {len(ordinary):,} words past the language model's {vocab_size:,} rows "
            f"({', '.join(map(repr, ordinary[:_SHOWN]))}); tokenizer and weights are of different models"
        )
    notes = []
    if beyond:
        notes.append(f"the tokenizer's {', '.join(beyond)} {'has' if len(beyond) == 1 else 'have'} no row in the model")
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= vocab_size:
        tokenizer.pad_token = PUBLISHED_PAD if PUBLISHED_PAD in words else tokenizer.eos_token
        notes.append(f"prompts are padded with {tokenizer.pad_token!r}")
    return Vocabulary(tokenizer, 1 + max([vocab_size - 1, *words.values()]), tuple(notes))


def _read(folder: Path) -> PreTrainedTokenizerBase:
    for name in _JSON_FILES:
        if (folder / name).is_file():
            read_json_object(folder / name)
    try:
        return load_tokenizer(folder)
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
        raise _broken(folder, error) from error
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers library raises nothing more special than this
            raise
        raise _broken(folder, error) from error


def _broken(folder: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return InputError(f"{folder}: its tokenizer cannot be read ({reason}); fetch its tokenizer files again")
