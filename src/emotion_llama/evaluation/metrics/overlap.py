"""Overlap of two descriptions without a judge: which cues and labels both name, by this project's own word lists.

The published figures of EMER ("clue overlap", "label overlap") are verdicts of a language model on a scale of 1 to 10
and cannot be measured without one. `named_overlap` is something else and has other names: it looks up which facial
movements, measures of the voice and emotion labels two texts name, and how far the two sets agree. It knows no nuance
and no cue outside its lists, and is meant for tests, for MERR-Synth and for telling a broken run from a sound one.
"""

from __future__ import annotations

import re

from emotion_llama.evaluation.metrics.words import CLAUSE, DENIED
from emotion_llama.labels import SYNONYMS

_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_LABELS = {label for labels in SYNONYMS.values() for label in labels}
# Chinese has no inflection to speak of: one list of names for each label (own choice).
_CHINESE = {
    "neutral": "中性|平静", "angry": "愤怒|生气|恼怒", "happy": "高兴|开心|快乐|喜悦|愉快", "sad": "悲伤|难过|伤心",
    "worried": "担忧|担心|焦虑|忧虑", "surprise": "惊讶|吃惊|震惊", "fear": "害怕|恐惧", "contempt": "轻蔑|蔑视|鄙视",
    "doubt": "怀疑|疑惑|质疑", "disgust": "厌恶|恶心",
}  # fmt: skip
_CHINESE_LABELS = {label: re.compile(f"(?<![不没未无])(?:{names})") for label, names in _CHINESE.items()}


def named_in(text: str) -> tuple[set[str], set[str]]:
    """Cues ("AU04", "AU25/AU26", "loudness_median_db +") and labels that a text names, English or Chinese."""
    from emotion_llama.merr.quality.lexicon import tone_mentions, unit_mentions

    cues = {"/".join(sorted(named)) for named in unit_mentions(text)}
    cues |= {f"{figure} {'+' if direction > 0 else '-'}" for figure, direction in tone_mentions(text)}
    labels = {label for label, names in _CHINESE_LABELS.items() if names.search(text)}
    for clause in CLAUSE.split(text):
        if clause and not DENIED.search(clause):
            for word in _WORD.findall(clause.lower()):
                labels |= {word} & _LABELS or set(SYNONYMS.get(word, ())[:1])
    return cues, labels


def named_overlap(truth: set[str], named: set[str]) -> float | None:
    """Dice's coefficient 2 |A and B| / (|A| + |B|), 0..1; None where the truth names nothing.

    Dice (1945), which for sets is the F1 of one against the other.
    """
    return 2 * len(truth & named) / (len(truth) + len(named)) if truth else None
