"""A media file held open: its record, and readers of its pictures and its sound, which share one pass over it."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.errors import MediaError
from emotion_llama.media.container import Media, open_container, open_media, read_packets
from emotion_llama.media.kinds import SECOND_HEAD
from emotion_llama.media.streams import SharedPackets, StreamReader
from emotion_llama.media.survey import LEAP_SECONDS, Survey
from emotion_llama.records import Clip

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# All packets of a file up to this size are read before the first is decoded, which costs little memory: their times say
# where the file restarts and how long it is. A larger one is opened once more for that, where its header may be wrong.
_SURVEYED_BYTES = 32 << 20
_PADDING_BYTES = 8192  # so much behind the end may be anything
_START_PACKETS = 32  # of a stream, among which its first time is looked for
# Containers that give every packet of the pictures again after a seek to their beginning (tests compare them). Sound
# does not come back whole: a seek leaves out the packets before time zero, which its decoder needs.
_REWOUND_BY_TIME = frozenset({"mov", "matroska", "webm", "flv", "nut", "avi", "mpeg"})
_REWOUND_BY_BYTE = frozenset({"mpegts"})


class ClipFile:
    """A media file held open: its record, and readers of its pictures and its sound from the beginning on.

    A reader of pictures and one of sound share one pass over the file where both are asked for before either is used:
    read them in turn, some seconds of each. A later one goes back to the beginning, and those before it end: pictures
    in the open file where its container allows it, sound and the rest in the file opened anew.

    Attributes:
        media: the open container.
        packets: the present pass.
        survey: times of the file's packets: of all, or of the first ones where the container's header can be trusted.
        picture_seconds: end of the last picture, where the sound may go on.
        problems: one line for each stream that cannot be decoded, and for each choice among several.
        coverage: by "video" and "sound", seconds that were read and seconds of the data that could not be, once all
            of it was read from the beginning; "rest": of recordings behind the end of this one.
    """

    def __init__(
        self,
        path: Path,
        clip: Clip | None = None,
        *,
        audio_track: int | None = None,
        check: Callable[[Media], None] | None = None,
    ) -> None:
        self.path = path
        self.picture_seconds = 0.0
        self.problems: tuple[str, ...] = ()
        self.coverage: dict[str, tuple[float, float]] = {}
        self.media: Media
        self.survey: Survey | None = None
        self._clip, self._check = clip, check
        self._tracks: tuple[int | None, int | None] = (None, audio_track)
        if clip is not None:
            self._tracks = (clip.video.track if clip.video else None, clip.audio.track if clip.audio else None)
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

    def look_behind(self, end_byte: int) -> list[str]:
        """One line for each recording behind the last packet, which the container does not give; see `coverage`."""
        lines, seconds = [], 0.0
        for begin, end, length in _behind(self.path, end_byte, self.media):
            where = f"joined behind byte {begin}"
            if length is None:
                what = f"{end - begin} bytes that cannot be read are {where}"
                lines.append(f"{what}: what they hold is not in the result")
            else:
                seconds += length
                lines.append(f"another recording of {length:.2f} s is {where} and was not read: cut the file there")
        if lines:
            self.coverage["rest"] = 0.0, seconds
        return lines

    def close(self) -> None:
        """Close the file; its readers end."""
        self.packets.leave_to(None)
        self._open.close()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> None:
        times = None if self.survey is None else (self.media.joins, self.media.strays)
        self.media = self._open.enter_context(open_media(self.path, self._tracks))
        if self._check is not None:
            self._check(self.media)
        self._tracks = (self.media.video_track, self.media.audio_track)
        self.packets = SharedPackets(self.media)
        if self.path.stat().st_size <= _SURVEYED_BYTES:
            self.packets.read_all(keep=True)
            self.survey = self.packets.survey
        elif times is not None:
            self.packets.set_times(*times)
        elif "mov" in self.media.format_names and all(_is_steady(stream) for stream in self.media.streams):
            self.survey = self.packets.survey
        else:
            with open_media(self.path, self._tracks) as media:
                packets = SharedPackets(media)
                packets.read_all(keep=False)
            self.survey = packets.survey
            self.packets.set_times(media.joins, media.strays)
        self.media.zero_seconds = self._zero(self.survey or self.packets.survey)

    def _zero(self, survey: Survey) -> Fraction:
        """Earliest start of the two streams. Sound before zero is the encoder's priming, not content."""
        starts = []
        for stream in self.media.streams:
            start, base = stream.start_time, stream.time_base or Fraction(1, 1_000_000)
            if start is None or 0 in self.media.strays.get(stream.index, {}):
                first = survey.times(stream.index).pts[:_START_PACKETS]
                start = round(Fraction(float(np.nanmin(first))) / base) if np.isfinite(first).any() else None
            if start is not None:
                starts.append(max(start * base, Fraction(0)) if stream.type == "audio" else start * base)
        return min(starts, default=Fraction(0))

    def _go_back(self) -> None:
        """To the first picture."""
        media, names = self.media, self.media.format_names
        if media.video is None or media.joins or media.strays or not names & (_REWOUND_BY_TIME | _REWOUND_BY_BYTE):
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


def _is_steady(stream: VideoStream | AudioStream) -> bool:
    """Whether an index of all packets is there, without leaps of hours as damage makes them."""
    times = np.fromiter((entry.timestamp for entry in stream.index_entries), np.float64)
    return len(times) > 0 and bool((np.diff(times) * float(stream.time_base or 0) <= LEAP_SECONDS).all())


def _behind(path: Path, end_byte: int, media: Media) -> list[tuple[int, int, float | None]]:
    """First and last byte, and length in seconds, of what was joined behind a byte of a file, as `cat` joins files.

    Nearly all players stop where the first recording ends. Of what cannot be opened the length is None. In a container
    without a head (a transport stream) all that follows may be a recording: streams that begin late are not seen.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size = len(data)
        heads = [match.start() for match in SECOND_HEAD.finditer(data, end_byte)]
        known = _known_end(data, end_byte, media.format_names)
        tail = data[known : known + 2 * _PADDING_BYTES]
    if not heads and media.is_continuous and size - end_byte > _PADDING_BYTES:
        length = _length_of(path, end_byte, size)
        return [] if length is None else [(end_byte, size, length)]
    found = [(begin, end, _length_of(path, begin, end)) for begin, end in zip(heads, [*heads[1:], size])]
    if not heads and size - known > _PADDING_BYTES and len(set(tail)) > 1:
        found.append((known, size, None))
    return found


def _known_end(data: mmap.mmap, end_byte: int, format_names: frozenset[str]) -> int:
    """Where the recording itself ends; the end of the file where the container cannot say."""
    if "wav" in format_names and data[:4] == b"RIFF":
        return max(end_byte, 8 + int.from_bytes(data[4:8], "little"))
    if "flv" in format_names:
        return _end_of_tag(data, end_byte)
    at = 0 if "mov" in format_names else len(data)
    while at + 8 <= len(data) and data[at + 4 : at + 8].isalnum():
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        at = at + size if size >= 8 else len(data)
    return min(max(at, end_byte), len(data))


def _end_of_tag(data: mmap.mmap, end_byte: int) -> int:
    """Where the tags of FLV end, of which one has data up to this byte at least.

    A tag is a head of 11 bytes, of its own up to 5 more, the data, and the length of all this.
    """

    def length_before(end: int) -> int:
        return int.from_bytes(data[end - 4 : end], "big") + 4

    ends = (end_byte + 11 + own + 4 for own in (1, 2, 5))
    at = next(
        (end for end in ends if 15 < length_before(end) <= end and data[end - length_before(end)] in (8, 9)), None
    )
    if at is None:
        return end_byte + 20
    while (end := at + 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4) <= len(data):
        if length_before(end) != end - at:
            break
        at = end
    return at


def _length_of(path: Path, begin: int, end: int) -> float | None:
    """Length of the longest stream of the recording between two bytes of a file; None where none can be read."""
    from av.error import FFmpegError

    spans: dict[int, tuple[float, float]] = {}
    with suppress(FFmpegError, MediaError), open_container(path, (begin, end)) as container:
        for packet in read_packets(container, *container.streams.video, *container.streams.audio):
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None and packet.time_base and not packet.is_discard:
                start, length = float(time * packet.time_base), float((packet.duration or 0) * packet.time_base)
                low, high = spans.get(packet.stream_index, (start, start))
                spans[packet.stream_index] = min(low, start), max(high, start + length)
    longest = max((high - low for low, high in spans.values()), default=0.0)
    return longest if longest > 0 else None
