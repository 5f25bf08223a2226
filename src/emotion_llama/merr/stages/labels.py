"""Stages pseudo_label and select: which emotion, and how many neutral clips come along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from emotion_llama.merr.labels import judge, label_rules, support
from emotion_llama.merr.records import (
    Drop,
    Field,
    Provenance,
    PseudoLabel,
    StageInput,
    StageOutput,
    from_json,
    now,
    to_json,
)
from emotion_llama.merr.stage import Results, Stage
from emotion_llama.merr.stages.common import EVIDENCE, chance, field, measured_of

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

NO_FACE = "no face could be measured"
NO_GIVEN_LABEL = "no label came with the clip"
ENOUGH_NEUTRAL = "neutral, and there are enough of these"


class PseudoLabelStage(Stage):
    """Field label (`PseudoLabel`). A clip without one is dropped, its field says why."""

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
            label = (
                PseudoLabel(given, "given", None, None, None)
                if units is None
                else support(units, given, self.rules, self.part)
            )
            return StageOutput((Field("label", to_json(label), Provenance("given", "with the clip", made_at=now())),))
        if self.part.mode == "given":
            return self._dropped(NO_GIVEN_LABEL)
        if units is None:
            return self._dropped(NO_FACE, evidence.why_missing("action_units") or "")
        found, reason, detail = judge(units, self.rules, self.part)
        if found is None:
            return self._dropped(reason or "", detail)
        return StageOutput((Field("label", to_json(found), self._provenance()),))

    def _dropped(self, reason: str, detail: str = "") -> StageOutput:
        why = f"{reason} ({detail})" if detail else reason
        return StageOutput((field("label", None, self._provenance(), why),), drop=Drop(reason))

    def _provenance(self) -> Provenance:
        return Provenance("measured", f"{self.part.rule} {self.version}, table {self.part.table}", made_at=now())


class SelectStage(Stage):
    """Samples neutral clips in: the share of the others that the recipe says, chosen by hashes of their content.

    Clips that came with the label neutral stay, and count towards the share. Which clips come along depends on their
    content and the seed alone: when clips are added, those that were in stay in as long as the share allows.
    """

    name = "select"
    needs = ("pseudo_label",)
    reads_clip = ()
    sees_all = True

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.seed = recipe.select, recipe.seed
        self.settings = {**self.part.model_dump(mode="json"), "seed": self.seed}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
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
