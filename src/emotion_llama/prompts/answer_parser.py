"""From a model's text to a Prediction: the only place that parses labels out of prose.

Two rules side by side. `parse_upstream` is the scoring rule of the published code, faults included, so that its figures
can be compared; `parse_tolerant` finds the label that a person would find, and reports a problem where there is none.
An evaluation reports which of the two it used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from emotion_llama.labels import MER6, MERR9, SYNONYMS, LabelSpace
from emotion_llama.results import Prediction


def parse_upstream(text: str, *, model: str = "unknown") -> Prediction:
    """The published scoring rule: the last piece between single blanks, and "neutral" unless it is one of the six.

    Case, punctuation, line ends and a trailing blank all count: "happy.", "Happy" and "happy " are "neutral". It never
    has a problem to report, which is its fault: an empty answer and a refusal score as "neutral" too.

    Source: `eval_emotion.py` of Emotion-LLaMA; the six are MER2023's, although the prompt offers nine.
    """
    last = text.split(" ")[-1]
    if last in MER6.labels:
        return Prediction(last, None, f"The last word of the answer is {last!r}.", text, model)
    reasoning = f"The last word of the answer is {last!r}, which the published rule counts as 'neutral'."
    return Prediction("neutral", None, reasoning, text, model)


def parse_tolerant(text: str, label_space: LabelSpace = MERR9, *, model: str = "unknown") -> Prediction:
    """The label that the text gives, found in JSON, after a marker, or in prose; a `problem` where it gives none.

    The first of these that finds labels decides:

    1. a JSON object with a key such as "label", "emotion" or "answer", or an `<answer>` element;
    2. a first sentence that is nothing but a label ("Happy. She smiles ...");
    3. a marker ("emotion: ...", "the label is ...", a bold word); of several, the last;
    4. the last sentence that names a label.

    Inside it, mentions that are denied ("not angry", "rather than sad", "no sign of fear") do not count, nor do
    sentences that refuse to answer, nor lists of five and more labels (the instruction, repeated), nor what stands in a
    clause of "although" or "while" beside another label. If several labels are left, "a and b" gives the first, because
    the main state is named first; "a or b" is undecided and a problem. Otherwise the first counts in rules 1 to 3,
    where the label comes before its reasons, and the last in rule 4, because prose argues first and concludes then.

    Words count through `labels.SYNONYMS`; a word that names no label of `label_space` ("disgusted" in MERR's nine)
    gives none. Hidden reasoning (`<think>`), code fences and special tokens are taken off first.

    Args:
        text: the model's answer.
        label_space: labels that may be answered.
        model: name of the model, for the record.
    """
    plain = _clean(text)
    if not plain:
        return _problem("the answer is empty", text, model)
    structured = _from_json(plain)
    explicit = structured[0] if structured is not None else _last(_ANSWER_ELEMENT, plain)
    if explicit is not None:
        label, problem = _decide(explicit, label_space, first=True)
    else:
        label, problem = _decide_marked(plain, label_space) or _decide_prose(plain, label_space)
    if label is None:
        return _problem(problem or _why_none(explicit or plain, label_space), text, model)
    reasoning = structured[1] if structured is not None else None
    return Prediction(label, None, reasoning or plain, text, model)


# A label, or why there is none; (None, None) where nothing was found.
_Decision = tuple[str | None, str | None]
_Mention = tuple[str, int, int]  # a label, and where the word for it begins and ends


# Where the chat template writes <think> into the prompt, the answer holds the closing mark alone.
_THINK = re.compile(r"\A(?:(?!<think>).)*</think>|<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_SPECIAL = re.compile(r"</?s>|<unk>|<pad>|\[/?INST\]|<\|[^|>]*\|>", re.IGNORECASE)
_ANSWER_ELEMENT = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_MARKER = re.compile(
    r"(?:\b(?:final |predicted |emotion(?:al)? |overall |main )?"
    r"(?:label|emotion|answer|prediction|category|state|class)"
    r"(?: label| state| category)?\b\W{0,4}(?:is|was|would be|:|=)\W*([^.\n;]{1,60}))"
    r"|\*\*([^*\n]{1,40})\*\*",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?", re.IGNORECASE)
_LABEL_KEYS = ("label", "emotion", "answer", "prediction", "emotion_label", "predicted_emotion", "category")
_REASON_KEYS = ("reasoning", "reason", "explanation", "rationale", "why")
_REFUSAL = re.compile(
    r"\b(?:as an ai|language model|"
    r"(?:cannot|can't|can not|unable to|not able to|won't|will not|refuse to|could not|couldn't)\s+"
    r"(?:\w+\s+){0,3}?(?:determine|identify|label|infer|assist|help|provide|classify|judge|assign|answer|comply|"
    r"recogni[sz]e|make assumptions|tell|say|see)|not (?:be )?(?:ethical|appropriate|possible|able)|unethical|"
    r"inappropriate|(?:can't|cannot) be determined|i(?:'m| am) sorry|i apologi[sz]e)",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not(?! only| just)|no|never|without|neither|nor|cannot|\w+n't|rather than|instead of|lack(?:s|ing)?(?: of)?|"
    r"absence of|hardly|free of|rules? out)\b",
    re.IGNORECASE,
)
_IDIOMS = re.compile(
    r"\b(?:no doubt|without (?:a |any )?doubt|beyond (?:a |any )?doubt|i(?:'m| am) afraid)\b", re.IGNORECASE
)
_CONCESSION = re.compile(r"\b(?:although|even though|though|while|whereas|despite|in spite of)\b[^,.;]*", re.IGNORECASE)
_TURNS = re.compile(r"\b(?:but|however|instead(?! of)|yet|only)\b|[;]", re.IGNORECASE)
_REACH = 4  # words between a negator and the label it denies
_LOOK_BACK = 200  # characters: more than any negation reaches; keeps a model stuck on one word from costing a minute
_ECHO = 5  # that many different labels in one sentence are the instruction repeated


def _clean(text: str) -> str:
    plain = _SPECIAL.sub(" ", _THINK.sub(" ", text)).replace("\u2019", "'").replace("```json", " ").replace("```", " ")
    return _IDIOMS.sub(" ", plain).strip()  # "no doubt" names no doubt


def _problem(problem: str, text: str, model: str) -> Prediction:
    return Prediction(None, None, "", text, model, problem=problem)


def _from_json(plain: str) -> tuple[str | None, str | None] | None:
    """Label and reasoning of a JSON object in the text; None where there is none."""
    start, end = plain.find("{"), plain.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value: dict[str, object] = json.loads(plain[start : end + 1])
    except (ValueError, RecursionError):  # not JSON, a number of thousands of digits, thousands of nested braces
        return None
    fields = {key.lower().replace(" ", "_"): field for key, field in value.items()}
    return _first_text(fields, _LABEL_KEYS), _first_text(fields, _REASON_KEYS)


def _first_text(fields: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    return next((text for key in keys if isinstance(text := fields.get(key), str)), None)


def _last(pattern: re.Pattern[str], plain: str) -> str | None:
    found = pattern.findall(plain)
    return found[-1].strip() or None if found else None


def _decide_marked(plain: str, space: LabelSpace) -> _Decision | None:
    opening = _SENTENCE.search(plain)
    words = _WORD.findall(opening.group()) if opening else []
    if len(words) == 1 and space.find(words[0]) is not None:
        return space.find(words[0]), None
    parts = [next(group for group in match.groups() if group) for match in _MARKER.finditer(plain)]
    decisions = [_decide(part, space, first=True) for part in reversed(parts)]
    return next((d for d in decisions if d != (None, None)), None)


def _decide_prose(plain: str, space: LabelSpace) -> _Decision:
    decisions = (_decide(sentence, space, first=False) for sentence in reversed(_SENTENCE.findall(plain)))
    return next((d for d in decisions if d != (None, None)), (None, None))


def _decide(part: str, space: LabelSpace, *, first: bool) -> _Decision:
    """The label of one sentence or marked part: of its first, or its last, list of labels."""
    if len({label for label, _, _ in _mentions(part, space)}) >= _ECHO:
        return None, None
    lists = _lists(_CONCESSION.sub(" ", part), space) or _lists(part, space)
    if not lists:
        return None, None
    labels, is_open = lists[0] if first else lists[-1]
    if is_open and len(labels) > 1:
        return None, f"the answer is undecided between {' and '.join(map(repr, labels))}"
    return labels[0], None


def _lists(part: str, space: LabelSpace) -> list[tuple[tuple[str, ...], bool]]:
    """Labels named together ("sad and worried"), and whether an "or" joins them."""
    lists: list[tuple[tuple[str, ...], bool]] = []
    for clause in _clauses(part):
        if _REFUSAL.search(clause):
            continue
        end = None  # of the label before, where the next one would have to be joined to it
        denied_end = 0  # of the label denied last: "not sad or angry" denies both
        for label, begin, stop in _mentions(clause, space):
            spread = clause[denied_end:begin].strip().lower() in ("or", "nor", "and") and denied_end > 0
            if spread or _is_denied(clause, begin):
                denied_end = stop
                continue
            joint = clause[end:begin].strip().lower() if end is not None else ""
            if end is not None and joint in _JOINTS:
                known, is_open = lists[-1]
                lists[-1] = (known if label in known else (*known, label), is_open or _JOINTS[joint])
            else:
                lists.append(((label,), False))
            end = stop
    return lists


# What may stand between two labels of one list -> whether it leaves the choice open.
_JOINTS: dict[str, bool] = {
    "and": False, ", and": False, ",": False, "&": False, "and also": False, "and slightly": False,
    "and a bit": False, "and somewhat": False, "as well as": False, "with": False, "mixed with": False, "+": False,
    "or": True, ", or": True, "/": True, "or maybe": True, "or perhaps": True, "and/or": True,
}  # fmt: skip


def _clauses(part: str) -> list[str]:
    clauses, begin = [], 0
    for turn in _TURNS.finditer(part):
        clauses.append(part[begin : turn.start()])
        begin = turn.end()
    return [*clauses, part[begin:]]


def _mentions(part: str, space: LabelSpace) -> list[_Mention]:
    found = ((space.find(m.group()), m) for m in _WORD.finditer(part))
    return [(label, m.start(), m.end()) for label, m in found if label is not None]


def _is_denied(clause: str, begin: int) -> bool:
    before = clause[max(begin - _LOOK_BACK, 0) : begin].rsplit(",", 1)[-1]
    negations = list(_NEGATION.finditer(before))
    return bool(negations) and len(_WORD.findall(before[negations[-1].end() :])) <= _REACH


def _why_none(plain: str, space: LabelSpace) -> str:
    if _REFUSAL.search(plain):
        return "the answer is a refusal"
    denied = _mentions(plain, space)
    if denied and len({label for label, _, _ in denied}) < _ECHO:
        return f"the answer only says what it is not: {denied[-1][0]!r}"
    others = sorted({w for w in (m.lower() for m in _WORD.findall(plain)) if w in SYNONYMS or w in _ALL_LABELS})
    outside = [w for w in others if space.find(w) is None]
    if outside:
        return f"the answer names {outside[0]!r}, which is not a label of {space.name}"
    return f"the answer names no label of {space.name}"


_ALL_LABELS = frozenset(label for labels in SYNONYMS.values() for label in labels)
