"""Words of the transcript as evidence: lexicon hits, shifted by negation, degree, speaker and punctuation.

The modifiers follow VADER (Hutto & Gilbert, ICWSM 2014), which measured them on human ratings: a negated word keeps
0.74 of its strength with the sign turned, a degree adverb adds or takes 0.293 of an average word, capitals and
exclamation marks add, what follows "but" counts 1.5 times and what precedes it half. VADER's additive steps are
ratios here. What a negated word speaks *for* ("not happy" is not only less happy) and how a feeling of somebody
else is discounted are this project's own choices.

How far it carries: on 127 consecutive lines of television dialogue (from the middle of the MELD development set,
labelled by people who saw and heard the scene; looked at after the lexicon was finished), words alone gave 27 lines an
emotion and 15 of these the annotated one. Most lines hold no word of the lexicon at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emotion_llama.media.language import NAMES, line_languages
from emotion_llama.records import Transcript
from emotion_llama.rules.chinese import chinese, entries, signs
from emotion_llama.rules.lexicon import Lexicon, Pattern, Token, english, tokens

LEXICONS = ("en", "zh")  # languages that there is a lexicon for

NEGATORS = frozenset(
    {"not", "never", "no", "nobody", "nothing", "none", "neither", "nor", "without", "hardly", "barely"}
)
BOOSTERS = frozenset(
    {
        "so", "really", "very", "too", "extremely", "totally", "completely", "absolutely", "incredibly", "truly",
        "deeply", "terribly", "utterly", "such", "fucking", "bloody", "damn", "most", "quite", "always", "seriously",
    }
)  # fmt: skip
DAMPENERS = frozenset({"slightly", "little", "bit", "somewhat", "rather", "fairly", "almost", "kinda", "mildly"})
# Adverbs that may stand inside a phrase without changing which phrase it is.
FILLERS = BOOSTERS | {"just", "even", "actually", "ever", "still", "simply", "exactly", "all", "now"}
_CONTRASTS = frozenset({"but", "however"})
_FIRST_PERSON = frozenset({"i", "me", "my", "we", "us", "our", "myself"})
_OTHERS = frozenset({"you", "your", "he", "him", "his", "she", "her", "they", "them", "their", "everyone", "people"})
_CLAUSE_ENDS = frozenset({".", ",", ";", ":", "!", "?", "?!", "...", "but", "however", "because"})
_SENTENCE_ENDS = frozenset({".", "!", "?", "?!", "..."})

NEGATED = -0.74  # VADER
BOOSTED, DAMPENED = 1.293, 0.707  # VADER: 1 +- 0.293
CAPITALS = 1.2  # own: VADER adds 0.733 to words of up to 4
EXCLAIMED = 1.15  # own: VADER adds 0.292 a mark, at most 4 marks
BEFORE_BUT, AFTER_BUT = 0.5, 1.5  # VADER
SOMEBODY_ELSE = 0.4  # own: "he was furious" says little of the speaker
AGAINST_NEUTRAL = 0.35  # own: an emotion word speaks against "nothing much", by this share of its weight
# Tokens before the word, within its clause, where a negator counts. Shorter for a stance: "I don't need your stupid
# advice" takes nothing back.
NEGATION_REACH: Mapping[str, int] = {"state": 4, "stance": 2}

# As far as a clause or sentence is followed: recognised speech often has no marks at all, for hours.
MAX_CLAUSE_TOKENS, MAX_SENTENCE_TOKENS = 12, 40

# What else a negated word speaks for, as a share of its weight (own): "not happy" hints at sadness and anger,
# "not afraid" at nothing much.
_NEGATED_HINTS: Mapping[str, Mapping[str, float]] = {"happy": {"sad": 0.6, "angry": 0.35}}
_NEGATED_OTHERWISE: Mapping[str, float] = {"neutral": 0.3}

_ENOUGH_WORDS = 5  # from this many words on, a text without any common word is not taken for English


class Hit(NamedTuple):
    """One pattern found in the text.

    Attributes:
        text: the words as they stand there, tokenised.
        weights: label -> log-odds, after all modifiers.
        notes: what changed the row's weights: "negated", "intensified", ...
        language: of the lexicon, one of `LEXICONS`.
    """

    text: str
    pattern: Pattern
    weights: Mapping[str, float]
    notes: tuple[str, ...]
    language: str = "en"


class WordsReading(NamedTuple):
    """Hits in text order; `problem` says why there are none."""

    hits: tuple[Hit, ...]
    problem: str | None


def read_words(transcript: Transcript | None, lexicon: Lexicon | None = None) -> WordsReading:
    """What the words of a transcript speak for, each line by the lexicon of its language.

    A pattern met for the n-th time counts 1/n: saying "sorry" ten times is not ten independent apologies.

    Args:
        transcript: what was said; None and empty ones give no hits and the reason.
        lexicon: English patterns to look for; the package's own when None.
    """
    if transcript is None or not transcript.text.strip():
        return WordsReading((), "nothing was transcribed")
    texts = [line.text.strip() for line in transcript.lines if line.text.strip()]
    by_line = [line.language for line in transcript.lines if line.text.strip()]
    decided = line_languages(texts, transcript.language)
    languages = [given or found for given, found in zip(by_line, decided)]
    lines, foreign = _english_lines(texts, languages, transcript.language)
    # A line of a subtitle ends a sentence even where nobody put a full stop.
    hits = _find(tokens(" ".join(text if text[-1:] in ".!?," else f"{text}." for text in lines)), lexicon or english())
    spoken = [text for text, language in zip(texts, languages) if language == "zh"]
    if spoken:
        hits += _find_chinese(signs("".join(text if text[-1:] in "。！？，.!?," else f"{text}。" for text in spoken)))
    if hits or lines or spoken:
        return WordsReading(hits, None if hits else "none of the words is in the emotion lexicon")
    return WordsReading((), foreign)


def _find(found: tuple[Token, ...], lexicon: Lexicon) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    times: dict[str, int] = {}
    at = 0
    while at < len(found):
        match = lexicon.match(found, at, FILLERS)
        if match is None:
            at += 1
            continue
        pattern, end = match
        times[pattern.text] = times.get(pattern.text, 0) + 1
        is_word = any(t.is_word for t in found[at:end])
        notes = _notes(found, at, end, pattern) if is_word else ()
        text = " ".join(t.text for t in found[at:end])
        hits.append(_hit(text, pattern, notes, 1.0 / times[pattern.text], is_word=is_word))
        at = end
    return tuple(hits)


def _find_chinese(found: tuple[Token, ...]) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    times: dict[str, int] = {}
    for start, end, pattern, notes in entries(found, chinese()):
        text = "".join(t.text for t in found[start:end])
        times[text] = times.get(text, 0) + 1
        hits.append(_hit(text, pattern, notes, 1.0 / times[text])._replace(language="zh"))
    return tuple(hits)


def _hit(text: str, pattern: Pattern, notes: tuple[str, ...], share: float, *, is_word: bool = True) -> Hit:
    scale = share
    for note in notes:
        scale *= _SCALES.get(note, 1.0)
    weights = {label: w * scale for label, w in pattern.weights.items()}
    if "negated" in notes:
        weights = _negated(weights)
    strongest = max(weights, key=lambda label: weights[label])
    if is_word and strongest != "neutral" and weights[strongest] > 0:
        weights["neutral"] = weights.get("neutral", 0.0) - AGAINST_NEUTRAL * weights[strongest]
    return Hit(text, pattern, weights, notes)


_SCALES: Mapping[str, float] = {
    "intensified": BOOSTED,
    "weakened": DAMPENED,
    "in capitals": CAPITALS,
    "exclaimed": EXCLAIMED,
    "before 'but'": BEFORE_BUT,
    "after 'but'": AFTER_BUT,
    "about somebody else": SOMEBODY_ELSE,
}


def _notes(found: tuple[Token, ...], start: int, end: int, pattern: Pattern) -> tuple[str, ...]:
    """Everything around the words from `start` to `end` that changes their weight."""
    clause = _clause_before(found, start)
    sentence_start, sentence_end = _sentence(found, start, end)
    rest = {t.text for t in found[end:sentence_end]}
    reach = NEGATION_REACH[pattern.kind]
    is_negated, is_superlative = _negation(found, clause, reach, sentence_start, sentence_end)
    inside = {t.text for t in found[start:end]} - set(pattern.tokens)
    near = {t.text for t in clause[-2:]} | inside
    closing = found[sentence_end - 1].text
    noted = {
        "negated": is_negated,
        "intensified": is_superlative or bool(near & BOOSTERS),
        "weakened": bool({t.text for t in clause[-3:]} & DAMPENERS),
        "in capitals": any(t.is_shouted for t in found[start:end]),
        "exclaimed": closing in ("!", "?!"),
        "before 'but'": bool(rest & _CONTRASTS),
        "after 'but'": bool({t.text for t in found[sentence_start:start]} & _CONTRASTS),
        "about somebody else": pattern.kind == "state" and _is_about_others(clause),
    }
    return tuple(note for note, holds in noted.items() if holds)


def _negation(
    found: tuple[Token, ...], clause: tuple[Token, ...], reach: int, sentence_start: int, sentence_end: int
) -> tuple[bool, bool]:
    """(negated, turned into a superlative: "never been so disappointed")."""
    near = [t.text for t in clause[-reach:]]
    negators = [
        i for i, word in enumerate(near) if word in NEGATORS and near[i + 1 : i + 2] not in (["only"], ["just"])
    ]
    if not negators:
        return False, False
    if near[negators[-1]] == "never" and {"so", "more", "such", "this"} & set(near[negators[-1] :]):
        return False, True
    opening = [t.text for t in found[sentence_start : sentence_start + 2]]
    # "Isn't it wonderful?" asks for agreement and denies nothing.
    is_tag = found[sentence_end - 1].text == "?" and len(clause) >= 2 and opening[1:] == ["not"]
    return not is_tag and len(negators) % 2 == 1, False


def _negated(weights: Mapping[str, float]) -> dict[str, float]:
    turned = {label: NEGATED * w for label, w in weights.items()}
    for label, weight in weights.items():
        for hint, share in _NEGATED_HINTS.get(label, _NEGATED_OTHERWISE).items():
            if hint != label:
                turned[hint] = turned.get(hint, 0.0) + share * weight
    return turned


def _clause_before(found: tuple[Token, ...], start: int) -> tuple[Token, ...]:
    begin = start
    while begin > max(start - MAX_CLAUSE_TOKENS, 0) and found[begin - 1].text not in _CLAUSE_ENDS:
        begin -= 1
    return found[begin:start]


def _sentence(found: tuple[Token, ...], start: int, end: int) -> tuple[int, int]:
    """First index of the sentence around the words, and the index after its closing mark."""
    begin = start
    while begin > max(start - MAX_SENTENCE_TOKENS, 0) and found[begin - 1].text not in _SENTENCE_ENDS:
        begin -= 1
    stop = end
    if found[end - 1].text not in _SENTENCE_ENDS:
        while stop < min(end + MAX_SENTENCE_TOKENS, len(found)) and found[stop - 1].text not in _SENTENCE_ENDS:
            stop += 1
    return begin, stop


def _is_about_others(clause: tuple[Token, ...]) -> bool:
    owners = [t.text for t in clause if t.text in _FIRST_PERSON or t.text in _OTHERS]
    return bool(owners) and owners[-1] in _OTHERS


def _english_lines(texts: Sequence[str], languages: Sequence[str | None], marked: str | None) -> tuple[list[str], str]:
    """The lines that are read as English, and why none is read."""
    found = [text for text, language in zip(texts, languages) if language in (None, "en")]
    words = len(re.findall(r"[a-z']+", " ".join(texts).lower()))
    if found and not any(languages) and words >= _ENOUGH_WORDS:
        return [], "the text does not look English: it holds no common English word"
    named = " and ".join(sorted({NAMES.get(one, one) for one in languages if one not in (None, *LEXICONS)}))
    if marked is not None and marked.lower().partition("-")[0] not in LEXICONS:
        return found, f"not read: the lexicons are English and Chinese, and the transcript is marked {marked!r}"
    return found, f"not read: the lexicons are English and Chinese, and the words look {named}"
