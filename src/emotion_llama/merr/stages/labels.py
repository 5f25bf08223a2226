"""Stage pseudo_label: a clip's emotion from its measured evidence, with strength and confidence, or why it has none.

"evidence" is the predictor of `analyze` and of the server (`rules.verdict` says when it gives a label), held against
the table of units that the recipe names: the clip has the label that `analyze` shows, and is dropped where that is
uncertain, as the published pipeline drops clips without a strong expression. The confidence is the label's probability.

"mer-factory" is that program's rule: at each local maximum of the sum of all units, a label counts when at least
`min_present` of its units are present and their mean reaches the threshold; the highest mean wins; none is neutral.
Present is what OpenFace's classifier says (`AUxx_c`), and a label of which it knows not every unit is passed over; with
units of other programs presence is read off the intensity. One thing differs: frames in which OpenFace has lost the
face cannot win.

A label's score is the mean intensity of its units, where it is largest in frames that show the face well and no blink;
it is called slight, moderate or strong from one, two and three times the threshold (MER-Factory).

Which units mean which label: the published tables, your own, or the joined one, which is the face table of the evidence
predictor (`rules.rule_tables.PUBLISHED`, where each row's source is named): happy, sad, surprise and angry are MERR's
units, fear and disgust MER-Factory's, and what no published set makes measurable (worried, contempt, doubt) is this
project's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import LABEL_UNIT_TABLES
from emotion_llama.face.peak import MIN_CONFIDENCE
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.recipe import PseudoLabelPart
from emotion_llama.merr.records import Field, Provenance, now, pseudo_label
from emotion_llama.merr.stage import ClipStage, StageInput, StageOutput
from emotion_llama.merr.stages.evidence import EVIDENCE, field, measured_of
from emotion_llama.peaks import find_peaks
from emotion_llama.records import AU_NAMES, ActionUnits, Bool, Float, frame_seconds
from emotion_llama.results import Evidence, held_value
from emotion_llama.rules.rule_tables import OWN, PUBLISHED, STRENGTH, FaceRule, FaceTable
from emotion_llama.rules.scoring import predict_by_rules

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

Strength = Literal["slight", "moderate", "strong"]
_STRENGTHS: tuple[tuple[Strength, float], ...] = (("strong", 3.0), ("moderate", 2.0), ("slight", 1.0))

# Reasons, without figures, so that they can be counted.
SEEN_TOO_LITTLE = "the face is seen too little"
NO_FACE = "no face could be measured"
NO_GIVEN_LABEL = "no label came with the clip"
UNCERTAIN = "uncertain: nothing measured carries a label"
IMPROBABLE = "the label is not probable enough"
# AU28 stands in a published row although only OpenFace's classifier knows it.
_KNOWN_UNITS = (*AU_NAMES, "AU28")

Label: TypeAlias = dict[str, Any]  # JSON values, as `records.pseudo_label` makes them
# A label, or the reason why there is none, and what was measured behind that reason.
Verdict: TypeAlias = "tuple[Label | None, str | None, str]"


class PseudoLabelStage(ClipStage):
    """Field label. A clip without one is dropped, its field says why."""

    name = "pseudo_label"
    version = 3
    needs = ("evidence",)
    reads_artifacts = (EVIDENCE,)
    reads_clip = ("given_label",)

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.space = recipe.pseudo_label, recipe.space
        self.rules = label_rules(self.part.table, recipe.space, self.part.own_table)
        # With the units of each label, which a later version may know better.
        units = [[rule.label, list(rule.units), rule.needs, list(rule.any_of)] for rule in self.rules]
        self.settings = {
            **self.part.model_dump(mode="json"), "label_space": recipe.label_space, "units": units,
        }  # fmt: skip

    def one(self, item: StageInput) -> StageOutput:
        """See `ClipStage`."""
        evidence, given = measured_of(item).evidence, item.clip.given_label
        if given is not None and self.part.mode != "rules":
            label = support(evidence, given, self.rules, self.part, self.space)
            return StageOutput((Field("label", label, Provenance("given", "with the clip", made_at=now())),))
        if self.part.mode == "given":
            return self._dropped(NO_GIVEN_LABEL)
        found, reason, detail = judge(evidence, self.rules, self.part, self.space)
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
        InputError: units that do not exist, or no label of the space has a row.
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
    for label, units in own.items():
        unknown = [name for name in units if name not in _KNOWN_UNITS]
        if unknown or not units or len(set(units)) != len(units):
            came = unknown[0] if unknown else ", ".join(units) or "none"
            raise InputError(f"{label}: expected units of {', '.join(_KNOWN_UNITS)}, each once, got {came!r}")
    rows = own if table == "own" else LABEL_UNIT_TABLES[table]
    return [FaceRule(label, units, STRENGTH, OWN if table == "own" else table) for label, units in rows.items()]


def judge(evidence: Evidence, rules: Sequence[FaceRule], part: PseudoLabelPart, space: LabelSpace) -> Verdict:
    """The label that the evidence about one person carries over the whole clip."""
    units = _seen_units(evidence)
    if part.rule == "mer-factory":
        why = evidence.why_missing("action_units") or ""
        return (None, NO_FACE, why) if units is None else _factory(units, rules, part)
    if units is not None and (seen := _well_seen(units).mean()) < part.min_seen_share:
        return None, SEEN_TOO_LITTLE, f"in {100 * seen:.0f} % of {len(units.pts_seconds)} frames"
    own = FaceTable(part.table, tuple(rules), MappingProxyType({}), "no unit")
    table = PUBLISHED if part.table == "joined" else own
    found = predict_by_rules(evidence, table, space)
    if found.probabilities is None:
        if units is None:
            return None, NO_FACE, evidence.why_missing("action_units") or ""
        return None, UNCERTAIN, found.problem or ""
    likeliest = ", ".join(f"{name} {p:.2f}" for name, p in sorted(found.probabilities.items(), key=_falling)[:3])
    if found.label is None:
        return None, UNCERTAIN, likeliest
    if (found.probability or 0.0) < part.min_confidence:
        return None, IMPROBABLE, likeliest
    score, present = _shown(units, units_of_label(found.label, tuple(rules)), part)
    label = pseudo_label(
        found.label, "rules", strength=None if score is None else strength(score, part), score=score,
        confidence=found.probability, units=present, candidates=found.probabilities, table=part.table,
    )  # fmt: skip
    return label, None, ""


def support(
    evidence: Evidence, label: str, rules: Sequence[FaceRule], part: PseudoLabelPart, space: LabelSpace
) -> Label:
    """A given label with what the units show of it, and what the rules would have said in its place.

    Strength, score and units are None and empty where the units do not show the label.
    """
    said = judge(evidence, rules, part, space)[0]
    by_rules, candidates = (None, {}) if said is None else (said["label"], said["candidates"])
    units = _seen_units(evidence)
    names = units_of_label(label, tuple(rules))
    score, present = _shown(units, names, part)
    is_shown = score is not None and score >= part.threshold and len(present) >= part.min_present * len(names)
    return pseudo_label(
        label, "given", strength=strength(score, part) if score is not None and is_shown else None,
        score=score if is_shown else None, units=present if is_shown else {}, candidates=candidates,
        table="" if units is None else part.table, by_rules=by_rules,
    )  # fmt: skip


def _falling(item: tuple[str, float]) -> float:
    return -item[1]


def _seen_units(evidence: Evidence) -> ActionUnits | None:
    units = evidence.action_units
    return units if units is not None and units.valid.any() else None


def _well_seen(units: ActionUnits) -> Bool:
    """[N] frames that show the face well, without those of a blink where there are others."""
    seen = units.valid & (units.confidence > MIN_CONFIDENCE)
    open_eyed = seen & ~units.is_blink
    return np.asarray(open_eyed if open_eyed.any() else seen)


def _shown(
    units: ActionUnits | None, names: Sequence[str], part: PseudoLabelPart
) -> tuple[float | None, dict[str, float]]:
    """The mean of the named units that is held, and those of them that are; None where none was measured."""
    columns = [] if units is None else [name for name in names if name in units.names]
    if units is None or not columns or not (rows := np.flatnonzero(_well_seen(units))).size:
        return None, {}
    levels = np.nan_to_num(units.intensity[rows][:, [units.names.index(name) for name in columns]])
    seconds = frame_seconds(units.pts_seconds)[rows]
    held = {name: held_value(level, seconds) for name, level in zip(columns, levels.T)}
    present = {name: x for name, x in held.items() if x >= part.threshold}
    return held_value(levels.mean(axis=1), seconds), dict(sorted(present.items(), key=_falling))


def strength(score: float, part: PseudoLabelPart) -> Strength:
    """MER-Factory's word for a score of at least the threshold: from one, two and three times the threshold."""
    return next((word for word, times in _STRENGTHS if score >= times * part.threshold - 1e-9), "slight")


# --- MER-Factory ------------------------------------------------------------------------------------------------------


def _factory(units: ActionUnits, rules: Sequence[FaceRule], part: PseudoLabelPart) -> Verdict:
    intensity = np.nan_to_num(np.asarray(units.intensity, dtype=np.float64))
    rows = find_peaks(intensity.sum(axis=1), part.threshold, distance=part.min_peak_distance_frames)
    best: dict[str, tuple[FaceRule, int, float]] = {}
    for row in rows:
        for rule in rules:
            measured = [intensity[row, units.names.index(n)] for n in rule.units if n in units.names]
            share = len(_factory_present(units, intensity, row, rule, part)) / len(rule.units)
            score = float(np.mean(measured)) if measured else 0.0
            earlier = best.get(rule.label)
            if share >= part.min_present and score >= part.threshold and (not earlier or score > earlier[2]):
                best[rule.label] = (rule, int(row), score)
    if not best:
        return pseudo_label("neutral", "rules", table=part.table), None, ""
    ranked = sorted(best.values(), key=lambda moment: -moment[2])
    winner, row, score = ranked[0]
    present = {
        n: float(intensity[row, units.names.index(n)])
        for n in _factory_present(units, intensity, row, winner, part)
        if n in units.names
    }
    label = pseudo_label(
        winner.label, "rules", strength=strength(score, part), score=score, confidence=float(units.confidence[row]),
        units=dict(sorted(present.items(), key=lambda item: -item[1])),
        candidates={rule.label: mean for rule, _, mean in ranked}, table=part.table,
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
