"""Published tables of which action units belong to which emotion label.

Keys are the project's label words (`labels.SYNONYMS` maps others). AU28 (lip suck) stands in one published row although
OpenFace has no intensity for it; readers skip units that were not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emotion_llama.errors import InputError

# Emotion-LLaMA's description of how MERR's peak frames were chosen (its documentation's map of labels to units, and
# the figure of the peak frame of a surprised face, which sums AU05 and AU26).
PUBLISHED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "surprise": ("AU05", "AU26"),
        "happy": ("AU06", "AU12"),
        "sad": ("AU01", "AU04", "AU15"),
        "angry": ("AU04", "AU05", "AU07", "AU23"),
    }
)

# MER-Factory's emotion table; the number is how many of the units must be present (at least half).
MER_FACTORY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "happy": ("AU06", "AU12", "AU14"),
        "sad": ("AU01", "AU04", "AU15", "AU14"),
        "surprise": ("AU01", "AU02", "AU05", "AU26"),
        "fear": ("AU01", "AU02", "AU04", "AU05", "AU07", "AU20", "AU26"),
        "angry": ("AU04", "AU05", "AU07", "AU23", "AU10", "AU17"),
        "contempt": ("AU12", "AU10", "AU14", "AU17"),
        "worried": ("AU28", "AU20"),
        "disgust": ("AU09", "AU15"),
    }
)
PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold

LABEL_UNIT_TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"merr": PUBLISHED, "mer-factory": MER_FACTORY}
)


def units_of(label: str) -> tuple[str, ...]:
    """The units of `label` in the first table that has it; InputError where none has (neutral, doubt)."""
    for units in LABEL_UNIT_TABLES.values():
        if label in units:
            return units[label]
    known = sorted({name for units in LABEL_UNIT_TABLES.values() for name in units})
    raise InputError(f"no published units for {label!r}; known: {', '.join(known)}; else pass label_units")
