"""Analyses of many clips at a time: worker processes of this machine or a Ray cluster, by the engines of builds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.analysis.batch import Job, Outcome, Progress, analyze_jobs
from emotion_llama.merr.build import load_engine
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.records import ClipRow
from emotion_llama.merr.stage import ClipStage, StageInput, StageOutput
from emotion_llama.report.terminal import render_line

if TYPE_CHECKING:
    from emotion_llama.analysis import Analyzer

_NO_LIMIT_SECONDS = 1e6  # a long film takes as long as it takes


class AnalyzeClip(ClipStage):
    """One clip analysed and its files written, as `analyze_jobs` does it; the artifact is its outcome, pickled.

    The analysis itself stays in the worker: the line of the terminal and the document go along.
    """

    name, pool = "analyze", "process"

    def __init__(self, load: Callable[[], Analyzer], width: int, encoding: str, **arguments: Any) -> None:
        self.settings: dict[str, object] = {}
        self._load = load
        self._analyzer: Analyzer | None = None
        self._width, self._encoding, self._arguments = width, encoding, arguments

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        if self._analyzer is None:
            self._analyzer = self._load()
        job = Job(Path(str(item.clip.path)), Path(item.clip.clip_id))
        (outcome,) = analyze_jobs(self._analyzer, [job], **self._arguments)
        document, line = outcome.document, ""
        if document is not None and not isinstance(document, str):
            document = document.model_dump_json()
        if outcome.analysis is not None:
            line = render_line(outcome.analysis, width=self._width, encoding=self._encoding)
        travelling = replace(outcome, analysis=None, document=document, line=line)
        return StageOutput(artifacts={"outcome": pickle.dumps(travelling)})


def analyze_many(
    stage: AnalyzeClip, jobs: Sequence[Job], engine: str, processes: int, progress: Progress
) -> Iterator[Outcome]:
    """The outcomes of `jobs` in their order, each as soon as it and those before it are there.

    A clip that ends its process fails with that reason, and costs no other clip anything. Ctrl-C ends the workers at
    once, after the outcomes of clips that are done though one before them is not; files are whole or not there.

    Args:
        stage: what is done to each.
        jobs: from `collect_jobs`.
        engine: "local" or "ray".
        processes: so many at a time.
        progress: called with each clip that is through.
    """
    items = (StageInput(ClipRow(str(job.relative), str(job.path), None)) for job in jobs)
    order = {str(job.relative): job for job in jobs}
    waiting, count = iter(order), 0
    found: dict[str, Outcome] = {}
    following = next(waiting, None)
    with load_engine(engine, EngineOptions(processes, limit_seconds=_NO_LIMIT_SECONDS)) as running:
        try:
            for results in running.run(stage, items):
                for clip_id, result, _ in results:
                    found[clip_id] = _outcome(order[clip_id], result)
                    count += 1
                    progress(count - 1, order[clip_id].path.name, "done", 1.0)
                while following in found:
                    yield found.pop(following)
                    following = next(waiting, None)
        except KeyboardInterrupt:
            yield from (found[clip_id] for clip_id in order if clip_id in found)
            raise


def _outcome(job: Job, result: StageOutput | str | None) -> Outcome:
    if isinstance(result, StageOutput):
        outcome: Outcome = pickle.loads(result.artifacts["outcome"])  # noqa: S301  (from our own worker)
        return outcome
    return Outcome(job.path, "failed", error=f"{job.path}: {result or 'it was interrupted'}")
