"""DFEW: seven classes, five folds, UAR and WAR.

Files:

    EmoLabel_DataSplit/test(single-labeled)/set_K.csv   fold K (video_name, label 1..7); or, for fold 1 alone,
    reltive_DFEW_set_1_test.txt                         as Emotion-LLaMA has it (name, frame count, label)
    Clip/original/N.mp4                                 the clips, or Clip/clip_224x224_avi/NNNNN.avi, or video/
    any of `files.TRANSCRIPTS`                          what is said, by a speech recogniser: DFEW has no words

Folders of pictures (Clip/jpg_256/NNNNN/) are no clips: they have no sound, and no reader of this package opens them.
Case ids are numbers of five digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Truth
from emotion_llama.evaluation.scoring import LabelScorer
from emotion_llama.labels import DFEW7, MERR9
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction

NUM_FOLDS = 5
# Sizes of the owners' lists of single-labelled clips: classes over all folds, and the test sets.
CLASS_SIZES: Mapping[str, int] = dict(zip(DFEW7.labels, (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True))
FOLD_SIZES = (2341, 2341, 2340, 2339, 2336)
TEST_FOLDER = "EmoLabel_DataSplit/test(single-labeled)"
EMOTION_LLAMA_LIST = "reltive_DFEW_set_1_test.txt"
RULES = ("restrict", "map")
_CLIP_FOLDERS = ("Clip/original", "Clip/clip_224x224_avi", "video", ".")
_DIGITS = 5


@dataclass(frozen=True)
class DfewFiles:
    """DFEW's test sets of some folds."""

    folder: Path
    folds: tuple[int, ...]
    transcript: Path | None = None

    def cases(self) -> list[Case]:
        """Clips of the folds, fold by fold.

        Raises:
            InputError: a list is missing or malformed, or a clip stands in two folds.
        """
        # 1.mp4 and 00001.avi are one clip; the first folder's counts.
        clips = files.find_clips((self.folder / name for name in _CLIP_FOLDERS), _case_id)
        words = {_case_id(name): text for name, text in files.sentences_of(self.folder, self.transcript).items()}
        found: dict[str, Case] = {}
        for fold in self.folds:
            for name, label, count in self._rows(fold):
                if name in found:
                    raise InputError(f"{self.folder}: {name} is in fold {found[name].fold} and in fold {fold}")
                found[name] = Case(
                    name, Truth(label=label), clips.get(name), words.get(name), fold=fold, frame_count=count
                )
        return list(found.values())

    def check(self) -> list[FileProblem]:
        """Sizes of folds and classes, media, sentences, frame counts where the list states them."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        problems: list[FileProblem] = []
        sizes = Counter(case.fold for case in cases)
        for fold in self.folds:
            where = self._file(fold) or self.folder
            problems += files.total_problem(sizes[fold], FOLD_SIZES[fold - 1], where)
        if len(self.folds) == NUM_FOLDS:
            problems += files.count_problems([c.truth.label or "" for c in cases], CLASS_SIZES, self.folder)
        problems += files.media_problems(cases, self.folder)
        problems += files.words_problem(cases, self.folder)
        problems += files.release_problems(cases, self.folder)
        return problems

    def _file(self, fold: int) -> Path | None:
        given = [self.folder / TEST_FOLDER / f"set_{fold}.csv"]
        if fold == 1:
            given.append(self.folder / EMOTION_LLAMA_LIST)
        return next((path for path in given if path.is_file()), None)

    def _rows(self, fold: int) -> Iterator[tuple[str, str, int | None]]:
        path = self._file(fold)
        if path is None:
            raise InputError(f"{self.folder} holds no list of fold {fold}; expected {TEST_FOLDER}/set_{fold}.csv")
        if path.suffix == ".txt":
            for row in files.read_label_list(path):
                label = _LISTED.get(row.label.lower())
                if label is None:
                    raise InputError(f"{path}: {row.name} has the label {row.label!r}, expected one of DFEW's seven")
                yield _case_id(row.name), label, row.frame_count
            return
        for name, number in files.read_rows(path, ["video_name", "label"]):
            if number not in _NUMBERS:
                raise InputError(f"{path}: {name} has the label {number!r}, expected 1 to {len(DFEW7.labels)}")
            yield _case_id(name), _NUMBERS[number], None


_NUMBERS = {str(i): label for i, label in enumerate(DFEW7.labels, 1)}
# Lists made by others name the classes in either of the forms that are common for DFEW.
_LISTED = {
    **{label: label for label in DFEW7.labels}, "happiness": "happy", "sadness": "sad", "anger": "angry",
}  # fmt: skip


def _case_id(name: str) -> str:
    stem = files.clip_name(name)
    return stem.zfill(_DIGITS) if stem.isdecimal() else stem


def dfew(
    folder: Path,
    *,
    fold: int | str = 1,
    rule: str = "restrict",
    transcript: str | Path | None = None,
) -> Benchmark:
    """DFEW.

    Args:
        folder: of the files (see the module).
        fold: 1 to 5, or "all": means over the five folds. The published zero-shot figures are of fold 1 alone; a model
            that was tuned on a fold's training set is to be scored on that fold.
        rule: what is asked, and what becomes of labels outside the seven, for which no published code has a rule.
            "restrict": the seven are asked and scored. "map": MERR's nine are asked, as the published prompt does;
            their labels are converted (`labels.convert`), and what corresponds to none of the seven (worried,
            contempt, doubt) is no answer, counted as "other label".
        transcript: a table of sentences.

    Raises:
        InputError: no such fold or rule.
    """
    if rule not in RULES:
        raise InputError(f"rule is {rule!r}, expected one of: {', '.join(RULES)}")
    asked = DFEW7 if rule == "restrict" else MERR9
    instruction = emotion_instruction(DFEW7.labels) if rule == "restrict" else pick_instruction("emotion")
    folds = _folds(fold)
    return Benchmark(
        name="dfew",
        version=f"1 ({'fold ' + str(folds[0]) if len(folds) == 1 else 'all folds'}, {rule})",
        kind="label",
        ask=Ask("emotion", instruction, asked.labels),
        folder=folder,
        primary="uar",
        source=DfewFiles(folder, folds, files.given_path(transcript, "transcript")),
        scorer=LabelScorer(asked, DFEW7, ("uar", "accuracy", "weighted_f1", "macro_f1", "micro_f1")),
    )


def _folds(fold: int | str) -> tuple[int, ...]:
    known: Sequence[int] = range(1, NUM_FOLDS + 1)
    if fold == "all":
        return tuple(known)
    if str(fold) not in map(str, known):
        raise InputError(f"fold is {fold!r}, expected 1 to {NUM_FOLDS} or 'all'")
    return (int(fold),)
