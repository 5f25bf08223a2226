"""espeak-ng as another voice, where it is installed: clearer words, a prosody that is only roughly as planned."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave

import numpy as np

from emotion_llama.errors import BackendError, MissingDependency
from emotion_llama.records import Float
from merr_synth.render.prosody_table import ProsodyPlan
from merr_synth.render.speaker import Spoken, Voice
from merr_synth.render.voice import SAMPLE_RATE_HZ

# espeak-ng 1.51: -p 50 is about 105 Hz for its male voice and 180 Hz for the variant f3, 10 steps about 2 semitones.
_MALE, _FEMALE = ("en-us", 105.0), ("en-us+f3", 180.0)
_STEPS_PER_SEMITONE = 5.0
_WORDS_PER_SYLLABLE = 1 / 1.5  # a minute of English at 1.5 syllables a word
_TIMEOUT_SECONDS = 30
_AUDIBLE = 1e-3
_CEILING = 0.97


def espeak_program() -> str:
    """Path of espeak-ng.

    Raises:
        MissingDependency: it is not installed.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingDependency("espeak-ng", "the voice 'espeak'", "apt install espeak-ng (or leave out --voice)")
    return program


def speak_with_espeak(text: str, prosody: ProsodyPlan, voice: Voice) -> Spoken:
    """Say `text` with espeak-ng: pitch, speed and loudness follow the plan, nothing else does; no truth.

    Raises:
        MissingDependency: it is not installed.
        BackendError: it failed, or made no sound.
    """
    from scipy.signal import resample_poly

    samples, rate = _run(espeak_program(), text, prosody, voice)
    samples = resample_poly(samples, SAMPLE_RATE_HZ, rate)
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if len(loud) == 0:
        raise BackendError(f"espeak-ng made no sound of {text!r}; use the voice 'own'")
    samples = samples[loud[0] : loud[-1] + 1]
    level = np.sqrt(np.mean(samples**2))
    samples *= 10 ** ((prosody.loudness_db + voice.loudness_offset_db) / 20) / np.sqrt(2) / level
    return Spoken(np.clip(samples, -_CEILING, _CEILING).astype(np.float32), None, None)


def _run(program: str, text: str, prosody: ProsodyPlan, voice: Voice) -> tuple[Float, int]:
    name, usual_hz = _FEMALE if voice.pitch_hz > 160 else _MALE
    wanted = 12 * np.log2(voice.pitch_hz / usual_hz) + prosody.pitch_shift_semitones
    pitch = int(np.clip(50 + _STEPS_PER_SEMITONE * wanted, 0, 99))
    speed = int(np.clip(60 * prosody.articulation_rate * voice.rate_factor * _WORDS_PER_SYLLABLE, 80, 400))
    command = [program, "--stdout", "-v", name, "-p", str(pitch), "-s", str(speed), "--", text]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"espeak-ng could not be run ({error}); use the voice 'own'") from error
    try:
        if done.returncode != 0:
            raise wave.Error(done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}")
        with wave.open(io.BytesIO(done.stdout)) as sound:
            rate = sound.getframerate()
        # The header of a stream does not know its length: everything behind its 44 bytes is sound.
        return np.frombuffer(done.stdout[44 : len(done.stdout) // 2 * 2], "<i2").astype(np.float64) / 32768, rate
    except (wave.Error, EOFError) as error:
        raise BackendError(f"espeak-ng gave no sound ({error}); use the voice 'own'") from error
