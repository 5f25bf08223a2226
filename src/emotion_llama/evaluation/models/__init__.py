"""Models by name: what answers the samples of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import Model

__all__ = ["load_model", "model_kind"]

PREDICTION_SUFFIXES = (".csv", ".jsonl")
_OWN_MODEL_TYPE = "emotion_llama"


def load_model(spec: str, **options: Any) -> Model:
    """The model of a name.

    Args:
        spec: "rules", "nano", a model's folder, "openai:MODEL@URL", "transformers:FOLDER",
            "pipeline:TASK@FOLDER", or a file of predictions (.csv, .jsonl).
        options: what the kind takes, such as `layout=` of our model.

    Raises:
        InputError: the name means nothing, or an option is unknown or cannot be used.
        MissingDependency: what runs the model is not installed.
    """
    from emotion_llama.evaluation.models import predictor

    kind = model_kind(spec)
    if kind == "predictions":
        from emotion_llama.evaluation.models.predictions import PredictionFile

        return PredictionFile(Path(spec).expanduser(), **checked_options(kind, PredictionFile, options))
    if kind == "pipeline":
        from emotion_llama.evaluation.models.pipeline import PipelineModel, load_pipeline

        return load_pipeline(spec, **checked_options(kind, PipelineModel, options))
    if kind == "rules":
        return predictor.rules_model(**options)
    if kind == "own":
        return predictor.own_model(spec, **checked_options("emotion-llama", predictor.own_model, options))
    return predictor.chat_model(spec if ":" in spec else f"transformers:{spec}", **options)


def model_kind(spec: str) -> str:
    """What a name means: "rules", "own", "openai", "transformers", "pipeline" or "predictions".

    Raises:
        InputError: none of them.
    """
    from emotion_llama.models.folders import read_json_object
    from emotion_llama.predictors import PREDICTORS

    if spec.startswith(("openai:", "transformers:", "pipeline:")):
        return spec.partition(":")[0]
    if spec in PREDICTORS:  # a model of the package is asked as any other folder
        return "own" if PREDICTORS[spec].endswith(":EmotionLlamaPredictor.load") else "rules"
    place = Path(spec).expanduser()
    if place.suffix in PREDICTION_SUFFIXES and not place.is_dir():
        return "predictions"
    if (place / "config.json").is_file():
        return "own" if read_json_object(place / "config.json").get("model_type") == _OWN_MODEL_TYPE else "transformers"
    raise InputError(
        f"no model {spec!r}; expected {', '.join(PREDICTORS)}, a model's folder, openai:MODEL@URL, "
        "transformers:FOLDER, pipeline:TASK@FOLDER, or a file of predictions (.csv or .jsonl)"
    )


def checked_options(kind: str, make: Callable[..., Model], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options; InputError where what makes the model does not take one."""
    known = [name for name, one in signature(make).parameters.items() if one.kind is Parameter.KEYWORD_ONLY]
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"a {kind} model takes no option {unknown[0]!r} (it takes: {', '.join(known) or 'none'})")
    return options
