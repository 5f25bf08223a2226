"""Whether a description names only what was given: cues and quotations, by the lexicon of a language.

A lexicon is no reader: a cue that it does not know is not judged, and a cue in other words than the clue's counts as
the same where it knows both. What stands in quotation marks is what the person says and no claim about face or voice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from emotion_llama.rules.wording import Wording, wording

_QUOTED = re.compile('["\u201c\u300c\u300e]([^"\u201c\u201d\u300c\u300d\u300e\u300f]*)["\u201d\u300d\u300f]')


class Problem(NamedTuple):
    """What is wrong: `kind` is "cue" or "quote", `words` those of the text, `cue` the concept."""

    kind: str
    words: str
    cue: str = ""


def cues_in(text: str, words: Wording) -> dict[str, str]:
    """Concept -> the words that name it, in the order of the lexicon; what the text denies is left out."""
    found = {}
    for cue, pattern in words.cues.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if not re.search(words.negations, text[: match.start()], re.IGNORECASE):
                found[cue] = match.group(0)
                break
    return found


def quotations(text: str) -> list[str]:
    """What a text quotes."""
    return [quoted.strip() for quoted in _QUOTED.findall(text) if quoted.strip()]


def without_quotations(text: str) -> str:
    """The text without what it quotes."""
    return _QUOTED.sub(" ", text)


def find_problems(text: str, given: Iterable[str], subtitle: str, language: str) -> list[Problem]:
    """Cues and quotations of `text` that are not among the descriptions `given`, or not in the `subtitle`.

    Args:
        text: the description to be judged.
        given: descriptions that it was written from.
        subtitle: what was said; empty when nothing is known of it.
        language: of text and descriptions.
    """
    words, given = wording(language), list(given)
    known = {cue for clue in given for cue in cues_in(clue, words)}
    named = cues_in(without_quotations(text), words)
    problems = [Problem("cue", found, cue) for cue, found in named.items() if cue not in known]
    sources = [_plain(source) for source in (subtitle, *given)]
    said = (quoted for quoted in quotations(text) if not any(_plain(quoted) in source for source in sources))
    return problems + [Problem("quote", quoted) for quoted in said]


def _plain(text: str) -> str:
    """Letters and digits alone, in lower case: case, blanks and marks do not tell a quotation from another."""
    return "".join(c for c in text.lower() if c.isalnum())
