"""Whether a model's reasons name what was measured: cues told and named, cues invented, quotations that were said.

Cues are concepts of the lexicon (`annotators.grounding`), read back from text; what stands in quotation marks is no
claim about face or voice. Of a clip are told: the units of its peak frame that a description names (`PRESENT` and more,
without those that talking moves), a face at rest, and the words of its tone. A concept that a text names is invented
where neither the prompt tells of it, be it ever so weak, nor any wording of this project's captions of the same
evidence holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from emotion_llama.face.label_units import PRESENT
from emotion_llama.face.peak import SPEECH_UNITS
from emotion_llama.prompts.cues import is_talking, named_units
from emotion_llama.records import Tone
from emotion_llama.results import Evidence
from emotion_llama.rules.clues import CUE_UNITS, cues_in, find_problems, quotations, without_quotations
from emotion_llama.rules.wording import wording
from merr_synth.nano.descriptions import describe

AT_REST = "face at rest"
# Wordings come round after at most four; twelve variants hold all pairs of what goes round by two, three and four.
VARIANTS = 12
STILL = 0.3  # intensity of a unit, of 5, that nobody would call moving; our own
_LANGUAGE, ANY_LABEL = "en", "neutral"  # captions name no label
_UNIT_CUES: Mapping[str, tuple[str, ...]] = {
    unit: tuple(cue for cue, units in CUE_UNITS.items() if unit in units)
    for unit in sorted({unit for units in CUE_UNITS.values() for unit in units})
}


class Naming(NamedTuple):
    """One clip's reasons beside what was measured of it.

    Attributes:
        told: concepts that the prompt tells of.
        named: concepts that the reasons name.
        invented: of these, those that nothing measured bears out.
        quotations, quotations_right: how many there are, and how many of them were said.
        readings, readings_right: whether the reasons say what the words speak of (0 or 1), and whether rightly: as this
            project's lexicon reads them.
    """

    told: frozenset[str]
    named: frozenset[str]
    invented: frozenset[str]
    quotations: int
    quotations_right: int
    readings: int = 0
    readings_right: int = 0


class NamingTotals(NamedTuple):
    """Sums over clips, and their shares; a share of nothing is None.

    Attributes:
        clips: how many.
        told, named, found, invented: concepts, summed; `found` are the told ones that are named.
        quotations, quotations_right, readings, readings_right: likewise.
    """

    clips: int
    told: int
    named: int
    found: int
    invented: int
    quotations: int
    quotations_right: int
    readings: int
    readings_right: int

    @property
    def share_named(self) -> float | None:
        """Of the told cues, those that the reasons name."""
        return self.found / self.told if self.told else None

    @property
    def share_invented(self) -> float | None:
        """Of the named cues, those that are invented."""
        return self.invented / self.named if self.named else None

    @property
    def share_quoted_right(self) -> float | None:
        """Of the quotations, those that were said."""
        return self.quotations_right / self.quotations if self.quotations else None

    @property
    def share_read_right(self) -> float | None:
        """Of what the words are said to speak of, what they do speak of."""
        return self.readings_right / self.readings if self.readings else None


def judge_reasons(text: str, evidence: Evidence, told: frozenset[str], allowed: frozenset[str]) -> Naming:
    """Compare reasons with the evidence that they are of.

    Args:
        text: the reasons.
        evidence: of the clip, as it was shown.
        told: `told_cues` of it.
        allowed: `allowed_cues` of it.
    """
    words = wording(_LANGUAGE)
    named = frozenset(cues_in(without_quotations(text), words))
    said = "" if evidence.transcript is None else evidence.transcript.text
    wrong = sum(problem.kind == "quote" for problem in find_problems(text, (), said, _LANGUAGE))
    quoted = len(quotations(text))
    read = reading_in(text)
    is_right = read is not None and read == reading_in(describe(evidence, ANY_LABEL).coarse)
    return Naming(told, named, named - allowed, quoted, quoted - wrong, int(read is not None), int(is_right))


def reading_in(text: str) -> str | None:
    """What a text says that the words speak of ("anger", or "no feeling"); None where it does not say."""
    moods = "|".join(re.escape(mood) for mood in wording(_LANGUAGE).moods.values())
    found = re.search(rf"\bthe words (?:speak of ({moods})\b|tell (no feeling)\b)", text, re.IGNORECASE)
    return None if found is None else found[1] or found[2]


def total(rows: Iterable[Naming]) -> NamingTotals:
    """Sums over clips."""
    rows = list(rows)
    return NamingTotals(
        len(rows),
        sum(len(row.told) for row in rows),
        sum(len(row.named) for row in rows),
        sum(len(row.told & row.named) for row in rows),
        sum(len(row.invented) for row in rows),
        sum(row.quotations for row in rows),
        sum(row.quotations_right for row in rows),
        sum(row.readings for row in rows),
        sum(row.readings_right for row in rows),
    )


def told_cues(evidence: Evidence) -> frozenset[str]:
    """Concepts that the cues of this evidence tell of, clearly enough to be named."""
    found: set[str] = set()
    if evidence.peak_frame is not None:
        talks = is_talking(evidence)
        units = {
            name for name, x in named_units(evidence).items() if x >= PRESENT and not (talks and name in SPEECH_UNITS)
        }
        found |= cues_of_units(units) or {AT_REST}
    return frozenset(found | (set() if evidence.tone is None else cues_of_tone(evidence.tone)))


def allowed_cues(evidence: Evidence) -> frozenset[str]:
    """Concepts that may be named of this evidence: all told units, weak ones too, and what any wording of ours says."""
    words, found = wording(_LANGUAGE), set(told_cues(evidence)) | cues_of_units(named_units(evidence))
    unspoken = replace(evidence, transcript=None)  # a caption repeats the words without quotation marks
    for variant in range(VARIANTS):
        found |= set(cues_in(describe(unspoken, ANY_LABEL, variant=variant).coarse, words))
    return frozenset(found)


def cues_of_units(units: Iterable[str]) -> set[str]:
    """Concepts that action units show."""
    return {cue for unit in units for cue in _UNIT_CUES.get(unit, ())}


def cues_of_tone(tone: Tone) -> set[str]:
    """Concepts of a tone's words."""
    return _cues_of_words(tone.words or tone.phrase.removesuffix(" voice").split(", "))


def _cues_of_words(given: Iterable[str]) -> set[str]:
    words = wording(_LANGUAGE)
    texts = [text for word in given for text in words.tones.get(word, ())]
    return {cue for text in texts for cue in cues_in(f"The voice is {text}.", words)}


class CueTruth(NamedTuple):
    """What is true of a rendered clip.

    Attributes:
        shown: concepts of the face at its strongest moment and of the voice; those of the table of tone words that the
            voice clearly passes.
        absent: concepts that are surely not to be seen or heard: no unit of theirs moves at any time, blinks and speech
            counted, or the voice is clearly within the bound.
    """

    shown: frozenset[str]
    absent: frozenset[str]


def true_cues(truth: Mapping[str, Any]) -> CueTruth:  # a JSON object, see `synthetic.render.truth_of`
    """What is true of a rendered clip, by the JSON object that its rendering wrote."""
    shown: set[str] = set()
    absent: set[str] = set()
    if "no_face" not in truth["missing"]:
        names, moved = truth["unit_names"], [max(column) for column in zip(*truth["units"])]
        peak = truth["peak_all"]
        levels = [0.0] * len(names) if peak is None else truth["expression"][peak]
        present = cues_of_units(name for name, x in zip(names, levels) if x >= PRESENT)
        moving = cues_of_units(name for name, x in zip(names, moved) if x > STILL)
        shown |= present or {AT_REST}
        absent |= set(CUE_UNITS) - moving | ({AT_REST} if present else set())
    if truth["tone"] is not None:
        expected, excluded = (_cues_of_words(truth["tone"][key]) for key in ("expected", "excluded"))
        shown |= expected
        absent |= excluded - expected
    return CueTruth(frozenset(shown), frozenset(absent))
