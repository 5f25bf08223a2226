"""Labels: does the rule's label match a given one, and does a description give the label away before its end?"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache

from emotion_llama.labels import MERR9, SYNONYMS, LabelSpace
from emotion_llama.merr.quality import Measure
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.texts import sentences
from emotion_llama.merr.values import descriptions, label_of, part, source_of

UNIMODAL = ("visual_expression", "visual_objective", "audio_tone")
# Chinese words for MERR's nine labels and disgust; own choice of the plain names.
CHINESE: dict[str, tuple[str, ...]] = {
    "neutral": ("中性", "中立"), "angry": ("愤怒", "生气", "恼怒"), "happy": ("高兴", "快乐", "开心", "喜悦"),
    "sad": ("悲伤", "伤心", "难过"), "worried": ("担心", "担忧", "忧虑", "焦虑"), "surprise": ("惊讶", "吃惊", "惊奇"),
    "fear": ("恐惧", "害怕", "惧怕"), "contempt": ("轻蔑", "蔑视", "鄙视"), "doubt": ("怀疑", "疑惑", "疑问"),
    "disgust": ("厌恶", "反感"),
}  # fmt: skip


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
        elif (said := _best(part(value, "candidates"))) is not None:
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
        self._ends: list[bool] = []
        self._unimodal: list[bool] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample, all its languages."""
        label = label_of(sample)
        if label is None:
            self._left_out["no label"] += 1
            return
        for _, written in descriptions(sample, ("fine_caption",)):
            *before, last = sentences(written.text) or [written.text]
            self._early.append(any(names_label(part, label) for part in before))
            self._ends.append(names_label(last, label))
        self._unimodal += [names_label(w.text, label) for _, w in descriptions(sample, UNIMODAL)]

    def measures(self) -> tuple[Measure, ...]:
        """Shares over the texts."""
        rows = (
            ("label_at_end", "Fine descriptions that end with the label", self._ends, "higher",
             "share of fine descriptions whose last sentence names the label, in any form or plain synonym"),
            ("label_early", "Fine descriptions that name it before", self._early, "lower",
             "share of fine descriptions that name the label before their last sentence"),
            ("label_in_clues", "Descriptions of one modality that name the label", self._unimodal, "lower",
             "share of expression, objective and tone descriptions that name the sample's label"),
        )  # fmt: skip
        return tuple(
            Measure(name, title, sum(seen) / len(seen) if seen else None, len(seen), "texts", better, says, None,
                    dict(self._left_out))
            for name, title, seen, better, says in rows
        )  # fmt: skip


def names_label(text: str, label: str, space: LabelSpace = MERR9) -> bool:
    """Whether a text names the label: itself, an inflection or plain synonym (`labels.SYNONYMS`), or in Chinese."""
    return _pattern(label, space).search(text.lower()) is not None


@lru_cache(maxsize=64)
def _pattern(label: str, space: LabelSpace) -> re.Pattern[str]:
    words = [label, *(word for word, labels in SYNONYMS.items() if labels[0] == label)]
    latin = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile("|".join([rf"(?<![a-z])(?:{latin})(?![a-z])", *CHINESE.get(label, ())]))


def _best(candidates: Json) -> str | None:
    if not isinstance(candidates, dict):
        return None
    scores = {str(k): float(v) for k, v in candidates.items() if isinstance(v, (int, float))}
    return max(sorted(scores), key=lambda name: scores[name], default=None)
