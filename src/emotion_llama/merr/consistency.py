"""Whether a fine description holds (comes to the label, last, on the clues given); which modalities disagree. Pure.

The judgement is by rules on the text, with the words for labels and cues of `annotators.wording`: a lexicon, not a
reader. A cue it does not know is not judged, a cue in other words than the clue's counts as the same where the lexicon
knows both. What stands in quotation marks, or is the clip's own subtitle, is what the person says and no claim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations

from emotion_llama.annotators.annotator import Language
from emotion_llama.annotators.explain import disagreement
from emotion_llama.annotators.rules import RulesReader
from emotion_llama.annotators.wording import Wording, wording
from emotion_llama.labels import LabelSpace
from emotion_llama.merr.fields import Conflict, Consistency
from emotion_llama.merr.recipe_parts import ConsistencyPart
from emotion_llama.records import Evidence

# Problems; details follow behind a colon, so that clips can be counted by what stands before it.
NOT_NAMED = "the description does not come to the label"
TOO_EARLY = "the label is named before the last sentence"
UNGROUNDED = "too many cues were not given"
NO_CUES = "no cue is named"
JUDGED = "the judge finds that it does not hold"
_QUOTED = re.compile('["\u201c\u300c\u300e][^"\u201d\u300d\u300f]*["\u201d\u300d\u300f]')


def check_text(
    text: str, label: str, clues: Mapping[str, str], language: Language, part: ConsistencyPart
) -> Consistency:
    """What the rules find of a description.

    Args:
        text: the description.
        label: the clip's.
        clues: what was given: modality -> description, the subtitle among them.
        language: of both.
        part: which findings are problems.
    """
    words = wording(language)
    claims = without_quotes(text, clues.get("subtitle", ""))
    sentences = split_sentences(claims, words)
    last = sentences[-1] if sentences else ""
    names_label = names(claims, label, words)
    at_end = not any(names(sentence, label, words) for sentence in sentences[:-1])
    named = cues_in(claims, words)
    given = {cue for clue in clues.values() for cue in cues_in(clue, words)}
    ungrounded = tuple(found for cue, found in named.items() if cue not in given)
    share = None if not named else 1 - len(ungrounded) / len(named)
    problems = []
    if not names_label:
        others = [other for other in words.label_words if other != label and names(last, other, words)]
        problems.append(NOT_NAMED + (f": {label}, but {', '.join(others)}" if others else f": {label}"))
    if not at_end and part.require_label_last:
        problems.append(f"{TOO_EARLY}: {label}")
    if share is not None and share < part.min_grounded_share:
        problems.append(f"{UNGROUNDED}: {', '.join(ungrounded)}")
    if share is None and part.require_cues:
        problems.append(NO_CUES)
    return Consistency(names_label, at_end, share, ungrounded, tuple(problems))


def names(text: str, label: str, words: Wording) -> bool:
    """Whether a text names a label, itself or by another word for it."""
    for word in (label, *words.label_words.get(label, ())):
        # Chinese has no blanks between words; English words have edges.
        pattern = rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word)
        if re.search(pattern, text, re.IGNORECASE | re.ASCII):
            return True
    return False


def cues_in(text: str, words: Wording) -> dict[str, str]:
    """Concept -> the words that name it, in the order of the lexicon; what the text denies is left out."""
    found = {}
    for cue, pattern in words.cues.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if not re.search(words.negations, text[: match.start()], re.IGNORECASE):
                found[cue] = match.group(0)
                break
    return found


def split_sentences(text: str, words: Wording) -> list[str]:
    """Sentences, in order; a full stop within a number ends none."""
    ends = re.escape(words.sentence_ends)
    parts = re.split(rf"(?<=[{ends}])(?!\d)", text)
    return [part.strip() for part in parts if part.strip(f"{words.sentence_ends} \n")]


def without_quotes(text: str, subtitle: str) -> str:
    """The text without what it quotes."""
    bare = _QUOTED.sub(" ", text)
    return bare.replace(subtitle, " ") if subtitle else bare


def find_conflicts(
    evidence: Evidence, space: LabelSpace, given_label: str | None = None, face_label: str | None = None
) -> list[Conflict]:
    """Modalities that speak for different labels, as the rules reader reads them; a smile with angry words, say.

    Args:
        evidence: of the main person.
        space: labels to tell apart.
        given_label: a label that came with the clip; None for a measured one.
        face_label: the label that the units speak for by the pseudo-label's rule; None for none.
    """
    tops = disagreement(RulesReader(label_space=space).read(evidence).cues)
    found = [
        _conflict(first, tops[first], second, tops[second])
        for first, second in combinations(tops, 2)
        if tops[first] != tops[second]
    ]
    if given_label is not None and face_label not in (None, given_label):
        found.append(_conflict("label", given_label, "face", str(face_label)))
    return found


def judged(found: Consistency, holds: bool, problems: Sequence[str], judge: str) -> Consistency:
    """The findings with those of a second judge."""
    added = () if holds else (f"{JUDGED}: {'; '.join(problems)}" if problems else JUDGED,)
    return Consistency(
        found.names_label,
        found.label_at_end,
        found.grounded_share,
        found.ungrounded,
        (*found.problems, *added),
        judge,
    )


def _conflict(first: str, first_label: str, second: str, second_label: str) -> Conflict:
    verb = "say" if first == "words" else "is" if first == "label" else "says"
    other = "say" if second == "words" else "says"
    return Conflict(
        first,
        first_label,
        second,
        second_label,
        f"the {first} {verb} {first_label}, the {second} {other} {second_label}",
    )
