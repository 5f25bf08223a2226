"""A checked plan together with its files: the tensors of the converted model, one at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import ADAPTER_PREFIX, LANGUAGE_MODEL, check_roles, published_name
from emotion_llama.models.checkpoints.plan import (
    Plan,
    adapted_modules,
    check_adapter,
    check_complete,
    check_types,
    leave_behind,
    make_plan,
)
from emotion_llama.models.checkpoints.shards import FileRecords, write_safetensors, write_shards
from emotion_llama.models.checkpoints.sizes import (
    ConversionOptions,
    drop_unused_blocks,
    model_config,
    read_vocabulary,
)
from emotion_llama.models.checkpoints.tensor_files import TensorInfo, TensorSource
from emotion_llama.models.known_files import Role

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

ADAPTER_WEIGHTS_NAME = "adapter_model.safetensors"
ADAPTER_CONFIG_NAME = "adapter_config.json"
# Emotion-LLaMA's training configuration (UPSTREAM 1.3 E); alpha is also in the files of training runs.
PUBLISHED_ALPHA = 16.0
PUBLISHED_DROPOUT = 0.05
_LAYER_NORM = "vision_layernorm"
_FEATURE_PROJECTIONS = tuple(f"multi_modal_projector.{name}." for name in ("face", "temporal", "audio", "global_view"))

# Tensors that a file may hold though the model, by its configuration, has no such parameter.
_DISPENSABLE = {
    "audio_tower.masked_spec_embed": "only used to mask the spectrum in pre-training",
    f"{LANGUAGE_MODEL}.lm_head.weight": "tied to the table of embeddings",
}


@dataclass(frozen=True)
class Assembly:
    """Everything that has to be known before the first byte is written.

    Attributes:
        plan: where every published tensor goes.
        config: of the model.
        tokenizer: of the language model, for the processor.
        expected: shape of every tensor of the model's state.
        rank, alpha: of the LoRA.
        opened: the files.
        options: as given.
        notes: choices that the user did not make.
    """

    plan: Plan
    config: EmotionLlamaConfig
    tokenizer: PreTrainedTokenizerBase
    expected: dict[str, tuple[int, ...]]
    rank: int
    alpha: float
    opened: dict[Role, TensorSource]
    options: ConversionOptions
    notes: tuple[str, ...]

    @property
    def ignored(self) -> dict[Role, dict[str, list[str]]]:
        """Role -> reason -> names left behind."""
        return self.plan.ignored

    @property
    def num_parameters(self) -> int:
        """Numbers in the model without its adapter."""
        return sum(math.prod(shape) for shape in self.expected.values())

    @property
    def num_lora_parameters(self) -> int:
        """Numbers in the adapter, merged or not."""
        return sum(math.prod(origin.info.shape) for origin in self.plan.adapter.values())

    def infos(self) -> dict[str, TensorInfo]:
        """Shape and output type of every tensor of the model, in the order of their files."""
        placed = {name: self._info(origin.info) for name, origin in self.plan.model.items()}
        made = {name: TensorInfo(shape, self._default_dtype()) for name, shape in self.expected.items()}
        return placed | {name: info for name, info in made.items() if name not in placed}

    def adapter_infos(self) -> dict[str, TensorInfo]:
        """Shape and output type of every tensor of the adapter."""
        return {name: self._info(origin.info) for name, origin in self.plan.adapter.items()}

    def read(self, name: str) -> torch.Tensor:
        """One tensor of the model as it is written."""
        origin = self.plan.placed.get(name)
        if origin is None:
            return _made(name, self.expected, self.options.new_projections).to(self._default_dtype())
        tensor = self._published(name)
        if self.options.merge and name.startswith(LANGUAGE_MODEL):
            tensor = self._merged(name, tensor)
        kind = self._info(origin.info).dtype
        if tensor.dtype == kind:
            return tensor
        return check_finite(tensor.to(kind), origin.name, f"it does not fit {kind}; give another --dtype")

    def write(self, folder: Path) -> FileRecords:
        """The weights, the adapter and the configuration."""
        files = write_shards(folder, self.infos(), self.read, self.options.max_shard_bytes)
        if not self.options.merge:
            files |= write_safetensors(folder / ADAPTER_WEIGHTS_NAME, self.adapter_infos(), self.read)
            config = json.dumps(self._adapter_config(), indent=2)
            (folder / ADAPTER_CONFIG_NAME).write_text(config + "\n", encoding="utf-8")
        for source in self.opened.values():
            source.release()
        for name in ("text_config", "audio_config"):
            getattr(self.config, name).dtype = self._default_dtype()
        self.config.dtype = self._default_dtype()
        self.config.architectures = ["EmotionLlamaForConditionalGeneration"]
        self.config.save_pretrained(folder)
        return files

    def _published(self, name: str) -> torch.Tensor:
        origin = self.plan.placed[name]
        source = self.opened[origin.role]
        why = f"{source.path} is damaged, or of a training that failed; get it again"
        return check_finite(source.read(origin.name), f"{origin.name} (--{origin.role})", why)

    def _merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """[out, in] `weight` plus (alpha / rank) B A in float32 where the layer `name` carries LoRA."""
        stem = ADAPTER_PREFIX + name.removesuffix(".weight")
        if f"{stem}.lora_A.weight" not in self.plan.placed:
            return weight
        down, up = (self._published(f"{stem}.lora_{half}.weight").float() for half in "AB")
        return weight.float() + self.alpha / self.rank * (up @ down)

    def _adapter_config(self) -> dict[str, Any]:
        """What peft's `adapter_config.json` holds; transformers loads an adapter that lies in the model's own folder.

        The modules are a pattern with the language model's prefix, because HuBERT has layers called `q_proj` as well.
        """
        return {
            "peft_type": "LORA",
            "task_type": None,
            "base_model_name_or_path": None,
            "r": self.rank,
            "lora_alpha": int(self.alpha) if float(self.alpha).is_integer() else self.alpha,
            "lora_dropout": PUBLISHED_DROPOUT,
            "target_modules": rf"{LANGUAGE_MODEL}\..*\.({'|'.join(adapted_modules(self.plan))})",
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
        }

    def _info(self, info: TensorInfo) -> TensorInfo:
        import torch

        if self.options.dtype == "stored" or not info.dtype.is_floating_point:
            return info
        return TensorInfo(info.shape, getattr(torch, self.options.dtype))

    def _default_dtype(self) -> torch.dtype:
        """Type of what no file holds, and of the loaded model: the language model's."""
        language_model = self.plan.infos(LANGUAGE_MODEL)
        return self._info(next(iter(language_model.values()))).dtype


def assemble(opened: dict[Role, TensorSource], options: ConversionOptions) -> Assembly:
    """Plan, configure and check.

    Raises:
        InputError: something is unknown, missing, left over, of another shape, or must be given.
    """
    check_roles(opened)
    plan = make_plan(opened)
    check_types(plan, opened)
    drop_unused_blocks(plan, options)
    config = model_config(plan, options, llama=opened["llama"].path, hubert=opened["hubert"].path)
    tokenizer, free_id, notes = read_vocabulary(opened["llama"].path, config.text_config.vocab_size)
    config.image_token_id, config.feature_token_id = free_id, free_id + 1
    expected = state_shapes(config)
    for name, reason in _DISPENSABLE.items():
        if name in plan.placed and name not in expected:
            leave_behind(plan, [name], reason)
    provided, more = _provided(plan, expected, options)
    check_complete(plan, expected, provided, {name: _shown(name) for name in expected})
    rank = check_adapter(plan, expected)
    alpha, note = _alpha(opened, options.lora_alpha)
    return Assembly(plan, config, tokenizer, expected, rank, alpha, opened, options, (*notes, *more, *note))


def state_shapes(config: EmotionLlamaConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a model of this configuration saves; no memory is taken for them."""
    import torch

    from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration

    with torch.device("meta"):
        model = EmotionLlamaForConditionalGeneration(config)
    tied = set(model.all_tied_weights_keys)  # saved once, under the name they are tied to
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def _provided(
    plan: Plan, expected: dict[str, tuple[int, ...]], options: ConversionOptions
) -> tuple[list[str], list[str]]:
    """Names that conversion fills itself, and what to say about it."""
    absent = [name for name in expected if name not in plan.placed]
    norm = [name for name in absent if name.startswith(f"{_LAYER_NORM}.")]
    notes = []
    if len(norm) == 2:  # half of it missing is a damaged file
        notes.append("ln_vision is in no file: weight 1, bias 0, as the reference has it then")
    new = []
    if options.new_projections is not None:
        new = [name for name in absent if name.startswith(_FEATURE_PROJECTIONS)]
        notes += [f"new, drawn from seed {options.new_projections}: {', '.join(_shown(n) for n in new)}"] if new else []
    return [*(norm if len(norm) == 2 else []), *new], notes


def _alpha(opened: dict[Role, TensorSource], given: float | None) -> tuple[float, list[str]]:
    """LoRA's alpha as given, else as a training run saved it with its weights, else the published one with a note."""
    if given is not None:
        return given, []
    for source in (opened["weights"], opened.get("base")):
        config = source.extras.get("config") if source is not None else None
        model = config.get("model") if isinstance(config, Mapping) else None
        alpha = model.get("lora_alpha") if isinstance(model, Mapping) else None
        if isinstance(alpha, (int, float)):
            return float(alpha), []
    return PUBLISHED_ALPHA, [f"LoRA's alpha is not in the files: {PUBLISHED_ALPHA:g}, as published"]


def _made(name: str, expected: dict[str, tuple[int, ...]], seed: int | None) -> torch.Tensor:
    import torch

    shape = expected[name]
    if name.startswith(f"{_LAYER_NORM}."):
        return torch.ones(shape) if name.endswith(".weight") else torch.zeros(shape)
    stem, kind = name.rsplit(".", 1)
    columns = expected[f"{stem}.weight"][1]
    # nn.Linear's own start: uniform within 1 / sqrt(columns) for weight and bias.
    generator = torch.Generator().manual_seed((seed or 0) * 16 + 2 * _FEATURE_PROJECTIONS.index(f"{stem}."))
    generator = generator if kind == "weight" else generator.manual_seed(generator.initial_seed() + 1)
    drawn: torch.Tensor = (2 * torch.rand(shape, generator=generator) - 1) / columns**0.5
    return drawn


def _shown(name: str) -> str:
    """The published file and name of one of ours."""
    role, published = published_name(name)
    return f"{published} (--{role})"


def check_finite(tensor: torch.Tensor, name: str, why: str) -> torch.Tensor:
    """`tensor` itself when all its values are finite.

    One pass for the smallest and largest value, which are NaN where any value is, takes no memory of the tensor's size.

    Raises:
        InputError: naming the tensor, how many of its values are NaN or infinite, and `why` that may be.
    """
    import torch

    if tensor.numel() == 0 or all(torch.isfinite(end) for end in torch.aminmax(tensor.detach())):
        return tensor
    count = tensor.numel() - int(torch.isfinite(tensor).sum())
    raise InputError(f"{name}: {count:,} of {tensor.numel():,} values are NaN or infinite; {why}")
