"""Decode one stream of an open file from a given time on, going on after damage and remembering it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from emotion_llama.media.container import Media, read_packets

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FrameT = TypeVar("FrameT", "VideoFrame", "AudioFrame")

# A stream that ends this much before the time its header states was cut short; less is rounding and padding.
_SHORT_SECONDS = 0.5


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

    def __init__(self, media: Media, stream: VideoStream | AudioStream) -> None:
        self.damage = Damage()
        self.seconds_read = Fraction(0)  # end of what the container gave so far, any stream
        self._media = media
        self._stream = stream
        # AVI stores no presentation times. Its pictures are shown in the order and at the pace in which they are
        # stored, so that the n-th shown picture has the n-th stored time.
        counted = "avi" in media.format_names and stream.type == "video"
        self._stored_times: deque[Fraction | None] | None = deque() if counted else None

    def frames(self) -> Iterator[tuple[Fraction | None, FrameT]]:
        """All frames from where the container stands (see `seek`)."""
        from av.error import FFmpegError

        packets = read_packets(self._media.container, *self._streams())
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:
                self.damage.stopped = True
                self.damage.at(float(self.seconds_read))
                yield from self._decode(None)
                return
            self._note(packet)
            if packet.stream is self._stream:
                yield from self._decode(packet)

    def seek(self, seconds: float) -> None:
        """Go to the last point at or before this time where decoding can begin."""
        base = self._base()
        target = int((Fraction(seconds) + self._media.zero_seconds) / base)
        self._media.container.seek(target, stream=self._stream, backward=True)

    def check_end(self) -> None:
        """After the last frame: compare the end of the data with the end that the header states."""
        stated = self._stated_end()
        if stated is not None:
            self.damage.missing_seconds = max(float(stated - self.seconds_read), 0.0)

    def _base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, 1_000_000)

    def _streams(self) -> list[VideoStream | AudioStream]:
        """Where a length is stated for the whole file only, both streams are read to see where the file ends."""
        if self._stream.duration is not None:
            return [self._stream]
        return [stream for stream in (self._media.video, self._media.audio) if stream is not None]

    def _stated_end(self) -> Fraction | None:
        media, stream = self._media, self._stream
        if not media.is_indexed:
            return None
        if stream.duration is not None:
            return ((stream.start_time or 0) + stream.duration) * self._base() - media.zero_seconds
        if media.container.duration is None:
            return None
        return Fraction(media.container.duration, 1_000_000) - media.zero_seconds

    def _note(self, packet: Packet[Any]) -> None:
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.time_base is not None:
            end = (time + (packet.duration or 0)) * packet.time_base - self._media.zero_seconds
            self.seconds_read = max(self.seconds_read, end)
        if self._stored_times is not None and packet.stream is self._stream and packet.size:
            self._stored_times.append(None if packet.dts is None else packet.dts * self._base())

    def _decode(self, packet: Packet[Any] | None) -> Iterator[tuple[Fraction | None, FrameT]]:
        from av.error import EOFError as AvEOFError
        from av.error import FFmpegError

        try:
            frames = self._stream.codec_context.decode(packet)
        except AvEOFError:
            return
        except FFmpegError:
            self.damage.bad_packets += 1
            self.damage.since_last_frame = True
            self.damage.at(float(self.seconds_read))
            if self._stored_times:
                self._stored_times.popleft()
            return
        for frame in frames:
            yield self._time(cast("FrameT", frame)), cast("FrameT", frame)
            self.damage.since_last_frame = False

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
