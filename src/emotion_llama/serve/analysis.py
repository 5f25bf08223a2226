"""One analysis as clients ask for it, at once or as a job: the form's fields, checked, and the call of the pool."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotion_llama.analysis.options import Options
from emotion_llama.predictors.base import Predictor, Sample
from emotion_llama.results import Prediction
from emotion_llama.serve.errors import ChildDied, Problem
from emotion_llama.serve.state import ServeState
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.worker import Analyzed, Answer, Progress

STAGES = ("words", "voice", "faces", "reading")  # of a document; an analysis for a page also has "report"
_STAGES = re.compile(r'"seconds_by_stage":\s*')
Answered = Callable[[Prediction], None]
Seen = list[tuple[Sample, Prediction]]  # what a model was shown of each part of a clip, and what it predicted


class AnalyzeForm(BaseModel):
    """The text fields of a request for an analysis: those of `emotion-llama analyze`, by their names there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None, max_length=64, description="one of /v1/models; the server's default if none"
    )
    subtitle: str | None = Field(default=None, max_length=20_000, description="what the person says")
    people: Literal["main", "all"] = Field(default="main", description="whom to report")
    segment: Literal["none", "auto"] | Annotated[float, Field(ge=0.5, le=86_400)] = Field(
        default="none", description="one segment for the whole clip, cut at pauses, or so many seconds (0.5 or more)"
    )
    peak_rule: Literal["all", "label"] = Field(
        default="all", description="strongest frame by the sum of all units, or of the label's"
    )
    audio_track: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="which of the clip's sound tracks, from 1; by default one that is not silent"
    )
    subtitle_track: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="which of the clip's text tracks holds what is said, from 1"
    )
    encoding: str | None = Field(
        default=None, max_length=40, description="of the transcript's file, where it is not UTF-8: cp1250, gb18030, ..."
    )
    asr: bool = Field(default=True, description="recognise speech where no words come with the clip, if the server can")
    asr_language: Annotated[str, Field(pattern="^[a-z]{2,3}$")] | None = Field(
        default=None, description="what is spoken (ISO 639): en, zh, ...; by default the recogniser finds it"
    )
    file_id: Annotated[str, Field(pattern="^file-[0-9a-f]{32}$")] | None = Field(
        default=None, description="of /v1/files, in place of `file`; what is measured of it is remembered for chats"
    )
    curves: bool = Field(default=True, description="frame-by-frame values in the JSON document")
    format: Literal["json", "html"] = Field(default="json", description="the published document, or a page")


FIELDS = tuple(AnalyzeForm.model_fields)


def parse_form(fields: Mapping[str, str]) -> AnalyzeForm:
    """The checked form.

    Raises:
        Problem: 422, with the field that is wrong.
    """
    try:
        return AnalyzeForm.model_validate(dict(fields))
    except ValidationError as error:
        found = error.errors(include_url=False)
        field = str(found[0]["loc"][0])
        # A field of several kinds, as `segment`, has one error for each kind.
        wrong = ", or: ".join(each["msg"].removeprefix("Value error, ") for each in found if each["loc"][0] == field)
        raise Problem(422, f"{field}: {wrong}", code="option", param=field) from None


def clip_limits(state: ServeState, *, as_job: bool = False) -> ClipLimits:
    """What a clip may be, at once or as a job."""
    settings = state.settings
    seconds = settings.max_job_seconds if as_job else settings.max_duration_seconds
    return ClipLimits(max_duration_seconds=seconds, max_pixels=settings.max_pixels)


async def analyze_clip(
    state: ServeState,
    clip: Path,
    form: AnalyzeForm,
    *,
    shown_name: str,
    transcript: Path | None = None,
    as_job: bool = False,
    progress: Progress | None = None,
    answered: Answered | None = None,
    seen: Seen | None = None,
) -> Analyzed:
    """Analyse a received file; cancelling the call ends the work.

    Args:
        state: of the server.
        clip: the file, alone in its folder but for what belongs to the same request.
        form: what is asked.
        shown_name: what the document and the page call the clip.
        transcript: a received .srt, .vtt, .ass or .txt file.
        as_job: with the limits of jobs.
        progress: called with the stages.
        answered: called with each prediction of a model.
        seen: is filled with what a model is shown.

    Raises:
        Problem: 404, no such model.
        ClipRefused, ChildDied, Busy: as `MeasuringPool.analyze`.
        InputError: options that do not go together.
    """
    name = state.model_name(form.model)
    options = Options(
        spoken(form.subtitle), transcript, state.settings.asr if form.asr else None, form.people, form.segment,
        form.peak_rule, form.audio_track, form.subtitle_track, form.encoding, form.asr_language, asr_fallback=True,
    )  # fmt: skip
    analyzed = await state.pool.analyze(
        clip,
        options,
        shown_name=shown_name,
        model=asked_model(state, name),
        answer=_answer(state, name, answered, seen),
        progress=progress,
        html=form.format == "html",
        curves=form.curves,
        limits=clip_limits(state, as_job=as_job),
    )
    state.metrics.stages(seconds_by_stage(analyzed.document_json))
    return analyzed


def seconds_by_stage(document_json: str) -> dict[str, float]:
    """That part of a document, without parsing the rest: with curves it has megabytes, and the event loop would wait.

    The name is found as a key alone: within a text of the document its quotation marks are escaped. Only known stages
    and numbers are taken: what comes from a child is not trusted with names of metrics.

    Raises:
        ChildDied: it is no document.
    """
    found = _STAGES.search(document_json)
    try:
        seconds, _ = json.JSONDecoder().raw_decode(document_json, found.end()) if found else (None, 0)
    except ValueError:
        seconds = None
    if not isinstance(seconds, dict):
        raise ChildDied("sent no document")
    return {name: float(seconds[name]) for name in STAGES if isinstance(seconds.get(name), (int, float))}


def asked_model(state: ServeState, name: str) -> Predictor | None:
    """The model as the pool takes it: None for the predictor over measurements, which runs in the child."""
    predictor = state.predictors[name]
    return None if predictor.frame_policy is None else predictor


def spoken(subtitle: str | None) -> str | None:
    """What is said, with single blanks; None where nothing else is given."""
    return " ".join((subtitle or "").split()) or None


def _answer(state: ServeState, name: str, answered: Answered | None, kept: Seen | None) -> Answer | None:
    """Asks the server's model; None for a predictor over measurements, which runs in the child."""
    engine = state.engine
    if engine is None or asked_model(state, name) is None:
        return None

    async def answer(seen: Sample) -> Prediction:
        prediction = await engine.predict(name, seen)
        if answered is not None:
            answered(prediction)
        if kept is not None:
            kept.append((seen, prediction))
        return prediction

    return answer


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON, for the stream: label, probabilities, reasoning, or the problem."""
    probabilities = prediction.probabilities
    return {
        "label": prediction.label,
        "probabilities": None if probabilities is None else dict(probabilities),
        "reasoning": prediction.reasoning,
        "model": prediction.model,
        "problem": prediction.problem,
        "is_uncertain": prediction.is_uncertain,
        "out_of_domain": [asdict(one) for one in prediction.out_of_domain],
        "probabilities_from": prediction.probabilities_from,
    }
