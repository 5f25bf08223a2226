"""Who the main person is, and who speaks: known mouths, known sound."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import SIZE, STUDIO, follow

from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.face.geometry import FEATURE_NAMES
from emotion_llama.face.people import (
    WEIGHTS,
    find_speaker,
    lip_speed,
    match_sound,
    mouth_opening,
    rank_people,
    speaking_share,
    why_not_speaking,
)
from emotion_llama.records import FaceTrack, VoiceTrack
from merr_synth.render.face import ANNA, BEN, DrawnFace, Placement, jaw_drop

FPS = 25.0
FRAME_SIZE = (640, 400)


def person(track_id: int, opening, *, height: float = 100.0, seen=None, nods_degrees: float = 0.0) -> FaceTrack:
    """A track of a face of `height` px whose lips are `opening` cm apart."""
    n = len(opening)
    seen = np.ones(n, bool) if seen is None else seen
    features = np.zeros((n, len(FEATURE_NAMES)), np.float32)
    features[:, FEATURE_NAMES.index("lip_gap")] = opening
    boxes = np.tile([100.0, 50.0, 180.0, 50.0 + height], (n, 1))
    features[~seen], boxes[~seen] = np.nan, np.nan
    nods = np.outer(nods_degrees * np.sin(np.arange(n)), [1.0, 0.0, 0.0])
    return FaceTrack(
        track_id, FRAME_SIZE, np.arange(n) / FPS, np.arange(n), seen, boxes, np.ones(n), np.zeros((n, 5, 2)), nods,
        features, np.zeros(1),
    )  # fmt: skip


def syllables(seconds: float, start: float, end: float, rate_hz: float = 4.0, lag: float = 0.0):
    """Opening [N] of lips that speak from `start` to `end`, 1 cm wide, in bursts of 0.5 s with pauses of 0.3 s."""
    times = np.arange(round(seconds * FPS)) / FPS - lag
    speaking = (times >= start) & (times < end) & ((times - start) % 0.8 < 0.5)
    return np.where(speaking, np.abs(np.sin(np.pi * rate_hz * times)), 0.0)


def voice(seconds: float, spans) -> VoiceTrack:
    """Sound of 10 ms frames, -20 dB within `spans` of (start, end) and -70 dB outside."""
    times = np.arange(round(seconds * 100)) / 100 + 0.005
    spoken = np.zeros(len(times), bool)
    for start, end in spans:
        spoken |= (times >= start) & (times < end)
    nan = np.full(len(times), np.nan)
    level = np.where(spoken, -20.0, -70.0)
    return VoiceTrack(times, nan, level, nan, nan, level, spoken, np.zeros((len(times), 2)))


def bursts(start: float, end: float) -> list[tuple[float, float]]:
    """The speaking times of `syllables`."""
    return [(float(t), float(min(t + 0.5, end))) for t in np.arange(start, end - 0.01, 0.8)]


def rank(tracks, sound=None):
    return rank_people(tracks, FRAME_SIZE, {t.track_id: mouth_opening(t) for t in tracks}, sound)


# --- ranking ----------------------------------------------------------------------------------------------------------


def test_weights_are_a_whole() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


def test_silent_clip_goes_by_size_and_time() -> None:
    """Half as large but always there: (0.35 x 0.5 + 0.3 x 1) / 0.65 against (0.35 x 1 + 0.3 x 0.25) / 0.65."""
    still = np.zeros(100)
    small = person(0, still, height=60)
    large = person(1, still, height=120, seen=np.arange(100) < 25)
    first, second = rank([small, large])
    assert (first.track_id, first.is_main, second.is_main) == (0, True, False)
    assert first.score == pytest.approx((0.35 * 0.5 + 0.3) / 0.65)
    assert second.score == pytest.approx((0.35 + 0.3 * 0.25) / 0.65)
    assert (first.share_in_view, first.height_share, first.sound_match) == (1.0, 0.15, None)
    assert (
        first.why == "in view 100 % of the time, face (15 % of the picture height), no speech to compare the mouth with"
    )
    assert second.why.startswith("in view 25 % of the time, largest face (30 % of the picture height)")


def test_the_one_who_speaks_is_the_main_one() -> None:
    """Same size and time: the sound decides, and the sentence holds the numbers."""
    silent, talking = person(0, np.zeros(250), height=105), person(1, syllables(10, 1, 9), height=100)
    first, second = rank([silent, talking], voice(10, bursts(1, 9)))
    assert first.track_id == 1
    assert first.sound_match.correlation > 0.6
    assert first.why == (
        "in view 100 % of the time, face (25 % of the picture height), "
        f"mouth moves with the sound (r = {first.sound_match.correlation:.2f})"
    )
    # Lips that never move cannot be compared, and count as not going with the sound.
    assert second.sound_match is None
    assert second.score == pytest.approx(0.35 + 0.3)


def test_mouth_that_does_not_go_with_the_sound() -> None:
    """Slow chewing (not near the rhythm of the speech: 1.25 bursts a second) while somebody off screen speaks."""
    chewing = person(0, np.abs(np.sin(np.arange(250) / FPS * np.pi * 0.45)))
    (ranked,) = rank([chewing], voice(10, bursts(1, 9)))
    assert ranked.sound_match.correlation < ranked.sound_match.by_chance
    assert ranked.why.endswith(
        f"mouth not clearly with the sound (r = {ranked.sound_match.correlation:.2f}, by chance up to 0.33)"
    )
    assert "largest" not in ranked.why  # one person alone is not the largest of anything


def test_equal_people_are_ranked_by_first_appearance() -> None:
    assert [p.track_id for p in rank([person(i, np.zeros(50)) for i in range(3)])] == [0, 1, 2]


def test_nobody() -> None:
    assert rank([]) == ()


def test_missing_mouth_is_named() -> None:
    with pytest.raises(InputError, match=r"lacks the tracks \[1\]"):
        rank_people([person(0, np.zeros(9)), person(1, np.zeros(9))], FRAME_SIZE, {0: np.zeros(9)}, None)


# --- lips and sound ---------------------------------------------------------------------------------------------------


def test_lip_speed_of_a_steady_opening() -> None:
    """0.1 cm a frame at 25 fps is 2.5 cm/s; closing counts alike; around a missing frame nothing is known."""
    opening = np.array([0.0, 0.1, 0.2, 0.3, 0.2, 0.1, np.nan, 0.1, 0.1, 0.1])
    speed = lip_speed(np.arange(10) / FPS, opening)
    assert speed[[1, 2, 4]] == pytest.approx([2.5, 2.5, 2.5])
    assert speed[3] == pytest.approx(0.0)
    assert np.isnan(speed[[0, 5, 7, 9]]).all()
    assert speed[8] == pytest.approx(0.0)
    assert np.isnan(lip_speed(np.arange(2) / FPS, np.zeros(2))).all()


@pytest.mark.parametrize("lag", [-0.12, 0.0, 0.12])
def test_sound_may_come_a_little_before_or_after_the_lips(lag: float) -> None:
    lips = syllables(10, 1, 9, lag=lag)
    times = np.arange(250) / FPS
    shifted = match_sound(times, lips, voice(10, bursts(1, 9)))
    exact = match_sound(times, syllables(10, 1, 9), voice(10, bursts(1, 9)))
    assert shifted.correlation == pytest.approx(exact.correlation, abs=0.05)
    assert (exact.seconds, exact.by_chance) == pytest.approx((9.92, 1.05 / 9.92**0.5))


def test_sound_half_a_second_late_is_not_the_lips() -> None:
    times = np.arange(250) / FPS
    late = match_sound(times, syllables(10, 1, 9, lag=-0.4), voice(10, bursts(1, 9)))
    exact = match_sound(times, syllables(10, 1, 9), voice(10, bursts(1, 9)))
    assert late.correlation < exact.correlation - 0.4


def test_no_correlation_without_sound_speech_time_or_movement() -> None:
    times, lips = np.arange(250) / FPS, syllables(10, 1, 9)
    assert match_sound(times, lips, None) is None
    assert match_sound(times, lips, voice(0, [])) is None
    assert match_sound(times, lips, voice(10, [])) is None  # nobody speaks: loudness never changes
    assert match_sound(times[:45], lips[:45], voice(10, bursts(1, 9))) is None  # 1.8 s
    assert match_sound(times, np.zeros(250), voice(10, bursts(1, 9))) is None
    assert match_sound(times, np.full(250, np.nan), voice(10, bursts(1, 9))) is None


@pytest.mark.parametrize(
    ("lips", "sound", "why"),
    [
        (syllables(10, 1, 9), None, "no speech to compare the mouth with"),
        (syllables(10, 1, 9), voice(10, []), "no speech to compare the mouth with"),
        (syllables(1.8, 0, 2), voice(1.8, [(0.0, 1.8)]), "mouth seen for 1.7 s, too short to compare with the sound"),
        (np.zeros(250), voice(10, bursts(1, 9)), "mouth never moves"),
        (syllables(3, 0, 3), voice(9, [(5.0, 9.0)]), "no speech while the mouth is in view"),
        (
            syllables(10, 1, 9),
            voice(11, [(0.0, 11.0)]),
            "the sound keeps one level, so that it cannot be compared with the mouth",
        ),
    ],
)
def test_why_the_mouth_was_not_compared(lips, sound, why) -> None:
    # "No speech" once stood above two seconds of measured speech: the clip was too short to compare.
    (alone,) = rank([person(0, lips)], sound)
    assert alone.sound_match is None
    assert alone.why.endswith(f", {why}")


def test_unrelated_lips_seldom_exceed_the_chance_level() -> None:
    """5 % by construction; at most 10 % of 60 pairs of 8 s."""
    rng = np.random.default_rng(3)
    above = 0
    for _ in range(60):
        lips = np.convolve(rng.normal(size=204), np.hanning(5), "valid")[:200]
        level = np.convolve(rng.normal(size=840), np.hanning(40), "valid")[:800]
        sound = voice(8, [(0, 8)])
        sound = VoiceTrack(
            sound.times_seconds, sound.f0_hz, -25 + 6 * level / level.std(), sound.f0_hz, sound.f0_hz,
            sound.loudness_db, sound.is_speech, sound.envelope,
        )  # fmt: skip
        match = match_sound(np.arange(200) / FPS, lips, sound)
        above += match.correlation > match.by_chance
    assert above <= 6


# --- who speaks when --------------------------------------------------------------------------------------------------


def test_share_of_the_speech_with_moving_lips() -> None:
    """Speech from 2 to 6 s, lips only from 2 to 4 s: half of it (give or take the smoothing of 0.3 s)."""
    times = np.arange(200) / FPS
    lips = np.where((times >= 2) & (times < 4), np.abs(np.sin(np.pi * 4 * times)), 0.0)
    track = person(0, lips)
    sound = voice(8, [(2, 6)])
    assert speaking_share(track, sound, 0, 8) == pytest.approx(0.5, abs=0.05)
    assert speaking_share(track, sound, 2, 4) == pytest.approx(1.0, abs=0.02)
    assert speaking_share(track, sound, 4.2, 6) == 0.0
    assert speaking_share(track, sound, 6.5, 8) is None  # no speech there
    assert speaking_share(person(1, lips, seen=times > 7), sound, 0, 8) is None  # not in view during the speech
    assert speaking_share(track, voice(0, []), 0, 8) is None


def test_speaker_of_each_turn() -> None:
    """A dialogue: one speaks from 0 to 4 s, the other from 4 to 8 s."""
    tracks = [person(0, syllables(8, 0, 4)), person(1, syllables(8, 4, 8))]
    sound = voice(8, bursts(0, 4) + bursts(4, 8))
    assert find_speaker(tracks, sound, 0, 4)[0] == 0
    track_id, why = find_speaker(tracks, sound, 4, 8)
    assert track_id == 1
    assert why.startswith("lips move during ")


def test_voice_of_nobody_in_view() -> None:
    still = [person(0, np.zeros(200)), person(1, np.zeros(200))]
    sound = voice(8, [(1, 7)])
    assert find_speaker(still, sound, 0, 8) == (None, "nobody's lips move during the speech (at most 0 % of it)")
    assert find_speaker([], sound, 0, 8) == (None, "no face is in view during the speech")


def test_lips_that_rest_do_not_speak() -> None:
    """A voice beside a silent face was taken for the face's; of a photograph nobody can say who speaks."""
    sound = voice(8, bursts(1, 7))
    silent = person(0, np.zeros(200), nods_degrees=2)
    assert why_not_speaking(silent, sound, 0, 8) == "the lips move in 0 % of 4.0 s of speech"
    assert why_not_speaking(person(0, np.zeros(200)), sound, 0, 8) is None  # a photograph
    assert why_not_speaking(silent, voice(8, [(1, 2)]), 0, 8) is None  # too little speech
    assert why_not_speaking(person(0, syllables(8, 1, 7), nods_degrees=2), sound, 0, 8) is None  # lips that speak
    mumbled = person(0, 0.12 * syllables(8, 1, 7), nods_degrees=2)  # below what counts as moving, and with the sound
    assert speaking_share(mumbled, sound, 0, 8) == 0.0
    assert why_not_speaking(mumbled, sound, 0, 8) is None
    slow = replace(silent, pts_seconds=silent.pts_seconds * 2)  # 12.5 frames a second show no syllables
    assert why_not_speaking(slow, voice(16, bursts(1, 14)), 0, 16) is None


def test_through_drawing_and_mediapipe() -> None:
    """Drawn lips of Ben speak, Anna's head moves with closed lips; the mesh is trembling as it does in real life."""
    lips = syllables(6, 0.5, 5.5)

    def scene(i):
        nod = (6 * np.sin(i / 8), 12 * np.sin(i / 11), 0.0)
        return [
            DrawnFace(ANNA, Placement((180.0, 170.0), 120.0, nod)),
            DrawnFace(BEN, Placement((460.0, 170.0), 120.0), jaw_drop(float(lips[i]))),
        ], STUDIO

    with load_backend("onnx_mesh") as backend:
        tracks, _ = follow(scene, 150, backend=backend)
    anna, ben = sorted(tracks, key=lambda t: float(np.nanmean(t.boxes_xyxy[:, 0])))
    sound = voice(6, bursts(0.5, 5.5))
    assert find_speaker(tracks, sound, 0, 6)[0] == ben.track_id
    assert speaking_share(ben, sound, 0, 6) > 0.9
    assert speaking_share(anna, sound, 0, 6) < 0.1
    first, _ = rank_people(tracks, SIZE, {t.track_id: mouth_opening(t) for t in tracks}, sound)
    assert first.track_id == ben.track_id
    assert first.sound_match.correlation > 0.5
