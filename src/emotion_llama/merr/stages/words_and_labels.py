"""Stages subtitle, pseudo_label and select: what is said, which emotion, and how many neutral clips come along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from emotion_llama.labels import LABEL_SPACES
from emotion_llama.merr.fields import PseudoLabel, from_json, to_json
from emotion_llama.merr.label_rules import LabelRule, label_rules
from emotion_llama.merr.pseudo_labels import Verdict, judge, support
from emotion_llama.merr.recipe_parts import PseudoLabelPart, SelectPart
from emotion_llama.merr.records import Drop, Field, Json, Provenance, StageInput, StageOutput
from emotion_llama.merr.stage import Pool
from emotion_llama.merr.stages.common import EVIDENCE, Results, chance, each, field, measured_of, now
from emotion_llama.records import ActionUnits

NO_FACE = "no face could be measured"
NO_GIVEN_LABEL = "no label came with the clip"
ENOUGH_NEUTRAL = "neutral, and there are enough of these"


@dataclass(frozen=True)
class SubtitleStage:
    """Field subtitle: {"text", "source", "language"}."""

    name = "subtitle"
    version = 1
    needs: ClassVar[tuple[str, ...]] = ("evidence",)
    reads_artifacts: ClassVar[tuple[str, ...]] = (EVIDENCE,)
    reads_clip: ClassVar[tuple[str, ...]] = ("given_subtitle",)
    pool: ClassVar[Pool] = "inline"
    batch_size = 1

    @property
    def settings(self) -> Mapping[str, object]:
        """None."""
        return {}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `ClipStage`."""
        return each(items, self._one)

    def _one(self, item: StageInput) -> StageOutput:
        evidence = measured_of(item).evidence
        words = evidence.transcript
        text = "" if words is None else " ".join(words.text.split())
        if words is None or not text:
            why = evidence.why_missing("transcript") or "nothing is said"
            return StageOutput((field("subtitle", None, Provenance("measured", "words", made_at=now()), why),))
        is_heard = item.clip.given_subtitle is None
        provenance = Provenance("measured" if is_heard else "given", words.source, made_at=now())
        value: Json = {"text": text, "source": words.source, "language": words.language}
        return StageOutput((Field("subtitle", value, provenance),))


@dataclass(frozen=True)
class PseudoLabelStage:
    """Field label (`PseudoLabel`). A clip without one is dropped, its field says why in figures."""

    part: PseudoLabelPart
    label_space: str

    name = "pseudo_label"
    version = 2
    needs: ClassVar[tuple[str, ...]] = ("evidence",)
    reads_artifacts: ClassVar[tuple[str, ...]] = (EVIDENCE,)
    reads_clip: ClassVar[tuple[str, ...]] = ("given_label",)
    pool: ClassVar[Pool] = "inline"
    batch_size = 1

    @property
    def settings(self) -> Mapping[str, object]:
        """The recipe's part and the units of each label, which a later version may know better."""
        units = [[rule.label, list(rule.units), rule.needs, list(rule.any_of)] for rule in self._rules()]
        return {**self.part.model_dump(mode="json"), "label_space": self.label_space, "units": units}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `ClipStage`."""
        rules = self._rules()
        return each(items, lambda item: self._one(item, rules))

    def _rules(self) -> tuple[LabelRule, ...]:
        return label_rules(self.part.table, LABEL_SPACES[self.label_space], self.part.own_table)

    def _one(self, item: StageInput, rules: Sequence[LabelRule]) -> StageOutput:
        evidence = measured_of(item).evidence
        units, given = evidence.action_units, item.clip.given_label
        if units is not None and not units.valid.any():
            units = None
        if given is not None and self.part.mode != "rules":
            label = PseudoLabel(given, "given", None, None, None) if units is None else self._given(units, given, rules)
            return StageOutput((Field("label", to_json(label), Provenance("given", "with the clip", made_at=now())),))
        if self.part.mode == "given":
            return self._dropped(Verdict(None, NO_GIVEN_LABEL))
        if units is None:
            return self._dropped(Verdict(None, NO_FACE, evidence.why_missing("action_units") or ""))
        verdict = judge(units, rules, self.part)
        if verdict.label is None:
            return self._dropped(verdict)
        return StageOutput((Field("label", to_json(verdict.label), self._provenance()),))

    def _given(self, units: ActionUnits, given: str, rules: Sequence[LabelRule]) -> PseudoLabel:
        return support(units, given, rules, self.part)

    def _dropped(self, verdict: Verdict) -> StageOutput:
        assert verdict.reason is not None
        why = f"{verdict.reason} ({verdict.detail})" if verdict.detail else verdict.reason
        return StageOutput((field("label", None, self._provenance(), why),), drop=Drop(verdict.reason))

    def _provenance(self) -> Provenance:
        return Provenance("measured", f"{self.part.rule} {self.version}, table {self.part.table}", made_at=now())


@dataclass(frozen=True)
class SelectStage:
    """Samples neutral clips in: the share of the others that the recipe says, chosen by hashes of their content.

    Clips that came with the label neutral stay, and count towards the share. Which clips come along depends on their
    content and the seed alone: when clips are added, those that were in stay in as long as the share allows.
    """

    part: SelectPart
    seed: str

    name = "select"
    version = 1
    needs: ClassVar[tuple[str, ...]] = ("pseudo_label",)
    reads_clip: ClassVar[tuple[str, ...]] = ()

    @property
    def settings(self) -> Mapping[str, object]:
        """The recipe's part and the seed."""
        return {**self.part.model_dump(mode="json"), "seed": self.seed}

    def run_all(self, items: Sequence[StageInput]) -> list[StageOutput]:
        """See `SetStage`."""
        labels = [from_json(PseudoLabel, item.value("label")) for item in items]
        neutral = [i for i, label in enumerate(labels) if label.label == "neutral"]
        open_ones = [i for i in neutral if labels[i].source == "rules"]
        wanted = math.ceil(self.part.neutral_share * (len(items) - len(neutral)))
        kept = len(neutral) - len(open_ones)
        ranked = sorted(open_ones, key=lambda i: chance(self.seed, "neutral", _content(items[i])))
        out = set(ranked[max(0, wanted - kept) :])
        return [StageOutput(drop=Drop(ENOUGH_NEUTRAL) if i in out else None) for i in range(len(items))]


def _content(item: StageInput) -> str:
    return item.clip.sha256 or item.clip.clip_id
