"""Tidy: one value a row, and a codebook that says what each variable is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emotion_llama.exports.summary import parts, values_of
from emotion_llama.exports.tiers import csv_text
from emotion_llama.schema import AnalysisDocument

_COLUMNS = ("clip", "person_id", "start_seconds", "end_seconds", "variable", "value")
# Beginning or end of a variable's name -> what it is, and its unit.
_MEANINGS = (
    (r"p_", "probability of a label, as the predictor gives it", "0..1"),
    (r".*_held$", "what a tenth of the time has or exceeds, blinks aside", "0..5"),
    (r".*_mean$", "mean over measured frames", "0..5"),
    (r".*_saturated$", "share of the time at 4.5 or more", "0..1"),
    (r"frames_measured$", "frames in which units were measured", "frames"),
    (r"frames$", "frames of the segment", "frames"),
    (r".*_seconds$", "duration", "s"),
    (r"pitch_median_hz$", "median fundamental frequency of voiced frames", "Hz"),
    (r"pitch_range_semitones$", "range of the fundamental frequency", "semitones"),
    (r"loudness_median_db$", "median level of speech", "dB re full scale"),
    (r"articulation_rate$", "syllables a second of speech without pauses", "1/s"),
    (r"pause_count$", "pauses within speech", "count"),
    (r"pause_share$", "share of pauses between first and last speech", "0..1"),
)


def long(results: Sequence[tuple[str, AnalysisDocument]]) -> dict[str, str]:
    """CSV and its codebook; names are legal in R and in SPSS. What was not measured has no row."""
    rows, names = list[tuple[object, ...]](), dict[str, None]()
    for name, _, person, segment in parts(results):
        start, end = segment.start_seconds, segment.end_seconds
        for variable, value in values_of(segment).items():
            if value is not None:
                rows.append((name, person.person_id, start, end, variable, value))
                names[variable] = None
    book = []
    for variable in names:
        meaning, unit = next((one[1:] for one in _MEANINGS if re.match(one[0], variable)), ("", ""))
        book.append((variable, meaning, unit))
    return {
        "long.csv": csv_text(_COLUMNS, rows),
        "long.codebook.csv": csv_text(("variable", "meaning", "unit"), book),
    }
