"""Stages consistency, balance and splits: what holds, how many stay, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from emotion_llama.chat.questions import Answer, Facts, Language, Question
from emotion_llama.errors import AnnotationError, EmotionLlamaError
from emotion_llama.merr.balance import Look, near_duplicates, over_caps
from emotion_llama.merr.consistency import NOT_NAMED, check_text, find_conflicts, judged
from emotion_llama.merr.label_rules import label_rules
from emotion_llama.merr.pseudo_labels import judge
from emotion_llama.merr.records import (
    Consistency,
    Drop,
    Field,
    Json,
    Provenance,
    PseudoLabel,
    StageInput,
    StageOutput,
    from_json,
    to_json,
)
from emotion_llama.merr.splits import assign
from emotion_llama.merr.stage import Results, Stage
from emotion_llama.merr.stages.asked import Respondent, provenance_of
from emotion_llama.merr.stages.captions import clues_of
from emotion_llama.merr.stages.common import EVIDENCE, chance, field, measured_of, now

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

NO_FINE_CAPTION = "no fine description"
NEAR_DUPLICATE = "near duplicate of another clip"
# Times the threshold that a face's mean has to reach to contradict a given label. Own, measured on 146 rendered clips
# (22 whose face contradicts their label): 8 of 9 flags are right from here on, 14 of 26 from the threshold on.
CLEAR_SCORE = 1.5
OVER_CAP = "more clips of its label than wanted"


class ConsistencyStage(Stage):
    """Fields conflicts and consistency (`Consistency`, a language each).

    A description with a problem, in any language, takes the clip out of the fine part; conflicts never do.
    """

    name = "consistency"
    version = 3
    needs = (
        "evidence", "subtitle", "pseudo_label", "visual_expression", "visual_objective", "audio_tone", "fine_caption",
    )  # fmt: skip
    reads_artifacts = (EVIDENCE,)
    reads_clip = ()

    def __init__(self, recipe: Recipe, judge: Respondent | None = None) -> None:
        self.part, self.languages = recipe.consistency, recipe.languages
        self.space, self.labels = recipe.space, recipe.pseudo_label
        self.judge = judge
        if judge is not None:
            self.pool, self.batch_size = judge.pool, judge.annotator.batch_size
        self.settings = {
            **self.part.model_dump(mode="json"),
            "languages": list(self.languages),
            "label_space": recipe.label_space,
            "labels": self.labels.model_dump(mode="json"),
            "judge": None if judge is None else judge.settings,
        }

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        results: Results = []
        verdicts = iter(self._ask(items))
        for item in items:
            try:
                answers = {lang: next(verdicts) for lang in self._asked(item)}
                results.append(self._one(item, answers))
            except EmotionLlamaError as error:  # noqa: PERF203  (one clip's error is its own)
                results.append(error)
        return results

    def _asked(self, item: StageInput) -> list[Language]:
        if self.judge is None:
            return []
        return [language for language in self.languages if item.value("fine_caption", language) is not None]

    def _ask(self, items: Sequence[StageInput]) -> list[Answer | AnnotationError]:
        questions = [self._question(item, language) for item in items for language in self._asked(item)]
        return self.judge.annotator.answer(questions) if self.judge is not None and questions else []

    def _question(self, item: StageInput, language: Language) -> Question:
        facts = Facts(
            evidence=measured_of(item).evidence,
            label=from_json(PseudoLabel, item.value("label")).label,
            clues=clues_of(item, language),
            text=str(item.value("fine_caption", language)),
        )
        return Question("check", language, facts, labels=self.space.labels)

    def _one(self, item: StageInput, answers: Mapping[Language, Answer | AnnotationError]) -> StageOutput:
        label = from_json(PseudoLabel, item.value("label"))
        provenance = Provenance("rules", f"consistency {self.version}", label_shown=True, made_at=now())
        fields = [self._conflicts(item, label, provenance)]
        problems: list[str] = []
        for language in self.languages:
            text = item.value("fine_caption", language)
            if text is None:
                why = item.why_missing("fine_caption", language) or NO_FINE_CAPTION
                fields.append(Field(self.name, None, provenance, language, why))
                continue
            found = check_text(str(text), label.label, clues_of(item, language), language, self.part)
            found = _with_own_label(found, item.value("clues", language), label.label)
            source = provenance
            if language in answers:
                found, source = self._with_judgement(found, answers[language], provenance)
            problems += found.problems
            fields.append(Field(self.name, to_json(found), source, language))
        drop = Drop(problems[0].partition(":")[0], "fine") if problems else None
        return StageOutput(tuple(fields), drop=drop)

    def _conflicts(self, item: StageInput, label: PseudoLabel, provenance: Provenance) -> Field:
        evidence = measured_of(item).evidence
        given = label.label if label.source == "given" else None
        face = None
        if given is not None and evidence.action_units is not None and evidence.action_units.valid.any():
            rules = label_rules(self.labels.table, self.space, self.labels.own_table)
            found_face = judge(evidence.action_units, rules, self.labels).label
            # Neutral has no score, and a faint expression can be misread: neither contradicts who gave the label.
            if found_face is not None and (found_face.score or 0.0) >= CLEAR_SCORE * self.labels.threshold:
                face = found_face.label
        found = find_conflicts(evidence, self.space, given, face)
        return Field("conflicts", to_json(found), provenance)

    def _with_judgement(
        self, found: Consistency, answer: Answer | AnnotationError, rules: Provenance
    ) -> tuple[Consistency, Provenance]:
        assert self.judge is not None
        if isinstance(answer, AnnotationError):
            raise answer
        holds, problems = answer.values.get("holds"), answer.values.get("problems", ())
        if not isinstance(holds, bool) or not isinstance(problems, (list, tuple)):
            raise AnnotationError("malformed", "expected 'holds' as true or false and 'problems' as texts")
        asked = provenance_of(self.judge, answer, label_shown=True)
        both = replace(asked, annotator=f"{rules.annotator}, {asked.annotator}", model=f"{rules.model}, {asked.model}")
        return judged(found, holds, [str(problem) for problem in problems], answer.model), both


def _with_own_label(found: Consistency, clues: Json, label: str) -> Consistency:
    """The findings, with one more where the annotator itself says that it came to another label."""
    own = clues.get("label") if isinstance(clues, dict) else None
    if own in (None, label):
        return found
    return replace(found, problems=(f"{NOT_NAMED}: {label}, but its answer says {own}", *found.problems))


class BalanceStage(Stage):
    """Drops near duplicates and what a label has too many of; see `balance.py`."""

    name = "balance"
    version = 2
    needs = ("subtitle", "pseudo_label", "peak", "coarse_caption")
    reads_clip = ()
    sees_all = True

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.seed = recipe.balance, recipe.seed
        self.settings = {**self.part.model_dump(mode="json"), "seed": self.seed}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        looks = [self._look(item) for item in items]
        twice = near_duplicates(looks, self.part.max_hash_distance) if self.part.near_duplicates else {}
        left = [look for look in looks if look.clip_id not in twice]
        over = over_caps(left, self.part.max_per_label, self.part.max_share)
        return [StageOutput(drop=_drop(look.clip_id, twice, over)) for look in looks]

    def _look(self, item: StageInput) -> Look:
        clip, words = item.clip, item.value("subtitle")
        label = from_json(PseudoLabel, item.value("label"))
        peak = item.value("peak")
        face_hash = peak.get("face_hash") if isinstance(peak, dict) else None
        return Look(
            clip.clip_id,
            label.label,
            str(words["text"]) if isinstance(words, dict) else "",
            clip.duration_seconds,
            face_hash if isinstance(face_hash, str) else None,
            1.0 if label.confidence is None else label.confidence,
            (clip.width or 0) * (clip.height or 0),
            chance(self.seed, "balance", clip.sha256 or clip.clip_id),
        )


class SplitsStage(Stage):
    """Field split; see `splits.py`."""

    name = "splits"
    needs = ("balance",)
    reads_clip = ("source", "person", "given_split")
    sees_all = True

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.seed = recipe.splits, recipe.seed
        self.settings = {**self.part.model_dump(mode="json"), "seed": self.seed}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`; InputError where given splits divide a person or a source."""
        shares = {"train": self.part.train, "validation": self.part.validation, "test": self.part.test}
        found = assign([item.clip for item in items], shares, self.seed)
        made = now()
        return [
            StageOutput((field("split", split, _split_provenance(item, made), None),))
            for item, split in zip(items, found, strict=True)
        ]


def _split_provenance(item: StageInput, made_at: str) -> Provenance:
    given = item.clip.given_split is not None
    return Provenance("given" if given else "rules", "with the clip" if given else "groups by hash", made_at=made_at)


def _drop(clip_id: str, twice: Mapping[str, str], over: set[str]) -> Drop | None:
    if clip_id in twice:
        return Drop(f"{NEAR_DUPLICATE}: {twice[clip_id]}")
    return Drop(OVER_CAP) if clip_id in over else None
