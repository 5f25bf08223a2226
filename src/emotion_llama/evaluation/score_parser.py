"""From a judge's reply to a score: what is meant, and what is no score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from emotion_llama.errors import AnnotationError


class Scale(NamedTuple):
    """The range of scores, both ends included."""

    low: float
    high: float


# The published judge's prompt says 1 to 10, the project page 0 to 10.
SCALES: Mapping[str, Scale] = MappingProxyType({"1-10": Scale(1, 10), "0-10": Scale(0, 10)})

_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
_OF = rf"(?:\s*(?:/|out of|of)\s*(?P<of>{_NUMBER}))?"
_NAMED = re.compile(rf"\b(?:score|rating|overlap)\b[\s:=\-]*(?:is|of|as)?[\s:=]*(?P<n>{_NUMBER}){_OF}", re.IGNORECASE)
_FIRST = re.compile(rf"\A(?P<n>{_NUMBER}){_OF}(?P<after>.*)", re.DOTALL | re.IGNORECASE)
_SHARE = re.compile(rf"(?<![\d.,/])(?P<n>{_NUMBER})\s*(?:/|out of)\s*(?P<of>{_NUMBER})", re.IGNORECASE)


def parse_score(text: str, scale: Scale) -> float:
    """The score that a reply gives.

    Read, in this order: "score: 7.5" or "rating 8/10" (of several, all must agree); a reply that begins with the number
    ("8", "8/10", "8; because ..."), but not with the number of a list ("1. The clues", "1) ..."); one "8/10" or
    "8 out of 10" in the text. The published code takes the first digits of whatever comes, so that "1. ..." is a 1.

    Raises:
        AnnotationError: "empty" or "malformed": there is no score, there are several, or it is outside the scale.
    """
    plain = re.sub(r"[*`_#]", "", _THINK.sub("", text)).strip().lstrip("\"'([ ")
    if not plain:
        raise AnnotationError("empty", "the reply holds no text")
    found = [(match["n"], match["of"]) for match in _NAMED.finditer(plain)]
    if not found:
        first = _FIRST.match(plain)
        if first is not None and not _is_list_number(first["of"], first["after"]):
            found = [(first["n"], first["of"])]
    if not found:
        found = [(match["n"], match["of"]) for match in _SHARE.finditer(plain)]
    scores = {_value(number, of, scale) for number, of in found}
    if not scores:
        raise AnnotationError("malformed", "the reply holds no score")
    if len(scores) > 1:
        raise AnnotationError(
            "malformed", f"the reply holds several scores ({', '.join(f'{s:g}' for s in sorted(scores))})"
        )
    return scores.pop()


def _is_list_number(of: str | None, after: str) -> bool:
    """Whether "1" begins a list ("1. The clues"), a range ("7-8") or a count ("3 clues"), and is no score."""
    if of is not None:
        return False
    return re.match(r"\s*(?:[.)]\s*\S|[-–~]\s*\d|%|[a-z])", after, re.IGNORECASE) is not None


def _value(number: str, of: str | None, scale: Scale) -> float:
    score = float(number.replace(",", "."))
    if of is not None and float(of.replace(",", ".")) != scale.high:
        raise AnnotationError(
            "malformed", f"the score is out of {of}, expected one from {scale.low:g} to {scale.high:g}"
        )
    if not scale.low <= score <= scale.high:
        raise AnnotationError("malformed", f"the score is {score:g}, expected one from {scale.low:g} to {scale.high:g}")
    return score
