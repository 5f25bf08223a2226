"""The answer in words: MERR's coarse sentence, and the reasons for and against.

Wording: a rule reads a face "as" something, or finds it "consistent with" something; it does not know what is felt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.records import Cue, Evidence
from emotion_llama.rules.phrases import expression_phrases

CLOSING = "This is a rule baseline: its weights are chosen, not learned, and its probabilities are not calibrated."
SOURCES: tuple[str, ...] = ("face", "voice", "words")
_SPEAKS_FOR = 0.5  # log-odds from which a source is said to speak for a label
_MOST_CUES = 2  # named on each side


def coarse_sentence(evidence: Evidence, units: Mapping[str, float]) -> str:
    """MERR's coarse description, with the clauses that were measured; empty when none was.

    Template: `docs/.../example.jpg` of Emotion-LLaMA, "This person in the video is {visual objective}. The person's
    expression and actions include {visual expression}, and the person's tone is {audio tone}. Saying: {subtitle}". What
    the scene shows (the visual objective) is not measured here, so that its sentence is left out.

    Args:
        evidence: for tone and transcript.
        units: intensities that the expression is worded from; empty when no face was read.
    """
    expression = ", ".join(expression_phrases(units)) or "no marked movement of the face" if units else None
    tone = None if evidence.tone is None else evidence.tone.phrase.strip().removesuffix(" voice").rstrip(".")
    saying = None if evidence.transcript is None else evidence.transcript.text.strip()
    clauses = [f"expression and actions include {expression}"] if expression else []
    clauses += [f"tone is {tone}"] if tone else []
    person = "The person's " + ", and the person's ".join(clauses) + "." if clauses else ""
    return " ".join(part for part in (person, f"Saying: {saying}" if saying else "") if part)


def explain(
    label: str, probabilities: Mapping[str, float], cues: Sequence[Cue], why_not: Mapping[str, str | None]
) -> str:
    """Three to five sentences: what speaks for the label, what against it, how sure, what is missing, what this is.

    Args:
        label: the answer.
        probabilities: over all labels, at least two.
        cues: with their weights as they were added.
        why_not: source -> why it gave no cue.
    """
    (_, best), (second, chance) = sorted(probabilities.items(), key=lambda item: -item[1])[:2]
    sure = f"That gives {label} a probability of {best:.2f}; the runner-up is {second} with {chance:.2f}."
    sentences = [_for(label, cues), _against(label, second, cues), sure, _silent(cues, why_not), CLOSING]
    return " ".join(sentence for sentence in sentences if sentence)


def disagreement(cues: Sequence[Cue]) -> Mapping[str, str]:
    """Source -> the label it speaks for most, if there are two sources and two labels; empty otherwise.

    A source that speaks for nothing by at least 0.5 log-odds has no voice here, and neither has neutral: a resting
    face beside angry words is one weak cue, not a contradiction.
    """
    tops: dict[str, str] = {}
    for source in SOURCES:
        sums: dict[str, float] = {}
        for cue in cues:
            if cue.source == source:
                for label, weight in cue.weights.items():
                    sums[label] = sums.get(label, 0.0) + weight
        top = max(sums, key=lambda name: sums[name], default=None)
        if top is not None and top != "neutral" and sums[top] >= _SPEAKS_FOR:
            tops[source] = top
    return tops if len(set(tops.values())) > 1 else {}


def _for(label: str, cues: Sequence[Cue]) -> str:
    leading = _strongest(label, cues, sign=1)
    if not leading:
        return f"No cue speaks for {label}; it is what is left when the cues speak against the rest."
    parts = [f"The {leading[0].source} {_verb('read', leading[0])} as {label}: {_named(label, leading[0])}"]
    for cue in leading[1:]:
        same = cue.source == leading[0].source
        parts.append(_named(label, cue) if same else f"the {cue.source} {_verb('agree', cue)}: {_named(label, cue)}")
    return "; ".join(parts) + "."


def _against(label: str, second: str, cues: Sequence[Cue]) -> str:
    sides = disagreement(cues)
    if sides:
        parts = []
        for source, top in sides.items():
            leading = _strongest(top, [cue for cue in cues if cue.source == source], sign=1)[0]
            named = "" if top == label else f", by {_named(top, leading)}"
            parts.append(f"the {source} {_verb('speak', leading)} for {top}{named}")
        return f"The cues disagree: {'; '.join(parts)}."
    opposing = _strongest(label, cues, sign=-1)
    if opposing:
        return f"Against it: {'; '.join(f'{cue.source}, {_named(label, cue)}' for cue in opposing)}."
    rival = _strongest(second, cues, sign=1)[:1]
    return f"It is also consistent with {second}: {rival[0].source}, {_named(second, rival[0])}." if rival else ""


def _strongest(label: str, cues: Sequence[Cue], *, sign: int) -> list[Cue]:
    fitting = [cue for cue in cues if sign * cue.weights.get(label, 0.0) > 0]
    return sorted(fitting, key=lambda cue: -abs(cue.weights[label]))[:_MOST_CUES]


def _named(label: str, cue: Cue) -> str:
    return f"{cue.text}, {cue.weights[label]:+.2f} log-odds"


def _verb(verb: str, cue: Cue) -> str:
    return verb if cue.source == "words" else f"{verb}s"


def _silent(cues: Sequence[Cue], why_not: Mapping[str, str | None]) -> str:
    heard = {cue.source for cue in cues}
    silent = [f"the {source} ({why_not.get(source) or 'not given'})" for source in SOURCES if source not in heard]
    return f"Nothing could be read from {' and '.join(silent)}." if silent else ""
