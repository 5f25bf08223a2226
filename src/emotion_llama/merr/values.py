"""Stored values as statistics, pages and people read them: tolerant of fields that are missing or imported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from emotion_llama.merr.records import FieldKey, Json, Provenance, Sample, Scope


def part(value: Json, name: str) -> Json:
    """`value[name]` of a JSON object; None of anything else."""
    return value.get(name) if isinstance(value, Mapping) else None


def text_of(value: Json) -> str | None:
    """A description as one text: phrases are joined by commas, of an object its "text"; None where there is none."""
    if isinstance(value, Mapping):
        return text_of(value.get("text"))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None
    return value if isinstance(value, str) and value else None


def subtitle_text(value: Json) -> str | None:
    """What is said."""
    return text_of(value)


def subtitle_language(value: Json) -> str | None:
    """In which language, where it is known."""
    language = part(value, "language")
    return language if isinstance(language, str) else None


def source_of(value: Json) -> str | None:
    """Where a value says that it comes from."""
    source = part(value, "source")
    return source if isinstance(source, str) else None


def label_of(sample: Sample) -> str | None:
    """The sample's label."""
    label = part(sample.value("label"), "label")
    return label if isinstance(label, str) else None


def units_of(value: Json) -> Mapping[str, float] | None:
    """Intensities 0..5 by unit, of a peak or a label; None where there is none."""
    units = part(value, "units")
    if not isinstance(units, Mapping):
        return None
    return {str(name): float(x) for name, x in units.items() if isinstance(x, (int, float))}


def peak_units(sample: Sample) -> Mapping[str, float] | None:
    """Intensities 0..5 of the units present at the peak frame; None where no peak was found."""
    return units_of(sample.value("peak"))


class Written(NamedTuple):
    """A description with who wrote it."""

    text: str
    provenance: Provenance


def descriptions(sample: Sample, names: Collection[str]) -> Iterator[tuple[FieldKey, Written]]:
    """The sample's descriptions of these names that are there, in every language."""
    for key, found in sorted(sample.fields.items()):
        text = text_of(found.value) if key[0] in names else None
        if text is not None:
            yield key, Written(text, found.provenance)


def by_rules(provenance: Provenance) -> bool:
    """The value was derived from measurements by rules, not written by a model or a person."""
    return provenance.annotator in ("rules", "measured", "own phrases")


def is_coarse(sample: Sample) -> bool:
    """The sample belongs to the coarse set: never dropped as a whole, and with a coarse caption."""
    return not _is_dropped(sample, "all") and _has(sample, "coarse_caption")


def is_fine(sample: Sample) -> bool:
    """The sample belongs to the fine set: in the coarse set, with a fine caption, and not dropped from there."""
    return is_coarse(sample) and not _is_dropped(sample, "fine") and _has(sample, "fine_caption")


def _is_dropped(sample: Sample, scope: Scope) -> bool:
    return any(run.status == "dropped" and (run.scope or "all") == scope for run in sample.runs.values())


def _has(sample: Sample, name: str) -> bool:
    return any(f.value is not None for (found, _), f in sample.fields.items() if found == name)
