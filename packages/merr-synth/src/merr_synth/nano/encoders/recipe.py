"""The recipe of an encoder training: strict YAML and dotted overrides in, all mistakes at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from emotion_llama.chat.config import Config
from emotion_llama.config import checked, merged, override_tree, read_tree, rename_old_keys, resolve_paths

PATH_KEYS = ("data.clips", "data.cache")
# Keys of the release before this one -> their names of today.
_OLD_KEYS = {
    f"towers.{tower}_tower.{old}": new
    for tower in ("vision", "face", "temporal", "audio")
    for old, new in (("rounds", "epochs"), ("peak_rate", "learning_rate"), ("least_rate", "min_lr"))
}
Rate = Annotated[float, Field(gt=0)]


class EncoderData(Config):
    """What is learnt from."""

    clips: Path = Field(description="A data set of `merr-synth render`.")
    cache: Path = Field(description="Folder for decoded clips, about 0.8 MB each; filled at first use.")
    workers: int = Field(2, ge=1, description="Processes that decode.")
    most_train_clips: int | None = Field(None, ge=1, description="Learn from so many, drawn by the seed; null: all.")


class TowerPart(Config):
    """How one encoder learns."""

    epochs: int = Field(20, ge=1, description="How often each clip is seen; validation after each.")
    batch_size: int = Field(32, ge=1, description="Clips a step.")
    crops: int = Field(4, ge=1, description="Face crops of a clip at a time (face_tower).")
    learning_rate: Rate = Field(1e-3, description="Of the schedule that stages 1 and 2 have too.")
    min_lr: Rate = Field(1e-5, description="Where its cosine ends.")
    warmup_share: float = Field(0.05, ge=0, le=1, description="Of all steps.")
    weight_decay: float = Field(0.05, ge=0, description="As published for stage 1; biases and norms have none.")
    max_grad_norm: float = Field(1.0, ge=0, description="0 does not clip.")


class TowerParts(Config):
    """The four encoders; one that is null is left out and keeps random weights."""

    vision_tower: TowerPart | None = TowerPart()
    face_tower: TowerPart | None = TowerPart()
    temporal_tower: TowerPart | None = TowerPart()
    audio_tower: TowerPart | None = TowerPart()


class EncodersRecipe(Config):
    """A whole recipe."""

    preset: Literal["nano"] = Field("nano", description="Sizes: a preset of EmotionLlamaConfig.")
    data: EncoderData
    towers: TowerParts = TowerParts()
    seed: int = Field(42, ge=0, description="Of weights, order and variation.")
    loaders: int = Field(1, ge=0, description="Processes that prepare batches while the encoder learns.")


def load_encoders_recipe(path: Path, overrides: Sequence[str] = ()) -> EncodersRecipe:
    """The recipe of a file, with single choices overridden.

    Paths are relative to the recipe's folder; those of overrides to the current one.

    Raises:
        InputError: the file cannot be read, a key is there twice or unknown, or a value does not fit.
    """
    tree, given = read_tree(path), override_tree(overrides)
    for part, base in ((tree, path.absolute().parent), (given, Path.cwd())):
        rename_old_keys(part, _OLD_KEYS, str(path))
        resolve_paths(part, PATH_KEYS, base)
    return checked(EncodersRecipe, merged(tree, given), str(path))
