"""What a stage is: one step of a build, over clips one by one, or over the whole set at once.

A stage's work for a clip is done when the ledger holds a run whose fingerprint is still that of its name, version,
settings and what the stages it needs have put out. Everything a stage's output depends on is therefore in `settings`
or comes from a stage in `needs`; nothing else may be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from emotion_llama.errors import EmotionLlamaError
from emotion_llama.merr.records import StageInput, StageOutput

# process: CPU work on media, in worker processes; thread: waits for servers; main: a model that one thread holds;
# inline: too quick to hand over.
Pool = Literal["process", "thread", "main", "inline"]


@runtime_checkable
class ClipStage(Protocol):
    """A step that sees one clip at a time. Instances travel to worker processes: they are small and picklable."""

    @property
    def name(self) -> str:
        """Its name in the ledger and in recipes."""

    @property
    def version(self) -> int:
        """Raised when its code gives other results for the same input and settings."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages whose fields it reads; a clip that one of them failed or dropped (scope "all") never comes here."""

    @property
    def reads_artifacts(self) -> tuple[str, ...]:
        """Names of the artifacts it wants as bytes."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What its output depends on beyond its input, as JSON values; no secrets."""

    @property
    def pool(self) -> Pool:
        """Where it runs."""

    @property
    def batch_size(self) -> int:
        """Clips it likes to see at once; 1 unless a model is quicker with more."""

    def run(self, items: Sequence[StageInput]) -> list[StageOutput | EmotionLlamaError]:
        """One output, or the error, for each clip in order. An error of one clip never costs another its output."""


@runtime_checkable
class SetStage(Protocol):
    """A step that needs all clips at once (sampling, balance, splits); deterministic, quick, run in the parent."""

    @property
    def name(self) -> str:
        """Its name in the ledger and in recipes."""

    @property
    def version(self) -> int:
        """Raised when its code gives other results for the same input and settings."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages whose fields it reads."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What its output depends on beyond its input, as JSON values."""

    def run_all(self, items: Sequence[StageInput]) -> list[StageOutput]:
        """One output for each clip, in order; clips come sorted by id."""


Stage: TypeAlias = "ClipStage | SetStage"
