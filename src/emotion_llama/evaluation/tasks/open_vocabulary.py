"""MER2024-OV, and the fine-grained tracks of MER2025 and MER2026: emotion words.

MER2024-OV compares them after a language model has grouped synonyms. Files, in the folder or in ov_store/ below it:

    check-openset.csv       true words (name, openset: "['happy', 'curious']")
    openset-synonym/        NAME.npy, the answer of a language model that groups true and predicted words; optional: a
                            judge makes such groups for the words of a model, and the stored ones are of one model
    video/                  the clips

MER2025 and MER2026 compare them by emotion wheels (EW). Files:

    track2_test.csv         true words (name, openset), as the owners give them to those who ask after the challenge;
                            or mer2025-ov.csv; or the table that the option `labels` names
    video/                  the clips, NAME.mp4
    subtitle_chieng.csv     what is said (name, chinese, english)

The wheel files (`wheels.load_wheels`) are for non-commercial use and in another folder: option `wheels`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import synonym_groups
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark, SynonymGroups
from emotion_llama.evaluation.tasks.readers import csv_columns, word_list
from emotion_llama.evaluation.tasks.wheels import chosen_wheels
from emotion_llama.predictors.base import Task

# MER-UniBench's instruction for open vocabularies.
WORDS_TASK = Task("free", (), "Please recognize all possible emotional states of the character.", MAX_NEW_TOKENS)
WORD_TABLE = csv_columns(("openset", "ovlabel"), word_list)


def mer2024_ov(folder: Path, *, groups: Path | None = None, transcript: Path | None = None) -> Benchmark:
    """MER2024-OV.

    Args:
        folder: of the files.
        groups: folder of stored groups, in place of openset-synonym/.
        transcript: a table of what is said.
    """
    tables = dict.fromkeys(("check-openset.csv", "ov_store/check-openset.csv"), WORD_TABLE)
    usual = (folder / "openset-synonym", folder / "ov_store" / "openset-synonym")
    place = groups or next((path for path in usual if path.is_dir()), None)
    return Benchmark(
        "mer2024-ov", "1", "groups", "average", WORDS_TASK, folder, [tables], [332], transcript=transcript,
        groups=None if place is None else stored_groups(place),
    )  # fmt: skip


def mer2025_fg(
    folder: Path, *, wheels: Path | None = None, mapping: str | int | None = None, labels: Path | None = None,
    transcript: Path | None = None,
) -> Benchmark:  # fmt: skip
    """MER2025's second track: mean of EW at levels 1 and 2.

    Args:
        folder: of the files.
        wheels: folder of the wheel files; `folder`/emotion_wheel by default.
        mapping: "2025" or "2026", the version of the word forms that the wheel files must be of (`chosen_wheels`).
        labels: the table of true words.
        transcript: a table of what is said.
    """
    return _fine_grained("mer2025-fg", folder, (1, 2), 1200, wheels, mapping, labels, transcript)


def mer2026_fg(
    folder: Path, *, wheels: Path | None = None, mapping: str | int | None = None, labels: Path | None = None,
    transcript: Path | None = None,
) -> Benchmark:  # fmt: skip
    """MER2026's second track: EW at level 1; options as `mer2025_fg`'s. The owners publish no size of the test set."""
    return _fine_grained("mer2026-fg", folder, (1,), None, wheels, mapping, labels, transcript)


def _fine_grained(
    name: str, folder: Path, levels: tuple[int, ...], total: int | None, wheels: Path | None,
    mapping: str | int | None, labels: Path | None, transcript: Path | None,
) -> Benchmark:  # fmt: skip
    found, version = chosen_wheels(folder, wheels, mapping)
    names = ("track2_test.csv", "mer2025-ov.csv") if labels is None else (str(labels.absolute()),)
    return Benchmark(
        name, f"1 (mapping {version})", "wheels", "ew", WORDS_TASK, folder, [dict.fromkeys(names, WORD_TABLE)],
        [total], clip_folders=("video", "video/video", "videos", "."), transcript=transcript, wheels=found,
        levels=levels,
    )  # fmt: skip


def stored_groups(place: Path) -> SynonymGroups:
    """Groups of synonyms by clip, from files NAME.npy that hold a language model's answer.

    Raises:
        InputError: a file cannot be read or holds no groups, or the folder holds no file.
    """
    found = {path.stem: _groups(path) for path in sorted(place.glob("*.npy"))}
    if not found:
        raise InputError(f"{place} holds no groups of synonyms (NAME.npy)")
    return found


def _groups(path: Path) -> list[list[str]]:
    try:
        answer = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a stored answer ({error})") from None
    if answer.dtype.kind != "U" or answer.ndim:
        raise InputError(f"{path} holds {answer.dtype} {list(answer.shape)}, expected one text")
    try:
        return synonym_groups(str(answer))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
