"""What a reader is: something that looks at the evidence of one person in one segment and answers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from emotion_llama.records import Evidence, Prediction


@runtime_checkable
class Reader(Protocol):
    """Reads evidence; never raises for evidence that is missing, but answers with a `problem`."""

    @property
    def name(self) -> str:
        """What `Prediction.model` records."""

    def read(self, evidence: Evidence) -> Prediction:
        """The answer for one person in one segment."""
