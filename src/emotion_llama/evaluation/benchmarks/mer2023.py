"""MER2023-SEMI: 834 labelled clips hidden in the unlabelled ones, six labels, weighted F1.

Files, each found in the folder or left out where said so:

    relative_test3_NCEV.txt     labels as Emotion-LLaMA has them (name, frame count, label, -10); or
    test3-label.csv             as the owners have them (name, discrete); or
    label-6way.npz              as MERTools has them, table test3_corpus
    video/, test3/              the clips, NAME.avi or NAME.mp4
    transcription_en_all.csv    what is said (name, sentence), or another of `files.TRANSCRIPTS`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Truth
from emotion_llama.evaluation.scoring import LabelScorer
from emotion_llama.labels import MER6, MERR9
from emotion_llama.prompts.tasks import pick_instruction

# Row sums of result/MER2023.txt of Emotion-LLaMA.
MER2023_SIZES: Mapping[str, int] = {
    "angry": 183, "happy": 169, "neutral": 166, "sad": 257, "surprise": 14, "worried": 45,
}  # fmt: skip
VIDEO_FOLDERS = ("video", "videos", "test3", "train", ".")
INSTRUCTIONS = ("nine", "six")


@dataclass(frozen=True)
class SixLabelFiles:
    """Clips of a MER challenge with one of six labels.

    Attributes:
        folder: of the files.
        lists: label files, the first that is there counts: `.txt` lists, `.csv` with the columns name and discrete, or
            an `.npz` archive.
        corpus: the archive's table.
        sizes: clips by label in the owners' release, or None where only the sum is known.
        total: clips in the owners' release.
        transcript: a table of sentences, in place of those looked for.
        video_folders: below `folder`, where clips are looked for.
    """

    folder: Path
    lists: Sequence[str]
    corpus: str
    sizes: Mapping[str, int] | None
    total: int
    transcript: Path | None = None
    video_folders: Sequence[str] = field(default=VIDEO_FOLDERS)

    @property
    def label_file(self) -> Path:
        """The label file that counts; InputError where there is none."""
        return files.first_file(self.folder, self.lists, "labels")

    def cases(self) -> list[Case]:
        """All clips, in the order of the labels.

        Raises:
            InputError: a label is none of the six, or a name stands twice.
        """
        clips = files.find_clips(self.folder / name for name in self.video_folders)
        words = files.sentences_of(self.folder, self.transcript)
        found: dict[str, Case] = {}
        for name, count, label in self._labels():
            if label not in MER6.labels:
                raise InputError(
                    f"{self.label_file}: {name} has the label {label!r}, expected {', '.join(MER6.labels)}"
                )
            if name in found:
                raise InputError(f"{self.label_file}: {name} stands twice")
            found[name] = Case(name, Truth(label=label), clips.get(name), words.get(name), frame_count=count)
        return list(found.values())

    def check(self) -> list[FileProblem]:
        """Labels by number, media, sentences, and whether media and labels are of one release."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        labels = [case.truth.label or "" for case in cases]
        problems = list(_placeholders(labels, self.label_file))
        if not problems:
            problems += files.total_problem(len(cases), self.total, self.label_file)
            problems += [] if self.sizes is None else files.count_problems(labels, self.sizes, self.label_file)
        problems += files.media_problems(cases, self.folder)
        problems += files.words_problem(cases, self.folder)
        problems += files.release_problems(cases, self.folder)
        return problems

    def _labels(self) -> Iterable[files.ListedLabel]:
        path = self.label_file
        if path.suffix == ".txt":
            return files.read_label_list(path)
        if path.suffix == ".csv":
            rows = files.read_rows(path, [("name", "names"), ("discrete", "emotion", "label", "emo")])
            return [files.ListedLabel(files.clip_name(name), None, label) for name, label in rows]
        corpus = files.read_corpus(path, self.corpus)
        return [
            files.ListedLabel(name, None, str(files.corpus_value(path, name, labels, "emo")))
            for name, labels in corpus.items()
        ]


def _placeholders(labels: Sequence[str], where: Path) -> Iterable[FileProblem]:
    """MERTools' preparation for participants writes "neutral" for every clip whose label it does not know."""
    if len(labels) > 1 and set(labels) == {"neutral"}:
        what = "every label is 'neutral': these are placeholders for participants, not the true labels"
        yield FileProblem(what, str(where), len(labels), is_fatal=True)


def six_labels(name: str, source: SixLabelFiles, instruction: str, variant: str = "") -> Benchmark:
    """A benchmark of MER's six labels.

    Raises:
        InputError: no such instruction.
    """
    if instruction not in INSTRUCTIONS:
        raise InputError(f"instruction is {instruction!r}, expected one of: {', '.join(INSTRUCTIONS)}")
    asked = MERR9 if instruction == "nine" else MER6
    pool = "emotion" if instruction == "nine" else "emotion_six"
    return Benchmark(
        name=name,
        version=f"1 ({instruction} labels offered{variant})",
        kind="label",
        ask=Ask("emotion", pick_instruction("emotion", pool=pool), MER6.labels),
        folder=source.folder,
        primary="weighted_f1",
        source=source,
        scorer=LabelScorer(asked, MER6),
    )


def mer2023_semi(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2023-SEMI.

    Args:
        folder: of the files (see the module).
        instruction: "nine" offers MERR's nine labels, as the published evaluation does, "six" the six that are scored.
        transcript: a table of sentences, in place of those looked for.

    Raises:
        InputError: no such instruction.
    """
    lists = ("relative_test3_NCEV.txt", "test3-label.csv", "label-6way.npz")
    source = SixLabelFiles(
        folder, lists, "test3_corpus", MER2023_SIZES, 834, files.given_path(transcript, "transcript")
    )
    return six_labels("mer2023-semi", source, instruction)
