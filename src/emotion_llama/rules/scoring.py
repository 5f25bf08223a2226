"""A prediction by rules: what the measured cues speak for, added up, and in words.

Each cue adds log-odds to some labels and takes them from others; a softmax over prior plus sum gives probabilities:

    p(label) = exp(log prior(label) + sum of cues(label)) / sum over all labels of the same

which is naive Bayes with weights that were chosen by hand (`rule_tables`, `data/lexicon_en.csv`) instead of counted.
These rank the labels and no more: whether one of them is given, and with which probability, is decided by `verdict`;
where nothing carries a label the answer is "uncertain", and where nothing was measured there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.results import Cue, Evidence, Prediction
from emotion_llama.rules.face_cues import read_face
from emotion_llama.rules.lexicon import Lexicon
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.rule_tables import DECIDING_CAPS, FACE_TABLES, NEUTRAL_PRIOR, SOURCE_CAPS, FaceTable
from emotion_llama.rules.verdict import Verdict, decide, spread
from emotion_llama.rules.voice_cues import read_voice, voice_figures
from emotion_llama.rules.words import Hit, read_words

SOURCES: tuple[str, ...] = ("face", "voice", "words")
# Log-odds from which a source is said to speak for a label.
_SPEAKS_FOR: Mapping[str, float] = {"face": 0.5, "voice": 0.2, "words": 0.5}
_MAX_CUES = 2  # named for a label


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
    probabilities: Mapping[str, float],
    verdict: Verdict | None,
    cues: Sequence[Cue],
    why_not: Mapping[str, str | None],
) -> str:
    """What speaks for the label, what against it, what is missing; without a label, the likeliest three.

    Args:
        probabilities: over all labels.
        verdict: the label and what carries it; None is "uncertain".
        cues: with their weights as they were added.
        why_not: source -> why it gave no cue.
    """
    sentences = _uncertain(probabilities, cues) if verdict is None else [*_for(verdict, cues), *_beside(verdict, cues)]
    silent = [f"the {source} ({why_not.get(source) or 'not given'})" for source in SOURCES if not _of(source, cues)]
    sentences += [f"Nothing could be learned from {' and '.join(silent)}."] if silent else []
    return " ".join(sentences)


_CARRIED_BY: Mapping[str, str] = {
    "smile": "The person smiles{phrases}.",
    "scowl": "The eyebrows are lowered, without a smile{phrases}.",
    "whole": "The face shows all of an expression of {label}{phrases}.",
    "calm": "The face is calm and turned to the camera, and does not talk; that is weak evidence for neutral.",
    "words": "The words speak for {label}{phrases}.",
}


def _for(verdict: Verdict, cues: Sequence[Cue]) -> list[str]:
    """A sentence for each source that carries the label."""
    found = []
    for by in verdict.by:
        phrases = _phrases(verdict.label, _of("words" if by == "words" else "face", cues))
        listed = f": {phrases}" if phrases else ""
        found.append(_CARRIED_BY[by].format(label=verdict.label, phrases=listed))
    return found


def _beside(verdict: Verdict, cues: Sequence[Cue]) -> list[str]:
    """A sentence for each other source that speaks for the label too, or for another, "neutral" aside."""
    found = []
    carried = {"words" if by == "words" else "face" for by in verdict.by}
    for source in SOURCES:
        sums = _sums(tuple(_of(source, cues)), sorted({name for cue in cues for name in cue.weights}))
        top = max(sums, key=lambda name: sums[name], default="neutral")
        if source in carried or top == "neutral" or sums[top] < _SPEAKS_FOR[source]:
            continue
        if top == verdict.label:
            found.append(f"The {source} {'fit' if source == 'words' else 'fits'}: {_phrases(top, _of(source, cues))}.")
            continue
        verb = "speak" if source == "words" else "speaks"
        weak = ", but does not decide" if source == "voice" else ""
        found.append(f"The {source} {verb} for {top} instead: {_phrases(top, _of(source, cues))}{weak}.")
    return found


def _uncertain(probabilities: Mapping[str, float], cues: Sequence[Cue]) -> list[str]:
    likeliest = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
    parts = []
    for label, share in likeliest:
        phrases = _phrases(label, cues) or "nothing speaks for it by itself"
        parts.append(f"{label} ({100 * share:.0f} %; {phrases})")
    return [
        "Uncertain: nothing that was measured is unambiguous.",
        f"The likeliest are {', '.join(parts[:-1])} and {parts[-1]}.",
    ]


def _phrases(label: str, cues: Sequence[Cue]) -> str:
    """What speaks most for a label, in plain words."""
    fitting = sorted((cue for cue in cues if cue.weights.get(label, 0.0) > 0), key=lambda cue: -cue.weights[label])
    phrases = list(dict.fromkeys(cue.phrase or cue.text for cue in fitting))[:_MAX_CUES]
    return " and ".join(phrases)


def _of(source: str, cues: Sequence[Cue]) -> list[Cue]:
    return [cue for cue in cues if cue.source == source]


NAME = "rules"
_WORDS_ORIGIN = "lexicon_{}.csv of this project; modifiers after VADER (Hutto & Gilbert, ICWSM 2014)"
_MAX_WORD_CUES = 8  # hits beyond these are joined into one cue


class Scores(NamedTuple):
    """Sums of log-odds over the cues, and the probabilities they give with the prior."""

    log_odds: Mapping[str, float]
    probabilities: Mapping[str, float]


def predict_by_rules(
    evidence: Evidence,
    table: str | FaceTable = "published",
    label_space: LabelSpace = MERR9,
    lexicon: Lexicon | None = None,
    learned: Mapping[str, tuple[tuple[Cue, ...], str | None]] = MappingProxyType({}),
) -> Prediction:
    """The prediction for one person in one segment; a `problem` when there is no evidence.

    Args:
        evidence: what was measured.
        table: which action units speak for which label; by name, one of `rule_tables.FACE_TABLES`.
        label_space: labels to choose from. Cues for other labels are left out, so that the probabilities are those of
            the label being one of the space.
        lexicon: patterns for the transcript; the package's English ones when None.
        learned: source -> its cues by a trained model, beside the rules' and within the same bound; or why none.

    Raises:
        InputError: no such table, or a label space of one label.
    """
    if isinstance(table, str):
        check_rules(table, label_space)
        table = FACE_TABLES[table]
    face = read_face(evidence.action_units, evidence.peak_frame, table)
    voice = read_voice(voice_figures(evidence), evidence.tone, evidence.usual)
    words = read_words(evidence.transcript, lexicon)
    more = {source: learned.get(source, ((), None)) for source in SOURCES}
    spoken = (*_word_cues(words.hits), *more["words"][0])
    heard, seen = (*voice.cues, *more["voice"][0]), (*face.cues, *more["face"][0])
    cues = _within([*_capped(seen), *_capped(heard, DECIDING_CAPS), *_capped(spoken)], label_space)
    raw_text = coarse_sentence(evidence, face.units)
    why_not = {
        "face": evidence.why_missing("action_units") or _all_of(face.problem, more["face"][1]),
        "voice": evidence.why_missing("prosody")
        or evidence.why_missing("tone")
        or _all_of(voice.problem, more["voice"][1]),
        "words": evidence.why_missing("transcript") or _all_of(words.problem, more["words"][1]),
    }
    if not cues:
        problem = "no evidence: " + "; ".join(f"no {source} ({why or 'not given'})" for source, why in why_not.items())
        return Prediction(None, None, "", raw_text, NAME, cues, problem)
    verdict = decide(face, _sums(spoken, label_space.labels), table, label_space)
    probabilities = spread(score(cues, label_space).probabilities, verdict)
    label = None if verdict is None else verdict.label
    reasons = explain(probabilities, verdict, cues, why_not)
    # Where nothing of a source speaks it is said why; where something does, why the learned cue does not.
    silent = [why for source, (_, why) in more.items() if why is not None and _of(source, cues)]
    reasons += f" Left out: {'; '.join(silent)}." if silent else ""
    return Prediction(label, probabilities, reasons, raw_text, NAME, cues)


def _all_of(*reasons: str | None) -> str | None:
    return "; ".join(why for why in reasons if why) or None


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
    sums = _sums(cues, label_space.labels)
    logits = {label: math.log(p) + sums[label] for label, p in prior(label_space).items()}
    highest = max(logits.values())
    weights = {label: math.exp(value - highest) for label, value in logits.items()}
    total = sum(weights.values())
    probabilities = {label: weight / total for label, weight in weights.items()}
    return Scores(MappingProxyType(sums), MappingProxyType(probabilities))


def _sums(cues: tuple[Cue, ...], labels: Sequence[str]) -> dict[str, float]:
    return {label: sum(cue.weights.get(label, 0.0) for cue in cues) for label in labels}


def source_sums(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Source -> label -> what its cues add up to, the voice too as far as it speaks, whatever it may decide."""
    found = {
        "face": read_face(evidence.action_units, evidence.peak_frame, FACE_TABLES["published"]).cues,
        "voice": read_voice(voice_figures(evidence), evidence.tone, evidence.usual).cues,
        "words": _word_cues(read_words(evidence.transcript).hits),
    }
    labels = {source: sorted({label for cue in cues for label in cue.weights}) for source, cues in found.items()}
    return {source: _sums(_capped(cues), labels[source]) for source, cues in found.items() if cues}


def _capped(cues: tuple[Cue, ...], caps: Mapping[str, float] = SOURCE_CAPS) -> tuple[Cue, ...]:
    """Cues of one source, all scaled alike so that no label moves by more than the source may move it."""
    if not cues:
        return ()
    labels = {label for cue in cues for label in cue.weights}
    largest = max(abs(sum(cue.weights.get(label, 0.0) for cue in cues)) for label in labels)
    scale = min(1.0, caps[cues[0].source] / largest) if largest > 0 else 1.0
    return tuple(replace(cue, weights={k: w * scale for k, w in cue.weights.items()}) for cue in cues)


def _within(cues: list[Cue], label_space: LabelSpace) -> tuple[Cue, ...]:
    """The cues without labels outside the space, and without those that then say nothing."""
    kept = ((cue, {k: w for k, w in cue.weights.items() if k in label_space.labels}) for cue in cues)
    return tuple(replace(cue, weights=weights) for cue, weights in kept if any(weights.values()))


def _word_cues(hits: tuple[Hit, ...]) -> tuple[Cue, ...]:
    ranked = sorted(hits, key=lambda hit: -max(abs(w) for w in hit.weights.values()))
    cues = [
        Cue("words", _quoted(hit), hit.weights, _WORDS_ORIGIN.format(hit.language), f"“{hit.text}”")
        for hit in ranked[:_MAX_WORD_CUES]
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
