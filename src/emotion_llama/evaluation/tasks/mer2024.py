"""MER2024-SEMI and MER2024-NOISE: six labels, weighted F1.

Files, each found in the folder:

    reference-semi.csv, reference-noise.csv     labels as the owners have them (name, discrete); or
    MER2024-semi_NCE.txt, MER2024-noise_NCE.txt as Emotion-LLaMA has them; or
    label-6way.npz                              as MERTools has them, tables test1_corpus (SEMI), test2_corpus (NOISE)
    video/, MER2024_semi/, MER2024_noise/       the clips
    transcription_all_new.csv                   what is said (name, sentence_en), or another of `checks.TRANSCRIPTS`
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.files import VIDEO_FOLDERS, TaskFiles, given_path
from emotion_llama.evaluation.tasks.mer2023 import six_label_tables, six_labels

# Row sums of the published answers' confusion matrix (MER2024-best.pth).
NOISE_SIZES = {"angry": 236, "happy": 233, "neutral": 232, "sad": 295, "surprise": 55, "worried": 119}
NUM_SEMI = 1169  # MER-UniBench counts it so; the owners publish no sizes by label


def mer2024_semi(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2024-SEMI; options as `mer2023.mer2023_semi`'s."""
    tables = six_label_tables("MER2024-semi_NCE.txt", "reference-semi.csv", "test1_corpus")
    source = TaskFiles(
        folder, [tables], [NUM_SEMI], transcript=given_path(transcript, "transcript"),
        clip_folders=("MER2024_semi", "video-test1", *VIDEO_FOLDERS),
    )  # fmt: skip
    return six_labels("mer2024-semi", source, instruction)


def mer2024_noise(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2024-NOISE; options as `mer2023.mer2023_semi`'s."""
    tables = six_label_tables("MER2024-noise_NCE.txt", "reference-noise.csv", "test2_corpus")
    source = TaskFiles(
        folder, [tables], [sum(NOISE_SIZES.values())], sizes=NOISE_SIZES,
        transcript=given_path(transcript, "transcript"),
        clip_folders=("MER2024_noise", "video-test2-noise", *VIDEO_FOLDERS),
    )  # fmt: skip
    return six_labels("mer2024-noise", source, instruction)
