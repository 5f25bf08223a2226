"""Does the voice measure as a text calls it? For texts that models or people wrote."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from emotion_llama.merr.modalities import as_prosody
from emotion_llama.merr.prose_tone import ToneMention, tone_mentions
from emotion_llama.merr.quality import CIRCULAR, Measure
from emotion_llama.merr.records import Sample
from emotion_llama.merr.values import by_rules, descriptions
from emotion_llama.records import Prosody
from emotion_llama.speech.tone import SCALES, judge

LEAST_VOICES = 10  # measured voices from which a rank among them says something; own choice


class Tones:
    """Words for figures of the voice, against the rank of the voice within the data set and against the bounds."""

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = defaultdict(list)
        self._mentions: list[tuple[ToneMention, float]] = []
        self._judged: list[bool] = []
        self._left_out: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One sample; every measured voice is part of what the others are ranked among."""
        prosody = as_prosody(sample.value("prosody"))
        if prosody is not None:
            for scale in SCALES:
                value = getattr(prosody, scale.figure)
                if value is not None:
                    self._figures[scale.figure].append(float(value))
        for _, written in descriptions(sample, ("audio_tone",)):
            if by_rules(written.provenance):
                self._left_out[CIRCULAR] += 1
            elif prosody is None:
                self._left_out["no voice was measured"] += 1
            else:
                self._compare(tone_mentions(written.text), prosody)

    def _compare(self, mentions: tuple[ToneMention, ...], prosody: Prosody) -> None:
        for mention in mentions:
            value = getattr(prosody, mention.figure)
            if value is None:
                self._left_out["the figure that a word speaks of could not be measured"] += 1
                continue
            self._mentions.append((mention, float(value)))
            scale = next(s for s in SCALES if s.figure == mention.figure)
            judgement = judge(scale, prosody)
            if judgement is not None and judgement.direction != 0:
                self._judged.append(judgement.direction == mention.direction)

    def measures(self) -> tuple[Measure, ...]:
        """Mean rank in the direction of the word, and the share of words that hold where the voice is out of bounds."""
        ranks = [self._rank(m, v) for m, v in self._mentions if len(self._figures[m.figure]) >= LEAST_VOICES]
        return (
            Measure(
                "tone_rank", "Voices rank as their descriptions call them", float(np.mean(ranks)) if ranks else None,
                len(ranks), "mentions", "higher",
                "mean rank (0 to 1, in the word's direction) of the voice among all of the set, for each word on "
                "pitch, range, level, tempo, pauses or tremor in a text that no rules wrote; 0.5 is no relation",
                0.5 if ranks else None, dict(self._left_out),
            ),
            Measure(
                "tone_words_hold", "Words on voices that are out of the ordinary",
                sum(self._judged) / len(self._judged) if self._judged else None, len(self._judged), "mentions",
                "higher", "share with the right direction, of these words where the measured figure is beyond a bound "
                "of the tone table", None, dict(self._left_out),
            ),
        )  # fmt: skip

    def _rank(self, mention: ToneMention, value: float) -> float:
        """Share of voices that lie further from what the word says, ties half; the voice itself left out."""
        others = np.asarray(self._figures[mention.figure])
        below, equal = float((others < value).sum()), float((others == value).sum()) - 1
        rank = (below + equal / 2) / (len(others) - 1)
        return rank if mention.direction > 0 else 1 - rank
