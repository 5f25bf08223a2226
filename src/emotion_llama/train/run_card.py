"""What a run was, for whoever reads its result: recipe, data, versions, machine, what learnt, curves, the best."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama import __version__
from emotion_llama.train.recipe import TrainRecipe
from emotion_llama.train.records import Example
from emotion_llama.train.weights import PartCount

CARD_FILE = "run_card.json"
_PACKAGES = ("torch", "transformers", "accelerate", "peft", "safetensors", "numpy", "bitsandbytes")


def data_sha256(examples: Sequence[Example]) -> str:
    """A hash of all that examples say: names, answers, words, cues and truths; not of where clips lie."""
    digest = hashlib.sha256()
    for example in sorted(examples, key=lambda one: one.name):
        row = [example.name, dict(example.answers), example.words, example.cues, dict(example.truths)]
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def files_sha256(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a model's folder, by name."""
    from emotion_llama.media.probe import file_sha256

    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def start_card(
    recipe: TrainRecipe,
    train: Sequence[Example],
    validation: Sequence[Example],
    left_out: Mapping[str, Sequence[str]],
    parts: Sequence[PartCount],
) -> dict[str, Any]:
    """What is known before the first step, as JSON."""
    return {
        "emotion_llama": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "start": files_sha256(recipe.model.start),
        "data": {
            "train": {"examples": len(train), "sha256": data_sha256(train)},
            "validation": {"examples": len(validation), "sha256": data_sha256(validation)},
            "left_out": {reason: len(names) for reason, names in left_out.items()},
        },
        "parameters": [{"part": p.part, "total": p.total, "trained": p.trained} for p in parts],
        "versions": _versions(),
        "machine": _machine(),
    }


def finish_card(
    card: Mapping[str, Any], history: Sequence[Mapping[str, float]], best: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The card with curves and result."""
    return {**card, "history": [dict(row) for row in history], "best": dict(best), "seconds": round(seconds, 1)}


def write_card(folder: Path, card: Mapping[str, Any]) -> Path:
    """Write the card into a folder, whole or not at all."""
    path = folder / CARD_FILE
    half = path.with_suffix(".tmp")
    half.write_text(json.dumps(card, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    half.replace(path)
    return path


def _versions() -> dict[str, str]:
    from contextlib import suppress
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _machine() -> dict[str, Any]:
    import os

    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }
