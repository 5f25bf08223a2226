"""MERR-Synth: rendered clips with known truth, as `merr-synth render` writes them.

Files: plans.jsonl, clips/ID.mp4. Clips of one rendered person are drawn together in intervals. Metrics are also given
for clips whose modalities conflict, for clips without sound, face or words, and, of conflicting clips, for how often
the answer is what the face, the voice or the words alone would say. A metric on rendered clips says nothing about real
footage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalSample, Truth
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark, Reader
from emotion_llama.labels import MERR9
from emotion_llama.media.text_file import read_text
from emotion_llama.predictors.base import Task
from emotion_llama.prompts.tasks import pick_instruction


def plans_of(split: str | None) -> Reader:
    """Reads the clips of a split, in the order of the plans; all clips where none is given."""

    def read(path: Path) -> Iterator[EvalSample]:
        try:
            plans = [json.loads(line) for line in read_text(path, None).splitlines() if line.strip()]
            samples = [(plan["split"], _sample(plan)) for plan in plans]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not plans of `merr-synth render` ({error!r}); render the clips again") from None
        splits = sorted({own for own, _ in samples})
        if not samples or split not in (None, *splits):
            there = ", ".join(splits) or "none"
            raise InputError(f"{path.parent} holds no clip of split {split!r} (splits: {there})")
        yield from (sample for own, sample in samples if split in (None, own))

    return read


def _sample(plan: Mapping[str, Any]) -> EvalSample:
    alone = {name: plan[f"{name}_label"] for name in ("face", "voice", "words")}
    missing, conflict = plan["missing"], plan["conflict"]
    return EvalSample(
        plan["id"], Truth(label=plan["label"]), None, None if "no_words" in missing else plan["text"], plan["person"],
        frame_count=round(plan["duration_seconds"] * plan["fps"]),
        note=f"conflict: {conflict}" if conflict else " and ".join(missing),
        parts=("conflict/all",) * bool(conflict) + ("missing/all",) * bool(missing),
        alone={name: label for name, label in alone.items() if label is not None} if conflict else {},
    )  # fmt: skip


def merr_synth(folder: Path, *, split: str | None = "test") -> Benchmark:
    """MERR-Synth.

    Args:
        folder: that `merr-synth render` wrote.
        split: "train", "validation", "test"; None takes all.
    """
    return Benchmark(
        "merr-synth", f"1 ({split or 'all splits'})", "label", "uar",
        Task("emotion", MERR9.labels, pick_instruction("emotion"), MAX_NEW_TOKENS), folder,
        [{"plans.jsonl": plans_of(split)}], clip_folders=("clips",), has_transcripts=False, asked=MERR9, scored=MERR9,
    )  # fmt: skip
