"""Scores of lists of emotion words: set-level with grouped synonyms, emotion wheels (EW, HIT), and sentiment (WAF).

G is the set of true groups of a clip, P the set of groups told. Words that belong to no group drop out of both, as in
the published metrics; how many did is counted. Sources: MER2024-OV (Lian et al. 2024) for grouped synonyms,
MER-UniBench (AffectGPT, ICML 2025) and the MER2025 and MER2026 challenges for wheels, HIT and WAF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError

Grouping = Callable[[str], str | None]


class SetScores(NamedTuple):
    """Set-level scores, 0..1.

    Attributes:
        precision: mean |G and P| / |P|, 0 for a clip without P ("accuracy" in MER2024-OV).
        recall: mean |G and P| / |G|.
        f1: of the two means.
        average: of the two means, which MER2024-OV ranks by.
        num_clips: clips that count.
        num_skipped: clips whose truth names no group ("neutral" is in no wheel).
        num_empty: counted clips for which no group was told.
    """

    precision: float
    recall: float
    f1: float
    average: float
    num_clips: int
    num_skipped: int
    num_empty: int


class HitScores(NamedTuple):
    """`hit`: share of clips whose true group is among those told; `precision`: mean 1 / |P| of hits, 0 of misses."""

    hit: float
    precision: float
    num_clips: int
    num_skipped: int
    num_empty: int


class WheelScores(NamedTuple):
    """Means over the wheels, and each wheel's scores in order."""

    f1: float
    precision: float
    recall: float
    wheels: tuple[SetScores, ...]


def parse_word_list(text: object) -> list[str]:
    """Words of "['happy', 'sad']" and its likes, by the published rule.

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


def set_level(
    truth: Sequence[Collection[str]],
    answers: Sequence[Collection[str]],
    grouping: Grouping | Sequence[Grouping],
    *,
    skip_empty_truth: bool = True,
) -> SetScores:
    """Scores of word lists after grouping.

    Args:
        truth: true words of each clip.
        answers: words told.
        grouping: from word to group or None; one for all clips, or one a clip.
        skip_empty_truth: leave out clips whose truth names no group (wheels); otherwise these count with recall 0.

    Raises:
        InputError: lengths differ, or no clip counts.
    """
    if len(truth) != len(answers):
        raise InputError(f"expected answers for {len(truth)} clips, got {len(answers)}")
    rules = [grouping] * len(truth) if callable(grouping) else list(grouping)
    precisions, recalls, empty = [], [], 0
    for true, told, rule in zip(truth, answers, rules, strict=True):
        g, p = _groups(true, rule), _groups(told, rule)
        if not g and skip_empty_truth:
            continue
        empty += not p
        precisions.append(len(g & p) / len(p) if p else 0.0)
        recalls.append(len(g & p) / len(g) if g and p else 0.0)
    if not precisions:
        raise InputError("no clip's truth names a known emotion group; check the words and the grouping")
    precision, recall = float(np.mean(precisions)), float(np.mean(recalls))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    counted = len(precisions)
    return SetScores(precision, recall, f1, (precision + recall) / 2, counted, len(truth) - counted, empty)


def emotion_wheels(
    truth: Sequence[Collection[str]], answers: Sequence[Collection[str]], wheels: Sequence[Grouping]
) -> WheelScores:
    """EW: `set_level` on every wheel, then the mean of F1, precision and recall over wheels.

    Raises:
        InputError: as `set_level`; no wheels.
    """
    if not wheels:
        raise InputError("the emotion-wheel metric needs at least one wheel")
    scores = tuple(set_level(truth, answers, wheel) for wheel in wheels)
    f1, precision, recall = (
        float(np.mean([getattr(s, name) for s in scores])) for name in ("f1", "precision", "recall")
    )
    return WheelScores(f1, precision, recall, scores)


def hit_rate(truth: Sequence[str], answers: Sequence[Collection[str]], wheels: Sequence[Grouping]) -> HitScores:
    """HIT of MER-UniBench: is the true word's group among those told; mean over clips, then over wheels.

    A long list of words is not punished, and neutral clips drop out: HIT is no accuracy and is not to be compared with
    one. Counts are those of the first wheel.

    Raises:
        InputError: as `emotion_wheels`.
    """
    if len(truth) != len(answers) or not wheels:
        raise InputError(f"expected answers for {len(truth)} clips and a wheel, got {len(answers)} and {len(wheels)}")
    rows: list[HitScores] = []
    for wheel in wheels:
        counted = [(g, _groups(told, wheel)) for true, told in zip(truth, answers, strict=True) if (g := wheel(true))]
        if not counted:
            raise InputError("no clip's truth names a known emotion group; check the words and the wheel")
        hits = [g in p for g, p in counted]
        shares = [1 / len(p) if hit else 0.0 for hit, (_, p) in zip(hits, counted, strict=True)]
        empty = sum(not p for _, p in counted)
        rows.append(
            HitScores(float(np.mean(hits)), float(np.mean(shares)), len(counted), len(truth) - len(counted), empty)
        )
    hit, precision = float(np.mean([r.hit for r in rows])), float(np.mean([r.precision for r in rows]))
    return HitScores(hit, precision, *rows[0][2:])


class SentimentScores(NamedTuple):
    """`waf`: weighted F1 of positive against not; clips of sentiment 0 drop out; no answer counts as not positive."""

    waf: float
    accuracy: float
    num_clips: int
    num_skipped: int
    num_unanswered: int


_SENTIMENT: Mapping[str | None, int] = {"positive": 1, "negative": -1, "neutral": 0, None: 0}


def sentiment(truth: Sequence[float], answers: Sequence[str | None]) -> SentimentScores:
    """WAF of MER-UniBench: truths of 0 are left out, both sides are cut at > 0, weighted F1 of the two halves.

    Args:
        truth: sentiment, negative to positive.
        answers: "positive", "negative", "neutral" (counted as not positive, as there) or None.

    Raises:
        InputError: lengths differ, a word is no sentiment, or nothing is left.
    """
    from emotion_llama.evaluation.classification import score_labels

    if len(truth) != len(answers):
        raise InputError(f"expected answers for {len(truth)} clips, got {len(answers)}")
    if strange := sorted({str(a) for a in answers if a not in _SENTIMENT}):
        raise InputError(f"{strange[0]!r} is no sentiment; expected positive, negative, neutral or no answer")
    kept = [(t, a) for t, a in zip(truth, answers, strict=True) if t != 0]
    if not kept:
        raise InputError("no clip has a sentiment other than 0")
    halves = [("positive" if t > 0 else "negative", "positive" if _SENTIMENT[a] > 0 else "negative") for t, a in kept]
    scores = score_labels([t for t, _ in halves], [a for _, a in halves])
    unanswered = sum(a is None for _, a in kept)
    return SentimentScores(scores.weighted_f1, scores.accuracy, len(kept), len(truth) - len(kept), unanswered)


def _groups(words: Collection[str], grouping: Grouping) -> set[str]:
    return {group for word in words if word.strip() and (group := grouping(word)) is not None}
