"""EMER: descriptions of why a person feels what, compared with a person's description.

Files:

    dataset-v1/gt-eng.csv, gt-chi.csv       the first 100 samples (names, emotions, subtitles, reasons), version "v1":
                                            the published figures are of these
    dataset-v2/final-EMER-reason.csv        332 samples (name, chinese, english), version "v2"
    video/                                  clips of MER2023, or the folder that the option `videos` names

The published figures are verdicts of a language model that is no longer offered, and cannot be had again; all systems
of a table are to be judged by one and the same other judge. Without a judge, `overlap` measures something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.benchmarks.mer2023 import VIDEO_FOLDERS
from emotion_llama.evaluation.overlap import DescriptionScorer
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Truth

SAMPLES = {"v1": 100, "v2": 332}
LANGUAGES = ("en", "zh")
_TABLES = {
    ("v1", "en"): ("dataset-v1/gt-eng.csv", "gt-eng.csv"),
    ("v1", "zh"): ("dataset-v1/gt-chi.csv", "gt-chi.csv"),
    ("v2", "en"): ("dataset-v2/final-EMER-reason.csv", "final-EMER-reason.csv"),
    ("v2", "zh"): ("dataset-v2/final-EMER-reason.csv", "final-EMER-reason.csv"),
}


@dataclass(frozen=True)
class EmerFiles:
    """EMER's descriptions."""

    folder: Path
    version: str
    language: str
    videos: Path | None = None

    @property
    def table(self) -> Path:
        """The table of descriptions; InputError where there is none."""
        return files.first_file(self.folder, _TABLES[self.version, self.language], "descriptions of EMER")

    def cases(self) -> list[Case]:
        """All clips, in the order of the table.

        Raises:
            InputError: the table is missing or malformed, a name stands twice, or a description is empty.
        """
        if self.version == "v1":
            columns: list[str | tuple[str, ...]] = ["names", "reasons", "?subtitles"]
        else:
            columns = ["name", "english" if self.language == "en" else "chinese", "?subtitles"]
        places = [self.folder / name for name in VIDEO_FOLDERS]
        clips = files.find_clips([self.videos] if self.videos else places)
        words = files.sentences_of(self.folder)
        found: dict[str, Case] = {}
        for given, text, subtitle in files.read_rows(self.table, columns):
            name = files.clip_name(given)
            if name in found or not text:
                raise InputError(f"{self.table}: {name} {'stands twice' if name in found else 'has no description'}")
            said = subtitle or words.get(name)
            found[name] = Case(name, Truth(description=text), clips.get(name), said)
        return list(found.values())

    def check(self) -> list[FileProblem]:
        """Samples by number, media and sentences."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        return [
            *files.total_problem(len(cases), SAMPLES[self.version], self.table),
            *files.media_problems(cases, self.folder),
            *files.words_problem(cases, self.folder),
        ]


def emer(folder: Path, *, samples: str = "v1", language: str = "en", videos: str | Path | None = None) -> Benchmark:
    """EMER.

    Args:
        folder: of the files (see the module).
        samples: "v1" (100) or "v2" (332).
        language: "en" or "zh", of the true descriptions.
        videos: folder of the clips, in place of those looked for.

    Raises:
        InputError: an option is something else.
    """
    if samples not in SAMPLES or language not in LANGUAGES:
        raise InputError(f"samples are v1 or v2 and the language en or zh, got {samples!r} and {language!r}")
    return Benchmark(
        name="emer",
        version=f"1 ({samples}, {language})",
        kind="description",
        ask=Ask("reason_v2"),
        folder=folder,
        primary="clue_overlap",
        source=EmerFiles(folder, samples, language, files.given_path(videos, "videos")),
        scorer=DescriptionScorer(),
    )
