"""The text a model is trained to answer: as it is, or by the published rule."""

from __future__ import annotations

import re
from collections.abc import Callable

from emotion_llama.errors import InputError

_PUNCTUATION = re.compile(r'[.!"()*#:;~]')
_BLANKS = re.compile(r"\s{2,}")
MOST_WORDS = 200


def _plain(text: str) -> str:
    return " ".join(text.split())


def _published(text: str) -> str:
    # A punctuation mark becomes a blank first: "3.5" is "3 5" in the published targets, not "35".
    spaced = _BLANKS.sub(" ", _PUNCTUATION.sub(" ", text.lower()))
    return " ".join(spaced.rstrip("\n").strip(" ").split(" ")[:MOST_WORDS])


# "published" is `blip_caption` of LAVIS, with which the published weights were trained: lower case, ten marks of
# punctuation taken out, blanks collapsed, 200 words. A model trained on it writes no capitals and no full stops.
TARGET_RULES: dict[str, Callable[[str], str]] = {"plain": _plain, "published": _published}


def target_text(text: str, rule: str = "published") -> str:
    """The answer as training sees it.

    Args:
        text: a label, or a description.
        rule: "published", or "plain": the text with blanks collapsed.

    Raises:
        InputError: the rule is unknown, or nothing is left of the text.
    """
    if rule not in TARGET_RULES:
        raise InputError(f"no target rule {rule!r} (there are: {', '.join(TARGET_RULES)})")
    target = TARGET_RULES[rule](text)
    if not target:
        raise InputError(f"nothing is left of the answer {text[:40]!r} by the rule {rule!r}")
    return target
