"""MERR_coarse_grained.json and MERR_fine_grained.json: objects by clip name, read into fields.

Source: the keys that the published training code and other public readers of the files use. What has no field of its
own here (AU_list, peak_index, peak_AU_list) is kept as the file has it, in the field `published`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.error_texts import error_like
from emotion_llama.merr.imports.claims import Claim, FileContent, given_label, given_words, is_name
from emotion_llama.merr.imports.label_lists import known_label
from emotion_llama.merr.json_text import parse_json
from emotion_llama.merr.records import FieldKey, Json

FINE_CAPTION = "smp_reason_caption"
# Text key -> the field it becomes.
_TEXTS: dict[str, FieldKey] = {
    "caption": ("coarse_caption", "en"),
    FINE_CAPTION: ("fine_caption", "en"),
    "audio_prior_list": ("audio_tone", "en"),
}
_KEPT = ("AU_list", "peak_index", "peak_AU_list")
_KNOWN = frozenset((*_TEXTS, *_KEPT, "visual_prior_list", "text", "pseu_emotion"))


def read_published(text: str, content: FileContent, space: LabelSpace, language: str = "en") -> None:
    """Add what a MERR JSON file says to `content`.

    Args:
        text: of the file.
        content: filled.
        space: labels that `pseu_emotion` may have.
        language: of the descriptions; the published ones are English.

    Raises:
        InputError: it is no JSON object of objects.
    """
    doubles: Counter[str] = Counter()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:  # whatever JSON holds
        found = dict(items)
        if len(found) < len(items):
            doubles.update({k: n - 1 for k, n in Counter(k for k, _ in items).items() if n > 1})
        return found

    try:
        entries = parse_json(text, pairs)
    except ValueError as error:
        raise InputError(f"{content.origin} is no JSON ({error}); expected an object by clip name") from None
    if not isinstance(entries, dict):
        raise InputError(f"{content.origin}: expected a JSON object by clip name, got {type(entries).__name__}")
    for name, count in doubles.items():
        content.problems.add("a name stands twice (the last one counts)", name, count)
    for name, entry in entries.items():
        content.rows += 1
        if not is_name(name) or not isinstance(entry, dict):
            content.problems.add("malformed entry (expected a name and an object)", f"{content.origin}: {name!r:.60}")
            continue
        _take(name, entry, content, space, language)


def _take(name: str, entry: dict[str, Any], content: FileContent, space: LabelSpace, language: str) -> None:
    where = f"{content.origin}: {name}"
    for key, (field, _) in _TEXTS.items():
        value = _text(entry, key, where, content)
        if value is not None:
            content.claims.append(Claim(name, (field, language), value))
    phrases = entry.get("visual_prior_list")
    if isinstance(phrases, list) and phrases and all(isinstance(p, str) for p in phrases):
        content.claims.append(Claim(name, ("visual_expression", language), list(phrases)))
    elif phrases not in (None, []):
        content.problems.add("visual_prior_list is no list of texts", where)
    words = entry.get("text")
    if isinstance(words, str) and words.strip():
        content.claims.append(Claim(name, ("subtitle", ""), given_words(words.strip(), language)))
    label = entry.get("pseu_emotion")
    if isinstance(label, str) and label.strip():
        found = known_label(label.strip(), where, content, space)
        if found is not None:
            content.claims.append(Claim(name, ("label", ""), given_label(found)))
    kept: dict[str, Json] = {key: entry[key] for key in _KEPT if entry.get(key) not in (None, "", [])}
    if kept:
        content.claims.append(Claim(name, ("published", ""), kept))
    for key in sorted(entry.keys() - _KNOWN):
        content.problems.add(f"key {key!r} is not one of MERR's: left out", where)


def _text(entry: dict[str, Any], key: str, where: str, content: FileContent) -> str | None:
    value = entry.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        content.problems.add(f"{key} is no text", where)
        return None
    if not value.strip():
        content.problems.add(f"{key} is blank", where)
        return None
    if error_like(value):
        content.problems.add(f"{key} is the text of an error, not a description", f"{where}: {value[:60]!r}")
        return None
    return value
