"""Find out what a media file is, and that it can be decoded at all, without decoding it all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import MediaError
from emotion_llama.media.container import Media, Warn, explain, log_warning, open_media, path_of, read_packets
from emotion_llama.media.reader import ClipFile
from emotion_llama.media.sampling import measure_pace
from emotion_llama.records import AudioInfo, Clip, VideoInfo

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SAMPLE_PACKETS = 256  # video packets whose times show the pace: ten seconds of an ordinary clip
_FIRST_FRAME_PACKETS = 300  # a stream that shows nothing in so many packets is taken for broken
_MOST_PACKETS = 20_000  # of all streams together, so that a stream that never begins ends the search
_HASH_BYTES = 1 << 20
# A rate that differs more than this from the sampled one is the container's clock, not its pictures (old AVI and FLV).
_RATE_FACTOR = 2.5
_SANE_PIXEL_ASPECT = (Fraction(1, 4), Fraction(4))


def probe(path: str | os.PathLike[str], *, warn: Warn = log_warning) -> Clip:
    """What a file is: its streams, length, pace, upright size and content hash; see `open_clip`."""
    with open_clip(path, warn=warn) as file:
        return file.clip


@contextmanager
def open_clip(
    path: str | os.PathLike[str], *, warn: Warn = log_warning, check: Callable[[Media], None] | None = None
) -> Iterator[ClipFile]:
    """A file held open, with the record of what it is; nothing that is decoded here is decoded again by its readers.

    The first picture and the first sound are decoded, and the times of the first 256 video packets are read; the
    length comes from the header where the container states one, and from reading all packets where it does not.
    Widths are of square pixels (an anamorphic picture counts as wide as it is shown).

    Args:
        path: a local media file.
        warn: is given one line for each stream that cannot be decoded while the other one can; that stream is then
            None in the clip. By default it is logged.
        check: looks at the header before anything is decoded; what it raises is passed on.

    Raises:
        MediaError: it is no readable media file (see `open_media`), or nothing in it can be decoded.
    """
    path = path_of(path)
    with ClipFile(path) as file:
        if check is not None:
            check(file.media)
        first = _First(file)
        first.read()
        video, audio = first.video_info(path), first.audio_info()
        problems = list(_undecodable(file.media, video, audio))
        if video is None and audio is None:
            problem = "; ".join(problems) or "it holds neither video nor sound"
            raise MediaError(path, problem, "give the recording itself, or copy it again")
        file.problems = tuple(problems)
        for problem in problems:
            warn(problem)
        file.clip = Clip(path, file_sha256(path), _duration_seconds(path, file.media, video), video, audio)
        yield file


class _First:
    """The first picture, the first sound, and the times of the first video packets of an open file."""

    def __init__(self, file: ClipFile) -> None:
        self.media, self._shared = file.media, file.packets
        self.picture: VideoFrame | None = None
        self.sound: AudioFrame | None = None
        self.video_times: list[float] = []
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
            self._note_time(packet)
            if self.picture is None and self._shared.video is not None:
                self.picture = self._shared.video.first_queued()
            if self.sound is None and self._shared.audio is not None:
                self.sound = self._shared.audio.first_queued()
            if not (self._wants_video() or self._wants_audio()):
                return

    def _wants_video(self) -> bool:
        read = self._packets["video"]
        return self.media.video is not None and (
            read < _SAMPLE_PACKETS or (self.picture is None and read < _FIRST_FRAME_PACKETS)
        )

    def _wants_audio(self) -> bool:
        wanted = self.media.audio is not None and self.sound is None
        return wanted and self._packets["audio"] < _FIRST_FRAME_PACKETS

    def _note_time(self, packet: Packet[Any]) -> None:
        if packet.stream.type == "video" and packet.size:
            # AVI has no times of showing, only of storing
            time = packet.dts if packet.pts is None or "avi" in self.media.format_names else packet.pts
            if time is not None and packet.time_base is not None:
                self.video_times.append(float(time * packet.time_base))

    def video_info(self, path: Path) -> VideoInfo | None:
        """The video's record; None where no picture was decoded. MediaError where its pictures have no times."""
        stream, picture = self.media.video, self.picture
        if stream is None or picture is None:
            return None
        pace = measure_pace(self.video_times, float(stream.time_base or 0))
        if len(self.video_times) > 1 and pace.fps is None:
            raise MediaError(
                path,
                f"0 frames per second: {len(self.video_times)} pictures share the time {self.video_times[0]:.2f} s",
                "write it again at a known rate (ffmpeg -r 25 -i IN OUT)",
            )
        turns = round(-picture.rotation / 90) % 4  # FFmpeg counts counter-clockwise
        width, height = _square_pixels(stream, picture)
        return VideoInfo(
            width=height if turns % 2 else width,
            height=width if turns % 2 else height,
            fps=_rate(path, self.media, stream, pace.fps),
            is_variable_frame_rate=pace.is_variable,
            rotation_degrees=90 * turns,
            codec=stream.codec_context.name,
            pixel_format=picture.format.name,
        )

    def audio_info(self) -> AudioInfo | None:
        """The sound's record; None where nothing of it was decoded."""
        stream, sound = self.media.audio, self.sound
        if stream is None or sound is None:
            return None
        return AudioInfo(sound.sample_rate, len(sound.layout.channels), stream.codec_context.name)


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


def _rate(path: Path, media: Media, stream: VideoStream, sampled_fps: float | None) -> float:
    """Average frames per second: the header's, unless the sample shows that the header speaks of something else."""
    stated = float(stream.average_rate or stream.guessed_rate or 0)
    if sampled_fps is None:
        return stated if stated > 0 else 1.0 / _duration_seconds(path, media, None)
    off = stated <= 0 or not 1 / _RATE_FACTOR < stated / sampled_fps < _RATE_FACTOR
    return sampled_fps if off and "mov" not in media.format_names else stated or sampled_fps


def _duration_seconds(path: Path, media: Media, video: VideoInfo | None) -> float:
    """From zero to the end of the last picture or sound."""
    container, zero = media.container, media.zero_seconds
    stated = Fraction(container.duration or 0, 1_000_000)
    if stated and media.format_names & {"matroska", "webm"}:
        return float(stated - zero)  # their length counts from 0, not from the first picture
    if stated and (media.is_indexed or media.format_names & {"avi", "mpegts", "wav", "flac", "ogg"}):
        start = Fraction(container.start_time or 0, 1_000_000)
        return float(start + stated - zero)
    return _measured_duration_seconds(path, zero, video)


def _measured_duration_seconds(path: Path, zero: Fraction, video: VideoInfo | None) -> float:
    """Length from all packets, for containers that state none or guess it from the bit rate."""
    from av.error import FFmpegError

    end, packets_without_time = Fraction(0), 0
    with open_media(path) as media, suppress(FFmpegError):  # damaged: what was read is what there is
        streams = [stream for stream in (media.video, media.audio) if stream is not None]
        for packet in read_packets(media.container, *streams):
            time = packet.dts if packet.pts is None else packet.pts
            if time is not None and packet.time_base is not None:
                end = max(end, (time + (packet.duration or 0)) * packet.time_base - zero)
            elif packet.size and packet.stream.type == "video":
                packets_without_time += 1
    by_count = packets_without_time / video.fps if video else 0.0
    return max(float(end), by_count)


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
