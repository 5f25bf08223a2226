"""When each phoneme of a sentence is said: syllables of the asked tempo, and pauses of the asked share.

Notation: Y syllables. Lengths are drawn around their usual values and then scaled, so that the articulation rate and
the share of pauses come out as asked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float
from merr_synth.render.phonemes import Syllable, Word, to_words
from merr_synth.render.phones import PHONES

STRESSED, UNSTRESSED, PHRASE_FINAL = 1.15, 0.85, 1.3  # relative lengths of syllables, own
CONSONANTS_MOST = 0.6  # share of a syllable
USUAL_PAUSE_SECONDS, LEAST_PAUSE_SECONDS = 0.45, 0.28  # silences of 0.2 s and more are pauses to a listener
LEAST_PAUSE_SHARE = 0.05  # below: no pause at all


class Segment(NamedTuple):
    """One phoneme in time."""

    phone: str
    start: float
    end: float
    level_db: float  # of the whole syllable: unstressed ones are softer


class Utterance(NamedTuple):
    """A sentence in time; seconds from the first sound.

    Attributes:
        segments: phonemes in order.
        edges: [Y, 2] start and end of each syllable.
        nuclei: [Y, 2] start and end of each syllable's vowel.
        is_stressed: of each syllable.
        spans: stretches without a pause.
        phrase_ends: numbers of the syllables that end a span.
        mark: what ends the sentence, "." where nothing does.
    """

    segments: tuple[Segment, ...]
    edges: Float
    nuclei: Float
    is_stressed: tuple[bool, ...]
    spans: tuple[tuple[float, float], ...]
    phrase_ends: tuple[int, ...]
    mark: str

    @property
    def duration_seconds(self) -> float:
        """From the first sound to the last."""
        return self.spans[-1][1]


def lay_out(text: str, articulation_rate: float, pause_share: float, rng: np.random.Generator) -> Utterance:
    """Put the syllables of `text` in time.

    Args:
        text: a sentence.
        articulation_rate: syllables per second without pauses.
        pause_share: share of the time from the first to the last sound that is silent, as far as there are words to
            pause between.
        rng: draws lengths and places.

    Raises:
        InputError: there is nothing to say in `text`.
    """
    words = [word for word in to_words(text) if word.syllables]
    if not words:
        raise InputError(f"nothing can be said of {text!r}: expected English words in letters")
    syllables = [syllable for word in words for syllable in word.syllables]
    speaking = len(syllables) / articulation_rate
    pauses = _pauses(words, speaking, pause_share, rng)
    lengths = _lengths(words, frozenset(pauses), rng)
    lengths *= speaking / lengths.sum()
    return _in_time(words, syllables, lengths, pauses)


def _pauses(words: list[Word], speaking: float, share: float, rng: np.random.Generator) -> dict[int, float]:
    """Number of the word -> length of the pause after it."""
    places = len(words) - 1
    if share < LEAST_PAUSE_SHARE or places == 0:
        return {}
    total = speaking * share / (1 - share)
    count = int(np.clip(round(total / USUAL_PAUSE_SECONDS), 1, places))
    while count > 1 and total / count < LEAST_PAUSE_SECONDS:
        count -= 1
    # Marks first; a pause splits what is left as evenly as it can.
    chosen = [i for i in range(places) if words[i].mark][:count]
    for place in _spread(places, count):
        if len(chosen) < count and place not in chosen:
            chosen.append(place)
    weights = np.clip(1 + 0.25 * rng.standard_normal(len(chosen)), 0.6, 1.4)
    lengths = np.maximum(total * weights / weights.sum(), LEAST_PAUSE_SECONDS)
    return {place: float(length) for place, length in zip(sorted(chosen), lengths)}


def _spread(places: int, count: int) -> list[int]:
    """Places evenly over the sentence, then all others."""
    even = [min(places - 1, round((k + 1) * places / (count + 1))) for k in range(count)]
    return [*even, *range(places)]


def _lengths(words: list[Word], pauses_after: frozenset[int], rng: np.random.Generator) -> Float:
    lengths = []
    for number, word in enumerate(words):
        for k, syllable in enumerate(word.syllables):
            is_last = k == len(word.syllables) - 1 and (number in pauses_after or number == len(words) - 1)
            usual = STRESSED if syllable.is_stressed else UNSTRESSED
            consonants = len(syllable.onset) + len(syllable.coda)
            usual *= (0.85 + 0.1 * consonants) * (PHRASE_FINAL if is_last else 1.0)
            lengths.append(usual * np.clip(1 + 0.08 * rng.standard_normal(), 0.8, 1.2))
    return np.asarray(lengths)


def _in_time(words: list[Word], syllables: list[Syllable], lengths: Float, pauses: dict[int, float]) -> Utterance:
    now = span_start = 0.0
    number = 0
    segments: list[Segment] = []
    edges, nuclei, spans, phrase_ends = [], [], [], []
    for position, word in enumerate(words):
        for syllable in word.syllables:
            end = now + float(lengths[number])
            placed, nucleus = _syllable(syllable, now, end)
            segments += placed
            edges.append((now, end))
            nuclei.append(nucleus)
            now, number = end, number + 1
        if position in pauses or position == len(words) - 1:
            spans.append((span_start, now))
            phrase_ends.append(number - 1)
            now = span_start = now + pauses.get(position, 0.0)
    return Utterance(
        tuple(segments),
        np.asarray(edges),
        np.asarray(nuclei),
        tuple(s.is_stressed for s in syllables),
        tuple(spans),
        tuple(phrase_ends),
        words[-1].mark or ".",
    )


def _syllable(syllable: Syllable, start: float, end: float) -> tuple[list[Segment], tuple[float, float]]:
    """Segments of a syllable, and the start and end of its vowel."""
    phones = [phone.rstrip("01") for phone in (*syllable.onset, syllable.nucleus, *syllable.coda)]
    seconds = np.array([PHONES[phone].seconds for phone in phones])
    room = CONSONANTS_MOST * (end - start)
    if seconds.sum() > room:
        seconds *= room / seconds.sum()
    nucleus = len(syllable.onset)
    seconds[nucleus] = end - start - seconds.sum()
    times = start + np.concatenate([[0.0], np.cumsum(seconds)])
    level = 0.0 if syllable.is_stressed else -2.0
    placed = [Segment(phone, float(a), float(b), level) for phone, a, b in zip(phones, times, times[1:])]
    return placed, (float(times[nucleus]), float(times[nucleus + 1]))
