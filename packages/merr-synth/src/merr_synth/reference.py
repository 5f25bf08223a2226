"""The tables of docs/synth.md, made from the tables that MERR-Synth draws from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from emotion_llama.labels import MERR9
from merr_synth.render import sentences
from merr_synth.render.affect import FACE_TABLE, PROSODY_TABLE
from merr_synth.render.conflicts import CONFLICTS
from merr_synth.render.prosody_table import ProsodyRow

_FIGURES: Mapping[str, str] = {
    "pitch_shift_semitones": "pitch, st",
    "pitch_range_semitones": "range, st",
    "slope_semitones_per_second": "slope, st/s",
    "ending": "ending",
    "articulation_rate": "syllables/s",
    "loudness_db": "level, dB",
    "pause_share": "pauses",
    "tremor_percent": "tremor, %",
    "jitter_percent": "jitter, %",
    "harmonicity_db": "harmonicity, dB",
    "softness_db": "softness, dB",
}


def face_table() -> str:
    """Every prototype with its share, units and source."""
    rows = []
    for label, ways in FACE_TABLE.items():
        for way in ways:
            units = ", ".join(f"{unit[2:].lstrip('0')} {level:g}" for unit, level in way.units.items())
            maybe = ", ".join(f"{unit[2:].lstrip('0')} {level:g} ({p:.0%})" for unit, (p, level) in way.maybe.items())
            rows.append((label, f"{way.weight:.0%}", units or "-", maybe or "-", way.source))
    return _table(("label", "share", "units and intensity (0..5)", "may join", "source"), rows)


def prosody_table() -> str:
    """Every label's ranges."""
    rows = [(label, *(_range(row, name) for name in _FIGURES), row.source) for label, row in PROSODY_TABLE.items()]
    return _table(("label", *_FIGURES.values(), "source"), rows)


def conflict_table() -> str:
    """Every kind of conflict with its truth."""
    rows = [
        (
            f"`{name}`",
            *(shown or "the label" for shown in (kind.face, kind.voice, kind.words)),
            ", ".join(kind.labels),
            kind.rule,
        )
        for name, kind in CONFLICTS.items()
    ]
    return _table(("kind", "face", "voice", "words", "label (the truth)", "because of"), rows)


def sentence_table() -> str:
    """How many sentences there are."""
    rows = []
    for label in (*MERR9.labels, sentences.AMBIGUOUS):
        counts = [sentences.count_sentences(label, split) for split in sentences.SPLITS]
        templates = [len(sentences.grammar().templates[label, split]) for split in sentences.SPLITS]
        rows.append((label, *(f"{n} ({t})" for n, t in zip(counts, templates)), str(sum(counts))))
    return _table(("words of", *sentences.SPLITS, "in all"), rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "face prototypes": face_table,
    "prosody ranges": prosody_table,
    "conflicts": conflict_table,
    "sentences": sentence_table,
}


def _range(row: ProsodyRow, name: str) -> str:
    low, high = getattr(row, name)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
