"""A plan -> a clip that talks and moves, and a file that says what is true of it.

Notation: N frames, U = 17 units. True units are what the face was drawn with; the measured ones of a perfect reader.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import LABEL_UNIT_TABLES, units_of
from emotion_llama.face.peak import SPEECH_UNITS, find_peak
from emotion_llama.media.writing import ClipFormat, write_clip
from emotion_llama.records import AU_NAMES, ActionUnits, Bool, Float, UInt8
from merr_synth.render.camera import View
from merr_synth.render.motion import blinks, head_motion, mouth_from_speech, unit_curves
from merr_synth.render.people import draw_person
from merr_synth.render.plan import ClipPlan, seed_of
from merr_synth.render.portrait import render_frame
from merr_synth.render.setting import draw_setting
from merr_synth.render.speaker import Spoken, speak
from merr_synth.render.tone_truth import tone_truth
from merr_synth.render.voice import HOP_SECONDS, SAMPLE_RATE_HZ

TRUTH_VERSION = 1
VoiceBackend = Literal["own", "espeak"]
VOICE_BACKENDS: tuple[VoiceBackend, ...] = ("own", "espeak")
# One encoder thread: the same bytes whatever the machine's cores, and workers that do not fight for them. With its
# macroblock tree, x264 gives other bytes each time it is asked (libx264 of PyAV 18.1, B-frames on).
STORED = ClipFormat(
    video_options={"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": "mbtree=0"},
)
_BLINK_UNIT = "AU45"
_TURNED_DEGREES = (4.0, 9.0, 2.5)  # standard deviations of a source's usual pitch, yaw and roll; own
_ROOM_NOISE_DB = -78.0


@dataclass(frozen=True)
class RenderedClip:
    """Where a clip and its truth are, and what the truth says (`truth_of` documents it)."""

    path: Path
    truth_path: Path
    truth: dict[str, Any]  # as in the JSON file


class FaceMotion(NamedTuple):
    """A clip's face in numbers.

    Attributes:
        pts_seconds: [N].
        units: [N, U] what is drawn: expression, blinks and the talking mouth.
        expression: [N, U] the expression alone.
        is_blink, is_speech: [N].
    """

    pts_seconds: Float
    units: Float
    expression: Float
    is_blink: Bool
    is_speech: Bool


def render_clip(plan: ClipPlan, folder: str | Path, *, voice: VoiceBackend = "own") -> RenderedClip:
    """Write `clips/<id>.mp4` and `truth/<id>.json` below `folder`, each whole or not at all; the truth comes last.

    Raises:
        InputError: no such voice, or a file cannot be written.
        MissingDependency: the voice "espeak" was asked for and espeak-ng is not installed.
        BackendError: espeak-ng failed.
    """
    if voice not in VOICE_BACKENDS:
        raise InputError(f"voice must be one of {', '.join(VOICE_BACKENDS)}, got {voice!r}")
    spoken = _say(plan, voice)
    duration = max(plan.duration_seconds, plan.speech_start_seconds + spoken.duration_seconds + HOP_SECONDS)
    num_frames = int(np.ceil(duration * plan.fps - 1e-6))
    motion = face_motion(plan, spoken, num_frames)
    sound = None if "silent" in plan.missing else sound_of(plan, spoken, num_frames / plan.fps)
    path, truth_path = (
        Path(folder) / kind / f"{plan.id}{suffix}" for kind, suffix in (("clips", ".mp4"), ("truth", ".json"))
    )
    half = path.with_name(f".{plan.id}-{os.getpid()}.tmp.mp4")
    try:
        for made in (path.parent, truth_path.parent):
            made.mkdir(parents=True, exist_ok=True)
        write_clip(half, draw_frames(plan, motion), plan.fps, sound, sample_rate_hz=SAMPLE_RATE_HZ, stored=STORED)
        half.replace(path)
        truth = truth_of(plan, spoken, motion, voice)
        write_whole(truth_path, json.dumps(truth, ensure_ascii=False, separators=(",", ":")) + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give another folder") from error
    finally:
        with suppress(OSError):
            half.unlink()
    return RenderedClip(path, truth_path, truth)


def _say(plan: ClipPlan, voice: VoiceBackend) -> Spoken:
    if voice == "own":
        return speak(plan.text, plan.prosody, plan.voice)
    from merr_synth.render.espeak import speak_with_espeak

    return speak_with_espeak(plan.text, plan.prosody, plan.voice)


def sound_of(plan: ClipPlan, spoken: Spoken, duration_seconds: float) -> Float:
    """[S] the whole clip's sound: the sentence where it begins, the room's noise everywhere."""
    rng = np.random.default_rng([plan.seed, 5])
    sound = 10 ** (_ROOM_NOISE_DB / 20) * rng.standard_normal(round(duration_seconds * SAMPLE_RATE_HZ))
    start = round(plan.speech_start_seconds * SAMPLE_RATE_HZ)
    part = spoken.samples[: len(sound) - start]
    sound[start : start + len(part)] += part
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def face_motion(plan: ClipPlan, spoken: Spoken, num_frames: int) -> FaceMotion:
    """All units of all frames."""
    pts = np.arange(num_frames) / plan.fps
    expression = unit_curves(plan.events, pts)
    lids = unit_curves(blinks(plan.seed, num_frames / plan.fps), pts)
    envelope, times = _envelope(spoken, plan.speech_start_seconds)
    mouth = mouth_from_speech(envelope, times, pts)
    units = np.maximum(expression, lids)
    for name, curve in zip(SPEECH_UNITS, (mouth.au25, mouth.au26)):
        column = AU_NAMES.index(name)
        units[:, column] = np.maximum(units[:, column], curve)
    talking = (pts >= plan.speech_start_seconds) & (pts <= plan.speech_start_seconds + spoken.duration_seconds)
    return FaceMotion(pts, units, expression, lids[:, AU_NAMES.index(_BLINK_UNIT)] > 0, talking)


def _envelope(spoken: Spoken, start_seconds: float) -> tuple[Float, Float]:
    """Loudness 0..1 of every 10 ms and its time in the clip, silence around it."""
    hop = round(HOP_SECONDS * SAMPLE_RATE_HZ)
    whole = spoken.samples[: len(spoken.samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    level = np.sqrt(np.mean(whole**2, axis=1))
    level /= max(float(np.percentile(level, 98)), 1e-9)
    padded = np.concatenate([[0.0], np.clip(level, 0, 1), [0.0]])
    return padded, start_seconds + (np.arange(len(padded)) - 0.5) * HOP_SECONDS


def draw_frames(plan: ClipPlan, motion: FaceMotion) -> list[UInt8]:
    """N pictures [H, W, 3]."""
    setting, person = draw_setting(plan.setting_seed), draw_person(plan.person_seed)
    width_px = setting.face_share * min(plan.size)
    centre = np.array(setting.centre) * plan.size
    usual = np.random.default_rng(seed_of(plan.source, "pose")).normal(0, _TURNED_DEGREES).clip(-18, 18)
    head = head_motion(plan.seed, motion.pts_seconds, 1.0, (float(usual[0]), float(usual[1]), float(usual[2])))
    images = []
    for i, row in enumerate(motion.units):
        x, y = (centre + width_px * head.translation[i]).tolist()
        pitch, yaw, roll = head.rotation_degrees[i].tolist()
        gaze_x, gaze_y = head.gaze[i].tolist()
        view = View((x, y), width_px, (pitch, yaw, roll), (gaze_x, gaze_y))
        people = [] if "no_face" in plan.missing else [(person, view, dict(zip(AU_NAMES, row.tolist())))]
        images.append(render_frame(setting, people, plan.size, i).image)
    return images


def truth_of(plan: ClipPlan, spoken: Spoken, motion: FaceMotion, voice: VoiceBackend) -> dict[str, Any]:
    """What is true of a clip, as JSON values.

    Keys: `version`, `id`, `split`, `source`, `person`, `label`, `face_label`, `voice_label`, `words_label`, `conflict`,
    `missing`, `text`, `voice_backend`, `fps`, `duration_seconds`, `speech_seconds` (start, end), `syllables` (start and
    end of each), `unit_names`, `units` [N, 17], `expression` [N, 17] (without blinks and speech), `blink_frames`,
    `peak_all` and `peak_label` (frame of the largest sum of the expression outside blinks, by either published rule;
    null without a face, an expression, or published units), `tone` (figures, expected and excluded words; null without
    sound or where the voice does not tell).
    """
    tone = None if "silent" in plan.missing else tone_truth(spoken, plan.prosody)
    start = plan.speech_start_seconds
    told = (
        "id",
        "split",
        "source",
        "person",
        "label",
        "face_label",
        "voice_label",
        "words_label",
        "conflict",
        "text",
        "fps",
    )
    return {
        "version": TRUTH_VERSION,
        **{name: getattr(plan, name) for name in told},
        "missing": list(plan.missing),
        "voice_backend": voice,
        "duration_seconds": len(motion.pts_seconds) / plan.fps,
        "speech_seconds": [round(start, 4), round(start + spoken.duration_seconds, 4)],
        "syllables": None if spoken.syllables is None else (spoken.syllables + start).round(4).tolist(),
        "unit_names": list(AU_NAMES),
        "units": motion.units.round(3).tolist(),
        "expression": motion.expression.round(3).tolist(),
        "blink_frames": np.flatnonzero(motion.is_blink).tolist(),
        "peak_all": _peak(plan, motion, None),
        "peak_label": _peak(plan, motion, plan.face_label),
        "tone": None
        if tone is None
        else {
            "figures": {name: value if value is None else round(value, 4) for name, value in tone.figures.items()},
            "expected": list(tone.expected),
            "excluded": list(tone.excluded),
        },
    }  # fmt: skip


def _peak(plan: ClipPlan, motion: FaceMotion, label: str | None) -> int | None:
    """Frame of the strongest expression: by all units, or by those of a label that has published ones."""
    if "no_face" in plan.missing or not plan.events:
        return None
    if label is not None and not any(label in table for table in LABEL_UNIT_TABLES.values()):
        return None
    count = len(motion.pts_seconds)
    true = ActionUnits(
        AU_NAMES, motion.pts_seconds, motion.expression, np.ones(count), motion.is_blink, np.zeros(count, bool),
        "person", "truth",
    )  # fmt: skip
    peak = find_peak(true) if label is None else find_peak(true, rule="label", label_units=units_of(label))
    return None if peak is None or peak.score <= 0 else peak.row


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that `path` is the old file or the new one, never half of it.

    Raises:
        InputError: it cannot be written.
    """
    half = path.with_name(f".{path.name}-{os.getpid()}.tmp")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give another folder") from error
    finally:
        half.unlink(missing_ok=True)
