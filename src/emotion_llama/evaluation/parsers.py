"""From an output to a predicted label, words or sentiment: the published rule, the tolerant one and likelihood.

Every parser gives an answer or one of `REASONS` why there is none, so that reasons can be counted. Each parses, of an
output:

    upstream     its text, by the rule of the published code of the benchmark's kind, faults included
    tolerant     its text, as a person would understand it
    likelihood   its probabilities
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.words import CLAUSE, DENIED, SENTIMENTS, parse_word_list
from emotion_llama.evaluation.records import Output
from emotion_llama.labels import LABEL_SPACES, MER6, SYNONYMS, LabelSpace, convert
from emotion_llama.prompts.answer_parser import parse_tolerant, parse_upstream

PARSERS = ("upstream", "tolerant", "likelihood")

# Why there is no answer, as counts name it.
REASONS = (
    "no reply",  # the model gave no output for this sample
    "failed",  # the model says that it could not answer
    "no text",  # the output has probabilities alone
    "no probabilities",  # the output has a text alone
    "empty",
    "refusal",
    "undecided",
    "only denials",
    "other label",  # a label that the benchmark does not score
    "no label",
)
# How the problems of `answer_parser.parse_tolerant` begin or read.
_PROBLEMS = (
    ("the answer is empty", "empty"),
    ("the answer is a refusal", "refusal"),
    ("the answer is undecided", "undecided"),
    ("the answer only says what it is not", "only denials"),
    ("which is not a label of", "other label"),
    ("the answer names no label", "no label"),
)


@dataclass(frozen=True)
class ParsedAnswer:
    """The answer of one output, or why there is none."""

    label: str | None = None  # of the scored space, or a sentiment
    words: tuple[str, ...] | None = None  # emotion words, of benchmarks of words
    why_none: str | None = None  # one of `REASONS`; None where there is an answer
    # over the labels of the prompt; from the parser "likelihood" alone
    probabilities: Mapping[str, float] | None = None
    by_default: bool = False  # the label is "neutral" because the published rule calls so whatever it does not know


def parsers_for(outputs: Sequence[Output]) -> tuple[str, ...]:
    """The parsers that apply to these outputs; those of texts where no output has anything."""
    if not any(output.probabilities is not None for output in outputs):
        return ("upstream", "tolerant")
    return PARSERS if any(output.text is not None for output in outputs) else ("likelihood",)


def count_answers(answers: Sequence[ParsedAnswer]) -> dict[str, int]:
    """Samples in all, answered, without an answer by reason, and answered by the published rule's default."""
    reasons = Counter(one.why_none for one in answers if one.why_none is not None)
    by_default = sum(one.by_default for one in answers)
    counts = {"cases": len(answers), "answered": len(answers) - reasons.total(), "unanswered": reasons.total()}
    counts |= {f"unanswered: {reason}": count for reason, count in sorted(reasons.items())}
    return counts | ({"neutral by the published rule": by_default} if by_default else {})


def parse_label(output: Output | None, parser: str, asked: LabelSpace, scored: LabelSpace) -> ParsedAnswer:
    """The label of `scored` that an output gives.

    Args:
        output: None where the model gave none.
        parser: "upstream": the last piece between blanks if it is one of the scored labels, else "neutral" (where the
            space has it). For the six labels of MER this is `answer_parser.parse_upstream`; no published code scores
            other spaces, for these the same rule is taken with their labels. "tolerant":
            `answer_parser.parse_tolerant` over the asked labels. "likelihood": the likeliest label.
        asked: labels that the instruction offers.
        scored: labels of the benchmark; others are converted by `labels.convert`, and are no answer ("other label")
            where nothing corresponds.
    """
    why_none = why_unreadable(output, parser)
    if why_none is not None or output is None:
        return ParsedAnswer(why_none=why_none)
    if parser == "likelihood":
        shares: dict[str, float] = {}
        for name, share in (output.probabilities or {}).items():
            known = asked.find(name) or name  # "anger" is "angry", whatever the model calls its classes
            shares[known] = shares.get(known, 0.0) + share
        likeliest = into(_likeliest(shares), asked, scored)
        if likeliest is None:
            return ParsedAnswer(why_none="other label")
        return ParsedAnswer(likeliest, probabilities=shares)
    if parser == "upstream":
        return _last_word(output.text or "", scored)
    found = parse_tolerant(output.text or "", asked)
    if found.label is None:
        problem = found.problem or ""
        return ParsedAnswer(why_none=next((reason for text, reason in _PROBLEMS if text in problem), "no label"))
    label = into(found.label, asked, scored)
    return ParsedAnswer(why_none="other label") if label is None else ParsedAnswer(label)


def into(label: str, asked: LabelSpace, scored: LabelSpace) -> str | None:
    """The scored label that corresponds to an asked one; None where nothing does."""
    if label in scored.labels:
        return label
    if label not in asked.labels or asked.name not in LABEL_SPACES or scored.name not in LABEL_SPACES:
        return None
    return convert(label, asked, scored)


def parse_words(output: Output | None, parser: str) -> ParsedAnswer:
    """The emotion words of an output, in lower case, each once; an empty list is an answer.

    Parser "upstream": `metrics.words.parse_word_list`, the published rule for lists, of the whole text. "tolerant": a
    list in JSON, in brackets, or after "emotions:" and the like; a short text that is a list itself; in prose the words
    that `labels.SYNONYMS` knows and that are not denied (our own choice: the published way asks a language model).
    "likelihood": the likeliest label alone.
    """
    why_none = why_unreadable(output, parser)
    if why_none is not None or output is None:
        return ParsedAnswer(why_none=why_none)
    if parser == "likelihood":
        return ParsedAnswer(words=(_likeliest(output.probabilities or {}),))
    text = output.text or ""
    if not text.strip():
        return ParsedAnswer(why_none="empty")
    words = parse_word_list(text) if parser == "upstream" else listed_words(text)
    if words is None:
        return ParsedAnswer(why_none="no label")
    return ParsedAnswer(words=tuple(dict.fromkeys(word.strip().lower() for word in words if word.strip())))


def parse_sentiment(output: Output | None, parser: str) -> ParsedAnswer:
    """One of `SENTIMENTS`.

    Parser "upstream": the whole text, without blanks around it and in lower case, is the word. "tolerant": the one of
    the three that the text names and does not deny; several are undecided. "likelihood": the likeliest of the three.
    """
    why_none = why_unreadable(output, parser)
    if why_none is not None or output is None:
        return ParsedAnswer(why_none=why_none)
    if parser == "likelihood":
        given = {name: p for name, p in (output.probabilities or {}).items() if name in SENTIMENTS}
        return ParsedAnswer(_likeliest(given)) if given else ParsedAnswer(why_none="other label")
    text = (output.text or "").strip().lower()
    if not text:
        return ParsedAnswer(why_none="empty")
    if parser == "upstream":
        return ParsedAnswer(text) if text in SENTIMENTS else ParsedAnswer(why_none="no label")
    named = {match[2] for match in _SENTIMENT.finditer(text) if not match[1]}
    if len(named) == 1:
        return ParsedAnswer(named.pop())
    return ParsedAnswer(why_none="undecided" if named else "no label")


_SENTIMENT = re.compile(
    rf"(\b(?:not?|never|neither|nor|than|n't)\s+(?:\w+\s+)?)?\b({'|'.join(SENTIMENTS)})\b", re.IGNORECASE
)


def why_unreadable(output: Output | None, parser: str) -> str | None:
    """Why nothing can be parsed of an output, one of `REASONS`; None where something can."""
    if parser not in PARSERS:
        raise InputError(f"no parser {parser!r} (there are: {', '.join(PARSERS)})")
    if output is None:
        return "no reply"
    if output.problem is not None:
        return "failed"
    if parser == "likelihood":
        return "no probabilities" if not output.probabilities else None
    return "no text" if output.text is None else None


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=lambda name: probabilities[name])


def _last_word(text: str, scored: LabelSpace) -> ParsedAnswer:
    last = text.split(" ")[-1]
    if scored.labels == MER6.labels:
        return ParsedAnswer(parse_upstream(text).label, by_default=last not in scored.labels)
    if last in scored.labels:
        return ParsedAnswer(last)
    if "neutral" in scored.labels:
        return ParsedAnswer("neutral", by_default=True)
    return ParsedAnswer(why_none="no label")


# --- emotion words in free text -------------------------------------------------------------------------------------

_KNOWN = frozenset({*SYNONYMS, *(label for labels in SYNONYMS.values() for label in labels)})
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_AFTER_MARKER = re.compile(r"\b(?:emotions?|labels?|states?|answer|output)\b[^:\n]{0,30}:\s*([^\n.]+)", re.IGNORECASE)
_NUMBERING = re.compile(r"^(?:\d+[.)]|[-*\u2022])\s*", re.MULTILINE)
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*", re.IGNORECASE)
_SENTENCE = re.compile(
    r"\b(?:is|are|was|were|be|feels?|seems?|looks?|appears?|he|she|they|i|it|the|his|her|their)\b", re.IGNORECASE
)
_MAX_WORDS_OF_ITEM = 3  # own choice: "slightly annoyed at" is an item of a list, a longer one is prose


def listed_words(text: str) -> list[str] | None:
    """Words of a list somewhere in the text, or known words of its prose; None where neither is there."""
    for match in _BRACKETS.finditer(text):  # what stands in brackets may also be a tag
        if not match[1].strip() or any(mark in match[1] for mark in "'\",") or match[0] == text.strip():
            return parse_word_list(match[0])
    text = _BRACKETS.sub(" ", text)
    marked = _AFTER_MARKER.findall(text)
    for candidate in (*marked[-1:], text):
        plain = _NUMBERING.sub("", candidate.strip()).rstrip(".")
        stripped = (item.strip(" \t\"'*.") for item in re.split(r"[,;\n]|\band\b", plain))
        items = [item for item in stripped if item]
        is_short = all(len(item.split()) <= _MAX_WORDS_OF_ITEM for item in items)
        if items and is_short and not any(DENIED.search(item) or _SENTENCE.search(item) for item in items):
            return items
    known = [
        word.lower()
        for clause in CLAUSE.split(text)
        if clause and not DENIED.search(clause)
        for word in _WORD.findall(clause)
        if word.lower() in _KNOWN
    ]
    return known or None


def synonym_groups(text: str) -> list[list[str]]:
    """Groups of a language model's answer, "[['happy', 'joyful'], ['sad']]", by the published rule of MER2024-OV.

    What stands between brackets is a group; inside it quotes separate words. An answer in JSON reads the same.

    Raises:
        InputError: the answer holds no group of quoted words.
    """
    parts = [part for part in re.split(r"[\[\]]", text) if part.strip() not in ("", ",")]
    groups = [[word for word in re.split("['\"]", part) if word.strip() not in ("", ",")] for part in parts]
    kept = [[word.strip().lower() for word in group] for group in groups if group]
    if not kept or not re.search("['\"]", text):
        raise InputError(f"an answer with groups looks like [['happy', 'joyful'], ['sad']], got {text[:60]!r}")
    return kept
