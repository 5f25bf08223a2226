"""Analyses that look like real ones, made from sines and steps with no randomness."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.records import (
    AU_NAMES,
    ActionUnits,
    AudioInfo,
    Clip,
    FaceTrack,
    PeakFrame,
    Prosody,
    Tone,
    Transcript,
    TranscriptLine,
    VideoInfo,
    VoiceTrack,
)
from emotion_llama.results import Analysis, Cue, Evidence, Missing, PersonAnalysis, Prediction, Segment

LABELS = ("neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt")


def make_clip(name: str = "talk.mp4", seconds: float = 6.0, *, video: bool = True, audio: bool = True) -> Clip:
    return Clip(
        Path("/data") / name,
        "0123456789abcdef" * 4,
        seconds,
        VideoInfo(1280, 720, 25.0, False, 0, "h264", "yuv420p") if video else None,
        AudioInfo(48_000, 2, "aac") if audio else None,
    )


def make_units(start: float, end: float, fps: float = 25.0, *, smiles: bool = True, gap: bool = True) -> ActionUnits:
    """A smile (or a frown) that swells to the middle of the span; a blink a second; a gap at 80-86 % of it."""
    times = np.arange(round(start * fps), round(end * fps)) / fps
    share = (times - start) / (end - start)
    swell = np.exp(-(((share - 0.45) / 0.16) ** 2))
    intensity = np.empty((len(times), len(AU_NAMES)))
    for column in range(len(AU_NAMES)):
        intensity[:, column] = 0.15 + 0.13 * np.sin(2 * np.pi * (share * (2 + column % 5) + column / 7))
    strong = {"AU06": 2.1, "AU12": 3.2, "AU25": 1.4, "AU14": 0.9} if smiles else {"AU01": 1.7, "AU04": 2.3, "AU15": 1.5}
    for name, height in strong.items():
        intensity[:, AU_NAMES.index(name)] += height * swell
    is_blink = (times % 1.3) < 0.16
    intensity[is_blink, AU_NAMES.index("AU45")] = 3.5
    is_speech = (share > 0.3) & (share < 0.7)
    intensity[is_speech, AU_NAMES.index("AU26")] += 0.8 * (1 + np.sin(2 * np.pi * 4 * times[is_speech])) / 2
    confidence = np.full(len(times), 0.95)
    if gap:
        unseen = (share >= 0.8) & (share < 0.86)
        intensity[unseen] = np.nan
        confidence[unseen] = 0
        is_blink &= ~unseen
    return ActionUnits(
        AU_NAMES, times, np.clip(intensity, 0, 5), confidence, is_blink, is_speech, "person", "mediapipe mesh geometry"
    )


def make_peak(units: ActionUnits) -> PeakFrame:
    row = int(np.nanargmax(units.intensity.sum(axis=1)))
    fired = {n: float(v) for n, v in zip(units.names, units.intensity[row]) if v >= 0.8}
    fired = dict(sorted(fired.items(), key=lambda pair: -pair[1]))
    why = (
        f"largest sum of all units ({units.intensity[row].sum():.2f}) among {int(units.valid.sum())} frames with a face"
    )
    return PeakFrame(row, float(units.pts_seconds[row]), float(units.intensity[row].sum()), "all", None, fired, why)


def make_voice(seconds: float) -> VoiceTrack:
    """Syllables at 4.5 Hz, a falling pitch around 200 Hz, half a second of silence every three seconds."""
    times = np.arange(round(seconds * 100)) / 100 + 0.005
    speech = ((times % 3.0) > 0.5) & (times > 0.4) & (times < seconds - 0.3)
    level = np.where(speech, 0.35 + 0.3 * np.sin(2 * np.pi * 4.5 * times) ** 2, 0.012)
    level = level * (0.8 + 0.2 * np.sin(times))
    voiced = speech & (np.sin(2 * np.pi * 4.5 * times) ** 2 > 0.2)
    f0 = np.where(voiced, 205 + 50 * np.sin(2 * np.pi * times / 3.0) + 8 * np.sin(31 * times), np.nan)
    nan_where_unvoiced = np.where(voiced, 1.0, np.nan)
    loudness = 20 * np.log10(level)
    return VoiceTrack(
        times, f0, loudness, 14 * nan_where_unvoiced, 9 * nan_where_unvoiced, loudness - 3, speech,
        np.column_stack([-level * (0.9 + 0.1 * np.cos(37 * times)), level]),
    )  # fmt: skip


def make_prosody() -> Prosody:
    return Prosody(
        4.1, 2.9, 205.0, 34.8, 6.2, -4.1, -19.5, 11.0, 4.4, 5.2, 2, 0.18, 14.2, 1.31, 0.84, None, 8.9, "librosa"
    )


TONE = Tone(
    "high-pitched, lively, fast voice",
    {"high-pitched": "median pitch 205 Hz", "lively": "pitch range 6.2 semitones", "fast": "5.2 syllables per second"},
)
CUES = (
    Cue("face", "cheek raiser (AU06) 2.2 of 5", {"happy": 1.4, "sad": -0.6}, "EMFACS, AU06 + AU12"),
    Cue("face", "lip corner puller (AU12) 3.3 of 5", {"happy": 1.9, "angry": -0.7, "sad": -0.9}, "EMFACS, AU06 + AU12"),
    Cue("face", "lips part (AU25) 1.5 of 5", {"surprise": 0.4}, "MER-Factory, table of units"),
    Cue("voice", "pitch range 6.2 semitones", {"happy": 0.3, "surprise": 0.3, "neutral": -0.5}, "own table"),
    Cue("words", "“lovely”", {"happy": 0.8}, "own lexicon"),
)


def make_prediction(label: str = "happy", share: float = 0.71) -> Prediction:
    rest = (1 - share) * np.array([0.4, 0.2, 0.12, 0.1, 0.08, 0.05, 0.03, 0.02])
    others = ["surprise", "neutral", "contempt", "doubt", "worried", "fear", "angry", "sad", "happy"]
    others.remove(label)
    shares = {label: share, **dict(zip(others, rest.tolist()))}
    reasoning = (
        "The cheeks are raised and the lip corners pulled up, the voice is lively and fast, and the person says "
        f"“What a lovely surprise”. Together this reads as {label}."
    )
    return Prediction(label, {name: shares[name] for name in LABELS}, reasoning, reasoning, "rules", CUES)


def make_track(track_id: int, times: np.ndarray) -> FaceTrack:
    n = len(times)
    return FaceTrack(
        track_id, (640, 360), times, np.arange(n), np.ones(n, bool), np.tile([200.0, 60.0, 380.0, 300.0], (n, 1)),
        np.full(n, 0.97),
        np.zeros((n, 5, 2)), np.zeros((n, 3)), np.zeros((n, 4)), np.zeros(8),
    )  # fmt: skip


def make_segment(start: float, end: float, *, label: str = "happy", share: float = 0.71, lines: int = 2) -> Segment:
    units = make_units(start, end, smiles=label == "happy")
    texts = ("Oh! What a lovely surprise to see you here today.", "I did not expect that at all, did you?")
    step = (end - start) / (lines + 1)
    transcript = Transcript(
        tuple(
            TranscriptLine(texts[i % 2], start + (i + 0.4) * step, start + (i + 1.3) * step, "Ann" if i else None)
            for i in range(lines)
        ),
        "talk.srt",
        "en",
    )
    evidence = Evidence(
        units, make_peak(units), make_prosody(), TONE, transcript,
        (Missing("prosody.tremor_depth_percent", "no steady voiced run of 0.5 s"),),
    )  # fmt: skip
    return Segment(start, end, evidence, make_prediction(label, share))


SETTINGS = {"people": "all", "segment": None, "max_fps": 30.0, "max_side": 640, "peak_rule": "all"}
STAGES = {"probe": 0.02, "words": 0.01, "voice": 0.61, "faces": 2.93, "reading": 0.01}


@pytest.fixture(scope="session")
def one_person() -> Analysis:
    """Six seconds of one smiling person with sound and subtitle."""
    segment = make_segment(0.0, 6.0)
    track = make_track(0, segment.evidence.action_units.pts_seconds)
    why = "the only face; on screen for 94 % of the time; mouth moves with the sound (r = 0.61)"
    return Analysis(
        make_clip(), (PersonAnalysis(1, True, why, track, (segment,)),), make_voice(6.0), "rules", SETTINGS, (), STAGES
    )


@pytest.fixture(scope="session")
def two_people() -> Analysis:
    """Twelve seconds, two people, three segments each; the second one's middle segment has no answer."""
    spans = ((0.0, 4.0), (4.0, 8.0), (8.0, 12.0))
    first = tuple(
        make_segment(a, b, label=label, share=share)
        for (a, b), label, share in zip(spans, ("happy", "happy", "surprise"), (0.71, 0.55, 0.38))
    )
    second = [make_segment(a, b, label="sad", share=0.44, lines=1) for a, b in spans]
    nothing = (Missing("action_units", "the face was not seen in this segment"), Missing("transcript", "nobody spoke"))
    problem = "no evidence: no face and no speech in this segment"
    second[1] = Segment(4.0, 8.0, Evidence(missing=nothing), Prediction(None, None, "", "", "rules", problem=problem))
    tracks = [make_track(i, np.arange(300) / 25) for i in range(2)]
    people = (
        PersonAnalysis(1, True, "largest face; mouth moves with the sound (r = 0.61)", tracks[0], first),
        PersonAnalysis(2, False, "smaller face; on screen for 61 % of the time", tracks[1], tuple(second)),
    )
    warnings = ("3 frames could not be decoded and were left out",)
    return Analysis(make_clip("two.mp4", 12.0), people, make_voice(12.0), "rules", SETTINGS, warnings, STAGES)


@pytest.fixture(scope="session")
def sound_only() -> Analysis:
    """Six seconds of sound without video; words without times."""
    missing = (Missing("action_units", "the file has no video"), Missing("peak_frame", "the file has no video"))
    transcript = Transcript((TranscriptLine("Are you really stupid or just pretending?"),), "given")
    evidence = Evidence(None, None, make_prosody(), TONE, transcript, missing)
    prediction = make_prediction("angry", 0.31)
    prediction = dataclasses.replace(prediction, cues=CUES[3:])
    person = PersonAnalysis(1, True, "the only voice", None, (Segment(0.0, 6.0, evidence, prediction),))
    return Analysis(make_clip("talk.wav", video=False), (person,), make_voice(6.0), "rules", SETTINGS, (), STAGES)


@pytest.fixture(scope="session")
def no_answer() -> Analysis:
    """A silent video of an empty room."""
    missing = (
        Missing("action_units", "no face was found in 150 frames"),
        Missing("peak_frame", "no face was found in 150 frames"),
        Missing("prosody", "the file has no sound"),
        Missing("transcript", "no subtitle was given and there is none beside the file"),
    )
    prediction = Prediction(None, None, "", "", "rules", problem="no evidence: no face, no voice, no words")
    person = PersonAnalysis(
        1, True, "nobody was found", None, (Segment(0.0, 6.0, Evidence(missing=missing), prediction),)
    )
    return Analysis(make_clip("room.mp4", audio=False), (person,), None, "rules", SETTINGS, (), STAGES)


@pytest.fixture(scope="session")
def silent_hour() -> Analysis:
    """An hour without face, sound and words in 1800 segments of two seconds."""
    missing = (Missing("action_units", "no face was found"), Missing("prosody", "the file has no sound"))
    prediction = Prediction(None, None, "", "", "rules", problem="no evidence: no face, no voice, no words")
    segments = tuple(Segment(2.0 * i, 2.0 * i + 2, Evidence(missing=missing), prediction) for i in range(1800))
    person = PersonAnalysis(1, True, "nobody was found", None, segments)
    return Analysis(make_clip("hour.mp4", 3600.0, audio=False), (person,), None, "rules", SETTINGS, (), STAGES)


@pytest.fixture(scope="session")
def make_long() -> Callable[..., Analysis]:
    """A recording of any length in segments of six seconds, with as many people as wanted."""

    def make(seconds: float = 600.0, people: int = 2) -> Analysis:
        labels = ("happy", "neutral", "sad", "surprise", "doubt")
        starts = np.arange(0.0, seconds - 1e-6, 6.0)
        persons = tuple(
            PersonAnalysis(
                p + 1, p == 0, "one of many", make_track(p, np.arange(round(seconds * 25)) / 25),
                tuple(
                    make_segment(float(s), float(s) + 6.0, label=labels[(i + p) % 5], share=0.35 + 0.05 * (i % 9))
                    for i, s in enumerate(starts)
                ),
            )
            for p in range(people)
        )  # fmt: skip
        return Analysis(make_clip("long.mp4", seconds), persons, make_voice(seconds), "rules", SETTINGS, (), STAGES)

    return make
