"""MER2024: SEMI and NOISE (six labels, weighted F1) and OV (emotion words, synonyms grouped by a language model).

Files of SEMI and NOISE, each found in the folder:

    reference-semi.csv, reference-noise.csv     labels as the owners have them (name, discrete); or
    MER2024-semi_NCE.txt, MER2024-noise_NCE.txt as Emotion-LLaMA has them; or
    label-6way.npz                              as MERTools has them, tables test1_corpus (SEMI), test2_corpus (NOISE)
    video/, MER2024_semi/, MER2024_noise/       the clips
    transcription_all_new.csv                   what is said (name, sentence_en), or another of `files.TRANSCRIPTS`

Files of OV, in the folder or in ov_store/ below it:

    check-openset.csv       true words (name, openset: "['happy', 'curious']")
    openset-synonym/        NAME.npy, the reply of a language model that groups true and told words; optional: a judge
                            makes such groups for the words that a system told, and the stored ones are of one system
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.benchmarks.mer2023 import VIDEO_FOLDERS, SixLabelFiles, six_labels
from emotion_llama.evaluation.open_vocabulary import parse_word_list
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Truth
from emotion_llama.evaluation.scoring import SynonymGroups
from emotion_llama.evaluation.scoring_words import GroupScorer
from emotion_llama.evaluation.word_lists import synonym_groups

# Row sums of the published answers' confusion matrix (MER2024-best.pth).
NOISE_SIZES = {"angry": 236, "happy": 233, "neutral": 232, "sad": 295, "surprise": 55, "worried": 119}
NUM_SEMI = 1169  # MER-UniBench counts it so; the owners publish no sizes by label
NUM_OV = 332
# MER-UniBench's instruction for open vocabularies.
WORDS_INSTRUCTION = "Please recognize all possible emotional states of the character."


def mer2024_semi(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2024-SEMI; options as `mer2023.mer2023_semi`'s."""
    lists = ("reference-semi.csv", "MER2024-semi_NCE.txt", "label-6way.npz")
    folders = ("MER2024_semi", "video-test1", *VIDEO_FOLDERS)
    given = files.given_path(transcript, "transcript")
    return six_labels(
        "mer2024-semi", SixLabelFiles(folder, lists, "test1_corpus", None, NUM_SEMI, given, folders), instruction
    )


def mer2024_noise(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2024-NOISE; options as `mer2023.mer2023_semi`'s."""
    lists = ("reference-noise.csv", "MER2024-noise_NCE.txt", "label-6way.npz")
    folders = ("MER2024_noise", "video-test2-noise", *VIDEO_FOLDERS)
    given = files.given_path(transcript, "transcript")
    source = SixLabelFiles(folder, lists, "test2_corpus", NOISE_SIZES, sum(NOISE_SIZES.values()), given, folders)
    return six_labels("mer2024-noise", source, instruction)


@dataclass(frozen=True)
class WordFiles:
    """Clips whose truth is a list of emotion words in a table `name,openset`.

    Attributes:
        folder: of the files.
        tables: of words, the first that is there counts.
        total: clips in the owners' release; None where it is not known.
        video_folders: where clips are looked for.
        transcript: a table of sentences, in place of those looked for.
    """

    folder: Path
    tables: tuple[str, ...]
    total: int | None
    video_folders: tuple[str, ...] = VIDEO_FOLDERS
    transcript: Path | None = None

    @property
    def table(self) -> Path:
        """The table that counts; InputError where there is none."""
        return files.first_file(self.folder, self.tables, "table of emotion words")

    def cases(self) -> list[Case]:
        """All clips, in the order of the table.

        Raises:
            InputError: the table is missing or malformed, or a name stands twice.
        """
        clips = files.find_clips(self.folder / name for name in self.video_folders)
        said = files.sentences_of(self.folder, self.transcript)
        found: dict[str, Case] = {}
        for given, words in files.read_rows(self.table, [("name", "names"), ("openset", "ovlabel")]):
            name = files.clip_name(given)
            if name in found:
                raise InputError(f"{self.table}: {name} stands twice")
            truth = Truth(words=tuple(parse_word_list(words)))
            found[name] = Case(name, truth, clips.get(name), said.get(name))
        return list(found.values())

    def check(self) -> list[FileProblem]:
        """Clips by number, clips without a true word, media and sentences."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        problems: list[FileProblem] = []
        if self.total is not None:
            problems += files.total_problem(len(cases), self.total, self.table)
        if without := sum(not case.truth.words for case in cases):
            problems.append(FileProblem("clips without a true word", str(self.table), without))
        problems += files.media_problems(cases, self.folder)
        problems += files.words_problem(cases, self.folder)
        return problems


def mer2024_ov(folder: Path, *, groups: str | Path | None = None, transcript: str | Path | None = None) -> Benchmark:
    """MER2024-OV.

    Args:
        folder: of the files (see the module).
        groups: folder of stored groups, in place of openset-synonym/.
        transcript: a table of sentences.

    Raises:
        InputError: a stored group cannot be read, or the folder given holds none.
    """
    source = WordFiles(
        folder,
        ("check-openset.csv", "ov_store/check-openset.csv"),
        NUM_OV,
        transcript=files.given_path(transcript, "transcript"),
    )
    return Benchmark(
        name="mer2024-ov",
        version="1",
        kind="words",
        ask=Ask("free", WORDS_INSTRUCTION),
        folder=folder,
        primary="average",
        source=source,
        scorer=GroupScorer(),
        groups=stored_groups(folder, files.given_path(groups, "groups")),
    )


def stored_groups(folder: Path, given: Path | None = None) -> SynonymGroups | None:
    """Groups of synonyms by clip, from files NAME.npy that hold a language model's reply; None where there are none.

    Raises:
        InputError: a file cannot be read, holds no groups, or the folder given holds no file.
    """
    usual = (folder / "openset-synonym", folder / "ov_store" / "openset-synonym")
    place = given or next((path for path in usual if path.is_dir()), None)
    if place is None:
        return None
    found = dict(_groups(place))
    if not found:
        raise InputError(f"{place} holds no groups of synonyms (NAME.npy)")
    return found


def _groups(place: Path) -> Iterator[tuple[str, list[list[str]]]]:
    for path in sorted(place.glob("*.npy")):
        try:
            reply = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} cannot be read as a stored reply ({error})") from None
        if reply.dtype.kind != "U" or reply.ndim:
            raise InputError(f"{path} holds {reply.dtype} {list(reply.shape)}, expected one text")
        try:
            yield path.stem, synonym_groups(str(reply))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
