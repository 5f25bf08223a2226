"""A predictor as what answers a benchmark: its samples are made of the benchmark's, its predictions become outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output, System
from emotion_llama.evaluation.systems.samples import Encoded, Measured, file_sample
from emotion_llama.media.probe import file_sha256
from emotion_llama.predictors import PREDICTORS, Predictor, Sample, Task, load_predictor, shipped_folder
from emotion_llama.records import Prediction

DEFAULT_BATCH = 8


class PredictorSystem(System):
    """Asks a predictor, `batch_size` samples at a time.

    Args:
        predictor: what answers.
        sample_of: from a benchmark's sample to the predictor's, or why there is none.
        settings: of the system.
        name: as reports print it; None is the predictor's own.
        batch_size: samples at a time.
        counts_details: problems differ in what stands behind a colon, which is left out so that they can be counted.
    """

    def __init__(
        self,
        predictor: Predictor,
        sample_of: Callable[[EvalSample], Sample | str],
        settings: Mapping[str, object],
        *,
        name: str | None = None,
        batch_size: int = 1,
        counts_details: bool = False,
    ) -> None:
        self.predictor, self.settings = predictor, settings
        self.name, self.batch_size = name or predictor.name, batch_size
        self.sends_to = getattr(predictor, "sends_to", None)
        self._sample_of, self._counts_details = sample_of, counts_details

    def answer(self, samples: Sequence[EvalSample], prompt: EvalPrompt) -> Iterator[Output]:
        """An output for each sample.

        Raises:
            BackendError: the predictor failed.
        """
        task = Task(prompt.task, prompt.labels, prompt.instruction, prompt.max_new_tokens)
        for begin in range(0, len(samples), self.batch_size):
            some = samples[begin : begin + self.batch_size]
            start = time.perf_counter()
            made = [self._sample_of(one) for one in some]
            able = [one for one in made if isinstance(one, Sample)]
            predictions = iter(self.predictor.predict(able, task) if able else ())
            found = [one if isinstance(one, str) else next(predictions) for one in made]
            seconds = (time.perf_counter() - start) / len(some)
            for sample, one in zip(some, found, strict=True):
                yield self._output(sample.sample_id, one, seconds)

    def close(self) -> None:
        """Let go of what samples are made with, and of connections."""
        for part in (self._sample_of, getattr(self.predictor, "chat", None)):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def _output(self, sample_id: str, found: Prediction | str, seconds: float) -> Output:
        problem = found if isinstance(found, str) else found.problem
        if problem is not None:
            whole = self._counts_details or isinstance(found, str)
            return Output(sample_id, problem=problem if whole else problem.partition(":")[0], seconds=seconds)
        assert isinstance(found, Prediction)
        return Output(
            sample_id, found.raw_text, found.probabilities, None, seconds, found.tokens_in, found.tokens_out
        )  # fmt: skip


def rules_system(table: str | None = None, **options: Any) -> PredictorSystem:
    """The rules over measurements.

    Args:
        table: of the predictor.
        options: of the analyzer (`faces`, `max_fps`, ...).

    Raises:
        InputError: an option cannot be used.
    """
    from emotion_llama.analysis.analyzer import installed_versions

    predictor = load_predictor("rules", **({} if table is None else {"table": table}))
    settings = {
        "system": "reader",
        "reader": predictor.name,
        "reader_settings": {key: value for key, value in predictor.settings.items() if key != "label_space"},
        "analyzer": {key: str(value) for key, value in options.items()},
        "versions": installed_versions(),
    }
    return PredictorSystem(predictor, Measured(options), settings)


def own_system(
    folder: str | Path,
    *,
    layout: str | None = None,
    features: str | Path | None = None,
    keep: str | Path | None = None,
    device: str | None = None,
    dtype: str = "auto",
    batch_size: int = DEFAULT_BATCH,
    temperature: float = 1.0,
    faces: str = "onnx_mesh",
) -> PredictorSystem:
    """Our own model: label likelihoods and a generated answer of one pass over the prompt.

    In float32 an output does not depend on its batch but for the last bits; in half precision a token that is almost as
    likely as another may change, so that runs keep to the same batches when they go on.

    Args:
        folder: a model's folder, or the name of one that comes with the package.
        layout: prompt layout; None is the one the weights were trained with.
        features: folder of stored features, in place of computing them.
        keep: folder in which computed features are kept.
        device: as of `EmotionLlamaPredictor.load`.
        dtype: likewise.
        batch_size: prompts at a time.
        temperature: divides the label scores.
        faces: face backend.

    Raises:
        InputError: the folder holds no model, or a name or figure cannot be used.
        MissingDependency: torch or transformers is not installed.
    """
    from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor

    if batch_size < 1 or not temperature > 0:
        raise InputError(f"expected batch_size of 1 or more and temperature above 0, got {batch_size}, {temperature}")
    place = shipped_folder(str(folder)) if folder in PREDICTORS else Path(folder).expanduser()
    predictor = EmotionLlamaPredictor.load(place, layout=layout, device=device, dtype=dtype, temperature=temperature)
    stored = None if features is None else Path(features)
    samples = Encoded(predictor, features=stored, keep=None if keep is None else Path(keep), faces=faces)
    settings = {
        "system": "emotion-llama",
        "model": predictor.name,
        "files_sha256": weights_sha256(place),
        "layout": predictor.layout.name,
        "frame_policy": predictor.frame_policy,
        "dtype": str(predictor.model.dtype),
        "batch_size": batch_size,
        "temperature": temperature,
        "features": None if stored is None else str(stored.resolve()),
    }
    name = predictor.name if layout is None else f"{predictor.name} [{layout}]"
    system = PredictorSystem(predictor, samples, settings, name=name, batch_size=batch_size)
    system.depends_on_batch, system.needs_clips = True, stored is None
    return system


def chat_system(spec: str, **options: Any) -> PredictorSystem:
    """A chat model: "openai:MODEL@URL" or "transformers:FOLDER"; options as of `ChatPredictor.load`."""
    from emotion_llama.predictors.chat import ChatPredictor

    predictor = ChatPredictor.load(spec, **options)
    about = {key: value for key, value in predictor.settings.items() if key != "label_space"}
    concurrency = getattr(predictor.chat.config, "concurrency", None)
    size = int(concurrency or predictor.chat.batch_size)
    return PredictorSystem(
        predictor, file_sample, {"system": "chat", **about}, batch_size=size, counts_details=True
    )  # fmt: skip


def weights_sha256(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's folder, by name."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
