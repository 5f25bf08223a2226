"""The published MERR files, in the exact fields and types that the published training code reads.

Source: ZebangCheng/Emotion-LLaMA, its data set class and MERR_{coarse,fine}_grained.{json,txt}: lists of
`name frame_count label valence` without header; JSON objects by name; a table `name,sentence` of all clips.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from emotion_llama.labels import MERR9
from emotion_llama.merr.io.rows import Row, Rows, Written
from emotion_llama.merr.records import Json
from emotion_llama.merr.values import part, subtitle_language, text_of, units_of

NO_VALENCE = "-10"  # the published placeholder
NO_COUNT = "-1"  # own choice: the media has no video stream, or nobody has counted it; the column is never read
TRANSCRIPTS = "transcription_en_all.csv"
CAPTIONS = {"coarse": "caption", "fine": "smp_reason_caption"}  # set -> the key of its description
# pandas.read_csv turns these cells into NaN, which the published code then puts into the prompt as "nan".
READ_AS_NAN = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip


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
                record = json.dumps(merr_record(row, label, rows.language, fine=name == "fine"), indent=1)
                objects[name].append(f"{json.dumps(row.clip_id)}: {record}")
    files: dict[str, int | None] = {}
    for name in scopes:
        stem = f"MERR_{name}_grained"
        lists = {f"{stem}.txt": [line for _, line in lines[name]]}
        for split in sorted({split for split, _ in lines[name]}) if rows.has_splits else ():
            lists[f"{stem}_{split}.txt"] = [line for own, line in lines[name] if own == split]
        joined = ",\n".join(objects[name])
        _write(half / f"{stem}.json", f"{{\n{joined}\n}}\n" if joined else "{}\n")
        for file, listed in lists.items():
            _write(half / file, "".join(f"{line}\n" for line in listed))
        files |= {f"{stem}.json": len(objects[name]), **{file: len(listed) for file, listed in lists.items()}}
    with (half / TRANSCRIPTS).open("w", encoding="utf-8", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows([("name", "sentence"), *sentences])
    files[TRANSCRIPTS] = len(sentences)
    return files, {name: len(lines[name]) for name in scopes}, list(_notes(facts, rows.has_splits))


def merr_record(row: Row, label: str, language: str, *, fine: bool) -> dict[str, Json]:
    """The JSON object of one clip in MERR_coarse_grained.json: the published keys with their published types.

    That of MERR_fine_grained.json (`fine`) also has the fine description, under `smp_reason_caption`.
    """
    sample = row.sample
    peak, published = sample.value("peak"), sample.value("published")
    at_peak, of_label = units_of(peak) or {}, units_of(sample.value("label")) or {}
    strongest_first = sorted(at_peak, key=lambda unit: (-at_peak[unit], unit))
    index = part(peak, "frame_index")
    return {
        "AU_list": list(sorted(of_label) or sorted(at_peak) or _names(part(published, "AU_list"))),
        "visual_prior_list": _names(sample.value("visual_expression", language)),
        "audio_prior_list": text_of(sample.value("audio_tone", language)) or "",
        "peak_index": str(index) if isinstance(index, int) else str(part(published, "peak_index") or ""),
        "peak_AU_list": list(strongest_first or _names(part(published, "peak_AU_list"))),
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
    """One line of a list: `name frame_count label valence`."""
    clip = row.sample.clip
    count = clip.frame_count if clip.frame_count is not None else clip.stated_frame_count
    valence = part(row.sample.value("published"), "valence")
    cells = (clip.clip_id, NO_COUNT if count is None else str(count), label, str(valence) if valence else NO_VALENCE)
    return " ".join(cells)


def _facts(row: Row) -> Iterator[str]:
    """What of a clip makes a note for users of the published code."""
    yield "clips"
    language = subtitle_language(row.sample.value("subtitle"))
    if row.subtitle is None:
        yield "silent"
    elif language is not None and language != "en":
        yield f"sentences in {language!r}"
    if part(row.sample.value("peak"), "frame_index") is None:
        yield "no peak"
    if _is_number(row.clip_id):
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


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _names(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
