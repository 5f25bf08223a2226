"""Small odd and damaged files, each from its number; and what of each has to add up.

`python tests/media/odd.py [COUNT [FIRST]]` checks so many (2,000 by default) and prints how far it is.
A failure is a line, printed as it is found, which begins with the number that makes the file again (`odd.py 1 NUMBER`).
"""

import itertools
import sys
import tempfile
import time
import traceback
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from emotion_llama.errors import MediaError
from emotion_llama.media.audio import iter_audio
from emotion_llama.media.frames import iter_frames
from emotion_llama.media.probe import open_clip
from emotion_llama.media.subtitles import find_sidecars, read_subtitles

CODECS = {
    "mp4": ("libx264", "aac"), "mov": ("libx264", "aac"), "mkv": ("libx264", "flac"), "webm": ("libvpx", "libopus"),
    "ts": ("mpeg2video", "mp2"), "mpg": ("mpeg2video", "mp2"), "avi": ("mpeg4", "pcm_s16le"), "flv": ("flv", "mp3"),
}  # fmt: skip
PICTURES = ("even", "uneven", "mirrored", "mirrored+uneven", "turned+uneven", "still+even", "still+mirrored", "none")
SOUNDS = ("one", "two", "inverted", "empty", "long", "late", "two+late", "surround", "none")
DAMAGES = ("none", "cut", "cut", "zeros", "zeros", "noise", "doubled", "tail", "swapped")
FPS, RATE = 10, 48_000
_CUE = "1\n00:00:00,000 --> 00:00:00,900\nCafé, naïve\n"
# Behind the clip's name, the bytes, and what is said of them.
SIDECARS = (
    (".srt", _CUE.encode("cp1252"), "1252"), ("", b"", ""), (".en.forced.srt", _CUE.encode("utf-16"), ""),
    ("_en.sdh.vtt", b"WEBVTT\n\n" + _CUE.replace(",", ".", 2).encode() + b"\n2\nx --> y\n[door]\n", "no time span"),
    (".srt", _CUE.encode().replace(b",000", b",\x000", 1) + b"\n" + _CUE.encode(), "1 cue could not be read"),
)  # fmt: skip


def make_base(path: Path, pictures: str, sounds: str) -> Path:
    """A whole file of about a second."""
    video_codec, audio_codec = CODECS[path.suffix[1:]]
    rng, marks = np.random.default_rng(7), pictures.split("+")
    with av.open(str(path), "w") as container:
        rate = 25 if video_codec == "mpeg2video" else FPS
        still = video = None
        if "still" in marks and path.suffix in (".mp4", ".mov", ".mkv"):
            still = container.add_stream("mjpeg", rate=1)
            still.width, still.height, still.pix_fmt = 32, 32, "yuvj420p"
        ticks = list(range(12))
        if pictures != "none":
            video = container.add_stream(video_codec, rate=rate)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            if "mirrored" in marks:
                video.set_display_matrix([-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30])
            elif "turned" in marks:
                video.set_display_rotation(-90)
            if "uneven" in marks and path.suffix in (".mp4", ".mov", ".mkv", ".webm"):
                ticks = np.cumsum(rng.integers(1, 4, 12)).tolist()
        streams = [
            (container.add_stream(audio_codec, rate=RATE, layout=_LAYOUTS[len(track)]), np.stack(track))
            for track in _tracks(sounds, is_wide=path.suffix in (".mkv", ".mp4", ".mov", ".avi"))
        ]
        for stream, times, size in ((still, [0], (32, 32, 3)), (video, ticks, (48, 64, 3))):
            for tick in times if stream is not None else ():
                frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, size).astype(np.uint8), format="rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, rate)
                container.mux(stream.encode(frame))
        for stream, channels in streams:
            for begin in range(0, channels.shape[1], 960):
                part = channels[:, begin : begin + 960].T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "flt", stream.layout.name)
                late = RATE // 2 if "late" in sounds else 0
                frame.sample_rate, frame.pts, frame.time_base = RATE, begin + late, Fraction(1, RATE)
                container.mux(stream.encode(frame))
        for stream in (still, video, *(stream for stream, _ in streams)):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def _tracks(sounds: str, *, is_wide: bool) -> list[list[np.ndarray]]:
    """The channels of each sound track."""
    one = 0.3 * np.sin(np.arange(RATE * (2 if sounds == "long" else 1)) / 20).astype(np.float32)
    if sounds.startswith("two"):
        return [[0 * one], [one]]
    wide = [0 * one, 0 * one, one, 0 * one, 0 * one, 0 * one] if is_wide else [one, one]
    stereo = {"inverted": [one, -one], "empty": [one, 0 * one], "surround": wide}.get(sounds, [one])
    return [] if sounds == "none" else [stereo]


class Bases:
    """Whole files, each made once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._made = folder, {}

    def __call__(self, key: tuple[str, str, str]) -> bytes:
        if key not in self._made:
            suffix, pictures, sounds = key
            path = make_base(self._folder / f"{'-'.join(key[1:])}.{suffix}", pictures, sounds)
            self._made[key] = path.read_bytes()
        return self._made[key]

    def hidden_seconds(self, path: Path) -> float:
        """Length of the second recording of a doubled file, in the containers that end at the first one's end."""
        if "-doubled-" not in path.name or path.suffix not in (".mp4", ".mov", ".flv"):
            return 0.0
        whole = self._folder / f"{path.stem.split('-doubled-')[1]}{path.suffix}"
        streams = [demuxed(whole, kind, 1) for kind in ("video", "audio")]
        return max(stream.seconds - stream.longest for stream in streams)


def make(number: int, folder: Path, bases: Bases) -> Path:
    """The odd file of this number, with a transcript beside most, each in one of `SIDECARS`."""
    rng = np.random.default_rng(number)
    kinds = [k for k in itertools.product(CODECS, PICTURES, SOUNDS) if k[1:] != ("none", "none")]
    kinds = [k for k in kinds if not (k[0] == "flv" and k[2].startswith("two"))]
    key = kinds[rng.integers(len(kinds))]
    data = bytearray(bases(key))
    damage = DAMAGES[rng.integers(len(DAMAGES))]
    at, size = int(rng.integers(len(data) // 8, len(data))), int(rng.integers(4, 2000))
    if damage == "cut":
        del data[at:]
    elif damage == "zeros":
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif damage == "noise":
        for place in rng.integers(len(data) // 8, len(data), 12):
            data[place] = int(rng.integers(256))
    elif damage == "doubled":
        data = data + data
    elif damage == "tail":
        data += rng.integers(0, 256, size).astype(np.uint8).tobytes()
    elif damage == "swapped":
        data[at : at + size] = data[at - size : at] if at > size else data[at : at + size]
    path = folder / f"{number}-{damage}-{'-'.join(key[1:])}.{key[0]}"
    path.write_bytes(data)
    name, data, _ = SIDECARS[number % len(SIDECARS)]
    if name:
        (folder / f"{path.stem}{name}").write_bytes(data)
    return path


class InFile(NamedTuple):
    """What PyAV alone finds of a stream: seconds (of pictures by when they are shown, of sound by its packets), the
    longest packet, how often times restart, and how many packets."""

    seconds: float
    longest: float
    restarts: int
    packets: int


def demuxed(path: Path, kind: str, track: int) -> InFile:
    """The stream of this kind and number, counted from 1."""
    times, lengths = [], []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = getattr(container.streams, kind)[track - 1]
            gap = 1 / float(stream.average_rate or 25) if kind == "video" else 0.0
            is_avi = container.format.name == "avi"
            for packet in container.demux(stream):
                time = packet.dts if packet.pts is None or (is_avi and kind == "video") else packet.pts
                if packet.size and not packet.is_discard and time is not None:
                    times.append((float((packet.dts or time) * packet.time_base), float(time * packet.time_base)))
                    lengths.append(float((packet.duration or 0) * packet.time_base))
    except (av.error.FFmpegError, IndexError):
        pass
    if not times:
        return InFile(0.0, 0.0, 0, 0)
    known = np.array(times)
    known = known[np.abs(known[:, 1] - np.median(known[:, 1])) < 60]  # a wild time of a damaged packet is no length
    dts, pts = known.T
    restarts = int((np.diff(dts) < -0.25).sum())
    if kind == "audio":
        return InFile(sum(lengths), max(lengths), restarts, len(times))
    longest = max(max(lengths), gap)
    total = 0.0
    for part in np.split(pts, np.flatnonzero(np.diff(dts) < -0.25) + 1):
        total += part.max() - part.min() + longest
    return InFile(total, longest, restarts, len(times))


def problems(path: Path, hidden_seconds: float) -> list[str]:
    """What is wrong with how a file was read; nothing where all adds up, or where it was refused in one line.

    What was joined to the file, behind its own end, lasts for `hidden_seconds` or a frame more.
    """
    lines: list[str] = []
    try:
        with open_clip(path, warn=lines.append) as file:
            clip, counts = file.clip, {"video": 0, "audio": 0}
            frames = iter_frames(file, max_side=32, warn=lines.append) if clip.video else ()
            chunks = iter_audio(file, warn=lines.append) if clip.audio else ()
            try:
                counts["video"] = sum(len(chunk) for chunk in frames)
            except MediaError as error:
                lines.append(str(error))
            try:
                counts["audio"] = sum(len(chunk.samples) for chunk in chunks)
            except MediaError as error:
                lines.append(str(error))
            coverage = dict(file.coverage)
    except MediaError as error:
        return [] if "\n" not in str(error) else ["an error of several lines"]
    found = []
    for what, kind, info in (("video", "video", clip.video), ("sound", "audio", clip.audio)):
        if info is None:
            there = demuxed(path, kind, 1)
            if there.seconds > there.longest and not any(f"its {what}" in line for line in lines):
                found.append(
                    f"{what}: {there.seconds:.3f} s in the file are no stream of the clip, and nothing says so"
                )
        elif what not in coverage:
            found.append(f"{what}: nothing says how much was read")
        else:
            in_file = demuxed(path, kind, info.track)
            found += [f"{what}: {line}" for line in _differences(what, in_file, coverage[what], counts[kind], lines)]
    rest = coverage.get("rest", (0.0, 0.0))[1]
    if rest < hidden_seconds:
        found.append(f"{rest:.3f} s said to be joined behind the end, where {hidden_seconds:.3f} s are or a frame more")
    return found


def _differences(what: str, in_file: InFile, covered: tuple[float, float], count: int, lines: list[str]) -> list[str]:
    """What does not add up of one stream that was read: seconds, what is said of them, what came out."""
    found, (read, unread), tolerance = [], covered, in_file.longest * (1 + in_file.restarts) + 1e-3
    said = " ".join(lines)
    if abs(read + unread - in_file.seconds) > tolerance:
        found.append(f"{read:.3f} s read, {unread:.3f} s said unread, {in_file.seconds:.3f} s in the file")
    if unread > in_file.longest and "were not" not in said:
        found.append(f"{unread:.3f} s were not read, and nothing says so")
    if count == 0 and not lines:
        found.append("nothing came out, and nothing says so")
    if what == "sound":
        if count / 16_000 < read - tolerance and "overlap" not in said:
            found.append(f"{count / 16_000:.3f} s of samples, and {read:.3f} s are said to be read")
    elif in_file.packets and count < in_file.packets * read / in_file.seconds - 1 and "left out" not in said:
        found.append(f"{count} pictures of {in_file.packets} packets, and {unread:.3f} s are said unread")
    return found


def sidecar_problems(path: Path, number: int) -> list[str]:
    """What is wrong with how the transcript beside a file was read."""
    name, _, said = SIDECARS[number % len(SIDECARS)]
    sidecars = find_sidecars(path)
    if [sidecar.name for sidecar in sidecars] != ([f"{path.stem}{name}"] if name else []):
        return [f"beside it were found {sidecars}"]
    found = []
    for sidecar in sidecars:
        transcript = read_subtitles(sidecar, clip_name=path.stem)
        if [line.text for line in transcript.lines] != ["Café, naïve"]:
            found.append(f"the transcript is read as {transcript.lines}")
        if said not in " ".join(transcript.notes):
            found.append(f"of the transcript is said {transcript.notes}, not {said!r}")
        if ("forced" in name) != ("forced:" in transcript.source):
            found.append(f"the transcript's source is {transcript.source}")
    return found


def check_one(number: int, folder: Path, bases: Bases) -> list[str]:
    """A line for each thing that is wrong with how the odd file of this number is read."""
    path = make(number, folder, bases)
    try:
        found = problems(path, bases.hidden_seconds(path)) + sidecar_problems(path, number)
    except Exception:  # noqa: BLE001 (whatever it is, it is a crash of this file's, and the others still count)
        found = [f"crashed: {traceback.format_exc()}"]
    for one in (path, *find_sidecars(path)):
        one.unlink()
    return [f"{path.name}: {problem}" for problem in found]


def main() -> bool:
    """Whether all files of the command line's numbers are read as they should be."""
    count, first = (int(text) for text in (*sys.argv[1:3], *("2000", "0")[len(sys.argv) - 1 :]))
    begin, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as place:
        folder, bases = Path(place), Bases(Path(place) / "bases")
        for number in range(first, first + count):
            for line in check_one(number, folder, bases):
                failed += 1
                print(line, flush=True)
            if (done := number + 1 - first) % 50 == 0 or done == count:
                seconds = time.monotonic() - begin
                print(f"-- {done} of {count} files, {failed} problems, {seconds:.0f} s", flush=True)
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main())
