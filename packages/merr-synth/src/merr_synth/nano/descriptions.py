"""What a model is to say of measured evidence: a caption and reasons that name nothing but told cues.

The sentences are those of the annotator `rules`, made anew without what the cues do not tell: no description of the
picture, no figures, no unit beyond those of `prompts.cues`. What is said is not quoted, for a model of two million
parameters copies words badly (10 of 76 quotations were right), but told by what it speaks of. So everything that a
model learns to say can be read in its prompt, and a cue that it names and that was not measured is a mistake of the
model, never of its teacher.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from emotion_llama.chat.questions import Facts
from emotion_llama.face.peak import SPEECH_UNITS
from emotion_llama.merr.stages.captions import coarse_caption
from emotion_llama.prompts.cues import is_talking, named_units
from emotion_llama.results import Evidence
from emotion_llama.rules.clues import Clue, find_clues
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.reasoning import reason, sort_clues
from emotion_llama.rules.rule_tables import FACE_TABLES
from emotion_llama.rules.tone_text import describe_voice
from emotion_llama.rules.wording import pick, wording

# What is answered where nothing was measured: it names no feeling.
NOTHING = (
    "There is no evidence: no face was seen, no voice was heard and no words are known, so no feeling can be told."
)
_LANGUAGE, _TABLE = "en", "published"
_QUOTED = "“[^”]*”(?:(?:,| and|, and) “[^”]*”)*"
# As `wording.en` puts quotations: among other clues, with what they would suggest; and in a sentence of their own.
_CLAUSE = re.compile(rf"the person says {_QUOTED}(?:, which(?: alone)? would suggest \w+)?")
_SENTENCE = re.compile(rf" ?(?:The person says|The words spoken are) {_QUOTED}\.")


class Descriptions(NamedTuple):
    """A clip in words.

    Attributes:
        coarse: MERR's caption without the clause on the picture: face, tone of voice, words.
        fine: the reasons, with the label in the last sentence.
    """

    coarse: str
    fine: str


def describe(evidence: Evidence, label: str, *, variant: int = 0) -> Descriptions:
    """Caption and reasons for a label; both are `NOTHING` where there is no evidence.

    Args:
        evidence: of one person in one segment.
        label: what is true of the person.
        variant: chooses among wordings.
    """
    units, clues = _expressive_units(evidence), _clues(evidence, variant)
    facts = Facts(evidence, units, label=label, clues=clues)
    found = find_clues(facts, _LANGUAGE, FACE_TABLES[_TABLE])
    if not found:
        return Descriptions(NOTHING, NOTHING)
    # `is_given=False`: what the model reads has no label, so that its answer cannot speak of one.
    text = reason(sort_clues(found, label), label, facts, _LANGUAGE, variant=variant, is_given=False)
    spoken = _spoken([clue for clue in found if clue.source == "words"])
    return Descriptions(_caption(clues, spoken), _unquoted(text, spoken))


def _expressive_units(evidence: Evidence) -> dict[str, float]:
    talks = is_talking(evidence)
    return {name: x for name, x in named_units(evidence).items() if not (talks and name in SPEECH_UNITS)}


def _clues(evidence: Evidence, variant: int) -> dict[str, str]:
    """Modality -> its description, of those that were measured."""
    clues = {}
    if evidence.peak_frame is not None:
        phrases = expression_phrases(_expressive_units(evidence), variant=variant, language=_LANGUAGE)
        clues["visual_expression"] = ", ".join(phrases) or pick(wording(_LANGUAGE).at_rest, variant)
    tone = describe_voice(None, evidence.tone, None, _LANGUAGE, variant)
    if tone is not None:
        clues["audio_tone"] = wording(_LANGUAGE).reason["voice"][0].format(tone=tone)
    said = "" if evidence.transcript is None else " ".join(evidence.transcript.text.split())
    return {**clues, "subtitle": said} if said else clues


def _spoken(clues: Sequence[Clue]) -> str | None:
    """What is said in one clause without its words; None where nothing is said."""
    if not clues:
        return None
    weights: dict[str, float] = {}
    for clue in clues:
        for label, weight in clue.weights.items():
            weights[label] = weights.get(label, 0.0) + weight
    moods = wording(_LANGUAGE).moods
    best = max(weights, key=lambda label: (weights[label], label), default=None)
    if best is None or weights[best] <= 0 or best not in moods:
        return "the words tell no feeling"
    return f"the words speak of {moods[best]}"


def _caption(clues: dict[str, str], spoken: str | None) -> str:
    caption = coarse_caption({name: text for name, text in clues.items() if name != "subtitle"}, _LANGUAGE)
    told = "" if spoken is None else f"{spoken[0].upper()}{spoken[1:]}."
    return " ".join(part for part in (caption, told) if part)


def _unquoted(text: str, spoken: str | None) -> str:
    """The reasons with `spoken` in place of quotations."""
    if spoken is None:
        return text
    told = _SENTENCE.sub(f" {spoken[0].upper()}{spoken[1:]}.", _CLAUSE.sub(spoken, text))
    return told.strip()
