"""A voice of our own: text and a prosody plan in, sound of exactly that prosody out; nothing has to be installed.

Source and filter of `voice` (Rosenberg's pulse, Klatt's resonators), with formants that follow the phonemes. The level
of the voice is set frame by frame after filtering, so that loudness and rhythm are the plan's and not the vowels'.
Notation: S samples at 16 kHz, T frames of 5 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.records import Bool, Float
from merr_synth.render.melody import STEP_SECONDS, draw_melody
from merr_synth.render.phones import NOISE_BANDS_HZ, PHONES, NoiseBand
from merr_synth.render.prosody_table import ProsodyPlan
from merr_synth.render.utterance import Utterance, lay_out
from merr_synth.render.voice import (
    BANDWIDTHS_HZ,
    HOP_SECONDS,
    SAMPLE_RATE_HZ,
    SILENT_DB,
    VOICED_ABOVE_DB,
    VoiceSpec,
    VoiceTruth,
    fine_times,
    glottal_source,
    resonator,
)

_STEP = round(STEP_SECONDS * SAMPLE_RATE_HZ)  # samples
_F4_HZ = 3400.0
_EDGE_SECONDS = 0.012  # ramps of levels between phonemes
_GLIDE_SECONDS = 0.03  # half of a formant transition
_HIATUS_DB = -10.0  # dip between vowels that meet, so that each is a syllable
_ENVELOPE_SAMPLES = 400  # 25 ms, twice: longer than a cycle of 80 Hz, shorter than a consonant
_CEILING = 0.97
_FLOOR_DB = -78.0  # steady noise of the recording

Kind = Literal["low", "high"]


@dataclass(frozen=True)
class Voice:
    """Who speaks.

    Attributes:
        pitch_hz: usual median pitch.
        tract_scale: factor on the formants, 1 for a man of usual size.
        rate_factor: of the articulation rate.
        loudness_offset_db: how much louder than others.
        seed: of the voice's accidents (jitter, noise).
    """

    pitch_hz: float = 120.0
    tract_scale: float = 1.0
    rate_factor: float = 1.0
    loudness_offset_db: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (60 <= self.pitch_hz <= 400 and 0.7 <= self.tract_scale <= 1.6 and 0.5 <= self.rate_factor <= 2):
            raise InputError(
                f"a voice needs pitch_hz within 60..400, tract_scale within 0.7..1.6 and rate_factor within 0.5..2, "
                f"got {self}"
            )


class Spoken(NamedTuple):
    """A spoken sentence.

    Attributes:
        samples: [S] float32 at 16 kHz; it begins with the first sound.
        syllables: [Y, 2] start and end of each syllable, seconds; None where the backend does not tell.
        truth: what is true of the sound; None where the backend does not tell.
    """

    samples: npt.NDArray[np.float32]
    syllables: Float | None
    truth: VoiceTruth | None

    @property
    def duration_seconds(self) -> float:
        """Length of the samples."""
        return len(self.samples) / SAMPLE_RATE_HZ


def draw_voice(seed: int, kind: Kind | None = None) -> Voice:
    """A speaker: `kind` "low" around 118 Hz, "high" around 205 Hz (both in Traunmüller & Eriksson's range)."""
    rng = np.random.default_rng([seed, 23])
    is_high = bool(rng.random() < 0.5) if kind is None else kind == "high"
    pitch_hz = (205.0 if is_high else 118.0) * 2 ** (float(rng.triangular(-3.5, 0.0, 3.5)) / 12)
    tract = (1.16 if is_high else 1.0) + float(rng.triangular(-0.07, 0.0, 0.07))
    rate = float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12))
    return Voice(pitch_hz, tract, rate, float(np.clip(rng.normal(0, 1.0), -2, 2)), seed)


def plan_speech(text: str, prosody: ProsodyPlan, voice: Voice) -> Utterance:
    """When each sound of `text` will be said by `speak` with the same arguments; cheap.

    Raises:
        InputError: there is nothing to say.
    """
    return lay_out(text, prosody.articulation_rate * voice.rate_factor, prosody.pause_share, _rng(text, voice, 1))


def speak(text: str, prosody: ProsodyPlan, voice: Voice) -> Spoken:
    """Say `text`; the same arguments give the same samples on one installation.

    Raises:
        InputError: there is nothing to say.
    """
    utterance = plan_speech(text, prosody, voice)
    rng = _rng(text, voice, 2)
    steps = round(utterance.duration_seconds / STEP_SECONDS)
    duration = steps * STEP_SECONDS
    times = np.arange(steps * _STEP) / SAMPLE_RATE_HZ
    voice_db, noises = _levels(utterance, times)
    step_times = (np.arange(steps) + 0.5) * STEP_SECONDS
    voiced_steps = np.interp(step_times, times, voice_db) > VOICED_ABOVE_DB
    median_hz = voice.pitch_hz * 2 ** (prosody.pitch_shift_semitones / 12)
    contour = draw_melody(utterance, prosody, median_hz, step_times, voiced_steps, rng)
    spec = VoiceSpec(duration, jitter_percent=prosody.jitter_percent, shimmer_db=prosody.jitter_percent / 4,
                     softness_db=prosody.softness_db)  # fmt: skip
    source = glottal_source(spec, np.interp(fine_times(spec), step_times, contour), rng)
    voiced = _to_level(_vocal_tract(source, utterance, step_times, voice.tract_scale), voice_db)
    samples: Float = voiced + _noise(voice_db, noises, prosody.harmonicity_db, voice.tract_scale, rng)
    samples = _at_loudness(
        samples, _spans_db(utterance, times) > SILENT_DB, prosody.loudness_db + voice.loudness_offset_db
    )
    samples += 10 ** (_FLOOR_DB / 20) * rng.standard_normal(len(samples))
    return Spoken(samples.astype(np.float32), utterance.edges, _truth(utterance, times, voice_db, step_times, contour))


def _rng(text: str, voice: Voice, use: int) -> np.random.Generator:
    return np.random.default_rng([voice.seed, use, *text.encode("utf-8")])


def _levels(utterance: Utterance, times: Float) -> tuple[Float, dict[NoiseBand, Float]]:
    """[S] level of the voice, and of the noise in each band, dB re a stressed vowel."""
    voice_points: list[tuple[float, float]] = [(0.0, SILENT_DB)]
    noise_db = {band: np.full(len(times), SILENT_DB) for band in NOISE_BANDS_HZ}
    before = None
    for segment in utterance.segments:
        phone = PHONES[segment.phone]
        level = SILENT_DB if phone.voice_db is None else phone.voice_db + segment.level_db
        start, end = segment.start, segment.end
        edge = min(_EDGE_SECONDS, (end - start) / 3)
        is_vowel = phone.seconds == 0.0
        if is_vowel and before == start:  # two vowels meet
            voice_points.append((start, _HIATUS_DB))
            edge = min(0.04, (end - start) / 3)
        voice_points += [(start + edge, level), (end - edge, level)]
        before = end if is_vowel else None
        if phone.noise is not None:
            opens = start + phone.closed_share * (end - start)
            corners = [opens, opens + 0.004, max(end - 0.008, opens + 0.005), end + 0.004]
            height = phone.noise_db + segment.level_db
            rise = np.interp(times, corners, [SILENT_DB, height, height, SILENT_DB])
            noise_db[phone.noise] = np.maximum(noise_db[phone.noise], rise)
    voice_db = np.interp(times, *np.array(sorted(voice_points)).T)
    return np.minimum(voice_db, _spans_db(utterance, times)), noise_db


def _spans_db(utterance: Utterance, times: Float) -> Float:
    """[S] 0 within the spans, silence outside, 15 ms ramps."""
    level = np.full(len(times), SILENT_DB)
    for start, end in utterance.spans:
        ramp = np.interp(times, [start, start + 0.015, end - 0.015, end], [SILENT_DB, 0.0, 0.0, SILENT_DB])
        level = np.maximum(level, ramp)
    return level


def _vocal_tract(source: Float, utterance: Utterance, step_times: Float, scale: float) -> Float:
    """[S] the source through four resonators that move with the phonemes, set anew every 5 ms."""
    from scipy.signal import sosfilt

    formants = _formant_tracks(utterance, step_times) * scale
    out = np.empty(len(source))
    state = np.zeros((len(BANDWIDTHS_HZ), 2))
    for t, row in enumerate(formants.tolist()):
        sections = np.array([resonator(f, w) for f, w in zip(row, BANDWIDTHS_HZ)])
        part = slice(t * _STEP, (t + 1) * _STEP)
        out[part], state = sosfilt(sections, source[part], zi=state)
    return out


def _formant_tracks(utterance: Utterance, step_times: Float) -> Float:
    """[T, 4] formants in Hz for a tract of scale 1."""
    corners: list[float] = []
    targets: list[tuple[float, float, float]] = []
    for segment in utterance.segments:
        phone = PHONES[segment.phone]
        edge = min(_GLIDE_SECONDS, (segment.end - segment.start) / 2.5)
        corners += [segment.start + edge, segment.end - edge]
        targets += [phone.begin, phone.end]
    columns = [np.interp(step_times, corners, column) for column in np.array(targets).T]
    return np.stack([*columns, np.full(len(step_times), _F4_HZ)], axis=1)


def _to_level(sound: Float, level_db: Float) -> Float:
    """[S] the sound with its own ups and downs taken out, at the given level."""
    from scipy.ndimage import uniform_filter1d

    power = uniform_filter1d(uniform_filter1d(sound**2, _ENVELOPE_SAMPLES), _ENVELOPE_SAMPLES)
    gain = np.where(level_db > SILENT_DB, 10 ** (level_db / 20), 0.0)
    return np.asarray(gain * sound / np.sqrt(np.maximum(power, 1e-20)))


def _noise(
    voice_db: Float, noises: dict[NoiseBand, Float], harmonicity_db: float, scale: float, rng: np.random.Generator
) -> Float:
    """[S] breath under the voice, and the consonants' noise."""
    from scipy.signal import butter, sosfilt

    out = 10 ** ((voice_db - harmonicity_db) / 20) * rng.standard_normal(len(voice_db))
    for band, level_db in noises.items():
        low, high = NOISE_BANDS_HZ[band]
        sections = butter(2, (low * scale, min(high * scale, 7800.0)), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
        noise = sosfilt(sections, rng.standard_normal(len(voice_db)))
        out += np.where(level_db > SILENT_DB, 10 ** (level_db / 20), 0.0) * noise / noise.std()
    return out


def _at_loudness(samples: Float, sounding: Bool, loudness_db: float) -> Float:
    """Scale to a median level; what is beyond full scale is bent back smoothly, as a recorder's limiter does."""
    out = samples
    gain = 1.0
    for _ in range(6):
        gain *= 10 ** ((loudness_db - _median_level_db(out, sounding)) / 20)
        out = gain * samples
        if np.abs(out).max() <= _CEILING:
            break
        out = out / (1 + (np.abs(out) / _CEILING) ** 6) ** (1 / 6)
    return out


def _median_level_db(samples: Float, sounding: Bool) -> float:
    """Median over sounding hops of 10 ms of the level around, dB re a sine of amplitude 1."""
    from scipy.ndimage import uniform_filter1d

    # 20 ms: about what a Hann window of 50 ms, squared, weighs.
    power = uniform_filter1d(samples**2, round(0.02 * SAMPLE_RATE_HZ))[:: round(HOP_SECONDS * SAMPLE_RATE_HZ)]
    here = sounding[:: round(HOP_SECONDS * SAMPLE_RATE_HZ)]
    return float(10 * np.log10(2 * np.median(power[here])))


def _truth(utterance: Utterance, times: Float, voice_db: Float, step_times: Float, contour: Float) -> VoiceTruth:
    frames = (np.arange(int(utterance.duration_seconds / HOP_SECONDS)) + 0.5) * HOP_SECONDS
    f0_hz = np.interp(frames, step_times, contour)
    f0_hz[np.interp(frames, times, voice_db) < VOICED_ABOVE_DB] = np.nan
    count, speaking = len(utterance.nuclei), sum(end - start for start, end in utterance.spans)
    nuclei = tuple(float(t) for t in utterance.nuclei.mean(axis=1))
    return VoiceTruth(frames, f0_hz, nuclei, utterance.spans, count / utterance.duration_seconds, count / speaking)
