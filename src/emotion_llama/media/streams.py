"""Decode the streams of an open container side by side, in one pass over its packets, going on after damage."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from emotion_llama.media.container import Media, read_packets
from emotion_llama.media.survey import Joins, Strays, Survey, find_joins, unread_seconds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.error import FFmpegError
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FrameT = TypeVar("FrameT", "VideoFrame", "AudioFrame")

# Containers that state a length in samples; beside those with an index.
_COUNTED_FORMATS = frozenset({"flac", "aiff", "w64", "caf", "tta", "ape", "wv"})
# A stream that ends this much before the time its header states was cut short; less is rounding and padding.
_SHORT_SECONDS = 0.1


@dataclass
class Damage:
    """What could not be read of one stream."""

    bad_packets: int = 0
    concealed_frames: int = 0
    first_bad_seconds: float | None = None
    stopped: bool = False  # the container itself could not be read on
    missing_seconds: float = 0.0  # between the end of the data and the end that the header states
    unread_seconds: float = 0.0  # of the data, that gave no frame
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
        if not details and self.unread_seconds:
            details.append("packets without a frame")
        if self.missing_seconds > _SHORT_SECONDS:
            details.append(f"it ends {self.missing_seconds:.1f} s before the length that the file states")
        if not details:
            return None
        after = end_seconds if self.first_bad_seconds is None else self.first_bad_seconds
        unread = f", {self.unread_seconds:.2f} s were not" if self.unread_seconds else ""
        return f"{what} damaged after {after:.1f} s ({', '.join(details)}); {read} were read{unread}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


class StreamReader(Generic[FrameT]):
    """Decoder of one stream. Times are seconds from the file's start, exact fractions; None where none is stored."""

    def __init__(self, media: Media, stream: VideoStream | AudioStream, shared: SharedPackets) -> None:
        self.damage = Damage()
        self.read_seconds = 0.0  # of the packets that gave frames (`check_end`)
        self.seconds_read = Fraction(0)  # end of what the container gave so far, any stream
        self.queue: deque[Packet[Any]] = deque()  # packets that were read and not decoded yet
        self.is_wanted = False
        self.is_over = False  # the file is read from another place now
        self.is_from_start = True  # and not from where it was sought
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
        # What was decoded from the beginning on: times and lengths of packets, times of frames, length of the sound.
        self._packet_times, self._packet_lengths, self._frame_times = array("d"), array("d"), array("d")
        self._bad_seconds = 0.0
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

    def decode_queued(self) -> Iterator[FrameT]:
        """The frames of the packets that were read so far, as they are decoded; `frames` gives them again."""
        while self.queue:
            before = len(self._decoded)
            self._take(self.queue.popleft())
            yield from list(self._decoded)[before:]

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
        self.is_from_start = False
        self._decoded.clear()
        self._is_done = False

    def check_end(self) -> None:
        """After the last frame: compare the data with what the header states, and the frames with the packets."""
        stated = self._stated_end()
        if stated is not None and self.is_from_start:
            self.damage.missing_seconds = max(float(stated - self.seconds_read), 0.0)
        if self.is_from_start and len(self._packet_times):
            times, lengths = np.array(self._packet_times), np.array(self._packet_lengths)
            parts = [ordinal for ordinal, _ in self._media.joins.get(self._stream.index, [])]
            if self._stream.type == "video":
                read, unread = unread_seconds(
                    times, lengths, np.array(self._frame_times), is_continuous=self._media.is_continuous, parts=parts
                )
            else:
                read, unread = float(lengths.sum()) - self._bad_seconds, self._bad_seconds
            self.read_seconds, self.damage.unread_seconds = read, unread

    def _base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, 1_000_000)

    def _stated_end(self) -> Fraction | None:
        media, stream = self._media, self._stream
        if media.joins or media.strays:
            return None
        if "avi" in media.format_names and stream.frames:
            return stream.frames * self._base() - media.zero_seconds
        if not (media.is_indexed or media.format_names & _COUNTED_FORMATS):
            return None
        if stream.duration is not None:
            return ((stream.start_time or 0) + stream.duration) * self._base() - media.zero_seconds
        tagged = tagged_seconds(stream)
        if tagged is not None:
            return tagged - media.zero_seconds
        if media.container.duration is None or len(media.container.streams) > len(media.streams):
            return None
        return Fraction(media.container.duration, 1_000_000) - media.zero_seconds

    def _take(self, packet: Packet[Any]) -> None:
        time, seconds = packet.dts if packet.pts is None else packet.pts, None
        if time is not None and packet.time_base is not None:
            seconds = time * packet.time_base - self._media.zero_seconds
            self.seconds_read = max(self.seconds_read, seconds + (packet.duration or 0) * packet.time_base)
        if packet.stream is not self._stream:
            return
        if self._stored_times is not None and packet.size:
            self._stored_times.append(None if packet.dts is None else packet.dts * self._base())
            seconds = None if packet.dts is None else packet.dts * self._base() - self._media.zero_seconds
        if packet.size and not packet.is_discard and seconds is not None:
            self._packet_times.append(float(seconds))
            self._packet_lengths.append(float((packet.duration or 0) * self._base()))
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
            self._bad_seconds += self._packet_lengths[-1] if self._packet_lengths else 0.0
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
        if seconds is not None:
            self._frame_times.append(float(seconds))
        if frame.is_corrupt:
            self.damage.concealed_frames += 1
            self.damage.at(float(seconds or 0))
        return seconds


def tagged_seconds(stream: VideoStream | AudioStream) -> Fraction | None:
    """The end of a stream that Matroska's muxers write into its tags: "00:00:03.680000000"."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


class SharedPackets:
    """One pass over the packets of an open file; each of its readers gets those of its own streams, in order.

    Attributes:
        survey: times of the packets that were read from the container so far.
    """

    def __init__(self, media: Media) -> None:
        streams = media.streams
        self.survey = Survey()
        self._media = media
        self._joins = {stream: list(joins) for stream, joins in media.joins.items()}
        self._strays = media.strays
        self._ordinals: dict[int, int] = {}
        self._shifts: dict[int, int] = {}
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
            if self._joins or self._strays:
                self._place(packet)
            for reader in self._readers:
                if packet.stream in reader.streams:
                    reader.queue.append(packet)
        return packet

    def _next(self) -> Packet[Any] | None:
        from av.error import FFmpegError

        if self._error is not None:
            raise self._error
        try:
            packet = next(self._packets, None)
        except FFmpegError as error:
            self._error = error
            raise
        if packet is None:
            self.survey.is_whole = True
        else:
            counted = "avi" in self._media.format_names and packet.stream is self._media.video
            self.survey.add(packet, is_counted=counted)
        return packet

    def read_all(self, *, keep: bool) -> None:
        """Read the whole file and find where times restart or are wild; `keep` leaves the packets to the readers."""
        from av.error import FFmpegError

        with suppress(FFmpegError):  # damaged; what was read before still counts
            while (packet := self._next()) is not None:
                if keep:
                    self._ahead.append(packet)
        self.survey.is_whole = True
        strays = {stream.index: self.survey.mend(stream.index) for stream in self._media.streams}
        by_stream = {stream.index: self.survey.times(stream.index) for stream in self._media.streams}
        audio = self._media.audio
        joins = find_joins(by_stream, None if audio is None else audio.index, is_continuous=self._media.is_continuous)
        self.set_times(
            {stream: found for stream, found in joins.items() if found},
            {stream: found for stream, found in strays.items() if found},
        )

    def set_times(self, joins: Joins, strays: Strays) -> None:
        """Give packets their times in the joined recording, those with wild times too."""
        self._media.joins, self._media.strays = joins, strays
        self._strays = strays
        self._joins = {stream: list(found) for stream, found in joins.items()}

    def _place(self, packet: Packet[Any]) -> None:
        """Give a packet its time in the joined recording."""
        index, base = packet.stream_index, packet.time_base
        if index not in self._joins.keys() | self._strays.keys() or not packet.size or not base:
            return
        ordinal = self._ordinals.get(index, 0)
        self._ordinals[index] = ordinal + 1
        if ordinal in self._strays.get(index, {}):
            dts, pts, duration = (round(Fraction(time) / base) for time in self._strays[index][ordinal])
            packet.dts = None if packet.dts is None else dts
            packet.pts = None if packet.pts is None else pts
            packet.duration = duration
        joins = self._joins.get(index, [])
        while joins and ordinal >= joins[0][0]:
            self._shifts[index] = round(Fraction(joins.pop(0)[1]) / base)
        shift = self._shifts.get(index, 0)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

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
