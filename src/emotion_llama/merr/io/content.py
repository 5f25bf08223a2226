"""What imported files say of clips, put together over several files; what could not be taken is counted by kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from emotion_llama.errors import InputError
from emotion_llama.labels import LabelSpace
from emotion_llama.media.transcript_table import NAME_COLUMNS, TEXT_COLUMNS
from emotion_llama.merr.quality.texts import error_like, ideograph_share
from emotion_llama.merr.records import (
    NO_LANGUAGE,
    ClipRow,
    Field,
    FieldKey,
    Json,
    Provenance,
    part,
    pseudo_label,
    shown_key,
    text_of,
)
from emotion_llama.tables import csv_rows

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


# --- tables of published data sets ------------------------------------------------------------------------------------


LABEL_COLUMNS = ("label", "emotion", "discrete", "emotions")
_EMER_2 = ("chinese", "english")
_REASONS = "reasons"
_MOSTLY = 0.5  # share of ideographs from which a text is Chinese


def is_table(header: Sequence[str]) -> bool:
    """Whether a table with this header is one that `read_table` takes."""
    columns = {column.strip().lower() for column in header}
    known = {*TEXT_COLUMNS, *LABEL_COLUMNS, _REASONS}
    return bool(known & columns) and not columns.isdisjoint(NAME_COLUMNS)


def read_table(text: str, content: FileContent, space: LabelSpace, delimiter: str = ",") -> None:
    """Add what a table says of clips to `content`: sentences, labels, descriptions, by the columns it has.

    MER2023's `name,sentence` and MER2024's `name,sentence_en`; MER2023's labels `name,discrete,valence`; EMER's
    `names,emotions,subtitles,reasons` and `name,chinese,english`, whose texts are descriptions, not sentences.

    Raises:
        InputError: it has no column of names, or none of what can be taken.
    """
    rows = csv_rows(text, content.origin, delimiter)
    _, header = next(rows, (0, []))
    columns = [column.strip().lower() for column in header]
    name_at = next((columns.index(name) for name in NAME_COLUMNS if name in columns), None)
    texts = _text_columns(columns)
    label_at = next((columns.index(name) for name in LABEL_COLUMNS if name in columns), None)
    if name_at is None or not (texts or label_at is not None):
        raise InputError(
            f"{content.origin}: the table has the columns {', '.join(columns) or '(none)'}; expected `name` and one of "
            f"{', '.join((*TEXT_COLUMNS, *LABEL_COLUMNS))}"
        )
    seen: dict[str, list[str]] = {}
    for line, row in rows:
        content.rows += 1
        where = f"{content.origin}, line {line}"
        name = row[name_at].strip() if len(row) > name_at else ""
        if len(row) != len(columns) or not is_name(name):
            kind = f"malformed row (expected {len(columns)} cells and a name)"
            content.problems.add(kind, f"{where}: {len(row)} cells")
        elif name in seen:
            same = "again" if seen[name] == row else "with another text: the first counts"
            content.problems.add(f"a name stands twice ({same})", f"{where}: {name}")
        else:
            seen[name] = row
            for at, key in texts:
                _take_text(name, key, row[at], columns[at], where, content)
            if label_at is not None and row[label_at].strip():
                content.say_label(name, row[label_at].strip(), where, space)


def _text_columns(columns: Sequence[str]) -> list[tuple[int, FieldKey]]:
    if all(name in columns for name in _EMER_2):
        chinese, english = (columns.index(name) for name in _EMER_2)
        return [(english, ("fine_caption", "en")), (chinese, ("fine_caption", "zh"))]
    words = next((name for name in TEXT_COLUMNS if name in columns), None)
    found: list[tuple[int, FieldKey]] = [] if words is None else [(columns.index(words), ("subtitle", ""))]
    return [*found, (columns.index(_REASONS), ("fine_caption", ""))] if _REASONS in columns else found


def _take_text(name: str, key: FieldKey, cell: str, column: str, where: str, content: FileContent) -> None:
    text = " ".join(cell.split())
    if key[0] == "subtitle" and text:
        content.say(name, "subtitle", given_words(text, TEXT_COLUMNS[column] or _language_of(text)))
    elif key[0] == "subtitle":
        content.say(name, "subtitle", None, why_missing=f"no words in {content.origin}")
    elif not text:
        content.problems.add(f"{column} is empty", f"{where}: {name}")
    elif error_like(text):
        content.problems.add(f"{column} is the text of an error, not a description", f"{where}: {text[:60]!r}")
    else:
        content.say(name, key[0], text, key[1] or _language_of(text))


def _language_of(text: str) -> str:
    """Chinese or English, by the letters; the tables of these data sets hold no others."""
    return "zh" if not text.isascii() and (ideograph_share(text) or 0) > _MOSTLY else "en"
