"""What imported files say of clips, put together over several files; what could not be taken is counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from emotion_llama.labels import LabelSpace
from emotion_llama.merr.records import NO_LANGUAGE, ClipRow, Field, FieldKey, Json, Provenance
from emotion_llama.merr.values import part, text_of

MAX_EXAMPLES = 3  # of one kind of problem


class Problems:
    """Counts problems; equal kinds are one line with a number and the first examples."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str = "", count: int = 1) -> None:
        """Count `count` problems of a kind; `example` says where (file and line, or clip) and what."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if example and len(examples) < MAX_EXAMPLES:
            examples.append(example)

    def add_all(self, other: Problems) -> None:
        """Count what `other` has counted."""
        for kind, count in other._counts.items():
            self._counts[kind] += count
            self._examples[kind] = (self._examples.get(kind, []) + other._examples[kind])[:MAX_EXAMPLES]

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
            for line in (f"{count:>8,}  {kind}", *(f"          {example}" for example in self._examples[kind]))
        ]

    def document(self) -> list[Json]:
        """For JSON."""
        return [{"problem": k, "count": n, "examples": list(self._examples[k])} for k, n in self.counts.items()]


@dataclass
class ImportedClip:
    """What files say of one clip.

    Attributes:
        fields: with the file as their provenance; those of our own CSV keep the one that they were exported with.
        frame_count: pictures that a file states for this name.
        row: what our own CSV knows of the clip itself.
        not_fine: why it is not in the fine set, though it has a fine description.
    """

    fields: dict[FieldKey, Field] = field(default_factory=dict)
    frame_count: int | None = None
    row: ClipRow | None = None
    not_fine: str | None = None


class FileContent:
    """One file as it is read.

    Attributes:
        origin: its name, as provenance records it.
        sha256: of its bytes; of a folder's names.
        clips: what it says, by clip.
        rows: rows or entries read, good or not.
        problems: what could not be taken, by kind.
    """

    def __init__(self, origin: str, sha256: str, made_at: str = "") -> None:
        self.origin, self.sha256 = origin, sha256
        self.clips: dict[str, ImportedClip] = {}
        self.rows = 0
        self.problems = Problems()
        self._imported = Provenance("imported", f"{origin} (sha256 {sha256[:12]})", made_at=made_at)

    def clip(self, clip_id: str) -> ImportedClip:
        """What the file says of a clip, to be added to."""
        return self.clips.setdefault(clip_id, ImportedClip())

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
        self.clip(clip_id).fields.setdefault((name, language), found)

    def say_label(self, clip_id: str, word: str, where: str, space: LabelSpace) -> None:
        """The clip has the label that a word means; counted as a problem when it means none of the space."""
        label = self.known_label(word, where, space)
        if label is not None:
            self.say(clip_id, "label", given_label(label))

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


def given_label(label: str) -> Json:
    """The value of the field `label` for a label that came from outside (`fields.PseudoLabel`)."""
    return {
        "label": label, "source": "given", "strength": None, "score": None, "confidence": None, "units": {},
        "candidates": {}, "table": "", "by_rules": None,
    }  # fmt: skip


def given_words(words: str, language: str | None) -> Json:
    """The value of the field `subtitle` for words that came from outside."""
    return {"text": words, "source": "imported", "language": language}


def merge(contents: Iterable[FileContent], problems: Problems) -> dict[str, ImportedClip]:
    """What several files say, by clip, sorted by id; the first file that says something of a field counts.

    Disagreements are counted.
    """
    merged: dict[str, ImportedClip] = {}
    for content in contents:
        problems.add_all(content.problems)
        for clip_id, new in content.clips.items():
            clip = merged.setdefault(clip_id, ImportedClip())
            clip.row, clip.not_fine = new.row or clip.row, new.not_fine or clip.not_fine
            for found in new.fields.values():
                _add(clip, found, clip_id, content.origin, problems)
            if clip.frame_count is None:
                clip.frame_count = new.frame_count
            elif new.frame_count not in (None, clip.frame_count):
                where = f"{clip_id}: {clip.frame_count}, {content.origin}: {new.frame_count}"
                problems.add("two files state different frame counts (the first counts)", where)
    return dict(sorted(merged.items()))


def _add(clip: ImportedClip, new: Field, clip_id: str, origin: str, problems: Problems) -> None:
    key = new.name, new.language
    old = clip.fields.get(key)
    if old is None or old.value is None:
        clip.fields[key] = new
    elif new.name == "published" and isinstance(old.value, dict) and isinstance(new.value, dict):
        clip.fields[key] = Field(new.name, {**new.value, **old.value}, old.provenance)
    elif new.value is not None and _said(new.name, old.value) != _said(new.name, new.value):
        what = f"{new.name} ({new.language})" if new.language else new.name
        where = f"{clip_id}: {_short(old.value)}; {origin}: {_short(new.value)}"
        problems.add(f"two files disagree about {what} (the first counts)", where)


def _said(name: str, value: Json) -> Json:
    """What two files may not disagree about: of a label the word, of a subtitle the text."""
    if name == "subtitle":
        return " ".join((text_of(value) or "").split())
    return part(value, "label") if name == "label" else value


def _short(value: Json) -> str:
    return repr(part(value, "label") or text_of(value) or value)[:40]
