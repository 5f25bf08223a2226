"""The descriptions themselves: grounded, in the right language, and varied."""

from __future__ import annotations

from collections import Counter, defaultdict

from emotion_llama.merr.quality import CIRCULAR, Measure
from emotion_llama.merr.records import Sample
from emotion_llama.merr.texts import ideograph_share, near_duplicates, repeated_share, tokens
from emotion_llama.merr.values import by_rules, descriptions, part

TEXTS = ("visual_expression", "visual_objective", "audio_tone", "coarse_caption", "fine_caption")
LEAST_ZH, MOST_EN = 0.5, 0.1  # share of ideographs among a text's letters: Chinese from, English up to; own choice
LOOPS = 0.3  # share of repeated 4-grams from which a text runs in a loop; own choice


class Grounds:
    """Fine descriptions that a model wrote: share of the cues they name that were given to it."""

    def __init__(self) -> None:
        self._shares: list[float] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample; the share is the consistency stage's, per language."""
        for (_, language), written in descriptions(sample, ("fine_caption",)):
            share = part(sample.value("consistency", language), "grounded_share")
            if by_rules(written.provenance):
                self._left_out[CIRCULAR] += 1
            elif not isinstance(share, (int, float)):
                self._left_out["names no cue, or was not checked"] += 1
            else:
                self._shares.append(float(share))

    def measures(self) -> tuple[Measure, ...]:
        """Mean share."""
        value = sum(self._shares) / len(self._shares) if self._shares else None
        says = "mean share of the cues that a fine description names which stand among the clues it was given"
        return (
            Measure("grounded", "Fine descriptions grounded in their clues", value, len(self._shares), "texts",
                    "higher", says, None, dict(self._left_out)),
        )  # fmt: skip


class Languages:
    """Descriptions in the script of their language."""

    def __init__(self) -> None:
        self._right: list[bool] = []

    def add(self, sample: Sample) -> None:
        """One sample, all its descriptions in English and Chinese."""
        for (_, language), written in descriptions(sample, TEXTS):
            share = ideograph_share(written.text)
            if share is not None and language in ("en", "zh"):
                self._right.append(share >= LEAST_ZH if language == "zh" else share <= MOST_EN)

    def measures(self) -> tuple[Measure, ...]:
        """Share over the texts."""
        value = sum(self._right) / len(self._right) if self._right else None
        says = f"Chinese: at least {LEAST_ZH:.0%} of the letters are Chinese characters; English: at most {MOST_EN:.0%}"
        return (
            Measure("language", "Descriptions in their language", value, len(self._right), "texts", "higher", says),
        )


class Repeats:
    """Descriptions that repeat themselves, or another sample's."""

    def __init__(self) -> None:
        self._loops: list[bool] = []
        self._texts: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, sample: Sample) -> None:
        """One sample, all its descriptions."""
        for key, written in descriptions(sample, TEXTS):
            share = repeated_share(tokens(written.text))
            if share is not None:
                self._loops.append(share >= LOOPS)
            if key[0] in ("visual_objective", "fine_caption"):
                self._texts[key].append(written.text)

    def measures(self) -> tuple[Measure, ...]:
        """Share of texts in loops; share of near duplicates for the longer descriptions, each language alone."""
        value = sum(self._loops) / len(self._loops) if self._loops else None
        says = f"share of texts of which {LOOPS:.0%} or more of the 4-grams stand in them twice"
        found = [
            Measure("loops", "Descriptions that repeat themselves", value, len(self._loops), "texts", "lower", says)
        ]
        for (name, language), texts in sorted(self._texts.items()):
            twins = sum(first != row for row, first in enumerate(near_duplicates(texts)))
            title = f"{name.replace('_', ' ').capitalize()} that nearly repeats another ({language})"
            found.append(Measure(
                f"duplicates_{name}_{language}", title, twins / len(texts), len(texts), "texts", "lower",
                "Jaccard similarity of 3-token shingles of 0.9 and more with an earlier text",
            ))  # fmt: skip
        return tuple(found)
