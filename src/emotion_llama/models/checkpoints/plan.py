"""Decide, from names, shapes and the folders' own files alone, what conversion makes; refuse anything left over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import (
    ADAPTER_PREFIX,
    LANGUAGE_MODEL,
    TITLES,
    check_roles,
    place,
    published_name,
)
from emotion_llama.models.checkpoints.published import Role
from emotion_llama.models.checkpoints.sizes import ConversionOptions, model_config, read_vocabulary, unused_blocks
from emotion_llama.models.checkpoints.tensor_files import TensorInfo, TensorSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

# Emotion-LLaMA's training configuration (UPSTREAM 1.3 E); alpha is also in the files of training runs.
PUBLISHED_ALPHA = 16.0
LAYER_NORM = "vision_layernorm"
FEATURE_PROJECTIONS = tuple(f"multi_modal_projector.{name}." for name in ("face", "temporal", "audio", "global_view"))

# Tensors that a file may hold though the model, by its configuration, has no such parameter.
_DISPENSABLE = {
    "audio_tower.masked_spec_embed": "only used to mask the spectrum in pre-training",
    f"{LANGUAGE_MODEL}.lm_head.weight": "tied to the table of embeddings",
}
_SHOWN = 6  # names listed in an error before "and N more"
_ORDER: tuple[Role, ...] = ("llama", "eva", "mae", "videomae", "hubert", "base", "weights")
_WEIGHT_TYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Plan:
    """Everything that has to be known before the first byte is written."""

    opened: dict[Role, TensorSource]  # the files
    options: ConversionOptions
    placed: dict[str, tuple[Role, str]]  # our name -> published file and name; adapter tensors among them
    ignored: dict[Role, dict[str, list[str]]]  # role -> reason -> published names left behind
    config: EmotionLlamaConfig  # of the model
    tokenizer: PreTrainedTokenizerBase  # of the language model, for the processor
    expected: dict[str, tuple[int, ...]]  # shape of every tensor of the model's state
    # rank, alpha: of the LoRA
    rank: int
    alpha: float
    notes: tuple[str, ...]  # choices that the user did not make

    @property
    def infos(self) -> dict[str, TensorInfo]:
        """Our name -> shape and published type of what is placed."""
        return _infos(self.placed, self.opened)

    @property
    def num_parameters(self) -> int:
        """Numbers in the model without its adapter."""
        return sum(math.prod(shape) for shape in self.expected.values())

    @property
    def num_lora_parameters(self) -> int:
        """Numbers in the adapter, merged or not."""
        return sum(math.prod(info.shape) for name, info in self.infos.items() if name.startswith(ADAPTER_PREFIX))


def make_plan(opened: dict[Role, TensorSource], options: ConversionOptions) -> Plan:
    """Place every tensor, configure, and check that the model is whole; `weights` replaces what `base` brings.

    Raises:
        InputError: something is unknown, missing, left over, of another shape or type, or must be given.
    """
    check_roles(opened)
    placed: dict[str, tuple[Role, str]] = {}
    ignored: dict[Role, dict[str, list[str]]] = {}
    for role in (role for role in _ORDER if role in opened):
        _place(role, opened[role], placed, ignored)

    def leave_behind(names: Iterable[str], reason: str) -> None:
        for name in names:
            role, published = placed.pop(name)
            ignored.setdefault(role, {}).setdefault(reason, []).append(published)

    leave_behind(*unused_blocks(_infos(placed, opened), options))
    infos = _infos(placed, opened)
    config = model_config(infos, options, llama=opened["llama"].path, hubert=opened["hubert"].path)
    tokenizer, free_id, notes = read_vocabulary(opened["llama"].path, config.text_config.vocab_size)
    config.image_token_id, config.feature_token_id = free_id, free_id + 1
    expected = state_shapes(config)
    for name, reason in _DISPENSABLE.items():
        if name in placed and name not in expected:
            leave_behind([name], reason)
    provided, more = _provided(placed, expected, options)
    infos = _infos(placed, opened)
    model = {name: info for name, info in infos.items() if not name.startswith(ADAPTER_PREFIX)}
    _check_complete(model, expected, provided, placed)
    rank = _check_adapter({name: info for name, info in infos.items() if name not in model}, expected, placed)
    alpha, note = _alpha(opened, options.lora_alpha)
    return Plan(
        opened, options, placed, ignored, config, tokenizer, expected, rank, alpha, (*notes, *more, *note)
    )  # fmt: skip


def state_shapes(config: EmotionLlamaConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a model of this configuration saves; no memory is taken for them."""
    import torch

    from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration

    with torch.device("meta"):
        model = EmotionLlamaForConditionalGeneration(config)
    tied = set(model.all_tied_weights_keys)  # saved once, under the name they are tied to
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def _infos(placed: Mapping[str, tuple[Role, str]], opened: Mapping[Role, TensorSource]) -> dict[str, TensorInfo]:
    return {name: opened[role].infos[published] for name, (role, published) in placed.items()}


def _place(
    role: Role,
    source: TensorSource,
    placed: dict[str, tuple[Role, str]],
    ignored: dict[Role, dict[str, list[str]]],
) -> None:
    unknown = []
    for name, info in source.infos.items():
        placement = place(role, name)
        if placement is None:
            unknown.append(name)
            continue
        target, reason = placement
        if target is None:
            ignored.setdefault(role, {}).setdefault(reason, []).append(name)
            continue
        if target in placed and placed[target][0] == role:
            raise InputError(
                f"{source.path}: {placed[target][1]} and {name} are both {target}; keep one of them in the file"
            )
        kind = str(info.dtype).removeprefix("torch.")
        if kind not in _WEIGHT_TYPES:
            raise InputError(
                f"{source.path}: {name} (--{role}) holds {kind}; expected one of {', '.join(_WEIGHT_TYPES)}; "
                "quantised or damaged weights cannot be converted"
            )
        placed[target] = role, name
    if unknown:
        raise InputError(
            f"{source.path}: {_listed(unknown)} {'is' if len(unknown) == 1 else 'are'} unknown in the "
            f"{TITLES[role]} (--{role}); is it the right file? 'emotion-llama doctor {source.path}' says what it is"
        )


def _provided(
    placed: Mapping[str, tuple[Role, str]], expected: Mapping[str, tuple[int, ...]], options: ConversionOptions
) -> tuple[set[str], list[str]]:
    """Names that conversion fills itself, and what to say about it."""
    absent = [name for name in expected if name not in placed]
    norm = [name for name in absent if name.startswith(f"{LAYER_NORM}.")]
    provided, notes = set(), []
    if len(norm) == 2:  # half of it missing is a damaged file
        provided.update(norm)
        notes.append("ln_vision is in no file: weight 1, bias 0, as the reference has it then")
    if options.new_projections is not None:
        new = [name for name in absent if name.startswith(FEATURE_PROJECTIONS)]
        provided.update(new)
        notes += [f"new, drawn from seed {options.new_projections}: {', '.join(map(_shown, new))}"] if new else []
    return provided, notes


def _check_complete(
    model: Mapping[str, TensorInfo],
    expected: Mapping[str, tuple[int, ...]],
    provided: set[str],
    placed: Mapping[str, tuple[Role, str]],
) -> None:
    """Raise InputError unless every parameter has a tensor of its shape, and every tensor a parameter."""
    found = {name: f"{placed[name][1]} ({placed[name][0]})" for name in model}
    problems = {
        "missing": [_shown(name) for name in expected if name not in model and name not in provided],
        "without a place in the model": [found[name] for name in model if name not in expected],
        "of another shape": [
            f"{found[name]} is {list(info.shape)}, the model expects {list(expected[name])}"
            for name, info in model.items()
            if name in expected and info.shape != expected[name]
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{problem}: {_listed(names)}" for problem, names in problems.items() if names)
        raise InputError(f"the files do not make a whole model; {listed}")


def _check_adapter(
    adapter: Mapping[str, TensorInfo],
    expected: Mapping[str, tuple[int, ...]],
    placed: Mapping[str, tuple[Role, str]],
) -> int:
    """The LoRA rank, when every pair is whole, fits its layer, and reaches every layer alike."""
    if not adapter:
        raise InputError("--weights holds no LoRA tensors (lora_A, lora_B); without them the answers are LLaMA's own")
    stems = sorted({name.rsplit(".lora_", 1)[0] for name in adapter})
    halves = [f"{stem}.lora_{half}.weight" for stem in stems for half in "AB"]
    # A layer without LoRA is a gap where the same module of another layer has it.
    modules = {stem.rsplit(".", 1)[1] for stem in stems}
    layers = (name.removesuffix(".weight") for name in expected if name.startswith(f"{LANGUAGE_MODEL}."))
    gaps = [layer for layer in layers if layer.rsplit(".", 1)[1] in modules and ADAPTER_PREFIX + layer not in stems]
    if missing := [name for name in halves if name not in adapter] + [ADAPTER_PREFIX + layer for layer in gaps]:
        raise InputError(f"LoRA tensors are missing: {_listed(missing)}")
    if flat := [name for name, info in adapter.items() if len(info.shape) != 2]:
        raise InputError(f"LoRA of {placed[flat[0]][1]} is {list(adapter[flat[0]].shape)}; expected two axes")
    ranks = {adapter[f"{stem}.lora_A.weight"].shape[0] for stem in stems}
    if len(ranks) > 1:
        raise InputError(f"LoRA tensors have ranks {sorted(ranks)}; expected one rank")
    rank = int(ranks.pop())
    for stem in stems:
        rows, columns = expected.get(f"{stem.removeprefix(ADAPTER_PREFIX)}.weight", (0, 0))
        a, b = (adapter[f"{stem}.lora_{half}.weight"].shape for half in "AB")
        if (a, b) != ((rank, columns), (rows, rank)):
            raise InputError(
                f"LoRA of {stem} is {list(a)} and {list(b)}, but its layer is [{rows}, {columns}]; "
                "--weights and --llama are of different sizes"
            )
    return rank


def _alpha(opened: Mapping[Role, TensorSource], given: float | None) -> tuple[float, list[str]]:
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


def _shown(name: str) -> str:
    role, published = published_name(name)
    return f"{published} (--{role})"


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
