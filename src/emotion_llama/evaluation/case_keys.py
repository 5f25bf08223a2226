"""What of a case its replies depend on, and what of all cases a result depends on, as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from emotion_llama.evaluation.jsonl_cache import hash_of
from emotion_llama.evaluation.records import Case

NOT_THERE = "not there"


def media_sha256(path: Path | None) -> str:
    """Of a clip's bytes; of a folder of pictures, the names and sizes of its files."""
    from emotion_llama.media.probe import file_sha256

    if path is None:
        return "none"
    if path.is_dir():
        listed = sorted((file.name, file.stat().st_size) for file in path.iterdir() if file.is_file())
        return hash_of(listed)
    return file_sha256(path) if path.is_file() else NOT_THERE


def case_keys(cases: Sequence[Case]) -> dict[str, str]:
    """Case -> hash of what a system is given of it: the clip and the words."""
    return {case.case_id: hash_of(case.case_id, case.words, media_sha256(case.media)) for case in cases}


def data_sha256(cases: Sequence[Case], keys: dict[str, str]) -> str:
    """A hash of all cases with their truths, whatever their order and wherever the clips lie."""
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda one: one.case_id):
        truth = case.truth
        row = (keys[case.case_id], truth.label, truth.words, truth.sentiment, truth.description, case.fold)
        digest.update(hash_of(*row).encode())
    return digest.hexdigest()
