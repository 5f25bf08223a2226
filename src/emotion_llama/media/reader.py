"""Decode the streams of an open file side by side, in one pass over its packets, going on after damage."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from emotion_llama.errors import MediaError
from emotion_llama.media.container import Media, open_media, read_packets
from emotion_llama.records import Clip

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.error import FFmpegError
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FrameT = TypeVar("FrameT", "VideoFrame", "AudioFrame")

# A stream that ends this much before the time its header states was cut short; less is rounding and padding.
_SHORT_SECONDS = 0.5
_START_PACKETS, _MAX_AHEAD = 32, 1000  # of a stream, and of all, among which its first time is looked for
# Containers that give every packet of the pictures again after a seek to their beginning (tests compare them). Sound
# does not come back whole: a seek leaves out the packets before time zero, which its decoder needs.
_REWOUND_BY_TIME = frozenset({"mov", "matroska", "webm", "flv", "nut", "avi", "mpeg"})
_REWOUND_BY_BYTE = frozenset({"mpegts"})


@dataclass
class Damage:
    """What could not be read of one stream."""

    bad_packets: int = 0
    concealed_frames: int = 0
    first_bad_seconds: float | None = None
    stopped: bool = False  # the container itself could not be read on
    missing_seconds: float = 0.0  # between the end of the data and the end that the header states
    since_last_frame: bool = field(default=False, repr=False)

    def at(self, seconds: float) -> None:
        """Note that something near this time is damaged."""
        if self.first_bad_seconds is None:
            self.first_bad_seconds = seconds

    def describe(self, what: str, end_seconds: float, read: str) -> str | None:
        """One line for the user, or None where all is well: "video damaged after 3.2 s (...); 81 frames were read"."""
        details = []
        if self.bad_packets:
            details.append(f"{_count(self.bad_packets, 'packet')} could not be decoded")
        if self.concealed_frames:
            details.append(f"the decoder guessed parts of {_count(self.concealed_frames, 'frame')}")
        if self.stopped:
            details.append("the rest cannot be read")
        if self.missing_seconds > _SHORT_SECONDS:
            details.append(f"it ends {self.missing_seconds:.1f} s before the length that the file states")
        if not details:
            return None
        after = end_seconds if self.first_bad_seconds is None else self.first_bad_seconds
        return f"{what} damaged after {after:.1f} s ({', '.join(details)}); {read} were read"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


class StreamReader(Generic[FrameT]):
    """Decoder of one stream. Times are seconds from the file's start, exact fractions; None where none is stored."""

    def __init__(self, media: Media, stream: VideoStream | AudioStream, shared: SharedPackets) -> None:
        self.damage = Damage()
        self.seconds_read = Fraction(0)  # end of what the container gave so far, any stream
        self.queue: deque[Packet[Any]] = deque()  # packets that were read and not decoded yet
        self.is_wanted = False
        self.is_over = False  # the file is read from another place now
        self._media = media
        self._stream = stream
        self._shared = shared
        self._packets = shared.packets_of(self)
        self._decoded: deque[FrameT] = deque()
        self._is_done = False
        # AVI stores no presentation times. Its pictures are shown in the order and at the pace in which they are
        # stored, so that the n-th shown picture has the n-th stored time.
        counted = "avi" in media.format_names and stream.type == "video"
        self._stored_times: deque[Fraction | None] | None = deque() if counted else None
        # Where a length is stated for the whole file only, both streams are read to see where the file ends.
        both = [one for one in (media.video, media.audio) if one is not None]
        self.streams: list[VideoStream | AudioStream] = both if stream.duration is None else [stream]

    def frames(self) -> Iterator[tuple[Fraction | None, FrameT]]:
        """All frames from where the container stands (see `seek`)."""
        from av.error import FFmpegError

        while True:
            while self._decoded:
                frame = self._decoded.popleft()
                yield self._time(frame), frame
                self.damage.since_last_frame = False
            if self._is_done:
                return
            if self.is_over:
                raise RuntimeError("the file is read from another place now: finish one reader before the next")
            try:
                packet = next(self._packets, None)
            except FFmpegError:
                self.damage.stopped = True
                self.damage.at(float(self.seconds_read))
                self._is_done = True
                self._decode(None)
                continue
            if packet is None:
                return
            self._take(packet)

    def first_queued(self) -> FrameT | None:
        """The first frame, where the packets that were read so far hold one; `frames` gives it again."""
        while self.queue and not self._decoded:
            self._take(self.queue.popleft())
        return self._decoded[0] if self._decoded else None

    def packets(self) -> Iterator[Packet[Any]]:
        """The packets of this stream, in place of its frames; FFmpegError where the container cannot be read on."""
        return (packet for packet in self._packets if packet.stream is self._stream)

    def seek(self, seconds: float) -> None:
        """Go to the last point at or before this time where decoding can begin; other readers of the file end."""
        self._shared.leave_to(self)
        target = int((Fraction(seconds) + self._media.zero_seconds) / self._base())
        self._media.container.seek(target, stream=self._stream, backward=True)
        self._packets = read_packets(self._media.container, *self.streams)
        self._decoded.clear()
        self._is_done = False

    def check_end(self) -> None:
        """After the last frame: compare the end of the data with the end that the header states."""
        stated = self._stated_end()
        if stated is not None:
            self.damage.missing_seconds = max(float(stated - self.seconds_read), 0.0)

    def _base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, 1_000_000)

    def _stated_end(self) -> Fraction | None:
        media, stream = self._media, self._stream
        if not media.is_indexed:
            return None
        if stream.duration is not None:
            return ((stream.start_time or 0) + stream.duration) * self._base() - media.zero_seconds
        if media.container.duration is None:
            return None
        return Fraction(media.container.duration, 1_000_000) - media.zero_seconds

    def _take(self, packet: Packet[Any]) -> None:
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.time_base is not None:
            end = (time + (packet.duration or 0)) * packet.time_base - self._media.zero_seconds
            self.seconds_read = max(self.seconds_read, end)
        if self._stored_times is not None and packet.stream is self._stream and packet.size:
            self._stored_times.append(None if packet.dts is None else packet.dts * self._base())
        if packet.stream is self._stream:
            self._decode(packet)

    def _decode(self, packet: Packet[Any] | None) -> None:
        from av.error import EOFError as AvEOFError
        from av.error import FFmpegError

        try:
            self._decoded.extend(cast("list[FrameT]", self._stream.codec_context.decode(packet)))
        except AvEOFError:
            return
        except FFmpegError:
            self.damage.bad_packets += 1
            self.damage.since_last_frame = True
            self.damage.at(float(self.seconds_read))
            if self._stored_times:
                self._stored_times.popleft()

    def _time(self, frame: FrameT) -> Fraction | None:
        if self._stored_times is not None:
            seconds = self._stored_times.popleft() if self._stored_times else None
        else:
            seconds = None if frame.pts is None else frame.pts * (frame.time_base or self._base())
        seconds = None if seconds is None else seconds - self._media.zero_seconds
        if frame.is_corrupt:
            self.damage.concealed_frames += 1
            self.damage.at(float(seconds or 0))
        return seconds


class SharedPackets:
    """One pass over the packets of an open file; each of its readers gets those of its own streams, in order."""

    def __init__(self, media: Media) -> None:
        streams = [stream for stream in (media.video, media.audio) if stream is not None]
        self._packets = read_packets(media.container, *streams) if streams else iter(())
        self._ahead: deque[Packet[Any]] = deque()  # packets that `first_time` looked at
        self._error: FFmpegError | None = None
        self.has_begun = False  # a reader went on from its first frame; from then on no other joins
        self.video = None if media.video is None else StreamReader["VideoFrame"](media, media.video, self)
        self.audio = None if media.audio is None else StreamReader["AudioFrame"](media, media.audio, self)
        self._readers: list[StreamReader[Any]] = [one for one in (self.video, self.audio) if one is not None]

    def read(self) -> Packet[Any] | None:
        """Read a packet and queue it for its readers; None at the end of the file.

        Raises:
            FFmpegError: the container cannot be read on; again at each later call.
        """
        packet = self._ahead.popleft() if self._ahead else self._next()
        if packet is not None:
            for reader in self._readers:
                if packet.stream in reader.streams:
                    reader.queue.append(packet)
        return packet

    def first_time(self, stream: VideoStream | AudioStream) -> int | None:
        """Smallest time among a stream's first packets, in its time base; nothing is lost for its readers."""
        from av.error import FFmpegError

        times: list[int] = []
        count = 0
        with suppress(FFmpegError):  # damaged; what was read before still counts
            while count < _START_PACKETS and len(self._ahead) < _MAX_AHEAD and (packet := self._next()) is not None:
                self._ahead.append(packet)
                time = packet.dts if packet.pts is None else packet.pts
                count += packet.stream is stream
                if packet.stream is stream and time is not None:
                    times.append(time)
        return min(times, default=None)

    def _next(self) -> Packet[Any] | None:
        from av.error import FFmpegError

        if self._error is not None:
            raise self._error
        try:
            return next(self._packets, None)
        except FFmpegError as error:
            self._error = error
            raise

    def packets_of(self, reader: StreamReader[Any]) -> Iterator[Packet[Any]]:
        """The packets of one reader, from the first on."""
        if not self.has_begun:
            self.has_begun = True
            self._readers = [one for one in self._readers if one.is_wanted]
        while True:
            while reader.queue:
                yield reader.queue.popleft()
            if self.read() is None:
                return

    def leave_to(self, reader: StreamReader[Any] | None) -> None:
        """Let `reader` alone use the container from now on."""
        self.has_begun = True
        for one in self._readers:
            one.is_over = one is not reader


class ClipFile:
    """A media file held open: its record, and readers of its pictures and its sound from the beginning on.

    A reader of pictures and one of sound share one pass over the file where both are asked for before either is used:
    read them in turn, some seconds of each. A later one goes back to the beginning, and those before it end: pictures
    in the open file where its container allows it, sound and the rest in the file opened anew.

    Attributes:
        media: the open container.
        packets: the present pass.
        problems: one line for each stream that cannot be decoded.
    """

    def __init__(self, path: Path, clip: Clip | None = None) -> None:
        self.path = path
        self.problems: tuple[str, ...] = ()
        self._clip = clip
        self._open = ExitStack()
        self._start()

    @property
    def clip(self) -> Clip:
        """What the file is."""
        assert self._clip is not None, "open it with probe.open_clip"
        return self._clip

    @clip.setter
    def clip(self, clip: Clip) -> None:
        self._clip = clip

    def pictures(self) -> StreamReader[VideoFrame]:
        """A reader of the pictures, from the first on.

        Raises:
            MediaError: the file has none any more, or cannot be opened again.
        """
        if self.packets.has_begun or (self.packets.video is not None and self.packets.video.is_wanted):
            self._go_back()
        if self.packets.video is None:
            raise MediaError(self.path, "it had video when it was probed, and has none now", "probe it again")
        self.packets.video.is_wanted = True
        return self.packets.video

    def sound(self) -> StreamReader[AudioFrame]:
        """A reader of the sound, from its beginning; errors as `pictures`."""
        if self.packets.has_begun or (self.packets.audio is not None and self.packets.audio.is_wanted):
            self.close()
            self._start()
        if self.packets.audio is None:
            raise MediaError(self.path, "it had sound when it was probed, and has none now", "probe it again")
        self.packets.audio.is_wanted = True
        return self.packets.audio

    def picture_packets(self) -> Iterator[Packet[Any]]:
        """The packets of the pictures from the file's beginning; FFmpegError where it cannot be read on."""
        self._go_back()
        reader = self.pictures()
        return reader.packets()

    def close(self) -> None:
        """Close the file; its readers end."""
        self.packets.leave_to(None)
        self._open.close()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> None:
        self.media = self._open.enter_context(open_media(self.path))
        self.packets = SharedPackets(self.media)
        self.media.zero_seconds = self._zero()

    def _zero(self) -> Fraction:
        """Earliest start of the two streams. Sound before zero is the encoder's priming, not content."""
        starts = []
        for stream in (self.media.video, self.media.audio):
            start = None if stream is None else stream.start_time
            if stream is not None and start is None:
                start = self.packets.first_time(stream)
            if stream is not None and start is not None and stream.time_base is not None:
                seconds = start * stream.time_base
                starts.append(max(seconds, Fraction(0)) if stream.type == "audio" else seconds)
        return min(starts, default=Fraction(0))

    def _go_back(self) -> None:
        """To the first picture."""
        media, names = self.media, self.media.format_names
        if media.video is None or not names & (_REWOUND_BY_TIME | _REWOUND_BY_BYTE):
            self.close()
            self._start()
            return
        self.packets.leave_to(None)
        if names & _REWOUND_BY_BYTE:
            media.container.seek(0, unsupported_byte_offset=True)
        else:
            base = media.video.time_base or Fraction(1, 1_000_000)
            media.container.seek(int(media.zero_seconds / base), stream=media.video, backward=True)
        self.packets = SharedPackets(media)


@contextmanager
def opened(source: Clip | ClipFile) -> Iterator[ClipFile]:
    """The open file itself, or the file of a clip, opened for the time being."""
    if isinstance(source, ClipFile):
        yield source
        return
    with ClipFile(source.path, source) as file:
        yield file
