"""Hand-made samples of a build: what statistics, quality, exports and pages are tested with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from emotion_llama.merr.quality.measures import Assessor, Measure
from emotion_llama.merr.records import (
    FIELDS,
    NO_LANGUAGE,
    ClipRow,
    Field,
    FieldKey,
    Json,
    Provenance,
    Sample,
    Scope,
    StageRun,
)
from emotion_llama.merr.statistics import Collector, Statistics

MEASURED = Provenance("measured", "onnx_mesh 1")
RULES = Provenance("rules", "rules 1")
MODEL = Provenance("openai", "some-model", "ab" * 32, tokens_in=120, tokens_out=30)
MODEL_SAW_LABEL = replace(MODEL, label_shown=True)

# Peaks of labels: units that their tables list, with intensities.
UNITS: Mapping[str, Mapping[str, float]] = {
    "happy": {"AU12": 3.0, "AU06": 2.0},
    "sad": {"AU15": 2.2, "AU04": 1.8, "AU01": 1.4},
    "angry": {"AU04": 2.6, "AU07": 2.0, "AU23": 1.2},
    "surprise": {"AU05": 2.4, "AU26": 2.0},
    "neutral": {},
}
PROSODY: Json = {
    "speech_seconds": 2.0, "voiced_seconds": 1.5, "pitch_median_hz": 180.0, "pitch_median_semitones": 32.5,
    "pitch_range_semitones": 6.0, "pitch_slope_semitones_per_second": -3.0, "loudness_median_db": -22.0,
    "loudness_range_db": 12.0, "syllables_per_second": 4.0, "articulation_rate": 4.2, "pause_count": 0,
    "pause_share": 0.0, "harmonicity_db": 14.0, "pitch_perturbation_percent": 0.5, "loudness_perturbation_db": 0.4,
    "tremor_depth_percent": None, "tilt_db": 10.0, "backend": "emotion-llama",
}  # fmt: skip


def make_clip_row(clip_id: str = "clip_0", **changes: object) -> ClipRow:
    """A readable clip of 3 s at 25 pictures a second, with sound."""
    row = ClipRow(clip_id, f"videos/{clip_id}.mp4", f"{abs(hash_of(clip_id)):064x}", 75, 3.0, 25.0, 320, 240, True)
    return replace(row, **changes)  # type: ignore[arg-type]


def hash_of(text: str) -> int:
    """A number that depends on the text alone (Python's own hash differs from run to run)."""
    number = 0
    for character in text:
        number = (number * 131 + ord(character)) % (1 << 250)
    return number + 1


def make_field(
    name: str,
    value: Json,
    provenance: Provenance = RULES,
    language: str = NO_LANGUAGE,
    why_missing: str | None = None,
) -> Field:
    """A field; without a value a reason is filled in."""
    if value is None and why_missing is None:
        why_missing = "nothing was found"
    return Field(name, value, provenance, language, why_missing)


def make_fields(label: str = "happy", languages: Sequence[str] = ("en",)) -> dict[FieldKey, Field]:
    """Every field of a clip that went through all stages."""
    units = UNITS[label]
    strongest = max(units.values(), default=0.0)
    strength = None if not units else "strong" if strongest >= 2.4 else "moderate"
    made = [
        make_field("people", {"count": 1, "main_share": 0.98}, MEASURED),
        make_field("prosody", PROSODY, MEASURED),
        make_field("tone", {"phrase": "moderate voice", "words": {"moderate": "median pitch 180 Hz"}}, MEASURED),
        make_field("subtitle", {"text": "I did not think of that.", "source": "given", "language": "en"}, MEASURED),
        make_field("label", {"label": label, "source": "rules", "strength": strength, "score": strongest or None,
                             "confidence": 0.8 if units else None, "units": dict(units),
                             "candidates": {label: strongest} if units else {}, "table": "own"}),
        make_field("peak", {"frame_index": 40, "pts_seconds": 1.6, "score": sum(units.values()), "rule": "all",
                            "units": dict(units), "why": "largest sum of all units"}, MEASURED),
        make_field("conflicts", []),
        make_field("split", "train"),
    ]  # fmt: skip
    for language in languages:
        made += _descriptions(label, language)
    return {(f.name, f.language): f for f in made}


def _descriptions(label: str, language: str) -> list[Field]:
    if language == "zh":
        texts: dict[str, Json] = {
            "visual_expression": ["嘴角明显上扬"],
            "visual_objective": "画面中有一个人，光线明亮。",
            "audio_tone": "语调平稳。",
            "coarse_caption": "视频中的人面对镜头，表情是嘴角明显上扬，语调平稳。",
            "clues": {"supporting": ["嘴角明显上扬"], "misleading": []},
            "fine_caption": "画面中有一个人。嘴角明显上扬。因此这个人的情绪是" + label + "。",
        }
    else:
        texts = {
            "visual_expression": ["corners of the mouth clearly pulled up"],
            "visual_objective": "One person is in view, close to the camera, in bright light.",
            "audio_tone": "moderate voice",
            "coarse_caption": "This person in the video is in view. The person's tone is moderate.",
            "clues": {"supporting": ["corners of the mouth clearly pulled up"], "misleading": ["a moderate voice"]},
            "fine_caption": f"One person is in view. The corners of the mouth are pulled up. Together this is {label}.",
        }
    fields = [make_field(name, value, language=language) for name, value in texts.items()]
    holds: Json = {
        "names_label": True, "label_at_end": True, "grounded_share": 1.0, "ungrounded": [], "problems": [],
        "judge": None,
    }  # fmt: skip
    return [*fields, make_field("consistency", holds, language=language)]


def make_runs(
    clip_id: str, *, until: str | None = None, status: str = "done", reason: str | None = None, scope: Scope = "all"
) -> dict[str, StageRun]:
    """Runs of all stages; or up to the stage `until`, which ended with `status` for `reason`."""
    stages = ["ingest", *dict.fromkeys(FIELDS.values())]
    order = [s for s in STAGES if s in stages or s in ("select", "balance")]
    runs: dict[str, StageRun] = {}
    for stage in order:
        is_last = stage == until and scope == "all"
        ends = stage == until
        runs[stage] = StageRun(
            clip_id,
            stage,
            status if ends else "done",  # type: ignore[arg-type]
            "f" * 64,
            None if ends and status == "failed" else "e" * 64,
            reason if ends else None,
            scope if ends and status == "dropped" else None,
            seconds=0.5,
        )
        if is_last:
            break
    return runs


STAGES = (
    "ingest", "evidence", "subtitle", "pseudo_label", "select", "peak", "visual_expression", "visual_objective",
    "audio_tone", "coarse_caption", "fine_caption", "consistency", "balance", "splits",
)  # fmt: skip


def make_sample(
    clip_id: str = "clip_0",
    label: str = "happy",
    *,
    languages: Sequence[str] = ("en",),
    fields: Sequence[Field] = (),
    without: Sequence[str] = (),
    runs: Mapping[str, StageRun] | None = None,
    clip: ClipRow | None = None,
) -> Sample:
    """A finished sample; `fields` replace those of the same name and language, `without` names fields to leave out."""
    made = make_fields(label, languages) | {(f.name, f.language): f for f in fields}
    kept = {key: f for key, f in made.items() if f.name not in without}
    return Sample(clip or make_clip_row(clip_id), kept, runs if runs is not None else make_runs(clip_id), {})


def make_samples() -> list[Sample]:
    """Ten clips: six finished ones (one in conflict, one without sound), and four that left the build on the way."""
    conflict = {
        "first": "face", "first_label": "happy", "second": "words", "second_label": "angry",
        "text": "the face reads as happy, the words as angry",
    }  # fmt: skip
    silent = [make_field(n, None, MEASURED, why_missing="the clip has no sound") for n in ("prosody", "tone")]
    silent.append(make_field("audio_tone", None, language="en", why_missing="the clip has no sound"))
    silent.append(make_field("subtitle", None, MEASURED, why_missing="no words were given"))
    validation = make_field("split", "validation")
    early = ("clues", "fine_caption", "consistency", "split", "conflicts")
    return [
        make_sample("a_happy", clip=make_clip_row("a_happy", person="anna", source="film1")),
        make_sample("b_happy", fields=[make_field("conflicts", [conflict])],
                    clip=make_clip_row("b_happy", person="anna", source="film1")),
        make_sample("c_sad", "sad", clip=make_clip_row("c_sad", person="ben", source="film2", duration_seconds=5.0)),
        make_sample("d_angry", "angry", fields=[validation],
                    clip=make_clip_row("d_angry", person="cleo", source="film3")),
        make_sample("e_silent", "surprise", fields=[*silent, validation],
                    clip=make_clip_row("e_silent", person="cleo", source="film3", has_audio=False)),
        make_sample("f_neutral", "neutral", fields=[make_field("visual_expression", None, language="en",
                    why_missing="no unit is strong enough to be worded")]),
        make_sample("g_leaks", "happy", runs=make_runs("g_leaks", until="consistency", status="dropped",
                    reason="the label is named before the end", scope="fine")),
        make_sample("h_weak", "neutral", without=(*early, "peak", "visual_expression", "visual_objective", "audio_tone",
                    "coarse_caption", "label"), runs=make_runs("h_weak", until="pseudo_label", status="dropped",
                    reason="no strong expression")),
        Sample(make_clip_row("i_broken", frame_count=None, duration_seconds=None, fps=None, width=None, height=None,
               has_audio=None), {}, make_runs("i_broken", until="ingest", status="failed",
               reason="the file is cut off"), {}),
        Sample(make_clip_row("j_twin"), {}, make_runs("j_twin", until="ingest", status="dropped",
               reason="the same bytes as a_happy"), {}),
    ]  # fmt: skip


def collect(samples: Iterable[Sample]) -> Statistics:
    collector = Collector()
    for sample in samples:
        collector.add(sample)
    return collector.result()


def assess(samples: Iterable[Sample]) -> tuple[Measure, ...]:
    assessor = Assessor()
    for sample in samples:
        assessor.add(sample)
    return assessor.measures()
