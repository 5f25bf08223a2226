"""Stored values as exports, statistics and pages use them: tolerant of what is missing or imported. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping

from emotion_llama.merr.records import BY_LANGUAGE, FIELDS, Described, FieldKey, Json, Provenance, Sample, Scope

# Fields whose value is an object with one word or text that people read and edit: it gets the column of the field's
# name, the rest stands beside it as JSON.
HEADLINES: Mapping[str, str] = {"label": "label", "subtitle": "text"}
LANGUAGES = ("en", "zh")
SPLITS = ("train", "validation", "test")
_HASH_LETTERS = 16


def column_of(key: FieldKey) -> str:
    """The column of a field: its name, and its language after it ("fine_caption_en")."""
    name, language = key
    return f"{name}_{language}" if language else name


def key_of(column: str) -> FieldKey | None:
    """The field of a column; None when it is the column of no known field."""
    if column in FIELDS and column not in BY_LANGUAGE:
        return column, ""
    name, _, language = column.rpartition("_")
    return (name, language) if name in BY_LANGUAGE and language in LANGUAGES else None


def shown_key(key: FieldKey) -> str:
    """A field for people: "fine_caption (en)"."""
    return f"{key[0]} ({key[1]})" if key[1] else key[0]


def place_of(name: str) -> int:
    """Of a field in the order of a build; unknown ones come last."""
    return list(FIELDS).index(name) if name in FIELDS else len(FIELDS)


def value_hash(value: Json) -> str:
    """Tells a value from an edited one."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LETTERS]


def part(value: Json, name: str) -> Json:
    """`value[name]` of a JSON object; None of anything else."""
    return value.get(name) if isinstance(value, Mapping) else None


def text_part(value: Json, name: str) -> str | None:
    """The same, where it is a text."""
    found = part(value, name)
    return found if isinstance(found, str) else None


def list_of(value: Json) -> list[Json]:
    """A list as it is; an empty one of anything else."""
    return value if isinstance(value, list) else []


def text_of(value: Json) -> str | None:
    """A description as one text: phrases are joined by commas, of an object its "text"; None where there is none."""
    if isinstance(value, Mapping):
        return text_of(value.get("text"))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or None
    return value if isinstance(value, str) and value else None


def label_of(sample: Described) -> str | None:
    """The clip's label."""
    return text_part(sample.value("label"), "label")


def split_of(sample: Sample) -> str | None:
    """The sample's split."""
    split = sample.value("split")
    return split if isinstance(split, str) and split in SPLITS else None


def units_of(value: Json) -> dict[str, float]:
    """Intensities 0..5 by unit, of a peak or a label; empty where there are none."""
    units = part(value, "units")
    if not isinstance(units, Mapping):
        return {}
    return {str(name): float(x) for name, x in units.items() if isinstance(x, (int, float))}


def peak_units(sample: Sample) -> dict[str, float] | None:
    """Intensities 0..5 of the units present at the peak frame; None where no peak was found."""
    peak = sample.value("peak")
    return units_of(peak) if isinstance(part(peak, "units"), Mapping) else None


def descriptions(sample: Sample, names: Collection[str]) -> Iterator[tuple[FieldKey, str, Provenance]]:
    """The sample's descriptions of these names that are there, in every language, with who wrote them."""
    for key, found in sorted(sample.fields.items()):
        text = text_of(found.value) if key[0] in names else None
        if text is not None:
            yield key, text, found.provenance


def by_rules(provenance: Provenance) -> bool:
    """The value was derived from measurements by rules, not written by a model or a person."""
    return provenance.annotator in ("rules", "measured", "own phrases")


def is_coarse(sample: Sample) -> bool:
    """The sample belongs to the coarse set: never dropped as a whole, and with a coarse caption."""
    return not is_dropped(sample, "all") and _has(sample, "coarse_caption")


def is_fine(sample: Sample) -> bool:
    """The sample belongs to the fine set: in the coarse set, with a fine caption, and not dropped from there."""
    return is_coarse(sample) and not is_dropped(sample, "fine") and _has(sample, "fine_caption")


def is_dropped(sample: Sample, scope: Scope) -> bool:
    """A stage dropped the sample from the whole set, or from its fine part."""
    return any(run.status == "dropped" and (run.scope or "all") == scope for run in sample.runs.values())


def _has(sample: Sample, name: str) -> bool:
    return any(f.value is not None for (found, _), f in sample.fields.items() if found == name)
