"""Fields that people may fix: what is handed in, checked, and put in place of what was there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.records import (
    HEADLINES,
    Field,
    FieldKey,
    Json,
    Provenance,
    Sample,
    StageRun,
    column_of,
    key_of,
    list_of,
    part,
    pseudo_label,
    text_of,
    text_part,
)
from emotion_llama.rules.reasoning import holds_label
from emotion_llama.rules.wording import wording

# How a field that people may fix is written: one word of the label space, a text, a list of phrases, sorted clues.
FixKind = Literal["label", "text", "phrases", "clues"]
FIXABLE: Mapping[str, FixKind] = {
    "label": "label",
    "subtitle": "text",
    "visual_expression": "phrases",
    "visual_objective": "text",
    "audio_tone": "text",
    "coarse_caption": "text",
    "clues": "clues",
    "fine_caption": "text",
}
Fixes = Mapping[FieldKey, tuple[Json, Provenance]]  # new values, with the reviewer as their maker
REVIEWER = "reviewer"  # the annotator's name in the provenance of a fixed field; its model is who fixed it
MAX_LETTERS, MAX_PHRASES = 8000, 60  # of one text, and of one list; own choice, far above what a build writes
TAKEN_AWAY = "a reviewer took it away"
OTHER_LABEL = "written for another label, which a reviewer changed"
OTHER_TEXT = "of the description before a reviewer changed it"


def checked_fixes(fixes: Mapping[str, Json], sample: Sample, space: LabelSpace) -> dict[str, Json]:
    """Fixes as they are stored: tidied, and without those that change nothing.

    Raises:
        InputError: a column is no field of the sample that people may fix, or a value is not of its kind.
    """
    kept: dict[str, Json] = {}
    for column, value in fixes.items():
        key = key_of_fix(column, sample)
        tidy = _tidy(column, key[0], value, space)
        if tidy != _comparable(key[0], sample.value(*key)):
            kept[column] = tidy
    return kept


def headline(name: str, value: Json) -> Json:
    """What people read and fix of a field's value: the word of a label, the text of a subtitle, others whole."""
    if name in HEADLINES and isinstance(value, Mapping):
        return value.get(HEADLINES[name])
    return value


def key_of_fix(column: str, sample: Sample) -> FieldKey:
    """The field of a column that people may fix.

    Raises:
        InputError: the sample has no such field, or nobody may fix it.
    """
    found = key_of(column)
    if found is not None and found[0] in FIXABLE and found in sample.fields:
        return found
    columns = ", ".join(column_of(key) for key in sorted(sample.fields) if key[0] in FIXABLE)
    raise InputError(f"{sample.clip.clip_id} has no field {column!r} that a reviewer can fix (it has: {columns})")


def with_fixes(sample: Sample, fixes: Fixes) -> Sample:
    """The sample with fixed fields in place of its own, and without what they made untrue.

    A changed label takes the measurements of the old one along, and, unless they were fixed too, the clues that were
    sorted for it and fine descriptions that do not come to the new one. A new fine description has not been checked;
    one that failed the check no longer keeps the sample out of the fine set.
    """
    if not fixes:
        return sample
    fields = dict(sample.fields)
    for key, (value, provenance) in fixes.items():
        why_missing = TAKEN_AWAY if value is None else None
        fields[key] = replace(
            fields[key], value=_whole(fields[key], value), why_missing=why_missing, provenance=provenance
        )
    if ("label", "") in fixes:
        _follow_label(fields, fixes)
    rewritten = {language for name, language in fixes if name == "fine_caption"}
    for key, found in sample.fields.items():
        changed = fields.get(("fine_caption", key[1]))
        if key[0] == "consistency" and changed != sample.fields.get(("fine_caption", key[1])):
            fields[key] = replace(found, value=None, why_missing=OTHER_TEXT)
    return replace(sample, fields=fields, runs=_without_failed_check(sample, rewritten))


def _follow_label(fields: dict[FieldKey, Field], fixes: Fixes) -> None:
    label = str(part(fields["label", ""].value, "label"))
    for key, found in list(fields.items()):
        name, language = key
        if key in fixes or found.value is None:
            continue
        if name == "clues" or (
            name == "fine_caption"
            and not holds_label(text_of(found.value) or "", label, wording("zh" if language == "zh" else "en"))
        ):
            fields[key] = replace(found, value=None, why_missing=OTHER_LABEL)
        if name == "conflicts" and isinstance(found.value, list):
            others: list[Json] = [c for c in found.value if "label" not in (part(c, "first"), part(c, "second"))]
            fields[key] = replace(found, value=others)


def _without_failed_check(sample: Sample, rewritten: set[str]) -> Mapping[str, StageRun]:
    """The runs, the check of fine descriptions passed where every one that failed it was rewritten."""
    run = sample.runs.get("consistency")
    failed = {
        language
        for (name, language), found in sample.fields.items()
        if name == "consistency" and part(found.value, "problems")
    }
    if run is None or run.status != "dropped" or run.scope != "fine" or not failed or not failed <= rewritten:
        return sample.runs
    return {**sample.runs, "consistency": replace(run, status="done", reason=None, scope=None)}


def _whole(before: Field, value: Json) -> Json:
    """The field's value around what was fixed of it."""
    if before.name == "label":
        is_of_rules = part(before.value, "source") == "rules"
        by_rules = text_part(before.value, "label" if is_of_rules else "by_rules")
        return pseudo_label(str(value), "given", by_rules=by_rules)
    if before.name == "subtitle" and value is not None:
        return {"text": value, "source": REVIEWER, "language": part(before.value, "language")}
    if before.name == "clues" and isinstance(value, Mapping):
        return {**value, "label": part(before.value, "label")}
    return value


def _comparable(name: str, value: Json) -> Json:
    """A field's value in the form in which a fix of it is handed in."""
    if name == "clues" and isinstance(value, Mapping):
        return {side: list(list_of(value.get(side))) for side in ("supporting", "misleading")}
    return headline(name, value)


def _tidy(column: str, name: str, value: Json, space: LabelSpace) -> Json:
    kind = FIXABLE[name]
    if kind == "label":
        if not isinstance(value, str):
            raise InputError(f"a label is one of {', '.join(space.labels)}; got {value!r}")
        return space.labels[space.index(value)]
    if value is None or kind == "text":
        return _text(column, value)
    if kind == "phrases":
        return _phrases(column, value) or None
    if not isinstance(value, Mapping) or set(value) != {"supporting", "misleading"}:
        raise InputError(f"{column} is an object with 'supporting' and 'misleading', got {value!r}")
    clues: dict[str, Json] = {side: _phrases(column, value[side]) for side in ("supporting", "misleading")}
    return clues if any(clues.values()) else None


def _text(column: str, value: Json) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_LETTERS:
        raise InputError(f"{column} is a text of at most {MAX_LETTERS} characters, got {_short(value)}")
    return value.strip() or None


def _phrases(column: str, value: Json) -> list[Json]:
    if not isinstance(value, list) or len(value) > MAX_PHRASES:
        raise InputError(f"{column} is a list of at most {MAX_PHRASES} texts, got {_short(value)}")
    return [phrase for phrase in (_text(column, item) for item in value) if phrase is not None]


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
