"""Labels: does the rule's label match a given one, and does a description give the label away before its end?"""

from __future__ import annotations

from collections import Counter, defaultdict

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.labels import MERR9
from emotion_llama.merr.consistency import check_text
from emotion_llama.merr.quality import Measure
from emotion_llama.merr.recipe_parts import ConsistencyPart
from emotion_llama.merr.records import Sample
from emotion_llama.merr.values import descriptions, label_of, part, source_of, subtitle_text
from emotion_llama.rules.reasoning import holds_label
from emotion_llama.rules.wording import wording

UNIMODAL = ("visual_expression", "visual_objective", "audio_tone")


class GivenLabels:
    """The rules' label against the label that came with the clip."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str | None]] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample; counted where both are known."""
        given = sample.clip.given_label
        if given is None:
            self._left_out["no label was given"] += 1
            return
        label = MERR9.find(given) or given.strip().lower()
        value = sample.value("label")
        if source_of(value) == "rules":
            self._pairs.append((label, label_of(sample)))
        elif isinstance(said := part(value, "by_rules"), str):
            self._pairs.append((label, said))
        else:
            self._left_out["the rules gave no label of their own"] += 1

    def measures(self) -> tuple[Measure, ...]:
        """Accuracy, and its mean over the given labels."""
        hits: dict[str, list[bool]] = defaultdict(list)
        for given, said in self._pairs:
            hits[given].append(given == said)
        count = len(self._pairs)
        accuracy = sum(sum(h) for h in hits.values()) / count if count else None
        recall = sum(sum(h) / len(h) for h in hits.values()) / len(hits) if hits else None
        says = "share of samples, among those with a given label, for which the rules on the face say the same"
        left_out = dict(self._left_out)
        return (
            Measure("label_accuracy", "Rules' labels against given ones", accuracy, count, "samples", "higher", says,
                    None, left_out),
            Measure("label_recall", "The same, mean over the given labels", recall, count, "samples", "higher",
                    "mean of that share over the given labels (unweighted average recall)",
                    1 / len(hits) if hits else None, left_out),
        )  # fmt: skip


class Leaks:
    """Descriptions that name the label too early, or at all where they must not."""

    def __init__(self) -> None:
        self._early: list[bool] = []
        self._named: list[bool] = []
        self._unimodal: list[bool] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample, all its languages."""
        label = label_of(sample)
        if label is None:
            self._left_out["no label"] += 1
            return
        clues = {"subtitle": subtitle_text(sample.value("subtitle")) or ""}
        for (name, language), written in descriptions(sample, ("fine_caption", *UNIMODAL)):
            if language not in LANGUAGES:
                continue
            if name in UNIMODAL:
                self._unimodal.append(holds_label(written.text, label, wording(language)))
                continue
            found = check_text(written.text, label, clues, language, ConsistencyPart())
            self._named.append(found.names_label)
            self._early.append(not found.label_at_end)

    def measures(self) -> tuple[Measure, ...]:
        """Shares over the texts."""
        rows = (
            ("label_named", "Fine descriptions that come to the label", self._named, "higher",
             "share of fine descriptions that name the label, itself or in another plain word for it"),
            ("label_early", "Fine descriptions that name it too early", self._early, "lower",
             "share of fine descriptions that name the label before their last sentence"),
            ("label_in_clues", "Descriptions of one modality that name the label", self._unimodal, "lower",
             "share of expression, objective and tone descriptions that name the sample's label"),
        )  # fmt: skip
        return tuple(
            Measure(name, title, sum(seen) / len(seen) if seen else None, len(seen), "texts", better, says, None,
                    dict(self._left_out))
            for name, title, seen, better, says in rows
        )  # fmt: skip
