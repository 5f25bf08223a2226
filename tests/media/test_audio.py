"""Sound at one rate: level, pitch, time, and how much is held at once."""

import subprocess
import sys
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from marked import pictures, tone

from emotion_llama.errors import InputError, MediaError
from emotion_llama.media.audio import Channels, _Block, _placed, iter_audio, read_audio
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import ClipFormat, write_clip


def _write_frames(path, frames, rate=44_100, codec="flac"):
    """Sound whose pieces are (start sample, samples), so that times may jump."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for start, samples in frames:
            for begin in range(0, len(samples), 4410):
                part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 4410].copy(), "fltp", "mono")
                part.sample_rate, part.pts, part.time_base = rate, start + begin, Fraction(1, rate)
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_level_pitch_and_place(tmp_path, rate):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(2, rate), sample_rate_hz=rate))
    wave = read_audio(clip)
    assert (wave.sample_rate_hz, wave.start_seconds, wave.samples.dtype) == (16_000, 0.0, np.float32)
    assert abs(len(wave.samples) - 32_000) <= 1
    middle = slice(1_000, 31_000)  # the ends of the file ring
    assert np.abs(wave.samples[middle] - tone(2, 16_000)[middle]).max() < 2e-4


@pytest.mark.parametrize("hz", [8_500, 10_000, 15_000])
def test_no_alias_of_what_the_new_rate_cannot_hold(tmp_path, hz):
    """10 kHz would come back as 6 kHz. Measured -139 dB or less; PyAV's resampler as it comes: -26 dB at 8.5 kHz."""
    path = write_clip(tmp_path / "a.wav", audio=tone(2, hz=hz), stored=ClipFormat(audio_codec="pcm_f32le"))
    alias = read_audio(probe(path)).samples[1_000:-1_000].astype(float)
    assert 20 * np.log10(np.sqrt(2 * np.mean(alias**2)) / 0.5) < -120


def test_pass_band_reaches_seven_kilohertz(tmp_path):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(2, hz=7_000)))
    middle = read_audio(clip).samples[1_000:31_000]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=2e-3)


def test_channels_are_averaged(tmp_path):
    left, right = tone(1, amplitude=0.8), tone(1, hz=700, amplitude=0.4)
    clip = probe(write_clip(tmp_path / "a.wav", audio=np.stack([left, right])))
    assert (clip.audio.channels, clip.audio.weights) == (2, ())
    middle = slice(1_000, 15_000)
    mean = tone(1, 16_000, amplitude=0.4) + tone(1, 16_000, 700, 0.2)
    np.testing.assert_allclose(read_audio(clip).samples[middle], mean[middle], atol=2e-3)


@pytest.mark.inputs("sound", "stereo with one empty channel", "left out of the mix", "which")
@pytest.mark.parametrize("name", ["a.wav", "a.mkv", "a.avi", "a.mp4"])
def test_an_empty_channel_is_left_out_and_named(tmp_path, name):
    both = np.stack([np.zeros(44_100, np.float32), tone(1, amplitude=0.8)])
    codec = None if name in ("a.mp4", "a.wav") else "pcm_s16le"
    lines = []
    clip = probe(write_clip(tmp_path / name, audio=both, stored=ClipFormat(audio_codec=codec)), warn=lines.append)
    assert clip.audio.weights == (0.0, 1.0)
    assert [line for line in lines if "channel 1 of 2" in line] == lines
    assert np.abs(read_audio(clip).samples[1_000:-1_000]).max() == pytest.approx(0.8, abs=1e-2)


@pytest.mark.inputs("sound", "the right channel is the left one inverted", "turned back", "yes")
@pytest.mark.parametrize("silence_seconds", [0.0, 8.0])
@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.webm"])
def test_an_inverted_channel_is_turned_back_and_named(tmp_path, name, silence_seconds):
    sound = np.concatenate([np.zeros(round(44_100 * silence_seconds), np.float32), tone(1, amplitude=0.5)])
    lines = []
    clip = probe(write_clip(tmp_path / name, audio=np.stack([sound, -0.8 * sound])), warn=lines.append)
    assert clip.audio.weights == (0.5, -0.5)
    assert len(lines) == 1
    assert "inverted" in lines[0]
    samples = read_audio(clip).samples[round(16_000 * silence_seconds) + 1_000 :][:13_000]
    assert np.sqrt(2 * np.mean(samples**2)) == pytest.approx(0.45, rel=0.02)


def test_an_inverted_front_pair_of_surround_sound_is_turned_back(tmp_path):
    channels = np.zeros((6, 44_100), np.float32)
    channels[0] = tone(1)
    channels[1] = -channels[0]
    clip = probe(write_clip(tmp_path / "a.flac", audio=channels), warn=lambda line: None)
    assert np.abs(read_audio(clip).samples[1_000:-1_000]).max() == pytest.approx(0.5, abs=2e-3)


@pytest.mark.inputs("sound", "channels that cancel each other", "mixed as they are", "by how many dB")
def test_channels_that_cancel_each_other_later_are_said(tmp_path):
    both = np.stack([np.concatenate([tone(6), tone(30, hz=300)]), np.concatenate([tone(6, hz=500), -tone(30, hz=300)])])
    clip, lines = probe(write_clip(tmp_path / "a.wav", audio=both)), []
    read_audio(clip, warn=lines.append)
    assert lines == []  # a fifth of the sound is no cancelling of the whole
    both[:, : 6 * 44_100] *= 0.05
    read_audio(probe(write_clip(tmp_path / "a.wav", audio=both)), warn=lines.append)
    assert ["dB below the loudest" in line for line in lines] == [True]


def test_equal_channels_keep_their_level(tmp_path):
    both = np.stack([tone(1, amplitude=0.9)] * 2)
    clip = probe(write_clip(tmp_path / "a.wav", audio=both))
    assert np.abs(read_audio(clip).samples[1_000:-1_000]).max() == pytest.approx(0.9, abs=2e-3)


def test_six_channels(tmp_path):
    channels = np.zeros((6, 44_100), np.float32)
    channels[2] = tone(1, amplitude=0.6)  # the centre, where films put speech
    clip = probe(write_clip(tmp_path / "a.flac", audio=channels))
    assert clip.audio.channels == 6
    assert np.abs(read_audio(clip).samples[1_000:-1_000]).max() == pytest.approx(0.6 * 0.5**0.5, abs=2e-3)


def _write_constants(path, count, seconds=1, rate=16_000):
    """PCM of `count` channels: 100, 200, ... of 32768, each all the time."""
    with wave.open(str(path), "wb") as file:
        file.setparams((count, 2, rate, 0, "NONE", ""))
        file.writeframes(np.tile(100 * np.arange(1, count + 1, dtype="<i2"), seconds * rate).tobytes())
    return path


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 12, 16, 27, 32, 64])
def test_the_mean_over_any_number_of_channels_is_exact(tmp_path, count):
    """Eight channels and more once ended the process: PyAV reads past the end of so many planes."""
    clip = probe(_write_constants(tmp_path / "a.wav", count))
    assert clip.audio.channels == count
    samples = read_audio(clip).samples
    assert samples.shape == (16_000,)
    assert set(samples.tolist()) == {50 * (count + 1) / 32_768}


@pytest.mark.inputs("sound", "5.1, 7.1 and other layouts", "mixed by the channels' places (ITU-R BS.775), as below", "")
@pytest.mark.parametrize(
    ("name", "codec", "layout", "count"),
    [
        ("a.flac", "flac", "7.1", 8),
        ("a.mkv", "pcm_s16le", "7.1", 8),
        ("a.mp4", "aac", "7.1", 8),
        ("a.webm", "libopus", "7.1", 8),
        ("a.wv", "wavpack", "22.2", 24),
    ],
)
def test_channels_of_surround_sound_weigh_by_their_place(tmp_path, name, codec, layout, count):
    """Each channel holds a tone of its own: front half as loud, centre -3 dB, the rest -9 dB, the deep one none."""
    hz = [50 * (3 + channel) for channel in range(count)]
    channels = np.stack([tone(1, 48_000, one, 0.1) for one in hz])
    stored = ClipFormat(audio_codec=codec, audio_layout=layout)
    clip = probe(write_clip(tmp_path / name, audio=channels, sample_rate_hz=48_000, stored=stored))
    assert clip.audio.channels == count
    samples = read_audio(clip).samples[2_400:13_600]  # whole periods of all the tones
    levels = 2 * np.abs(np.fft.rfft(samples))[[round(one * len(samples) / 16_000) for one in hz]] / len(samples)
    if clip.audio.codec.startswith("pcm"):  # Matroska stores no places for it: each channel counts the same
        np.testing.assert_allclose(levels, 0.1 / count, rtol=0.05)
        return
    np.testing.assert_allclose(levels[:3], [0.05, 0.05, 0.1 * 0.5**0.5], rtol=0.05)
    assert levels[3] < 1e-3
    known = levels[4:] if count == 8 else levels[[4, 5, 8, 10, 11]]
    np.testing.assert_allclose(known, 0.1 * 0.5**1.5, rtol=0.05)


@pytest.mark.inputs("sound", "more than 64 channels", "refused", "")
def test_more_channels_than_can_be_converted(tmp_path):
    clip = probe(_write_constants(tmp_path / "a.wav", 65))
    with pytest.raises(MediaError, match="65"):
        read_audio(clip)


def test_the_number_of_channels_may_change_within_a_file():
    """A damaged mono AAC file once decoded to 27 channels for a moment, each a plane of its own as AAC has it."""
    converted = Channels()
    for count, layout in ((1, "mono"), (27, "27 channels"), (8, "7.1"), (2, "stereo")):
        packed = np.tile(100 * np.arange(1, count + 1, dtype=np.int16), 1024)[None]
        frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
        frame.sample_rate = 44_100
        (planar,) = av.AudioResampler("fltp", layout, 44_100).resample(frame)
        assert planar.format.is_planar
        (channels,) = converted(planar)
        np.testing.assert_array_equal(channels, np.tile(100 * np.arange(1, count + 1)[:, None] / 32_768, 1024))


@pytest.mark.inputs("sound", "channels without places", "all count the same", "")
@pytest.mark.parametrize("labels", [(2, 1), (1, 1), (0, 0)], ids=["right left", "left left", "unused unused"])
def test_channels_that_quicktime_names_in_an_order_of_its_own(tmp_path, labels):
    """PyAV before 19 frees such an order twice, which ended the process; cameras write "unused, unused"."""
    channels = np.array([[0.25], [0.5]], np.float32).repeat(16_000, axis=1)
    stored = ClipFormat(audio_codec="pcm_s16le", audio_layout="FL+LFE2")  # a pair that is written label by label
    path = write_clip(tmp_path / "a.mov", audio=channels, sample_rate_hz=16_000, stored=stored)
    data = bytearray(path.read_bytes())
    # Atom "chan": version and flags, tag, bitmap, count of labels; then 20 bytes for each, its number first.
    first = data.index(b"chan") + 4 + 16
    assert [data[place : place + 4].hex() for place in (first, first + 20)] == ["00000001", "00000025"]
    for place, label in zip((first, first + 20), labels):
        data[place : place + 4] = label.to_bytes(4, "big")
    path.write_bytes(data)
    clip = probe(path)
    assert clip.audio.channels == 2
    assert set(read_audio(clip).samples.tolist()) == {0.375}


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_format_has_one_scale(tmp_path, codec):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(1), stored=ClipFormat(audio_codec=codec)))
    middle = slice(1_000, 15_000)
    error = read_audio(clip).samples[middle] - tone(1, 16_000)[middle]
    assert np.abs(error).max() < (0.01 if codec == "pcm_u8" else 2e-4)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mp3", "a.ts"])
def test_lossy_codecs_keep_level_and_length(tmp_path, name):
    pcm = np.concatenate([tone(2), np.zeros(22_050, np.float32)])
    images = None if name == "a.mp3" else pictures(63)
    wave = read_audio(probe(write_clip(tmp_path / name, images, 25, pcm)))
    assert wave.duration_seconds == pytest.approx(2.5, abs=0.05)
    steady = wave.samples[8_000:24_000]
    level = 0.475 if name == "a.mp3" else 0.5  # LAME turns the sound down by 5 % against clipping
    assert np.sqrt(2 * np.mean(steady**2)) == pytest.approx(level, rel=0.03)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert spectrum.argmax() * 16_000 / len(steady) == pytest.approx(440, abs=1)


def test_padding_of_the_last_packet_is_not_sound(tmp_path):
    wave = read_audio(probe(write_clip(tmp_path / "a.m4a", audio=tone(2))))
    assert len(wave.samples) == 32_000


@pytest.mark.inputs("sound", "a late start", "silence before it", "the seconds, from 0.1 s on")
def test_sound_that_begins_late_is_preceded_by_silence(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mkv", pictures(50), 25, tone(1), audio_start_seconds=0.5))
    wave = read_audio(clip)
    assert len(wave.samples) == 24_000
    assert np.abs(wave.samples[:7_900]).max() < 1e-3
    np.testing.assert_allclose(wave.samples[9_000:23_000], tone(1, 16_000)[1_000:15_000], atol=2e-4)


def test_sound_of_a_file_that_starts_at_ten_seconds_counts_from_its_start(tmp_path):
    clip = probe(_write_frames(tmp_path / "a.mkv", [(441_000, tone(1))]))
    wave = read_audio(clip)
    assert len(wave.samples) == 16_000
    np.testing.assert_allclose(wave.samples[1_000:15_000], tone(1, 16_000)[1_000:15_000], atol=2e-4)


@pytest.mark.inputs("sound", "a gap in its times", "silence", "the seconds, from 0.1 s on")
def test_a_gap_is_silence_and_what_follows_is_in_time(tmp_path):
    clip = probe(_write_frames(tmp_path / "a.mkv", [(0, tone(1)), (66_150, tone(1))], codec="pcm_s16le"))
    lines = []
    wave = read_audio(clip, warn=lines.append)
    assert ["0.50 s" in line and "silence" in line for line in lines] == [True]
    assert len(wave.samples) == 40_000
    assert np.abs(wave.samples[16_200:23_800]).max() < 1e-3
    np.testing.assert_allclose(wave.samples[25_000:39_000], tone(1, 16_000)[1_000:15_000], atol=2e-4)


def test_rounded_times_make_no_gaps(tmp_path):
    # Matroska rounds to milliseconds: 4608 samples at 44.1 kHz are 104.49 ms.
    clip = probe(_write_frames(tmp_path / "a.mkv", [(0, tone(3))]))
    np.testing.assert_allclose(read_audio(clip).samples[1_000:47_000], tone(3, 16_000)[1_000:47_000], atol=2e-4)


def _place(*blocks, begin=0.0, last=100.0, warn=lambda line: None):
    out = list(_placed([_Block(*block) for block in blocks], begin, last, warn))
    return np.concatenate([block.samples for block in out]), [block.sample_rate_hz for block in out]


@pytest.mark.inputs("sound", "times that overlap", "what has passed already is left out", "the seconds")
def test_samples_whose_time_has_passed_are_left_out():
    one, two = np.full(100, 1, np.float32), np.full(100, 2, np.float32)
    lines = []
    samples, _ = _place((0.0, 100, one, True), (0.5, 100, two, False), warn=lines.append)
    assert samples.tolist() == [1] * 100 + [2] * 50
    assert ["0.50 s" in line for line in lines] == [True]


def test_small_differences_of_time_are_rounding_except_after_damage():
    one, two = np.full(1000, 1, np.float32), np.full(1000, 2, np.float32)
    assert len(_place((0.0, 1000, one, True), (1.04, 1000, two, False))[0]) == 2000
    assert len(_place((0.0, 1000, one, True), (1.04, 1000, two, True))[0]) == 2040


def test_a_wild_time_does_not_make_hours_of_silence():
    one = np.full(100, 1, np.float32)
    samples, _ = _place((0.0, 100, one, True), (1e7, 100, one, False), last=3.0)
    assert len(samples) == 400


def test_a_new_rate_goes_on_where_the_old_one_ended():
    one, two = np.full(100, 1, np.float32), np.full(500, 2, np.float32)
    samples, rates = _place((0.0, 100, one, True), (2.0, 200, two, False))
    assert samples.tolist() == [1] * 100 + [0] * 200 + [2] * 500  # a second of silence at the new rate
    assert rates[0] == 100
    assert set(rates[1:]) == {200}


def test_blocks_without_times_follow_each_other():
    one = np.full(100, 1, np.float32)
    assert len(_place((None, 100, one, True), (None, 100, one, False))[0]) == 200


@pytest.mark.inputs("sound", "a rate that changes within the file", "it goes on at its place", "")
def test_the_rate_may_change_within_a_file(tmp_path):
    first = write_clip(tmp_path / "a.ts", audio=tone(1, 44_100), sample_rate_hz=44_100)
    second = write_clip(tmp_path / "b.ts", audio=tone(1, 48_000), sample_rate_hz=48_000, audio_start_seconds=1.05)
    both = tmp_path / "c.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    wave = read_audio(probe(both))
    for part in (wave.samples[4_000:12_000], wave.samples[22_000:30_000]):
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert spectrum.argmax() * 16_000 / len(part) == pytest.approx(440, abs=2)


def test_chunks_join_without_a_seam(tmp_path):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(5)))
    chunks = list(iter_audio(clip, chunk_seconds=1.5))
    assert [len(chunk.samples) for chunk in chunks] == [24_000, 24_000, 24_000, 8_000]
    assert [chunk.start_seconds for chunk in chunks] == [0.0, 1.5, 3.0, 4.5]
    joined = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(joined, read_audio(clip).samples)


def _sweep(path):
    sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 900, 14 * 44_100)) / 44_100) / 2
    return probe(write_clip(path, audio=sweep.astype(np.float32)))


@pytest.mark.parametrize("start", [0.1, 3.21, 12.3])
@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.mp3", "a.flac"])
def test_a_part_equals_that_part_of_the_whole(tmp_path, name, start):
    """A start inside a packet once moved the sound by up to 45 ms: its time was taken for rounding."""
    clip = _sweep(tmp_path / name)
    part = read_audio(clip, start_seconds=start, end_seconds=start + 0.8)
    assert part.start_seconds == start
    assert len(part.samples) == 12_800
    begin = round(start * 16_000)
    np.testing.assert_allclose(part.samples, read_audio(clip).samples[begin : begin + 12_800], atol=2e-3)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_late_part_of_matroska_is_within_its_millisecond(tmp_path, name):
    clip = _sweep(tmp_path / name)
    part = read_audio(clip, start_seconds=12.3, end_seconds=13.1).samples
    whole = read_audio(clip).samples
    errors = [np.abs(part - whole[196_800 + lag : 209_600 + lag]).max() for lag in range(-32, 33)]
    assert abs(int(np.argmin(errors)) - 32) <= 16
    assert min(errors) < 0.1  # the rest is less than one sample of lag


def test_a_part_after_the_end_is_empty(tmp_path):
    wave = read_audio(probe(write_clip(tmp_path / "a.wav", audio=tone(1))), start_seconds=5.0)
    assert len(wave.samples) == 0
    assert wave.start_seconds == 5.0


def test_another_rate(tmp_path):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(1)))
    wave = read_audio(clip, sample_rate_hz=44_100)
    np.testing.assert_allclose(wave.samples, tone(1), atol=1e-4)  # the same rate: nothing is resampled


def test_options_out_of_range(tmp_path):
    clip = probe(write_clip(tmp_path / "a.wav", audio=tone(1)))
    with pytest.raises(InputError, match="sample_rate_hz"):
        iter_audio(clip, sample_rate_hz=0)
    with pytest.raises(InputError, match="chunk_seconds"):
        iter_audio(clip, chunk_seconds=0)
    with pytest.raises(InputError, match="start_seconds must be 0 or more"):
        iter_audio(clip, start_seconds=-1)
    with pytest.raises(InputError, match="end_seconds"):
        read_audio(clip, start_seconds=1, end_seconds=0.5)


def test_a_clip_without_sound_says_so(tmp_path):
    clip = probe(write_clip(tmp_path / "a.mp4", pictures(3), 25))
    with pytest.raises(MediaError, match="it has video but no sound"):
        iter_audio(clip)


MEASURE = """
import resource, sys
from emotion_llama.media.audio import iter_audio
from emotion_llama.media.probe import probe
clip = probe(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read = lambda **span: sum(len(c.samples) for c in iter_audio(clip, sample_rate_hz=96_000, chunk_seconds=5.0, **span))
read(end_seconds=20.0)
before = peak()
print(read(), (peak() - before) // 1024)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    # Ten minutes at 96 kHz are 220 MiB; a chunk is 2 MiB.
    path = write_clip(tmp_path / "a.flac", audio=np.zeros(600 * 8_000, np.float32), sample_rate_hz=8_000)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    count, growth_mib = map(int, done.stdout.split())
    assert count == pytest.approx(600 * 96_000, abs=20)
    assert growth_mib < 40
