"""Metrics of emotion words: grouped synonyms, emotion wheels (EW, HIT), sentiment (WAF), overlap of descriptions.

G is the set of true groups of a clip, P the set of predicted groups. Words that belong to no group drop out of both, as
in the published metrics; how many did is counted. Sources: MER2024-OV (Lian et al. 2024) for grouped synonyms,
MER-UniBench (AffectGPT, ICML 2025) and the MER2025 and MER2026 challenges for wheels, HIT and WAF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import score_labels
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

    Raises:
        InputError: lengths differ.
    """
    if len(truth) != len(answers):
        raise InputError(f"expected answers for {len(truth)} clips, got {len(answers)}")
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
    """F1 of a precision and a recall; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def set_level(
    truth: Words, answers: Words, grouping: Grouping | Sequence[Grouping], *, skip_empty_truth: bool = True
) -> dict[str, float]:
    """Set-level metrics of word lists after grouping; arguments as `clip_scores`.

    Args:
        truth: true words of each clip.
        answers: predicted words.
        grouping: one for all clips, or one a clip.
        skip_empty_truth: leave out clips whose truth names no group (wheels); otherwise these count as 0.

    Returns:
        "precision" (mean; "accuracy" in MER2024-OV), "recall" (mean), "f1" of the two means, their "average", which
        MER2024-OV ranks by; "num_clips" that count, "num_skipped", and "num_empty": counted clips without P.

    Raises:
        InputError: lengths differ, or no clip counts.
    """
    precisions, recalls, empty = clip_scores(truth, answers, grouping)
    counts = ~np.isnan(recalls) if skip_empty_truth else np.ones(len(truth), bool)
    if not counts.any():
        raise InputError("no clip's truth names a known emotion group; check the words and the grouping")
    precision, recall = (float(np.nan_to_num(x)[counts].mean()) for x in (precisions, recalls))
    return {
        "precision": precision, "recall": recall, "f1": harmonic_mean(precision, recall),
        "average": (precision + recall) / 2, "num_clips": int(counts.sum()), "num_skipped": int((~counts).sum()),
        "num_empty": int((empty & counts).sum()),
    }  # fmt: skip


def emotion_wheels(truth: Words, answers: Words, wheels: Sequence[Grouping]) -> dict[str, Any]:
    """EW: `set_level` on every wheel; the mean "f1", "precision" and "recall" over wheels, and the "wheels" themselves.

    Raises:
        InputError: as `set_level`; no wheels.
    """
    if not wheels:
        raise InputError("the emotion-wheel metric needs at least one wheel")
    scores = [set_level(truth, answers, wheel) for wheel in wheels]
    means = {name: float(np.mean([s[name] for s in scores])) for name in ("f1", "precision", "recall")}
    return {**means, "wheels": scores}


def hit_rate(truth: Sequence[str], answers: Words, wheels: Sequence[Grouping]) -> dict[str, Any]:
    """HIT of MER-UniBench: is the true word's group among those predicted; mean over clips, then over wheels.

    A long list of words is not punished, and neutral clips drop out: HIT is no accuracy and is not to be compared with
    one. With one true word, a hit is a recall of 1, and its precision is 1 / |P|.

    Returns:
        "hit" and "precision"; the counts of `set_level` on the first wheel; and each wheel's scores as "wheels".

    Raises:
        InputError: as `emotion_wheels`.
    """
    found = emotion_wheels([[word] for word in truth], answers, wheels)
    counts = {name: found["wheels"][0][name] for name in ("num_clips", "num_skipped", "num_empty")}
    return {"hit": found["recall"], "precision": found["precision"], **counts, "wheels": found["wheels"]}


def sentiment(truth: Sequence[float], answers: Sequence[str | None]) -> dict[str, Any]:
    """WAF of MER-UniBench: truths of 0 are left out, both sides are cut at > 0, weighted F1 of the two halves.

    Args:
        truth: sentiment, negative to positive.
        answers: "positive", "negative", "neutral" (counted as not positive, as there) or None (likewise).

    Returns:
        "waf", "accuracy", "num_clips", "num_skipped" and "num_unanswered"; and for intervals "kept", the numbers of the
        clips that count, with their "truth" and "answers" as "positive" or "negative".

    Raises:
        InputError: lengths differ, a word is no sentiment, or nothing is left.
    """
    if len(truth) != len(answers):
        raise InputError(f"expected answers for {len(truth)} clips, got {len(answers)}")
    if unknown := sorted({str(a) for a in answers if a is not None and a not in SENTIMENTS}):
        raise InputError(f"{unknown[0]!r} is no sentiment; expected positive, negative, neutral or no answer")
    kept = [i for i, value in enumerate(truth) if value != 0]
    if not kept:
        raise InputError("no clip has a sentiment other than 0")
    halves = ["positive" if truth[i] > 0 else "negative" for i in kept]
    predicted = ["positive" if answers[i] == "positive" else "negative" for i in kept]
    scores = score_labels(halves, predicted)
    return {
        "waf": scores["weighted_f1"], "accuracy": scores["accuracy"], "num_clips": len(kept),
        "num_skipped": len(truth) - len(kept), "num_unanswered": sum(answers[i] is None for i in kept),
        "kept": kept, "truth": halves, "answers": predicted,
    }  # fmt: skip


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
