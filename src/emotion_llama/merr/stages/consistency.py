"""Stage consistency: whether a description comes to its label, last, on its clues; which modalities disagree.

The judgement is by rules on the text, with the words for labels and cues of `rules.wording` (see
`rules.clues` for what a lexicon can and cannot tell). What stands in quotation marks, or is the clip's own
subtitle, is what the person says and no claim; words in quotation marks that are not said are a problem of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

from emotion_llama.chat.questions import Facts, Language, Question
from emotion_llama.chat.records import Answer
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.annotators import Annotator
from emotion_llama.merr.recipe import ConsistencyPart
from emotion_llama.merr.records import Field, Json, Provenance, label_of, list_of, now, part
from emotion_llama.merr.stage import StageInput, StageOutput
from emotion_llama.merr.stages.captions import clues_of
from emotion_llama.merr.stages.descriptions import AskingStage, answer_texts
from emotion_llama.merr.stages.evidence import EVIDENCE, measured_of
from emotion_llama.merr.stages.labels import judge, label_rules
from emotion_llama.results import Evidence
from emotion_llama.rules.clues import cues_in, find_problems, without_quotations
from emotion_llama.rules.reasoning import holds_label
from emotion_llama.rules.scoring import source_sums
from emotion_llama.rules.wording import Wording, wording

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

Findings: TypeAlias = dict[str, Any]  # JSON values; `check_text` says which

# Labels that are next to each other: observers and rules take one for the other on one face (fear and surprise, anger
# and disgust: Ekman & Friesen, JPSP 17(2), 1971; the rest is our own: raised brows belong to surprise, worry and doubt
# alike, and surprise has no valence), so that a face of one with words of the other contradicts nothing.
NEIGHBOURS = frozenset(
    frozenset(pair.split())
    for pair in (
        "fear surprise", "angry disgust", "fear worried", "sad worried", "doubt worried", "angry contempt",
        "contempt disgust", "contempt doubt", "happy surprise", "surprise worried", "doubt surprise",
    )
)  # fmt: skip

# Log-odds from which a modality speaks clearly enough to contradict another. Own, by the weights' scale (0.3 a hint, 1
# a clear cue: `rules.rule_tables`): a face and a voice are measured and can be misread, and have to be clear;
# words are read as they stand, and half of that will do. A face or voice that speaks half as much for a label far from
# its first one is not clear.
CLEAR = {"face": 1.0, "voice": 1.0, "words": 0.5}
CLEAR_LEAD = 0.5

# Times the threshold that a face's mean has to reach to contradict a given label. Own, measured on 146 rendered clips
# (22 whose face contradicts their label): 8 of 9 flags are right from here on, 14 of 26 from the threshold on.
CLEAR_SCORE = 1.5

_ONE_WORD = 4  # characters of Chinese that may be one word: 兴高采烈

# Problems; details follow behind a colon, so that clips can be counted by what stands before it.
NOT_NAMED = "the description does not come to the label"
TOO_EARLY = "the label is named before the last sentence"
UNGROUNDED = "too many cues were not given"
INVENTED_QUOTE = "words are quoted that nobody said"
NO_CUES = "no cue is named"
NO_FINE_CAPTION = "no fine description"  # why there is nothing to check
JUDGED = "the judge finds that it does not hold"


def check_text(
    text: str, label: str, clues: Mapping[str, str], language: Language, choices: ConsistencyPart
) -> Findings:
    """What the rules find of a description: the value of the field `consistency`.

    Args:
        text: the description.
        label: the clip's.
        clues: what was given: modality -> description, the subtitle among them.
        language: of both.
        choices: which findings are problems.

    Returns:
        `names_label`: the description comes to the clip's label; `label_at_end`: it is not named before the last
        sentence; `grounded_share` of the cues it names that were given, None when it names none; the `ungrounded` ones;
        `problems`: what is wrong with it, empty when it holds; `judge`: who judged beyond the rules, None for nobody.
    """
    words, subtitle = wording(language), clues.get("subtitle", "")
    claims = without_quotations(text)
    # The subtitle is no claim where it stands unmarked; one word is no quotation ("sad" as all that is said).
    if len(subtitle.split()) > 1 or (not subtitle.isascii() and len(subtitle) > _ONE_WORD):
        claims = claims.replace(subtitle, " ")
    sentences = split_sentences(claims, words)
    last = sentences[-1] if sentences else ""
    names_label = holds_label(claims, label, words)
    at_end = not any(holds_label(sentence, label, words) for sentence in sentences[:-1])
    named = cues_in(claims, words)
    found = find_problems(claims, clues.values(), subtitle, language)
    ungrounded = [problem.words for problem in found if problem.kind == "cue"]
    share = None if not named else 1 - len(ungrounded) / len(named)
    invented = [p.words for p in find_problems(text, clues.values(), subtitle, language) if p.kind == "quote"]
    problems = []
    if not names_label:
        others = [other for other in words.label_words if other != label and holds_label(last, other, words)]
        problems.append(NOT_NAMED + (f": {label}, but {', '.join(others)}" if others else f": {label}"))
    if not at_end and choices.require_label_last:
        problems.append(f"{TOO_EARLY}: {label}")
    if share is not None and share < choices.min_grounded_share:
        problems.append(f"{UNGROUNDED}: {', '.join(ungrounded)}")
    if share is None and choices.require_cues:
        problems.append(NO_CUES)
    if invented:
        problems.append(f"{INVENTED_QUOTE}: {', '.join(invented)}")
    return {
        "names_label": names_label, "label_at_end": at_end, "grounded_share": share, "ungrounded": ungrounded,
        "problems": problems, "judge": None,
    }  # fmt: skip


def split_sentences(text: str, words: Wording) -> list[str]:
    """Sentences, in order; a full stop within a number ends none."""
    ends = re.escape(words.sentence_ends)
    parts = re.split(rf"(?<=[{ends}])(?!\d)", text)
    return [part.strip() for part in parts if part.strip(f"{words.sentence_ends} \n")]


def find_conflicts(
    evidence: Evidence, space: LabelSpace, given_label: str | None = None, face_label: str | None = None
) -> list[dict[str, Json]]:
    """Modalities that clearly speak for labels far from each other, by the rules: a smile with angry words."""
    tops = {}
    for source, sums in source_sums(evidence).items():
        label = _clear_label(source, {name: weight for name, weight in sums.items() if name in space.labels})
        if label is not None:
            tops[source] = label
    found = [
        _conflict(first, tops[first], second, tops[second])
        for first, second in combinations(tops, 2)
        if _contradict(tops[first], tops[second])
    ]
    if given_label is not None and face_label is not None and _contradict(given_label, face_label):
        found.append(_conflict("label", given_label, "face", face_label))
    return found


def _clear_label(source: str, sums: Mapping[str, float]) -> str | None:
    """The label that one modality clearly speaks for; None for none, or for neutral, which contradicts nothing."""
    top = max(sums, key=lambda label: sums[label], default=None)
    if top is None or top == "neutral" or sums[top] < CLEAR[source]:
        return None
    rivals = (weight for label, weight in sums.items() if label != "neutral" and _contradict(label, top))
    is_clear = source == "words" or max(rivals, default=0.0) < CLEAR_LEAD * sums[top]
    return top if is_clear else None


def _contradict(first: str, second: str) -> bool:
    return first != second and frozenset((first, second)) not in NEIGHBOURS


def _conflict(first: str, first_label: str, second: str, second_label: str) -> dict[str, Json]:
    verb = "say" if first == "words" else "is" if first == "label" else "says"
    other = "say" if second == "words" else "says"
    return {
        "first": first,
        "first_label": first_label,
        "second": second,
        "second_label": second_label,
        "text": f"the {first} {verb} {first_label}, the {second} {other} {second_label}",
    }


# --- the stage --------------------------------------------------------------------------------------------------------


class ConsistencyStage(AskingStage):
    """Fields conflicts and consistency (`Consistency`, a language each).

    A description with a problem, in any language, takes the clip out of the fine part; conflicts never do.
    """

    name = "consistency"
    version = 3
    task = "check"
    needs = (
        "evidence", "subtitle", "pseudo_label", "visual_expression", "visual_objective", "audio_tone", "fine_caption",
    )  # fmt: skip
    reads_artifacts = (EVIDENCE,)
    field_names = ()  # a judge that cannot judge is an error

    def __init__(self, recipe: Recipe, judge: Annotator | None = None) -> None:
        if judge is not None:
            self.asks(judge)
        self.part, self.languages = recipe.consistency, recipe.languages
        self.space, self.labels = recipe.space, recipe.pseudo_label
        self.settings = {
            **self.part.model_dump(mode="json"),
            "languages": list(self.languages),
            "label_space": recipe.label_space,
            "labels": self.labels.model_dump(mode="json"),
            "judge": None if judge is None else judge.facts,
        }

    def plan(self, item: StageInput, language: Language) -> Question | tuple[Field, ...]:
        """See `AskingStage`; by the rules alone where there is no judge."""
        text = item.value("fine_caption", language)
        if text is None:
            why = item.why_missing("fine_caption", language) or NO_FINE_CAPTION
            return (Field(self.name, None, self._by_rules(), language, why),)
        if self.annotator is None:
            return (Field(self.name, self._check(item, language), self._by_rules(), language),)
        facts = Facts(
            evidence=measured_of(item).evidence,
            label=label_of(item),
            clues=clues_of(item, language),
            text=str(text),
        )
        return Question("check", language, facts, labels=self.space.labels)

    def fields_of(self, item: StageInput, answer: Answer, language: Language) -> tuple[Field, ...]:
        """See `AskingStage`."""
        problems = "; ".join(map(str, answer_texts(answer, "problems")))
        added = [] if answer.values["holds"] else [f"{JUDGED}: {problems}" if problems else JUDGED]
        found = self._check(item, language)
        found = {**found, "problems": [*found["problems"], *added], "judge": answer.model}
        rules, asked = self._by_rules(), self.provenance_of(answer, label_shown=True)
        source = replace(
            asked, annotator=f"{rules.annotator}, {asked.annotator}", model=f"{rules.model}, {asked.model}"
        )
        return (Field(self.name, found, source, language),)

    def finish(self, item: StageInput, fields: Sequence[Field]) -> StageOutput:
        """See `AskingStage`."""
        problems = [str(problem) for field in fields for problem in list_of(part(field.value, "problems"))]
        conflicts = Field("conflicts", [*self._conflicts(item)], self._by_rules())
        return StageOutput((conflicts, *fields), drop=(problems[0].partition(":")[0], "fine") if problems else None)

    def _by_rules(self) -> Provenance:
        return Provenance("rules", f"consistency {self.version}", label_shown=True, made_at=now())

    def _check(self, item: StageInput, language: Language) -> Findings:
        label, text = label_of(item) or "", str(item.value("fine_caption", language))
        found = check_text(text, label, clues_of(item, language), language, self.part)
        own = part(item.value("clues", language), "label")
        if own in (None, label):
            return found
        return {**found, "problems": [f"{NOT_NAMED}: {label}, but its answer says {own}", *found["problems"]]}

    def _conflicts(self, item: StageInput) -> list[Json]:
        evidence = measured_of(item).evidence
        given = label_of(item) if part(item.value("label"), "source") == "given" else None
        face = None
        if given is not None and evidence.action_units is not None and evidence.action_units.valid.any():
            rules = label_rules(self.labels.table, self.space, self.labels.own_table)
            found = judge(Evidence(evidence.action_units, evidence.peak_frame), rules, self.labels, self.space)[0]
            # Neutral has no score, and a faint expression can be misread: neither contradicts who gave the label.
            if found is not None and (found["score"] or 0.0) >= CLEAR_SCORE * self.labels.threshold:
                face = found["label"]
        return [*find_conflicts(evidence, self.space, given, face)]
