"""Names of a sample's fields as columns, what people read of their values, and a hash that tells values apart. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from emotion_llama.merr.records import BY_LANGUAGE, FIELDS, FieldKey, Json

# Fields whose value is an object with one word or text that people read and edit: it gets the column of the field's
# name, the rest stands beside it as JSON.
HEADLINES: Mapping[str, str] = {"label": "label", "subtitle": "text"}
_LANGUAGES = ("en", "zh")
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
    return (name, language) if name in BY_LANGUAGE and language in _LANGUAGES else None


def value_hash(value: Json) -> str:
    """Tells a value from an edited one."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LETTERS]
