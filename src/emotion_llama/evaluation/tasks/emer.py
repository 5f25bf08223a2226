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
from emotion_llama.evaluation.records import EvalPrompt
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.files import VIDEO_FOLDERS, TaskFiles, csv_columns, description, given_path

SAMPLES = {"v1": 100, "v2": 332}
TABLES = {
    ("v1", "en"): ("dataset-v1/gt-eng.csv", "gt-eng.csv"),
    ("v1", "zh"): ("dataset-v1/gt-chi.csv", "gt-chi.csv"),
    ("v2", "en"): ("dataset-v2/final-EMER-reason.csv", "final-EMER-reason.csv"),
    ("v2", "zh"): ("dataset-v2/final-EMER-reason.csv", "final-EMER-reason.csv"),
}
COLUMNS = {("v1", "en"): "reasons", ("v1", "zh"): "reasons", ("v2", "en"): "english", ("v2", "zh"): "chinese"}


def emer(folder: Path, *, samples: str = "v1", language: str = "en", videos: str | Path | None = None) -> Benchmark:
    """EMER.

    Args:
        folder: of the files.
        samples: "v1" (100) or "v2" (332).
        language: "en" or "zh", of the true descriptions.
        videos: folder of the clips, in place of those looked for.
    """
    if (samples, language) not in TABLES:
        raise InputError(f"samples are v1 or v2 and the language en or zh, got {samples!r} and {language!r}")
    reader = csv_columns(COLUMNS[samples, language], description, transcript="?subtitles")
    own = given_path(videos, "videos")
    source = TaskFiles(
        folder, [dict.fromkeys(TABLES[samples, language], reader)], [SAMPLES[samples]], what="descriptions of EMER",
        clip_folders=VIDEO_FOLDERS if own is None else (own.absolute(),),
    )  # fmt: skip
    return Benchmark(
        "emer", f"1 ({samples}, {language})", "description", EvalPrompt("reason_v2"), folder, "clue_overlap", source,
        "description",
    )  # fmt: skip
