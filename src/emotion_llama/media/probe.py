"""Find out what a media file is, and that it can be decoded at all, without decoding it all."""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.errors import MediaError
from emotion_llama.media.audio import Channels
from emotion_llama.media.channels import find_weights
from emotion_llama.media.container import MAX_CHANNELS, Media, Warn, log_warning, path_of
from emotion_llama.media.hdr import NAMES
from emotion_llama.media.reader import ClipFile
from emotion_llama.media.refused import explain
from emotion_llama.media.sampling import Pace, measure_pace
from emotion_llama.media.streams import tagged_seconds
from emotion_llama.records import AudioInfo, Clip, VideoInfo

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SAMPLE_PACKETS = 256  # video packets whose times show the pace where not all are known: ten seconds
_FIRST_FRAME_PACKETS = 300  # a stream that shows nothing in so many packets is taken for broken
_MOST_PACKETS = 20_000  # of all streams together, so that a stream that never begins ends the search
_HEARD_SECONDS = 5.0  # of sound that is not silent, which show how the channels go together
_HEARD_PACKETS = 3000
_SILENT_PEAK = 1e-3
_SAID_SECONDS = 0.1
_HASH_BYTES = 1 << 20
_SAME_RATE = 0.01  # a header's rate that differs by less from the measured one is the exact form of it
_SANE_PIXEL_ASPECT = (Fraction(1, 4), Fraction(4))


def probe(path: str | os.PathLike[str], *, warn: Warn = log_warning) -> Clip:
    """What a file is: its streams, length, pace, upright size and content hash; see `open_clip`."""
    with open_clip(path, warn=warn) as file:
        return file.clip


@contextmanager
def open_clip(
    path: str | os.PathLike[str],
    *,
    warn: Warn = log_warning,
    check: Callable[[Media], None] | None = None,
    audio_track: int | None = None,
) -> Iterator[ClipFile]:
    """A file held open, with the record of what it is; nothing that is decoded here is decoded again by its readers.

    The first picture and the first sound are decoded. The times of all packets are read first, without decoding, in
    files up to 32 MiB and where a container's header may be wrong; they give the length, the pace, and the places where
    stored times restart, from which on the recording goes on without a gap. Widths are of square pixels (an anamorphic
    picture counts as wide as it is shown).

    Args:
        path: a local media file.
        warn: is given one line for each stream that cannot be decoded while the other one can (it is then None in the
            clip), for each choice among several, and for what else is unusual. By default it is logged.
        check: looks at the header before anything is decoded; what it raises is passed on.
        audio_track: which of the sound tracks to read, from 1; by default `container.open_media` chooses.

    Raises:
        MediaError: it is no readable media file (see `open_media`), or nothing in it can be decoded.
    """
    path = path_of(path)
    with ClipFile(path, audio_track=audio_track, check=check) as file:
        tracks = len(file.media.container.streams.audio)
        if audio_track is not None and not 1 <= audio_track <= tracks:
            raise MediaError(path, f"it has no sound track {audio_track}, for it has {tracks}", "give a track it has")
        first = _First(file)
        first.read()
        video, audio = first.video_info(), first.audio_info()
        problems = list(_undecodable(file.media, video, audio))
        if video is None and audio is None:
            problem = "; ".join(problems) or "it holds neither video nor sound"
            raise MediaError(path, problem, "give the recording itself, or copy it again")
        problems += [*file.media.notes, *first.notes, *_joints(file.media), *file.look_behind(_last_byte(file))]
        problems += _cut_short(path, file, audio)
        file.problems = tuple(problems)
        for problem in problems:
            warn(problem)
        file.clip = Clip(path, file_sha256(path), _duration_seconds(file, video), video, audio)
        yield file


class _First:
    """The first picture and the first sound of an open file, and what they show."""

    def __init__(self, file: ClipFile) -> None:
        self.notes: list[str] = []
        self._file, self._media, self._shared = file, file.media, file.packets
        self._picture: VideoFrame | None = None
        self._sounds: list[AudioFrame] = []
        self._channels = Channels()
        self._heard_seconds = 0.0
        self._packets = {"video": 0, "audio": 0}

    def read(self) -> None:
        """Read packets until all is known, or a limit is reached, or the data ends."""
        from av.error import FFmpegError

        for _ in range(_MOST_PACKETS):
            try:
                packet = self._shared.read()
            except FFmpegError:
                return  # what was read before the damage still counts
            if packet is None:
                return
            self._packets[packet.stream.type] += 1
            if self._picture is None and self._shared.video is not None:
                self._picture = self._shared.video.first_queued()
            if self._shared.audio is not None and self._wants_audio():
                for frame in self._shared.audio.decode_queued():
                    self._hear(frame)
            if not (self._wants_video() or self._wants_audio()):
                return

    def _wants_video(self) -> bool:
        read, known = self._packets["video"], self._file.survey is not None and self._file.survey.is_whole
        return self._media.video is not None and (
            (read < _SAMPLE_PACKETS and not known) or (self._picture is None and read < _FIRST_FRAME_PACKETS)
        )

    def _wants_audio(self) -> bool:
        if self._media.audio is None:
            return False
        if not self._sounds:
            return self._packets["audio"] < _FIRST_FRAME_PACKETS
        return self._heard_seconds < _HEARD_SECONDS and sum(self._packets.values()) < _HEARD_PACKETS

    def _hear(self, frame: AudioFrame) -> None:
        channels = frame.layout.nb_channels
        if not 1 < channels <= MAX_CHANNELS:
            self._heard_seconds = math.inf  # nothing to find out
        elif any(float(np.abs(part).max(initial=0)) > _SILENT_PEAK for part in self._channels(frame)):
            self._heard_seconds += frame.samples / frame.sample_rate
        self._sounds.append(frame)

    def video_info(self) -> VideoInfo | None:
        """The video's record; None where no picture was decoded. MediaError where its pictures have no times."""
        stream, picture, file = self._media.video, self._picture, self._file
        if stream is None or picture is None:
            return None
        survey = file.survey or self._shared.survey
        pace, times = _pace(file, stream), survey.times(stream.index).pts
        count, at = int(np.isfinite(times).sum()), float(np.fmin.reduce(times, initial=np.nan))
        if count > 1 and pace.fps is None:
            raise MediaError(
                file.path,
                f"0 frames per second: {count} pictures share the time {at:.2f} s",
                "write it again at a known rate (ffmpeg -r 25 -i IN OUT)",
            )
        if picture.color_trc in NAMES:
            self.notes.append(f"video: high dynamic range ({NAMES[picture.color_trc]}), mapped to the ordinary range")
        turns, is_mirrored = _orientation(picture)
        width, height = _square_pixels(stream, picture)
        return VideoInfo(
            width=height if turns % 2 else width,
            height=width if turns % 2 else height,
            fps=_rate(file, stream, pace.fps),
            is_variable_frame_rate=pace.is_variable,
            rotation_degrees=90 * turns,
            codec=stream.codec_context.name,
            pixel_format=picture.format.name,
            is_mirrored=is_mirrored,
            track=self._media.video_track,
        )

    def audio_info(self) -> AudioInfo | None:
        """The sound's record; None where nothing of it was decoded."""
        stream = self._media.audio
        if stream is None or not self._sounds:
            return None
        sound = self._sounds[0]
        count = sound.layout.nb_channels
        weights: tuple[float, ...] = ()
        if 1 < count <= MAX_CHANNELS:
            alike = [frame for frame in self._sounds if frame.layout.name == sound.layout.name]
            heard = [part for frame in alike for part in self._channels(frame)]
            weights, line = find_weights(np.concatenate(heard, axis=1), [c.name for c in sound.layout.channels])
            self.notes += [line] if line else []
        return AudioInfo(sound.sample_rate, count, stream.codec_context.name, self._media.audio_track, weights)


def _orientation(picture: VideoFrame) -> tuple[int, bool]:
    """Quarter turns clockwise that make the picture upright, and whether it is mirrored left to right before them.

    By the whole matrix [p q 1] x [a b u; c d v; x y w] that the file gives (ISO/IEC 14496-12, 6.2.2).
    """
    from av.sidedata.sidedata import Type

    sides: Any = picture.side_data  # iterating gives values until PyAV 18, keys from 19 on; both look up by kind
    matrix = sides.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    is_mirrored = a * d - b * c < 0
    sign = -1 if is_mirrored else 1
    return round(math.atan2(sign * b, sign * a) / (math.pi / 2)) % 4, is_mirrored


def _undecodable(media: Media, video: VideoInfo | None, audio: AudioInfo | None) -> list[str]:
    """One line for each kind of stream that is in the file and shows or sounds nothing."""
    from av.stream import Disposition

    lines = []
    moving = [s for s in media.container.streams.video if not Disposition(s.disposition) & Disposition.attached_pic]
    for what, streams, found in (("video", moving, video), ("sound", media.container.streams.audio, audio)):
        if streams and found is None:
            context = streams[0].codec_context
            lines.append(
                f"its {what} ({context.name}) cannot be decoded" if context else f"its {what} is of an unknown codec"
            )
    return lines


def _square_pixels(stream: VideoStream, picture: VideoFrame) -> tuple[int, int]:
    """Size as stored, widened where the pixels are not square, so that faces keep their shape."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    low, high = _SANE_PIXEL_ASPECT
    aspect = aspect if low <= aspect <= high else Fraction(1)
    return max(round(picture.width * aspect), 1), picture.height


def _pace(file: ClipFile, stream: VideoStream) -> Pace:
    """Frame rate by the times of all packets; of the first ones, or of the index, where the header can be trusted."""
    tick = float(stream.time_base or 0)
    survey = file.survey or file.packets.survey
    if not survey.is_whole and len(stream.index_entries) == stream.frames > 1:
        return measure_pace([entry.timestamp * tick for entry in stream.index_entries], tick)
    return survey.pace(stream.index, tick, file.media.joins)


def _rate(file: ClipFile, stream: VideoStream, measured_fps: float | None) -> float:
    """Average frames per second: the measured rate, in the header's exact form where that is the same one."""
    stated = float(stream.average_rate or stream.guessed_rate or 0)
    if measured_fps is None:
        return stated if stated > 0 else 1.0 / _duration_seconds(file, None)
    return stated if abs(stated - measured_fps) < _SAME_RATE * measured_fps else measured_fps


def _duration_seconds(file: ClipFile, video: VideoInfo | None) -> float:
    """From zero to the end of the last picture or sound, of the streams that are read."""
    media, zero = file.media, float(file.media.zero_seconds)
    survey = file.survey or file.packets.survey
    ends: dict[str, float] = {}
    for stream in media.streams:
        base = stream.time_base or Fraction(1, 1_000_000)
        tagged = tagged_seconds(stream)
        end: float | None = None
        is_restated = media.joins or media.strays
        if stream.duration is not None and not is_restated and media.format_names & {"mov", "wav"}:
            end = float(((stream.start_time or 0) + stream.duration) * base)
        elif survey.is_whole:
            gap = 1 / video.fps if video is not None and stream.type == "video" else 0.0
            end = survey.end_seconds(stream.index, media.joins, gap)
            if end is None and video is not None and stream.type == "video":
                end = zero + survey.count(stream.index) / video.fps
        elif tagged is not None:
            end = float(tagged)
        if end is not None:
            ends[stream.type] = end - zero
    stated = (media.container.duration or 0) / 1_000_000
    file.picture_seconds = ends.get("video", stated)
    return max(ends.values(), default=stated) or stated


def _joints(media: Media) -> list[str]:
    """A line where stored times restart, for what was joined, and where they are wild."""
    lines = []
    joints = max((len(found) for found in media.joins.values()), default=0)
    if joints:
        what = "once" if joints == 1 else f"{joints} times"
        lines.append(f"the file's times restart {what}: the parts were joined, each at the end of the one before")
    for stream in media.streams:
        times = [dts - float(media.zero_seconds) for dts, _, _ in media.strays.get(stream.index, {}).values()]
        if times:
            what = "video" if stream.type == "video" else "sound"
            count = "1 packet has a wild time" if len(times) == 1 else f"{len(times)} packets have wild times"
            lines.append(f"{what}: {count}, first after {times[0]:.1f} s; what they hold follows what is before them")
    return lines


def _cut_short(path: Path, file: ClipFile, audio: AudioInfo | None) -> list[str]:
    """One line where a WAV or MP3 file is shorter than its header states, which FFmpeg does not compare."""
    names, container, missing = file.media.format_names, file.media.container, 0.0
    with path.open("rb") as opened:
        head = opened.read(4096)
    if "wav" in names and head[:4] == b"RIFF" and 0 < (stated := int.from_bytes(head[4:8], "little")) < 0xFFFFFFFF:
        missing = 8 * max(stated + 8 - path.stat().st_size, 0) / (file.media.streams[0].codec_context.bit_rate or 1)
    elif "mp3" in names and (b"Xing" in head or b"Info" in head):
        missing = (container.duration or 0) / 1_000_000 - _duration_seconds(file, None)
    if audio is None or missing < _SAID_SECONDS:
        return []
    return [f"sound: the file ends {missing:.1f} s before the length that its header states"]


def _last_byte(file: ClipFile) -> int:
    """Where the last packet ends that the container gives."""
    survey = file.survey or file.packets.survey
    if survey.is_whole:
        return survey.end_byte
    return max(entry.pos + entry.size for stream in file.media.streams for entry in stream.index_entries)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; the file is read piece by piece."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BYTES):
                digest.update(block)
    except OSError as error:
        raise explain(path, error) from None
    return digest.hexdigest()
