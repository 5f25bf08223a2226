"""Which action units mean which label, for pseudo-labels: the published tables, the joined one, or your own.

The joined table is the face table of the rules reader (`annotators.rule_tables.PUBLISHED`, where each row's source is
named): happy, sad, surprise and angry are MERR's units, fear and disgust MER-Factory's, and what no published set makes
measurable (worried, contempt, doubt) is this project's own. Each of its rows also names units of which one must be
present, so that a lone AU12 is a smile and no contempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import LABEL_UNIT_TABLES
from emotion_llama.labels import LabelSpace
from emotion_llama.records import AU_NAMES

Table = Literal["joined", "merr", "mer-factory", "own"]
# AU28 stands in a published row although only OpenFace's classifier knows it.
_KNOWN_UNITS = (*AU_NAMES, "AU28")


@dataclass(frozen=True)
class LabelRule:
    """Units that together mean a label; `needs` is the share that must be present, `any_of` are those of which one."""

    label: str
    units: tuple[str, ...]
    needs: float = 0.0
    any_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.units if name not in _KNOWN_UNITS]
        if unknown or not self.units or len(set(self.units)) != len(self.units):
            came = unknown[0] if unknown else ", ".join(self.units) or "none"
            raise InputError(f"{self.label}: expected units of {', '.join(_KNOWN_UNITS)}, each once, got {came!r}")


def label_rules(
    table: Table, space: LabelSpace, own: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[LabelRule, ...]:
    """The rows of a table for the labels of a space, in the space's order; a label may have several, or none.

    Raises:
        InputError: no such table, units that do not exist, or no label of the space has a row.
    """
    rows = _rows(table, own or {})
    rules = tuple(rule for label in space.labels for rule in rows if rule.label == label)
    if not rules:
        raise InputError(f"the table {table!r} has units for none of {space.name} ({', '.join(space.labels)})")
    return rules


def units_of_label(label: str, rules: tuple[LabelRule, ...]) -> tuple[str, ...]:
    """All units of a label, over its rows; empty where it has none (neutral)."""
    return tuple(dict.fromkeys(unit for rule in rules if rule.label == label for unit in rule.units))


def _rows(table: str, own: Mapping[str, tuple[str, ...]]) -> list[LabelRule]:
    if table == "joined":
        from emotion_llama.rules.rule_tables import PUBLISHED

        return [LabelRule(rule.label, rule.units, rule.needs, rule.any_of) for rule in PUBLISHED.rules]
    if table == "own":
        return [LabelRule(label, units) for label, units in own.items()]
    if table not in LABEL_UNIT_TABLES:
        raise InputError(f"no table {table!r} of label units; use joined, {', '.join(LABEL_UNIT_TABLES)} or own")
    return [LabelRule(label, units) for label, units in LABEL_UNIT_TABLES[table].items()]
