"""One clip in a child: checked, analysed, written as document and page, with no path of the server in either."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.analysis import Analyzer
from emotion_llama.records import Analysis, Clip, Prediction
from emotion_llama.serve.isolation.asking import RemotePredictor
from emotion_llama.serve.isolation.header import checked_clip
from emotion_llama.serve.isolation.limits import ClipLimits, ClipRefused
from emotion_llama.serve.isolation.protocol import AnalyzeMessage, PartMessage

if TYPE_CHECKING:
    from emotion_llama.analysis.options import Options
    from emotion_llama.predictors import Predictor
    from emotion_llama.serve.questions import SeenArrays

Send = Callable[[Mapping[str, Any]], None]
_PROGRESS_SECONDS = 0.05  # no more often, so that progress costs nothing


@dataclass(frozen=True, repr=False)
class Worked:
    """What comes of a clip."""

    document_json: str
    html: str | None
    parts: list[PartMessage]


def work(
    analyzer: Analyzer,
    rules: Predictor,
    asked: AnalyzeMessage,
    send: Send,
    ask: Callable[[SeenArrays], Prediction],
) -> Worked:
    """Do what a message asks.

    Args:
        analyzer: used with the predictor that is asked for.
        rules: the predictor of measurements.
        asked: what to do.
        send: takes the messages "clip" and "progress".
        ask: puts the question to the model.

    Raises:
        ClipRefused: the clip is beyond a limit.
        MediaError, InputError, MissingDependency: as `Analyzer.analyze`.
    """
    path, options, limits = Path(asked.path), asked.options.options(), asked.clip_limits()
    clip = checked_clip(path, limits)
    predictor = rules
    if asked.model is not None:
        _check_segment(clip, options, limits)
        model = asked.model
        predictor = RemotePredictor(model.name, model.frame_policy, model.settings, limits, ask)
    send({"type": "clip", "duration_seconds": clip.duration_seconds})
    analyzer.predictor = predictor
    progress = Throttle(send)
    analysis = analyzer.run(path, options, progress=progress)
    if isinstance(predictor, RemotePredictor):
        analysis = replace(analysis, warnings=(*analysis.warnings, *predictor.warnings))
    progress("report", 0.0)
    worked = _written(analyzer, analysis, asked)
    progress("report", 1.0)
    return worked


class Throttle:
    """Sends progress: each stage's beginning and end, and between them not too often."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._stage = ""
        self._sent = 0.0

    def __call__(self, stage: str, share: float) -> None:
        """Send it, or not."""
        now = time.monotonic()
        if stage == self._stage and share < 1.0 and now - self._sent < _PROGRESS_SECONDS:
            return
        self._stage, self._sent = stage, now
        self._send({"type": "progress", "stage": stage, "share": min(max(float(share), 0.0), 1.0)})


def _check_segment(clip: Clip, options: Options, limits: ClipLimits) -> None:
    """A model takes a segment at once: a long recording has to be cut."""
    longest = clip.duration_seconds if options.segment == "none" else options.segment
    if isinstance(longest, float | int) and min(longest, clip.duration_seconds) > limits.max_segment_seconds:
        raise ClipRefused(
            f"a model reads at most {limits.max_segment_seconds:.0f} s at once; ask for segments "
            "(segment=auto, or a number of seconds)",
            422,
            "option",
        )


def _written(analyzer: Analyzer, analysis: Analysis, asked: AnalyzeMessage) -> Worked:
    from emotion_llama.documents import analysis_document

    shown = _shown(analysis, asked)
    folder = f"{Path(asked.path).parent}{os.sep}"
    document = analysis_document(shown, curves=asked.curves).model_dump_json().replace(folder, "")
    html = _page(analyzer, analysis, shown).replace(folder, "") if asked.html else None
    parts = [
        PartMessage(person_id=person.person_id, start_seconds=segment.start_seconds, end_seconds=segment.end_seconds)
        for person in analysis.people
        for segment in person.segments
    ]
    return Worked(document, html, parts)


def _page(analyzer: Analyzer, analysis: Analysis, shown: Analysis) -> str:
    from emotion_llama.report.analysis_page import analysis_page

    return analysis_page(analyzer, shown)


def _shown(analysis: Analysis, asked: AnalyzeMessage) -> Analysis:
    """The analysis as the client is to see it: by the clip's own name, and folders by their names alone."""
    settings = dict(analysis.settings)
    if asked.options.asr_model is not None:
        settings["asr_model"] = Path(asked.options.asr_model).name
    return replace(analysis, clip=replace(analysis.clip, path=Path(asked.shown_name)), settings=settings)
