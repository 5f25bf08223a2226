"""Action units in the plain words that MERR uses ("eyes widened", "wide-mouthed"), not in FACS names.

The phrases are this project's own. `{how}` is where the adverb of strength goes: "slightly" from 0.8, "clearly" from
1.6, "strongly" from 2.4 of 5 (MER-Factory's thresholds).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emotion_llama.annotators.rule_tables import PRESENT

ADVERBS: tuple[tuple[str, float], ...] = (("strongly", 2.4), ("clearly", 1.6), ("slightly", PRESENT))

# Units that are one gesture together, the largest first. A unit is worded once.
COMBINATIONS: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        ("AU01", "AU02", "AU05", "AU26"): ("a {how} startled face with the mouth open",),
        ("AU01", "AU02", "AU05"): ("eyebrows {how} raised over widened eyes", "eyes and eyebrows {how} raised"),
        ("AU01", "AU04", "AU15"): ("inner eyebrows {how} drawn up and the mouth turned down",),
        ("AU04", "AU05", "AU07"): ("a {how} hard stare under lowered eyebrows",),
        ("AU06", "AU12"): ("a smile that {how} reaches the eyes", "a {how} warm smile with raised cheeks"),
        ("AU01", "AU02"): ("eyebrows {how} raised", "the whole brow {how} lifted"),
        ("AU01", "AU04"): ("inner eyebrows {how} drawn up and together", "a {how} troubled brow"),
        ("AU04", "AU07"): ("eyes {how} narrowed under lowered eyebrows",),
        ("AU05", "AU26"): ("eyes {how} widened and the jaw dropped",),
        ("AU09", "AU10"): ("nose {how} wrinkled and the upper lip curled",),
        ("AU12", "AU14"): ("a {how} tight smile", "a {how} smug smile"),
        ("AU15", "AU17"): ("mouth {how} turned down with the chin pushed up", "a {how} pouting mouth"),
        ("AU17", "AU23"): ("lips {how} pressed together",),
        ("AU25", "AU26"): ("mouth {how} opened", "a {how} wide mouth"),
    }
)
UNITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "AU01": ("inner eyebrows {how} raised", "the middle of the brow {how} lifted"),
        "AU02": ("outer eyebrows {how} raised", "eyebrows {how} arched"),
        "AU04": ("eyebrows {how} lowered", "a {how} frowning brow", "brow {how} furrowed"),
        "AU05": ("eyes {how} widened", "upper eyelids {how} raised"),
        "AU06": ("cheeks {how} raised", "cheeks {how} lifted under the eyes"),
        "AU07": ("eyelids {how} tightened", "eyes {how} narrowed"),
        "AU09": ("nose {how} wrinkled", "a {how} crinkled nose"),
        "AU10": ("upper lip {how} raised", "upper lip {how} curled"),
        "AU12": ("corners of the mouth {how} pulled up", "a {how} upturned mouth"),
        "AU14": ("corners of the mouth {how} tightened", "cheeks {how} dimpled"),
        "AU15": ("corners of the mouth {how} pulled down", "a {how} downturned mouth"),
        "AU17": ("chin {how} pushed up", "lower lip {how} pushed up"),
        "AU20": ("lips {how} stretched sideways", "mouth {how} stretched wide"),
        "AU23": ("lips {how} tightened", "lips {how} thinned"),
        "AU25": ("lips {how} parted", "lips {how} apart"),
        "AU26": ("jaw {how} dropped", "mouth {how} hanging open"),
        "AU45": ("eyes closed",),
    }
)


def expression_phrases(units: Mapping[str, float], *, variant: int = 0) -> list[str]:
    """Phrases for the present units (0.8 and more), the strongest gesture first.

    The same units and `variant` always give the same words.

    Args:
        units: unit name -> intensity 0..5.
        variant: which of a gesture's wordings to take, counted round; a data set varies it by clip.
    """
    left = {name: x for name, x in units.items() if x >= PRESENT and name in UNITS}
    worded: list[tuple[float, str]] = []
    for group, wordings in [*COMBINATIONS.items(), *(((name,), wordings) for name, wordings in UNITS.items())]:
        if all(name in left for name in group):
            strength = sum(left.pop(name) for name in group) / len(group)
            worded.append((strength, _worded(wordings[variant % len(wordings)], strength)))
    return [phrase for _, phrase in sorted(worded, key=lambda item: -item[0])]


def adverb(intensity: float) -> str:
    """Adverb of strength for an intensity of at least 0.8."""
    return next((word for word, least in ADVERBS if intensity >= least), ADVERBS[-1][0])


def _worded(wording: str, intensity: float) -> str:
    return wording.format(how=adverb(intensity))
