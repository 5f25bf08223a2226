"""MER2025 and MER2026, fine-grained tracks: emotion words, scored by emotion wheels (EW).

Files, each found in the folder:

    track2_test.csv         true words (name, openset), as the owners give them to those who ask after the challenge;
                            or mer2025-ov.csv; or the table that the option `labels` names
    video/                  the clips, NAME.mp4
    subtitle_chieng.csv     what is said (name, chinese, english)

The wheel files (`wheels.load_wheels`) are for non-commercial use and in another folder: option `wheels`.
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.files import TaskFiles, given_path
from emotion_llama.evaluation.tasks.mer2024_ov import WORD_TABLE, WORDS_PROMPT
from emotion_llama.evaluation.tasks.wheels import chosen_wheels

Given = str | Path | None
Version = str | int | None


def mer2025_fg(
    folder: Path,
    *,
    wheels: Given = None,
    mapping: Version = None,
    labels: Given = None,
    transcript: Given = None,
) -> Benchmark:
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
    folder: Path,
    *,
    wheels: Given = None,
    mapping: Version = None,
    labels: Given = None,
    transcript: Given = None,
) -> Benchmark:
    """MER2026's second track: EW at level 1; options as `mer2025_fg`'s. The owners publish no size of the test set."""
    return _fine_grained("mer2026-fg", folder, (1,), None, wheels, mapping, labels, transcript)


def _fine_grained(
    name: str, folder: Path, levels: tuple[int, ...], total: int | None, wheels: object, mapping: object,
    labels: object, transcript: object,
) -> Benchmark:  # fmt: skip
    found, own = chosen_wheels(folder, wheels, mapping), given_path(labels, "labels")
    names = ("track2_test.csv", "mer2025-ov.csv") if own is None else (str(own.absolute()),)
    source = TaskFiles(
        folder, [dict.fromkeys(names, WORD_TABLE)], [total], what="table of emotion words",
        clip_folders=("video", "video/video", "videos", "."), transcript=given_path(transcript, "transcript"),
    )  # fmt: skip
    return Benchmark(
        name, f"1 (mapping {found.version})", "words", WORDS_PROMPT, folder, "ew", source, "wheels", wheels=found,
        levels=levels,
    )  # fmt: skip
