"""Readers of the pipeline as systems: the rules, and any other that answers from what was measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output
from emotion_llama.evaluation.systems.problems import NO_CLIP, NOBODY, problem_of
from emotion_llama.labels import MERR9, LabelSpace


class ReaderSystem:
    """Analyses every clip from its raw file and answers for the main person over the whole clip.

    Where labels are asked, the answer is the likeliest of them, with the reader's probabilities; otherwise it is the
    reader's reasoning. A benchmark's words are told, or none: files beside the clips are not looked for.

    Args:
        reader: a name of `predictors.PREDICTORS`.
        analyzer_options: of `pipeline.Analyzer`.
        reader_options: of the reader's class, without the label space.
    """

    batch_size = 1

    def __init__(
        self,
        reader: str = "rules",
        *,
        analyzer_options: Mapping[str, Any] | None = None,
        reader_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = reader
        self._analyzer_options = dict(analyzer_options or {})
        self._reader_options = dict(reader_options or {})
        self._analyzers: dict[tuple[str, ...], Any] = {}
        self._analyzer(())  # a wrong option is told now

    @property
    def settings(self) -> Mapping[str, object]:
        """Reader, its options, and how clips are measured."""
        from emotion_llama.analysis.analyzer import installed_versions

        reader = self._analyzer(()).predictor
        return {
            "system": "reader",
            "reader": reader.name,
            "reader_settings": {k: v for k, v in reader.settings.items() if k != "label_space"},
            "analyzer": {key: str(value) for key, value in self._analyzer_options.items()},
            "versions": installed_versions(),
        }

    def answer(self, cases: Sequence[EvalSample], ask: EvalPrompt) -> Iterator[Output]:
        """A reply for each case."""
        for case in cases:
            yield self._one(case, ask)

    def close(self) -> None:
        """Let the face backends go."""
        for analyzer in self._analyzers.values():
            analyzer.close()
        self._analyzers.clear()

    def _one(self, case: EvalSample, ask: EvalPrompt) -> Output:
        from emotion_llama.analysis.options import Options

        if case.media is None:
            return Output(case.sample_id, problem=NO_CLIP)
        start = time.perf_counter()
        try:
            analysis = self._analyzer(ask.labels).run(case.media, Options(subtitle=case.transcript or ""))
        except EmotionLlamaError as error:
            return Output(case.sample_id, problem=problem_of(error), seconds=time.perf_counter() - start)
        seconds = time.perf_counter() - start
        if not analysis.people:
            return Output(case.sample_id, problem=NOBODY, seconds=seconds)
        told = analysis.people[0].segments[0].prediction
        if told.label is None:
            # Without what differs from clip to clip, which stands behind a colon: reasons are counted.
            return Output(case.sample_id, problem=(told.problem or "").partition(":")[0], seconds=seconds)
        text = told.label if ask.labels else told.reasoning
        return Output(case.sample_id, text, told.probabilities if ask.labels else None, seconds=seconds)

    def _analyzer(self, labels: tuple[str, ...]) -> Any:
        if labels not in self._analyzers:
            from emotion_llama.analysis import Analyzer

            space = LabelSpace("asked", labels) if labels else MERR9
            options = {**self._reader_options, "label_space": space}
            self._analyzers[labels] = Analyzer.load(self.name, predictor_options=options, **self._analyzer_options)
        return self._analyzers[labels]


def load(spec: str, options: Mapping[str, Any]) -> ReaderSystem:
    """See `load_system`; options of the reader (`table`) and of the analyzer (`faces`, `max_fps`, ...)."""
    reader = {key: value for key, value in options.items() if key in ("table",)}
    return ReaderSystem(
        spec, reader_options=reader, analyzer_options={k: v for k, v in options.items() if k not in reader}
    )
