"""Analyzer: path in, Analysis out; composes media, face, speech and a predictor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.analysis.evidence import Scene, gather, with_label_peak
from emotion_llama.analysis.hearing import VOICE_BACKENDS, listen
from emotion_llama.analysis.options import Options, check_choice, file_and_hash
from emotion_llama.analysis.people import Person, Voiced, main_first, whose_voice
from emotion_llama.analysis.sight import Sight, look
from emotion_llama.analysis.spans import spans_of
from emotion_llama.analysis.words import find_words, words_record
from emotion_llama.errors import InputError
from emotion_llama.records import Analysis, Clip, PersonAnalysis, Segment

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.clip_inputs import ClipInputs
    from emotion_llama.predictors import Predictor

StageProgress = Callable[[str, float], None]  # stage, share done 0..1


class Analyzer:
    """Reads clips: who feels what, how sure, on which evidence.

    One Analyzer holds its models and is used for many clips, one after the other. It is not safe to share between
    threads; make one a thread.

    Example:
        >>> from emotion_llama import Analyzer
        >>> analysis = Analyzer.load("rules").analyze("talk.mp4", subtitle="How nice to see you!")
        >>> analysis.people[0].segments[0].prediction.label
        'happy'
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        faces: str = "mediapipe_mesh",
        face_model: Path | None = None,
        units: str | Path | None = None,
        voice: Literal["autocorrelation", "opensmile"] = "autocorrelation",
        max_side: int = 640,
        max_fps: float = 30.0,
    ) -> None:
        check_choice("voice", voice, VOICE_BACKENDS)
        if face_model is not None and faces != "mediapipe_tasks":
            raise InputError(
                f"a face model file is for the backend mediapipe_tasks, not {faces}; name that backend too"
            )
        if not max_fps > 0 or max_side < 64:
            raise InputError(f"expected max_fps above 0 and max_side of 64 or more, got {max_fps = }, {max_side = }")
        self.predictor = predictor
        self._faces = faces
        self._face_model = face_model
        self._units = units
        self._voice_backend = voice
        self._max_side = max_side
        self._max_fps = max_fps
        self._mesh: MeshBackend | None = None

    @classmethod
    def load(
        cls, model: str | None = None, *, predictor_options: Mapping[str, object] | None = None, **options: Any
    ) -> Analyzer:
        """An Analyzer with the predictor `model`.

        Args:
            model: "nano", "rules", or the folder of a model (`predictors.load_predictor`); None is "nano", or "rules"
                where PyTorch is not installed.
            predictor_options: what that predictor takes, e.g. {"table": "mer-factory"} or {"layout": "released"}.
            **options: as the constructor's.

        Raises:
            InputError: no predictor has that name, or it has no such option.
            MissingDependency: what runs the model is not installed.
        """
        from emotion_llama.predictors import default_model, load_predictor

        return cls(load_predictor(model or default_model(), **(predictor_options or {})), **options)

    def close(self) -> None:
        """Let the face backend go; the next clip starts it again."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

    def __enter__(self) -> Analyzer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def mesh_backend(self) -> MeshBackend:
        """The face backend, started at first use."""
        if self._mesh is None:
            from emotion_llama.face.backends import load_backend

            options = {} if self._face_model is None else {"model_path": self._face_model}
            self._mesh = load_backend(self._faces, **options)
        return self._mesh

    def analyze(
        self,
        path: str | Path,
        *,
        subtitle: str | None = None,
        transcript: str | Path | None = None,
        asr_model: str | Path | None = None,
        people: Literal["main", "all"] = "main",
        segment: Literal["none", "auto"] | float = "none",
        peak_rule: Literal["all", "label"] = "all",
        progress: StageProgress | None = None,
    ) -> Analysis:
        """Measure one file and read the evidence.

        Args:
            path: a video or sound file.
            subtitle: what is said, as plain text.
            transcript: a .srt, .vtt, .txt or .csv file with what is said; without it, one beside the clip is used.
            asr_model: folder of a Whisper model to recognise speech with.
            people: the main person only, or everybody in view.
            segment: one segment for the whole clip, segments by pauses, or of so many seconds.
            peak_rule: strongest frame by the sum of all units, or of the label's units (MERR's two published rules).
            progress: called with the stage's name and its share done.

        Raises:
            MediaError: the file cannot be read.
            InputError: an option or a side file cannot be used.
            MissingDependency: an optional backend was asked for and is not installed.
        """
        options = Options(
            subtitle,
            None if transcript is None else Path(transcript),
            None if asr_model is None else Path(asr_model),
            people,
            segment,
            peak_rule,
        )
        return self.run(path, options, progress=progress)

    def run(self, path: str | Path, options: Options, *, progress: StageProgress | None = None) -> Analysis:
        """`analyze` with its choices in one record."""
        from emotion_llama.media.probe import probe

        warnings: list[str] = []
        clip = probe(path, warn=warnings.append)
        clock = _Clock(progress)
        with clock.stage("words"):
            words = find_words(clip, options, warnings.append)
        with clock.stage("voice") as report:
            sound = listen(clip, self._voice_backend, warn=warnings.append, progress=report)
        with clock.stage("faces") as report:
            sight = self._look(clip, warnings.append, report)
        with clock.stage("reading"):
            spans = spans_of(options.segment, clip.duration_seconds, sound.voice)
            usual = (
                sound.summarise(sound.voice, 0.0, clip.duration_seconds)
                if sound.voice is not None and len(spans) > 1 and len(sight.people) <= 1
                else None
            )
            persons = self._read_people(clip, Scene(sight, sound, words, usual), spans, options)
        return Analysis(
            clip,
            persons,
            sound.voice,
            self.predictor.name,
            self.settings(clip.path, options),
            tuple(warnings),
            clock.seconds,
            installed_versions(),
        )

    def settings(self, path: Path, options: Options) -> dict[str, object]:
        """Everything but the clip's own bytes that an analysis depends on, as JSON values.

        Two analyses of one clip with equal settings and version are equal: resuming a run relies on that. Files are
        named with their hash.
        """
        return {
            "model": self.predictor.name,
            "reader": dict(self.predictor.settings),
            "faces": self._faces,
            "face_model": file_and_hash(self._face_model),
            "units": None if self._units is None else file_and_hash(self._units_file(path)) or str(self._units),
            "voice": self._voice_backend,
            "max_side": self._max_side,
            "max_fps": self._max_fps,
            "people": options.people,
            "segment": options.segment,
            "peak_rule": options.peak_rule,
            "words": words_record(path, options),
            "asr_model": None if options.asr_model is None else str(options.asr_model),
        }

    # --- the stages -------------------------------------------------------------------------------------------------

    def _look(self, clip: Clip, warn: Callable[[str], None], progress: Callable[[float], None]) -> Sight:
        if self._units is not None:
            from emotion_llama.analysis.sight import read_units

            return read_units(clip, self._units_file(clip.path), str(self._units))
        if clip.video is None:  # do not start the face backend for a sound file
            return Sight((), None, 0, "the file has no video")
        return look(
            clip,
            self.mesh_backend(),
            max_side=self._max_side,
            max_fps=self._max_fps,
            warn=warn,
            progress=progress,
        )

    def _units_file(self, clip_path: Path) -> Path | None:
        """The CSV of units for this clip: the file given, or the one of the clip's name in the folder given."""
        if self._units is None or not Path(self._units).exists():
            return None
        given = Path(self._units)
        return given / f"{clip_path.stem}.csv" if given.is_dir() else given

    def _read_people(
        self, clip: Clip, scene: Scene, spans: list[tuple[float, float]], options: Options
    ) -> tuple[PersonAnalysis, ...]:
        everybody = main_first(scene.sight, scene.sound.voice)
        voiced = [whose_voice(everybody, scene.sound.voice, span) for span in spans]
        chosen = everybody if options.people == "all" else everybody[:1]
        return tuple(
            PersonAnalysis(
                person.person_id,
                is_main=i == 0,
                why=person.why,
                track=person.seen.track if person.seen is not None else None,
                segments=tuple(
                    self._read(clip, scene, person, span, voices, options)
                    for span, voices in zip(spans, voiced, strict=True)
                ),
            )
            for i, person in enumerate(chosen)
        )

    def _read(
        self, clip: Clip, scene: Scene, person: Person, span: tuple[float, float], voices: Voiced, options: Options
    ) -> Segment:
        from emotion_llama.predictors import Sample

        silent_because = voices.why_not(person.person_id)
        evidence = gather(scene, person.seen, span, silent_because)
        inputs = self._model_inputs(clip, scene, person, span, silent_because)
        (prediction,) = self.predictor.predict([Sample(evidence, inputs)])
        if options.peak_rule == "label" and prediction.label is not None:
            evidence = with_label_peak(evidence, prediction.label)
        return Segment(span[0], span[1], evidence, prediction)

    def _model_inputs(
        self, clip: Clip, scene: Scene, person: Person, span: tuple[float, float], silent_because: str | None
    ) -> ClipInputs | None:
        """Pictures and sound of one person in one segment; None for a predictor of measurements alone."""
        policy = self.predictor.frame_policy
        if policy is None:
            return None
        from emotion_llama.analysis.clip_reading import LookOptions, person_inputs

        look_options = LookOptions(policy, max_fps=self._max_fps, max_side=self._max_side)
        # A segment that is the whole clip goes to its very end: a last frame may be shown from the last instant on.
        is_whole = span == (0.0, clip.duration_seconds)
        return person_inputs(
            clip,
            person.seen,
            look_options,
            span=None if is_whole else span,
            why_nobody=scene.sight.why_nobody,
            why_silent=silent_because,
        )


def installed_versions() -> dict[str, str]:
    """Versions of this package and of what measures for it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("emotion-llama", "mediapipe", "av", "numpy", "opencv-python-headless"):
        with suppress(PackageNotFoundError):  # running from a copied source tree
            found[name] = version(name)
    return found


class _Clock:
    """Seconds by stage, and the stage's progress handed on."""

    def __init__(self, progress: StageProgress | None) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        start = time.perf_counter()
        report = self._progress
        if report is not None:
            report(name, 0.0)
        yield (lambda share: None) if report is None else (lambda share: report(name, share))
        self.seconds[name] = time.perf_counter() - start
