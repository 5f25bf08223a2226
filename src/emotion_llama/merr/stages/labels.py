"""Stage pseudo_label: a clip's emotion from its action units, with strength and confidence, or why it has none.

Which units mean which label: the published tables, your own, or the joined one, which is the face table of the evidence
predictor (`rules.rule_tables.PUBLISHED`, where each row's source is named): happy, sad, surprise and angry are MERR's
units, fear and disgust MER-Factory's, and what no published set makes measurable (worried, contempt, doubt) is this
project's own. Each of its rows also names units of which one must be present, so that a lone AU12 is a smile and no
contempt.

Legend: N frames, U units. Both rules take a label's score to be the mean intensity of its units, and call it slight,
moderate or strong from one, two and three times the threshold (MER-Factory).

"mer-factory" is that program's rule: at each local maximum of the sum of all units, a label counts when at least
`min_present` of its units are present and their mean reaches the threshold; the highest mean wins; none is neutral.
Present is what OpenFace's classifier says (`AUxx_c`), and a label of which it knows not every unit is passed over; with
units of other programs presence is read off the intensity. One thing differs: frames in which OpenFace has lost the
face cannot win.

"careful" mends what is wrong with it:

- Every frame can win, not only local maxima, the first and last too; frames without a face, or with a face measured at
  confidence 0.2 or less, cannot, nor can frames of a blink, and jaw and lips do not count while the person talks.
- A label of whose units only half or fewer were measured (AU28 has no intensity anywhere) is not predicted.
- A label has to hold for `min_held_seconds`.
- Of labels that compete the more specific wins: the one with the highest fit = mean x sqrt(number of its units), which
  is the cosine of the label's units and the measured intensities, up to a factor that all labels share. At equal means
  seven units beat the four among them.
- The confidence is c = f x min(1, (1 - fit2 / fit1) / m), with f the face's confidence at that frame, fit1 and fit2
  the fits of the label and of the best other one whose units are present (0 where there is none), and m the value of
  1 - fit2 / fit1 for a face that shows the label's units alike and nothing else. So 1 is the label's own face, clearly
  seen, and 0 a face that another label fits as well. It orders clips; it is no probability. (Own.)
- A clip is neutral only where the sum of all units but blink and parted lips stays low throughout, with
  c = f x (1 - strongest sum / limit); one that moves without fitting any label is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import LABEL_UNIT_TABLES
from emotion_llama.face.peak import BLINK_UNIT, MIN_CONFIDENCE, SPEECH_UNITS
from emotion_llama.face.rhythms import runs, typical_step
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.recipe import PseudoLabelPart
from emotion_llama.merr.records import Field, Provenance, now, pseudo_label
from emotion_llama.merr.stage import Stage, StageInput, StageOutput
from emotion_llama.merr.stages.evidence import EVIDENCE, field, measured_of
from emotion_llama.records import AU_NAMES, ActionUnits, Bool, Float
from emotion_llama.rules.rule_tables import OWN, PUBLISHED, FaceRule

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

Strength = Literal["slight", "moderate", "strong"]
_STRENGTHS: tuple[tuple[Strength, float], ...] = (("strong", 3.0), ("moderate", 2.0), ("slight", 1.0))

LIPS_PART = "AU25"

# Reasons, without figures, so that they can be counted.
SEEN_TOO_LITTLE = "the face is seen too little"
NO_FACE = "no face could be measured"
NO_GIVEN_LABEL = "no label came with the clip"
NO_LABEL = "no strong expression that fits a label"
UNCLEAR = "two labels fit about alike"
# AU28 stands in a published row although only OpenFace's classifier knows it.
_KNOWN_UNITS = (*AU_NAMES, "AU28")

Label: TypeAlias = dict[str, Any]  # JSON values, as `records.pseudo_label` makes them
# A label, or the reason why there is none, and what was measured behind that reason.
Verdict: TypeAlias = "tuple[Label | None, str | None, str]"
# Where one rule fits best: the rule, row of the frame, mean intensity of its units, fit.
_Moment: TypeAlias = "tuple[FaceRule, int, float, float]"


class PseudoLabelStage(Stage):
    """Field label. A clip without one is dropped, its field says why."""

    name = "pseudo_label"
    version = 2
    needs = ("evidence",)
    reads_artifacts = (EVIDENCE,)
    reads_clip = ("given_label",)

    def __init__(self, recipe: Recipe) -> None:
        self.part = recipe.pseudo_label
        self.rules = label_rules(self.part.table, recipe.space, self.part.own_table)
        # With the units of each label, which a later version may know better.
        units = [[rule.label, list(rule.units), rule.needs, list(rule.any_of)] for rule in self.rules]
        self.settings = {
            **self.part.model_dump(mode="json"), "label_space": recipe.label_space, "units": units,
        }  # fmt: skip

    def one(self, item: StageInput) -> StageOutput:
        """See `Stage`."""
        evidence = measured_of(item).evidence
        units, given = evidence.action_units, item.clip.given_label
        if units is not None and not units.valid.any():
            units = None
        if given is not None and self.part.mode != "rules":
            label = pseudo_label(given, "given")
            if units is not None:
                label = support(units, given, self.rules, self.part)
            return StageOutput((Field("label", label, Provenance("given", "with the clip", made_at=now())),))
        if self.part.mode == "given":
            return self._dropped(NO_GIVEN_LABEL)
        if units is None:
            return self._dropped(NO_FACE, evidence.why_missing("action_units") or "")
        found, reason, detail = judge(units, self.rules, self.part)
        if found is None:
            return self._dropped(reason or "", detail)
        return StageOutput((Field("label", found, self._provenance()),))

    def _dropped(self, reason: str, detail: str = "") -> StageOutput:
        why = f"{reason} ({detail})" if detail else reason
        return StageOutput((field("label", None, self._provenance(), why),), drop=(reason, "all"))

    def _provenance(self) -> Provenance:
        return Provenance("measured", f"{self.part.rule} {self.version}, table {self.part.table}", made_at=now())


# --- the rules --------------------------------------------------------------------------------------------------------


def label_rules(
    table: str, space: LabelSpace, own: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[FaceRule, ...]:
    """The rows of a table for the labels of a space, in the space's order; a label may have several, or none.

    Raises:
        InputError: no such table, units that do not exist, or no label of the space has a row.
    """
    rows = _rows(table, own or {})
    rules = tuple(rule for label in space.labels for rule in rows if rule.label == label)
    if not rules:
        raise InputError(f"the table {table!r} has units for none of {space.name} ({', '.join(space.labels)})")
    return rules


def units_of_label(label: str, rules: tuple[FaceRule, ...]) -> tuple[str, ...]:
    """All units of a label, over its rows; empty where it has none (neutral)."""
    return tuple(dict.fromkeys(unit for rule in rules if rule.label == label for unit in rule.units))


def _rows(table: str, own: Mapping[str, tuple[str, ...]]) -> list[FaceRule]:
    if table == "joined":
        return list(PUBLISHED.rules)
    if table != "own" and table not in LABEL_UNIT_TABLES:
        raise InputError(f"no table {table!r} of label units; use joined, {', '.join(LABEL_UNIT_TABLES)} or own")
    for label, units in own.items():
        unknown = [name for name in units if name not in _KNOWN_UNITS]
        if unknown or not units or len(set(units)) != len(units):
            came = unknown[0] if unknown else ", ".join(units) or "none"
            raise InputError(f"{label}: expected units of {', '.join(_KNOWN_UNITS)}, each once, got {came!r}")
    rows = own if table == "own" else LABEL_UNIT_TABLES[table]
    return [FaceRule(label, units, 1.0, OWN if table == "own" else table, needs=0.0) for label, units in rows.items()]


def judge(units: ActionUnits, rules: Sequence[FaceRule], part: PseudoLabelPart) -> Verdict:
    """The label that the units of one person speak for."""
    if part.rule == "mer-factory":
        return _factory(units, rules, part)
    seen = _eligible(units, part)
    if seen.mean() < part.min_seen_share or not seen.any():
        return (None, SEEN_TOO_LITTLE, f"in {100 * seen.mean():.0f} % of {len(seen)} frames")
    counted = _counted(units, part)
    moments = _best_by_label([_moment(units, counted, seen, rule, part) for rule in rules])
    if not moments:
        return _neutral(units, counted, seen, part)
    best = max(moments.values(), key=lambda moment: moment[3])
    rule, row, score, _ = best
    confidence = _confidence(units, counted, seen, rules, best, part)
    scores = {label: moment[2] for label, moment in moments.items()}
    if confidence < part.min_confidence:
        listed = ", ".join(f"{label} {mean:.2f}" for label, mean in scores.items())
        return (None, UNCLEAR, f"{listed}; confidence {confidence:.2f}")
    values = {n: float(counted[row, units.names.index(n)]) for n in rule.units if n in units.names}
    present = dict(sorted(((n, x) for n, x in values.items() if x >= part.threshold), key=lambda item: -item[1]))
    found = pseudo_label(
        rule.label, "rules", strength=strength(score, part), score=score, confidence=confidence, units=present,
        candidates=scores, table=part.table,
    )  # fmt: skip
    return found, None, ""


def support(units: ActionUnits, label: str, rules: Sequence[FaceRule], part: PseudoLabelPart) -> Label:
    """A given label with what the units show of it, and what the rules would have said in its place.

    Strength, score and units are None and empty where the units do not show the label.
    """
    said = judge(units, rules, part)[0]
    by_rules, candidates = (None, {}) if said is None else (said["label"], said["candidates"])
    found = judge(units, [rule for rule in rules if rule.label == label], part)[0] if label != "neutral" else None
    if found is None or found["label"] != label:
        return pseudo_label(label, "given", candidates=candidates, table=part.table, by_rules=by_rules)
    candidates = candidates or found["candidates"]
    return {**found, "source": "given", "confidence": None, "candidates": candidates, "by_rules": by_rules}


def strength(score: float, part: PseudoLabelPart) -> Strength:
    """MER-Factory's word for a score of at least the threshold: from one, two and three times the threshold."""
    return next((word for word, times in _STRENGTHS if score >= times * part.threshold - 1e-9), "slight")


# --- careful ----------------------------------------------------------------------------------------------------------


def _eligible(units: ActionUnits, part: PseudoLabelPart) -> Bool:
    """[N] frames that can win."""
    seen = units.valid & (units.confidence > MIN_CONFIDENCE)
    open_eyed = seen & ~units.is_blink
    return seen if part.include_blinks or not open_eyed.any() else open_eyed


def _counted(units: ActionUnits, part: PseudoLabelPart) -> Float:
    """[N, U] intensities with those of speech at 0; NaN where not measured."""
    counted = np.array(units.intensity, dtype=np.float64)
    if not part.include_speech:
        for name in SPEECH_UNITS:
            if name in units.names:
                counted[units.is_speech, units.names.index(name)] = 0.0
    return counted


def _columns(units: ActionUnits, counted: Float, rule: FaceRule) -> Float | None:
    """[N, R] the rule's units that were measured; None where they are half or fewer."""
    names = [n for n in rule.units if n in units.names and np.isfinite(counted[:, units.names.index(n)]).any()]
    if len(names) * 2 <= len(rule.units):
        return None
    return np.nan_to_num(counted[:, [units.names.index(n) for n in names]])


def _shows(units: ActionUnits, counted: Float, rule: FaceRule, columns: Float, part: PseudoLabelPart) -> Bool:
    """[N] frames in which enough of the rule's units are present, whatever their mean."""
    shows = (columns >= part.threshold).mean(axis=1) >= max(part.min_present, rule.needs)
    if rule.any_of:
        named = [units.names.index(n) for n in rule.any_of if n in units.names]
        shows &= (np.nan_to_num(counted[:, named]) >= part.threshold).any(axis=1)
    return np.asarray(shows)


def _moment(units: ActionUnits, counted: Float, seen: Bool, rule: FaceRule, part: PseudoLabelPart) -> _Moment | None:
    columns = _columns(units, counted, rule)
    if columns is None:
        return None
    mean = columns.mean(axis=1)
    holds = seen & _shows(units, counted, rule, columns, part) & (mean >= part.threshold)
    held = _held(units.pts_seconds, holds, part.min_held_seconds)
    if not held.any():
        return None
    row = int(np.argmax(np.where(held, mean, -1.0)))
    return rule, row, float(mean[row]), float(mean[row]) * math.sqrt(len(rule.units))


def _held(pts_seconds: Float, holds: Bool, least_seconds: float) -> Bool:
    """[N] the runs of `holds` that last long enough; a frame lasts until the next one. One frame alone is a picture."""
    if len(holds) == 1:
        return holds
    out = np.zeros(len(holds), bool)
    step = typical_step(pts_seconds)
    for start, end in runs(holds):
        if pts_seconds[end - 1] - pts_seconds[start] + step >= least_seconds - 1e-6:
            out[start:end] = True
    return out


def _best_by_label(moments: Sequence[_Moment | None]) -> dict[str, _Moment]:
    best: dict[str, _Moment] = {}
    for moment in moments:
        if moment is not None and (moment[0].label not in best or moment[3] > best[moment[0].label][3]):
            best[moment[0].label] = moment
    return best


def _confidence(
    units: ActionUnits,
    counted: Float,
    seen: Bool,
    rules: Sequence[FaceRule],
    best: _Moment,
    part: PseudoLabelPart,
) -> float:
    rival, own_rival = 0.0, 0.0
    winner, row, _, fit = best
    for rule in rules:
        if rule.label == winner.label:
            continue
        shared = len(set(rule.units) & set(winner.units))
        own_rival = max(own_rival, shared / math.sqrt(len(rule.units) * len(winner.units)))
        columns = _columns(units, counted, rule)
        if columns is not None:
            shows = seen & _shows(units, counted, rule, columns, part)
            rival = max(rival, float(np.where(shows, columns.mean(axis=1), 0.0).max()) * math.sqrt(len(rule.units)))
    margin = max(0.0, 1.0 - rival / fit) / max(1.0 - own_rival, 1e-9)
    return float(units.confidence[row]) * min(1.0, margin)


def _neutral(units: ActionUnits, counted: Float, seen: Bool, part: PseudoLabelPart) -> Verdict:
    # A face that only blinks or parts its lips is at rest (`rule_tables.REST_UNITS`).
    resting = {BLINK_UNIT: not part.include_blinks, LIPS_PART: not part.include_speech}
    moving = [i for i, name in enumerate(units.names) if not resting.get(name)]
    seen = seen & np.isfinite(counted[:, moving]).all(axis=1)  # a covered mouth is not a neutral one
    if not seen.any():
        return (None, NO_LABEL, "no frame shows the whole face")
    total = np.where(seen, np.nan_to_num(counted[:, moving]).sum(axis=1), 0.0)
    if _held(units.pts_seconds, total >= part.neutral_below, part.min_held_seconds).any():
        return (None, NO_LABEL, f"the units sum to {total.max():.2f} at most, {part.neutral_below} is neutral's limit")
    strongest = float(total[total < part.neutral_below].max())  # lone jumps above the limit are not held against it
    confidence = float(units.confidence[seen].mean()) * (1.0 - strongest / part.neutral_below)
    if confidence < part.min_confidence:
        return (None, NO_LABEL, f"the units sum to {strongest:.2f}, close to neutral's limit")
    return pseudo_label("neutral", "rules", confidence=confidence, table=part.table), None, ""


# --- MER-Factory ------------------------------------------------------------------------------------------------------


def _factory(units: ActionUnits, rules: Sequence[FaceRule], part: PseudoLabelPart) -> Verdict:
    from scipy.signal import find_peaks

    intensity = np.nan_to_num(np.asarray(units.intensity, dtype=np.float64))
    rows, _ = find_peaks(intensity.sum(axis=1), height=part.threshold, distance=part.min_peak_distance_frames)
    best: dict[str, _Moment] = {}
    for row in rows:
        for rule in rules:
            measured = [intensity[row, units.names.index(n)] for n in rule.units if n in units.names]
            share = len(_factory_present(units, intensity, row, rule, part)) / len(rule.units)
            score = float(np.mean(measured)) if measured else 0.0
            earlier = best.get(rule.label)
            if share >= part.min_present and score >= part.threshold and (not earlier or score > earlier[2]):
                best[rule.label] = (rule, int(row), score, 0.0)
    if not best:
        return pseudo_label("neutral", "rules", table=part.table), None, ""
    ranked = sorted(best.values(), key=lambda moment: -moment[2])
    winner, row, score, _ = ranked[0]
    present = {
        n: float(intensity[row, units.names.index(n)])
        for n in _factory_present(units, intensity, row, winner, part)
        if n in units.names
    }
    label = pseudo_label(
        winner.label, "rules", strength=strength(score, part), score=score, confidence=float(units.confidence[row]),
        units=dict(sorted(present.items(), key=lambda item: -item[1])),
        candidates={rule.label: mean for rule, _, mean, _ in ranked}, table=part.table,
    )  # fmt: skip
    return label, None, ""


def _factory_present(
    units: ActionUnits, intensity: Float, row: int, rule: FaceRule, part: PseudoLabelPart
) -> list[str]:
    """The label's units that are present in a frame; none where the classifier does not know one of them."""
    if units.presence is None:
        return [n for n in rule.units if n in units.names and intensity[row, units.names.index(n)] >= part.threshold]
    if not set(rule.units) <= set(units.presence_names):
        return []
    return [n for n in rule.units if units.presence[row, units.presence_names.index(n)] == 1]
