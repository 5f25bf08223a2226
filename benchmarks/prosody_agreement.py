"""How far the voice measurements agree: with the truth, with Praat, with openSMILE eGeMAPS, and with librosa's YIN.

    pip install "emotion-llama[opensmile]" librosa praat-parselmouth
    OMP_NUM_THREADS=1 python benchmarks/prosody_agreement.py [FOLDER of recordings, for Praat]

Voices: 60 of the project's synthesiser, drawn from a seed over pitch, sex, tempo, voice quality, pauses and noise; and,
where espeak-ng is on PATH, 1200 spoken by it (50 sentences x 6 voices x 4 speeds, pitches in turn; spoken_sentences.txt
has the syllables), half of them held out when the constants of the tempo were set.
What is not installed is left out, and said. librosa compiles about 12 s at its first import on a machine.
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emotion_llama.media.audio import read_audio
from emotion_llama.media.discover import find_media
from emotion_llama.media.probe import probe
from emotion_llama.records import Prosody, VoiceTrack, Waveform
from emotion_llama.speech.pitch import CEILING_HZ, FLOOR_HZ
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.tempo import find_nuclei
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.voice import SyntheticVoice, VoiceSpec, render_voice

NUM_VOICES = 60
GROSS = 0.2  # relative error of a frame's pitch that counts as another pitch, as is usual for gross pitch errors

SENTENCES = Path(__file__).with_name("spoken_sentences.txt")
VOICES = ("en", "en-us", "en-us+f3", "en+m7", "en+f4", "en-us+m3")
SPEEDS = (120, 160, 200, 240)  # words a minute
PITCHES = (30, 55, 80)  # of espeak-ng's 0-99, in turn


class Spoken(NamedTuple):
    """A sentence as espeak-ng said it, and how far off its count of syllables is."""

    voice: str
    speed: int
    true_rate: float  # syllables per second of sounding time
    count_error: float  # relative
    rate_error: float  # relative error of the articulation rate
    measured: Measured


class Measured(NamedTuple):
    """A sound, its track and its figures."""

    waveform: Waveform
    voice: VoiceTrack
    prosody: Prosody


def main() -> None:
    """Print every comparison that the installed packages allow."""
    voices = [render_voice(spec) for spec in draw_specs()]
    measured = [measure(Waveform(voice.samples)) for voice in voices]
    print(f"{NUM_VOICES} synthetic voices, {sum(len(v.samples) for v in voices) / 16000:.0f} s")
    against_truth(voices, measured)
    if installed("librosa"):
        yin_against_truth(voices, measured)
    if installed("parselmouth"):
        against_praat("synthetic voices", [m.waveform for m in measured])
        for folder in sys.argv[1:]:
            against_praat(folder, [read_audio(probe(path)) for path in find_media([folder])])
    if installed("opensmile"):
        against_egemaps(voices, measured)
    if shutil.which("espeak-ng"):
        against_espeak()
    else:
        print("\nespeak-ng is not on PATH: its voices are left out")
    speed()


def draw_specs() -> list[VoiceSpec]:
    """The synthetic voices, the same each time."""
    rng = np.random.default_rng(2026)
    specs = []
    for number in range(NUM_VOICES):
        low, high, tract = [(85.0, 140.0, 1.0), (165.0, 270.0, 1.17), (240.0, 350.0, 1.35)][number % 3]
        start, end = rng.uniform(low, high, 2)
        specs.append(
            VoiceSpec(
                duration_seconds=rng.uniform(6.0, 10.0),
                pitch_points=((0.0, start), (8.0, end)),
                accent_semitones=rng.uniform(0.0, 3.0),
                syllables_per_second=rng.uniform(2.5, 6.0),
                rhythm_percent=rng.uniform(5.0, 25.0),
                pauses=((2.0, 2.0 + rng.uniform(0.3, 0.9)), (4.0, 4.0 + rng.uniform(0.3, 0.9)))[: number % 3],
                dip_db=rng.uniform(5.0, 30.0),
                consonant_share=rng.uniform(0.0, 0.6),
                tract_scale=tract,
                jitter_percent=rng.uniform(0.0, 2.0),
                shimmer_db=rng.uniform(0.0, 1.0),
                harmonicity_db=rng.uniform(5.0, 30.0),
                softness_db=rng.uniform(0.0, 20.0),
                background_snr_db=rng.uniform(15.0, 40.0),
                loudness_db=rng.uniform(-35.0, -20.0),
                seed=number,
            )
        )
    return specs


def measure(waveform: Waveform) -> Measured:
    """Track and summary of one sound."""
    voice = measure_voice([waveform])
    return Measured(waveform, voice, summarise(voice))


def frame_errors(f0_hz: np.ndarray, truth_hz: np.ndarray) -> np.ndarray:
    """Relative errors of the frames that both call voiced."""
    count = min(len(f0_hz), len(truth_hz))
    error = np.abs(f0_hz[:count] / truth_hz[:count] - 1)
    return error[np.isfinite(error)]


def report_pitch(name: str, medians: list[float], errors: list[np.ndarray], truths: list[float]) -> None:
    """One line on the pitch of all voices."""
    off = np.abs(np.array(medians) / np.array(truths) - 1)
    frames = np.concatenate(errors)
    print(
        f"  {name:22s} median pitch off by {off.mean():.2%} on average, {off.max():.2%} at worst; "
        f"frames over 2 %: {np.mean(frames > 0.02):.2%}, over 20 %: {np.mean(frames > GROSS):.3%}"
    )


def against_truth(voices: list[SyntheticVoice], measured: list[Measured]) -> None:
    """Pitch, voicing and tempo beside what the voices were made with."""
    print("\nAgainst the truth")
    truths = [v.truth.pitch_median_hz for v in voices]
    found = [m.prosody.pitch_median_hz or np.nan for m in measured]
    errors = [frame_errors(m.voice.f0_hz, v.truth.f0_hz) for m, v in zip(measured, voices)]
    report_pitch("emotion-llama", found, errors, truths)
    both = [(np.isfinite(m.voice.f0_hz), np.isfinite(v.truth.f0_hz)) for m, v in zip(measured, voices)]
    missed = np.mean(np.concatenate([~f[: len(t)] & t for f, t in both]))
    invented = np.mean(np.concatenate([f[: len(t)] & ~t for f, t in both]))
    print(f"  voicing: {missed:.1%} of frames missed, {invented:.1%} invented")
    for name in ("syllables_per_second", "articulation_rate"):
        rates = np.array([getattr(m.prosody, name) or np.nan for m in measured])
        off = rates / np.array([getattr(v.truth, name) for v in voices]) - 1
        print(f"  {name}: off by {np.abs(off).mean():.1%} on average, {off[np.abs(off).argmax()]:+.1%} at worst")


def yin_against_truth(voices: list[SyntheticVoice], measured: list[Measured]) -> None:
    """YIN of librosa as a user would call it; it decides no voicing of its own."""
    begin = time.perf_counter()
    from librosa.core.pitch import yin

    print(f"\nlibrosa.yin (import {time.perf_counter() - begin:.1f} s), on the frames that emotion-llama calls voiced")
    medians, errors = [], []
    for m, v in zip(measured, voices):
        padded = np.pad(m.waveform.samples, (1024 // 2 - 80, 1024))
        f0_hz = yin(padded, fmin=60, fmax=600, sr=16000, frame_length=1024, hop_length=160, center=False)
        f0_hz = np.where(np.isfinite(m.voice.f0_hz), f0_hz[: len(m.voice.f0_hz)], np.nan)
        medians.append(float(np.nanmedian(f0_hz)))
        errors.append(frame_errors(f0_hz, v.truth.f0_hz))
    report_pitch("librosa.yin", medians, errors, [v.truth.pitch_median_hz for v in voices])


def against_praat(name: str, sounds: list[Waveform]) -> None:
    """Pitch and voicing beside Praat's "To Pitch (ac)", frame by frame: its standard pitch range, then ours."""
    for low_hz, high_hz in ((75.0, 600.0), (FLOOR_HZ, CEILING_HZ)):
        _against_praat(f"{name}, {low_hz:g}-{high_hz:g} Hz", sounds, low_hz, high_hz)


def _against_praat(name: str, sounds: list[Waveform], low_hz: float, high_hz: float) -> None:
    import parselmouth

    ours, theirs = [], []
    for sound in sounds:
        f0_hz = measure_voice([sound]).f0_hz
        pitch = parselmouth.Sound(sound.samples.astype(float), 16_000).to_pitch_ac(
            time_step=0.01, pitch_floor=low_hz, pitch_ceiling=high_hz
        )
        at = np.round(((np.arange(len(f0_hz)) + 0.5) * 0.01 - pitch.xs()[0]) / 0.01).astype(int)
        inside = (at >= 0) & (at < pitch.n_frames)
        other = np.zeros(len(f0_hz))
        other[inside] = pitch.selected_array["frequency"][at[inside]]
        ours.append(f0_hz)
        theirs.append(np.where(other > 0, other, np.nan))
    a, b = np.concatenate(ours), np.concatenate(theirs)
    here, there = np.isfinite(a), np.isfinite(b)
    error = np.abs(a / b - 1)[here & there]
    print(
        f"\nPraat on {name} ({len(a) / 100:.0f} s): pitch off by {np.median(error):.2%} in the median, over 20 % in "
        f"{np.mean(error > GROSS):.2%}; voiced only here {np.mean(here & ~there):.1%}, only there "
        f"{np.mean(there & ~here):.1%} of frames"
    )


def against_egemaps(voices: list[SyntheticVoice], measured: list[Measured]) -> None:
    """Figure by figure beside openSMILE."""
    from emotion_llama.speech.egemaps import functionals, summarise_egemaps

    print("\nopenSMILE eGeMAPSv02")
    theirs = [summarise_egemaps(m.waveform, m.voice) for m in measured]
    truths = np.array([v.truth.pitch_median_hz for v in voices])
    off = np.abs(np.array([p.pitch_median_hz or np.nan for p in theirs]) / truths - 1)
    print(f"  against the truth: median pitch off by {off.mean():.2%} on average, {off.max():.2%} at worst")
    peaks = np.array([functionals(m.waveform)["loudnessPeaksPerSec"] for m in measured])
    rates = np.array([v.truth.syllables_per_second for v in voices])
    off = np.abs(peaks / rates - 1)
    print(f"  loudnessPeaksPerSec as tempo: off by {off.mean():.1%} on average, {off.max():.1%} at worst")
    print("  emotion-llama against it (difference, mean; correlation over the voices):")
    for name in (
        "pitch_median_semitones", "pitch_range_semitones", "harmonicity_db", "tilt_db",
        "pitch_perturbation_percent", "loudness_perturbation_db",
    ):  # fmt: skip
        a, b = (
            np.array([getattr(p, name) for p in side], dtype=float) for side in ([m.prosody for m in measured], theirs)
        )
        print(f"    {name:28s} {np.mean(a - b):+8.3f}   r = {np.corrcoef(a, b)[0, 1]:.3f}")


def against_espeak() -> None:
    """Syllables of spoken sentences, and their pitch beside openSMILE."""
    lines = [line for line in SENTENCES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    tuning, held_out = lines[::2], lines[1::2]
    report_syllables("sentences the constants were set on", say_all(tuning))
    rows = say_all(held_out)
    report_syllables("held-out sentences", rows)
    for speed in SPEEDS:
        describe(f"-s {speed}", [row for row in rows if row.speed == speed])
    for voice in VOICES:
        describe(voice, [row for row in rows if row.voice == voice])
    if installed("parselmouth"):
        against_praat("held-out sentences of espeak-ng", [row.measured.waveform for row in rows])
    if installed("opensmile"):
        from emotion_llama.speech.egemaps import summarise_egemaps

        tracks = [row.measured for row in rows]
        pairs = [(m.prosody.pitch_median_hz, summarise_egemaps(m.waveform, m.voice).pitch_median_hz) for m in tracks]
        apart = np.abs(np.array([a / b - 1 for a, b in pairs if a and b]))
        print(
            f"  median pitch differs from eGeMAPS by {np.median(apart):.2%} in the median, {apart.max():.2%} at worst"
        )


def say_all(lines: list[str]) -> list[Spoken]:
    """Every sentence in every voice at every speed."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (i, line), (j, voice), (k, words) in itertools.product(
            enumerate(lines), enumerate(VOICES), enumerate(SPEEDS)
        ):
            count = len(line.replace("-", " ").split())
            pitch = PITCHES[(i + j + k) % len(PITCHES)]
            waveform = speak(line.replace("-", ""), voice, words, pitch, Path(folder) / "voice.wav")
            measured = measure(waveform)
            rate = count / sounding_seconds(waveform)
            rows.append(
                Spoken(
                    voice,
                    words,
                    rate,
                    len(find_nuclei(measured.voice)) / count - 1,
                    (measured.prosody.articulation_rate or np.nan) / rate - 1,
                    measured,
                )
            )
    return rows


def sounding_seconds(waveform: Waveform) -> float:
    """Time within 40 dB of the loudest 10 ms, gaps of up to 0.15 s filled: pauses by energy alone."""
    power = np.mean(waveform.samples[: len(waveform.samples) // 160 * 160].reshape(-1, 160).astype(float) ** 2, axis=1)
    rows = np.flatnonzero(power > power.max() * 1e-4)
    gaps = np.diff(rows) - 1
    return float(len(rows) + gaps[gaps <= 15].sum()) / 100


def report_syllables(name: str, rows: list[Spoken]) -> None:
    """Heading and the line over all."""
    print(f"\nespeak-ng, {len(rows)} {name}: syllables counted, and articulation rate")
    describe("all", rows)


def describe(name: str, rows: list[Spoken]) -> None:
    """Distribution of the errors."""
    off, rates = np.array([row.count_error for row in rows]), np.array([row.rate_error for row in rows])
    print(
        f"  {name:9s}{np.mean([row.true_rate for row in rows]):4.1f}/s  count {off.mean():+.1%} on average, "
        f"{np.abs(off).mean():.1%} absolute, {off.min():+.0%} to {off.max():+.0%}, "
        f"{np.mean(np.abs(off) <= 0.1 + 1e-9):.0%} within 10 %; rate {np.nanmean(rates):+.1%}, "
        f"{np.mean(np.abs(rates) <= 0.1 + 1e-9):.0%} within 10 %"
    )


def speak(text: str, voice: str, speed: int, pitch: int, path: Path) -> Waveform:
    """A sentence by espeak-ng, at 16 kHz."""
    from scipy.signal import resample_poly

    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", path, text], check=True)
    with wave.open(str(path)) as file:
        rate, data = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(data, dtype=np.int16) / 32768
    return Waveform(resample_poly(samples, 16000, rate).astype(np.float32))


def speed() -> None:
    """CPU time a second of sound."""
    waveform = Waveform(render_voice(VoiceSpec(60.0)).samples)
    measure(waveform)
    begin = time.process_time()
    measure(waveform)
    print(f"\nSpeed: {(time.process_time() - begin) / 60 * 1000:.1f} ms of CPU a second of sound (track and summary)")
    if installed("opensmile"):
        from emotion_llama.speech.egemaps import functionals

        begin = time.process_time()
        functionals(waveform)
        print(f"  eGeMAPS functionals: {(time.process_time() - begin) / 60 * 1000:.1f} ms")


def installed(package: str) -> bool:
    """Whether a package can be used; says so where not."""
    there = importlib.util.find_spec(package) is not None
    if not there:
        print(f"\n{package} is not installed: left out")
    return there


if __name__ == "__main__":
    main()
