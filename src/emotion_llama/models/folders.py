"""A model's folder: what it holds, whether it is whole, and the record of its conversion; without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError

MODEL_TYPE = "emotion_llama"
MANIFEST_NAME = "conversion.json"
FORMAT = "emotion-llama-conversion-1"
_WEIGHT_FILES = (
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "pytorch_model.bin",
)
_SMALL_FILE_BYTES = 1 << 20  # configuration, tokenizer, the record itself
_LOADABLE_QUANTISATIONS = ("bitsandbytes", "torchao")  # of saved models of ours, as transformers loads them


def check_model_folder(folder: str | Path) -> None:
    """Check, from names and headers alone, that a folder holds a whole model of ours.

    Raises:
        InputError: it holds no model, another kind of model, or one whose download was not finished: in one line, what
            it is and what to do.
    """
    place = Path(folder)
    if not (place / "config.json").is_file():
        raise InputError(f"{place} holds no model: {_without_config(place)}")
    config = read_json_object(place / "config.json")
    stored = config.get("quantization_config")
    method = stored.get("quant_method") if isinstance(stored, dict) else None
    if method is None and (place / "quantize_config.json").is_file():  # what AutoGPTQ wrote
        method = "gptq"
    if config.get("model_type") != MODEL_TYPE:
        raise InputError(f"{place} holds {_other_model(place, config, method)}")
    if method not in (None, *_LOADABLE_QUANTISATIONS):
        raise InputError(
            f"{place} holds a model quantised with {method}, which cannot be loaded; convert the published files "
            "again, and quantise while loading (quantization_config)"
        )
    for file in weight_files(place):
        if file.suffix == ".safetensors":
            _check_whole(file)


def _without_config(place: Path) -> str:
    """What a folder without config.json is, and what to do."""
    suffixes = {path.suffix for path in place.iterdir()} if place.is_dir() else set()
    has_adapter = (place / "adapter_config.json").is_file()
    if _is_unfinished(place) or (".safetensors" in suffixes and not has_adapter):
        return "config.json is missing, the download is not finished; run it again"
    if ".gguf" in suffixes:
        return "GGUF weights are for llama.cpp and Ollama; serve them there and name openai:MODEL@URL"
    if has_adapter:
        return "a LoRA adapter without the model it belongs to; give the folder that holds both"
    return "config.json is missing; `emotion-llama convert` makes one of published files"


def _other_model(place: Path, config: dict[str, Any], method: str | None) -> str:
    """What a model of another kind is, and what to do."""
    names = " ".join(name for name in config.get("architectures") or () if isinstance(name, str))
    kind = f"{config.get('model_type', 'unknown')}" + (f", quantised with {method}" if method else "")
    if "CausalLM" in names or "ConditionalGeneration" in names:
        use = f"ask it as a chat model (--model transformers:{place})"
        convert = "" if method else ", or make it part of one (emotion-llama convert --llama)"
        return f"a language model ({kind}), not an Emotion-LLaMA model; {use}{convert}"
    what = "an encoder" if names.endswith(("Model", "PreTraining")) else "another model"
    return (
        f"{what} ({kind}), not an Emotion-LLaMA model; give a folder that `emotion-llama convert` made of the language "
        "model and all encoders"
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a Hugging Face folder; safetensors before pickles when both are there.

    Raises:
        InputError: no weight file, or an index that names files which are missing.
    """
    unfinished = _is_unfinished(folder)
    todo = "the download is not finished; run it again" if unfinished else "fetch them"
    for name in _WEIGHT_FILES:
        if not (folder / name).is_file():
            continue
        if not name.endswith(".index.json"):
            return (folder / name,)
        shards = _shard_names(folder / name)
        if missing := [shard for shard in shards if not (folder / shard).is_file()]:
            raise InputError(
                f"{folder}: {len(missing)} of the {len(shards)} files that {name} names are not there "
                f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); {todo}"
            )
        return tuple(folder / shard for shard in shards)
    todo = todo if unfinished else f"expected one of {', '.join(_WEIGHT_FILES)}"
    raise InputError(f"{folder}: no weights in this folder; {todo}")


def _is_unfinished(folder: Path) -> bool:
    """Whether Hugging Face's downloader left a file that it had begun."""
    places = (folder, folder / ".cache" / "huggingface" / "download")
    return any(place.is_dir() and any(place.glob("*.incomplete")) for place in places)


def _shard_names(index: Path) -> list[str]:
    weight_map = read_json_object(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{index}: its weight_map names no files of weights; fetch it again")
    if outside := [name for name in names if Path(name).name != name]:
        raise InputError(f"{index}: names {outside[0]!r}; expected files of its own folder")
    return sorted(set(names))


def _check_whole(file: Path) -> None:
    """Raise InputError where a safetensors file is shorter than its header says, or is something else."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(head)) if head < size else {}
            end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError):
            end = size
    if 8 + head + end != size:
        raise InputError(f"{file}: no whole safetensors file; the download was cut; fetch it again")


# --- the record of a conversion ---------------------------------------------------------------------------------------


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a small JSON file of a Hugging Face folder; its fields are checked where they are used.

    Raises:
        InputError: not readable, not JSON, or JSON that is no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; expected a JSON object; fetch it again")
    return content


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a converted folder was made of, what was left behind, and the hash of every file; None without a record.

    Raises:
        InputError: a file of that name that is not such a record.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    manifest = read_json_object(path)
    if manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not a record of a conversion (expected format {FORMAT!r}); convert again")
    return manifest


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256 that changes with a model's folder: small files by content, weights by size and time of writing."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        about = path.stat()
        is_small = about.st_size < _SMALL_FILE_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else str(about.st_mtime_ns)
        digest.update(f"{path.name} {about.st_size} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
