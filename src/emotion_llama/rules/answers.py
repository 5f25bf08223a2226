"""Answers to the questions of a MERR build from measurements and tables alone: offline, the same every time.

They say what was measured or given and nothing else; where that leaves nothing to say the answer is "cannot". Wordings
are in `wording`, one file a language.
"""

from __future__ import annotations

from emotion_llama.chat.questions import Facts, Question
from emotion_llama.chat.records import Answer, Outcome
from emotion_llama.errors import AnnotationError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.rules.clues import evidence_of, find_clues, find_problems, is_face_read, peak_units
from emotion_llama.rules.phrases import Phrases, expression_phrases
from emotion_llama.rules.reasoning import reason, sort_clues
from emotion_llama.rules.rule_tables import BLINK_UNITS, FACE_TABLES, SPEECH_SHARES
from emotion_llama.rules.scene.scene_text import describe_scene
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.rules.tone_text import describe_voice
from emotion_llama.rules.voice_cues import voice_figures
from emotion_llama.rules.wording import LANGUAGES, pick, wording

VERSION = 1
MODEL = f"rules {VERSION}"
Values = dict[str, object] | AnnotationError


def answer_by_rules(question: Question, table: str = "published", own: Phrases | None = None) -> Outcome:
    """One answer to a question of any task, or a "cannot" with its reason.

    Args:
        question: with what was measured.
        table: which action units speak for which label (`rule_tables.FACE_TABLES`), for "reason".
        own: phrases for the face in place of the package's, as `phrases.own_phrases` makes them.
    """
    if question.language not in LANGUAGES:
        return _cannot(f"no wording for language {question.language!r} (there are: {', '.join(LANGUAGES)})")
    if question.task == "reason":
        values = _reason(question, table, own)
    elif question.task == "expression":
        values = _expression(question, own)
    else:
        tasks = {"visual": _visual, "audio": _audio, "check": _check}
        values = tasks[question.task](question)
    return values if isinstance(values, AnnotationError) else Answer(values, MODEL)


def _expression(question: Question, own: Phrases | None) -> Values:
    facts = question.facts
    if not is_face_read(facts):
        return _cannot(facts.evidence.why_missing("action_units") or "no face was read")
    found = expression_phrases(telling_units(facts), variant=question.variant, language=question.language, own=own)
    return {"phrases": found or [pick(wording(question.language).at_rest, question.variant)]}


def _visual(question: Question) -> Values:
    if question.facts.scene is None:
        return _cannot("the picture was not measured")
    text = describe_scene(question.facts.scene, question.language, question.variant)
    return {"text": text} if text else _cannot("nothing of the picture could be measured")


def _audio(question: Question) -> Values:
    evidence = question.facts.evidence
    text = describe_voice(voice_figures(evidence), evidence.tone, evidence.usual, question.language, question.variant)
    if text is None:
        return _cannot(evidence.why_missing("tone") or evidence.why_missing("prosody") or "no voice was measured")
    return {"text": wording(question.language).reason["voice"][0].format(tone=text)}


def _reason(question: Question, table: str, own: Phrases | None) -> Values:
    facts = question.facts
    clues = find_clues(facts, question.language, FACE_TABLES[table], own)
    if not clues:
        return _cannot("there is no description of face, voice or words to reason from")
    label = facts.label
    if label is None:
        space = LabelSpace("asked", tuple(question.labels)) if question.labels else MERR9
        predicted = predict_by_rules(evidence_of(facts), table, space)
        if predicted.label is None:
            return _cannot(predicted.problem or "the measurements speak for no label")
        label = predicted.label
    found = sort_clues(clues, label)
    is_given = facts.label is not None
    text = reason(found, label, facts, question.language, variant=question.variant, is_given=is_given)
    return {
        "text": text,
        "supporting": [clue.text for clue in found[0]],
        "misleading": [clue.text for clue in found[1]],
        "label": label,
    }


def _check(question: Question) -> Values:
    text, facts, words = question.facts.text, question.facts, wording(question.language)
    if not (text or "").strip():
        return {"holds": False, "problems": [words.problems["empty"]]}
    found = find_problems(str(text), facts.clues.values(), facts.clues.get("subtitle", ""), question.language)
    problems = [words.problems[problem.kind].format(cue=problem.cue, words=problem.words) for problem in found]
    return {"holds": not problems, "problems": problems}


def telling_units(facts: Facts) -> dict[str, float]:
    """Units of the peak frame that tell of an expression: without what a blink or speaking there moves."""
    units, measured, peak = dict(peak_units(facts)), facts.evidence.action_units, facts.evidence.peak_frame
    if measured is None or peak is None or not 0 <= peak.row < len(measured.pts_seconds):
        return units
    if any(abs(units.get(name, -1.0) - x) > 1e-6 for name, x in peak.units.items()):
        return units  # of another frame, of which it is not known here whether the person blinks or talks
    if measured.is_blink[peak.row]:
        units = {name: x for name, x in units.items() if name not in BLINK_UNITS}
    if measured.is_speech[peak.row]:
        units = {name: x * SPEECH_SHARES.get(name, 1.0) for name, x in units.items()}
    return units


def _cannot(why: str) -> AnnotationError:
    return AnnotationError("cannot", why)
