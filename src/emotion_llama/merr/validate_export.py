"""Checks of an exported folder, or of published MERR files that somebody else made: would a training code load them?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.merr.error_texts import error_like
from emotion_llama.merr.export.csv_table import FILE as OWN_CSV
from emotion_llama.merr.export.folder import MANIFEST, changed_files, read_manifest
from emotion_llama.merr.export.merr_files import READ_AS_NAN, TRANSCRIPTS
from emotion_llama.merr.export.sharegpt import INFO, check_tags
from emotion_llama.merr.imports.claims import FileContent
from emotion_llama.merr.imports.label_lists import read_list
from emotion_llama.merr.imports.own_csv import read_own_csv
from emotion_llama.merr.imports.tables import read_rows
from emotion_llama.merr.json_text import parse_json
from emotion_llama.merr.problems import Problems

# Key -> types of the published JSON objects.
_TYPES: dict[str, type] = {
    "AU_list": list, "visual_prior_list": list, "audio_prior_list": str, "peak_index": str, "peak_AU_list": list,
    "text": str, "pseu_emotion": str, "caption": str,
}  # fmt: skip
_CAPTIONS = {"coarse": "caption", "fine": "smp_reason_caption"}
_LIST = re.compile(r"MERR_(coarse|fine)_grained(?:_\w+)?\.txt")


def is_export(folder: Path) -> bool:
    """Whether a folder holds an export of ours, or published MERR files."""
    names = [MANIFEST, *(f"MERR_{which}_grained.json" for which in _CAPTIONS)]
    return any((folder / name).is_file() for name in names)


def check_export(folder: Path, problems: Problems, stated: dict[str, int] | None = None) -> int:
    """Check every file of an export; the number of entries that were looked at.

    Args:
        folder: of an export.
        problems: filled; examples name the file.
        stated: filled with the frame counts that lists state, when it is given.
    """
    manifest = None
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        problems.add("the export's manifest is damaged", str(error))
    if manifest is not None:
        for name in changed_files(folder, manifest):
            kind = "is not what was exported" if (folder / name).exists() else "is gone"
            problems.add(f"a file of the export {kind}", str(folder / name))
    entries = 0
    if any((folder / f"MERR_{which}_grained.json").is_file() for which in _CAPTIONS):
        entries += _check_merr(folder, problems, {} if stated is None else stated, ours=manifest is not None)
    if (folder / OWN_CSV).is_file():
        entries += _check_own_csv(folder / OWN_CSV, problems)
    if (folder / INFO).is_file():
        entries += _check_sharegpt(folder, problems)
    if (folder / "data").is_dir():
        entries += _check_parquet(folder, problems)
    return entries


def _check_merr(folder: Path, problems: Problems, stated: dict[str, int], *, ours: bool) -> int:
    """The accesses of the published training code: each name of a list in the JSON file and in the table."""
    sentences = _sentences(folder / TRANSCRIPTS, problems)
    objects = {which: _objects(folder / f"MERR_{which}_grained.json", which, problems, ours) for which in _CAPTIONS}
    entries = sum(len(found) for found in objects.values())
    for path in sorted(folder.iterdir()):
        matched = _LIST.fullmatch(path.name)
        if not matched:
            continue
        content = FileContent(path.name, "")
        read_list(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), content, MERR9)
        problems.add_all(content.problems)
        entries += content.rows
        stated.update(content.frame_counts)
        known = objects[matched[1]]
        for name in sorted({claim.clip_id for claim in content.claims}):
            if name not in known:
                problems.add(f"a name of the list is not in MERR_{matched[1]}_grained.json", f"{path.name}: {name}")
            if sentences is not None and name not in sentences:
                problems.add(
                    f"a name of the list is not in {TRANSCRIPTS} (the published code stops)", f"{path.name}: {name}"
                )
    return entries


def _objects(path: Path, which: str, problems: Problems, ours: bool) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.add("a file is no JSON", f"{path.name}: {error}")
        return {}
    if not isinstance(found, dict):
        problems.add("a MERR file is no object by clip name", path.name)
        return {}
    caption = _CAPTIONS[which]
    for name, entry in found.items():
        where = f"{path.name}: {name}"
        text = entry.get(caption) if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            problems.add(f"an entry has no {caption}", where)
        elif error_like(text):
            problems.add(f"{caption} is the text of an error or a refusal", f"{where}: {text[:60]!r}")
        for key, kind in _TYPES.items() if ours and isinstance(entry, dict) else ():
            if not isinstance(entry.get(key), kind):
                problems.add(f"{key} is no {kind.__name__}", where)
    return found


def _sentences(path: Path, problems: Problems) -> set[str] | None:
    """Names of the table; None where there is no table."""
    if not path.is_file():
        return None
    names: set[str] = set()
    for line, row in _rows(path, problems):
        where = f"{path.name}, line {line}"
        if line == 1:
            if row != ["name", "sentence"]:
                problems.add(
                    "the table of sentences must have the columns name,sentence", f"{where}: {','.join(row)[:60]}"
                )
            continue
        if len(row) != 2:
            problems.add("malformed row of the table of sentences", f"{where}: {len(row)} cells")
            continue
        if row[0] in names:
            problems.add("a name stands twice in the table of sentences", f"{where}: {row[0]}")
        if row[1] in READ_AS_NAN:
            problems.add('a sentence that pandas reads as NaN (it becomes "nan" in the prompt)', f"{where}: {row[1]!r}")
        names.add(row[0])
    return names


def _rows(path: Path, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from read_rows(path.read_text(encoding="utf-8-sig"), path.name, ",")
    except (InputError, UnicodeDecodeError) as error:
        problems.add("a table cannot be read", f"{path.name}: {error}")


def _check_own_csv(path: Path, problems: Problems) -> int:
    content = FileContent(path.name, "")
    try:
        read_own_csv(path.read_text(encoding="utf-8-sig"), content, MERR9)
    except (InputError, UnicodeDecodeError) as error:
        problems.add("a table cannot be read", f"{path.name}: {error}")
    problems.add_all(content.problems)
    return content.rows


def _check_sharegpt(folder: Path, problems: Problems) -> int:
    info = _json(folder / INFO, problems)
    entries = 0
    for name, entry in info.items() if isinstance(info, dict) else ():
        path = folder / str(entry.get("file_name", ""))
        if not path.is_file():
            problems.add(f"{INFO} names a file that is not there", f"{name}: {path.name}")
            continue
        for number, conversation in enumerate(_conversations(path, problems), 1):
            entries += 1
            where = f"{path.name}, entry {number}"
            try:
                check_tags(conversation)
            except InputError as error:
                problems.add("tags and media of a conversation do not match", f"{where}: {error}")
            for medium in _media(conversation):
                if not (folder / medium).exists():
                    problems.add("a media file of a conversation is not there", f"{where}: {medium}")
    return entries


def _conversations(path: Path, problems: Problems) -> Iterator[dict[str, Any]]:
    if path.suffix == ".jsonl":
        found: Any = [_line(line, path, problems) for line in path.read_text(encoding="utf-8").split("\n") if line]
    else:
        found = _json(path, problems)
    if isinstance(found, list):
        yield from (entry for entry in found if isinstance(entry, dict))


def _line(text: str, path: Path, problems: Problems) -> Any:  # whatever the line holds
    try:
        return parse_json(text)
    except ValueError as error:
        problems.add("a line is no JSON", f"{path.name}: {error}")
        return None


def _media(conversation: Mapping[str, Any]) -> Iterator[str]:
    for column in ("videos", "audios", "images"):
        yield from (str(path) for path in conversation.get(column) or ())


def _json(path: Path, problems: Problems) -> Any:  # whatever the file holds
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.add("a file is no JSON", f"{path.name}: {error}")
        return None


def _check_parquet(folder: Path, problems: Problems) -> int:
    """Every shard readable, shards complete, no clip twice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    seen: dict[str, str] = {}
    entries = 0
    for path in sorted((folder / "data").glob("*.parquet")):
        total = int(path.stem.rsplit("-", 1)[-1]) if path.stem.rsplit("-", 1)[-1].isdecimal() else None
        split = path.stem.split("-", 1)[0]
        if total is not None and len(list((folder / "data").glob(f"{split}-*-of-{total:05d}.parquet"))) < total:
            problems.add("shards are missing", f"{path.name}: {total} are expected")
        try:
            ids = pq.read_table(path, columns=["clip_id"]).column("clip_id").to_pylist()
        except (pa.ArrowException, OSError, KeyError) as error:
            problems.add("a Parquet file cannot be read", f"{path.name}: {error}")
            continue
        entries += len(ids)
        for clip_id in ids:
            if clip_id in seen:
                problems.add("a clip stands twice", f"{path.name} and {seen[clip_id]}: {clip_id}")
            seen[clip_id] = path.name
    return entries
