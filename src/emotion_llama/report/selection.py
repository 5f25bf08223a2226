"""What of a long analysis a page shows in full, so that its size stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from emotion_llama.records import PersonAnalysis
from emotion_llama.report.wording import lead_segment

Key = tuple[int, int]  # person_id, index of the segment
MOST_DETAILED = 12
PICTURE_BYTES = 600_000  # all pictures of a page together, base64
POINTS = 40_000  # all points of a page's curves together, about 9 bytes each
MOST_POINTS, LEAST_POINTS = 800, 60  # of one curve
CURVES_PER_SEGMENT = 20  # 17 units, both sides of the waveform, pitch


def most_telling(person: PersonAnalysis) -> list[int]:
    """Segment indices in the order in which they deserve room: the lead first, then by probability."""
    lead = lead_segment(person)

    def share(index: int) -> float:
        prediction = person.segments[index].prediction
        return (prediction.probabilities or {}).get(prediction.label or "", 0.0)

    return sorted(range(len(person.segments)), key=lambda index: (index != lead, -share(index)))


def choose_detailed(people: Sequence[PersonAnalysis], most: int = MOST_DETAILED) -> list[Key]:
    """The segments that are shown in full, at most `most`: each person's most telling one, then the next of each."""
    queues = [(person.person_id, most_telling(person)) for person in people]
    longest = max((len(queue) for _, queue in queues), default=0)
    in_turn = [(person_id, queue[i]) for i in range(longest) for person_id, queue in queues if i < len(queue)]
    return in_turn[: max(most, 0)]


def within_budget(sizes: Mapping[Key, int], order: Iterable[Key], budget: int = PICTURE_BYTES) -> list[Key]:
    """The keys of `order` that have a size, as long as their sizes fit the budget together."""
    chosen: list[Key] = []
    for key in order:
        if key in sizes:
            budget -= sizes[key]
            if budget < 0:
                break
            chosen.append(key)
    return chosen


def points_per_curve(charts: int) -> int:
    """How many points a curve may have when a page shows that many groups of CURVES_PER_SEGMENT curves."""
    return min(MOST_POINTS, max(LEAST_POINTS, POINTS // (CURVES_PER_SEGMENT * max(charts, 1))))
