"""Features of a clip: face, temporal and audio vectors from a model's encoders, and the image for the global encoder.

The language model and the global encoder have no part in utterance features, so that a folder's encoders are loaded
without the rest: a quarter of the published model's weights.

Legend: C rows of sound, D features of an utterance (1024 in the published model), N crops, S side of an image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import BackendError, InputError, MediaError, MissingDependency
from emotion_llama.models import inputs as recipes
from emotion_llama.models.clips import (
    GLOBAL_IMAGE,
    MODALITIES,
    NOTHING_GIVEN,
    ClipFeatures,
    ClipInputs,
    Modality,
    rebatched,
)
from emotion_llama.models.folders import check_model_folder
from emotion_llama.models.inputs import HUBERT_LAST, Float32, FramePolicy, SoundRecipe, clip_recipe
from emotion_llama.records import UInt8
from emotion_llama.results import Missing

if TYPE_CHECKING:
    import torch

# The whole-clip recipe holds the first convolution's output of all the sound at once: about 22 MB a second.
LONGEST_WHOLE_SECONDS = 180.0
TOWERS = ("face_tower", "temporal_tower", "audio_tower")


class FeatureExtractor:
    """Makes the features of one clip after another.

    Face crops stream through the face encoder `batch_size` at a time, and their mean accumulates, so that memory does
    not grow with the length of a clip. The same clip gives the same bits on the same machine.
    """

    def __init__(self, encoders: TorchEncoders, *, sound: SoundRecipe = HUBERT_LAST, batch_size: int = 32) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, got {batch_size}")
        self.encoders = encoders
        self.sound = sound
        self.batch_size = batch_size

    def recipe(self) -> dict[str, Mapping[str, object]]:
        """Which recipes the features are made by, as JSON values."""
        eva, face, clip = recipes.EVA_PICTURE, recipes.FACE_PICTURE, self.encoders.clip_recipe
        return {
            "image": {**asdict(eva), "size": self.encoders.global_size},
            "face": {**asdict(face), "size": self.encoders.face_size},
            "temporal": {**asdict(clip), "picture": {**asdict(clip.picture), "size": self.encoders.clip_size}},
            "audio": asdict(self.sound),
        }

    def extract(
        self,
        clip: ClipInputs,
        progress: Callable[[str, float], None] | None = None,
        *,
        given: Mapping[Modality, Float32] = NOTHING_GIVEN,
    ) -> ClipFeatures:
        """The features of one clip.

        Args:
            clip: frame, crops and sound.
            progress: hears the stage ("face", "temporal", "audio") and its share done.
            given: vectors that are taken as they are, in place of computing them.

        Raises:
            InputError: the sound is too long for the recipe.
            MediaError: the file's pictures were read twice and differed.
        """
        report = progress or (lambda stage, share: None)
        missing: list[Missing] = []
        face, temporal, audio = (given.get(modality) for modality in MODALITIES)
        if face is None or temporal is None:
            made = self._of_faces(clip, missing, report)
            face, temporal = (made[0] if face is None else face), (made[1] if temporal is None else temporal)
        if audio is None:
            audio = self._of_sound(clip, missing, report)
        missing = [reason for reason in missing if reason.what not in given]
        image = None
        if clip.image is not None:
            image = recipes.resize(clip.image, self.encoders.global_size, recipes.EVA_PICTURE.resample)
        else:
            missing.append(Missing(GLOBAL_IMAGE, clip.why_missing("frame")))
        taken = tuple(modality for modality in MODALITIES if modality in given)
        return ClipFeatures(
            face, temporal, audio, image, clip.num_faces, clip.frame_seconds, clip.frame_why, tuple(missing), taken
        )

    def _of_faces(
        self, clip: ClipInputs, missing: list[Missing], report: Callable[[str, float], None]
    ) -> tuple[Float32 | None, Float32 | None]:
        if not clip.num_faces:
            reason = clip.why_missing("faces")
            missing += [Missing("face", reason), Missing("temporal", reason)]
            return None, None
        report("face", 0.0)
        seen = self.encoders.clip_recipe
        chosen = recipes.clip_frame_indices(clip.num_faces, seen)
        kept: dict[int, UInt8] = {}
        total: npt.NDArray[np.float64] | None = None
        count = 0
        for batch in rebatched(clip.face_chunks(), self.batch_size):
            vectors = self.encoders.face(recipes.face_pixel_values(batch, self.encoders.face_size))
            summed = vectors.astype(np.float64).sum(axis=0)
            total = summed if total is None else total + summed
            kept |= {int(i): batch[i - count].copy() for i in chosen if count <= i < count + len(batch)}
            count += len(batch)
            report("face", min(1.0, count / clip.num_faces))
        if total is None or count != clip.num_faces:
            raise MediaError(
                clip.name, f"{clip.num_faces} faces were found and {count} read back", "copy or download it again"
            )
        report("temporal", 0.0)
        pixels = recipes.clip_pixel_values(np.stack([kept[int(i)] for i in chosen]), self.encoders.clip_size, seen)
        return (total / count).astype(np.float32), self.encoders.temporal(pixels)

    def _of_sound(
        self, clip: ClipInputs, missing: list[Missing], report: Callable[[str, float], None]
    ) -> Float32 | None:
        if clip.samples is None:
            missing.append(Missing("audio", clip.why_missing("sound")))
            return None
        seconds = len(clip.samples) / self.sound.sample_rate_hz
        if self.sound.chunk_seconds is None and seconds > LONGEST_WHOLE_SECONDS:
            raise InputError(
                f"{clip.name}: recipe {self.sound.name} encodes a clip's sound at once and takes up to "
                f"{LONGEST_WHOLE_SECONDS:.0f} s, got {seconds:.0f} s; cut the clip into utterances, "
                f"or choose {recipes.HUBERT_SUM4.name}"
            )
        report("audio", 0.0)
        rows = recipes.sound_chunks(recipes.sound_values(clip.samples, self.sound), self.sound)
        total: npt.NDArray[np.float64] | None = None
        per_batch = max(1, self.batch_size // 8)  # a row of 10 s takes as much memory as some eight pictures
        for start in range(0, len(rows), per_batch):
            vectors = self.encoders.audio(rows[start : start + per_batch], self.sound.name).astype(np.float64)
            total = vectors.sum(axis=0) if total is None else total + vectors.sum(axis=0)
            report("audio", min(1.0, (start + per_batch) / len(rows)))
        assert total is not None
        # All rows are of one length, so that the mean of their means is the mean over all time steps.
        return (total / len(rows)).astype(np.float32)


# --- encoders ---------------------------------------------------------------------------------------------------------


class TorchEncoders:
    """The three encoders of utterance features, at whatever size they are; arrays in, arrays out.

    `face_size`, `clip_size` and `global_size` are the sides of the images that they, and the global encoder, take;
    `clip_recipe` says which crops the temporal encoder gets.
    """

    def __init__(self, config: Any, towers: Mapping[str, Any], device: str = "cpu") -> None:
        """Use these towers.

        Raises:
            InputError: the weights were trained on inputs made by another recipe than the published.
        """
        self.face_size = int(config.face_config.image_size)
        self.clip_size = int(config.temporal_config.image_size)
        self.clip_recipe = clip_recipe(int(config.temporal_config.num_frames))
        self.global_size = int(config.vision_config.image_size)
        parts = {"face": config.face_config, "temporal": config.temporal_config, "audio": config.audio_config}
        self.feature_sizes: dict[Modality, int] = {m: int(parts[m].hidden_size) for m in MODALITIES}
        self.audio_recipe = str(config.recipes["audio"])
        self.frame_policy: FramePolicy = config.frame_policy
        wanted = {"image": recipes.EVA_PICTURE.name, "face": recipes.FACE_PICTURE.name}
        wanted["temporal"] = recipes.VIDEOMAE_CLIP.name
        for modality, name in wanted.items():
            if (named := config.recipes[modality]) != name:
                raise InputError(f"the model's {modality} recipe is {named!r}; features are made by {name!r} only")
        self._towers = {name: tower.eval() for name, tower in towers.items()}
        self._device = device

    @classmethod
    def of_model(cls, model: Any) -> TorchEncoders:
        """The towers of a loaded EmotionLlamaForConditionalGeneration.

        Raises:
            InputError: the model was built without one of them.
        """
        towers: dict[str, Any] = {name: getattr(model, name, None) for name in TOWERS}
        absent = [name for name, tower in towers.items() if tower is None]
        if absent:
            raise InputError(f"the model has no {' and no '.join(absent)}; features need a model with all encoders")
        return cls(model.config, towers, str(next(towers["face_tower"].parameters()).device))

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> TorchEncoders:
        """Read the encoders from a model's folder, in float32, as the published features were made.

        Raises:
            InputError: the folder holds no such model, tensors of its encoders are missing, or there is no such device.
            MissingDependency: torch or transformers is not installed.
        """
        folder = Path(folder)
        check_model_folder(folder)
        try:
            import torch
            from transformers import HubertModel

            from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
            from emotion_llama.models.vit import VisionTransformer
        except ImportError as error:
            raise MissingDependency("torch", "a model", "pip install 'emotion-llama[model]'") from error
        check_device(device)
        config = EmotionLlamaConfig.from_pretrained(folder)
        state = _tower_tensors(folder)
        towers = {}
        for name in TOWERS:
            build: Any = HubertModel if name == "audio_tower" else VisionTransformer
            with torch.device("meta"):
                tower = build(getattr(config, name.replace("_tower", "_config")))
            towers[name] = _filled(tower, name, state, folder).to(device)
        return cls(config, towers, device)

    def fingerprint(self) -> str:
        """A sha256 of all weights, by which features of different encoders are told apart."""
        import torch

        digest = hashlib.sha256()
        for name in TOWERS:
            for key, tensor in sorted(self._towers[name].state_dict().items()):
                digest.update(f"{name}.{key} {tensor.dtype} {list(tensor.shape)}\n".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def face(self, pixel_values: Float32) -> Float32:
        """[N, D] of crops [N, 3, S, S]: the class token after the final norm."""
        return self._run("face_tower", pixel_values, lambda tower, faces: tower(faces).last_hidden_state[:, 0])

    def temporal(self, pixel_values: Float32) -> Float32:
        """[D] of one clip [3, T, S, S]: mean over the raw tokens of the last block."""
        clip = pixel_values[None]
        means = self._run("temporal_tower", clip, lambda tower, faces: tower(faces).last_hidden_state.mean(dim=1))
        return np.asarray(means[0])

    def audio(self, values: Float32, recipe: str) -> Float32:
        """[C, D] of rows of sound [C, L]: the mean over time of what the recipe takes from the encoder's states."""
        from emotion_llama.models.utterance_features import hubert_features

        return self._run("audio_tower", values, lambda tower, rows: hubert_features(tower, rows, None, recipe))

    def _run(self, name: str, values: Float32, encode: Callable[[Any, torch.Tensor], torch.Tensor]) -> Float32:
        import torch

        tower = self._towers[name]
        dtype = next(tower.parameters()).dtype
        # On a GPU convolutions are rounded to 10 bits unless told otherwise, which shows in the features.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                encoded = encode(tower, torch.from_numpy(values).to(self._device, dtype))
        except torch.OutOfMemoryError as error:
            sizes = "x".join(map(str, values.shape))
            raise BackendError(
                f"{self._device} has too little memory for {sizes} inputs; use smaller batches"
            ) from error
        vectors = np.asarray(encoded.float().cpu().numpy())
        if not np.isfinite(vectors).all():
            raise BackendError(
                f"the model's {name} gives values that are not finite numbers; its weights are damaged, or too large "
                f"for {dtype}: convert the published files again"
            )
        return vectors


def check_device(device: str) -> None:
    """Raise InputError where torch finds no device of that name."""
    import torch

    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise InputError(f"device {device!r} is not known; expected cpu, cuda, cuda:1 or mps")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= count:
        raise InputError(f"device {device!r} is not here: torch finds {count} of that kind; leave it out for the CPU")


def _tower_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the three towers, by their name in the model, float32."""
    from safetensors import safe_open

    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            own = [key for key in tensors.keys() if key.startswith(TOWERS)]  # noqa: SIM118  not a mapping
            found |= {key: tensors.get_tensor(key).float() for key in own}
    return found


def _filled(tower: Any, name: str, state: Mapping[str, torch.Tensor], folder: Path) -> Any:
    """The tower with its weights, all of them and no others."""
    wanted = tower.state_dict()
    given = {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}
    wrong = sorted(set(wanted) ^ set(given)) or sorted(k for k in wanted if wanted[k].shape != given[k].shape)
    if wrong:
        raise InputError(
            f"{folder}: {len(wrong)} tensors of its {name} are missing, unknown or of another size than config.json "
            f"says, for instance {name}.{wrong[0]}; convert the published files again"
        )
    tower.load_state_dict(given, strict=True, assign=True)
    return tower
