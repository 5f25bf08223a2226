"""Features of many clips, one run: each done, skipped or failed with its reason; killed and resumed without loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from emotion_llama import __version__
from emotion_llama.analysis.clip_reading import LookOptions, read_inputs
from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.models.clip_features import ClipFeatures, Modality
from emotion_llama.models.features.features import FeatureExtractor
from emotion_llama.models.features.published_folders import PublishedFolders
from emotion_llama.models.inputs import Float32

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend

Stage = Callable[[str, float], None]  # stage, share done 0..1


class Sink(Protocol):
    """Where features are kept: `feature_store.FeatureStore`, `published_folders.FolderWriter`."""

    def holds(self, name: str, sha256: str) -> bool:
        """Whether the features of this very file are there under that name."""

    def add(self, name: str, path: Path, sha256: str, features: ClipFeatures) -> Path:
        """Keep the features of one clip."""

    def close(self) -> None:
        """Finish what is open."""


class Named(NamedTuple):
    """A clip and the name that its features get."""

    name: str
    path: Path


@dataclass(frozen=True)
class FeatureOutcome:
    """What became of one clip."""

    clip: Named
    status: Literal["done", "skipped", "failed"]
    features: ClipFeatures | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    seconds_by_stage: tuple[tuple[str, float], ...] = ()


@dataclass
class FeatureTally:
    """Counts of a run: clips by what became of them, and features that clips do not have."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: FeatureOutcome) -> None:
        """Count one outcome."""
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        for reason in () if outcome.features is None else outcome.features.missing:
            self.missing[reason.what] = self.missing.get(reason.what, 0) + 1

    def text(self) -> str:
        """`12 done (without face: 2), 3 skipped (already done), 1 failed`."""
        without = ", ".join(f"{what}: {count}" for what, count in sorted(self.missing.items()))
        return (
            f"{self.done} done{f' (without {without})' if without else ''}, "
            f"{self.skipped} skipped (already done), {self.failed} failed"
        )


def name_clips(relatives: Sequence[tuple[PurePath, Path]]) -> list[Named]:
    """Names of clips: their path below the named folder without the suffix, as the published folders have it.

    Raises:
        InputError: two files would share a name.
    """
    taken: dict[str, Path] = {}
    for relative, path in relatives:
        name = relative.with_suffix("").as_posix()
        if name in taken:
            raise InputError(
                f"{taken[name]} and {path} would both be named {name!r}; give each its own name or run them apart"
            )
        taken[name] = path
    return [Named(name, path) for name, path in taken.items()]


def run_recipe(extractor: FeatureExtractor, look: LookOptions, encoders_sha256: str, about: dict[str, object]) -> Any:
    """The record of how a run's features are made, as JSON: what they depend on, and under "about" what is to know."""
    return {
        "emotion_llama": __version__,
        "encoders_sha256": encoders_sha256,
        "recipes": extractor.recipe(),
        "frame_policy": look.frame_policy,
        "faces": {
            "max_fps": None if look.max_fps == float("inf") else look.max_fps,
            "max_side": look.max_side,
            "crop": "112x112, similarity transform to OpenFace's mean shape",
            "masked": look.masked,
        },
        "about": about,
    }


def extract_clips(
    clips: Sequence[Named],
    extractor: FeatureExtractor,
    backend: Callable[[], MeshBackend],
    look: LookOptions,
    sinks: Sequence[Sink],
    *,
    published: PublishedFolders | None = None,
    resume: bool = False,
    progress: Callable[[int, str, str, float], None] | None = None,
) -> Iterator[FeatureOutcome]:
    """Make the features of `clips` one after the other, keep them in every sink, and yield each outcome.

    Args:
        clips: from `name_clips`.
        extractor: holds the encoders.
        backend: gives the face backend; called when the first video comes.
        look: how faces are found and the frame is chosen.
        sinks: where features go.
        published: folders whose vectors are taken in place of computing them; what they lack is computed.
        resume: skip clips that every sink holds.
        progress: called with the clip's position, its name, the stage and its share done.
    """
    for position, clip in enumerate(clips):
        stage = _stage(progress, position, clip)
        try:
            if resume and _is_held(clip, sinks):
                yield FeatureOutcome(clip, "skipped")
                continue
            given = published[clip.name].vectors() if published is not None and clip.name in published else {}
            yield _one(clip, extractor, backend, look, sinks, given, stage)
        except (EmotionLlamaError, OSError) as error:
            text = str(error) if isinstance(error, EmotionLlamaError) else f"{clip.path}: {error}"
            yield FeatureOutcome(clip, "failed", error=text)


def _one(
    clip: Named,
    extractor: FeatureExtractor,
    backend: Callable[[], MeshBackend],
    look: LookOptions,
    sinks: Sequence[Sink],
    given: Mapping[Modality, Float32],
    progress: Stage,
) -> FeatureOutcome:
    clock = _StageClock(progress)
    warnings: list[str] = []
    clock("faces", 0.0)
    inputs = read_inputs(
        clip.path,
        backend,
        look,
        need_faces=not {"face", "temporal"} <= given.keys(),
        warn=warnings.append,
        progress=lambda share: clock("faces", share),
    )
    features = extractor.extract(inputs, clock, given=given)
    clock("writing", 0.0)
    for sink in sinks:
        sink.add(clip.name, clip.path, inputs.clip.sha256, features)
    return FeatureOutcome(clip, "done", features, None, tuple(warnings), clock.finish())


def _is_held(clip: Named, sinks: Sequence[Sink]) -> bool:
    from emotion_llama.media.probe import file_sha256

    if not clip.path.is_file():
        return False
    sha256 = file_sha256(clip.path)
    return all(sink.holds(clip.name, sha256) for sink in sinks)


class _StageClock:
    """Hands progress on, and measures how long each stage was the current one."""

    def __init__(self, progress: Stage) -> None:
        import time

        self._now = time.perf_counter
        self._progress = progress
        self._stage: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, share: float) -> None:
        if stage != self._stage:
            self._stop()
            self._stage = stage
        self._progress(stage, share)

    def finish(self) -> tuple[tuple[str, float], ...]:
        """Seconds by stage, in order."""
        self._stop()
        self._stage = None
        return tuple(self._seconds.items())

    def _stop(self) -> None:
        now = self._now()
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now


def _stage(progress: Callable[[int, str, str, float], None] | None, position: int, clip: Named) -> Stage:
    if progress is None:
        return lambda stage, share: None
    return lambda stage, share: progress(position, clip.path.name, stage, share)
