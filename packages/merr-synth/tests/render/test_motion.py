"""Time courses: values worked out by hand, and the shapes that a face's movements have."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.records import AU_NAMES
from merr_synth.render.motion import UnitEvent, blinks, head_motion, mouth_from_speech, unit_curves

TIMES = np.arange(0, 4, 0.04)


def column(curves: np.ndarray, unit: str) -> np.ndarray:
    return curves[:, AU_NAMES.index(unit)]


def test_an_event_rises_holds_and_falls() -> None:
    """Minimum jerk is half way at half time and 0.1035 of the way at a quarter (10/64 - 15/256 + 6/1024)."""
    event = UnitEvent("AU12", 1.0, 1.4, 3.0, 4.0)
    values = column(unit_curves([event], np.array([0.9, 1.0, 1.1, 1.2, 1.4, 2.0, 2.6, 2.8, 3.0, 3.5])), "AU12")
    assert values == pytest.approx([0, 0, 4 * 0.103515625, 2.0, 4.0, 4.0, 4.0, 2.0, 0, 0])


def test_the_fall_has_its_own_length() -> None:
    event = UnitEvent("AU12", 1.0, 1.4, 3.0, 4.0, fall_seconds=1.0)
    assert column(unit_curves([event], np.array([2.0, 2.5, 3.0])), "AU12") == pytest.approx([4.0, 2.0, 0.0])


def test_overlapping_events_take_the_stronger() -> None:
    weak, strong = UnitEvent("AU04", 0.0, 0.5, 3.0, 2.0), UnitEvent("AU04", 1.0, 1.2, 2.0, 4.5)
    curves = unit_curves([weak, strong], np.array([0.8, 1.5]))
    assert column(curves, "AU04") == pytest.approx([2.0, 4.5])
    assert curves.sum() == pytest.approx(6.5)  # no other unit moves
    assert unit_curves([], TIMES).shape == (100, 17)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("AU99", 0, 1, 2, 3), "unknown action unit 'AU99'"),
        (("AU12", 1, 1, 2, 3), "onset < apex < offset, got 1, 1, 2"),
        (("AU12", 0, 1, 2, 5.5), "within 0..5, got 5.5"),
        (("AU12", 0, 1, 2, 3, 1.5), "within apex and offset, got 1.5"),
    ],
)
def test_impossible_events_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("'", ".").replace("(", "\\(")):
        UnitEvent(*arguments)


def test_blinks_are_short_full_and_about_as_often_as_asked() -> None:
    events = blinks(5, 600.0)
    assert events == blinks(5, 600.0)
    assert events != blinks(6, 600.0)
    onsets = np.array([event.onset_seconds for event in events])
    assert np.diff(onsets).min() >= 0.9 - 1e-9
    assert 600 / len(events) == pytest.approx(3.2, rel=0.15)
    assert {round(event.offset_seconds - event.onset_seconds, 6) for event in events} == {0.28}
    assert {event.intensity for event in events} == {5.0}
    assert events[-1].offset_seconds <= 600
    assert blinks(5, 0.1) == []


def test_the_mouth_follows_the_voice() -> None:
    """Three syllables of 5 a second: three openings, shut before and after; louder opens wider."""
    at = np.arange(0, 2, 0.01)
    loudness = np.where((at > 0.5) & (at < 1.1), np.sin(np.pi * (at - 0.5) / 0.2) ** 2, 0.0)
    frames = np.arange(0, 2, 0.02)
    mouth = mouth_from_speech(loudness, at, frames)
    inner = mouth.au26[1:-1]
    peaks = (inner > mouth.au26[:-2]) & (inner > mouth.au26[2:]) & (inner > 0.5)
    assert peaks.sum() == 3
    assert mouth.au25[frames < 0.3].max() == 0
    assert mouth.au26[frames > 1.4].max() < 1e-6
    assert mouth_from_speech(0.5 * loudness, at, frames).au26.max() == pytest.approx(0.5 * mouth.au26.max())
    assert mouth_from_speech(loudness, at, frames, articulation=0.5).au26.max() == pytest.approx(0.5 * mouth.au26.max())


def test_an_envelope_needs_its_times() -> None:
    with pytest.raises(InputError, match="one time a value"):
        mouth_from_speech(np.zeros(5), np.zeros(4), TIMES)


def test_heads_are_never_still_and_never_wild() -> None:
    motion = head_motion(3, TIMES, centre_degrees=(4.0, -10.0, 0.0))
    again = head_motion(3, TIMES, centre_degrees=(4.0, -10.0, 0.0))
    assert all(np.array_equal(a, b) for a, b in zip(motion, again))
    assert motion.rotation_degrees.shape == (100, 3)
    assert motion.translation.shape == motion.gaze.shape == (100, 2)
    statue = head_motion(3, TIMES, liveliness=0.0, centre_degrees=(4.0, -10.0, 0.0))
    assert np.allclose(statue.rotation_degrees, [4.0, -10.0, 0.0])
    assert np.allclose(statue.gaze, 0)
    for seed in range(20):
        lively = head_motion(seed, TIMES, liveliness=2.0)
        assert lively.rotation_degrees.std(axis=0).max() > 0.5
        assert np.abs(lively.rotation_degrees).max() < 25
        speed = np.abs(np.diff(lively.rotation_degrees, axis=0)).max() / 0.04
        assert speed < 90  # degrees a second: a lively head, not a shaken one
        assert np.abs(lively.gaze).max() <= 1


def test_no_frames_no_motion() -> None:
    assert head_motion(1, np.array([])).gaze.shape == (0, 2)
