"""Time courses: action units from onset to offset, blinks, the mouth of a talking person, the unrest of a head.

Times are seconds from the clip's start; every curve is a pure function of its arguments. N frames, U = 17 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import AU_NAMES, Float

MAX_INTENSITY = 5.0
# A blink closes in about 0.1 s and opens in about 0.2 s. Adults blink 17 times a minute at rest, 26 in conversation
# (Bentivoglio et al., Movement Disorders 12, 1997).
_BLINK_CLOSING, _BLINK_SHUT, _BLINK_OPENING = 0.08, 0.04, 0.16
_BLINK_EVERY_SECONDS, _LEAST_BLINK_GAP = 3.2, 0.9
_SHUT = 5.0
# The lips follow the sound a little late and cannot move faster than about 8 syllables a second.
_MOUTH_SMOOTHING_SECONDS = 0.045
_PARTED, _DROPPED = 2.6, 1.8  # AU25 and AU26 of a loud open syllable


@dataclass(frozen=True)
class UnitEvent:
    """One activation of one unit.

    Attributes:
        unit: "AU12" style.
        onset_seconds: it begins to rise.
        apex_seconds: it has reached its intensity.
        offset_seconds: it is back at zero; it begins to fall `fall_seconds` before.
        intensity: 0..5.
        fall_seconds: length of the way down; by default as long as the way up, at most half of what is left.
    """

    unit: str
    onset_seconds: float
    apex_seconds: float
    offset_seconds: float
    intensity: float
    fall_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.unit not in AU_NAMES:
            raise InputError(f"unknown action unit {self.unit!r}; choose from {', '.join(AU_NAMES)}")
        if not self.onset_seconds < self.apex_seconds < self.offset_seconds:
            raise InputError(
                f"an event needs onset < apex < offset, got {self.onset_seconds}, {self.apex_seconds}, "
                f"{self.offset_seconds} s for {self.unit}"
            )
        if not 0 <= self.intensity <= MAX_INTENSITY:
            raise InputError(f"intensities must be within 0..5, got {self.intensity} for {self.unit}")
        if self.fall_seconds is not None and not 0 < self.fall_seconds <= self.offset_seconds - self.apex_seconds:
            raise InputError(f"fall_seconds must lie within apex and offset, got {self.fall_seconds} for {self.unit}")

    def at(self, pts_seconds: Float) -> Float:
        """[N] its intensity."""
        left = self.offset_seconds - self.apex_seconds
        fall = self.fall_seconds or min(self.apex_seconds - self.onset_seconds, left / 2)
        up = (pts_seconds - self.onset_seconds) / (self.apex_seconds - self.onset_seconds)
        down = (self.offset_seconds - pts_seconds) / fall
        return np.asarray(self.intensity * _eased(np.minimum(up, down)))


def _eased(share: Float) -> Float:
    """0..1 with the velocity of a minimum-jerk movement (Flash and Hogan, J Neurosci 5, 1985)."""
    t = np.clip(share, 0.0, 1.0)
    return np.asarray(t**3 * (10 - 15 * t + 6 * t**2))


def unit_curves(events: Sequence[UnitEvent], pts_seconds: Float) -> Float:
    """[N, 17] intensities 0..5 in the order of AU_NAMES; where events of a unit overlap, the stronger one counts."""
    times = np.asarray(pts_seconds, float)
    out = np.zeros((len(times), len(AU_NAMES)))
    for event in events:
        column = AU_NAMES.index(event.unit)
        out[:, column] = np.maximum(out[:, column], event.at(times))
    return out


def blinks(seed: int, duration_seconds: float, every_seconds: float = _BLINK_EVERY_SECONDS) -> list[UnitEvent]:
    """AU45 events of a person who blinks every so often; the first falls within the first such span.

    Args:
        seed: of the times.
        duration_seconds: length of the clip; no blink ends after it.
        every_seconds: mean time between blinks.
    """
    rng = np.random.default_rng([seed, 0xB11])
    length = _BLINK_CLOSING + _BLINK_SHUT + _BLINK_OPENING
    events, time = [], float(rng.uniform(0.2, every_seconds))
    while time + length < duration_seconds:
        shut = time + _BLINK_CLOSING
        events.append(UnitEvent("AU45", time, shut, time + length, _SHUT, _BLINK_OPENING))
        time += max(_LEAST_BLINK_GAP, float(rng.gamma(3.0, every_seconds / 3.0)))
    return events


class MouthMotion(NamedTuple):
    """What talking adds: [N] AU25 and [N] AU26, 0..5."""

    au25: Float
    au26: Float


def mouth_from_speech(
    loudness: Float, sample_seconds: Float, pts_seconds: Float, articulation: float = 1.0
) -> MouthMotion:
    """How far the mouth opens while somebody talks.

    Args:
        loudness: [S] 0..1, envelope of the voice with its syllables (0: silence).
        sample_seconds: [S] their times, rising.
        pts_seconds: [N] times of the frames.
        articulation: 1 is usual; 0.5 mumbles.

    Raises:
        InputError: the envelope and its times differ in length.
    """
    envelope, times = np.asarray(loudness, float), np.asarray(sample_seconds, float)
    if envelope.shape != times.shape or envelope.ndim != 1 or len(envelope) < 2:
        raise InputError(f"an envelope needs one time a value, got {envelope.shape} values at {times.shape} times")
    step = (times[-1] - times[0]) / (len(times) - 1)
    sigma = max(_MOUTH_SMOOTHING_SECONDS / step, 1e-3)
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    smooth = np.convolve(np.pad(envelope, reach, mode="edge"), kernel / kernel.sum(), mode="valid")
    open_share = np.clip(np.interp(np.asarray(pts_seconds, float), times, smooth, left=0, right=0), 0, 1) * articulation
    return MouthMotion(
        np.clip(_PARTED * np.sqrt(open_share), 0, MAX_INTENSITY) * (open_share > 0.02),
        np.clip(_DROPPED * open_share, 0, MAX_INTENSITY),
    )


class HeadMotion(NamedTuple):
    """How a head moves.

    Attributes:
        rotation_degrees: [N, 3] pitch, yaw, roll.
        translation: [N, 2] shares of the face's width, right and down.
        gaze: [N, 2] -1..1, right and up in the picture.
    """

    rotation_degrees: Float
    translation: Float
    gaze: Float


def head_motion(
    seed: int,
    pts_seconds: Float,
    liveliness: float = 1.0,
    centre_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> HeadMotion:
    """A head that is never quite still, and eyes that leap.

    Args:
        seed: of the movement.
        pts_seconds: [N] rising times.
        liveliness: 0 is a statue, 1 a person who listens, 2 one who talks with the whole head.
        centre_degrees: pitch, yaw and roll about which the head moves.
    """
    rng = np.random.default_rng([seed, 0x4EAD])
    times = np.asarray(pts_seconds, float)
    sway = np.stack([_wandering(rng, times) for _ in range(5)], axis=1)
    rotation = np.asarray(centre_degrees) + liveliness * sway[:, :3] * [2.2, 3.5, 1.6]
    gaze = np.clip(min(liveliness, 1.5) * _leaping(rng, times), -1, 1)
    return HeadMotion(rotation, liveliness * sway[:, 3:] * [0.018, 0.012], gaze)


def _wandering(rng: np.random.Generator, times: Float) -> Float:
    """[N] a sum of slow sines of unit variance: 0.08 to 0.7 Hz, slower ones larger."""
    rates = rng.uniform([0.08, 0.2, 0.4], [0.2, 0.4, 0.7])
    sizes = np.array([1.0, 0.55, 0.25])
    waves = np.sin(2 * np.pi * (rates * times[:, None] + rng.random(3))) * sizes
    return np.asarray(waves.sum(axis=1) / np.sqrt(0.5 * (sizes**2).sum()))


def _leaping(rng: np.random.Generator, times: Float) -> Float:
    """[N, 2] gaze that rests for 0.5 to 2 s, mostly near the camera, and leaps in 0.05 s."""
    if len(times) == 0:
        return np.zeros((0, 2))
    starts, targets, time = [times[0] - 1.0], [np.zeros(2)], times[0]
    while time < times[-1]:
        time += rng.uniform(0.5, 2.0)
        starts.append(time)
        targets.append(rng.normal(0, [0.16, 0.1]) if rng.random() < 0.8 else rng.uniform([-0.6, -0.3], [0.6, 0.3]))
    out = np.zeros((len(times), 2)) + targets[0]
    for start, before, target in zip(starts[1:], targets, targets[1:]):
        out += _eased((times - start) / 0.05)[:, None] * (target - before)
    return out
