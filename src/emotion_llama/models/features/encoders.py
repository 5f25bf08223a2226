"""The three encoders of utterance features, taken out of a model, or read from its folder without the rest of it.

The language model and the global encoder have no part in utterance features, so that these are made with a quarter of
the published model's weights in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.models.clips import MODALITIES, Modality
from emotion_llama.models.inputs import EVA_PICTURE, FACE_PICTURE, VIDEOMAE_CLIP, Float32, FramePolicy, clip_recipe

if TYPE_CHECKING:
    import torch

TOWERS = ("face_tower", "temporal_tower", "audio_tower")
_CONFIG_OF = {"face_tower": "face_config", "temporal_tower": "temporal_config", "audio_tower": "audio_config"}


class TorchEncoders:
    """`features.Encoders` over a model's own towers."""

    def __init__(self, config: Any, towers: Mapping[str, Any], device: str = "cpu") -> None:
        """Use these towers.

        Args:
            config: an EmotionLlamaConfig.
            towers: name (`TOWERS`) -> module.
            device: where they are, and inputs go.

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
        _check_recipes(config.recipes)
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
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} holds no model: config.json is missing; `emotion-llama convert` makes one of published files"
            )
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
                tower = build(getattr(config, _CONFIG_OF[name]))
            towers[name] = _filled(tower, name, state, folder).to(device)
        return cls(config, towers, device)

    def fingerprint(self) -> str:
        """A sha256 of all weights, by which features of different encoders are told apart."""
        digest = hashlib.sha256()
        for name in TOWERS:
            for key, tensor in sorted(self._towers[name].state_dict().items()):
                digest.update(f"{name}.{key} {tensor.dtype} {list(tensor.shape)}\n".encode())
                digest.update(memoryview(_bytes(tensor)))
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


def _check_recipes(named: Mapping[str, str]) -> None:
    known = {"image": EVA_PICTURE.name, "face": FACE_PICTURE.name, "temporal": VIDEOMAE_CLIP.name}
    for modality, name in known.items():
        if named[modality] != name:
            raise InputError(
                f"the model's {modality} recipe is {named[modality]!r}; features are made by {name!r} only"
            )


def _tower_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the three towers, by their name in the model, float32."""
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder} holds no weights: expected model.safetensors or its parts")
    found = {}
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118  not a mapping
                if key.startswith(tuple(f"{name}." for name in TOWERS)):
                    found[key] = tensors.get_tensor(key).float()
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


def _bytes(tensor: torch.Tensor) -> Any:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
