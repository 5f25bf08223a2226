"""The published MERR files, written and read in the exact fields and types that the published training code reads.

Source: ZebangCheng/Emotion-LLaMA, its data set class and MERR_{coarse,fine}_grained.{json,txt}: lists of
`name frame_count label valence` without header; JSON objects by name; a table `name,sentence` of all clips.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.merr.io.content import FileContent, Problems, given_words, is_name
from emotion_llama.merr.io.rows import Row, Rows, Written, write_utf8
from emotion_llama.merr.quality.texts import error_like
from emotion_llama.merr.records import Json, list_of, part, pseudo_label, text_of, text_part, units_of
from emotion_llama.tables import csv_rows, parse_json

NO_VALENCE = -10  # the published placeholder
NO_COUNT = -1  # own choice: the media has no video stream, or nobody has counted it; the column is never read
TRANSCRIPTS = "transcription_en_all.csv"
CAPTIONS = {"coarse": "caption", "fine": "smp_reason_caption"}  # set -> the key of its description
# pandas.read_csv turns these cells into NaN, which the published code then puts into the prompt as "nan".
READ_AS_NAN = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
_LIST = re.compile(r"MERR_(coarse|fine)_grained(?:_(\w+))?")
# Key of MERR's JSON whose value is a text -> the field it becomes.
_TEXTS = {"caption": "coarse_caption", "smp_reason_caption": "fine_caption", "audio_prior_list": "audio_tone"}
_KEPT = ("AU_list", "peak_index", "peak_AU_list")  # no field of their own here: kept in the field `published`
_KNOWN = frozenset((*_TEXTS, *_KEPT, "visual_prior_list", "text", "pseu_emotion"))


def write_merr(half: Path, rows: Rows) -> Written:
    """Write the published files into `half`.

    Lists for each split stand beside the list of all (`MERR_coarse_grained_train.txt`), where the build has splits.
    Clips whose label is none of MERR's nine are left out and counted: the published code has no index for them.
    """
    scopes = [name for name in CAPTIONS if rows.choice.scope in (name, "both")]
    lines: dict[str, list[tuple[str, str]]] = {name: [] for name in scopes}  # set -> split and line of each clip
    objects: dict[str, list[str]] = {name: [] for name in scopes}
    sentences: list[tuple[str, str]] = []
    facts: Counter[str] = Counter()
    for row in rows:
        label = row.label
        if label not in MERR9.labels:
            rows.left_out[f"label {label!r} is none of MERR's nine" if label else "no label"] += 1
            continue
        facts.update(_facts(row))
        sentences.append((row.clip_id, sentence_cell(row.subtitle)))
        for name in scopes:
            if getattr(row, name):
                lines[name].append((row.split, _list_line(row, label)))
                # ASCII: the published code opens the file in whatever encoding the machine has.
                record = json.dumps(_entry(row, label, rows.language, fine=name == "fine"), indent=1)
                objects[name].append(f"{json.dumps(row.clip_id)}: {record}")
    files: dict[str, int | None] = {}
    for name in scopes:
        stem = f"MERR_{name}_grained"
        lists = {f"{stem}.txt": [line for _, line in lines[name]]}
        for split in sorted({split for split, _ in lines[name]}) if rows.has_splits else ():
            lists[f"{stem}_{split}.txt"] = [line for own, line in lines[name] if own == split]
        joined = ",\n".join(objects[name])
        write_utf8(half / f"{stem}.json", f"{{\n{joined}\n}}\n" if joined else "{}\n")
        for file, listed in lists.items():
            write_utf8(half / file, "".join(f"{line}\n" for line in listed))
        files |= {f"{stem}.json": len(objects[name]), **{file: len(listed) for file, listed in lists.items()}}
    with (half / TRANSCRIPTS).open("w", encoding="utf-8", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows([("name", "sentence"), *sentences])
    files[TRANSCRIPTS] = len(sentences)
    return files, {name: len(lines[name]) for name in scopes}, list(_notes(facts, rows.has_splits))


def _entry(row: Row, label: str, language: str, *, fine: bool) -> dict[str, Json]:
    sample = row.sample
    peak, published = sample.value("peak"), sample.value("published")
    at_peak, of_label = units_of(peak), units_of(sample.value("label"))
    strongest_first = sorted(at_peak, key=lambda unit: (-at_peak[unit], unit))
    index = part(peak, "frame_index")
    return {
        "AU_list": list(sorted(of_label) or sorted(at_peak) or list_of(part(published, "AU_list"))),
        "visual_prior_list": list_of(sample.value("visual_expression", language)),
        "audio_prior_list": text_of(sample.value("audio_tone", language)) or "",
        "peak_index": str(index) if isinstance(index, int) else str(part(published, "peak_index") or ""),
        "peak_AU_list": list(strongest_first or list_of(part(published, "peak_AU_list"))),
        "text": row.subtitle or "",
        "pseu_emotion": label,
        CAPTIONS["coarse"]: text_of(sample.value("coarse_caption", language)),
        **({CAPTIONS["fine"]: text_of(sample.value("fine_caption", language))} if fine else {}),
    }


def sentence_cell(words: str | None) -> str:
    """The words as a cell that pandas reads as words: blanks collapsed; a blank where nothing is said.

    An empty cell, or one such as "None", would come back as NaN and stand in the prompt as "nan"; a blank at its end
    keeps it a text.
    """
    sentence = " ".join((words or "").split())
    return f"{sentence} " if sentence in READ_AS_NAN else sentence


def _list_line(row: Row, label: str) -> str:
    clip = row.sample.clip
    count = clip.frame_count if clip.frame_count is not None else clip.stated_frame_count
    valence = part(row.sample.value("published"), "valence")
    return f"{clip.clip_id} {NO_COUNT if count is None else count} {label} {valence or NO_VALENCE}"


def _facts(row: Row) -> Iterator[str]:
    yield "clips"
    language = text_part(row.sample.value("subtitle"), "language")
    if row.subtitle is None:
        yield "silent"
    elif language is not None and language != "en":
        yield f"sentences in {language!r}"
    if part(row.sample.value("peak"), "frame_index") is None:
        yield "no peak"
    if _number(row.clip_id, finite=False) is not None:
        yield "numbers"


def _notes(facts: Mapping[str, int], has_splits: bool) -> Iterator[str]:
    if facts["silent"]:
        yield f"clips without words: {facts['silent']:,}; their sentence in {TRANSCRIPTS} is a blank"
    for fact in sorted(fact for fact in facts if fact.startswith("sentences in ")):
        yield f"{fact}, not in English: {facts[fact]:,}"
    if facts["no peak"]:
        yield f"clips without a measured peak frame: {facts['no peak']:,}; their peak_index is as imported, or empty"
    if facts["clips"] and facts["numbers"] == facts["clips"]:
        yield (
            "all names are numbers: the published code reads them as numbers and does not find them; give the clips "
            "other names (a manifest) before training with it"
        )
    if has_splits:
        yield "train with the lists that end in _train.txt; those without a split's name hold all splits"


# --- reading


def read_list(lines: Iterable[str], content: FileContent, space: LabelSpace, split: str | None = None) -> None:
    """Add the rows of a list to `content`: labels, frame counts and valences; what is wrong is counted by kind.

    Lists without header: `*_NCEV.txt` and `MERR_*.txt` (name, frame count, emotion, valence; blanks between),
    `*_NCE.txt` (without valence) and pairs of name and label. From three columns on the label is the third, as the
    published training code reads it. A name that stands twice with the same label counts once; with two labels,
    neither is taken. `split` is that of all its clips, where the file's name says it (`split_of_name`).
    """
    rows: dict[str, tuple[int | None, str, float | None]] = {}  # name -> frame count, label, valence
    refused: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        content.rows += 1
        where = f"{content.origin}, line {number}"
        row = _list_row(line, where, content, space)
        if row is None:
            continue
        name = line.split()[0]
        earlier = rows.setdefault(name, row)
        if earlier is not row and earlier[1] == row[1]:
            content.problems.add("a name stands twice (with the same label)", f"{where}: {name}")
        elif earlier is not row:
            content.problems.add("a name stands twice with different labels: neither is taken", f"{where}: {name}")
            refused.add(name)
    for name, (count, label, valence) in rows.items():
        if name not in refused:
            content.say(name, "label", pseudo_label(label, "given"))
            if count is not None:
                content.frame_counts[name] = count
            if valence is not None:
                content.say(name, "published", {"valence": valence})
            if split is not None:
                content.say(name, "split", split)


def split_of_name(stem: str) -> str | None:
    """The split in the name of a list that our export wrote (`MERR_fine_grained_train`); None of any other."""
    found = _LIST.fullmatch(stem)
    return found[2] if found and found[2] in ("train", "validation", "test") else None


def _list_row(
    line: str, where: str, content: FileContent, space: LabelSpace
) -> tuple[int | None, str, float | None] | None:
    """Frame count, label and valence of a row, None for those that it does not have; None when it is malformed."""
    cells = line.split()
    if len(cells) < 2 or not is_name(cells[0]):
        kind = "malformed row (expected: name [frame_count] label [valence])"
        content.problems.add(kind, f"{where}: {line.strip()[:60]}")
        return None
    count = int(cells[1]) if len(cells) > 2 and re.fullmatch(r"-?\d+", cells[1]) else None
    if len(cells) > 2 and (count is None or count < NO_COUNT):
        content.problems.add("malformed row: the frame count is no whole number", f"{where}: {cells[1][:40]!r}")
        return None
    valence = _number(cells[3]) if len(cells) > 3 else None
    if len(cells) > 3 and valence is None:
        content.problems.add("the valence is no number: left out", f"{where}: {cells[3][:40]!r}")
    label = content.known_label(cells[1] if len(cells) == 2 else cells[2], where, space)
    if label is None:
        return None
    return None if count == NO_COUNT else count, label, None if valence == NO_VALENCE else valence


def read_published(text: str, content: FileContent, space: LabelSpace, language: str = "en") -> None:
    """Add what MERR_coarse_grained.json or MERR_fine_grained.json says, an object by clip name, to `content`.

    Raises:
        InputError: it is no JSON object of objects.
    """
    doubles: Counter[str] = Counter()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:  # whatever JSON holds
        doubles.update({k: n - 1 for k, n in Counter(k for k, _ in items).items() if n > 1})
        return dict(items)

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
        else:
            _take_entry(name, entry, content, space, language)


def _take_entry(name: str, entry: dict[str, Any], content: FileContent, space: LabelSpace, language: str) -> None:
    where = f"{content.origin}: {name}"
    for key, field in _TEXTS.items():
        value = entry.get(key)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            content.problems.add(f"{key} is no text", where)
        elif not value.strip():
            content.problems.add(f"{key} is blank", where)
        elif error_like(value):
            content.problems.add(f"{key} is the text of an error, not a description", f"{where}: {value[:60]!r}")
        else:
            content.say(name, field, value, language)
    phrases = entry.get("visual_prior_list")
    if isinstance(phrases, list) and phrases and all(isinstance(p, str) for p in phrases):
        content.say(name, "visual_expression", list(phrases), language)
    elif phrases not in (None, []):
        content.problems.add("visual_prior_list is no list of texts", where)
    words, label = entry.get("text"), entry.get("pseu_emotion")
    if isinstance(words, str) and words.strip():
        content.say(name, "subtitle", given_words(words.strip(), language))
    if isinstance(label, str) and label.strip():
        content.say_label(name, label.strip(), where, space)
    kept = {key: entry[key] for key in _KEPT if entry.get(key) not in (None, "", [])}
    if kept:
        content.say(name, "published", kept)
    for key in sorted(entry.keys() - _KNOWN):
        content.problems.add(f"key {key!r} is not one of MERR's: left out", where)


def _number(text: str, *, finite: bool = True) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if not finite or abs(value) < float("inf") else None


# --- checking


def check_merr(folder: Path, problems: Problems, stated: dict[str, int]) -> int:
    """The accesses of the published training code: each name of a list in the JSON file and in the table.

    Returns:
        Entries that were looked at, of files that others may have made; `stated` gets the frame counts of the lists.
    """
    objects = {which: _objects(folder / f"MERR_{which}_grained.json", which, problems) for which in CAPTIONS}
    if all(found is None for found in objects.values()):
        return 0
    sentences = _sentences(folder / TRANSCRIPTS, problems)
    entries = sum(len(found or ()) for found in objects.values())
    for path in sorted(folder.glob("MERR_*.txt")):
        matched = _LIST.fullmatch(path.stem)
        if not matched:
            continue
        content = FileContent(path.name, "")
        read_list(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), content, MERR9)
        problems.add_all(content.problems)
        entries += content.rows
        stated |= content.frame_counts
        for name in sorted(content.fields):
            if name not in (objects[matched[1]] or ()):
                problems.add(f"a name of the list is not in MERR_{matched[1]}_grained.json", f"{path.name}: {name}")
            if sentences is not None and name not in sentences:
                kind = f"a name of the list is not in {TRANSCRIPTS} (the published code stops)"
                problems.add(kind, f"{path.name}: {name}")
    return entries


def _objects(path: Path, which: str, problems: Problems) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = parse_json(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        problems.add("a file is no JSON", f"{path.name}: {error}")
        return {}
    if not isinstance(found, dict):
        problems.add("a MERR file is no object by clip name", path.name)
        return {}
    caption = CAPTIONS[which]
    for name, entry in found.items():
        text = text_part(entry, caption)
        if text is None or not text.strip():
            problems.add(f"an entry has no {caption}", f"{path.name}: {name}")
        elif error_like(text):
            problems.add(f"{caption} is the text of an error or a refusal", f"{path.name}: {name}: {text[:60]!r}")
    return found


def _sentences(path: Path, problems: Problems) -> set[str] | None:
    if not path.is_file():
        return None
    names: set[str] = set()
    try:
        for line, row in csv_rows(path.read_text(encoding="utf-8-sig"), path.name):
            where = f"{path.name}, line {line}"
            if line == 1:
                if row != ["name", "sentence"]:
                    kind = "the table of sentences must have the columns name,sentence"
                    problems.add(kind, f"{where}: {','.join(row)[:60]}")
            elif len(row) != 2:
                problems.add("malformed row of the table of sentences", f"{where}: {len(row)} cells")
            else:
                if row[0] in names:
                    problems.add("a name stands twice in the table of sentences", f"{where}: {row[0]}")
                if row[1] in READ_AS_NAN:
                    kind = 'a sentence that pandas reads as NaN (it becomes "nan" in the prompt)'
                    problems.add(kind, f"{where}: {row[1]!r}")
                names.add(row[0])
    except (InputError, UnicodeDecodeError) as error:
        problems.add("a table cannot be read", f"{path.name}: {error}")
    return names
