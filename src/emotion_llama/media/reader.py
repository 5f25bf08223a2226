"""A media file held open: its record, and readers of its pictures and its sound, which share one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.errors import MediaError
from emotion_llama.media.container import Media, open_media, seconds_behind
from emotion_llama.media.streams import SharedPackets, StreamReader
from emotion_llama.media.survey import Survey
from emotion_llama.records import Clip

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.packet import Packet
    from av.video.frame import VideoFrame

# All packets of a file up to this size are read before the first is decoded, which costs little memory: their times say
# where the file restarts and how long it is. A larger one is opened once more for that, where its header may be wrong.
_SURVEYED_BYTES = 32 << 20
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
        found = seconds_behind(self.path, end_byte, is_headless=self.media.is_continuous)
        if found:
            self.coverage["rest"] = 0.0, sum(found)
        return [f"another recording of {seconds:.2f} s is joined behind the end and was not read" for seconds in found]

    def close(self) -> None:
        """Close the file; its readers end."""
        self.packets.leave_to(None)
        self._open.close()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self) -> None:
        joins = None if self.survey is None else self.media.joins
        self.media = self._open.enter_context(open_media(self.path, self._tracks))
        if self._check is not None:
            self._check(self.media)
        self._tracks = (self.media.video_track, self.media.audio_track)
        self.packets = SharedPackets(self.media)
        if self.path.stat().st_size <= _SURVEYED_BYTES:
            self.packets.read_all(keep=True)
            self.survey = self.packets.survey
        elif joins is not None:
            self.packets.set_joins(joins)
        elif "mov" in self.media.format_names and all(stream.frames for stream in self.media.streams):
            self.survey = self.packets.survey
        else:
            with open_media(self.path, self._tracks) as media:
                packets = SharedPackets(media)
                packets.read_all(keep=False)
            self.survey = packets.survey
            self.packets.set_joins(media.joins)
        self.media.zero_seconds = self._zero(self.survey or self.packets.survey)

    def _zero(self, survey: Survey) -> Fraction:
        """Earliest start of the two streams. Sound before zero is the encoder's priming, not content."""
        starts = []
        for stream in self.media.streams:
            start, base = stream.start_time, stream.time_base or Fraction(1, 1_000_000)
            if start is None:
                first = survey.times(stream.index).pts[:_START_PACKETS]
                start = round(Fraction(float(np.nanmin(first))) / base) if np.isfinite(first).any() else None
            if start is not None:
                starts.append(max(start * base, Fraction(0)) if stream.type == "audio" else start * base)
        return min(starts, default=Fraction(0))

    def _go_back(self) -> None:
        """To the first picture."""
        media, names = self.media, self.media.format_names
        if media.video is None or media.joins or not names & (_REWOUND_BY_TIME | _REWOUND_BY_BYTE):
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
