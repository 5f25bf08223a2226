"""Predictors by name: rules over measurements, our own model, any chat model."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.predictors.base import Predictor, Sample, Task
from emotion_llama.predictors.chosen import DEFAULT_MODEL, default_model, fetched

__all__ = [
    "DEFAULT_MODEL", "PREDICTORS", "Predictor", "Sample", "Task", "can_run_models", "default_model", "load_predictor",
]  # fmt: skip

_MODEL = "emotion_llama.predictors.emotion_llama:EmotionLlamaPredictor.load"
# Name -> "module:what makes it", imported when it is asked for. Any other name is the folder of a model.
PREDICTORS: dict[str, str] = {
    "rules": "emotion_llama.predictors.evidence:EvidencePredictor",
    "nano": _MODEL,
}
_ALIASES = {"evidence": "rules"}
# Models whose weights are part of the package.
_SHIPPED = {"nano": Path(__file__).parents[1] / "models" / "nano"}
_RUN_MODELS = ("torch", "transformers", "peft", "safetensors")


def can_run_models() -> bool:
    """Whether what runs models (the extra `model`) is installed; imports nothing."""
    return all(find_spec(name) for name in _RUN_MODELS)


def load_predictor(name: str, **options: Any) -> Predictor:
    """The predictor called `name`.

    Args:
        name: one of `PREDICTORS`, the folder of a model, what `emotion-llama download` fetched,
            "openai:MODEL@URL", or "transformers:FOLDER" (or an id).
        options: what its kind takes, e.g. `table="mer-factory"` of the rules, `dtype="bfloat16"` of a model.

    Raises:
        InputError: there is no such predictor, its weights are not here, or it refuses an option.
        MissingDependency: a model is asked for, and what runs it is not installed.
    """
    if name.startswith(("openai:", "transformers:")):
        from emotion_llama.predictors.chat import ChatPredictor

        return ChatPredictor.load(name, **options)
    name = _ALIASES.get(name, name)
    name = name if name in PREDICTORS else str(fetched(name))
    folder = shipped_folder(name) if name in _SHIPPED else Path(name) if name not in PREDICTORS else None
    if name not in PREDICTORS and not Path(name).is_dir():
        raise InputError(
            f"no predictor {name!r} (there are: {', '.join(PREDICTORS)}); a model is named by its folder, or as "
            "openai:MODEL@URL; `emotion-llama download` fetches the published one"
        )
    module, _, path = PREDICTORS.get(name, _MODEL).partition(":")
    kind_name, _, method = path.partition(".")
    kind: Any = getattr(import_module(module), kind_name)
    make: Any = getattr(kind, method) if method else kind
    own = {name for one in (kind, make) for name, p in signature(one).parameters.items() if p.kind is not p.VAR_KEYWORD}
    taken = own - {"folder", "model", "processor", "name", "extractor"}
    if unknown := sorted(set(options) - taken):
        raise InputError(f"predictor {name!r} takes no option {unknown[0]!r} (it takes: {', '.join(sorted(taken))})")
    found: Predictor = make(**options) if folder is None else make(folder, **options)
    return found


def shipped_folder(name: str) -> Path:
    """The folder of a model that comes with the package.

    Raises:
        InputError: none of that name does, or this copy of the package is without its weights.
    """
    if name not in _SHIPPED:
        raise InputError(f"no model {name!r} comes with the package (there are: {', '.join(_SHIPPED)})")
    folder = _SHIPPED[name]
    if not (folder / "config.json").is_file():
        raise InputError(
            f"model {name!r} is not in this copy of the package: {folder} is missing or holds no model; "
            "name another model, or a model's folder"
        )
    return folder
