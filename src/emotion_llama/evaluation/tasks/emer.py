"""EMER: descriptions of why a person feels what, compared with a person's description.

Files:

    dataset-v1/gt-eng.csv, gt-chi.csv       the first 100 samples (names, emotions, subtitles, reasons), version "v1":
                                            the published figures are of these
    dataset-v2/final-EMER-reason.csv        332 samples (name, chinese, english), version "v2"
    video/                                  clips of MER2023, or the folder that the option `videos` names

The published figures are verdicts of a language model that is no longer offered, and cannot be had again; all models of
a table are to be judged by one and the same other judge. Without a judge, `named_overlap` measures something else.
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark
from emotion_llama.evaluation.tasks.readers import VIDEO_FOLDERS, csv_columns, description
from emotion_llama.predictors.base import Task

SAMPLES = {"v1": 100, "v2": 332}
# Samples and language -> the table and its column.
TABLES = {
    ("v1", "en"): ("dataset-v1/gt-eng.csv", "reasons"),
    ("v1", "zh"): ("dataset-v1/gt-chi.csv", "reasons"),
    ("v2", "en"): ("dataset-v2/final-EMER-reason.csv", "english"),
    ("v2", "zh"): ("dataset-v2/final-EMER-reason.csv", "chinese"),
}
TASK = Task("reason_v2", max_new_tokens=MAX_NEW_TOKENS)


def emer(folder: Path, *, samples: str = "v1", language: str = "en", videos: Path | None = None) -> Benchmark:
    """EMER.

    Args:
        folder: of the files.
        samples: "v1" (100) or "v2" (332).
        language: "en" or "zh", of the true descriptions.
        videos: folder of the clips, in place of those looked for.
    """
    if (samples, language) not in TABLES:
        raise InputError(f"samples are v1 or v2 and the language en or zh, got {samples!r} and {language!r}")
    table, column = TABLES[samples, language]
    reader = csv_columns(column, description, transcript="?subtitles")
    return Benchmark(
        "emer", f"1 ({samples}, {language})", "description", "clue_overlap", TASK, folder,
        [dict.fromkeys((table, table.partition("/")[2]), reader)], [SAMPLES[samples]],
        clip_folders=VIDEO_FOLDERS if videos is None else (videos.absolute(),),
    )  # fmt: skip
