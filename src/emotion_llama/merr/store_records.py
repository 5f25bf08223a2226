"""What the store says of a build beside its samples: phases, failures, totals, and files that were lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emotion_llama.errors import BackendError


@dataclass(frozen=True)
class FailureRow:
    """One failure that was recorded; `is_open`: the clip's last run of this stage is still this failure."""

    clip_id: str
    stage: str
    reason: str
    seconds: float
    failed_at: str
    is_open: bool


@dataclass(frozen=True)
class StageRow:
    """A phase of the recipe in force."""

    name: str
    needs: tuple[str, ...]
    pool: str
    version: int


@dataclass(frozen=True)
class Totals:
    """Clips of a build.

    Attributes:
        clips: in the build.
        coarse, fine: in the coarse and the fine data set.
        set_aside: why -> number of clips that the build knows and does not count: their file is no longer among the
            inputs, or they are beyond the limit.
    """

    clips: int
    coarse: int
    fine: int
    set_aside: Mapping[str, int]


class LostArtifact(BackendError):
    """The file of an artifact is gone, or is not what was put there."""

    def __init__(self, clip_id: str, stage: str, name: str, sha256: str, suffix: str) -> None:
        self.clip_id = clip_id
        self.stage = stage
        self.name = name
        self.sha256 = sha256
        self.suffix = suffix
        super().__init__(f"{clip_id}: the file of {name!r} is gone or damaged; the next build makes it again")
