"""MERR-Synth: rendered clips with known truth, as `merr-synth render` writes them.

Files: plans.jsonl, clips/ID.mp4. Clips of one rendered person are drawn together in intervals. Scores are also given
for clips whose modalities conflict, for clips without sound, face or words, and, of conflicting clips, for how often
the answer is what the face, the voice or the words alone would say. A figure on rendered clips says nothing about real
footage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.parsers import check_parser, tell_label
from emotion_llama.evaluation.records import Ask, Case, Figure, FileProblem, Reply, Result, Truth
from emotion_llama.evaluation.scoring import LabelScorer, Run
from emotion_llama.labels import MERR9
from emotion_llama.prompts.tasks import pick_instruction

MODALITIES = ("face", "voice", "words")
_LABELS = LabelScorer(MERR9, MERR9, ("uar", "accuracy", "weighted_f1", "macro_f1", "micro_f1"))


class ClipPlan(BaseModel):
    """What plans.jsonl says of one clip, as far as scoring needs it."""

    model_config = ConfigDict(strict=True, frozen=True)

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

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        return round(self.duration_seconds * self.fps)


def read_plans(path: Path) -> list[ClipPlan]:
    """All plans of a rendered data set.

    Raises:
        InputError: the file cannot be read, or a line is no plan.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [ClipPlan.model_validate_json(line) for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a plans.jsonl of `merr-synth render`") from None
    except ValidationError as error:
        raise InputError(f"{path}: not a clip plan: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None


@dataclass(frozen=True)
class SynthFiles:
    """A rendered data set, one of its splits."""

    folder: Path
    split: str | None

    @cached_property
    def plans(self) -> Mapping[str, ClipPlan]:
        """Plans of the split by clip; InputError where they cannot be read, or none is of the split."""
        plans = read_plans(self.folder / "plans.jsonl")
        chosen = {plan.id: plan for plan in plans if self.split in (None, plan.split)}
        if not chosen:
            there = ", ".join(sorted({plan.split for plan in plans})) or "none"
            raise InputError(f"{self.folder} holds no clip of split {self.split!r} (splits: {there})")
        return chosen

    def cases(self) -> list[Case]:
        """Clips of the split, in the order of the plans.

        Raises:
            InputError: the plans cannot be read, or none is of the split.
        """
        clips = files.find_clips([self.folder / "clips"])
        return [
            Case(
                plan.id,
                Truth(label=plan.label),
                clips.get(plan.id),
                None if "no_words" in plan.missing else plan.text,
                group=plan.person,
                frame_count=plan.num_frames,
                note=_note(plan),
            )
            for plan in self.plans.values()
        ]

    def check(self) -> list[FileProblem]:
        """Plans that were not rendered, or whose clip has another length."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        return [*files.media_problems(cases, self.folder), *files.release_problems(cases, self.folder)]


def _note(plan: ClipPlan) -> str:
    if plan.conflict:
        return f"conflict: {plan.conflict}"
    return " and ".join(plan.missing)


@dataclass(frozen=True)
class SynthScorer:
    """`LabelScorer`, and what answers follow where modalities conflict."""

    source: SynthFiles

    def score(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> Result:
        """Parts beyond `LabelScorer`'s: "conflict/all", "missing/all", and "follows" (shares of conflicting clips)."""
        result = _LABELS.score(cases, replies, run)
        parts = dict(result.parts)
        plans = self.source.plans
        for name, chosen in (
            ("conflict/all", [case for case in cases if plans[case.case_id].conflict]),
            ("missing/all", [case for case in cases if plans[case.case_id].missing]),
        ):
            if chosen:
                plain = replace(run, intervals=replace(run.intervals, num_resamples=0))
                parts[name] = _LABELS.score(chosen, replies, plain).figures
        if follows := self._follows(cases, replies, run):
            parts["follows"] = follows
        return replace(result, parts=parts)

    def _follows(self, cases: Sequence[Case], replies: Mapping[str, Reply], run: Run) -> tuple[Figure, ...]:
        parser, plans = check_parser(run.parser), self.source.plans
        conflicting = [case for case in cases if plans[case.case_id].conflict]
        figures = []
        for modality in MODALITIES:
            shown = [(case, getattr(plans[case.case_id], f"{modality}_label")) for case in conflicting]
            told = [
                (tell_label(replies.get(case.case_id), parser, MERR9, MERR9).label, label)
                for case, label in shown
                if label is not None
            ]
            if told:
                figures.append(Figure(modality, sum(answer == label for answer, label in told) / len(told)))
        return tuple(figures)


def merr_synth(folder: Path, *, split: str | None = "test") -> Benchmark:
    """MERR-Synth.

    Args:
        folder: that `merr-synth render` wrote.
        split: "train", "validation", "test"; None takes all.
    """
    source = SynthFiles(folder, split)
    return Benchmark(
        name="merr-synth",
        version=f"1 ({split or 'all splits'})",
        kind="label",
        ask=Ask("emotion", pick_instruction("emotion"), MERR9.labels),
        folder=folder,
        primary="uar",
        source=source,
        scorer=SynthScorer(source),
    )
