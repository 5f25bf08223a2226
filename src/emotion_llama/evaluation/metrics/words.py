"""Emotion words: word lists, grouped synonyms, scores of a clip for MER2024-OV, EW and HIT; overlap of descriptions.

G is the set of true groups of a clip, P the set of predicted groups. Words that belong to no group drop out of both, as
in the published metrics; how many did is counted. Sources: MER2024-OV (Lian et al. 2024) for grouped synonyms,
MER-UniBench (AffectGPT, ICML 2025) and the MER2025 and MER2026 challenges for wheels and HIT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from emotion_llama.labels import SYNONYMS

Grouping = Callable[[str], str | None]
Words = Sequence[Collection[str]]  # of each clip
Scores = npt.NDArray[np.float64]
SENTIMENTS = ("positive", "negative", "neutral")
# Where a text is cut before denied words are looked for, and what denies them.
CLAUSE = re.compile(r"[,.;:!?\n]|\b(?:but|however|although|while)\b", re.IGNORECASE)
DENIED = re.compile(r"\b(?:not|no|never|without|neither|nor|rather than|instead of)\b|n't\b", re.IGNORECASE)


def parse_word_list(text: object) -> list[str]:
    """Words of "['happy', 'sad']" and similar, by the published rule.

    One bracket comes off at each end, then quotes and commas separate; blanks around words and empty words go. A word
    with an apostrophe falls apart, as there. A list is taken as it is; None and NaN are empty.
    """
    if text is None or (isinstance(text, float) and np.isnan(text)):
        return []
    if isinstance(text, (list, tuple, np.ndarray)):
        return [str(word) for word in text]
    inner = str(text).strip().removeprefix("[").removesuffix("]")
    return [word.strip() for word in re.split(r"['\",]", inner) if word.strip()]


def group_by_first(groups: Sequence[Sequence[str]]) -> Grouping:
    """Words of a group are that group's first word; a word of no group is itself (MER2024-OV's rule).

    A word that stands in several groups belongs to the last of them, as in the published code's table.
    """
    table = {word.strip().lower(): group[0].strip().lower() for group in groups if group for word in group}
    return lambda word: table.get(word.strip().lower(), word.strip().lower())


def clip_scores(
    truth: Words, answers: Words, grouping: Grouping | Sequence[Grouping]
) -> tuple[Scores, Scores, npt.NDArray[np.bool_]]:
    """Of each clip |G and P| / |P| and |G and P| / |G|, NaN where the truth names no group, and whether P is empty.

    Args:
        truth: true words of each clip.
        answers: predicted words.
        grouping: from word to group or None; one for all clips, or one a clip.
    """
    rules = [grouping] * len(truth) if callable(grouping) else list(grouping)
    precision, recall = np.full(len(truth), np.nan), np.full(len(truth), np.nan)
    empty = np.zeros(len(truth), bool)
    for i, (true, words, rule) in enumerate(zip(truth, answers, rules, strict=True)):
        g, p = ({group for word in some if word.strip() and (group := rule(word))} for some in (true, words))
        empty[i] = not p
        if g:
            precision[i], recall[i] = len(g & p) / max(len(p), 1), len(g & p) / len(g)
    return precision, recall, empty


def harmonic_mean(precision: float, recall: float) -> float:
    """F1 of a precision and a recall; 0 where both are 0.

    There the owners' code of the wheels divides 0 by 0 and prints NaN; every other value is theirs.
    """
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# --- overlap of descriptions ----------------------------------------------------------------------------------------
# The published figures of EMER ("clue overlap", "label overlap") are verdicts of a language model and not to be had
# without one. This is something else and has other names: which facial movements, measures of the voice and emotion
# labels two texts name, by this project's own word lists, and how far the two sets agree. It is meant for tests, for
# MERR-Synth and for telling a broken run from a sound one.

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
    from emotion_llama.merr.quality.texts import tone_mentions, unit_mentions

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
