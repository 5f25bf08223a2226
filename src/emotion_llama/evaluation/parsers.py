"""From a reply to what it tells: the published rule, the tolerant one and likelihood, side by side.

Every parser gives an answer or a reason why there is none, out of the short list `REASONS`, so that reasons can be
counted. Which parser reads what of a reply:

    upstream     its text, by the rule of the published code of the benchmark's kind, faults included
    tolerant     its text, as a reader would
    likelihood   its probabilities
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from emotion_llama.errors import InputError
from emotion_llama.evaluation.open_vocabulary import parse_word_list
from emotion_llama.evaluation.records import Reply
from emotion_llama.evaluation.word_lists import listed_words
from emotion_llama.labels import LABEL_SPACES, MER6, LabelSpace, convert
from emotion_llama.prompts.answer_parser import parse_tolerant, parse_upstream

Parser = Literal["upstream", "tolerant", "likelihood"]
PARSERS: tuple[Parser, ...] = ("upstream", "tolerant", "likelihood")

# Why there is no answer, as counts name it.
REASONS = (
    "no reply",  # the system gave none for this case
    "failed",  # the system says that it could not answer
    "no text",  # the reply has probabilities alone
    "no probabilities",  # the reply has a text alone
    "empty",
    "refusal",
    "undecided",
    "only denials",
    "other label",  # a label that the benchmark does not score
    "no label",
)
# How the problems of `answers.parse_tolerant` begin or read.
_PROBLEMS = (
    ("the answer is empty", "empty"),
    ("the answer is a refusal", "refusal"),
    ("the answer is undecided", "undecided"),
    ("the answer only says what it is not", "only denials"),
    ("which is not a label of", "other label"),
    ("the answer names no label", "no label"),
)
SENTIMENTS = ("positive", "negative", "neutral")


@dataclass(frozen=True)
class Told:
    """What a reply tells of one case: an answer, or why there is none.

    Attributes:
        label: of the scored space, or a sentiment.
        words: emotion words, of benchmarks of words.
        why_none: one of `REASONS`; None where there is an answer.
        probabilities: over the asked labels; from the parser "likelihood" alone.
        by_default: the label is "neutral" because the published rule calls so whatever it does not know.
    """

    label: str | None = None
    words: tuple[str, ...] | None = None
    why_none: str | None = None
    probabilities: Mapping[str, float] | None = None
    by_default: bool = False

    def __post_init__(self) -> None:
        if (self.why_none is None) == (self.label is None and self.words is None):
            raise InputError("what is told is an answer, or a reason why there is none")
        if self.why_none is not None and self.why_none not in REASONS:
            raise InputError(f"{self.why_none!r} is no reason (there are: {', '.join(REASONS)})")
        if self.probabilities is not None:
            object.__setattr__(self, "probabilities", MappingProxyType(dict(self.probabilities)))


def check_parser(parser: str) -> Parser:
    """The parser of that name.

    Raises:
        InputError: there is none.
    """
    found = next((name for name in PARSERS if name == parser), None)
    if found is None:
        raise InputError(f"no parser {parser!r} (there are: {', '.join(PARSERS)})")
    return found


def parsers_for(replies: Sequence[Reply]) -> tuple[Parser, ...]:
    """The parsers that find something to read in these replies; those of texts where no reply has anything."""
    texts = any(reply.text is not None for reply in replies)
    likelihoods = any(reply.probabilities is not None for reply in replies)
    if not likelihoods:
        return ("upstream", "tolerant")
    return PARSERS if texts else ("likelihood",)


def tell_label(reply: Reply | None, parser: Parser, asked: LabelSpace, scored: LabelSpace) -> Told:
    """The label of `scored` that a reply tells.

    Args:
        reply: None where the system gave none.
        parser: "upstream": the last piece between blanks if it is one of the scored labels, else "neutral" (where the
            space has it). For the six labels of MER this is `answers.parse_upstream`; no published code scores other
            spaces, for these the same rule is taken with their labels. "tolerant": `answers.parse_tolerant` over the
            asked labels. "likelihood": the likeliest of the labels with a probability.
        asked: labels that the instruction offers.
        scored: labels of the benchmark; what is told of others is converted by `labels.convert`, and is no answer
            ("other label") where nothing corresponds.
    """
    stop = _nothing_to_read(reply, parser)
    if stop is not None or reply is None:
        return Told(why_none=stop)
    if parser == "likelihood":
        assert reply.probabilities is not None
        likeliest = max(reply.probabilities, key=lambda name: reply.probabilities[name])  # type: ignore[index]
        label = into(likeliest, asked, scored)
        if label is None:
            return Told(why_none="other label")
        return Told(label, probabilities=reply.probabilities)
    assert reply.text is not None
    if parser == "upstream":
        return _last_word(reply.text, scored)
    found = parse_tolerant(reply.text, asked)
    if found.label is None:
        return Told(why_none=_reason(found.problem or ""))
    label = into(found.label, asked, scored)
    return Told(why_none="other label") if label is None else Told(label)


def into(label: str, asked: LabelSpace, scored: LabelSpace) -> str | None:
    """The scored label that an asked one means; None where nothing corresponds."""
    if label in scored.labels:
        return label
    if label not in asked.labels or asked.name not in LABEL_SPACES or scored.name not in LABEL_SPACES:
        return None
    return convert(label, asked, scored)


def tell_words(reply: Reply | None, parser: Parser) -> Told:
    """The emotion words that a reply tells, in lower case, each once; an empty list is an answer.

    Args:
        reply: None where the system gave none.
        parser: "upstream": `open_vocabulary.parse_word_list`, the published rule for lists, of the whole text.
            "tolerant": a list in JSON, in brackets, or after "emotions:" and the like; a short text that is a list
            itself; in prose the words that `labels.SYNONYMS` knows and that are not denied (our own choice: the
            published way asks a language model). "likelihood": the likeliest label alone.
    """
    stop = _nothing_to_read(reply, parser)
    if stop is not None or reply is None:
        return Told(why_none=stop)
    if parser == "likelihood":
        assert reply.probabilities is not None
        return Told(words=(max(reply.probabilities, key=lambda name: reply.probabilities[name]),))  # type: ignore[index]
    assert reply.text is not None
    if not reply.text.strip():
        return Told(why_none="empty")
    words = parse_word_list(reply.text) if parser == "upstream" else listed_words(reply.text)
    if words is None:
        return Told(why_none="no label")
    return Told(words=tuple(dict.fromkeys(word.strip().lower() for word in words if word.strip())))


def tell_sentiment(reply: Reply | None, parser: Parser) -> Told:
    """One of `SENTIMENTS`.

    Args:
        reply: None where the system gave none.
        parser: "upstream": the whole text, without blanks around it and in lower case, is the word. "tolerant": the one
            of the three that the text names and does not deny; several are undecided. "likelihood": the likeliest of
            the three.
    """
    stop = _nothing_to_read(reply, parser)
    if stop is not None or reply is None:
        return Told(why_none=stop)
    if parser == "likelihood":
        given = {name: p for name, p in (reply.probabilities or {}).items() if name in SENTIMENTS}
        return Told(max(given, key=lambda name: given[name])) if given else Told(why_none="other label")
    text = (reply.text or "").strip().lower()
    if not text:
        return Told(why_none="empty")
    if parser == "upstream":
        return Told(text) if text in SENTIMENTS else Told(why_none="no label")
    named = [match[2] for match in _SENTIMENT.finditer(text) if not match[1]]
    if len(set(named)) == 1:
        return Told(named[0])
    return Told(why_none="undecided" if named else "no label")


_SENTIMENT = re.compile(
    rf"(\b(?:not?|never|neither|nor|than|n't)\s+(?:\w+\s+)?)?\b({'|'.join(SENTIMENTS)})\b", re.IGNORECASE
)


def _nothing_to_read(reply: Reply | None, parser: Parser) -> str | None:
    if reply is None:
        return "no reply"
    if reply.problem is not None:
        return "failed"
    if parser == "likelihood":
        return "no probabilities" if not reply.probabilities else None
    return "no text" if reply.text is None else None


def _last_word(text: str, scored: LabelSpace) -> Told:
    last = text.split(" ")[-1]
    if scored.labels == MER6.labels:
        label = parse_upstream(text).label
        return Told(label, by_default=last not in scored.labels)
    if last in scored.labels:
        return Told(last)
    return Told("neutral", by_default=True) if "neutral" in scored.labels else Told(why_none="no label")


def _reason(problem: str) -> str:
    return next((reason for text, reason in _PROBLEMS if text in problem), "no label")
