"""Overlap of two descriptions: a judge's verdicts averaged, and a measure that needs no judge.

The published figures of EMER ("clue overlap", "label overlap") are verdicts of a language model on a scale of 1 to 10
and cannot be measured without one. `named_overlap` is something else and is called by other names: it looks up which
facial movements, figures of the voice and emotion labels two texts name, in this project's own word lists, and says how
far the two sets agree. It hears no nuance, knows no cue outside its lists, and is meant for tests, for MERR-Synth and
for telling a broken run from a sound one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import Case, Figure, Reply, Result
from emotion_llama.evaluation.scoring import Run, groups_of, with_interval
from emotion_llama.labels import SYNONYMS

OVERLAP_PARSERS = ("offline", "judge")
JUDGED_FIGURES = ("clue_overlap", "label_overlap")
_CLAUSE = re.compile(r"[,.;:!?\n]|\b(?:but|however|although|while)\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|no|never|without|neither|nor|rather than|instead of)\b|n't\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_LABELS = {label for labels in SYNONYMS.values() for label in labels}
# Chinese has no inflection to speak of: one list of names for each label (own choice).
_CHINESE = {
    "neutral": "中性|平静", "angry": "愤怒|生气|恼怒", "happy": "高兴|开心|快乐|喜悦|愉快", "sad": "悲伤|难过|伤心",
    "worried": "担忧|担心|焦虑|忧虑", "surprise": "惊讶|吃惊|震惊", "fear": "害怕|恐惧", "contempt": "轻蔑|蔑视|鄙视",
    "doubt": "怀疑|疑惑|质疑", "disgust": "厌恶|恶心",
}  # fmt: skip
_CHINESE_LABELS = {label: re.compile(f"(?<![不没未无])(?:{names})") for label, names in _CHINESE.items()}


class Named(NamedTuple):
    """What a text names: cues ("AU04", "AU25/AU26", "loudness_median_db +") and emotion labels."""

    cues: frozenset[str]
    labels: frozenset[str]


class DescriptionPair(NamedTuple):
    """What a judge is given."""

    case_id: str
    truth: str
    told: str


def named_in(text: str) -> Named:
    """Cues and labels that an English or Chinese text names and does not deny."""
    from emotion_llama.merr.quality.lexicon import tone_mentions, unit_mentions

    units = {"/".join(sorted(named)) for named in unit_mentions(text)}
    tone = {f"{figure} {'+' if direction > 0 else '-'}" for figure, direction in tone_mentions(text)}
    return Named(frozenset(units | tone), frozenset(_labels(text)))


def named_overlap(truth: frozenset[str], told: frozenset[str]) -> float | None:
    """Dice's coefficient 2 |A and B| / (|A| + |B|), 0..1; None where the truth names nothing.

    Dice (1945), which for sets is the F1 of one against the other.
    """
    if not truth:
        return None
    return 2 * len(truth & told) / (len(truth) + len(told))


def description_pairs(cases: Sequence[Case], replies: Mapping[str, Reply]) -> list[DescriptionPair]:
    """The pairs to be judged: cases with a reply that has a text."""
    found = []
    for case in cases:
        reply = replies.get(case.case_id)
        if reply is not None and reply.text and reply.text.strip():
            found.append(DescriptionPair(case.case_id, true_description(case), reply.text))
    return found


def true_description(case: Case) -> str:
    """The description of a case.

    Raises:
        InputError: its truth is something else.
    """
    if case.truth.description is None:
        raise InputError(f"{case.case_id}: its truth is no description")
    return case.truth.description


@dataclass(frozen=True)
class DescriptionScorer:
    """Parser "judge": means of what a judge gave; parser "offline": overlap of what both texts name.

    Neither counts a clip without a description as 0: means are over clips that have a figure, and the rest is counted.
    """

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """Figures `clue_overlap` and `label_overlap` (judge), or `named_cue_overlap` and `named_label_overlap`.

        Raises:
            InputError: another parser, a judge's figures are wanted and were not given, or no clip has a figure.
        """
        if run.parser not in OVERLAP_PARSERS:
            raise InputError(f"descriptions are compared by {' or '.join(OVERLAP_PARSERS)}, not by {run.parser!r}")
        pairs = {pair.case_id: pair for pair in description_pairs(cases, replies)}
        counts = {"cases": len(cases), "answered": len(pairs), "unanswered": len(cases) - len(pairs)}
        counts |= _why_not(cases, replies, pairs)
        if run.parser == "judge":
            if run.judged is None:
                raise InputError("the parser 'judge' needs a judge's figures; name a judge, or take 'offline'")
            values = {name: {k: v[name] for k, v in run.judged.items() if name in v} for name in JUDGED_FIGURES}
        else:
            values = _offline(pairs)
        figures = []
        for name, by_id in values.items():
            kept = [case for case in cases if case.case_id in by_id and case.case_id in pairs]
            counts[f"no {name}"] = len(pairs) - len(kept)
            if kept:
                figures.append(_mean_figure(name, kept, by_id, run))
        if not figures:
            raise InputError(f"no clip of {len(cases)} has a figure to average: {counts}")
        return Result(run.benchmark, run.system, run.parser, tuple(figures), counts)


def _mean_figure(name: str, cases: Sequence[Case], by_id: Mapping[str, float], run: Run) -> Figure:
    array = np.array([by_id[case.case_id] for case in cases], float)
    return with_interval(name, lambda rows: float(array[rows].mean()), len(cases), run, groups_of(cases))


def _offline(pairs: Mapping[str, DescriptionPair]) -> dict[str, dict[str, float]]:
    cues: dict[str, float] = {}
    labels: dict[str, float] = {}
    for case_id, pair in pairs.items():
        truth, told = named_in(pair.truth), named_in(pair.told)
        for found, overlap in (
            (cues, named_overlap(truth.cues, told.cues)),
            (labels, named_overlap(truth.labels, told.labels)),
        ):
            if overlap is not None:
                found[case_id] = overlap
    return {"named_cue_overlap": cues, "named_label_overlap": labels}


def _why_not(
    cases: Sequence[Case], replies: Mapping[str, Reply], pairs: Mapping[str, DescriptionPair]
) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case in cases:
        if case.case_id in pairs:
            continue
        reply = replies.get(case.case_id)
        if reply is None:
            why = "no reply"
        elif reply.problem is not None:
            why = "failed"
        else:
            why = "no text" if reply.text is None else "empty"
        counts[f"unanswered: {why}"] = counts.get(f"unanswered: {why}", 0) + 1
    return dict(sorted(counts.items()))


def _labels(text: str) -> set[str]:
    found: set[str] = set()
    for clause in _CLAUSE.split(text):
        if clause and not _DENIED.search(clause):
            for word in _WORD.findall(clause.lower()):
                found |= {word} & _LABELS or set(SYNONYMS.get(word, ())[:1])
    return found | {label for label, names in _CHINESE_LABELS.items() if names.search(text)}
