"""LoRA beside the language model: attach, list, take apart for saving, merge. peft does the work."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from emotion_llama.errors import InputError, MissingDependency

_INSTALL = "pip install 'emotion-llama[model]'"
CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
# Figures of the published weights: eval_configs/eval_emotion.yaml and minigpt_v2.py of Emotion-LLaMA.
PUBLISHED_RANK, PUBLISHED_ALPHA, PUBLISHED_DROPOUT = 64, 16, 0.05
PUBLISHED_TARGETS = ("q_proj", "v_proj")


def require_peft() -> None:
    """Raise MissingDependency where peft cannot be imported."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingDependency("peft", "a model with a LoRA adapter", _INSTALL) from error


def add_lora(
    model: PreTrainedModel,
    rank: int = PUBLISHED_RANK,
    alpha: int = PUBLISHED_ALPHA,
    dropout: float = PUBLISHED_DROPOUT,
    targets: Sequence[str] = PUBLISHED_TARGETS,
    name: str = "default",
) -> None:
    """Attach a new adapter to those linear layers of the language model, in no other part (HuBERT has q_proj, too).

    Raises:
        InputError: the language model has no layer of that name.
        MissingDependency: peft is not installed.
    """
    require_peft()
    from peft import LoraConfig

    paths = (path for path, _ in model.named_modules() if path.startswith("language_model."))
    found = {path.rpartition(".")[2] for path in paths}
    if missing := sorted(set(targets) - found):
        raise InputError(f"the language model has no layer named {', '.join(missing)}; name others as targets")
    pattern = rf"language_model\..*\.({'|'.join(targets)})"
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern, bias="none")
    model.add_adapter(config, adapter_name=name)
    # peft makes it in the base layer's type, in which small steps of training would be rounded away.
    for layer in adapted_layers(model).values():
        for _, parameter in _own_parameters(layer, name):
            parameter.data = parameter.data.float()


def check_files(folder: Path) -> None:
    """Check, before a model's folder is read, that its adapter is whole.

    Raises:
        InputError: one of the adapter's two files is missing, or both though the record of the conversion names them.
        MissingDependency: there is an adapter, and peft is not installed.
    """
    from emotion_llama.models.folders import read_manifest

    there = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if (folder / name).is_file()]
    lora = ((read_manifest(folder) or {}).get("lora") or {}) if not there else {}
    if len(there) == 1 or lora.get("merged") is False:
        missing = " and ".join(sorted({CONFIG_NAME, WEIGHTS_NAME} - set(there)))
        raise InputError(
            f"{folder}: the model was saved with a LoRA adapter, but {missing} is missing; without it the language "
            "model is not the trained one: copy the whole folder again, or convert again"
        )
    if there:
        require_peft()


def check_names(place: object, kind: str, names: Iterable[str]) -> None:
    """Raise InputError where there are any `names`, which are `kind` weights of the model at `place`."""
    if found := sorted(names):
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise InputError(f"{place}: {len(found)} {kind} weights: {shown}; convert it again")


def load(model: PreTrainedModel, folder: Path, name: str = "default") -> None:
    """Attach the adapter that lies in `folder`, in float32, where the layers that it adapts compute.

    Layers may be offloaded: accelerate's hooks bring their weights, and the adapter, which is small, stays.

    Raises:
        InputError: tensors of the adapter are missing, unknown or of another shape.
        MissingDependency: peft is not installed.
    """
    require_peft()
    from peft import PeftConfig
    from safetensors.torch import load_file

    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    model.add_adapter(config, adapter_name=name)
    where = folder / WEIGHTS_NAME
    stored = {key.removeprefix("base_model.model."): value for key, value in load_file(where).items()}
    layers = adapted_layers(model)
    # peft leaves the adapter's name out of its files.
    wanted = {
        f"{place}.{path}".replace(f".{name}.", "."): (layer, path, parameter)
        for place, layer in layers.items()
        for path, parameter in _own_parameters(layer, name)
    }
    check_names(where, "missing", wanted.keys() - stored.keys())
    check_names(where, "unexpected", stored.keys() - wanted.keys())
    check_names(where, "mismatched", (key for key in wanted if wanted[key][2].shape != stored[key].shape))
    # Not by peft's own function: it moves what it has loaded to the meta device, where a layer is offloaded.
    for key, (layer, path, _) in wanted.items():
        owner, _, leaf = path.rpartition(".")
        value = stored[key].to(_execution_device(layer.get_base_layer()), torch.float32)
        setattr(layer.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))
    model.eval()


def _own_parameters(layer: Any, name: str) -> list[tuple[str, nn.Parameter]]:
    """The adapter's parameters in a layer that it adapts, by their path there."""
    found = layer.named_parameters()
    return [(path, value) for path, value in found if not path.startswith("base_layer.") and name in path.split(".")]


def _execution_device(base: nn.Module) -> torch.device:
    """Where a layer computes: where its weight is, or, of one that is offloaded, where accelerate brings it."""
    weight: torch.Tensor = base.weight  # type: ignore[assignment]
    hook: Any = getattr(base, "_hf_hook", None)
    place = getattr(hook, "execution_device", None) if weight.device.type == "meta" else None
    return weight.device if place is None else torch.device(place)


def adapted_layers(model: nn.Module) -> dict[str, Any]:
    """Name -> layer, of every layer that an adapter wraps."""
    require_peft()
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}


def base_state_dict(model: PreTrainedModel, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` of a model with adapters as it would be without them, tensors shared."""
    layers = tuple(adapted_layers(model))
    base: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        layer = next((layer for layer in layers if name.startswith(f"{layer}.")), None)
        if layer is None:
            base[name] = tensor
        elif name.startswith(f"{layer}.base_layer."):
            base[f"{layer}.{name.removeprefix(f'{layer}.base_layer.')}"] = tensor
    return base


def merge(model: PreTrainedModel) -> None:
    """Add the active adapters into the weights they adapt and remove every trace of them.

    Raises:
        InputError: there is no adapter, or weights are offloaded and cannot be changed.
        MissingDependency: peft is not installed.
    """
    layers = adapted_layers(model)
    if not layers:
        raise InputError("there is no adapter to merge; load one or call add_lora first")
    if away := [name for name, layer in layers.items() if layer.get_base_layer().weight.device.type == "meta"]:
        raise InputError(
            f"{away[0]} is offloaded, so that nothing can be added to its weights; load the model without device_map, "
            "or convert it with --merge"
        )
    for name, layer in layers.items():
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False
    # What loading an adapter left: a rule that puts peft's prefix before every name at saving.
    if hasattr(model, "_weight_conversions"):
        del model._weight_conversions


def refuse_stale_adapter(folder: Path) -> None:
    """Raise InputError where a folder holds an adapter that loading would add to other weights saved there."""
    if (folder / CONFIG_NAME).exists():
        raise InputError(
            f"{folder} holds an adapter of an earlier save, which loading would add to these weights; "
            f"save to another folder, or delete {CONFIG_NAME}, {WEIGHTS_NAME} and conversion.json there"
        )
