"""Stream the sound of a clip: mono float32 at one rate, at its right time, in bounded chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError, MediaError
from emotion_llama.media.channels import layout_weights
from emotion_llama.media.container import MAX_CHANNELS, Warn, log_warning
from emotion_llama.media.frames import check_span, clip_of
from emotion_llama.media.reader import ClipFile, opened
from emotion_llama.media.streams import StreamReader
from emotion_llama.records import Clip, Float, Waveform

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

Samples = npt.NDArray[np.float32]

# Stored times that differ by less from a running count of samples are rounding; sound and picture that are this far
# apart pass unnoticed (45 ms: ITU-R BT.1359-1, detectability of sound that comes early).
_TIME_TOLERANCE_SECONDS = 0.045
_SEEK_FROM_SECONDS = 10.0  # decoding sound is so cheap that a nearer start is reached by decoding
_SEEK_MARGIN_SECONDS = 1.0  # codecs need some packets before their output is right (Opus 80 ms, AAC 2 frames)
_RESAMPLER_MARGIN_SECONDS = 0.25
_SILENCE_PIECE_SECONDS = 10.0
_SAID_SECONDS = 0.1  # of silence that was put in, from which on it is said
_CANCELLED = 1 / 16  # of the loudest channel's power: -12 dB


class _Block(NamedTuple):
    """Decoded sound: mono samples at their own rate; `is_exact` asks to place them where their time says."""

    start_seconds: float | None
    sample_rate_hz: int
    samples: Samples
    is_exact: bool


def iter_audio(
    source: Clip | ClipFile,
    *,
    sample_rate_hz: int = 16_000,
    chunk_seconds: float = 30.0,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    warn: Warn = log_warning,
) -> Iterator[Waveform]:
    """Decode the sound of [start, end) as chunks that follow each other without a gap.

    Channels are mixed by their places (`channels.layout_weights`; where those are unknown, each counts the same), then
    resampled by the SoX resampler ("HQ": 20 bit, pass band to 0.91 of the new Nyquist frequency). Sound that begins
    after the file's start is preceded by silence, a gap in its times is filled with silence, and samples whose time has
    passed already are left out; `warn` says so.

    Args:
        source: what `probe` returned; or a file that is open, whose pictures can then be read in the same pass.
        sample_rate_hz: rate of the result.
        chunk_seconds: length of all chunks but the last.
        start_seconds: time of the first sample.
        end_seconds: time of the end; None for the end of the sound.
        warn: is given one line when a part of the sound could not be read; by default it is logged.

    Raises:
        InputError: an option is out of range.
        MediaError: the clip has no sound, the file cannot be opened, or nothing of its sound can be decoded.
    """
    if sample_rate_hz < 1:
        raise InputError(f"sample_rate_hz must be above 0, got {sample_rate_hz}")
    if not chunk_seconds * sample_rate_hz >= 1:
        raise InputError(f"chunk_seconds must hold a sample or more, got {chunk_seconds}")
    check_span(start_seconds, end_seconds)
    clip = clip_of(source)
    if clip.audio is None:
        raise MediaError(clip.path, "it has video but no sound", "ask for its pictures only")
    if clip.audio.channels > MAX_CHANNELS:
        problem = f"its sound has {clip.audio.channels} channels; {MAX_CHANNELS} or fewer can be read"
        raise MediaError(clip.path, problem, "export it with fewer channels")
    reader = source.sound() if isinstance(source, ClipFile) else None
    size = round(chunk_seconds * sample_rate_hz)
    return _chunks(source, reader, sample_rate_hz, size, start_seconds, end_seconds, warn)


def read_audio(
    source: Clip | ClipFile,
    *,
    sample_rate_hz: int = 16_000,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    warn: Warn = log_warning,
) -> Waveform:
    """The sound of [start, end) as one waveform, empty where the clip has none in the span; see `iter_audio`."""
    chunks = iter_audio(
        source, sample_rate_hz=sample_rate_hz, start_seconds=start_seconds, end_seconds=end_seconds, warn=warn
    )
    samples = [np.empty(0, np.float32), *(chunk.samples for chunk in chunks)]
    return Waveform(np.concatenate(samples), sample_rate_hz, start_seconds)


def _chunks(
    source: Clip | ClipFile,
    reader: StreamReader[AudioFrame] | None,
    rate: int,
    size: int,
    start_seconds: float,
    end_seconds: float | None,
    warn: Warn,
) -> Iterator[Waveform]:
    # Decoding begins on a whole second before the start: the resampler then sees what was before, and its input and
    # output grids meet, so that a part of the sound equals that part of the whole.
    begin_seconds = max(math.floor(start_seconds - _RESAMPLER_MARGIN_SECONDS), 0)
    skip = round((start_seconds - begin_seconds) * rate)
    most = None if end_seconds is None else round((end_seconds - start_seconds) * rate)
    given, held, held_samples = 0, list[Samples](), 0
    with opened(source) as file:
        blocks = _blocks(file, reader or file.sound(), begin_seconds, warn)
        last_seconds = file.clip.duration_seconds if end_seconds is None else end_seconds + _RESAMPLER_MARGIN_SECONDS
        for piece in _resampled(_placed(blocks, begin_seconds, last_seconds, warn), rate):
            kept = piece[skip:]
            skip -= len(piece) - len(kept)
            if most is not None:
                kept = kept[: most - given - held_samples]
            held.append(kept)
            held_samples += len(kept)
            while held_samples >= size:
                joined = np.concatenate(held)
                yield Waveform(joined[:size].copy(), rate, start_seconds + given / rate)
                given += size
                held, held_samples = [joined[size:]], len(joined) - size
            if most is not None and given + held_samples >= most:
                break
    if held_samples:
        yield Waveform(np.concatenate(held), rate, start_seconds + given / rate)


def _blocks(file: ClipFile, reader: StreamReader[AudioFrame], begin_seconds: float, warn: Warn) -> Iterator[_Block]:
    """Decoded mono sound from the given time, or from before it, to the end."""
    clip, media = file.clip, file.media
    if media.is_indexed and begin_seconds >= _SEEK_FROM_SECONDS:
        reader.seek(begin_seconds - _SEEK_MARGIN_SECONDS)
    mix = _Mix(clip)
    samples, end = 0, 0.0
    for seconds, frame in reader.frames():
        is_exact = samples == 0 or reader.damage.since_last_frame
        most = _true_length(frame) if "mov" in media.format_names else frame.samples
        for mono in (part[:most] for part in mix(frame)):
            start = None if seconds is None else float(seconds)
            yield _Block(start, frame.sample_rate, mono, is_exact)
            samples += len(mono)
            end = end if start is None else start + len(mono) / frame.sample_rate
    reader.check_end()
    if samples == 0 and begin_seconds == 0:
        raise MediaError(clip.path, "nothing of its sound can be decoded", "copy or download it again")
    if reader.is_from_start:
        file.coverage["sound"] = reader.read_seconds, reader.damage.unread_seconds
    for line in (reader.damage.describe("sound", end, f"{end:.1f} s"), mix.problem()):
        if line:
            warn(line)


def _true_length(frame: AudioFrame) -> int:
    """Samples of a frame that are content: MP4 gives the last packet a length without the encoder's padding."""
    if not frame.duration or frame.time_base is None:
        return frame.samples
    return min(round(frame.duration * frame.time_base * frame.sample_rate), frame.samples)


class _Mix:
    """Converts decoded sound of any sample format to one channel, float32, and compares the mix with the channels."""

    def __init__(self, clip: Clip) -> None:
        self._channels = Channels()
        self._found = np.array(clip.audio.weights if clip.audio else (), np.float32)
        self._energy = np.zeros(2)  # of the loudest channel of each block, and of the mix

    def __call__(self, frame: AudioFrame) -> Iterator[Samples]:
        weights: Float | None = self._found
        if len(self._found) != frame.layout.nb_channels:
            weights = layout_weights([channel.name for channel in frame.layout.channels])
        for channels in self._channels(frame):
            # Rows of channels are averaged 2 to 6 times as fast as columns, the copy included.
            mono = (
                channels.mean(axis=0, dtype=np.float32) if weights is None else (weights @ channels).astype(np.float32)
            )
            if len(channels) > 1:
                self._energy += max(float(row @ row) for row in channels), float(mono @ mono)
            yield mono

    def problem(self) -> str | None:
        """One line where the channels cancel each other."""
        loudest, mixed = self._energy
        if mixed >= _CANCELLED * loudest:
            return None
        below = 10 * np.log10(loudest / max(mixed, 1e-12))
        return f"sound: the mix of its channels is {below:.0f} dB below the loudest of them"


class Channels:
    """Converts decoded sound of any sample format to [C, S] float32 in -1..1."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._key: tuple[str, str, int] | None = None

    def __call__(self, frame: AudioFrame) -> Iterator[Float]:
        """The channels of a frame."""
        from av.audio.resampler import AudioResampler

        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or key != self._key:  # a stream may change on its way
            # "flt" holds the channels in turn in one plane: of 8 planes and more, PyAV (up to 19) does not find the
            # end (FFmpeg's AV_NUM_DATA_POINTERS), and reads memory that is not the frame's. The mix is made by us:
            # swresample's own keeps power, not amplitude.
            self._resampler, self._key = AudioResampler("flt", frame.layout, frame.sample_rate), key
        for converted in self._resampler.resample(frame):
            yield np.ascontiguousarray(converted.to_ndarray().reshape(-1, frame.layout.nb_channels).T)


def _placed(blocks: Iterable[_Block], begin_seconds: float, last_seconds: float, warn: Warn) -> Iterator[_Block]:
    """Blocks that follow each other from `begin_seconds` on without gap or overlap; no silence after `last_seconds`."""
    rate, count = 0, 0  # the present rate, and samples since it began
    late, filled, left_out = 0.0, 0.0, 0.0
    for block in blocks:
        if block.sample_rate_hz != rate:
            begin_seconds, count, rate = begin_seconds + (count / rate if rate else 0), 0, block.sample_rate_hz
        expected = begin_seconds + count / rate
        ahead = 0.0 if block.start_seconds is None else block.start_seconds - expected
        ahead = min(ahead, max(last_seconds - expected, 0.0))  # a later time is an error of the file
        is_exact = block.is_exact or count == 0
        shift = round(ahead * rate) if is_exact or abs(ahead) > _TIME_TOLERANCE_SECONDS else 0
        for size in _pieces(shift, round(_SILENCE_PIECE_SECONDS * rate)):
            yield _Block(None, rate, np.zeros(size, np.float32), False)
        samples = block.samples[max(-shift, 0) :]
        if expected == 0 and shift > 0:
            late = shift / rate
        elif shift > 0:
            filled += shift / rate
        elif expected > begin_seconds:  # before the beginning of a part nothing is wanted
            left_out += (len(block.samples) - len(samples)) / rate
        if len(samples):
            yield _Block(None, rate, samples, False)
        count += max(shift, 0) + len(samples)
    for seconds, what in ((late, "before it begins"), (filled, "without data in it")):
        if seconds >= _SAID_SECONDS:
            warn(f"sound: {seconds:.2f} s {what}, filled with silence")
    if left_out >= _TIME_TOLERANCE_SECONDS:
        warn(f"sound: {left_out:.2f} s of it that overlap others, left out")


def _pieces(total: int, most: int) -> Iterator[int]:
    while total > 0:
        yield min(total, most)
        total -= most


def _resampled(blocks: Iterable[_Block], rate: int) -> Iterator[Samples]:
    """Samples at the new rate; a change of the old rate ends one run of the resampler and begins another."""
    import soxr  # type: ignore[import-untyped]

    stream: soxr.ResampleStream | None = None
    old_rate = 0
    nothing = np.empty(0, np.float32)
    for block in blocks:
        if block.sample_rate_hz != old_rate:
            if stream is not None:
                yield stream.resample_chunk(nothing, last=True)
            old_rate = block.sample_rate_hz
            stream = None if old_rate == rate else soxr.ResampleStream(old_rate, rate, 1, dtype="float32", quality="HQ")
        yield block.samples if stream is None else stream.resample_chunk(block.samples)
    if stream is not None:
        yield stream.resample_chunk(nothing, last=True)
