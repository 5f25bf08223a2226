"""Lists of labels without header: `*_NCEV.txt`, `*_NCE.txt`, `MERR_*.txt`, and pairs of name and label.

Source: Emotion-LLaMA's lists (name, frame count, emotion, valence; blanks between), MER-Factory's (without valence) and
lists of two columns. From three columns on the label is the third, as the published training code reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from emotion_llama.labels import LabelSpace
from emotion_llama.merr.imports.claims import Claim, FileContent, given_label, is_name

NO_VALENCE = -10.0  # the published placeholder
_NO_COUNT = -1  # ours: nobody has counted
_OWN_SPLIT = re.compile(r"MERR_(?:coarse|fine)_grained_(train|validation|test)")


class ListRow(NamedTuple):
    """One row: None where a column is missing or holds a placeholder."""

    name: str
    frame_count: int | None
    label: str
    valence: float | None


def split_of_name(stem: str) -> str | None:
    """The split in the name of a list that our export wrote (`MERR_fine_grained_train`); None of any other."""
    found = _OWN_SPLIT.fullmatch(stem)
    return found[1] if found else None


def read_list(lines: Iterable[str], content: FileContent, space: LabelSpace, split: str | None = None) -> None:
    """Add the rows of a list to `content`: labels, frame counts and valences; what is wrong is counted by kind.

    A name that stands twice with the same label counts once; with two labels, neither is taken.

    Args:
        lines: of the file.
        content: filled.
        space: labels that may stand there.
        split: of all its clips, where the file's name says it.
    """
    rows: dict[str, ListRow] = {}
    refused: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        content.rows += 1
        where = f"{content.origin}, line {number}"
        row = _row(line, where, content, space)
        if row is None:
            continue
        earlier = rows.setdefault(row.name, row)
        if earlier is not row:
            if earlier.label == row.label:
                content.problems.add("a name stands twice (with the same label)", f"{where}: {row.name}")
            else:
                content.problems.add(
                    "a name stands twice with different labels: neither is taken", f"{where}: {row.name}"
                )
                refused.add(row.name)
    for row in rows.values():
        if row.name not in refused:
            _take(row, content)
            if split is not None:
                content.claims.append(Claim(row.name, ("split", ""), split))


def _row(line: str, where: str, content: FileContent, space: LabelSpace) -> ListRow | None:
    cells = line.split()
    if len(cells) < 2 or not is_name(cells[0]):
        content.problems.add(
            "malformed row (expected: name [frame_count] label [valence])", f"{where}: {line.strip()[:60]}"
        )
        return None
    count, valence = None, None
    if len(cells) > 2:
        count = _whole_number(cells[1])
        if count is None:
            content.problems.add("malformed row: the frame count is no whole number", f"{where}: {cells[1][:40]!r}")
            return None
    if len(cells) > 3:
        valence = _number(cells[3])
        if valence is None:
            content.problems.add("the valence is no number: left out", f"{where}: {cells[3][:40]!r}")
    label = known_label(cells[1] if len(cells) == 2 else cells[2], where, content, space)
    if label is None:
        return None
    return ListRow(cells[0], None if count == _NO_COUNT else count, label, None if valence == NO_VALENCE else valence)


def known_label(word: str, where: str, content: FileContent, space: LabelSpace) -> str | None:
    """The label that a word means; None and counted when it means none of the space."""
    label = space.find(word)
    if label is None:
        content.problems.add(f"unknown label {word[:40]!r} (labels of {space.name}: {', '.join(space.labels)})", where)
    elif label != word:
        content.problems.add(f"label written {word[:40]!r}: read as {label!r}", where)
    return label


def _take(row: ListRow, content: FileContent) -> None:
    content.claims.append(Claim(row.name, ("label", ""), given_label(row.label)))
    if row.frame_count is not None:
        content.frame_counts[row.name] = row.frame_count
    if row.valence is not None:
        content.claims.append(Claim(row.name, ("published", ""), {"valence": row.valence}))


def _whole_number(text: str) -> int | None:
    try:
        count = int(text)
    except ValueError:
        return None
    return count if count >= _NO_COUNT else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None
