"""Packet times as numbers: joined parts, lost pictures, the pace, whatever the parts are."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emotion_llama.media.survey import Survey, Times, find_joins, joined, mended_times, unread_seconds

PARTS = st.lists(st.tuples(st.integers(30, 60), st.sampled_from([0.0, 0.5, 1.4, 3600.0])), min_size=1, max_size=4)


def _streams(parts, fps, sound_late, reorder):
    """Times of a video (0) and a sound (1) of joined recordings, each (pictures, first time), in file order."""
    rows = {0: [], 1: []}
    place = 0
    for count, start in parts:
        packets = []
        for i in range(count):
            shown = i + (1 if reorder and i % 3 == 1 else -1 if reorder and i % 3 == 2 and i < count else 0)
            packets.append((start + i / fps, 0, start + min(shown, count - 1) / fps, 1 / fps))
        packets += [(start + sound_late + i * 0.02, 1, start + sound_late + i * 0.02, 0.02) for i in range(2 * count)]
        for dts, stream, pts, duration in sorted(packets):
            rows[stream].append((place, dts, pts, duration))
            place += 1
    tables = {stream: np.array(table) for stream, table in rows.items()}
    return {stream: Times(t[:, 0].astype(np.int64), t[:, 1], t[:, 2], t[:, 3]) for stream, t in tables.items()}


@settings(max_examples=60, deadline=None)
@example([(30, 0.5), (30, 0.5), (30, 0.0)], 10.0, 0.0, False)  # shorter than the packets that show a part's beginning
@given(PARTS, st.sampled_from([10.0, 25.0, 29.97]), st.sampled_from([0.0, 0.02, 0.1]), st.booleans())
def test_joined_parts_follow_each_other_and_keep_their_inside(parts, fps, sound_late, reorder):
    starts = np.minimum.accumulate([start for _, start in parts])
    parts = [(count, float(start)) for (count, _), start in zip(parts, starts)]
    streams = _streams(parts, fps, sound_late, reorder)
    joins = find_joins(streams, 1, is_continuous=True)
    lengths = [max(count / fps, sound_late + 2 * count * 0.02) for count, _ in parts]
    assert [len(found) for found in joins.values()] == [len(parts) - 1] * 2
    for stream, times in streams.items():
        together = joined(times, joins[stream])
        assert (np.diff(together.dts) > 0).all()
        bounds = [0, *(ordinal for ordinal, _ in joins[stream]), len(times.dts)]
        assert np.diff(bounds).tolist() == [count * (stream + 1) for count, _ in parts]
    ends = [joined(t, joins[s]).pts + t.duration for s, t in streams.items()]
    assert max(map(np.max, ends)) - parts[0][1] == pytest.approx(sum(lengths), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 80), st.sets(st.sampled_from([2, 5, 8, 11, 14, 17])), st.sampled_from([-1e4, 1e4, 5.0, -5.0]))
def test_single_wild_times_are_no_restart(count, wild, by):
    times = np.arange(count) / 25
    times[sorted(wild)] += by
    table = Times(np.arange(count), times, times, np.full(count, 0.04))
    assert find_joins({0: table}, None, is_continuous=True) == {0: []}


def test_sound_that_leaps_ahead_is_joined_in_broadcasts_alone():
    times = np.concatenate([np.arange(100) * 0.02, 3600 + np.arange(100) * 0.02])
    table = {1: Times(np.arange(200), times, times, np.full(200, 0.02))}
    assert find_joins(table, 1, is_continuous=True) == {1: [(100, pytest.approx(-3598.0))]}
    assert find_joins(table, 1, is_continuous=False) == {1: []}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 0.5), min_size=6, max_size=60), st.data())
def test_read_and_unread_make_up_the_whole_at_any_pace(gaps, data):
    shown = np.cumsum(gaps)
    lost = data.draw(st.sets(st.integers(0, len(shown) - 1), max_size=len(shown) - 1))
    frames = np.delete(shown, sorted(lost))
    read, unread = unread_seconds(shown, np.zeros(len(shown)), frames, is_continuous=False)
    assert read + unread == pytest.approx(shown[-1] - shown[0] + float(np.median(np.diff(shown))))
    assert lost or unread == 0


def test_lost_pictures_count_with_the_time_they_are_shown():
    shown = np.arange(50) / 25
    durations = np.full(50, 0.04)
    for lost in ([30], [0, 1, 2], [49], [10, 11, 12, 40]):
        read, unread = unread_seconds(shown, durations, np.delete(shown, lost), is_continuous=False)
        assert (read, unread) == (pytest.approx(0.04 * (50 - len(lost))), pytest.approx(0.04 * len(lost)))
    assert unread_seconds(shown, durations, np.empty(0), is_continuous=False) == (0.0, pytest.approx(2.0))


def test_packets_that_show_nothing_and_fields_are_not_lost():
    frames = np.arange(50) / 25
    hidden = np.sort(np.concatenate([frames, frames[::10] + 0.001]))  # VP8's reference pictures
    assert unread_seconds(hidden, np.zeros(55), frames, is_continuous=False)[1] == 0
    fields = np.arange(100) / 50  # two packets for a picture
    assert unread_seconds(fields, np.full(100, 0.02), frames, is_continuous=False)[1] == 0


@pytest.mark.inputs(
    "parts", "half a second without data in a broadcast", "the rest is read", "how many seconds were not"
)
def test_a_gap_is_lost_data_in_broadcasts_alone():
    shown = np.concatenate([np.arange(50), 50 + 50 + np.arange(50)]) / 25
    assert unread_seconds(shown, np.full(100, 0.04), shown, is_continuous=True) == (
        pytest.approx(3.96),
        pytest.approx(2.04),
    )
    assert unread_seconds(shown, np.full(100, 0.04), shown, is_continuous=False)[1] == 0


def test_a_survey_without_packets():
    survey = Survey()
    assert survey.count(0) == 0
    assert survey.end_seconds(0, {}, 0.04) is None
    assert survey.pace(0, 0.001, {}).fps is None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(40, 80),
    st.sets(st.sampled_from([0, 2, 5, 8, 11, 14, 17]), min_size=1),
    st.sampled_from([-1e4, 1e4, 4e6, 5.0, -5.0]),
    st.sampled_from([1.0, 12.5, 25.0]),
    st.booleans(),
)
def test_single_wild_times_follow_the_packet_before_them(count, wild, by, fps, shown_alone):
    """A bit in a time stamp of FLV, and the file was 46 days long: its sound was filled with silence for hours."""
    right = np.arange(count) / fps
    by = by if fps > 1 else 1e3 * by
    if by < 0:
        wild = wild - {0} or {2}  # a first time that is early is a late beginning of the rest
    dts, pts = right.copy(), right.copy()
    pts[sorted(wild)] += by if not shown_alone or abs(by) > 100 else 1000.0
    if not shown_alone:
        dts[sorted(wild)] += by
    mended = mended_times(Times(np.arange(count), dts, pts, np.full(count, 1 / fps)))
    assert sorted(mended) == sorted(wild)
    for at, times in mended.items():
        assert times == pytest.approx((right[at], right[at], 1 / fps), abs=1e-6)


@pytest.mark.parametrize("gap", [0.3, 5.0, 30.0, 3000.0])
def test_gaps_are_no_wild_times(gap):
    times = np.concatenate([np.arange(20) / 25, gap + 0.76 + np.arange(20) / 25, 2 * gap + 1.52 + np.arange(20) / 25])
    assert mended_times(Times(np.arange(60), times, times, np.full(60, 0.04))) == {}
    slides = np.arange(20) * gap
    assert mended_times(Times(np.arange(20), slides, slides, np.full(20, gap))) == {}


def test_what_leaps_ahead_by_an_hour_is_joined_in_every_container():
    times = np.concatenate([np.arange(100) * 0.02, 4000 + np.arange(100) * 0.02])
    table = {1: Times(np.arange(200), times, times, np.full(200, 0.02))}
    assert find_joins(table, 1, is_continuous=False) == {1: [(100, pytest.approx(-3998.0))]}
    times[100:] -= 1000
    assert find_joins(table, 1, is_continuous=False) == {1: []}
