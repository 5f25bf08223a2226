"""Turn the published files into one folder that `from_pretrained` loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import ADAPTER_PREFIX, LANGUAGE_MODEL, TITLES
from emotion_llama.models.checkpoints.plan import FEATURE_PROJECTIONS, LAYER_NORM, Plan, make_plan
from emotion_llama.models.checkpoints.published import Role, known_file
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.checkpoints.tensor_files import (
    FileRecords,
    TensorInfo,
    TensorSource,
    check_finite,
    file_record,
    open_source,
    write_safetensors,
    write_shards,
)
from emotion_llama.models.folders import FORMAT, MANIFEST_NAME

if TYPE_CHECKING:
    import torch

# Role -> file, or folder of the language model and HuBERT; all of them but "base".
Sources = dict[Role, Path]
NEEDED: tuple[Role, ...] = ("llama", "eva", "mae", "videomae", "hubert", "weights")
ADAPTER_WEIGHTS_NAME = "adapter_model.safetensors"
ADAPTER_CONFIG_NAME = "adapter_config.json"
PUBLISHED_DROPOUT = 0.05
# Tokenizer, configuration, headers of the shards and the record: 3 MB with LLaMA's 32,000 words.
_ROOM_FOR_THE_REST = 5 * 10**6


def convert(
    sources: Sources,
    out: str | Path,
    options: ConversionOptions | None = None,
    progress: Callable[[str], object] = lambda line: None,
) -> Plan:
    """Convert strictly, one tensor in memory at a time; nothing is left at `out` unless all of it went well.

    Args:
        sources: the published files by role: "llama" and "hubert" are folders, "eva", "mae", "videomae" and "weights"
            (the trained part) files; "base", MiniGPT-v2's start weights, may be left out, and `weights` replaces what
            both hold.
        out: the new folder.
        options: None takes the published sizes.
        progress: called with a line for each stage.

    Returns:
        what was converted: its numbers of parameters, tensors left behind, and notes on choices that were not given.

    Raises:
        InputError: files that are missing, damaged, not what they are given as, or that do not fit together; an
            output folder that is not empty or cannot be written; not enough room.
        MissingDependency: without torch or transformers.
    """
    out = Path(out)
    if lacking := [role for role in NEEDED if role not in sources]:
        raise InputError(f"no file is given for {', '.join(f'{role} ({TITLES[role]})' for role in lacking)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already there; give a folder that does not exist yet, or an empty one")
    progress("reading names and shapes")
    plan = make_plan({role: open_source(path) for role, path in sources.items()}, options or ConversionOptions())
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # an earlier run was stopped
    try:
        partial.mkdir(parents=True)
        _check_room(plan, partial)
        _write(plan, partial, progress)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}); what was begun is removed; give another place"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return plan


def _write(plan: Plan, folder: Path, progress: Callable[[str], object]) -> None:
    """Everything of the folder; the processor first, because what can be wrong with it should not cost the weights."""
    from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor

    EmotionLlamaProcessor.of_config(plan.config, plan.tokenizer).save_pretrained(folder)
    llama = plan.opened["llama"].path
    if (llama / "tokenizer.model").is_file():  # the original beside what was made of it, for `export`
        shutil.copyfile(llama / "tokenizer.model", folder / "tokenizer.model")
    model, adapter = _written_infos(plan)
    progress(f"writing {_shown_bytes(_num_bytes(plan))}")
    files = write_shards(folder, model, lambda name: _tensor(plan, name), plan.options.max_shard_bytes)
    if not plan.options.merge:
        files |= write_safetensors(folder / ADAPTER_WEIGHTS_NAME, adapter, lambda name: _tensor(plan, name))
        text = json.dumps(_adapter_config(plan), indent=2)
        (folder / ADAPTER_CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
    for source in plan.opened.values():
        source.release()
    for config in (plan.config, plan.config.text_config, plan.config.audio_config):
        config.dtype = _default_dtype(plan)
    plan.config.architectures = ["EmotionLlamaForConditionalGeneration"]
    plan.config.save_pretrained(folder)
    files |= {path.name: file_record(path) for path in sorted(folder.iterdir()) if path.name not in files}
    progress("hashing the sources")
    (folder / MANIFEST_NAME).write_text(json.dumps(_manifest(plan, files), indent=1) + "\n", encoding="utf-8")


# --- tensors ----------------------------------------------------------------------------------------------------------


def _written_infos(plan: Plan) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
    """Shape and output type of every tensor of the model, in the order of their files, and of the adapter."""
    placed = {name: TensorInfo(info.shape, _written_dtype(plan, info.dtype)) for name, info in plan.infos.items()}
    adapter = {name: info for name, info in placed.items() if name.startswith(ADAPTER_PREFIX)}
    model = {name: info for name, info in placed.items() if name not in adapter}
    made = {name: shape for name, shape in plan.expected.items() if name not in model}
    return model | {name: TensorInfo(shape, _default_dtype(plan)) for name, shape in made.items()}, adapter


def _written_dtype(plan: Plan, stored: torch.dtype) -> torch.dtype:
    import torch

    wanted = plan.options.dtype
    return stored if wanted == "stored" or not stored.is_floating_point else getattr(torch, wanted)


def _default_dtype(plan: Plan) -> torch.dtype:
    """Type of what no file holds, and of the loaded model: the language model's."""
    infos = plan.infos
    first = next(name for name in infos if name.startswith(f"{LANGUAGE_MODEL}."))
    return _written_dtype(plan, infos[first].dtype)


def _tensor(plan: Plan, name: str) -> torch.Tensor:
    if name not in plan.placed:
        return _made(name, plan.expected, plan.options.new_projections).to(_default_dtype(plan))
    role, published = plan.placed[name]
    kind = _written_dtype(plan, plan.opened[role].infos[published].dtype)
    tensor = _published(plan, name)
    if plan.options.merge and name.startswith(LANGUAGE_MODEL):
        tensor = _merged(plan, name, tensor)
    if tensor.dtype == kind:
        return tensor
    return check_finite(tensor.to(kind), published, f"it does not fit {kind}; give another --dtype")


def _published(plan: Plan, name: str) -> torch.Tensor:
    role, published = plan.placed[name]
    source = plan.opened[role]
    why = f"{source.path} is damaged, or of a training that failed; get it again"
    return check_finite(source.read(published), f"{published} (--{role})", why)


def _merged(plan: Plan, name: str, weight: torch.Tensor) -> torch.Tensor:
    """[out, in] `weight` plus (alpha / rank) B A in float32 where the layer `name` carries LoRA."""
    stem = ADAPTER_PREFIX + name.removesuffix(".weight")
    if f"{stem}.lora_A.weight" not in plan.placed:
        return weight
    down, up = (_published(plan, f"{stem}.lora_{half}.weight").float() for half in "AB")
    return weight.float() + plan.alpha / plan.rank * (up @ down)


def _made(name: str, expected: dict[str, tuple[int, ...]], seed: int | None) -> torch.Tensor:
    """A tensor that is in no file: of the layer norm, or of a new projection."""
    import torch

    shape = expected[name]
    if name.startswith(f"{LAYER_NORM}."):
        return torch.ones(shape) if name.endswith(".weight") else torch.zeros(shape)
    stem, kind = name.rsplit(".", 1)
    columns = expected[f"{stem}.weight"][1]
    # nn.Linear's own start: uniform within 1 / sqrt(columns) for weight and bias.
    number = (seed or 0) * 16 + 2 * FEATURE_PROJECTIONS.index(f"{stem}.") + (kind == "bias")
    drawn: torch.Tensor = (2 * torch.rand(shape, generator=torch.Generator().manual_seed(number)) - 1) / columns**0.5
    return drawn


# --- room, adapter, record --------------------------------------------------------------------------------------------


def _num_bytes(plan: Plan) -> int:
    model, adapter = _written_infos(plan)
    return sum(info.num_bytes for info in (model if plan.options.merge else model | adapter).values())


def _check_room(plan: Plan, folder: Path) -> None:
    needed, free = _num_bytes(plan) + _ROOM_FOR_THE_REST, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder.parent}: {_shown_bytes(needed)} are needed and {_shown_bytes(free)} are free; give another place"
        )


def _shown_bytes(count: int) -> str:
    """A size in the largest decimal unit that leaves a whole number before the point."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


def _adapter_config(plan: Plan) -> dict[str, Any]:
    """What peft's `adapter_config.json` holds; transformers loads an adapter that lies in the model's own folder.

    The modules are a pattern with the language model's prefix, because HuBERT has layers called `q_proj` as well.
    """
    stems = {name.rsplit(".lora_", 1)[0] for name in plan.placed if name.startswith(ADAPTER_PREFIX)}
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": plan.rank,
        "lora_alpha": int(plan.alpha) if float(plan.alpha).is_integer() else plan.alpha,
        "lora_dropout": PUBLISHED_DROPOUT,
        "target_modules": rf"{LANGUAGE_MODEL}\..*\.({'|'.join(sorted({stem.rsplit('.', 1)[1] for stem in stems}))})",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }


def _manifest(plan: Plan, files: FileRecords) -> dict[str, Any]:
    """The record as JSON data. Names only, no folders of the machine it was made on."""
    weights = plan.opened["weights"].path
    known = known_file(weights)
    return {
        "format": FORMAT,
        "made_by": f"emotion-llama {__version__}",
        "weights": weights.name,
        "abilities": None if known is None else sorted(known.abilities),
        "dtype": plan.options.dtype,
        "lora": {"rank": plan.rank, "alpha": plan.alpha, "merged": plan.options.merge},
        "num_parameters": plan.num_parameters,
        "num_lora_parameters": plan.num_lora_parameters,
        "notes": list(plan.notes),
        "sources": {role: _source(source) for role, source in plan.opened.items()},
        "left_behind": plan.ignored,
        "files": files,
    }


def _source(source: TensorSource) -> dict[str, Any]:
    files = {file.name: file_record(file) for file in source.files}
    return {"name": source.path.resolve().name, "num_tensors": len(source.infos), "files": files}
