"""A voice made from numbers: source and filter, so that pitch, tempo and voice quality of the result are known.

Glottal flow after Rosenberg (1971, JASA 49, 583; his trigonometric pulse), resonators after Klatt (1980, JASA 67, 971),
formants F1-F3 of men after Peterson & Barney (1952, JASA 24, 175). Notation: S samples at 16 kHz, T frames of 10 ms,
C glottal cycles, V vowels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.records import Bool, Float

SAMPLE_RATE_HZ = 16_000
HOP_SECONDS = 0.01
OVERSAMPLING = 4  # the corner of the flow at closure aliases at 16 kHz; at 64 kHz the images lie below -60 dB

# Vowel -> F1, F2, F3 (Peterson & Barney 1952, men) and a fourth of our own, Hz.
FORMANTS_HZ: dict[str, tuple[float, float, float, float]] = {
    "a": (730.0, 1090.0, 2440.0, 3400.0),
    "e": (530.0, 1840.0, 2480.0, 3500.0),
    "i": (270.0, 2290.0, 3010.0, 3600.0),
    "o": (570.0, 840.0, 2410.0, 3400.0),
    "u": (300.0, 870.0, 2240.0, 3300.0),
}
BANDWIDTHS_HZ = (70.0, 90.0, 130.0, 200.0)
OPENING_SHARE, CLOSING_SHARE = 0.40, 0.16  # of a glottal cycle, Rosenberg's preferred pulse
SILENT_DB = -80.0
VOICED_ABOVE_DB = -40.0  # gain under which the truth calls a frame unvoiced


@dataclass(frozen=True)
class VoiceSpec:
    """What the voice is to be.

    Attributes:
        duration_seconds: length of the sound.
        pitch_points: (seconds, Hz) corners of the pitch contour, straight lines in semitones between them.
        accent_semitones: standard deviation of a seeded pitch excursion on each syllable.
        syllables_per_second: within the speaking intervals; 0 makes one held vowel an interval.
        rhythm_percent: standard deviation of the syllables' lengths.
        pauses: (start, end) seconds of silence.
        dip_db: how far the voice falls between syllables.
        consonant_share: share of syllables that open with unvoiced noise instead of a voiced dip.
        vowels: taken in turn, letters of FORMANTS_HZ.
        tract_scale: factor on the formants: 1 man, about 1.17 woman, 1.35 child.
        jitter_percent: local jitter, mean |T[k] - T[k-1]| / mean T over cycles.
        shimmer_db: mean |20 log10(A[k] / A[k-1])| over cycles.
        tremor_hz, tremor_percent: frequency and amplitude of a sinusoidal modulation of the pitch.
        harmonicity_db: harmonics-to-noise ratio by added white breath noise; None adds none.
        softness_db: attenuation at 3 kHz by a one-pole filter on the source (Klatt's TL).
        loudness_db: level over the syllables, re full scale (0 dB = sine of amplitude 1).
        background_snr_db: steady white noise so far below that level; None adds none.
        seed: of every random number.
    """

    duration_seconds: float = 6.0
    pitch_points: tuple[tuple[float, float], ...] = ((0.0, 120.0),)
    accent_semitones: float = 0.0
    syllables_per_second: float = 4.0
    rhythm_percent: float = 10.0
    pauses: tuple[tuple[float, float], ...] = ()
    dip_db: float = 20.0
    consonant_share: float = 0.0
    vowels: str = "aeiou"
    tract_scale: float = 1.0
    jitter_percent: float = 0.0
    shimmer_db: float = 0.0
    tremor_hz: float = 5.0
    tremor_percent: float = 0.0
    harmonicity_db: float | None = None
    softness_db: float = 0.0
    loudness_db: float = -20.0
    background_snr_db: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.duration_seconds > 0, f"duration_seconds must be positive, got {self.duration_seconds}")
        _check(bool(self.pitch_points), "pitch_points needs at least one (seconds, Hz)")
        _check(all(30 <= hz <= 1000 for _, hz in self.pitch_points), f"pitch within 30..1000 Hz: {self.pitch_points}")
        _check(0 <= self.syllables_per_second <= 12, f"syllables_per_second within 0..12: {self.syllables_per_second}")
        unknown = set(self.vowels) - set(FORMANTS_HZ)
        _check(bool(self.vowels) and not unknown, f"vowels must be of {''.join(FORMANTS_HZ)}, got {self.vowels!r}")
        edges = [0.0, *(t for pause in self.pauses for t in pause), self.duration_seconds]
        _check(edges == sorted(edges), f"pauses must be in order within the duration: {self.pauses}")


class VoiceTruth(NamedTuple):
    """What is true of a rendered voice.

    Attributes:
        times_seconds: [T] centres of 10 ms frames.
        f0_hz: [T] pitch without jitter; NaN where unvoiced.
        nucleus_seconds: the loudest moment of each syllable.
        spans: (start, end) of each speaking interval.
        syllables_per_second: over the whole span, pauses included.
        articulation_rate: syllables per second of the speaking intervals.
    """

    times_seconds: Float
    f0_hz: Float
    nucleus_seconds: tuple[float, ...]
    spans: tuple[tuple[float, float], ...]
    syllables_per_second: float
    articulation_rate: float

    @property
    def pitch_median_hz(self) -> float:
        """Median pitch over voiced frames."""
        return float(np.nanmedian(self.f0_hz))


class SyntheticVoice(NamedTuple):
    """Rendered samples [S] float32 at 16 kHz, and their truth."""

    samples: npt.NDArray[np.float32]
    truth: VoiceTruth


class _Syllables(NamedTuple):
    starts: Float  # [Y] seconds
    ends: Float  # [Y]
    nuclei: Float  # [Y]
    is_noisy: Bool  # [Y] opens with unvoiced noise
    onset_ends: Float  # [Y] where the opening noise ends; the start where there is none


def render_voice(spec: VoiceSpec) -> SyntheticVoice:
    """Render `spec`; the same spec gives the same samples on one installation.

    Raises:
        InputError: the asked loudness would clip.
    """
    rng = np.random.default_rng(spec.seed)
    num_samples = round(spec.duration_seconds * SAMPLE_RATE_HZ)
    times = np.arange(num_samples) / SAMPLE_RATE_HZ
    spans = _speaking_spans(spec)
    syllables = _lay_out(spec, spans, rng)
    voicing_db, noise_db = _gains(times, spec, spans, syllables)
    contour_hz = _pitch_contour(spec, syllables, rng)
    source = glottal_source(spec, contour_hz, rng)
    voiced = 10 ** (voicing_db / 20) * _vocal_tract(source, times, spec, syllables)
    samples = _mix(spec, voiced, voicing_db, noise_db, rng)
    frames = (np.arange(num_samples * 100 // SAMPLE_RATE_HZ) + 0.5) * HOP_SECONDS
    f0_hz = np.interp(frames, fine_times(spec), contour_hz)
    f0_hz[np.interp(frames, times, voicing_db) < VOICED_ABOVE_DB] = np.nan
    count, speaking = len(syllables.nuclei), sum(end - start for start, end in spans)
    truth = VoiceTruth(
        frames,
        f0_hz,
        tuple(map(float, syllables.nuclei)),
        spans,
        count / (spans[-1][1] - spans[0][0]),
        count / speaking,
    )
    return SyntheticVoice(samples, truth)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(f"voice specification: {message}")


def _speaking_spans(spec: VoiceSpec) -> tuple[tuple[float, float], ...]:
    edges = [0.0, *(t for pause in spec.pauses for t in pause), spec.duration_seconds]
    spans = tuple((a, b) for a, b in zip(edges[::2], edges[1::2]) if b - a > HOP_SECONDS)
    _check(bool(spans), f"the pauses leave no time to speak: {spec.pauses}")
    return spans


def _lay_out(spec: VoiceSpec, spans: tuple[tuple[float, float], ...], rng: np.random.Generator) -> _Syllables:
    """Fill each speaking interval with whole syllables of slightly different lengths."""
    starts, ends = [], []
    for a, b in spans:
        count = max(1, round((b - a) * spec.syllables_per_second))
        lengths = np.clip(1 + spec.rhythm_percent / 100 * rng.standard_normal(count), 0.6, 1.6)
        edges = a + (b - a) * np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
        starts.append(edges[:-1])
        ends.append(edges[1:])
    start, end = np.concatenate(starts), np.concatenate(ends)
    is_noisy = rng.random(len(start)) < spec.consonant_share
    onset_ends = np.where(is_noisy, start + np.minimum(0.35 * (end - start), 0.09), start)
    return _Syllables(start, end, (onset_ends + end) / 2, is_noisy, onset_ends)


def _gains(
    times: Float, spec: VoiceSpec, spans: tuple[tuple[float, float], ...], syllables: _Syllables
) -> tuple[Float, Float]:
    """[S] gain of the voice and of the consonants' noise, dB."""
    points: list[tuple[float, float]] = []
    for start, end, noisy, onset_end in zip(syllables.starts, syllables.ends, syllables.is_noisy, syllables.onset_ends):
        length = end - onset_end
        if noisy:
            points += [(start + 0.005, SILENT_DB), (onset_end - 0.01, SILENT_DB)]
        if spec.syllables_per_second == 0:
            points += [(onset_end, 0.0), (end, 0.0)]
        else:
            points += [(onset_end, -spec.dip_db), (onset_end + 0.3 * length, -1.0), (onset_end + 0.5 * length, 0.0)]
            points += [(onset_end + 0.7 * length, -1.0), (end - 1e-4, -spec.dip_db)]
    voicing = np.interp(times, *np.array(points).T)
    noise = np.full(len(times), SILENT_DB)
    for start, onset_end in zip(syllables.starts[syllables.is_noisy], syllables.onset_ends[syllables.is_noisy]):
        corners = [start, start + 0.01, onset_end - 0.01, onset_end]
        noise = np.maximum(noise, np.interp(times, corners, [SILENT_DB, -14.0, -14.0, SILENT_DB]))
    speaking = np.full(len(times), SILENT_DB)
    for start, end in spans:  # 20 ms ramps at the ends keep clicks out
        corners = [start, start + 0.02, end - 0.02, end]
        speaking = np.maximum(speaking, np.interp(times, corners, [SILENT_DB, 0.0, 0.0, SILENT_DB]))
    return np.minimum(voicing, voicing + speaking).clip(SILENT_DB), np.minimum(noise, speaking)


def fine_times(spec: VoiceSpec) -> Float:
    """[S * OVERSAMPLING] seconds of the samples of the source before it is brought down to 16 kHz."""
    rate = SAMPLE_RATE_HZ * OVERSAMPLING
    return np.asarray(np.arange(round(spec.duration_seconds * SAMPLE_RATE_HZ) * OVERSAMPLING) / rate)


def _pitch_contour(spec: VoiceSpec, syllables: _Syllables, rng: np.random.Generator) -> Float:
    """[S * OVERSAMPLING] Hz, without jitter."""
    times = fine_times(spec)
    seconds, hertz = np.array(spec.pitch_points).T
    octaves = np.interp(times, seconds, np.log2(hertz))
    accents = spec.accent_semitones / 12 * rng.standard_normal(len(syllables.nuclei))
    corners = np.stack([syllables.starts, syllables.nuclei], axis=1).ravel()
    octaves = octaves + np.interp(times, corners, np.stack([0 * accents, accents], axis=1).ravel())
    tremor = 1 + spec.tremor_percent / 100 * np.sin(2 * np.pi * spec.tremor_hz * times)
    return np.asarray(2**octaves * tremor)


def glottal_source(spec: VoiceSpec, contour_hz: Float, rng: np.random.Generator) -> Float:
    """[S] derivative of the glottal flow for a pitch [S * OVERSAMPLING] Hz, cycle by cycle perturbed.

    Of `spec` it takes duration, jitter, shimmer and softness.
    """
    from scipy.signal import lfilter, resample_poly

    times = fine_times(spec)
    cycles = np.cumsum(contour_hz) / (SAMPLE_RATE_HZ * OVERSAMPLING)
    count = int(cycles[-1]) + 2
    starts = np.interp(np.arange(count), cycles, times, right=times[-1] + 1 / contour_hz[-1])
    # The mean of |difference| of two normal deviates is 2 / sqrt(pi) of their standard deviation.
    sigma = np.sqrt(np.pi) / 2
    periods = np.diff(starts) * (1 + sigma * spec.jitter_percent / 100 * rng.standard_normal(count - 1))
    periods *= np.diff(starts).sum() / periods.sum()
    phase = np.interp(times, np.concatenate([[starts[0]], starts[0] + np.cumsum(periods)]), np.arange(count))
    amplitude = 10 ** (sigma * spec.shimmer_db / 20 * rng.standard_normal(count))
    # The flow is sampled, not its derivative, whose jumps would alias; dividing by the pitch keeps the derivative's
    # level the same in a glide.
    flow = _rosenberg_flow(phase % 1.0) * amplitude[phase.astype(np.int64)] / contour_hz
    source = np.diff(resample_poly(flow, 1, OVERSAMPLING), prepend=0.0)
    if spec.softness_db <= 0:
        return np.asarray(source)
    pole = _one_pole_for(spec.softness_db, 3000.0)
    return np.asarray(lfilter([1 - pole], [1, -pole], source))


def _rosenberg_flow(phase: Float) -> Float:
    """Rosenberg's trigonometric flow pulse; phase 0..1."""
    opening = 0.5 * (1 - np.cos(np.pi * phase / OPENING_SHARE))
    closing = np.cos(0.5 * np.pi * (phase - OPENING_SHARE) / CLOSING_SHARE)
    is_closing = (phase >= OPENING_SHARE) & (phase < OPENING_SHARE + CLOSING_SHARE)
    return np.where(phase < OPENING_SHARE, opening, np.where(is_closing, closing, 0.0))


def _one_pole_for(attenuation_db: float, frequency_hz: float) -> float:
    """Pole p of y = (1-p) x + p y' that attenuates by so much at `frequency_hz`: solve |H|^2 = (1-p)^2/(1-2pc+p^2)."""
    power, cosine = 10 ** (-attenuation_db / 10), np.cos(2 * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    half = (1 - power * cosine) / (1 - power)
    return float(half - np.sqrt(half * half - 1))


def _vocal_tract(source: Float, times: Float, spec: VoiceSpec, syllables: _Syllables) -> Float:
    """[S] the source through each vowel's resonators, faded from vowel to vowel in 40 ms, every vowel equally loud."""
    from scipy.signal import sosfilt

    order = np.array([spec.vowels[k % len(spec.vowels)] for k in range(len(syllables.starts))])
    edges = np.stack([syllables.starts + 0.02, syllables.ends - 0.02], axis=1).ravel()
    out = np.zeros(len(source))
    for vowel in sorted(set(order)):
        weight = np.interp(times, edges, np.repeat(order == vowel, 2).astype(float))
        resonators = [resonator(f * spec.tract_scale, w) for f, w in zip(FORMANTS_HZ[vowel], BANDWIDTHS_HZ)]
        filtered = sosfilt(np.array(resonators), source)
        out += weight * filtered / np.sqrt(np.mean(filtered**2))
    return out


def resonator(frequency_hz: float, bandwidth_hz: float) -> tuple[float, ...]:
    """Klatt's digital resonator as one second-order section, gain 1 at 0 Hz."""
    radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
    b = 2 * radius * np.cos(2 * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    c = -radius * radius
    return (1 - b - c, 0.0, 0.0, 1.0, -b, -c)


def _mix(
    spec: VoiceSpec, voiced: Float, voicing_db: Float, noise_db: Float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """[S] voice, breath, consonants and background at the asked levels."""
    noise = rng.standard_normal((3, len(voiced)))
    out = voiced.copy()
    if spec.harmonicity_db is not None:
        out += 10 ** ((voicing_db - spec.harmonicity_db) / 20) * noise[0]
    # First difference: the noise of [s] lies high.
    out += 10 ** (noise_db / 20) * np.diff(noise[1], prepend=0.0)
    is_loud = np.maximum(voicing_db, noise_db) > VOICED_ABOVE_DB
    level = 10 ** (spec.loudness_db / 20) / np.sqrt(2)  # rms of a sine at that level
    out *= level / np.sqrt(np.mean(out[is_loud] ** 2))
    if spec.background_snr_db is not None:
        out += level * 10 ** (-spec.background_snr_db / 20) * noise[2]
    peak = float(np.abs(out).max())
    _check(
        peak <= 1, f"loudness_db = {spec.loudness_db} clips (peak {peak:.2f}); take {20 * np.log10(peak):.0f} dB less"
    )
    return np.asarray(out, np.float32)
