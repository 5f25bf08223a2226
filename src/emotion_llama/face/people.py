"""Decides who the main person is and who speaks when: by size, time in view, and lips that go with the sound.

Legend: N analysed frames. Mouth opening is the gap between the lips in centimetres of the canonical face
(`geometry.FEATURE_NAMES`: lip_gap); lip speed is its change in cm/s without sign. Lips and loudness rise and fall
together in speech, the lips somewhat before the sound (Chandrasekaran et al., "The natural statistics of audiovisual
speech", PLoS Comput Biol 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.geometry import FEATURE_NAMES
from emotion_llama.face.occlusion import mouth_covered, turned_away
from emotion_llama.records import Bool, FaceTrack, Float, VoiceTrack, frame_seconds, time_share

# The project's own weights. Size and sound count alike: the largest face is usually the one the camera is on, and the
# one that talks is usually the one a clip is about; time in view counts a little less.
WEIGHTS: Mapping[str, float] = {"size": 0.35, "time": 0.3, "sound": 0.35}
_FULL_CORRELATION = 0.5  # a correlation that counts in full; single clips of real speech seldom reach more

_WINDOW_SECONDS = 0.3  # about one syllable and a half: single syllables need not match
_LAGS_SECONDS = tuple(float(lag) for lag in np.arange(-5, 6) * 0.03)  # -0.15 .. 0.15
_LEAST_SECONDS = 2.0  # less is too short for a correlation
_LOUDNESS_RANGE_DB = 30.0  # dynamic range of speech (ANSI S3.5-1997, Speech Intelligibility Index)
# Unrelated lips and sounds reach this correlation, divided by the square root of the seconds compared, in 5 % of
# cases (200 simulated pairs each, with this module's lags and smoothing: 0.60 for 3 s, 0.46 for 5, 0.35 for 10).
_CHANCE = 1.05
_TRUSTED_SECONDS = 5.0  # a correlation over so many seconds counts half
# Measured on drawn faces with picture noise (tests/face/test_people.py): closed lips 0.5-1.2 cm/s, 95th percentile
# 1.0 with the head still and 1.9 with it moving, because the mesh trembles; lips that part by 0.5 cm at 4 Hz 3.5 cm/s.
_MOVING_CM_PER_SECOND = 2.0
_LEAST_SPEAKING_SHARE = 0.3
_LEAST_SPEECH_SECONDS = 0.3
# Lips that rest while a voice is heard move in less of the speech than this, over at least so much of it, in pictures
# fast enough to show syllables. On the sixteen public clips of the published repository, by eye, those who speak in
# view move the lips in 24 % of the speech or more, a boy beside whom somebody else speaks in 6 %. A woman who speaks
# softly in the dark with her head bent reaches 0 % of 1.1 s: so little decides nothing.
_RESTING_SHARE, _RESTING_SECONDS, _RESTING_FPS = 0.12, 1.5, 20.0
_STILL_PICTURE_DEGREES = 0.5  # the mesh of one photograph, shown for 6 s, turns by 0.35 (standard deviation)


class RankedPerson(NamedTuple):
    """One person and how much of a main person they are.

    Attributes:
        track_id: of the FaceTrack.
        is_main: exactly one person is.
        why: the measurements behind the rank, as a sentence without full stop.
        score: 0..1, by WEIGHTS.
        share_in_view: share of the time with this face.
        height_share: median height of the face / height of the picture.
        sound_match: of lip speed with loudness; None without sound, speech or enough frames.
    """

    track_id: int
    is_main: bool
    why: str
    score: float
    share_in_view: float
    height_share: float
    sound_match: SoundMatch | None


class SoundMatch(NamedTuple):
    """How well lips and sound go together.

    Attributes:
        correlation: Pearson's r at the best lag.
        seconds: how long lips and sound could be compared.
        by_chance: what unrelated lips and sounds of that length reach in 5 % of cases.
    """

    correlation: float
    seconds: float
    by_chance: float


def mouth_opening(track: FaceTrack) -> Float:
    """[N] gap between the lips, cm of the canonical face; NaN where the face was not seen, or its mouth is covered."""
    hidden = turned_away(track) | mouth_covered(track)
    return np.where(hidden, np.nan, np.asarray(track.shape_features[:, FEATURE_NAMES.index("lip_gap")], float))


def lip_speed(pts_seconds: Float, opening: Float) -> Float:
    """[N] cm/s, from the frame before to the frame after, without sign; NaN where one of them is missing."""
    speed = np.full(len(opening), np.nan)
    if len(opening) > 2:
        speed[1:-1] = np.abs(opening[2:] - opening[:-2]) / np.maximum(pts_seconds[2:] - pts_seconds[:-2], 1e-6)
    return speed


def rank_people(
    tracks: Sequence[FaceTrack],
    frame_size: tuple[int, int],
    mouth_opening_by_track: Mapping[int, Float],
    voice: VoiceTrack | None,
) -> tuple[RankedPerson, ...]:
    """The people of a clip, the main one first.

    The score is the weighted mean (WEIGHTS) of: size, the median face height relative to the largest face; time, the
    share of the time in view; sound, the correlation r of lip speed and loudness over d seconds, as r / 0.5 x d /
    (d + 5) within 0..1, since short stretches correlate by chance. Where no correlation can be had of anybody, the
    other two weights make up the whole. Equal scores: first seen first.

    Args:
        tracks: one per person, of one clip.
        frame_size: width and height the tracks' boxes refer to.
        mouth_opening_by_track: track_id -> [N], see `mouth_opening`.
        voice: the clip's sound, or None.

    Raises:
        InputError: a track without its mouth opening.
    """
    missing = [track.track_id for track in tracks if track.track_id not in mouth_opening_by_track]
    if missing:
        raise InputError(f"mouth_opening_by_track lacks the tracks {missing}; give mouth_opening(track) of each")
    heights = [_height_share(track, frame_size[1]) for track in tracks]
    times = [time_share(track.pts_seconds, track.valid) for track in tracks]
    sounds = [match_sound(t.pts_seconds, mouth_opening_by_track[t.track_id], voice) for t in tracks]
    has_sound = any(sound is not None for sound in sounds)
    ranked = []
    for track, height, time, sound in zip(tracks, heights, times, sounds):
        size = height / max(heights)
        score = _score(size, time, _sound_score(sound) if has_sound else None)
        is_largest = height == max(heights) and len(tracks) > 1
        heard = (
            _heard(sound) if sound else _why_unmatched(track.pts_seconds, mouth_opening_by_track[track.track_id], voice)
        )
        why = _why(time, height, is_largest=is_largest, heard=heard)
        ranked.append(RankedPerson(track.track_id, False, why, score, time, height, sound))
    ranked.sort(key=lambda person: (-person.score, person.track_id))
    return tuple(person._replace(is_main=i == 0) for i, person in enumerate(ranked))


def match_sound(pts_seconds: Float, opening: Float, voice: VoiceTrack | None) -> SoundMatch | None:
    """Correlation of lip speed and speech loudness, both averaged over 0.3 s, at the best of lags within +-0.15 s.

    None when there is no voice, less than 2 s of frames with a mouth, or one of the two never changes.
    """
    if voice is None or not len(voice.times_seconds):
        return None
    speed = _smooth(lip_speed(pts_seconds, opening), _frames_of(_WINDOW_SECONDS, pts_seconds))
    loudness = _smooth(_speech_level(voice), _frames_of(_WINDOW_SECONDS, voice.times_seconds))
    known = np.isfinite(speed)
    seconds = float(frame_seconds(pts_seconds)[known].sum())
    if seconds < _LEAST_SECONDS or np.ptp(speed[known]) < 1e-6:
        return None
    heard = [np.interp(pts_seconds[known] + lag, voice.times_seconds, loudness) for lag in _LAGS_SECONDS]
    found = [float(np.corrcoef(speed[known], sound)[0, 1]) for sound in heard if np.ptp(sound) > 1e-6]
    return SoundMatch(max(found), seconds, min(1.0, _CHANCE / seconds**0.5)) if found else None


def speaking_share(track: FaceTrack, voice: VoiceTrack, start_seconds: float, end_seconds: float) -> float | None:
    """Share of the speech within a stretch of time during which this person's lips move.

    Of the time with speech and with the face in view; lips move where their speed, averaged over 0.3 s,
    is above 2 cm/s. None when there is less than 0.3 s of such frames.
    """
    speed = _smooth(lip_speed(track.pts_seconds, mouth_opening(track)), _frames_of(_WINDOW_SECONDS, track.pts_seconds))
    within = (track.pts_seconds >= start_seconds) & (track.pts_seconds < end_seconds)
    counted = within & np.isfinite(speed) & _is_spoken(voice, track.pts_seconds)
    if frame_seconds(track.pts_seconds)[counted].sum() < _LEAST_SPEECH_SECONDS:
        return None
    return float(np.average(speed[counted] > _MOVING_CM_PER_SECOND, weights=frame_seconds(track.pts_seconds)[counted]))


def find_speaker(
    tracks: Sequence[FaceTrack], voice: VoiceTrack, start_seconds: float, end_seconds: float
) -> tuple[int | None, str]:
    """Who speaks in a stretch of time, and why: whose lips move during most of the speech, at least 30 % of it.

    The track's id is None where nobody's lips tell.
    """
    shares = [(speaking_share(track, voice, start_seconds, end_seconds), track.track_id) for track in tracks]
    known = [(share, track_id) for share, track_id in shares if share is not None]
    if not known:
        return (None, "no face is in view during the speech")
    share, track_id = max(known, key=lambda pair: (pair[0], -pair[1]))
    if share < _LEAST_SPEAKING_SHARE:
        return (None, f"nobody's lips move during the speech (at most {100 * share:.0f} % of it)")
    return (track_id, f"lips move during {100 * share:.0f} % of the speech")


def why_not_speaking(track: FaceTrack, voice: VoiceTrack, start_seconds: float, end_seconds: float) -> str | None:
    """Why a voice is not that of a person in view: their lips rest. None where they move, or where that cannot be told.

    It is told from 1.5 s of speech with the mouth in view, at 20 frames a second or more, of a face that is alive: of a
    photograph nobody can say who speaks. Lips that follow the loudness more than by chance speak, however little.
    """
    within = (track.pts_seconds >= start_seconds) & (track.pts_seconds < end_seconds)
    seen = within & track.valid
    if seen.sum() < 2 or 1 / _step(track.pts_seconds) < _RESTING_FPS:
        return None
    if float(np.max(np.std(track.head_pose_degrees[seen], axis=0))) < _STILL_PICTURE_DEGREES:
        return None
    opening = mouth_opening(track)
    heard = frame_seconds(track.pts_seconds)[seen & np.isfinite(opening) & _is_spoken(voice, track.pts_seconds)].sum()
    share = speaking_share(track, voice, start_seconds, end_seconds)
    if heard < _RESTING_SECONDS or share is None or share >= _RESTING_SHARE:
        return None
    match = match_sound(track.pts_seconds[within], opening[within], voice)
    if match is not None and match.correlation > match.by_chance:
        return None
    return f"the lips move in {100 * share:.0f} % of {heard:.1f} s of speech"


def _sound_score(sound: SoundMatch | None) -> float:
    if sound is None:
        return 0.0
    trust = sound.seconds / (sound.seconds + _TRUSTED_SECONDS)
    return float(np.clip(sound.correlation / _FULL_CORRELATION * trust, 0.0, 1.0))


def _score(size: float, time: float, sound: float | None) -> float:
    parts = {"size": size, "time": time}
    if sound is not None:
        parts["sound"] = sound
    return sum(WEIGHTS[name] * value for name, value in parts.items()) / sum(WEIGHTS[name] for name in parts)


def _heard(sound: SoundMatch) -> str:
    if sound.correlation > sound.by_chance:
        return f"mouth moves with the sound (r = {sound.correlation:.2f})"
    return f"mouth not clearly with the sound (r = {sound.correlation:.2f}, by chance up to {sound.by_chance:.2f})"


def _why_unmatched(pts_seconds: Float, opening: Float, voice: VoiceTrack | None) -> str:
    """What `match_sound` lacked."""
    if voice is None or not voice.is_speech.any():
        return "no speech to compare the mouth with"
    speed = lip_speed(pts_seconds, opening)
    known = np.isfinite(speed)
    seconds = float(frame_seconds(pts_seconds)[known].sum())
    if seconds < _LEAST_SECONDS:
        return f"mouth seen for {seconds:.1f} s, too short to compare with the sound"
    if not (_is_spoken(voice, pts_seconds) & known).any():
        return "no speech while the mouth is in view"
    if np.ptp(speed[known]) < 1e-6:
        return "mouth never moves"
    return "the sound keeps one level, so that it cannot be compared with the mouth"


def _why(time: float, height: float, *, is_largest: bool, heard: str) -> str:
    size = f"{'largest face' if is_largest else 'face'} ({100 * height:.0f} % of the picture height)"
    return f"in view {100 * time:.0f} % of the time, {size}, {heard}"


def _height_share(track: FaceTrack, frame_height: int) -> float:
    boxes = track.boxes_xyxy[track.valid]
    return float(np.median(boxes[:, 3] - boxes[:, 1])) / frame_height


def _speech_level(voice: VoiceTrack) -> Float:
    """[T] 0 in pauses, up to 1 at the loudest speech, linear in dB over 30 dB."""
    if not voice.is_speech.any():
        return np.zeros(len(voice.times_seconds))
    loudest = float(np.percentile(voice.loudness_db[voice.is_speech], 95))
    level = np.clip(1.0 + (voice.loudness_db - loudest) / _LOUDNESS_RANGE_DB, 0.0, 1.0)
    return np.where(voice.is_speech, level, 0.0)


def _is_spoken(voice: VoiceTrack, pts_seconds: Float) -> Bool:
    """[N] bool: voice activity at the time of each frame."""
    if not len(voice.times_seconds):
        return np.zeros(len(pts_seconds), bool)
    nearest = np.clip(np.searchsorted(voice.times_seconds, pts_seconds), 0, len(voice.times_seconds) - 1)
    covered = pts_seconds <= voice.times_seconds[-1] + 0.05
    return np.asarray(voice.is_speech[nearest] & covered)


def _smooth(values: Float, window: int) -> Float:
    """Moving mean over the finite values; NaN stays where the value itself is NaN."""
    known = np.isfinite(values)
    kernel = np.ones(window)
    total = np.convolve(np.where(known, values, 0.0), kernel, "same")[: len(values)]
    count = np.convolve(known.astype(float), kernel, "same")[: len(values)]
    return np.where(known, total / np.maximum(count, 1.0), np.nan)


def _frames_of(seconds: float, times: Float) -> int:
    """Number of frames of a span, odd and within what there is."""
    frames = max(1, round(seconds / _step(times)))
    return min(frames | 1, max(1, (len(times) - 1) | 1))


def _step(times: Float) -> float:
    """Typical time between two frames, seconds."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0
