"""What the packets of a file say without decoding: where its times restart, its length and pace, what gave no frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.media.sampling import Pace, measure_pace

if TYPE_CHECKING:
    from av.packet import Packet

Seconds = npt.NDArray[np.float64]

_BACK_SECONDS = 0.25  # decoding times never go back within one recording
_AHEAD_SECONDS = 10.0  # nor sound so far ahead, in containers of continuous streams
_WILD_SECONDS = 1.0  # nor a single packet so far, whose neighbours stay
LEAP_SECONDS = 3600.0  # nor anything so far ahead, in any container
_USUAL_STEPS = 3  # ... but where the usual step is longer than a third of these, so many of it
_REORDERED = 20  # usual steps between decoding and showing a picture, at most
_START_PACKETS = 32  # of a stream, among which its first time is looked for
_FRAME_TOLERANCE_SECONDS = 1e-4
_GAP_SECONDS = 0.5


class Times(NamedTuple):
    """Packets of one stream in file order [n]: place among all packets, decoding and showing times, durations (s)."""

    place: npt.NDArray[np.int64]
    dts: Seconds
    pts: Seconds
    duration: Seconds


# By stream index: (ordinal of the packet from which on, seconds to add to its time).
Joins = dict[int, list[tuple[int, float]]]
# By stream index and ordinal of the packet: decoding and showing time and duration in place of wild ones.
Strays = dict[int, dict[int, tuple[float, float, float]]]


class Survey:
    """Times of packets as they pass; of all packets of a file, or of the first ones (`is_whole` is False)."""

    def __init__(self) -> None:
        self.is_whole = False
        self.end_byte = 0  # behind the last packet
        self._rows: dict[int, list[tuple[int, float, float, float]]] = {}
        self._count = 0

    def add(self, packet: Packet[Any], *, is_counted: bool) -> None:
        """Note a packet; `is_counted` where the container has no times of showing, only of storing (AVI)."""
        if not packet.size or packet.stream_index < 0:
            return
        base = float(packet.time_base or 0)
        dts = packet.pts if packet.dts is None else packet.dts
        pts = dts if packet.pts is None or is_counted else packet.pts
        row = tuple(np.nan if time is None else time * base for time in (dts, pts))
        self._rows.setdefault(packet.stream_index, []).append((self._count, *row, (packet.duration or 0) * base))  # type: ignore[arg-type]
        self._count += 1
        if packet.pos is not None:
            self.end_byte = max(self.end_byte, packet.pos + packet.size)

    def mend(self, stream_index: int) -> dict[int, tuple[float, float, float]]:
        """Put packets with wild times behind the ones before them; the times they get, by ordinal."""
        times = self.times(stream_index)
        mended = mended_times(times)
        for at, row in mended.items():
            self._rows[stream_index][at] = self._rows[stream_index][at][0], *row
        return mended

    def times(self, stream_index: int) -> Times:
        """The packets of one stream so far."""
        table = np.array(self._rows.get(stream_index, []), np.float64).reshape(-1, 4)
        return Times(table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])

    def count(self, stream_index: int) -> int:
        """Number of packets of one stream so far."""
        return len(self._rows.get(stream_index, ()))

    def pace(self, stream_index: int, tick_seconds: float, joins: Joins) -> Pace:
        """Frame rate of a stream from all its times; without the last ones where their neighbours were not read."""
        times = self.times(stream_index)
        parts = np.split(times.pts, [ordinal for ordinal, _ in joins.get(stream_index, [])])
        shown = np.empty(0)
        for part in parts:  # the parts of a joined file follow each other at the usual distance
            part = np.sort(part[np.isfinite(part)])
            step = float(np.median(np.diff(part))) if len(part) > 1 else tick_seconds
            start = shown[-1] + step - part[0] if len(shown) and len(part) else 0.0
            shown = np.concatenate([shown, part + start])
        if not self.is_whole and np.isfinite(times.dts).any():
            shown = shown[shown <= np.nanmax(times.dts)]
        return measure_pace(shown.tolist(), tick_seconds)

    def end_seconds(self, stream_index: int, joins: Joins, gap_seconds: float) -> float | None:
        """End of the last packet; one without a duration lasts for `gap_seconds`. None without times."""
        times = joined(self.times(stream_index), joins.get(stream_index, []))
        ends = times.pts + np.where(times.duration > 0, times.duration, gap_seconds)
        return float(np.nanmax(ends)) if np.isfinite(ends).any() else None


def joined(times: Times, joins: Sequence[tuple[int, float]]) -> Times:
    """The same with every packet at its time in the joined recording."""
    shift = np.zeros(len(times.dts))
    for ordinal, seconds in joins:
        shift[ordinal:] = seconds
    return times._replace(dts=times.dts + shift, pts=times.pts + shift)


def find_joins(by_stream: Mapping[int, Times], sound: int | None, *, is_continuous: bool) -> Joins:
    """Where stored times restart, and what to add from there on so that the parts follow each other.

    Files that were joined byte by byte, recorders that were started anew. A part begins where the first stream goes
    back for more than two packets, or leaps ahead: by an hour, or in continuous streams sound by ten seconds.

    Args:
        by_stream: packets of the streams that are used.
        sound: index of the sound among them.
        is_continuous: the container is of a kind whose sound has no gaps of seconds (transport streams, Ogg).
    """
    breaks = sorted(
        (int(times.place[at]), stream, at)
        for stream, times in by_stream.items()
        for at in _breaks(times, ahead=is_continuous and stream == (sound if sound is not None else stream))
    )
    cuts: list[dict[int, int]] = []  # each: ordinal of the first packet of the new part, by stream
    for _, stream, at in breaks:
        if not cuts or stream in cuts[-1]:
            cuts.append({})
        cuts[-1][stream] = at
    bounds = [dict.fromkeys(by_stream, 0)]  # of each part: its first packet, by stream
    for cut in cuts:
        place = min(int(by_stream[stream].place[at]) for stream, at in cut.items())
        before = bounds[-1]
        bounds.append(
            {s: cut.get(s, max(before[s], int(np.searchsorted(t.place, place)))) for s, t in by_stream.items()}
        )
    bounds.append({stream: len(times.place) for stream, times in by_stream.items()})
    joins: Joins = {stream: [] for stream in by_stream}
    offset = 0.0
    for before, firsts, behind, cut in zip(bounds, bounds[1:], bounds[2:], cuts):
        ends: list[float] = []
        starts: list[float] = []
        for stream, times in by_stream.items():
            old = slice(before[stream], firsts[stream])
            new = slice(firsts[stream], min(firsts[stream] + _START_PACKETS, behind[stream]))
            ends += (times.pts[old] + times.duration[old]).tolist()
            starts += times.pts[new].tolist() if stream in cut else []
        offset += float(np.nanmax(ends) - np.nanmin(starts)) if len(ends) else 0.0
        for stream in by_stream:
            joins[stream].append((firsts[stream], offset))
    return joins


def mended_times(times: Times) -> dict[int, tuple[float, float, float]]:
    """Decoding and showing times and durations of the packets whose own are wild, by ordinal.

    A time is wild where it is far from the one before, and the next or the one after that is not; or where it goes back
    or leaps ahead by an hour, and no other goes there too. A duration is from an hour on.
    """
    known = np.flatnonzero(np.isfinite(times.dts))
    if len(known) < 3:
        return {}
    dts, pts = times.dts[known], times.pts[known]
    step = np.diff(dts)
    usual = float(np.median(np.abs(step)))
    ahead = max(_WILD_SECONDS, _USUAL_STEPS * usual)
    right = dts.copy()
    if ((step < -_BACK_SECONDS) | (step > ahead)).any():
        right = _right_times(dts, usual, ahead)
    shown = pts - dts
    is_far = np.abs(shown - np.nanmedian(shown)) > max(_AHEAD_SECONDS, _REORDERED * usual)
    shown = np.where(is_far, np.nanmedian(shown), shown)
    lasting = times.duration[known]
    is_long = lasting > max(LEAP_SECONDS, _USUAL_STEPS * usual)
    lasting = np.where(is_long, usual, lasting)
    changed = np.flatnonzero((right != dts) | is_far | is_long)
    rows = np.stack([right, right + shown, lasting], axis=1)[changed]
    return {int(known[at]): (dts, pts, length) for at, (dts, pts, length) in zip(changed, rows.tolist())}


def _right_times(dts: Seconds, usual: float, ahead: float) -> Seconds:
    """Decoding times with the wild ones put behind those before them."""

    def follows(before: float, time: float) -> bool:
        return -_BACK_SECONDS <= time - before <= ahead

    right: Seconds = dts.copy()
    if dts[1] < dts[0] - _BACK_SECONDS and any(follows(dts[1], other) for other in dts[2:4]):
        right[0] = dts[1] - usual
    leap = max(LEAP_SECONDS, ahead)
    for at in range(1, len(dts)):
        before, time, behind = right[at - 1], dts[at], dts[at + 1 : at + 3]
        if follows(before, time):
            continue
        is_alone = not any(follows(time, other) for other in behind)
        is_far = time < before or time - before > leap
        if any(follows(before, other) for other in behind) or (is_alone and is_far):
            right[at] = before + usual
    return right


def _breaks(times: Times, *, ahead: bool) -> list[int]:
    """Ordinals of packets whose time goes back, or leaps ahead, and stays there."""
    known = np.flatnonzero(np.isfinite(times.dts))
    if len(known) < 2:
        return []
    # The median of five takes single wild times away, and leaves steps where they are.
    padded = np.pad(times.dts[known], 2, mode="edge")
    step = np.diff(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1))
    most = _AHEAD_SECONDS if ahead else max(LEAP_SECONDS, _USUAL_STEPS * float(np.median(np.abs(step))))
    found = (step < -_BACK_SECONDS) | (step > most)
    return [int(known[at + 1]) for at in np.flatnonzero(found)]


def unread_seconds(
    packets: Seconds, durations: Seconds, frames: Seconds, *, is_continuous: bool, parts: Sequence[int] = ()
) -> tuple[float, float]:
    """Seconds of pictures that were read, and of those that were not, of packets at these times.

    A packet without a frame of its time counts only where frames are missing around it: some codecs store two packets
    for a frame, or packets that show nothing. In a continuous container, half a second without packets is lost data,
    except where a part ends: `parts` are the ordinals of the packets with which joined parts begin.
    """
    order = np.argsort(packets, kind="stable")
    shown, frames = packets[order], np.sort(frames)
    usual = float(np.median(np.diff(shown))) if len(shown) > 1 else 0.0
    # A picture is shown until the next one; the container's own duration may be that of its storing.
    lasting = np.append(np.diff(shown), 0.0)
    for last in (*(begin - 1 for begin in parts if 0 < begin < len(shown)), len(shown) - 1):
        lasting[last] = durations[order][last] or usual
    if not len(frames) or not len(shown):
        return 0.0, float(lasting.sum())
    if len(shown) > 1.9 * len(frames) > 3.8:
        usual = float(np.median(np.diff(frames)))
    after = np.searchsorted(frames, shown - _FRAME_TOLERANCE_SECONDS)
    before, behind = frames[np.maximum(after - 1, 0)], frames[np.minimum(after, len(frames) - 1)]
    distance = np.minimum(np.abs(shown - before), np.abs(behind - shown))
    far = (distance > 0.6 * usual) | (behind - before > 1.5 * usual)
    lost = (distance > _FRAME_TOLERANCE_SECONDS) & far
    if is_continuous:
        lost |= lasting > max(_GAP_SECONDS, 5 * usual)
    return float(lasting[~lost].sum()), float(lasting[lost].sum())
