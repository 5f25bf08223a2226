"""MER2023-SEMI, MER2024-SEMI and MER2024-NOISE: six labels, weighted F1.

MER2023-SEMI has 834 labelled clips hidden in the unlabelled ones. Files, each found in the folder:

    labels as            MER2023-SEMI                 MER2024-SEMI             MER2024-NOISE
    Emotion-LLaMA's      relative_test3_NCEV.txt      MER2024-semi_NCE.txt     MER2024-noise_NCE.txt
    the owners'          test3-label.csv              reference-semi.csv       reference-noise.csv
    MERTools'            label-6way.npz, table        label-6way.npz, table    label-6way.npz, table
                         test3_corpus                 test1_corpus             test2_corpus
    clips                video/, test3/               MER2024_semi/, video/    MER2024_noise/, video/

Lists hold name, frame count, label, -10; tables name and discrete. What is said is in transcription_en_all.csv (name,
sentence), transcription_all_new.csv (name, sentence_en), or another of `readers.TRANSCRIPTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark
from emotion_llama.evaluation.tasks.readers import VIDEO_FOLDERS, archive, csv_columns, label_list, one_of
from emotion_llama.labels import MER6, MERR9
from emotion_llama.predictors.base import Task
from emotion_llama.prompts.tasks import pick_instruction

# Row sums of result/MER2023.txt of Emotion-LLaMA, and of the confusion matrix of MER2024-best.pth's answers.
MER2023_SIZES = {"angry": 183, "happy": 169, "neutral": 166, "sad": 257, "surprise": 14, "worried": 45}
NOISE_SIZES = {"angry": 236, "happy": 233, "neutral": 232, "sad": 295, "surprise": 55, "worried": 119}
NUM_SEMI = 1169  # MER-UniBench counts it so; the owners publish no sizes by label
OFFERED = {"nine": (MERR9, "emotion"), "six": (MER6, "emotion_six")}  # labels that an instruction offers, and its pool


def mer2023_semi(folder: Path, *, instruction: str = "nine", transcript: Path | None = None) -> Benchmark:
    """MER2023-SEMI.

    Args:
        folder: of the files.
        instruction: "nine" offers MERR's nine labels, as the published evaluation does, "six" the six that are scored.
        transcript: a table of what is said, in place of those looked for.
    """
    files = "relative_test3_NCEV.txt", "test3-label.csv", "test3_corpus"
    return _six_labels("mer2023-semi", folder, instruction, transcript, files, 834, MER2023_SIZES)


def mer2024_semi(folder: Path, *, instruction: str = "nine", transcript: Path | None = None) -> Benchmark:
    """MER2024-SEMI; options as `mer2023_semi`'s."""
    files = "MER2024-semi_NCE.txt", "reference-semi.csv", "test1_corpus"
    clips = ("MER2024_semi", "video-test1")
    return _six_labels("mer2024-semi", folder, instruction, transcript, files, NUM_SEMI, None, clips)


def mer2024_noise(folder: Path, *, instruction: str = "nine", transcript: Path | None = None) -> Benchmark:
    """MER2024-NOISE; options as `mer2023_semi`'s."""
    files = "MER2024-noise_NCE.txt", "reference-noise.csv", "test2_corpus"
    clips = ("MER2024_noise", "video-test2-noise")
    return _six_labels("mer2024-noise", folder, instruction, transcript, files, 1170, NOISE_SIZES, clips)


def _six_labels(
    name: str, folder: Path, instruction: str, transcript: Path | None, files: tuple[str, str, str], total: int,
    sizes: Mapping[str, int] | None, clip_folders: tuple[str, ...] = (),
) -> Benchmark:  # fmt: skip
    if instruction not in OFFERED:
        raise InputError(f"instruction is {instruction!r}, expected one of: {', '.join(OFFERED)}")
    asked, pool = OFFERED[instruction]
    listed, owners, corpus = files
    tables = {
        listed: label_list(one_of(MER6)),
        owners: csv_columns(("discrete", "emotion", "label", "emo"), one_of(MER6)),
        "label-6way.npz": archive(corpus, "emo", one_of(MER6)),
    }
    return Benchmark(
        name, f"1 ({instruction} labels offered)", "label", "weighted_f1",
        Task("emotion", MER6.labels, pick_instruction("emotion", pool=pool), MAX_NEW_TOKENS), folder, [tables], [total],
        sizes=sizes, clip_folders=(*clip_folders, *VIDEO_FOLDERS), transcript=transcript, asked=asked, scored=MER6,
    )  # fmt: skip
