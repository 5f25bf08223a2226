"""Systems by name: what answers the cases of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import System

__all__ = ["SYSTEMS", "load_system", "system_kind"]

# Kind -> "module:function" that makes it of a name and options; imported when it is asked for.
SYSTEMS: dict[str, str] = {
    "predictions": "emotion_llama.evaluation.systems.predictions:load",
    "reader": "emotion_llama.evaluation.systems.reader:load",
    "own": "emotion_llama.evaluation.systems.own_model:load",
    "openai": "emotion_llama.evaluation.systems.openai_model:load",
    "transformers": "emotion_llama.evaluation.systems.local_model:load",
    "pipeline": "emotion_llama.evaluation.systems.pipeline_model:load",
}
PREDICTION_SUFFIXES = (".csv", ".jsonl")
_OWN_MODEL_TYPE = "emotion_llama"


def load_system(spec: str, **options: Any) -> System:
    """The system of a name.

    Args:
        spec: "rules", "nano", a model's folder, "openai:MODEL@URL", "transformers:FOLDER",
            "pipeline:TASK@FOLDER", or a file of predictions (.csv, .jsonl).
        options: what the kind takes, such as `layout=` of our model.

    Raises:
        InputError: the name means nothing, or an option is unknown or cannot be used.
        MissingDependency: what runs the model is not installed.
    """
    module, _, function = SYSTEMS[system_kind(spec)].partition(":")
    system: System = getattr(import_module(module), function)(spec, options)
    return system


def system_kind(spec: str) -> str:
    """Which of `SYSTEMS` a name means.

    Raises:
        InputError: none.
    """
    from emotion_llama.predictors import PREDICTORS

    if spec.startswith(("openai:", "transformers:", "pipeline:")):
        return spec.partition(":")[0]
    if spec in PREDICTORS:  # a model of the package is asked as any other folder
        return "own" if PREDICTORS[spec].endswith(":EmotionLlamaPredictor.load") else "reader"
    place = Path(spec).expanduser()
    if place.suffix in PREDICTION_SUFFIXES and not place.is_dir():
        return "predictions"
    if (place / "config.json").is_file():
        return "own" if _model_type(place) == _OWN_MODEL_TYPE else "transformers"
    raise InputError(
        f"no model {spec!r}; expected {', '.join(PREDICTORS)}, a model's folder, openai:MODEL@URL, "
        "transformers:FOLDER, pipeline:TASK@FOLDER, or a file of predictions (.csv or .jsonl)"
    )


def check_options(kind: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a kind, the known ones' defaults filled in.

    Raises:
        InputError: an option is unknown.
    """
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"a {kind} system takes no option {unknown[0]!r} (it takes: {', '.join(known) or 'none'})")
    return {**known, **options}


def _model_type(folder: Path) -> object:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'} cannot be read as JSON ({error})") from error
    return found.get("model_type") if isinstance(found, dict) else None
