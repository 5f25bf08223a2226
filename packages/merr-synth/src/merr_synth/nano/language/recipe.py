"""The recipe of a language model of one's own: strict YAML and dotted overrides in, all mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from emotion_llama.chat.config import Config
from emotion_llama.config import checked, merged, override_tree, read_tree, rename_old_keys
from emotion_llama.train.recipe import OLD_OPTIM_KEYS, OptimPart, Share, Weights

# Keys of the release before this one -> their names of today.
_OLD_KEYS = {
    **{f"optim.{old}": new for old, new in OLD_OPTIM_KEYS.items()},
    "learn.rounds": "epochs",
    "learn.steps_per_round": "steps_per_epoch",
}


class CorpusPart(Config):
    """Texts of planned clips. `conflict_share`, `missing_share`, `fps` and `seconds` as `synth render` takes them."""

    num_train: int = Field(20_000, ge=1, description="Clips to learn from.")
    num_validation: int = Field(600, ge=1, description="Clips to validate on.")
    conflict_share: Annotated[float, Field(ge=0, le=1)] = Field(0.2, description="Face, voice and words disagree.")
    missing_share: Annotated[float, Field(ge=0, le=1)] = Field(0.15, description="No sound, face or words.")
    fps: float = Field(12.5, gt=0, description="Of the clips.")
    seconds: float = Field(3.0, gt=0, description="Least length of a clip.")
    seed: int = Field(0, ge=0, description="Of everything.")


class TokenizerPart(Config):
    """The tokenizer."""

    num_pieces: int = Field(2048, ge=300, description="Of the whole vocabulary, bytes and special tokens included.")


class LearnPart(Config):
    """How long, how many at once."""

    preset: str = Field("nano", description="Whose text_config the model has (EmotionLlamaConfig.preset).")
    sizes: dict[str, int] = Field({}, description="Fields of it in place of the preset's: hidden_size, ...")
    epochs: int = Field(8, ge=1, description="Each ends with validation and a checkpoint.")
    steps_per_epoch: int = Field(150, ge=1, description="Optimizer steps.")
    batch_size: int = Field(32, ge=1, description="Examples a step.")
    dropout: dict[str, Share] = Field({"words": 0.2, "cues": 0.4}, description="How often is left out: words, cues.")
    patience: int | None = Field(None, ge=1, description="Epochs without a better one before stopping; null: never.")
    seed: int = Field(42, ge=0, description="Of weights and draws.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Of autocast; float32: none.")
    threads: int = Field(2, ge=1, description="Of the CPU.")


class LanguageRecipe(Config):
    """A whole recipe."""

    corpus: CorpusPart = CorpusPart()
    tokenizer: TokenizerPart = TokenizerPart()
    tasks: Weights = Field({"emotion": 2.0, "reason": 1.0, "reason_v2": 1.0}, min_length=1)
    optim: OptimPart = OptimPart(
        learning_rate=2e-3, min_lr=1e-4, warmup_start_lr=1e-5, warmup_steps=50, weight_decay=0.05, max_grad_norm=1.0
    )
    learn: LearnPart = LearnPart()


def load_language_recipe(path: Path, overrides: Sequence[str] = ()) -> LanguageRecipe:
    """The recipe of a file, with single choices overridden.

    Raises:
        InputError: the file cannot be read, a key is there twice or unknown, or a value does not fit.
    """
    tree, given = read_tree(path), override_tree(overrides)
    for part in (tree, given):
        rename_old_keys(part, _OLD_KEYS, str(path))
    return checked(LanguageRecipe, merged(tree, given), str(path))
