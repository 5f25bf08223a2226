"""Whether what was measured carries a label, and how probable it then is: the policy of the evidence predictor.

Added-up log-odds always have a largest label, also where nothing was measured that tells one from another; on real
people that label is mostly wrong. So a label is given only where one of these holds, each with a probability of its
own, and "uncertain" otherwise:

- A face shows an unambiguous expression: a smile that is held, lowered brows that are held without a smile, or all the
  units of one rule of the table, strongly and at once.
- The words speak clearly for one label.
- The face is calm: it moves little, does not talk, and is turned to the camera. Then "neutral".

Face and words that agree are more probable by `AGREEMENT`; where they contradict each other, nothing is decided. The
voice decides nothing by itself: its figures follow arousal, and tell joy from anger no better than chance. What is not
given to the label is shared by the other labels in proportion to their log-odds; without a label no label stands out by
more than `UNCERTAIN_LEAD` above an even guess.

The probabilities are this project's own. On 23 clips of real people (drama, interviews, a photograph) the smile was
right 7 of 7 times, for which 0.65 is the lower bound of a 95 % interval, and the brows 1 of 1; polite, nervous and
mocking smiles are untested. The words' 0.55 is what the lexicon reached on lines of television dialogue (`words`).
How often each is right on rendered clips is in docs/rules.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from emotion_llama.labels import LabelSpace
from emotion_llama.records import Bool
from emotion_llama.rules.face_cues import Face, FaceReading, is_whole, rule_values
from emotion_llama.rules.rule_tables import REST_UNITS, FaceTable

HELD_SECONDS = 0.3  # shorter expressions are twitches of the face or of the mesh
FACING = 0.8  # confidence of frames that count: what a turned head does to brows and lips looks like an expression
SMILE, SMILE_PROBABILITY = 1.25, 0.65  # AU12: the mesh networks' mouthSmile at 0.3, which holds in profile too
SCOWL, SCOWL_PROBABILITY = 2.5, 0.60  # AU04: their browDown at 0.45
UNMOVED = 0.8  # AU12 and AU01 stay below this beside lowered brows: inner brows that rise as well are distress
WHOLE, WHOLE_PROBABILITY = 2.4, 0.50  # every unit of a rule at MER-Factory's "strong"
WORDS, WORDS_LEAD, WORDS_PROBABILITY = 1.0, 0.5, 0.55  # log-odds of the label, and its lead over the next
CALM_PROBABILITY, CALM_UNIT, CALM_TALK = 0.40, 1.6, 0.2  # strongest unit (90th percentile), share of time talking
AGREEMENT = 0.15
UNCERTAIN_LEAD = 0.24


class Verdict(NamedTuple):
    """A label that the evidence carries, how probable it is, and by what: "smile", "words" and so on."""

    label: str
    probability: float
    by: tuple[str, ...]


def decide(face: FaceReading, words: Mapping[str, float], table: FaceTable, space: LabelSpace) -> Verdict | None:
    """The label that face and words carry, or None where none is.

    Args:
        face: what was read of the face.
        words: label -> summed log-odds of the words.
        table: rules whose units, all together, make an expression clear.
        space: labels to choose from.
    """
    shown = None if face.visible is None else expression(face.visible, table, space)
    said = _said(words, space)
    if shown is None or said is None:
        return shown or said
    if shown.label == said.label:
        return Verdict(shown.label, shown.probability + AGREEMENT, (*shown.by, *said.by))
    return said if shown.by == ("calm",) else None


def expression(face: Face, table: FaceTable, space: LabelSpace) -> Verdict | None:
    """The label of an unambiguous or a calm face; None for any other."""
    smile, facing = face.column("AU12"), face.confidence >= FACING
    if "happy" in space.labels and held_seconds(face, smile >= SMILE) >= HELD_SECONDS:
        return Verdict("happy", SMILE_PROBABILITY, ("smile",))
    unsmiling = facing & (smile < UNMOVED) & (face.column("AU01") < UNMOVED)
    if "angry" in space.labels and held_seconds(face, unsmiling & (face.column("AU04") >= SCOWL)) >= HELD_SECONDS:
        return Verdict("angry", SCOWL_PROBABILITY, ("scowl",))
    whole = _whole(face, table, space)
    if whole is not None:
        return Verdict(whole, WHOLE_PROBABILITY, ("whole",))
    if "neutral" in space.labels and _is_calm(face):
        return Verdict("neutral", CALM_PROBABILITY, ("calm",))
    return None


def held_seconds(face: Face, holds: Bool) -> float:
    """The longest stretch of visible frames [N] for which `holds`; without end for a picture alone."""
    if len(holds) == 1 or face.seconds is None:
        return float("inf") if holds.any() else 0.0
    longest = lasting = 0.0
    for one, seconds in zip(holds, face.seconds):
        lasting = lasting + float(seconds) if one else 0.0
        longest = max(longest, lasting)
    return longest + 1e-6  # 9 frames of 1/30 s are 0.3 s


def _whole(face: Face, table: FaceTable, space: LabelSpace) -> str | None:
    """The label of the rule all of whose units are strong at once for long enough; the one with most units wins."""
    found: dict[str, int] = {}
    for rule in table.rules:
        measured = [name for name in rule.units if name in face.names]
        if rule.label not in space.labels or len(measured) < len(rule.units):
            continue
        strong = np.stack([face.column(name) for name in measured]).min(axis=0) >= WHOLE
        if held_seconds(face, (face.confidence >= FACING) & strong & (rule_values(face, rule) > 0)) >= HELD_SECONDS:
            found[rule.label] = max(found.get(rule.label, 0), len(measured))
    most = [label for label, count in found.items() if count == max(found.values())]
    return most[0] if len(most) == 1 else None


def _is_calm(face: Face) -> bool:
    if not is_whole(face):
        return False
    if float(face.share(face.is_speech, by_confidence=False)) > CALM_TALK or face.confidence.mean() < FACING:
        return False
    moving = [i for i, name in enumerate(face.names) if name not in REST_UNITS]
    return float(np.percentile(face.intensity[:, moving], 90, axis=0).max(initial=0.0)) < CALM_UNIT


def _said(words: Mapping[str, float], space: LabelSpace) -> Verdict | None:
    ranked = sorted(((words.get(label, 0.0), label) for label in space.labels), reverse=True)
    (best, label), (second, _) = ranked[:2]
    if best < WORDS or best - max(second, 0.0) < WORDS_LEAD:
        return None
    return Verdict(label, WORDS_PROBABILITY, ("words",))


def spread(scores: Mapping[str, float], verdict: Verdict | None) -> dict[str, float]:
    """Probabilities over all labels: the verdict's label has its own, and no other comes before it.

    Args:
        scores: label -> probability by the cues alone.
        verdict: what `decide` found.
    """
    even = 1.0 / len(scores)
    if verdict is None:
        return _flattened(scores, even + UNCERTAIN_LEAD * (1.0 - even), 1.0)
    others = {label: share for label, share in scores.items() if label != verdict.label}
    total, left = sum(others.values()), 1.0 - verdict.probability
    most = max(0.9 * verdict.probability, left / len(others))
    shared = _flattened({label: left * share / total for label, share in others.items()}, most, left)
    return {label: verdict.probability if label == verdict.label else shared[label] for label in scores}


def _flattened(shares: Mapping[str, float], most: float, total: float) -> dict[str, float]:
    """Shares of `total`, mixed with equal ones so far that none is above `most`."""
    even, highest = total / len(shares), max(shares.values())
    keep = 1.0 if highest <= most else (most - even) / (highest - even)
    return {label: keep * share + (1.0 - keep) * even for label, share in shares.items()}
