"""MERR-Synth: rendered clips with known truth, as `merr-synth render` writes them.

Files: plans.jsonl, clips/ID.mp4. Clips of one rendered person are drawn together in intervals. Metrics are also given
for clips whose modalities conflict, for clips without sound, face or words, and, of conflicting clips, for how often
the answer is what the face, the voice or the words alone would say. A metric on rendered clips says nothing about real
footage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalSample, Truth
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark, Reader
from emotion_llama.labels import MERR9
from emotion_llama.media.text_file import read_text
from emotion_llama.predictors.base import Task
from emotion_llama.prompts.tasks import pick_instruction


class _ClipPlan(BaseModel):
    """What plans.jsonl says of one clip, as far as the evaluation needs it."""

    model_config = ConfigDict(strict=True)

    id: str
    split: str
    label: str
    face_label: str | None
    voice_label: str | None
    words_label: str | None
    conflict: str | None
    missing: list[str]
    person: str
    text: str
    duration_seconds: float
    fps: float

    def sample(self) -> EvalSample:
        alone = {"face": self.face_label, "voice": self.voice_label, "words": self.words_label}
        return EvalSample(
            self.id, Truth(label=self.label), None, None if "no_words" in self.missing else self.text, self.person,
            frame_count=round(self.duration_seconds * self.fps),
            note=f"conflict: {self.conflict}" if self.conflict else " and ".join(self.missing),
            parts=("conflict/all",) * bool(self.conflict) + ("missing/all",) * bool(self.missing),
            alone={name: label for name, label in alone.items() if label is not None} if self.conflict else {},
        )  # fmt: skip


def plans_of(split: str | None) -> Reader:
    """Reads the clips of a split, in the order of the plans; all clips where none is given."""

    def read(path: Path) -> Iterator[EvalSample]:
        try:
            plans = [_ClipPlan.model_validate_json(line) for line in read_text(path, None).splitlines() if line.strip()]
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{path}: not a clip plan: {first['loc']}: {first['msg']}") from None
        splits = sorted({plan.split for plan in plans})
        if not plans or split not in (None, *splits):
            there = ", ".join(splits) or "none"
            raise InputError(f"{path.parent} holds no clip of split {split!r} (splits: {there})")
        yield from (plan.sample() for plan in plans if split in (None, plan.split))

    return read


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
