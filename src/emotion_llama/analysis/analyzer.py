"""Analyzer: path in, Analysis out; composes media, face, speech and a predictor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.analysis.evidence import (
    VOICE_BACKENDS,
    Span,
    find_transcript,
    gather,
    main_first,
    summarise_voice,
    transcript_record,
    whose_voice,
    why_silent,
    with_label_peak,
)
from emotion_llama.analysis.measure import (
    Measurements,
    Person,
    StageClock,
    StageProgress,
    measure_clip,
    read_units,
)
from emotion_llama.analysis.options import Options, check_choice, file_and_hash, installed_versions, spans_of
from emotion_llama.analysis.voices import Voices, find_voices, heard_of, rttm_of, with_names, with_owners
from emotion_llama.errors import InputError
from emotion_llama.records import Transcript
from emotion_llama.results import Analysis, Missing, PersonAnalysis, Segment

if TYPE_CHECKING:
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.media.screen_text import ReadPicture, ScreenText
    from emotion_llama.models.clips import ClipInputs
    from emotion_llama.predictors import Predictor
    from emotion_llama.speech.transcribe import Recogniser

ChooseImages = Callable[[Sequence[PersonAnalysis]], Collection[tuple[int, int]]]


class Analyzer:
    """Reads clips: who feels what, how sure, on which evidence.

    One holds its models for many clips, one after the other. Threads cannot share it safely; make one a thread.

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
        faces: str = "onnx_mesh",
        face_model: Path | None = None,
        face_options: Mapping[str, object] | None = None,
        units: str | Path | None = None,
        voice: Literal["autocorrelation", "opensmile"] = "autocorrelation",
        max_side: int = 640,
        max_fps: float = 30.0,
    ) -> None:
        check_choice("voice", voice, VOICE_BACKENDS)
        if face_model is not None and faces != "mediapipe_tasks":
            raise InputError(f"a face model file is for the backend mediapipe_tasks, not {faces}; name that one too")
        if not max_fps > 0 or max_side < 64:
            raise InputError(f"expected max_fps above 0 and max_side of 64 or more, got {max_fps = }, {max_side = }")
        self.predictor = predictor
        self._faces = faces
        self._face_model = face_model
        self._face_options = dict(face_options or {})
        self._units = units
        self._voice_backend = voice
        self._max_side = max_side
        self._max_fps = max_fps
        self._mesh: MeshBackend | None = None
        self._recogniser: tuple[Path, Recogniser] | None = None
        self._read_picture: ReadPicture | None = None

    @classmethod
    def load(
        cls, model: str | None = None, *, predictor_options: Mapping[str, object] | None = None, **options: Any
    ) -> Analyzer:
        """An Analyzer with the predictor `model`.

        Args:
            model: "rules", "nano", or the folder of a model (`predictors.load_predictor`); None is the one chosen
                with `emotion-llama use`, else "rules".
            predictor_options: what that predictor takes, e.g. {"table": "mer-factory"} or {"layout": "released"}.
            **options: as the constructor's.

        Raises:
            InputError: no predictor has that name, or it has no such option.
            MissingDependency: what runs the model is not installed.
        """
        from emotion_llama.predictors import default_model, load_predictor

        return cls(load_predictor(model or default_model(), **(predictor_options or {})), **options)

    def close(self) -> None:
        """Let the face backend and the recogniser go; the next clip starts them again."""
        self._recogniser = None
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
            self._mesh = load_backend(self._faces, **self._face_options, **options)
        return self._mesh

    def recogniser(self, model: Path) -> Recogniser:
        """The speech recogniser with the model in a folder, loaded at first use and kept for the next clips.

        Raises:
            InputError, MissingDependency, BackendError: as `speech.transcribe.FasterWhisper`.
        """
        if self._recogniser is None or self._recogniser[0] != model:
            from emotion_llama.speech.transcribe import FasterWhisper

            self._recogniser = model, FasterWhisper(model)
        return self._recogniser[1]

    def analyze(
        self,
        path: str | Path,
        *,
        subtitle: str | None = None,
        transcript: str | Path | None = None,
        asr_model: str | Path | None = None,
        asr_language: str | None = None,
        screen_text: bool = False,
        people: Literal["main", "all"] = "main",
        segment: Literal["none", "auto"] | float = "none",
        peak_rule: Literal["all", "label"] = "all",
        images: bool = False,
        audio_track: int | None = None,
        subtitle_track: int | None = None,
        encoding: str | None = None,
        speakers: str | Path | None = None,
        progress: StageProgress | None = None,
    ) -> Analysis:
        """Measure one file and read the evidence.

        Args:
            path: a video or sound file.
            subtitle: what is said, as plain text.
            transcript: a .srt, .vtt, .ass, .txt or .csv file with what is said; without it, a subtitle file beside the
                clip is used, or a text track in it.
            asr_model: folder of a Whisper model to recognise speech with.
            asr_language: what is spoken (ISO 639-1); by default the recogniser finds it.
            screen_text: read subtitles that are burnt into the pictures; with `asr_model`, speech where none is shown.
            people: the main person only, or everybody in view.
            segment: one segment for the whole clip, segments by pauses, or of so many seconds.
            peak_rule: strongest frame by the sum of all units, or of the label's units (MERR's two published rules).
            images: make an image of the face at each segment's peak frame.
            audio_track: which of the file's sound tracks is read, from 1; by default the one that is marked as default,
                unless it is silent and another is not.
            subtitle_track: which of the file's subtitle tracks holds what is said, from 1.
            encoding: of the transcript's file; by default UTF-8, or Windows-1252 where it makes words, which is said.
            speakers: a .rttm file that says who speaks when; without it the one beside the clip.
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
            audio_track,
            subtitle_track,
            encoding,
            asr_language,
            screen_text=screen_text,
            speakers=None if speakers is None else Path(speakers),
        )
        return self.run(path, options, progress=progress, images=_every_segment if images else None)

    def run(
        self,
        source: str | Path | ClipFile,
        options: Options,
        *,
        progress: StageProgress | None = None,
        images: ChooseImages | None = None,
        keep_waveform: bool = False,
    ) -> Analysis:
        """`analyze` with its choices in one record.

        Args:
            source: a file, or one that is open and not read yet (`media.probe.open_clip`).
            options: what is asked.
            progress: as in `analyze`.
            images: chooses the segments, by (person_id, index), whose face at the peak frame is to come as an image.
            keep_waveform: whether the analysis holds the sound.
        """
        from emotion_llama.media.probe import open_clip
        from emotion_llama.media.reader import ClipFile

        with ExitStack() as stack:
            if not isinstance(source, ClipFile):
                source = stack.enter_context(open_clip(source, warn=lambda line: None, audio_track=options.audio_track))
            analysis = self._analysis(source, options, StageClock(progress), keep_waveform)
            if images is None:
                return analysis
            if progress is not None:
                progress("report", 0.0)
            return self._with_images(source, analysis, frozenset(images(analysis.people)))

    def _analysis(self, file: ClipFile, options: Options, clock: StageClock, keep_waveform: bool) -> Analysis:
        clip, warnings = file.clip, list(file.problems)
        clock("words")
        keeps = (
            keep_waveform
            or options.asr_model is not None
            or self._voice_backend == "opensmile"
            or self.predictor.frame_policy is not None
        )
        transcript: Transcript | Missing | None = None
        if not options.screen_text and (options.asr_model is None or options.asr_fallback):
            transcript = find_transcript(clip.path, options, None, warnings.append, file)
            if options.asr_model is not None and isinstance(transcript, Missing):
                transcript = None
        screen = None if not options.screen_text or clip.video is None else self._screen_text()
        found = measure_clip(
            file, None if self._units is not None else self.mesh_backend, clock, max_side=self._max_side,
            max_fps=self._max_fps, keep_waveform=keeps, tap=None if screen is None else screen.tap,
            warn=warnings.append,
        )  # fmt: skip
        if self._units is not None:
            clock("faces")
            shown = replace(clip, duration_seconds=file.picture_seconds or clip.duration_seconds)
            table = read_units(shown, self._units_file(clip.path), str(self._units), warnings.append)
            found = replace(found, people=table.people, num_frames=table.num_frames, why_nobody=table.why_nobody)
        if transcript is None:
            with clock.during("words"):
                on_screen = None if screen is None else screen.transcript(clip.duration_seconds)
                asked = replace(options, subtitle=None, transcript=None, subtitle_track=None, asr_fallback=False)
                recogniser = None if options.asr_model is None else partial(self.recogniser, options.asr_model)
                transcript = find_transcript(
                    clip.path, asked, found.waveform, warnings.append, file, recogniser, on_screen
                )
        clock("reading")
        voices, everybody = with_owners(find_voices(clip, options, transcript, found.voice), main_first(found), found)
        warnings += voices.notes
        people = self._people(file, found, with_names(transcript, voices), voices, everybody, options)
        return Analysis(
            clip,
            people,
            found.voice,
            self.predictor.name,
            self.settings(clip.path, options),
            tuple(warnings),
            clock.finish(),
            installed_versions(),
            found.waveform if keep_waveform else None,
            coverage=dict(file.coverage),
            speakers=voices.owned_turns(),
        )

    def _screen_text(self) -> ScreenText:
        """A reader of one clip's burnt-in subtitles; what recognises text is loaded once."""
        from emotion_llama.media.screen_text import ScreenText, load_reader

        self._read_picture = self._read_picture or load_reader()
        return ScreenText(self._read_picture)

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
            **({"face_options": self._face_options} if self._face_options else {}),
            "units": None if self._units is None else file_and_hash(self._units_file(path)) or str(self._units),
            "voice": self._voice_backend,
            "max_side": self._max_side,
            "max_fps": self._max_fps,
            "people": options.people,
            "segment": options.segment,
            "peak_rule": options.peak_rule,
            "words": transcript_record(path, options),
            **({} if (rttm := rttm_of(path, options)) is None else {"speakers": file_and_hash(rttm)}),
            "asr_model": None if options.asr_model is None else str(options.asr_model),
            **{
                name: value
                for name in ("audio_track", "encoding", "asr_language", "screen_text")
                if (value := getattr(options, name)) not in (None, False)
            },
        }

    def _units_file(self, clip_path: Path) -> Path | None:
        """The CSV of units for this clip: the file given, or the one of the clip's name in the folder given."""
        if self._units is None or not Path(self._units).exists():
            return None
        given = Path(self._units)
        return given / f"{clip_path.stem}.csv" if given.is_dir() else given

    # --- people and segments ----------------------------------------------------------------------------------------

    def _people(
        self, file: ClipFile, found: Measurements, transcript: Transcript | Missing, voices: Voices,
        everybody: Sequence[Person], options: Options,
    ) -> tuple[PersonAnalysis, ...]:  # fmt: skip
        from emotion_llama.predictors import Sample

        voice, main = found.voice, everybody[0]
        chosen = everybody if options.people == "all" else (main,)
        spans = spans_of(options.segment, file.clip.duration_seconds, voice)
        speakers = [whose_voice(everybody, voice, span) for span in spans]
        baseline = None
        if voice is not None and len(spans) > 1 and len(found.people) <= 1 and not voices.owners:
            baseline = summarise_voice(found, voice, (0.0, file.clip.duration_seconds), self._voice_backend)

        def segment(person: Person, span: Span, speaker: tuple[int | None, str]) -> Segment:
            heard, words, silent_because = found, transcript, why_silent(person, speaker)
            if voices.owners:
                heard, words, silent_because = heard_of(person.person_id, voices, found, transcript, span)
            evidence = gather(
                heard, words, person, span, silent_because=silent_because, baseline=baseline,
                keep_words=options.subtitle is not None and person is main and speaker[0] is None,
                voice_backend=self._voice_backend,
            )  # fmt: skip
            inputs = self._inputs(file, found, person, span, silent_because)
            (prediction,) = self.predictor.predict([Sample(evidence, inputs)])
            if options.peak_rule == "label" and prediction.label is not None:
                evidence = with_label_peak(evidence, prediction.label)
            return Segment(*span, evidence, prediction)

        people = []
        for person in chosen:
            segments = tuple(segment(person, *one) for one in zip(spans, speakers))
            people.append(PersonAnalysis(person.person_id, person is main, person.why, person.track, segments))
        return tuple(people)

    def _inputs(
        self, file: ClipFile, found: Measurements, person: Person, span: Span, silent_because: str | None
    ) -> ClipInputs | None:
        """Pictures and sound of one person in one segment; None for a predictor of measurements alone.

        A segment that is the whole clip goes to its very end: a last frame may be shown from the last instant on.
        """
        policy = self.predictor.frame_policy
        if policy is None:
            return None
        from emotion_llama.analysis.inputs import CropOptions, person_inputs

        part = None if span == (0.0, file.clip.duration_seconds) else span
        options = CropOptions(policy, self._max_fps, self._max_side, masked=self.predictor.name != "rules")
        return person_inputs(file, person, options, waveform=found.waveform, span=part, silent_because=silent_because)

    def _with_images(self, file: ClipFile, analysis: Analysis, chosen: frozenset[tuple[int, int]]) -> Analysis:
        """The same with an image of each chosen segment whose face was tracked."""
        from emotion_llama.analysis.peak_image import peak_image

        people = []
        for person in analysis.people:
            segments = list(person.segments)
            for i, segment in enumerate(segments):
                peak = segment.evidence.peak_frame
                if peak is not None and person.track is not None and (person.person_id, i) in chosen:
                    image = peak_image(file, person.track, peak, self.mesh_backend())
                    segments[i] = replace(segment, image=image)
            people.append(replace(person, segments=tuple(segments)))
        return replace(analysis, people=tuple(people))


def _every_segment(people: Sequence[PersonAnalysis]) -> list[tuple[int, int]]:
    return [(person.person_id, i) for person in people for i in range(len(person.segments))]
