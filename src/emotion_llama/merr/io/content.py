"""What imported files say of clips, put together over several files; what could not be taken is counted by kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emotion_llama.labels import LabelSpace
from emotion_llama.merr.records import NO_LANGUAGE, ClipRow, Field, FieldKey, Json, Provenance, pseudo_label
from emotion_llama.merr.values import part, shown_key, text_of
from emotion_llama.tables import parse_json

MAX_EXAMPLES = 3  # of one kind of problem


class Problems:
    """Counts problems; equal kinds are one line with a number and the first examples."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, example: str = "", count: int = 1) -> None:
        """Count `count` problems of a kind; `example` says where (file and line, or clip) and what."""
        self._counts[kind] += count
        if example and len(self._examples[kind]) < MAX_EXAMPLES:
            self._examples[kind].append(example)

    def add_all(self, other: Problems) -> None:
        """Count what `other` has counted."""
        for kind, count in other._counts.items():
            self._counts[kind] += count
            self._examples[kind] = (self._examples[kind] + other._examples[kind])[:MAX_EXAMPLES]

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind -> number, the largest first, equal ones by name."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def examples(self, kind: str) -> tuple[str, ...]:
        """The first examples of a kind."""
        return tuple(self._examples.get(kind, ()))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def lines(self) -> list[str]:
        """For people: a line a kind, its examples below it."""
        return [
            line
            for kind, count in self.counts.items()
            for line in (f"{count:>8,}  {kind}", *(f"          {example}" for example in self.examples(kind)))
        ]

    def document(self) -> list[Json]:
        """For JSON."""
        return [{"problem": k, "count": n, "examples": list(self.examples(k))} for k, n in self.counts.items()]


class FileContent:
    """One file as it is read, or what several say together (`merge`).

    Attributes:
        origin: its name, as provenance records it.
        sha256: of its bytes; of a folder's names.
        fields: clip -> what it says of it, with the file as provenance; those of our own CSV keep the provenance that
            they were exported with. A clip of which nothing else is known has no fields.
        frame_counts: clip -> frames that it states.
        clip_rows: clip -> what our own CSV knows of the clip itself.
        not_fine: clip -> why it is not in the fine set, though it has a fine description.
        rows: rows or entries read, good or not.
        problems: what could not be taken, by kind.
    """

    def __init__(self, origin: str, sha256: str, made_at: str = "") -> None:
        self.origin, self.sha256 = origin, sha256
        self.fields: defaultdict[str, dict[FieldKey, Field]] = defaultdict(dict)
        self.frame_counts: dict[str, int] = {}
        self.clip_rows: dict[str, ClipRow] = {}
        self.not_fine: dict[str, str] = {}
        self.rows = 0
        self.problems = Problems()
        self._imported = Provenance("imported", f"{origin} (sha256 {sha256[:12]})", made_at=made_at)

    def say(
        self,
        clip_id: str,
        name: str,
        value: Json,
        language: str = NO_LANGUAGE,
        *,
        why_missing: str | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        """A field of a clip has this value, or none for a reason; the first that the file says of it counts."""
        found = Field(name, value, provenance or self._imported, language, why_missing)
        self.fields[clip_id].setdefault((name, language), found)

    def say_label(self, clip_id: str, word: str, where: str, space: LabelSpace) -> None:
        """The clip has the label that a word means; counted as a problem when it means none of the space."""
        label = self.known_label(word, where, space)
        if label is not None:
            self.say(clip_id, "label", pseudo_label(label, "given"))

    def known_label(self, word: str, where: str, space: LabelSpace) -> str | None:
        """The label that a word means; None, and counted, when it means none of the space."""
        label = space.find(word)
        if label is None:
            labels = ", ".join(space.labels)
            self.problems.add(f"unknown label {word[:40]!r} (labels of {space.name}: {labels})", where)
        elif label != word:
            self.problems.add(f"label written {word[:40]!r}: read as {label!r}", where)
        return label


def is_name(text: str) -> bool:
    """Whether a text can be a clip's id."""
    return bool(text) and not any(c.isspace() or c in "/\\" for c in text)


def given_words(words: str, language: str | None) -> Json:
    """The value of the field `subtitle` for words that came from outside."""
    return {"text": words, "source": "imported", "language": language}


def merge(contents: Iterable[FileContent]) -> FileContent:
    """What several files say, clips sorted by id; the first file that says something counts.

    Disagreements are counted.
    """
    merged = FileContent("", "")
    for content in contents:
        merged.rows += content.rows
        merged.problems.add_all(content.problems)
        merged.clip_rows |= content.clip_rows
        merged.not_fine |= content.not_fine
        for clip_id, fields in content.fields.items():
            for key, found in fields.items():
                _add(merged, clip_id, key, found, content.origin)
            merged.fields[clip_id]  # also of a clip without fields
        for clip_id, count in content.frame_counts.items():
            before = merged.frame_counts.setdefault(clip_id, count)
            if before != count:
                where = f"{clip_id}: {before}, {content.origin}: {count}"
                merged.problems.add("two files state different frame counts (the first counts)", where)
    merged.fields = defaultdict(dict, sorted(merged.fields.items()))
    return merged


def _add(merged: FileContent, clip_id: str, key: FieldKey, new: Field, origin: str) -> None:
    old = merged.fields[clip_id].get(key)
    if old is None or old.value is None:
        merged.fields[clip_id][key] = new
    elif new.name == "published" and isinstance(old.value, dict) and isinstance(new.value, dict):
        merged.fields[clip_id][key] = Field(new.name, {**new.value, **old.value}, old.provenance)
    elif new.value is not None and _said(new.name, old.value) != _said(new.name, new.value):
        where = f"{clip_id}: {_short(old.value)}; {origin}: {_short(new.value)}"
        merged.problems.add(f"two files disagree about {shown_key(key)} (the first counts)", where)


def _said(name: str, value: Json) -> Json:
    """What two files may not disagree about: of a label the word, of a subtitle the text."""
    if name == "subtitle":
        return " ".join((text_of(value) or "").split())
    return part(value, "label") if name == "label" else value


def _short(value: Json) -> str:
    return repr(part(value, "label") or text_of(value) or value)[:40]


def json_of(path: Path, problems: Problems) -> Any:  # whatever the file holds
    """The JSON value of a file that others may have changed; None of what is no JSON, which is counted."""
    return parsed(path.read_text(encoding="utf-8", errors="replace"), path, "a file is no JSON", problems)


def parsed(text: str, path: Path, kind: str, problems: Problems) -> Any:  # whatever JSON holds
    """The value of a JSON text of a file; None of what is no JSON, counted as `kind`."""
    try:
        return parse_json(text)
    except ValueError as error:
        problems.add(kind, f"{path.name}: {error}")
        return None
