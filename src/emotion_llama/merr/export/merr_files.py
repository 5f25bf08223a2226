"""The published MERR files, in the exact fields and types that the published training code reads.

Source: ZebangCheng/Emotion-LLaMA, its data set class and MERR_{coarse,fine}_grained.{json,txt}: lists of
`name frame_count label valence` without header; JSON objects by name; a table `name,sentence` of all clips.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from emotion_llama.labels import MERR9
from emotion_llama.merr.export.choice import Written
from emotion_llama.merr.export.selection import Selection, Taken
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import label_of, part, subtitle_language, subtitle_text, text_of, units_of

NO_VALENCE = "-10"  # the published placeholder
NO_COUNT = "-1"  # own choice: the media has no video stream, or nobody has counted it; the column is never read
TRANSCRIPTS = "transcription_en_all.csv"
# pandas.read_csv turns these cells into NaN, which the published code then puts into the prompt as "nan".
READ_AS_NAN = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip


def write_merr(half: Path, selection: Selection) -> Written:
    """Write the published files into `half`.

    Lists for each split stand beside the list of all (`MERR_coarse_grained_train.txt`), where the build has splits.
    Clips whose label is none of MERR's nine are left out and counted: the published code has no index for them.
    """
    sets = {"coarse": _Set("coarse"), "fine": _Set("fine")}
    sentences: list[tuple[str, str]] = []
    left_out: Counter[str] = Counter()
    notes = _Notes()
    for taken in selection:
        sample = taken.sample
        label = label_of(sample)
        if label not in MERR9.labels:
            left_out[f"label {label!r} is none of MERR's nine" if label else "no label"] += 1
            continue
        notes.see(sample)
        sentences.append((sample.clip.clip_id, sentence_cell(subtitle_text(sample.value("subtitle")))))
        for name in ("coarse", "fine"):
            if getattr(taken, name):
                sets[name].add(taken, label, selection.language)
    files: dict[str, int | None] = {}
    for name, chosen in sets.items():
        if selection.choice.scope in (name, "both"):
            files |= chosen.write(half, by_split=selection.has_splits)
    _write_sentences(half / TRANSCRIPTS, sentences)
    files[TRANSCRIPTS] = len(sentences)
    left_out.update(selection.left_out)
    samples = {name: len(chosen.lines) for name, chosen in sets.items() if selection.choice.scope in (name, "both")}
    return Written(files, samples, dict(left_out), notes.lines(selection.has_splits))


def coarse_record(sample: Sample, label: str, language: str) -> dict[str, Json]:
    """The JSON object of one clip in MERR_coarse_grained.json: the published keys with their published types."""
    peak, published = sample.value("peak"), sample.value("published")
    at_peak, of_label = units_of(peak) or {}, units_of(sample.value("label")) or {}
    index = part(peak, "frame_index")
    return {
        "AU_list": list(sorted(of_label) or sorted(at_peak) or _names(part(published, "AU_list"))),
        "visual_prior_list": _names(sample.value("visual_expression", language)),
        "audio_prior_list": text_of(sample.value("audio_tone", language)) or "",
        "peak_index": str(index) if isinstance(index, int) else str(part(published, "peak_index") or ""),
        "peak_AU_list": list(_strongest_first(at_peak) or _names(part(published, "peak_AU_list"))),
        "text": subtitle_text(sample.value("subtitle")) or "",
        "pseu_emotion": label,
        "caption": text_of(sample.value("coarse_caption", language)),
    }


def fine_record(sample: Sample, label: str, language: str) -> dict[str, Json]:
    """The same for MERR_fine_grained.json, whose description stands under `smp_reason_caption`."""
    return {
        **coarse_record(sample, label, language),
        "smp_reason_caption": text_of(sample.value("fine_caption", language)),
    }


def list_line(sample: Sample, label: str) -> str:
    """One line of a list: `name frame_count label valence`."""
    clip = sample.clip
    count = clip.frame_count if clip.frame_count is not None else clip.stated_frame_count
    valence = part(sample.value("published"), "valence")
    return " ".join(
        (clip.clip_id, NO_COUNT if count is None else str(count), label, str(valence) if valence else NO_VALENCE)
    )


def sentence_cell(words: str | None) -> str:
    """The words as a cell that pandas reads as words: blanks collapsed; a blank where nothing is said.

    An empty cell, or one such as "None", would come back as NaN and stand in the prompt as "nan"; a blank at its end
    keeps it a text.
    """
    sentence = " ".join((words or "").split())
    return f"{sentence} " if sentence in READ_AS_NAN else sentence


class _Set:
    """Lines and objects of the coarse or the fine set."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.lines: list[tuple[str, str]] = []
        self._objects: list[str] = []

    def add(self, taken: Taken, label: str, language: str) -> None:
        record = (coarse_record if self._name == "coarse" else fine_record)(taken.sample, label, language)
        self.lines.append((taken.split, list_line(taken.sample, label)))
        # ASCII: the published code opens the file in whatever encoding the machine has.
        self._objects.append(f"{json.dumps(taken.sample.clip.clip_id)}: {json.dumps(record, indent=1)}")

    def write(self, half: Path, *, by_split: bool) -> dict[str, int | None]:
        stem = f"MERR_{self._name}_grained"
        lists = {f"{stem}.txt": [line for _, line in self.lines]}
        for split in sorted({split for split, _ in self.lines}) if by_split else ():
            lists[f"{stem}_{split}.txt"] = [line for own, line in self.lines if own == split]
        objects = ",\n".join(self._objects)
        _write(half / f"{stem}.json", f"{{\n{objects}\n}}\n" if objects else "{}\n")
        for name, lines in lists.items():
            _write(half / name, "".join(f"{line}\n" for line in lines))
        return {f"{stem}.json": len(self._objects), **{name: len(lines) for name, lines in lists.items()}}


class _Notes:
    """What a user of the published code has to know."""

    def __init__(self) -> None:
        self._silent = self._no_peak = self._samples = self._numbers = 0
        self._foreign: Counter[str] = Counter()

    def see(self, sample: Sample) -> None:
        self._samples += 1
        subtitle = sample.value("subtitle")
        self._silent += subtitle_text(subtitle) is None
        language = subtitle_language(subtitle)
        if language is not None and language != "en" and subtitle_text(subtitle) is not None:
            self._foreign[language] += 1
        self._no_peak += part(sample.value("peak"), "frame_index") is None
        self._numbers += _is_number(sample.clip.clip_id)

    def lines(self, has_splits: bool) -> tuple[str, ...]:
        found = []
        if self._silent:
            found.append(f"clips without words: {self._silent:,}; their sentence in {TRANSCRIPTS} is a blank")
        found += [f"sentences in {language!r}, not in English: {n:,}" for language, n in sorted(self._foreign.items())]
        if self._no_peak:
            found.append(
                f"clips without a measured peak frame: {self._no_peak:,}; their peak_index is as imported, or empty"
            )
        if self._samples and self._numbers == self._samples:
            found.append(
                "all names are numbers: the published code reads them as numbers and does not find them; give the "
                "clips other names (a manifest) before training with it"
            )
        if has_splits:
            found.append("train with the lists that end in _train.txt; those without a split's name hold all splits")
        return tuple(found)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _strongest_first(units: Mapping[str, float]) -> list[str]:
    return sorted(units, key=lambda name: (-units[name], name))


def _names(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _write_sentences(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "sentence"))
        writer.writerows(rows)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
