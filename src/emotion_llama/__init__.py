"""Multimodal emotion recognition from video, with evidence and explanations.

    from emotion_llama import Analyzer
    analysis = Analyzer.load("rules").analyze("talk.mp4")

Importing this module loads nothing; each public name is resolved at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion_llama.analysis import Analyzer, ClipEmbedding, Embedder
    from emotion_llama.document import analysis_document
    from emotion_llama.errors import BackendError, EmotionLlamaError, InputError, MediaError, MissingDependency
    from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace
    from emotion_llama.records import (
        ActionUnits,
        Clip,
        FaceTrack,
        PeakFrame,
        Prosody,
        Tone,
        Transcript,
        TranscriptLine,
        VoiceTrack,
    )
    from emotion_llama.results import Analysis, Cue, Evidence, Missing, PersonAnalysis, Prediction, Segment
    from emotion_llama.schema import analysis_schema

__version__ = "0.1.0.dev0"

_HOMES = {
    "document": ("analysis_document",),
    "schema": ("analysis_schema",),
    "errors": ("BackendError", "EmotionLlamaError", "InputError", "MediaError", "MissingDependency"),
    "labels": ("DFEW7", "MER6", "MERR9", "LabelSpace"),
    "analysis": ("Analyzer", "ClipEmbedding", "Embedder"),
    "records": (
        "ActionUnits", "Clip", "FaceTrack", "PeakFrame", "Prosody", "Tone", "Transcript", "TranscriptLine",
        "VoiceTrack",
    ),
    "results": ("Analysis", "Cue", "Evidence", "Missing", "PersonAnalysis", "Prediction", "Segment"),
}  # fmt: skip
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "DFEW7",
    "MER6",
    "MERR9",
    "ActionUnits",
    "Analysis",
    "Analyzer",
    "BackendError",
    "Clip",
    "ClipEmbedding",
    "Cue",
    "Embedder",
    "EmotionLlamaError",
    "Evidence",
    "FaceTrack",
    "InputError",
    "LabelSpace",
    "MediaError",
    "Missing",
    "MissingDependency",
    "PeakFrame",
    "PersonAnalysis",
    "Prediction",
    "Prosody",
    "Segment",
    "Tone",
    "Transcript",
    "TranscriptLine",
    "VoiceTrack",
    "__version__",
    "analysis_document",
    "analysis_schema",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
