"""What a reader is: something that looks at the evidence of one person in one segment and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from emotion_llama.models.clip_inputs import ClipInputs
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.records import Evidence, Prediction


@runtime_checkable
class Reader(Protocol):
    """Reads evidence; never raises for evidence that is missing, but answers with a `problem`."""

    @property
    def name(self) -> str:
        """What `Prediction.model` records."""

    @property
    def frame_policy(self) -> FramePolicy | None:
        """Which frame of the clip the reader looks at; None where it reads the measurements alone."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything but the clip that its answers depend on, as JSON values; resumed runs compare it."""

    def read(self, evidence: Evidence, inputs: ClipInputs | None = None) -> Prediction:
        """The answer for one person in one segment; `inputs` are given where `frame_policy` is not None."""
