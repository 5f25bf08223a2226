"""DFEW: seven classes, five folds, UAR and WAR.

Files:

    EmoLabel_DataSplit/test(single-labeled)/set_K.csv   fold K (video_name, label 1..7); or, for fold 1 alone,
    reltive_DFEW_set_1_test.txt                         as Emotion-LLaMA has it (name, frame count, label)
    Clip/original/N.mp4                                 the clips, or Clip/clip_224x224_avi/NNNNN.avi, or video/
    any of `readers.TRANSCRIPTS`                        what is said, by a speech recogniser: DFEW has no transcripts

Folders of frames (Clip/jpg_256/NNNNN/) are no clips: they have no sound, and nothing in this package opens them.
Sample ids are numbers of five digits.
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark
from emotion_llama.evaluation.tasks.readers import clip_name, csv_columns, label_list, one_of
from emotion_llama.labels import DFEW7, MERR9
from emotion_llama.predictors.base import Task
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction

# Sizes of the owners' lists of single-labelled clips: classes over all folds, and the test sets.
CLASS_SIZES = dict(zip(DFEW7.labels, (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True))
FOLD_SIZES = (2341, 2341, 2340, 2339, 2336)
NUMBERED = csv_columns("label", one_of({str(i): label for i, label in enumerate(DFEW7.labels, 1)}), name="video_name")
LISTED = {"reltive_DFEW_set_1_test.txt": label_list(one_of(DFEW7))}


def dfew(
    folder: Path, *, fold: int | str = 1, rule: str = "restrict", transcript: Path | None = None
) -> Benchmark:  # fmt: skip
    """DFEW.

    Args:
        folder: of the files.
        fold: 1 to 5, or "all": means over the five folds. The published zero-shot figures are of fold 1 alone; a model
            that was tuned on a fold's training set is to be scored on that fold.
        rule: what is asked, and what becomes of labels outside the seven, for which no published code has a rule.
            "restrict": the seven are asked and scored. "map": MERR's nine are asked, as the published prompt does;
            their labels are converted (`labels.convert`), and what corresponds to none of the seven (worried,
            contempt, doubt) is no answer, counted as "other label".
        transcript: a table of what is said.
    """
    if rule not in ("restrict", "map"):
        raise InputError(f"rule is {rule!r}, expected one of: restrict, map")
    if str(fold) not in ("1", "2", "3", "4", "5", "all"):
        raise InputError(f"fold is {fold!r}, expected 1 to 5 or 'all'")
    asked = DFEW7 if rule == "restrict" else MERR9
    instruction = emotion_instruction(DFEW7.labels) if rule == "restrict" else pick_instruction("emotion")
    folds = tuple(range(1, 6)) if fold == "all" else (int(fold),)
    lists = {k: {f"EmoLabel_DataSplit/test(single-labeled)/set_{k}.csv": NUMBERED} for k in folds}
    return Benchmark(
        "dfew", f"1 ({'all folds' if fold == 'all' else f'fold {fold}'}, {rule})", "label", "uar",
        Task("emotion", asked.labels, instruction, MAX_NEW_TOKENS), folder,
        [lists[k] | (LISTED if k == 1 else {}) for k in folds], [FOLD_SIZES[k - 1] for k in folds], folds,
        sizes=CLASS_SIZES if fold == "all" else None, transcript=transcript,
        clip_folders=("Clip/original", "Clip/clip_224x224_avi", "video", "."),
        sample_id=_five_digits, asked=asked, scored=DFEW7,
    )  # fmt: skip


def _five_digits(text: str) -> str:
    """1.mp4 and 00001.avi are one clip."""
    name = clip_name(text)
    return name.zfill(5) if name.isdecimal() else name
