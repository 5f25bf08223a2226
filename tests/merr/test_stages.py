"""Stages one by one and in a row: real media once, hand-made evidence else; failures become failures, never fields."""

import io
import json
import pickle
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emotion_llama.chat.questions import TASKS, Facts, Question
from emotion_llama.chat.records import Answer
from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.annotators import KeptAnswers
from emotion_llama.merr.ingest import ingest
from emotion_llama.merr.measured import Measured, from_bytes, to_bytes
from emotion_llama.merr.recipe import Recipe, load_recipe
from emotion_llama.merr.records import (
    ClipRow,
    Field,
    Json,
    Provenance,
    pseudo_label,
)
from emotion_llama.merr.stage import Stage, StageInput, StageOutput
from emotion_llama.merr.stages import STAGE_NAMES, build_stages
from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.speech import transcribe
from emotion_llama.speech.transcribe import Heard, HeardLine

ROOT = Path(__file__).parents[2]
ASTRONAUT = ROOT / "examples" / "clips" / "astronaut.mp4"
GIVEN = Provenance("given", "test")


def row(clip_id: str = "a", **changes: Any) -> ClipRow:
    base = ClipRow(clip_id, f"/gone/{clip_id}.mp4", f"hash of {clip_id}", 50, 2.0, 25.0, 640, 480, True)
    return replace(base, **changes)


def units(held: Mapping[str, float], talking: bool = False) -> ActionUnits:
    intensity = np.zeros((50, len(AU_NAMES)))
    for name, value in held.items():
        intensity[20:40, AU_NAMES.index(name)] = value
    return ActionUnits(
        AU_NAMES, np.arange(50) / 25, intensity, np.ones(50), np.zeros(50, bool), np.full(50, talking), "person", "test"
    )


def measured(held: Mapping[str, float] | None, words: str | None = None, talking: bool = False) -> bytes:
    missing = () if held is not None else (Missing("action_units", "no face was found in 50 frames"),)
    found = None if held is None else units(held, talking)
    transcript = None if words is None else Transcript((TranscriptLine(words),), "given")
    return to_bytes(Measured(Evidence(found, transcript=transcript, missing=missing), ((1, "", None),), {}))


SMILE = {"AU06": 2.0, "AU12": 3.0}


def item(
    clip: ClipRow | None = None, held: Mapping[str, float] | None = SMILE, words: str | None = None, **values: Json
) -> StageInput:
    """A clip with its measurements and fields; names in `values` may end in _en."""
    fields = {}
    for key, value in values.items():
        name, _, language = key.rpartition("_") if key.endswith(("_en", "_zh")) else (key, "", "")
        why = "left out" if value is None else None
        fields[name, language] = Field(name, value, GIVEN, language, why)
    return StageInput(clip or row(), fields, {"evidence": measured(held, words)})


def one(output: StageOutput | EmotionLlamaError) -> StageOutput:
    assert isinstance(output, StageOutput), output
    return output


def value_of(output: StageOutput | EmotionLlamaError, name: str, language: str = "") -> Any:
    (found,) = [f for f in one(output).fields if (f.name, f.language) == (name, language)]
    return found.value


def why_of(output: StageOutput | EmotionLlamaError, name: str, language: str = "") -> str | None:
    (found,) = [f for f in one(output).fields if (f.name, f.language) == (name, language)]
    return found.why_missing


def recipe(*overrides: str) -> Recipe:
    return load_recipe(None, overrides)


def named(output: StageOutput) -> dict[str, bytes]:
    return {name.partition(".")[0]: data for name, data in output.artifacts.items()}


def clip_stage(name: str, *overrides: str) -> Stage:
    stage = build_stages(recipe(*overrides))[STAGE_NAMES.index(name)]
    assert isinstance(stage, Stage)
    return stage


def set_stage(name: str, *overrides: str) -> Stage:
    stage = build_stages(recipe(*overrides))[STAGE_NAMES.index(name)]
    assert isinstance(stage, Stage)
    return stage


def happy(source: str = "rules", confidence: float | None = 0.9, label: str = "happy") -> Json:
    return pseudo_label(
        label,
        source,
        strength="strong",
        score=2.5,
        confidence=confidence,
        units={"AU12": 3.0},
        table="joined",  # type: ignore[arg-type]
    )


# --- what all have ----------------------------------------------------------------------------------------------------


def test_stages_travel_and_their_settings_are_json() -> None:
    for stage in build_stages(recipe("languages=[en, zh]", "annotators.check={name: rules}")):
        back = pickle.loads(pickle.dumps(stage))
        settings = json.dumps(dict(stage.settings), sort_keys=True, allow_nan=False)
        assert json.dumps(dict(back.settings), sort_keys=True, allow_nan=False) == settings
        assert isinstance(stage, (Stage, Stage))
        assert isinstance(stage, Stage) == hasattr(stage, "run")


def test_stages_with_equal_annotators_share_one_and_with_it_its_budget() -> None:
    stages = {stage.name: stage for stage in build_stages(recipe("annotators.audio={name: stub}"))}
    shared = {id(stages[name].annotator) for name in ("visual_expression", "visual_objective", "fine_caption")}
    assert len(shared) == 1
    assert stages["audio_tone"].annotator.name == "stub"  # type: ignore[union-attr]


def test_measurements_that_are_gone_fail_the_clip_alone() -> None:
    good, bad = item(row("a"), given=None), StageInput(row("b"))
    results = clip_stage("pseudo_label").run([good, bad, StageInput(row("c"), artifacts={"evidence": b"damaged"})])
    assert value_of(results[0], "label")["label"] == "happy"
    assert isinstance(results[1], InputError)
    assert "b: its measurements are gone" in str(results[1])
    assert isinstance(results[2], InputError)
    good, bad = item(row("a"), peak=PEAK, scene=SCENE), StageInput(row("b"), item(peak=PEAK, scene=SCENE).fields)
    fine, lost = clip_stage("visual_objective", "annotators.visual={name: stub}").run([good, bad])
    assert value_of(fine, "visual_objective", "en")
    assert "b: its measurements are gone" in str(lost)


# --- from real media --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def astronaut() -> dict[str, Any]:
    """The example clip through all stages, two languages: outputs by stage, fields, artifacts, openings of the file."""
    opens: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        original, opened = av.open, []
        patch.setattr(av, "open", lambda file, **options: opened.append(file) or original(file, **options))
        ((found, _, _),) = ingest([ASTRONAUT], Recipe())
        opens["ingest"] = len(opened)
        fields: dict[tuple[str, str], Field] = {}
        artifacts: dict[str, bytes] = {}
        outputs = {}
        for stage in build_stages(recipe("languages=[en, zh]")):
            opened.clear()
            given = StageInput(found, fields, artifacts)
            output = one((stage.run if isinstance(stage, Stage) else stage.run_all)([given])[0])
            fields |= {(f.name, f.language): f for f in output.fields}
            artifacts |= named(output)
            outputs[stage.name] = output
            opens[stage.name] = len(opened)
    return {"row": found, "fields": fields, "artifacts": artifacts, "outputs": outputs, "opens": opens}


def test_a_clip_is_opened_once_by_each_phase_that_needs_its_file(astronaut: dict[str, Any]) -> None:
    assert {name: count for name, count in astronaut["opens"].items() if count} == {
        "ingest": 1, "evidence": 1, "peak": 1,
    }  # fmt: skip


def test_the_example_clip_goes_all_the_way(astronaut: dict[str, Any]) -> None:
    values = {key: field.value for key, field in astronaut["fields"].items()}
    assert all(value is not None for value in values.values())
    assert tuple(astronaut["outputs"]) == STAGE_NAMES
    assert values["people", ""]["count"] == 1
    assert values["people", ""]["main_share"] == 1.0
    assert values["subtitle", ""]["source"] == "astronaut.srt"
    assert values["label", ""]["label"] == "happy"
    assert values["scene", ""]["people"] == 1
    assert values["conflicts", ""] == []
    for language in ("en", "zh"):
        assert values["consistency", language]["problems"] == []
        assert "happy" in values["fine_caption", language]
    assert values["split", ""] == "train"
    assert values["coarse_caption", "en"].startswith("This person in the video is ")
    assert values["coarse_caption", "en"].endswith("Saying: What a wonderful day! I am so happy, I can't wait to fly.")


def test_every_field_says_where_it_comes_from(astronaut: dict[str, Any]) -> None:
    who = {key[0]: field.provenance for key, field in astronaut["fields"].items()}
    assert who["people"].annotator == who["peak"].annotator == "measured"
    assert (who["subtitle"].annotator, who["subtitle"].model) == ("given", "astronaut.srt")
    assert who["visual_objective"].annotator == "rules"
    assert who["fine_caption"].label_shown
    assert not any(who[name].label_shown for name in ("visual_expression", "visual_objective", "audio_tone"))
    assert all(provenance.made_at.endswith("+00:00") for provenance in who.values())


def test_the_artifacts_are_what_they_say(astronaut: dict[str, Any]) -> None:
    import cv2

    from emotion_llama.media.frames import frame_at
    from emotion_llama.media.probe import probe

    artifacts, peak = astronaut["artifacts"], astronaut["fields"]["peak", ""].value
    with wave.open(io.BytesIO(artifacts["sound"])) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
        assert sound.getnframes() / 16_000 == pytest.approx(astronaut["row"].duration_seconds, abs=0.05)
    frame = cv2.imdecode(np.frombuffer(artifacts["peak_frame"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    shown = frame_at(probe(ASTRONAUT), peak["pts_seconds"])
    assert np.array_equal(frame, shown.images[0])
    assert int(shown.index[0]) == peak["frame_index"]
    crop = cv2.imdecode(np.frombuffer(artifacts["face_crop"], np.uint8), cv2.IMREAD_COLOR)
    assert crop.shape == (224, 224, 3)


def test_a_clip_measures_the_same_after_another_one(astronaut: dict[str, Any]) -> None:
    """The Analyzer is kept from clip to clip: nothing of one clip may reach the next."""
    stage = clip_stage("evidence")
    again = one(stage.run([StageInput(astronaut["row"])])[0])
    assert named(again)["evidence"] == astronaut["artifacts"]["evidence"]


def test_a_file_that_was_exchanged_is_refused(astronaut: dict[str, Any], tmp_path: Path) -> None:
    other = write_clip(tmp_path / "a.mp4", [np.full((48, 64, 3), 9, np.uint8)] * 3, 25.0)
    changed = replace(astronaut["row"], path=str(other))
    (result,) = clip_stage("evidence").run([StageInput(changed)])
    assert isinstance(result, MediaError)
    assert "not the one that was taken in" in str(result)
    fields, artifacts = astronaut["fields"], astronaut["artifacts"]
    (result,) = clip_stage("peak").run([StageInput(changed, fields, artifacts)])
    assert isinstance(result, MediaError)
    (result,) = clip_stage("evidence").run([StageInput(replace(changed, path=None))])
    assert "imported without a media file" in str(result)


def test_sound_alone_and_a_clip_without_anybody(tmp_path: Path) -> None:
    tone = (0.1 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
    write_clip(tmp_path / "heard.wav", None, audio=tone, sample_rate_hz=16_000)
    write_clip(tmp_path / "nobody.mp4", [np.full((96, 128, 3), 40 + i, np.uint8) for i in range(10)], 25.0)
    (tmp_path / "list.csv").write_text("path,label\nheard.wav,sad\nnobody.mp4,sad\n")
    rows = [row for row, _, _ in ingest([tmp_path / "list.csv"], Recipe())]
    measured_ones = [one(o) for o in clip_stage("evidence").run([StageInput(r) for r in rows])]
    heard, nobody = measured_ones
    assert why_of(heard, "people") == "the file has no video"
    assert value_of(nobody, "people") == {
        "count": 0, "main_person": None, "why_main": None, "num_frames": None, "main_share": 0.0,
    }  # fmt: skip
    assert list(nobody.artifacts) == ["evidence.npz"]  # no sound, no sound file
    assert why_of(nobody, "prosody") == "the file has no sound"
    items = [
        StageInput(
            r,
            {("label", ""): Field("label", happy("given", None, "sad"), GIVEN)},
            named(o),
        )
        for r, o in zip(rows, measured_ones)
    ]
    heard, nobody = [one(o) for o in clip_stage("peak").run(items)]
    assert why_of(heard, "peak") == why_of(heard, "scene") == "the file has no video"
    assert heard.artifacts == {}
    # No face, but a picture: the middle frame stands for the clip, and says so.
    assert why_of(nobody, "peak") == "no face was found in 10 frames; the picture is the middle frame"
    assert value_of(nobody, "scene")["people"] == 0
    assert list(nobody.artifacts) == ["peak_frame.png"]


def test_units_of_another_program_need_no_mesh(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [np.full((96, 128, 3), 40 + i, np.uint8) for i in range(10)], 25.0)
    columns = ["frame", "face_id", "timestamp", "confidence", "success", *(f"{name}_r" for name in AU_NAMES)]
    lines = [",".join(columns)]
    for i in range(10):
        smile = {"AU06": 2.0, "AU12": 2.0} if 1 <= i < 9 else {}
        lines.append(",".join(map(str, [i + 1, 0, i / 25, 0.95, 1, *(smile.get(name, 0.0) for name in AU_NAMES)])))
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a.csv").write_text("\n".join(lines))
    overrides = [f"evidence.units={tmp_path / 'units'}"]
    ((found, _, _),) = ingest([tmp_path / "a.mp4"], Recipe())
    stage = clip_stage("evidence", *overrides)
    output = one(stage.run([StageInput(found)])[0])
    assert value_of(output, "people")["count"] == 1
    artifacts = named(output)
    labelled = one(clip_stage("pseudo_label", *overrides).run([StageInput(found, {}, artifacts)])[0])
    assert value_of(labelled, "label")["label"] == "happy"
    fields = {("label", ""): labelled.fields[0]}
    peak = one(clip_stage("peak", *overrides).run([StageInput(found, fields, artifacts)])[0])
    assert value_of(peak, "peak")["frame_index"] == 1
    assert value_of(peak, "peak")["face_hash"] is None
    assert value_of(peak, "scene")["people"] is None  # another program looked, and where is not known
    # A changed table is another setting: the clips are measured again.
    (tmp_path / "units" / "b.csv").write_text("x")
    assert clip_stage("evidence", *overrides).settings != stage.settings
    write_clip(tmp_path / "b.mp4", [np.full((48, 64, 3), 9, np.uint8)] * 3, 25.0)
    ((other, _, _),) = ingest([tmp_path / "b.mp4"], Recipe())
    (result,) = clip_stage("evidence", f"evidence.units={tmp_path / 'units'}").run([StageInput(other)])
    assert isinstance(result, InputError)  # its table is none


class Recogniser:
    """Hears one line, whatever the sound."""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    name = "faster-whisper"

    def find_speech(self, waveform: object) -> list[tuple[float, float]]:
        return [(0.0, 1.0)]

    def recognise(self, waveform: object, language: str | None) -> Heard:
        return Heard((HeardLine("What a day", 0.1, 0.5, -0.1, 0.0),), "en")


@pytest.mark.parametrize(
    ("given", "source", "text", "spoken"),
    [
        ("Good bye", "given", "Good bye", ("given", None)),
        ("Good bye", None, "Good bye", ("given", None)),  # of an import that says no more
        ("Bis bald", "a.de.srt", "Bis bald", ("a.de.srt", "de")),
        ("", "a.srt", None, "the given subtitle is empty"),
        (None, None, "What a day", ("faster-whisper", "en")),  # the recogniser is asked for what has no words
    ],
)
def test_words_come_from_one_place(
    given: str | None,
    source: str | None,
    text: str | None,
    spoken: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcribe, "FasterWhisper", Recogniser)
    tone = (0.1 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
    write_clip(tmp_path / "a.wav", None, audio=tone, sample_rate_hz=16_000)
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nbeside\n")
    ((found, _, _),) = ingest([tmp_path / "a.wav"], recipe("ingest.sidecars=false"))
    language = "de" if source == "a.de.srt" else None
    clip = replace(found, given_subtitle=given, subtitle_source=source, subtitle_language=language)
    output = one(clip_stage("evidence", f"evidence.asr_model={tmp_path}").run([StageInput(clip)])[0])
    evidence = from_bytes(output.artifacts["evidence.npz"]).evidence
    if text is None:
        assert evidence.why_missing("transcript") == spoken
    else:
        assert evidence.transcript is not None
        assert evidence.transcript.text == text
        assert (evidence.transcript.source, evidence.transcript.language) == spoken
    if given is None:
        silent = one(clip_stage("evidence").run([StageInput(clip)])[0])
        why = from_bytes(silent.artifacts["evidence.npz"]).evidence.why_missing("transcript")
        assert why == "no words came with the clip, none lie beside it, and no recogniser was asked for"


# --- words and labels -------------------------------------------------------------------------------------------------


def test_subtitles_say_where_they_come_from() -> None:
    stage = clip_stage("subtitle")
    given, heard, silent = stage.run([
        item(row("a", given_subtitle="Hello there"), words="Hello  there\n"), item(words="Hello"), item(),
    ])  # fmt: skip
    assert value_of(given, "subtitle") == {"text": "Hello there", "source": "given", "language": None}
    assert [one(o).fields[0].provenance.annotator for o in (given, heard)] == ["given", "measured"]
    assert why_of(silent, "subtitle") == "nothing is said"


@pytest.mark.parametrize(
    ("mode", "given", "held", "label", "source"),
    [
        ("rules", "sad", SMILE, "happy", "rules"),
        ("given", "sad", SMILE, "sad", "given"),
        ("given_else_rules", "sad", SMILE, "sad", "given"),
        ("given_else_rules", None, SMILE, "happy", "rules"),
        ("given_else_rules", "sad", None, "sad", "given"),  # no face: the given label stays, with nothing measured
    ],
)
def test_modes_of_labels(mode: str, given: str | None, held: Any, label: str, source: str) -> None:
    output = clip_stage("pseudo_label", f"pseudo_label.mode={mode}").run([item(row(given_label=given), held)])[0]
    found = value_of(output, "label")
    assert (found["label"], found["source"]) == (label, source)
    assert one(output).drop is None
    if source == "given":
        assert [found[name] for name in ("strength", "score", "confidence", "units")] == [None, None, None, {}]


@pytest.mark.parametrize(
    ("overrides", "held", "reason", "detail"),
    [
        (["pseudo_label.mode=given"], SMILE, "no label came with the clip", ""),
        ([], None, "no face could be measured", " (no face was found in 50 frames)"),
        ([], {"AU09": 4.0}, "uncertain: nothing measured carries a label", " (neutral 0.32"),
        ([], {"AU01": 2.0, "AU04": 2.0}, "uncertain: nothing measured carries a label", " (sad "),
    ],
)
def test_what_is_dropped_says_why_and_can_be_counted(overrides: list[str], held: Any, reason: str, detail: str) -> None:
    output = one(clip_stage("pseudo_label", *overrides).run([item(held=held)])[0])
    assert output.drop is not None
    assert output.drop == (reason, "all")
    assert str(why_of(output, "label")).startswith(reason + detail)


def labelled(labels: Sequence[tuple[str, str]]) -> list[StageInput]:
    return [item(row(f"c{i:03}"), label=happy(source, label=label)) for i, (label, source) in enumerate(labels)]


def dropped(outputs: Sequence[StageOutput]) -> list[int]:
    return [i for i, output in enumerate(outputs) if output.drop is not None]


def test_neutral_is_sampled_in_by_share_whatever_the_order() -> None:
    items = labelled([("happy", "rules")] * 20 + [("neutral", "rules")] * 30)
    stage = set_stage("select", "select.neutral_share=0.25")
    out = dropped(stage.run(items))
    assert len(out) == 25  # a quarter of 20 stays
    assert min(out) >= 20
    backwards = dropped(stage.run(items[::-1]))
    assert sorted(49 - i for i in backwards) == out
    assert dropped(set_stage("select", "select.neutral_share=0.25", "seed=other").run(items)) != out
    # With more clips those that were in stay in.
    more = labelled([("happy", "rules")] * 20 + [("neutral", "rules")] * 30 + [("sad", "rules")] * 8)
    assert set(dropped(stage.run(more))) < set(out)


def test_given_neutral_stays_and_counts() -> None:
    items = labelled([("happy", "rules")] * 10 + [("neutral", "given")] * 3 + [("neutral", "rules")] * 5)
    assert dropped(set_stage("select", "select.neutral_share=0.4").run(items)) == sorted(
        dropped(set_stage("select", "select.neutral_share=0.4").run(items))
    )
    assert len(dropped(set_stage("select", "select.neutral_share=0.4").run(items))) == 4  # 4 wanted, 3 given
    assert dropped(set_stage("select", "select.neutral_share=0").run(items)) == [13, 14, 15, 16, 17]


# --- peak -------------------------------------------------------------------------------------------------------------


def test_both_peak_rules(tmp_path: Path) -> None:
    """All units peak at frame 5; the label's own at frame 15."""
    write_clip(tmp_path / "a.mp4", [np.full((96, 128, 3), 5 * i, np.uint8) for i in range(30)], 25.0)
    ((found, _, _),) = ingest([tmp_path / "a.mp4"], Recipe())
    intensity = np.zeros((30, len(AU_NAMES)))
    for frame, held in ((5, {"AU04": 4.0, "AU12": 1.0}), (15, {"AU06": 1.5, "AU12": 1.5})):
        for name, value in held.items():
            intensity[frame, AU_NAMES.index(name)] = value
    nothing = np.zeros(30, bool)
    timeline = ActionUnits(AU_NAMES, np.arange(30) / 25, intensity, np.ones(30), nothing, nothing, "person", "test")
    peak = PeakFrame(5, 0.2, 5.0, "all", None, {}, "")
    data = to_bytes(Measured(Evidence(timeline, peak), ((1, "", None),), {}))
    fields = {("label", ""): Field("label", happy(), GIVEN)}
    for rule, frame in (("all", 5), ("label", 15)):
        stage = clip_stage("peak", f"peak.rule={rule}", "peak.hands=false")
        output = one(stage.run([StageInput(found, fields, {"evidence": data})])[0])
        assert (value_of(output, "peak")["frame_index"], value_of(output, "peak")["rule"]) == (frame, rule)
    neutral = {("label", ""): Field("label", happy(label="neutral"), GIVEN)}
    stage = clip_stage("peak", "peak.rule=label", "peak.hands=false")
    output = one(stage.run([StageInput(found, neutral, {"evidence": data})])[0])
    assert value_of(output, "peak")["rule"] == "all"  # neutral has no units


# --- asking -----------------------------------------------------------------------------------------------------------


class Scripted:
    """Answers from a list, in turn; keeps the questions."""

    name, where, batch_size = "scripted", "thread", 8
    settings: Mapping[str, object] = {"model": "m"}
    tasks, takes_media = frozenset(TASKS), False
    kept: KeptAnswers | None = None

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.questions: list[Question] = []

    @property
    def facts(self) -> dict[str, object]:
        return {"name": self.name, **self.settings}

    def answer(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        self.questions += questions
        taken = [self.answers.pop(0) for _ in questions]
        return [a if isinstance(a, AnnotationError) else Answer(a, "m", "p" * 64, 10, 5, 0.5) for a in taken]  # type: ignore[arg-type]


def asking(name: str, annotator: Scripted, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> Stage:
    stage = clip_stage(name, *overrides)
    stage.asks(annotator)  # type: ignore[attr-defined]
    stage.settings = {**stage.settings, "judge" if name == "consistency" else "annotator": annotator.facts}
    return stage


def with_picture(clip: StageInput) -> StageInput:
    return replace(clip, artifacts={**clip.artifacts, "peak_frame": b"another picture"})


def test_an_answer_is_not_paid_for_twice_because_another_language_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With en and zh, a Chinese reply that failed threw the English one away, and both were asked for again."""
    first = Scripted({"text": "A car."}, AnnotationError("timeout", "no reply"))
    stage = asking("visual_objective", first, monkeypatch, "languages=[en,zh]")
    stage.annotator.kept = KeptAnswers(tmp_path / "kept.jsonl")  # type: ignore[union-attr]
    clip = item(scene=SCENE, peak=PEAK)
    (error,) = stage.run([clip])
    assert isinstance(error, AnnotationError)
    with (tmp_path / "kept.jsonl").open("a") as file:
        file.write('\n{"key": "cut o')  # by a kill

    second = Scripted({"text": "一辆汽车。"})
    stage = asking("visual_objective", second, monkeypatch, "languages=[en,zh]")
    stage.annotator.kept = KeptAnswers(tmp_path / "kept.jsonl")  # type: ignore[union-attr]
    output = one(stage.run([clip])[0])
    assert [question.language for question in second.questions] == ["zh"]
    assert value_of(output, "visual_objective", "en") == "A car."
    assert value_of(output, "visual_objective", "zh") == "一辆汽车。"
    (english,) = [f for f in output.fields if f.language == "en"]
    assert (english.provenance.tokens_in, english.provenance.tokens_out) == (10, 5)


def test_a_kept_answer_is_found_by_the_very_same_question_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptAnswers(tmp_path / "kept.jsonl")
    failed = AnnotationError("timeout", "no reply")
    for clip, settings, is_asked in (
        (item(scene=SCENE, peak=PEAK), {"model": "m"}, True),
        (item(scene=SCENE, peak=PEAK), {"model": "m"}, False),
        (item(scene=SCENE, peak=PEAK), {"model": "another"}, True),
        (with_picture(item(scene=SCENE, peak=PEAK)), {"model": "m"}, True),
    ):
        annotator = Scripted(*[{"text": "A car."}] * is_asked, failed)
        annotator.settings = settings
        stage = asking("visual_objective", annotator, monkeypatch, "languages=[en,zh]")
        stage.annotator.kept = kept  # type: ignore[union-attr]
        stage.run([clip])
        assert [q.language for q in annotator.questions] == (["en", "zh"] if is_asked else ["zh"])


PEAK: Json = {
    "frame_index": 30, "pts_seconds": 1.2, "score": 5.0, "rule": "all", "units": {}, "why": "", "face_hash": None,
}  # fmt: skip
SCENE: Json = {"width": 640, "height": 480, "people": 1, "missing": []}


def test_an_answer_becomes_a_field_with_its_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted({"text": "A man in a car."})
    stage = asking("visual_objective", annotator, monkeypatch)
    assert (stage.pool, stage.batch_size) == ("thread", 8)
    output = one(stage.run([item(peak=PEAK, scene=SCENE)])[0])
    (field,) = output.fields
    assert (field.value, field.language) == ("A man in a car.", "en")
    assert (field.provenance.annotator, field.provenance.model) == ("scripted", "m")
    assert (field.provenance.prompt_sha256, field.provenance.tokens_in, field.provenance.tokens_out) == (
        "p" * 64,
        10,
        5,
    )
    assert field.provenance.seconds == 0.5
    assert dict(stage.settings)["annotator"] == {"name": "scripted", "model": "m"}


def test_the_label_is_never_shown_to_a_single_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in (
        ("visual_expression", {"phrases": ["x"]}),
        ("visual_objective", {"text": "x"}),
        ("audio_tone", {"text": "x"}),
    ):
        annotator = Scripted(answer)
        given = item(label=happy(), peak=PEAK, scene=SCENE)
        given.artifacts["sound"] = b"wav"  # type: ignore[index]
        given.artifacts["peak_frame"] = b"png"  # type: ignore[index]
        asking(name, annotator, monkeypatch).run([given])
        (question,) = annotator.questions
        assert question.facts.label is None
        assert "happy" not in repr(question.facts)
        assert question.labels == ()
        media = (question.picture_png, question.sound_wav)
        assert media == ((None, b"wav") if name == "audio_tone" else (b"png", None))


@pytest.mark.parametrize(
    "kind", ["refused", "empty", "malformed", "rejected", "unreachable", "timeout", "overloaded", "budget"]
)
def test_what_is_no_answer_fails_its_clip_and_costs_the_others_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator = Scripted({"text": "one"}, AnnotationError(kind, "I cannot help with that"), {"text": "three"})
    items = [item(row(name), peak=PEAK, scene=SCENE) for name in "abc"]
    first, second, third = asking("visual_objective", annotator, monkeypatch).run(items)
    assert [value_of(first, "visual_objective", "en"), value_of(third, "visual_objective", "en")] == ["one", "three"]
    assert isinstance(second, AnnotationError)
    assert second.kind == kind


def test_what_the_annotator_cannot_say_is_missing_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted(AnnotationError("cannot", "it does not speak Chinese"), {"text": "hello"})
    stage = asking("visual_objective", annotator, monkeypatch, "languages=[zh, en]")
    output = one(stage.run([item(peak=PEAK, scene=SCENE)])[0])
    assert why_of(output, "visual_objective", "zh") == "it does not speak Chinese"
    assert value_of(output, "visual_objective", "en") == "hello"


def test_a_missing_modality_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted()
    silent = item(peak=None, scene=None)
    for name, why in (
        ("audio_tone", "the file has no sound"),
        ("visual_expression", "left out"),
        ("visual_objective", "left out"),
    ):
        output = one(asking(name, annotator, monkeypatch).run([silent])[0])
        assert why_of(output, name, "en") == why
    assert annotator.questions == []


def test_units_of_talking_are_no_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"AU12": 2.0, "AU25": 3.0, "AU26": 3.0}
    for overrides, names in (((), {"AU12"}), (("peak.include_speech=true",), {"AU12", "AU25", "AU26"})):
        annotator = Scripted({"phrases": ["x"]})
        stage = asking("visual_expression", annotator, monkeypatch, *overrides)
        fields = {("peak", ""): Field("peak", PEAK, GIVEN)}
        stage.run([StageInput(row(), fields, {"evidence": measured(held, talking=True)})])
        (question,) = annotator.questions
        assert {name for name, x in question.facts.peak_units.items() if x > 0} == names


def test_the_same_clip_gets_the_same_wording_and_others_others(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted(*[{"text": "x"}] * 6)
    stage = asking("visual_objective", annotator, monkeypatch)
    stage.run([item(row(name), peak=PEAK, scene=SCENE) for name in ("a", "b", "c", "a", "b", "c")])
    variants = [question.variant for question in annotator.questions]
    assert variants[:3] == variants[3:]
    assert len(set(variants)) == 3


# --- phrases of your own ----------------------------------------------------------------------------------------------


def test_own_phrases_take_the_annotator_s_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("en:\n  AU06+AU12: ['a {how} beaming face']\n")
    stage = clip_stage("visual_expression", f"visual_expression.phrases={path}")
    output = one(stage.run([item(held={**SMILE, "AU25": 1.0}, peak=PEAK)])[0])
    # 2 and 3 are 2.5 on average, strong; AU25 is worded by the package.
    found = value_of(output, "visual_expression", "en")
    assert found[0] == "a strongly beaming face"
    assert len(found) == 2
    assert output.fields[0].provenance.model.startswith("mine.yaml sha256:")
    at_rest = one(stage.run([item(held={}, peak=PEAK)])[0])
    assert len(value_of(at_rest, "visual_expression", "en")) == 1
    before = dict(stage.settings)["phrases"]
    path.write_text("en:\n  AU06+AU12: ['a {how} glowing face']\n")
    assert dict(clip_stage("visual_expression", f"visual_expression.phrases={path}").settings)["phrases"] != before


def test_own_phrases_in_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "language,units,phrase\nen,AU12,lips curved\nen,AU12,a lifted mouth\nzh,AU12,微笑\n", encoding="utf-8"
    )
    stage = clip_stage("visual_expression", f"visual_expression.phrases={path}", "languages=[en, zh]")
    output = one(stage.run([item(held={"AU12": 1.0}, peak=PEAK)])[0])
    assert value_of(output, "visual_expression", "en")[0] in ("lips curved", "a lifted mouth")
    assert value_of(output, "visual_expression", "zh") == ["微笑"]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("p.yaml", "en: {AU99: [x]}", "p.yaml: phrases: 'AU99' is no action unit"),
        ("p.yaml", "fr: {AU12: [x]}", "no language 'fr'"),
        ("p.yaml", "zh: {AU12: [x]}", "no phrases in the build's languages"),
        ("p.yaml", "en: [x]", "expected language -> units -> list of phrases"),
        ("p.yaml", "en: {AU12: x}", "expected language -> units -> list of phrases"),
        ("p.yaml", "en: {AU12: []}", "AU12 needs a list of phrases"),
        ("p.csv", "language,phrase\n", "no column 'units'"),
        ("p.csv", "language,units,phrase\nen,AU12\n", "line 2: 2 cells came, 3"),
        ("p.csv", 'language,units,phrase\nen,AU12,"x\n', "line 2: the table cannot be read"),
    ],
)
def test_phrases_that_cannot_be_used_stop_the_build_at_once(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match):
        build_stages(recipe(f"visual_expression.phrases={tmp_path / name}"))


# --- captions ---------------------------------------------------------------------------------------------------------

WORDS: Json = {"text": "Hello.", "source": "given", "language": None}


def coarse(**values: Json) -> StageOutput:
    return one(clip_stage("coarse_caption").run([item(**values)])[0])


def test_the_published_template_filled_in() -> None:
    output = coarse(
        visual_objective_en="The person is sitting in a car.",
        visual_expression_en=["Eyes widened", "wide-mouthed"],
        audio_tone_en="The voice is low and slow.",
        subtitle=WORDS,
    )
    assert value_of(output, "coarse_caption", "en") == (
        "This person in the video is sitting in a car. The person's expression and actions include eyes widened, "
        "wide-mouthed, and the person's tone is low and slow. Saying: Hello."
    )


@pytest.mark.parametrize(
    ("values", "caption"),
    [
        ({"visual_objective_en": "A man in a car"}, "In the video: A man in a car."),
        # "In the video: No face can be seen in the picture." read like a form filled in.
        (
            {"visual_objective_en": "No face can be seen in the picture. The picture is dark."},
            "No face can be seen in the picture. The picture is dark.",
        ),
        ({"visual_expression_en": ["a smile"]}, "The person's expression and actions include a smile."),
        ({"audio_tone_en": "A soft voice."}, "The person's tone is a soft voice."),
        ({"audio_tone_en": "I hear a {loud} voice"}, "The person's tone is I hear a {loud} voice."),
        ({"subtitle": {"text": "Yes?", "source": "x", "language": None}}, "Saying: Yes?"),
    ],
)  # fmt: skip
def test_clauses_of_what_is_missing_are_left_out(values: dict[str, Json], caption: str) -> None:
    every = {"visual_objective_en": None, "visual_expression_en": None, "audio_tone_en": None, "subtitle": None}
    assert value_of(coarse(**{**every, **values}), "coarse_caption", "en") == caption


def test_without_any_modality_there_is_no_caption() -> None:
    assert why_of(coarse(), "coarse_caption", "en") == "no modality gave a description"


FINE = {
    "text": "The mouth smiles. The person is happy.", "supporting": ["a smile"], "misleading": ["a loud voice"],
    "label": "happy",
}  # fmt: skip


@pytest.mark.parametrize("shown", [True, False])
def test_the_fine_description_is_asked_for_with_clues_and_the_label_as_the_recipe_says(
    shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator = Scripted(FINE)
    stage = asking("fine_caption", annotator, monkeypatch, f"fine_caption.label_shown={str(shown).lower()}")
    given = item(
        label=happy(), peak=PEAK, scene=SCENE, visual_expression_en=["a smile", "cheeks up"], audio_tone_en=None,
        visual_objective_en="A man.", subtitle=WORDS,
    )  # fmt: skip
    output = one(stage.run([given])[0])
    (question,) = annotator.questions
    assert question.facts.label == ("happy" if shown else None)
    assert question.facts.clues == {
        "visual_expression": "a smile, cheeks up", "visual_objective": "A man.", "subtitle": "Hello.",
    }  # fmt: skip
    assert question.facts.why_missing == {"audio_tone": "left out"}
    assert question.labels[0] == "neutral"
    assert value_of(output, "fine_caption", "en") == FINE["text"]
    assert value_of(output, "clues", "en") == {
        "supporting": ["a smile"], "misleading": ["a loud voice"], "label": "happy",
    }  # fmt: skip
    assert {field.provenance.label_shown for field in output.fields} == {shown}


def test_without_clues_nobody_is_asked_to_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted()
    output = one(asking("fine_caption", annotator, monkeypatch).run([item(label=happy())])[0])
    assert why_of(output, "fine_caption", "en") == "no modality gave a clue to reason from"
    assert annotator.questions == []


# --- closing ----------------------------------------------------------------------------------------------------------


def described(text: Json, **values: Json) -> StageInput:
    every: dict[str, Json] = {
        "label": happy(), "visual_expression_en": ["a smile"], "visual_objective_en": None, "audio_tone_en": None,
        "subtitle": None, "fine_caption_en": text,
    }  # fmt: skip
    words, held = values.pop("words", None), values.pop("held", SMILE)  # type: ignore[arg-type]
    return item(words=words, held=held, **{**every, **values})  # type: ignore[arg-type]


def test_a_description_that_does_not_hold_leaves_the_fine_part_only() -> None:
    good, bad, none = clip_stage("consistency").run([
        described("The mouth smiles. The person is happy."),
        described("The mouth smiles. The person is sad."),
        described(None),
    ])  # fmt: skip
    assert one(good).drop is None
    assert one(bad).drop is not None
    assert one(bad).drop == ("the description does not come to the label", "fine")
    assert value_of(bad, "consistency", "en")["problems"] == [
        "the description does not come to the label: happy, but sad"
    ]
    assert one(none).drop is None
    assert why_of(none, "consistency", "en") == "left out"


def test_a_description_whose_writer_came_to_another_label_leaves_the_fine_part() -> None:
    # "not happy but sad" names the label in its last sentence; what its writer says of itself tells more.
    text = "The mouth smiles. The person is not happy but sad."
    clues = {"supporting": ["a smile"], "misleading": []}
    other, same, silent = clip_stage("consistency").run([
        described(text, clues_en={**clues, "label": "sad"}),  # type: ignore[dict-item]
        described("The mouth smiles. The person is happy.", clues_en={**clues, "label": "happy"}),  # type: ignore[dict-item]
        described("The mouth smiles. The person is happy.", clues_en=clues),  # type: ignore[arg-type]
    ])  # fmt: skip
    assert one(other).drop == ("the description does not come to the label", "fine")
    assert value_of(other, "consistency", "en")["problems"][0] == (
        "the description does not come to the label: happy, but its answer says sad"
    )
    assert one(same).drop is None
    assert one(silent).drop is None


def test_conflicts_are_flagged_and_kept() -> None:
    (output,) = clip_stage("consistency").run([
        described("The mouth smiles. The person is happy.", words="I am furious, I hate you!"),  # type: ignore[arg-type]
    ])  # fmt: skip
    assert one(output).drop is None
    (conflict,) = value_of(output, "conflicts")
    assert (conflict["first_label"], conflict["second_label"]) == ("happy", "angry")


def test_a_given_label_that_the_face_contradicts_is_flagged() -> None:
    text = "The mouth smiles. The person is sad."
    (output,) = clip_stage("consistency").run([described(text, label=happy("given", None, "sad"))])
    (conflict,) = value_of(output, "conflicts")
    assert (conflict["first"], conflict["second"], conflict["second_label"]) == ("label", "face", "happy")
    # A faint smile (mean 1.0; 1.2 is clear) is read too often where none is meant.
    (output,) = clip_stage("consistency").run([
        described(text, held={"AU06": 1.0, "AU12": 1.0}, label=happy("given", None, "sad")),  # type: ignore[arg-type]
    ])  # fmt: skip
    assert value_of(output, "conflicts") == []


def test_a_second_judge_is_asked_about_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Scripted(
        {"holds": True, "problems": []},
        {"holds": False, "problems": ["no smile"]},
        AnnotationError("timeout", "x"),
    )
    stage = asking("consistency", annotator, monkeypatch, "annotators.check={name: stub}")
    text = "The mouth smiles. The person is happy."
    good, none, bad, late = stage.run([described(text), described(None), *[described(text)] * 2])
    assert value_of(good, "consistency", "en")["judge"] == "m"
    (source,) = {f.provenance for f in one(good).fields if f.name == "consistency"}
    assert (source.annotator, source.model, source.label_shown) == ("rules, scripted", "consistency 3, m", True)
    assert (source.prompt_sha256, source.tokens_in, source.tokens_out) == ("p" * 64, 10, 5)
    assert {f.provenance.annotator for f in one(none).fields} == {"rules"}
    assert one(none).drop is None
    assert one(bad).drop == ("the judge finds that it does not hold", "fine")
    assert value_of(bad, "consistency", "en")["problems"] == ["the judge finds that it does not hold: no smile"]
    assert isinstance(late, AnnotationError)
    question = annotator.questions[0]
    assert (question.task, question.facts.text, question.facts.label) == ("check", text, "happy")
    assert len(annotator.questions) == 3


def test_balance_drops_with_reasons_that_can_be_counted() -> None:
    face: Json = {**PEAK, "face_hash": "0f" * 32}  # type: ignore[dict-item]
    items = [
        item(row(f"c{i}"), label=happy(confidence=0.5 + i / 100), subtitle=WORDS, peak=face, coarse_caption_en="x")
        for i in range(2)
    ]
    items += [item(row(f"d{i}"), label=happy(), subtitle=None, peak=None, coarse_caption_en="x") for i in range(5)]
    outputs = set_stage("balance", "balance.max_per_label=4").run(items)
    reasons = [None if output.drop is None else output.drop[0] for output in outputs]
    assert reasons[0] == "near duplicate of another clip: c1"
    assert reasons.count("more clips of its label than wanted") == 2  # six are left, four may stay
    assert dropped(set_stage("balance", "balance.near_duplicates=false").run(items)) == []


def test_splits_are_fields_and_a_divided_person_stops_the_build() -> None:
    items = [item(row(f"c{i}", person=f"P{i // 2}", given_split="test" if i == 0 else None)) for i in range(20)]
    outputs = set_stage("splits").run(items)
    found = [value_of(output, "split") for output in outputs]
    assert found[0] == found[1] == "test"
    assert all(found[i] == found[i + 1] for i in range(0, 20, 2))
    assert outputs[0].fields[0].provenance.annotator == "given"
    items[1] = item(row("c1", person="P0", given_split="train"))
    with pytest.raises(InputError, match="person P0"):
        set_stage("splits").run(items)


def test_facts_hold_no_label_where_none_is_given() -> None:
    assert Facts().label is None
    assert from_bytes(measured(SMILE)).evidence.action_units is not None
