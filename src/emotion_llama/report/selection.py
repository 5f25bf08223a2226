"""What of a long analysis is shown in full, and what shares a row, so that reports stay bounded in length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from emotion_llama.report.wording import answer_name, lead_segment, mean_probabilities, most_telling
from emotion_llama.results import Evidence, PersonAnalysis, Segment

Key = tuple[int, int]  # person_id, index of the segment
MAX_DETAILED = 12
MAX_ROWS = 40  # of a timeline before neighbours with the same label become one row
IMAGE_BYTES = 600_000  # all images of a page together, base64
POINTS = 40_000  # all points of a page's curves together, about 9 bytes each
MAX_POINTS, MIN_POINTS = 800, 60  # of one curve
SHARED_ROWS = "Neighbours with the same label share a row, with the evidence of the most probable one."
CURVES_PER_SEGMENT = 20  # 17 units, both sides of the waveform, pitch


class Run(NamedTuple):
    """Neighbouring segments with the same predicted label: one row of a timeline."""

    segments: tuple[Segment, ...]

    @property
    def label(self) -> str | None:
        """The label of all of them."""
        return self.segments[0].prediction.label

    @property
    def name(self) -> str:
        """The label, "uncertain" or "no answer"."""
        return answer_name(self.segments[0].prediction)

    @property
    def is_guess(self) -> bool:
        """Whether one of them is out of the model's domain, so that its probability says little."""
        return any(segment.prediction.out_of_domain for segment in self.segments)

    @property
    def start_seconds(self) -> float:
        """Start of the first."""
        return self.segments[0].start_seconds

    @property
    def end_seconds(self) -> float:
        """End of the last."""
        return self.segments[-1].end_seconds

    @property
    def probabilities(self) -> Mapping[str, float] | None:
        """Of the one segment as they are; of several their mean, weighted by length."""
        if len(self.segments) == 1:
            return self.segments[0].prediction.probabilities
        return mean_probabilities(self.segments)

    @property
    def evidence(self) -> Evidence:
        """Of the most probable segment; of several without an answer none, since none stands for the others."""
        if len(self.segments) > 1 and self.label is None:
            return Evidence()
        return self.segments[most_telling(self.segments) or 0].evidence

    @property
    def problem(self) -> str:
        """Why there is no answer; of several reasons the most frequent."""
        counts = Counter(segment.prediction.problem or "" for segment in self.segments)
        problem, count = counts.most_common(1)[0]
        return problem if len(counts) == 1 else f"{problem} ({count} of {len(self.segments)} segments)"


def timeline_rows(segments: Sequence[Segment], most: int = MAX_ROWS) -> list[Run]:
    """Each segment as a run of its own; of more than `most`, runs of neighbours with the same label, or with none."""
    if len(segments) <= most:
        return [Run((segment,)) for segment in segments]
    return [Run(tuple(group)) for _, group in groupby(segments, key=lambda segment: answer_name(segment.prediction))]


def by_worth(person: PersonAnalysis) -> list[int]:
    """Segment indices in the order in which they deserve room: the lead first, then by probability."""
    lead = lead_segment(person)

    def share(index: int) -> float:
        prediction = person.segments[index].prediction
        return (prediction.probabilities or {}).get(prediction.label or "", 0.0)

    return sorted(range(len(person.segments)), key=lambda index: (index != lead, -share(index)))


def choose_detailed(people: Sequence[PersonAnalysis], most: int = MAX_DETAILED) -> list[Key]:
    """The segments that are shown in full, at most `most`: each person's most telling one, then the next of each.

    Where there are more than `most`, those without an answer come in only as their person's most telling one.
    """
    queues = [(person.person_id, by_worth(person)) for person in people]
    if sum(len(queue) for _, queue in queues) > most:
        queues = [
            (person.person_id, queue[:1] + [i for i in queue[1:] if person.segments[i].prediction.label is not None])
            for person, (_, queue) in zip(people, queues)
        ]
    longest = max((len(queue) for _, queue in queues), default=0)
    in_turn = [(person_id, queue[i]) for i in range(longest) for person_id, queue in queues if i < len(queue)]
    return in_turn[: max(most, 0)]


def within_budget(sizes: Mapping[Key, int], order: Iterable[Key], budget: int = IMAGE_BYTES) -> list[Key]:
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
    return min(MAX_POINTS, max(MIN_POINTS, POINTS // (CURVES_PER_SEGMENT * max(charts, 1))))
