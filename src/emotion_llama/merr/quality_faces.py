"""Do the units that a text names stand in the face at its peak? For texts that models or people wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from emotion_llama.merr.prose_units import Mention, unit_mentions
from emotion_llama.merr.quality import CIRCULAR, Measure
from emotion_llama.merr.records import Sample
from emotion_llama.merr.values import by_rules, descriptions, peak_units

PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold
UNNAMED = frozenset({"AU45"})  # nobody describes a blink as an expression: not asked for
TEXTS = ("visual_expression", "visual_objective")


class _Pair(NamedTuple):
    mentions: tuple[Mention, ...]
    present: frozenset[str]


class Expressions:
    """Mentions of units in texts about the face, against the units measured at the peak frame."""

    def __init__(self) -> None:
        self._pairs: list[_Pair] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample; all its texts about the face in all languages are compared with the same peak."""
        units = peak_units(sample)
        for _, written in descriptions(sample, TEXTS):
            if by_rules(written.provenance):
                self._left_out[CIRCULAR] += 1
            elif units is None:
                self._left_out["no face was measured"] += 1
            else:
                mentions = unit_mentions(written.text)
                present = frozenset(u for u, x in units.items() if x >= PRESENT) - UNNAMED
                self._pairs.append(_Pair(mentions, present))

    def measures(self) -> tuple[Measure, ...]:
        """Precision and recall over all mentions and units, beside those of texts with another sample's face."""
        half = len(self._pairs) // 2  # neighbours by name may be cuts of one video
        shifted = [_Pair(p.mentions, q.present) for p, q in zip(self._pairs, self._pairs[half:] + self._pairs[:half])]
        made = "over texts about the face that no rules wrote, at intensities of 0.8 and more"
        rows = (
            ("units_named_rightly", "Named movements that were measured", _precision, "mentions",
             f"share of the face movements named in a text that the peak frame shows, {made}"),
            ("units_named", "Measured movements that are named", _recall, "units",
             f"share of the units present at the peak frame that the text names, {made}"),
        )  # fmt: skip
        found = []
        for name, title, compute, unit, says in rows:
            value, count = compute(self._pairs)
            chance = compute(shifted)[0] if len(self._pairs) > 1 else None
            found.append(Measure(name, title, value, count, unit, "higher", says, chance, dict(self._left_out)))
        return tuple(found)


def _precision(pairs: Sequence[_Pair]) -> tuple[float | None, int]:
    hits = [bool(mention.units & pair.present) for pair in pairs for mention in pair.mentions]
    return (sum(hits) / len(hits) if hits else None), len(hits)


def _recall(pairs: Sequence[_Pair]) -> tuple[float | None, int]:
    hits = [any(unit in m.units for m in pair.mentions) for pair in pairs for unit in pair.present]
    return (sum(hits) / len(hits) if hits else None), len(hits)
