"""The predictor of a child process: samples go through the pipe to the server's model, predictions come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Evidence, Missing, Prediction, UInt8
from emotion_llama.serve.isolation.limits import ClipLimits

if TYPE_CHECKING:
    from emotion_llama.models.clip_inputs import ClipInputs
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.predictors.base import Sample, Task, TextStream
    from emotion_llama.prompts.builder import Turn
    from emotion_llama.serve.seen import SeenArrays


class RemotePredictor:
    """A predictor in place of the model's: `ask` takes the arrays of a sample and returns the model's prediction."""

    def __init__(
        self,
        name: str,
        frame_policy: FramePolicy,
        settings: Mapping[str, object],
        limits: ClipLimits,
        ask: Callable[[SeenArrays], Prediction],
    ) -> None:
        self.name = name
        self.settings = settings
        self.warnings: list[str] = []
        self._policy = frame_policy
        self._limits = limits
        self._ask = ask

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame that the model takes."""
        return self._policy

    def encode(self, sample: Sample) -> Sample:
        """The sample itself: the model's process encodes."""
        return sample

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """The model's predictions for its own task."""
        assert task is None  # an Analyzer asks nothing else
        return [self._ask(self._seen(one.evidence or Evidence(), one.inputs)) for one in samples if one.inputs]

    def stream(self, sample: Sample, messages: Sequence[Turn], **options: Any) -> TextStream:
        """Chats go to the model itself."""
        raise NotImplementedError

    def _seen(self, evidence: Evidence, inputs: ClipInputs) -> SeenArrays:
        from emotion_llama.serve.seen import seen_of

        most = self._limits.max_segment_seconds
        if inputs.sound is not None and inputs.sound.duration_seconds > most:
            reason = Missing("sound", f"the segment is longer than {most:.0f} s")
            inputs = replace(inputs, sound=None, missing=(*inputs.missing, reason))
        wanted = kept_faces(inputs.num_faces, self._limits.max_faces)
        if len(wanted) < inputs.num_faces:
            self.warnings.append(f"the model was shown {len(wanted)} of {inputs.num_faces} pictures of a face")
            inputs = replace(inputs, num_faces=len(wanted), face_chunks=partial(_thinned, inputs, wanted))
        return seen_of(evidence, inputs)  # the other side makes the key, of what it gets


def _thinned(inputs: ClipInputs, wanted: npt.NDArray[np.int64]) -> Iterator[UInt8]:
    count = 0
    for chunk in inputs.face_chunks():
        here = wanted[(wanted >= count) & (wanted < count + len(chunk))] - count
        count += len(chunk)
        if len(here):
            yield chunk[here]


def kept_faces(count: int, most: int) -> npt.NDArray[np.int64]:
    """Which of `count` crops are handed on: all up to `most`, else pairs of neighbours at even distances.

    Pairs, because the published temporal encoder sees two consecutive crops of each part of the clip.
    """
    if count <= most:
        return np.arange(count)
    starts = np.linspace(0, count - 2, max(most // 2, 1)).astype(np.int64)
    return np.asarray(np.unique(np.concatenate([starts, starts + 1])), np.int64)
