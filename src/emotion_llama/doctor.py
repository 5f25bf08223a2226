"""What is installed: versions, devices, and each backend, started for a test."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from emotion_llama import __version__


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: of the package, backend or device.
        status: "ready"; "optional": not installed, and needed for some options only; "broken": the base needs it.
        detail: version, path or purpose.
        remedy: the command or step that makes it ready; empty when it is.
    """

    name: str
    status: Literal["ready", "optional", "broken"]
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings; takes some seconds because the face mesh and the shipped model are started."""
    findings = [_system(), _devices()]
    findings += [_package(name, needed_for) for name, needed_for in _BASE]
    findings.append(_tried("face mesh: onnx_mesh", _start_face_mesh, "pip install onnxruntime"))
    findings.append(
        Finding("face mesh: mediapipe_tasks", "optional", "blendshapes", "give a .task file: --face-model FILE")
    )
    findings.append(_openface())
    findings.append(
        Finding(
            "action units: py-feat",
            "optional",
            "its packages (torchvision) do not fit beside ours",
            "run it in an environment of its own, then: --units RESULT.csv",
        )
    )
    findings.append(_nano())
    findings += [_extra(*extra) for extra in _EXTRAS]
    return findings


def findings_text(findings: Iterable[Finding], width: int = 80) -> str:
    """The findings as lines of at most `width` columns."""
    import textwrap

    marks = {"ready": "ok  ", "optional": "-   ", "broken": "FAIL"}
    lines = []
    for f in findings:
        head = f"{marks[f.status]} {f.name}"
        lines += textwrap.wrap(f"{head:<32} {f.detail}", width, subsequent_indent=" " * 33)
        if f.remedy:
            lines += textwrap.wrap(f"-> {f.remedy}", width, initial_indent=" " * 5, subsequent_indent=" " * 8)
    return "\n".join(lines)


# What the base imports, and what for; names as on the package index.
_BASE = (
    ("av", "decoding"),
    ("numpy", "arrays"),
    ("opencv-python-headless", "image geometry"),
    ("soxr", "resampling"),
    ("pydantic", "JSON"),
    ("rich", "terminal output"),
    ("jinja2", "HTML pages"),
)
# Import name, what it is for, extra.
_EXTRAS = (
    ("torch", "models: nano, published weights, your own", "model"),
    ("transformers", "models", "model"),
    ("peft", "models: LoRA", "model"),
    ("fastapi", "the page and the API: serve", "serve"),
    ("httpx2", "annotators, judges and models behind a server", "api"),
    ("sklearn", "scores, training", "evaluation"),
    ("ray", "data sets on several machines: merr build --engine ray", "cluster"),
    ("opensmile", "voice: eGeMAPS features (--voice opensmile)", "opensmile"),
    ("faster_whisper", "speech recognition (--asr MODEL_DIR)", "asr"),
    ("rapidocr_onnxruntime", "burnt-in subtitles (--screen-text)", "screen-text"),
)
# Names on the package index, where they are others.
_DISTRIBUTIONS = {
    "faster_whisper": "faster-whisper",
    "rapidocr_onnxruntime": "rapidocr-onnxruntime",
    "sklearn": "scikit-learn",
}


def _system() -> Finding:
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding(f"emotion-llama {__version__}", "ready", python)


def _devices() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail = f"{cores} CPU cores; the evidence needs no GPU"
    if importlib.util.find_spec("torch") is not None:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        detail = f"{cores} CPU cores, {', '.join(names) if names else 'no GPU'}"
    return Finding("devices", "ready", detail)


def _package(name: str, needed_for: str) -> Finding:
    try:
        return Finding(name, "ready", f"{importlib.metadata.version(name)} ({needed_for})")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "broken", f"not installed; needed for {needed_for}", f"pip install {name}")


def _extra(module: str, needed_for: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(module, "optional", needed_for, f"pip install 'emotion-llama[{extra}]'")
    return Finding(module, "ready", f"{importlib.metadata.version(_DISTRIBUTIONS.get(module, module))} ({needed_for})")


def _tried(name: str, start: Callable[[], str], remedy: str) -> Finding:
    """Run `start`; whatever it raises is the finding, because a broken backend must not end the report."""
    try:
        return Finding(name, "ready", start())
    except Exception as error:  # noqa: BLE001  the edge of the process: any failure of foreign code is a finding
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Finding(name, "broken", reason, remedy)


def _start_face_mesh() -> str:
    import numpy as np

    from emotion_llama.face.backends import load_backend

    with load_backend("onnx_mesh") as backend:
        backend.observe(np.zeros((1, 64, 64, 3), np.uint8))
    return f"onnxruntime {importlib.metadata.version('onnxruntime')}, started"


def _nano() -> Finding:
    """The model of the package, loaded."""
    from emotion_llama.predictors import can_run_models

    if not can_run_models():
        return Finding("model: nano", "optional", "a worked example of the model", "pip install 'emotion-llama[model]'")
    return _tried("model: nano", _start_nano, "install the package again: its weights are part of it")


def _start_nano() -> str:
    from emotion_llama.predictors import load_predictor, shipped_folder

    load_predictor("nano")
    size = sum(path.stat().st_size for path in shipped_folder("nano").iterdir())
    return f"{size / 1e6:.0f} MB, loaded (trained on drawn faces alone: docs/nano.md)"


def _openface() -> Finding:
    path = os.environ.get("OPENFACE_EXECUTABLE") or shutil.which("FeatureExtraction")
    if path and os.access(path, os.X_OK):
        return Finding("action units: OpenFace", "ready", path)
    named = f"OPENFACE_EXECUTABLE={path} is not a program; " if path else ""
    remedy = "build OpenFace 2.2 and set OPENFACE_EXECUTABLE=/path/to/FeatureExtraction"
    return Finding("action units: OpenFace", "optional", f"{named}--units openface_binary", remedy)
