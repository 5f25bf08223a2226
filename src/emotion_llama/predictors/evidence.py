"""The predictor "rules" (also "evidence"): documented rules over what was measured; needs no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.predictors.base import Sample, Task, TextStream
from emotion_llama.results import Evidence, Prediction
from emotion_llama.rules.lexicon import Lexicon
from emotion_llama.rules.scoring import NAME, SOURCES, check_rules, predict_by_rules

if TYPE_CHECKING:
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.predictors.learned_cues import LearnedCue
    from emotion_llama.prompts.builder import Turn

TASKS = ("emotion", "reason", "reason_v2")  # a label, and why


class EvidencePredictor:
    """Predicts from the measurements alone; see `rules.scoring`.

    Args:
        table: which action units speak for which label, "published" or "mer-factory" (`rule_tables.FACE_TABLES`).
        label_space: labels to choose from.
        lexicon: patterns for the transcript; the package's English ones when None.
        cues: trained models as further cues: "words", "voice" or "face" -> its place (`learned_cues.LearnedCue`).

    Raises:
        InputError: no such table, a label space of one label, or a folder that holds no such model.
        MissingDependency: what runs such a model is not installed.
    """

    name = NAME

    def __init__(
        self,
        table: str = "published",
        label_space: LabelSpace = MERR9,
        lexicon: Lexicon | None = None,
        cues: Mapping[str, str] | None = None,
    ) -> None:
        check_rules(table, label_space)
        if unknown := sorted(set(cues or {}) - set(SOURCES)):
            raise InputError(f"--cues {unknown[0]}=...: learned cues are of {', '.join(SOURCES)}")
        self._learned: dict[str, LearnedCue] = {}
        if cues:
            from emotion_llama.predictors.learned_cues import KINDS, LearnedCue

            self._learned = {kind: LearnedCue(kind, cues[kind], label_space) for kind in KINDS if kind in cues}
        # Face and voice models are shown crops and sound; which frame of the scene comes with them is all the same.
        self.frame_policy: FramePolicy | None = "first" if set(self._learned) - {"words"} else None
        self.label_space = label_space
        self._table, self._lexicon = table, lexicon
        self.settings: Mapping[str, object] = {
            "table": table,
            "label_space": label_space.name,
            "lexicon": "package" if lexicon is None else "given",
            **({"cues": {kind: dict(one.settings) for kind, one in self._learned.items()}} if self._learned else {}),
        }

    def encode(self, sample: Sample) -> Sample:
        """The sample itself: there is nothing to encode."""
        return sample

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """A prediction for each sample, from its evidence; a `problem` where there is none.

        The text of a task with labels is the label, of any other the reasons (without a label).
        """
        space = LabelSpace("asked", task.labels) if task is not None and task.labels else self.label_space
        found = [self._one(one, space) for one in samples]
        if task is None:
            return found
        if task.labels:
            return [replace(one, raw_text=one.label or "") for one in found]
        return [replace(one, label=None, probabilities=None, raw_text=one.reasoning) for one in found]

    def _one(self, sample: Sample, space: LabelSpace) -> Prediction:
        learned = {kind: one.cues(sample) for kind, one in self._learned.items()}
        return predict_by_rules(sample.evidence or Evidence(), self._table, space, self._lexicon, learned)

    def stream(self, sample: Sample, messages: Sequence[Turn], *, task: str = "free", **decoding: object) -> TextStream:
        """The reasons, at once.

        Raises:
            InputError: another task; there is no language model.
        """
        if task not in TASKS:
            raise InputError(f"{self.name!r} has no language model and does not do the task {task!r}")
        (found,) = self.predict([sample], Task(task))
        return TextStream([found.raw_text or found.problem or ""])
