"""A prediction by rules: what the measured cues speak for, added up. A baseline and an explanation, not a model.

Each cue adds log-odds to some labels and takes them from others; a softmax over prior plus sum gives probabilities:

    p(label) = exp(log prior(label) + sum of cues(label)) / sum over all labels of the same

which is naive Bayes with weights that were chosen by hand (`rule_tables`, `data/lexicon_en.csv`) instead of counted.
Two consequences are part of every answer: the probabilities are not calibrated, and cues that belong together count as
if they were independent, up to a limit per source. Where nothing could be measured, there is no answer; a face that is
seen and at rest is evidence (for neutral), silence and words without emotion are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.results import Cue, Evidence, Prediction
from emotion_llama.rules.face_cues import read_face
from emotion_llama.rules.lexicon import Lexicon
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.rule_tables import EVIDENCE_FLOOR, FACE_TABLES, NEUTRAL_PRIOR, SOURCE_CAPS
from emotion_llama.rules.voice_cues import read_voice
from emotion_llama.rules.words import Hit, read_words

CLOSING = "This is a rule baseline: its weights are chosen, not learned, and its probabilities are not calibrated."
SOURCES: tuple[str, ...] = ("face", "voice", "words")
_SPEAKS_FOR = 0.5  # log-odds from which a source is said to speak for a label
_MAX_CUES = 2  # named on each side


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
    return sorted(fitting, key=lambda cue: -abs(cue.weights[label]))[:_MAX_CUES]


def _named(label: str, cue: Cue) -> str:
    return f"{cue.text}, {cue.weights[label]:+.2f} log-odds"


def _verb(verb: str, cue: Cue) -> str:
    return verb if cue.source == "words" else f"{verb}s"


def _silent(cues: Sequence[Cue], why_not: Mapping[str, str | None]) -> str:
    heard = {cue.source for cue in cues}
    silent = [f"the {source} ({why_not.get(source) or 'not given'})" for source in SOURCES if source not in heard]
    return f"Nothing could be read from {' and '.join(silent)}." if silent else ""


NAME = "rules"
_WORDS_ORIGIN = "lexicon_{}.csv of this project; modifiers after VADER (Hutto & Gilbert, ICWSM 2014)"
_MAX_WORD_CUES = 8  # hits beyond these are joined into one cue


class Scores(NamedTuple):
    """Sums of log-odds over the cues, and the probabilities they give with the prior."""

    log_odds: Mapping[str, float]
    probabilities: Mapping[str, float]


def predict_by_rules(
    evidence: Evidence, table: str = "published", label_space: LabelSpace = MERR9, lexicon: Lexicon | None = None
) -> Prediction:
    """The prediction for one person in one segment; a `problem` when there is no evidence.

    Args:
        evidence: what was measured.
        table: which action units speak for which label, "published" or "mer-factory" (`rule_tables.FACE_TABLES`).
        label_space: labels to choose from. Cues for other labels are left out, so that the probabilities are those of
            the label being one of the space.
        lexicon: patterns for the transcript; the package's English ones when None.

    Raises:
        InputError: no such table, or a label space of one label.
    """
    check_rules(table, label_space)
    face = read_face(evidence.action_units, evidence.peak_frame, FACE_TABLES[table])
    voice = read_voice(evidence.prosody, evidence.tone, evidence.usual)
    words = read_words(evidence.transcript, lexicon)
    cues = _within([*_capped(face.cues), *_capped(voice.cues), *_capped(_word_cues(words.hits))], label_space)
    raw_text = coarse_sentence(evidence, face.units)
    why_not = {
        "face": evidence.why_missing("action_units") or face.problem,
        "voice": evidence.why_missing("prosody") or voice.problem,
        "words": evidence.why_missing("transcript") or words.problem,
    }
    problem = _why_no_answer(cues, why_not)
    if problem is not None:
        return Prediction(None, None, "", raw_text, NAME, cues, problem)
    probabilities = score(cues, label_space).probabilities
    label = max(probabilities, key=lambda one: probabilities[one])
    return Prediction(label, probabilities, explain(label, probabilities, cues, why_not), raw_text, NAME, cues)


def check_table(table: str) -> None:
    """Raises InputError: no such table."""
    if table not in FACE_TABLES:
        raise InputError(f"no action unit table {table!r} (there are: {', '.join(FACE_TABLES)})")


def check_rules(table: str, label_space: LabelSpace) -> None:
    """Raises InputError: no such table, or a label space of one label."""
    check_table(table)
    if len(label_space.labels) < 2:
        raise InputError(f"label space {label_space.name!r} leaves nothing to choose: it has one label")


def prior(label_space: LabelSpace) -> dict[str, float]:
    """Probability of each label before any cue: `NEUTRAL_PRIOR` for neutral, the rest shared evenly."""
    if "neutral" not in label_space.labels:
        return dict.fromkeys(label_space.labels, 1.0 / len(label_space.labels))
    others = (1.0 - NEUTRAL_PRIOR) / (len(label_space.labels) - 1)
    return {label: NEUTRAL_PRIOR if label == "neutral" else others for label in label_space.labels}


def score(cues: tuple[Cue, ...], label_space: LabelSpace) -> Scores:
    """Log-odds and probabilities that the cues give over the labels of the space."""
    sums = _sums(cues, label_space)
    logits = {label: math.log(p) + sums[label] for label, p in prior(label_space).items()}
    highest = max(logits.values())
    weights = {label: math.exp(value - highest) for label, value in logits.items()}
    total = sum(weights.values())
    probabilities = {label: weight / total for label, weight in weights.items()}
    return Scores(MappingProxyType(sums), MappingProxyType(probabilities))


def _sums(cues: tuple[Cue, ...], label_space: LabelSpace) -> dict[str, float]:
    return {label: sum(cue.weights.get(label, 0.0) for cue in cues) for label in label_space.labels}


def _capped(cues: tuple[Cue, ...]) -> tuple[Cue, ...]:
    """Cues of one source, all scaled alike so that no label moves by more than the source may move it."""
    if not cues:
        return ()
    labels = {label for cue in cues for label in cue.weights}
    largest = max(abs(sum(cue.weights.get(label, 0.0) for cue in cues)) for label in labels)
    scale = min(1.0, SOURCE_CAPS[cues[0].source] / largest) if largest > 0 else 1.0
    return tuple(Cue(c.source, c.text, {k: w * scale for k, w in c.weights.items()}, c.origin) for c in cues)


def _within(cues: list[Cue], label_space: LabelSpace) -> tuple[Cue, ...]:
    """The cues without labels outside the space, and without those that then say nothing."""
    kept = ((cue, {k: w for k, w in cue.weights.items() if k in label_space.labels}) for cue in cues)
    return tuple(Cue(cue.source, cue.text, weights, cue.origin) for cue, weights in kept if any(weights.values()))


def _word_cues(hits: tuple[Hit, ...]) -> tuple[Cue, ...]:
    ranked = sorted(hits, key=lambda hit: -max(abs(w) for w in hit.weights.values()))
    cues = [
        Cue("words", _quoted(hit), hit.weights, _WORDS_ORIGIN.format(hit.language)) for hit in ranked[:_MAX_WORD_CUES]
    ]
    rest = ranked[_MAX_WORD_CUES:]
    if rest:
        labels = {label for hit in rest for label in hit.weights}
        sums = {label: sum(hit.weights.get(label, 0.0) for hit in rest) for label in sorted(labels)}
        origin = _WORDS_ORIGIN.format(" and ".join(sorted({hit.language for hit in rest})))
        cues.append(Cue("words", f"{len(rest)} more words and phrases", sums, origin))
    return tuple(cues)


def _quoted(hit: Hit) -> str:
    return f'"{hit.text}"' + (f" ({', '.join(hit.notes)})" if hit.notes else "")


def _why_no_answer(cues: tuple[Cue, ...], why_not: Mapping[str, str | None]) -> str | None:
    if not cues:
        return "no evidence: " + "; ".join(f"no {source} ({why or 'not given'})" for source, why in why_not.items())
    moved: dict[str, float] = {}
    for cue in cues:
        for label, weight in cue.weights.items():
            moved[label] = moved.get(label, 0.0) + weight
    largest = max(abs(w) for w in moved.values())
    if largest < EVIDENCE_FLOOR:
        return f"the cues are too weak to tell: together they move no label by more than {largest:.2f} log-odds"
    return None
