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

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.benchmarks.mer2024 import WORDS_INSTRUCTION, WordFiles
from emotion_llama.evaluation.records import Ask
from emotion_llama.evaluation.scoring_words import WheelScorer
from emotion_llama.evaluation.wheels import WheelFiles, load_wheels

NUM_MER2025_TEST = 1200
MAPPINGS = ("2025", "2026")
VIDEO_FOLDERS = ("video", "video/video", "videos", ".")


def mer2025_fg(
    folder: Path,
    *,
    wheels: str | Path | None = None,
    mapping: str | int | None = None,
    labels: str | Path | None = None,
    transcript: str | Path | None = None,
) -> Benchmark:
    """MER2025's second track: mean of EW at levels 1 and 2.

    Args:
        folder: of the files (see the module).
        wheels: folder of the wheel files; `folder`/emotion_wheel by default.
        mapping: "2025" or "2026", the version of the word forms that the wheel files must be of; None takes what they
            are. The version is part of the benchmark's: "fear" is another group in each.
        labels: the table of true words.
        transcript: a table of sentences.

    Raises:
        InputError: the wheel files are missing, cannot be read, or are of another version.
    """
    return _fine_grained("mer2025-fg", folder, (1, 2), NUM_MER2025_TEST, wheels, mapping, labels, transcript)


def mer2026_fg(
    folder: Path,
    *,
    wheels: str | Path | None = None,
    mapping: str | int | None = None,
    labels: str | Path | None = None,
    transcript: str | Path | None = None,
) -> Benchmark:
    """MER2026's second track: EW at level 1; options as `mer2025_fg`'s. The owners publish no size of the test set."""
    return _fine_grained("mer2026-fg", folder, (1,), None, wheels, mapping, labels, transcript)


def chosen_wheels(folder: Path, wheels: str | Path | None, mapping: str | int | None) -> WheelFiles:
    """The wheel files of a folder, if they are of the mapping asked for.

    Raises:
        InputError: as `load_wheels`, or the mapping is unknown or another.
    """
    if mapping is not None and str(mapping) not in MAPPINGS:
        raise InputError(f"mapping is {mapping!r}, expected one of: {', '.join(MAPPINGS)}")
    place = files.given_path(wheels, "wheels") or folder / "emotion_wheel"
    found = load_wheels(place)
    if mapping is not None and found.version != str(mapping):
        raise InputError(f"{place} holds the word forms of {found.version}, not those of {mapping}")
    return found


def _fine_grained(
    name: str,
    folder: Path,
    levels: tuple[int, ...],
    total: int | None,
    wheels: str | Path | None,
    mapping: str | int | None,
    labels: str | Path | None,
    transcript: str | Path | None,
) -> Benchmark:
    found = chosen_wheels(folder, wheels, mapping)
    own = files.given_path(labels, "labels")
    tables = ("track2_test.csv", "mer2025-ov.csv") if own is None else (str(own.absolute()),)
    said = files.given_path(transcript, "transcript")
    return Benchmark(
        name=name,
        version=f"1 (mapping {found.version})",
        kind="words",
        ask=Ask("free", WORDS_INSTRUCTION),
        folder=folder,
        primary="ew",
        source=WordFiles(folder, tables, total, VIDEO_FOLDERS, said),
        scorer=WheelScorer(found, levels),
    )
