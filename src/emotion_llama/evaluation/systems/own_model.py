"""Our model as a system: batches of clips, and label likelihoods and generated answers of one reading of a prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output
from emotion_llama.evaluation.systems.case_media import CaseMedia
from emotion_llama.evaluation.systems.problems import NOBODY, NOTHING, problem_of
from emotion_llama.predictors.emotion_llama import shortened
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tokenise import encode
from emotion_llama.records import Evidence
from emotion_llama.rules.measured import has_evidence

if TYPE_CHECKING:
    from emotion_llama.models.clip_media import ClipMedia

DEFAULT_BATCH = 8
OPTIONS: Mapping[str, Any] = {
    "layout": None, "features": None, "keep": None, "device": None, "dtype": "auto", "batch_size": DEFAULT_BATCH,
    "temperature": 1.0, "faces": "mediapipe_mesh",
}  # fmt: skip


class OwnModelSystem:
    """Emotion-LLaMA from a folder, greedy.

    Utterance features are made clip by clip, as everywhere; the language model reads `batch_size` prompts at a time.
    Where labels are asked, the probabilities are those of the labels after the very prompt that the answer is generated
    from. In float32 a reply does not depend on its batch but for the last bits; in half precision a token that is
    almost as likely as another may change, so that runs keep to the same batches when they go on.

    Args:
        folder: a model, as `emotion-llama convert` or a training run writes it.
        layout: prompt layout; None is the one the weights were trained with.
        features: folder of stored features, in place of making them.
        keep: folder in which features that are made are kept.
        device, dtype: as `data.loaded_model.LoadedModel` takes them.
        batch_size: prompts at a time.
        temperature: divides the label scores.
        faces: face backend.

    Raises:
        InputError: the folder holds no model, or a name or figure cannot be used.
        MissingDependency: torch or transformers is not installed.
    """

    depends_on_batch = True  # see `run.evaluate`

    def __init__(
        self,
        folder: str | Path,
        *,
        layout: str | None = None,
        features: str | Path | None = None,
        keep: str | Path | None = None,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int = DEFAULT_BATCH,
        temperature: float = 1.0,
        faces: str = "mediapipe_mesh",
    ) -> None:
        if batch_size < 1 or not temperature > 0:
            raise InputError(
                f"expected batch_size of 1 or more and temperature above 0, got {batch_size}, {temperature}"
            )
        self._layout = None if layout is None else layout_named(layout)
        from emotion_llama.models.features.loaded_model import LoadedModel

        self._loaded = LoadedModel(folder, device=device, dtype=dtype)
        self.batch_size, self._temperature = batch_size, temperature
        self.name = self._loaded.name if layout is None else f"{self._loaded.name} [{layout}]"
        self.folder = Path(folder)
        self._features = None if features is None else Path(features)
        self.needs_clips = features is None
        self._media = CaseMedia(
            self._loaded, features=self._features, keep=None if keep is None else Path(keep), faces=faces
        )
        self._weights = weights_sha256(self.folder)
        self._analyzer: Any = None

    @property
    def settings(self) -> Mapping[str, object]:
        """Weights, prompt layout, type, batch size and where features come from; not the device."""
        return {
            "system": "emotion-llama",
            "model": self._loaded.name,
            "files_sha256": self._weights,
            "layout": (self._layout or layout_named(self._loaded.processor.prompt_layout)).name,
            "frame_policy": self._loaded.processor.frame_policy,
            "dtype": str(self._loaded.model.dtype),
            "batch_size": self.batch_size,
            "temperature": self._temperature,
            "features": None if self._features is None else str(self._features.resolve()),
        }

    def answer(self, cases: Sequence[EvalSample], ask: EvalPrompt) -> Iterator[Output]:
        """A reply for each case, `batch_size` at a time.

        Raises:
            BackendError: the model gives values that are not finite numbers.
        """
        for begin in range(0, len(cases), self.batch_size):
            yield from self._batch(cases[begin : begin + self.batch_size], ask)

    def close(self) -> None:
        """Finish what is kept, and let the face backends go."""
        self._media.close()
        if self._analyzer is not None:
            self._analyzer.close()

    # --- one batch --------------------------------------------------------------------------------------------------

    def _batch(self, cases: Sequence[EvalSample], ask: EvalPrompt) -> Iterator[Output]:
        start = time.perf_counter()
        rows = [self._row_or_problem(case) for case in cases]
        able = [row for row in rows if isinstance(row, _Row)]
        told = dict(zip((row.case.sample_id for row in able), self._tell(able, ask) if able else ()))
        each = (time.perf_counter() - start) / len(cases)
        for case, row in zip(cases, rows):
            if isinstance(row, str):
                yield Output(case.sample_id, problem=row, seconds=each)
                continue
            found = told[case.sample_id]
            if isinstance(found, str):
                yield Output(case.sample_id, problem=found, seconds=each)
            else:
                yield Output(
                    case.sample_id, found.text, found.probabilities, seconds=each,
                    tokens_in=found.tokens_in, tokens_out=found.tokens_out,
                )  # fmt: skip

    def _row_or_problem(self, case: EvalSample) -> _Row | str:
        from emotion_llama.models.clip_media import ClipMedia

        features = self._media(case)
        if isinstance(features, str):
            return features
        media = ClipMedia.of_features(features)
        words = shortened(case.transcript) if case.transcript and case.transcript.strip() else None
        if not any(media.present) and words is None:
            return NOTHING
        if not self._tells_cues:
            return _Row(case, media, words, None)
        evidence = self._measure(case)
        if not isinstance(evidence, Evidence):
            return evidence
        # As the reader has it: of an empty room whatever was said would be made up.
        if not (has_evidence(evidence) or features.num_faces):
            return NOTHING
        return _Row(case, media, words, cue_text(evidence))

    @property
    def _tells_cues(self) -> bool:
        return (self._layout or layout_named(self._loaded.processor.prompt_layout)).has_cues

    def _measure(self, case: EvalSample) -> Evidence | str:
        """What is measured of the clip's main person, for layouts that tell it; or why nothing is."""
        from emotion_llama.analysis import Analyzer
        from emotion_llama.analysis.options import Options

        if case.media is None:
            raise InputError(
                f"layout 'evidence' measures the raw clip, and {case.sample_id} has none; use layout 'train'"
            )
        if self._analyzer is None:
            self._analyzer = Analyzer.load("rules")
        try:
            analysis = self._analyzer.run(case.media, Options(subtitle=case.transcript or ""))
        except EmotionLlamaError as error:
            return problem_of(error)
        if not analysis.people:
            return NOBODY
        evidence: Evidence = analysis.people[0].segments[0].evidence
        # A benchmark without words is no clip with an empty subtitle file: cues then say that none are given.
        return replace(evidence, missing=tuple(one for one in evidence.missing if one.what != "transcript"))

    def _tell(self, rows: Sequence[_Row], ask: EvalPrompt) -> list[_Told | str]:
        """All at once where memory suffices, else in halves."""
        import torch

        try:
            with torch.inference_mode():
                return list(self._told(rows, ask))
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                return ["the model has no memory left for this clip"]
        torch.cuda.empty_cache()
        half = len(rows) // 2
        return [*self._tell(rows[:half], ask), *self._tell(rows[half:], ask)]

    def _told(self, rows: Sequence[_Row], ask: EvalPrompt) -> Iterator[_Told]:
        from emotion_llama.models.scoring import generate_and_score

        processor, model = self._loaded.processor, self._loaded.model
        batch = processor(
            [row.media for row in rows], task=ask.task, instruction=ask.instruction, words=[row.words for row in rows],
            cues=[row.cues for row in rows], layout=None if self._layout is None else self._layout.name,
        ).to(self._loaded.device)  # fmt: skip
        shares: list[dict[str, float] | None] = [None] * len(rows)
        if ask.labels:
            end = processor.tokenizer.eos_token_id
            labels = [[*encode(label, processor.tokenizer), end] for label in ask.labels]
            sequences, scores = generate_and_score(
                model, batch, labels, temperature=self._temperature, max_new_tokens=ask.max_new_tokens
            )
            shares = list(self._shares(scores.probabilities, ask.labels))
        else:
            sequences = model.generate(
                **batch, max_new_tokens=ask.max_new_tokens, do_sample=False, num_beams=1, repetition_penalty=1.0
            )
        texts = processor.decode_answers(sequences)
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        for text, probabilities, row, length in zip(texts, shares, sequences.tolist(), lengths):
            yield _Told(text, probabilities, int(length), _num_tokens(row, processor.tokenizer))

    def _shares(self, probabilities: Any, labels: Sequence[str]) -> Iterator[dict[str, float]]:
        values = probabilities.double()
        if not values.isfinite().all():
            raise BackendError(
                f"{self.name}: the label scores are not finite numbers; its weights are damaged, or too large for "
                f"{self._loaded.model.dtype}: convert again, or evaluate with --option dtype=float32"
            )
        for row in (values / values.sum(dim=1, keepdim=True)).tolist():
            yield dict(zip(labels, row, strict=True))


class _Row(NamedTuple):
    case: EvalSample
    media: ClipMedia
    words: str | None
    cues: str | None


class _Told(NamedTuple):
    text: str
    probabilities: dict[str, float] | None
    tokens_in: int
    tokens_out: int


def weights_sha256(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model's folder, by name."""
    from emotion_llama.media.probe import file_sha256

    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _num_tokens(row: Sequence[int], tokenizer: Any) -> int:
    """Tokens of an answer, its end included, filling left out."""
    end = tokenizer.eos_token_id
    return row.index(end) + 1 if end in row else len(row)


def load(spec: str, options: Mapping[str, Any]) -> OwnModelSystem:
    """See `load_system`; the name of a model that comes with the package, or a folder."""
    from emotion_llama.evaluation.systems import check_options
    from emotion_llama.predictors import PREDICTORS, shipped_folder

    chosen = check_options("emotion-llama", options, OPTIONS)
    return OwnModelSystem(shipped_folder(spec) if spec in PREDICTORS else Path(spec).expanduser(), **chosen)
