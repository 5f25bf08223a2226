"""MER2024-OV: emotion words; synonyms are grouped by a language model before they are compared.

Files, in the folder or in ov_store/ below it:

    check-openset.csv       true words (name, openset: "['happy', 'curious']")
    openset-synonym/        NAME.npy, the answer of a language model that groups true and predicted words; optional: a
                            judge makes such groups for the words of a model, and the stored ones are of one model
    video/                  the clips
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import synonym_groups
from emotion_llama.evaluation.records import EvalPrompt
from emotion_llama.evaluation.tasks.base import Benchmark, SynonymGroups
from emotion_llama.evaluation.tasks.files import TaskFiles, csv_columns, given_path, word_list

# MER-UniBench's instruction for open vocabularies.
WORDS_PROMPT = EvalPrompt("free", "Please recognize all possible emotional states of the character.")
WORD_TABLE = csv_columns(("openset", "ovlabel"), word_list)


def mer2024_ov(folder: Path, *, groups: str | Path | None = None, transcript: str | Path | None = None) -> Benchmark:
    """MER2024-OV.

    Args:
        folder: of the files.
        groups: folder of stored groups, in place of openset-synonym/.
        transcript: a table of what is said.
    """
    tables = dict.fromkeys(("check-openset.csv", "ov_store/check-openset.csv"), WORD_TABLE)
    said = given_path(transcript, "transcript")
    source = TaskFiles(folder, [tables], [332], what="table of emotion words", transcript=said)
    stored = stored_groups(folder, given_path(groups, "groups"))
    return Benchmark(
        "mer2024-ov", "1", "words", WORDS_PROMPT, folder, "average", source, "groups", groups=stored
    )  # fmt: skip


def stored_groups(folder: Path, given: Path | None = None) -> SynonymGroups | None:
    """Groups of synonyms by clip, from files NAME.npy that hold a language model's answer; None where there are none.

    Raises:
        InputError: a file cannot be read, holds no groups, or the folder given holds no file.
    """
    usual = (folder / "openset-synonym", folder / "ov_store" / "openset-synonym")
    place = given or next((path for path in usual if path.is_dir()), None)
    if place is None:
        return None
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
