"""MER2023-SEMI: 834 labelled clips hidden in the unlabelled ones, six labels, weighted F1.

Files, each found in the folder or left out where said so:

    relative_test3_NCEV.txt     labels as Emotion-LLaMA has them (name, frame count, label, -10); or
    test3-label.csv             as the owners have them (name, discrete); or
    label-6way.npz              as MERTools has them, table test3_corpus
    video/, test3/              the clips, NAME.avi or NAME.mp4
    transcription_en_all.csv    what is said (name, sentence), or another of `checks.TRANSCRIPTS`
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalPrompt
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.files import Reader, TaskFiles, archive, csv_columns, given_path, label_list, one_of
from emotion_llama.labels import MER6, MERR9
from emotion_llama.prompts.tasks import pick_instruction

# Row sums of result/MER2023.txt of Emotion-LLaMA.
MER2023_SIZES = {"angry": 183, "happy": 169, "neutral": 166, "sad": 257, "surprise": 14, "worried": 45}
OFFERED = {"nine": (MERR9, "emotion"), "six": (MER6, "emotion_six")}  # labels that an instruction offers, and its pool


def six_label_tables(listed: str, owners: str, corpus: str) -> dict[str, Reader]:
    """Readers of Emotion-LLaMA's list, the owners' table and MERTools' archive, in this order."""
    labels = one_of(MER6.labels)
    return {
        listed: label_list(labels),
        owners: csv_columns(("discrete", "emotion", "label", "emo"), labels),
        "label-6way.npz": archive(corpus, "emo", labels),
    }


def six_labels(name: str, source: TaskFiles, instruction: str) -> Benchmark:
    """A benchmark of MER's six labels; InputError where there is no such instruction."""
    if instruction not in OFFERED:
        raise InputError(f"instruction is {instruction!r}, expected one of: {', '.join(OFFERED)}")
    asked, pool = OFFERED[instruction]
    prompt = EvalPrompt("emotion", pick_instruction("emotion", pool=pool), MER6.labels)
    version = f"1 ({instruction} labels offered)"
    return Benchmark(name, version, "label", prompt, source.folder, "weighted_f1", source, "label", asked, MER6)


def mer2023_semi(folder: Path, *, instruction: str = "nine", transcript: str | Path | None = None) -> Benchmark:
    """MER2023-SEMI.

    Args:
        folder: of the files.
        instruction: "nine" offers MERR's nine labels, as the published evaluation does, "six" the six that are scored.
        transcript: a table of what is said, in place of those looked for.
    """
    tables = six_label_tables("relative_test3_NCEV.txt", "test3-label.csv", "test3_corpus")
    said = given_path(transcript, "transcript")
    source = TaskFiles(folder, [tables], [834], sizes=MER2023_SIZES, transcript=said)
    return six_labels("mer2023-semi", source, instruction)
