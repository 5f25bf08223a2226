"""The one interface of everything that predicts: samples and a task in, predictions out; and a chat, word by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from emotion_llama.models.clips import ClipFeatures, ClipInputs
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.prompts.builder import Turn
    from emotion_llama.results import Evidence, Prediction


@dataclass(frozen=True, repr=False)
class Sample:
    """One person in one segment of a clip; a predictor takes what it needs of it.

    Attributes:
        evidence: what was measured; None where nothing was, as with stored features.
        inputs: frame, face crops and sound for encoders, where the predictor's `frame_policy` is not None.
        features: what the encoders computed of `inputs`; nothing is encoded where they are given.
        transcript: what the person says, in place of the evidence's transcript.
        cues: the measured cues in words (`prompts.cues.cue_text`), in place of those of `evidence`.
        sample_id: of the clip, for messages.
    """

    evidence: Evidence | None = None
    inputs: ClipInputs | None = None
    features: ClipFeatures | None = None
    transcript: str | None = None
    cues: str | None = None
    sample_id: str = ""

    @property
    def text(self) -> str | None:
        """What the person says; None where that is not known."""
        if self.transcript is not None or self.evidence is None or self.evidence.transcript is None:
            return self.transcript
        return self.evidence.transcript.text

    def __repr__(self) -> str:
        return f"Sample({self.sample_id!r}, {self.evidence}, {self.features or self.inputs})"


@dataclass(frozen=True)
class Task:
    """What is asked of every sample.

    The answer's text is `Prediction.raw_text`. Where there are labels, `Prediction.label` is the most probable one, and
    without a text being asked for (`max_new_tokens` 0) the text is empty.

    Attributes:
        name: of `prompts.TASKS`.
        labels: to choose from; empty where a text alone is asked for.
        instruction: in place of the task's own; None takes the first of its pool.
        max_new_tokens: longest text; 0 for none.
    """

    name: str = "emotion"
    labels: tuple[str, ...] = ()
    instruction: str | None = None
    max_new_tokens: int = 200


class TextStream(Iterator[str]):
    """A text as it is generated, piece by piece.

    Attributes:
        prompt_tokens: length of the prompt, where it is counted.
        completion_tokens: tokens generated so far, the end token among them.
        finish_reason: "stop" where the model ended, "length" where the limit did; None until then.
    """

    prompt_tokens = 0
    completion_tokens = 0
    finish_reason: Literal["stop", "length"] | None = None

    def __init__(self, pieces: Iterable[str] = ()) -> None:
        self._pieces = iter(pieces)

    def __next__(self) -> str:
        piece = next(self._pieces, None)
        if piece is None:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """End the text here."""
        self._pieces = iter(())
        self.finish_reason = self.finish_reason or "stop"


@runtime_checkable
class Predictor(Protocol):
    """Predicts emotions; never raises for evidence that is missing, but returns a prediction with a `problem`."""

    @property
    def name(self) -> str:
        """What `Prediction.model` records."""

    @property
    def frame_policy(self) -> FramePolicy | None:
        """Which frame of the clip `Sample.inputs` has to hold; None where the measurements suffice."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything but samples and task that predictions depend on, as JSON values; resumed runs compare it."""

    def encode(self, sample: Sample) -> Sample | Prediction:
        """The sample with its features, for several questions; a prediction with a `problem` where none can be asked.

        Predictors without encoders return the sample as it is.
        """

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """A prediction for each sample, in order.

        Args:
            samples: any number.
            task: None is the predictor's own: a label of its label space with the reasons for it.

        Raises:
            InputError: the predictor cannot do this task, or `inputs` are needed and not there.
            BackendError: the model failed.
        """

    def stream(
        self,
        sample: Sample,
        messages: Sequence[Turn],
        *,
        task: str = "free",
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_new_tokens: int = 200,
        seed: int | None = None,
    ) -> TextStream:
        """The answer to the last message, piece by piece as it is generated.

        Args:
            sample: the clip.
            messages: a chat about it; all but the last have their answers. "" as the last takes the task's instruction.
            task: a name of `prompts.TASKS`.
            temperature: 0 takes the most probable token each time; above it tokens are sampled.
            top_p: tokens are sampled among the most probable that make up this share.
            max_new_tokens: longest answer.
            seed: the same for the same samples; None differs each time.

        Raises:
            InputError: the predictor does not chat, or cannot do this task.
        """
