"""Figures of the voice that a free text names: words for pitch, range, level, tempo, pauses and tremor.

The rows are this project's own; the figures and directions are those of `speech.tone.SCALES`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple


class ToneMention(NamedTuple):
    """Words of a text, the figure of `Prosody` they speak of, and whether they call it high (1) or low (-1)."""

    text: str
    figure: str
    direction: Literal[-1, 1]


_HIGH_IS = r"(?:pitch|voice) (?:is |sounds )?(?:very |rather )?"
_ROWS: tuple[tuple[str, Literal[-1, 1], str], ...] = (
    ("pitch_median_semitones", 1,
     r"high(?:er)?[- ](?:pitch\w*|voice)|" + _HIGH_IS + r"high\b|shrill\w*|squeak\w*|高亢|尖锐|音调[^，。]{0,3}高|"
     r"声音[^，。]{0,2}尖"),
    ("pitch_median_semitones", -1,
     r"low(?:er)?[- ](?:pitch\w*|voice)|" + _HIGH_IS + r"(?:low|deep)\b|deep (?:voice|tone)|低沉|浑厚|"
     r"音调[^，。]{0,3}低"),
    ("pitch_range_semitones", -1,
     r"monoton\w*|flat(?:ly)?\b|expressionless|toneless|little variation|平淡|单调|平板"),
    ("pitch_range_semitones", 1,
     r"lively|animated|expressive\w*|melodi\w*|sing-?song|varied|wide range|活泼|生动|抑扬顿挫|起伏"),
    ("loudness_median_db", 1,
     r"loud\w*|shout\w*|yell\w*|scream\w*|raised (?:\w+ )?voice|booming|大声|响亮|吼|喊|提高[^，。]{0,3}音量"),
    ("loudness_median_db", -1,
     r"quiet\w*|soft(?:ly|er|[- ]spoken)?\b|whisper\w*|hushed|faint\w*|murmur\w*|mumbl\w*|轻声|小声|低声|轻柔|安静"),
    ("articulation_rate", 1,
     r"(?:fast|quick|rapid|hurried|brisk|hasty)(?:ly|er)?\b|语速[^，。]{0,3}快|急促|快速"),
    ("articulation_rate", -1,
     r"slow\w*|unhurried|drawn[- ]out|drawl\w*|leisurely|语速[^，。]{0,3}慢|缓慢|慢条斯理"),
    ("pause_share", 1,
     r"halting\w*|hesita\w*|pauses?\b|stammer\w*|stutter\w*|falter\w*|停顿|迟疑|犹豫|断断续续|结巴"),
    ("tremor_depth_percent", 1,
     r"trembl\w*|shak(?:y|ing|ily)|quiver\w*|unsteady|tremulous|wavering|颤抖|发抖|颤"),
)  # fmt: skip
_CLAUSES = re.compile(r"[,.;:!?()，。；：！？、]|\b(?:and|while|but|although|though)\b")
_DENIED = re.compile(r"\b(?:no|not|never|without|neither|nor|lack\w*|hardly|barely)\b|n't\b|[没未不无]")


def tone_mentions(text: str) -> tuple[ToneMention, ...]:
    """What a text says of a voice's figures; what it denies in the same clause is left out."""
    found = []
    for clause in _CLAUSES.split(text.lower()):
        if not clause or _DENIED.search(clause):
            continue
        for figure, direction, pattern in _rows():
            match = pattern.search(clause)
            if match is not None:
                found.append(ToneMention(match.group(), figure, direction))
    return tuple(found)


@lru_cache(maxsize=1)
def _rows() -> tuple[tuple[str, Literal[-1, 1], re.Pattern[str]], ...]:
    # Chinese has no blanks between words: only what begins with a Latin letter has to begin a word.
    return tuple((f, d, re.compile(rf"(?<![a-z])(?:{pattern})")) for f, d, pattern in _ROWS)
