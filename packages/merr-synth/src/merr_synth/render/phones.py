"""What each phoneme is to the synthesiser: formants, level of the voice, noise, and length.

Formants of vowels: Peterson & Barney 1952 (JASA 24, 175), means of men; of consonants: Klatt 1980 (JASA 67, 971), table
of the consonants before front vowels. A diphthong glides between two vowels. Levels, noise bands and lengths are
our own, chosen so that every syllable stands out of its neighbours; they carry the rhythm, not the sound of a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Formants = tuple[float, float, float]  # F1, F2, F3 in Hz
NoiseBand = Literal["s", "sh", "f", "h"]

NOISE_BANDS_HZ: Mapping[NoiseBand, tuple[float, float]] = MappingProxyType(
    {"s": (4000.0, 7600.0), "sh": (2200.0, 6000.0), "f": (1500.0, 7500.0), "h": (600.0, 4000.0)}
)

_MONOPHTHONGS: Mapping[str, Formants] = {
    "IY": (270.0, 2290.0, 3010.0), "IH": (390.0, 1990.0, 2550.0), "EH": (530.0, 1840.0, 2480.0),
    "AE": (660.0, 1720.0, 2410.0), "AA": (730.0, 1090.0, 2440.0), "AO": (570.0, 840.0, 2410.0),
    "UH": (440.0, 1020.0, 2240.0), "UW": (300.0, 870.0, 2240.0), "AH": (640.0, 1190.0, 2390.0),
    "ER": (490.0, 1350.0, 1690.0),
}  # fmt: skip
_DIPHTHONGS = {"AW": ("AA", "UH"), "AY": ("AA", "IH"), "EY": ("EH", "IH"), "OW": ("AO", "UH"), "OY": ("AO", "IH")}


class Phone(NamedTuple):
    """How a phoneme is made.

    Attributes:
        begin, end: formants where it starts and ends.
        seconds: length of a consonant in unhurried speech; a vowel fills what is left of its syllable.
        voice_db: level of the voice re a stressed vowel; None: unvoiced.
        noise: band of its noise, None without.
        noise_db: level of the noise re a stressed vowel.
        closed_share: share of its length that is a closure before the noise (plosives and affricates).
    """

    begin: Formants
    end: Formants
    seconds: float = 0.0
    voice_db: float | None = 0.0
    noise: NoiseBand | None = None
    noise_db: float = -80.0
    closed_share: float = 0.0


def _consonant(
    formants: Formants,
    seconds: float,
    voice_db: float | None,
    noise: NoiseBand | None = None,
    noise_db: float = -80.0,
    closed_share: float = 0.0,
) -> Phone:
    return Phone(formants, formants, seconds, voice_db, noise, noise_db, closed_share)


PHONES: Mapping[str, Phone] = MappingProxyType(
    {
        **{name: Phone(formants, formants) for name, formants in _MONOPHTHONGS.items()},
        **{name: Phone(_MONOPHTHONGS[a], _MONOPHTHONGS[b]) for name, (a, b) in _DIPHTHONGS.items()},
        "W": _consonant((290.0, 610.0, 2150.0), 0.055, -13.0),
        "Y": _consonant((260.0, 2070.0, 3020.0), 0.055, -13.0),
        "R": _consonant((310.0, 1060.0, 1380.0), 0.055, -13.0),
        "L": _consonant((310.0, 1050.0, 2880.0), 0.055, -13.0),
        "M": _consonant((480.0, 1270.0, 2130.0), 0.065, -13.0),
        "N": _consonant((480.0, 1340.0, 2470.0), 0.060, -13.0),
        "NG": _consonant((480.0, 2000.0, 2900.0), 0.065, -13.0),
        "V": _consonant((220.0, 1100.0, 2080.0), 0.060, -16.0, "f", -28.0),
        "DH": _consonant((270.0, 1290.0, 2540.0), 0.045, -16.0, "f", -32.0),
        "Z": _consonant((240.0, 1390.0, 2530.0), 0.075, -18.0, "s", -22.0),
        "ZH": _consonant((280.0, 1840.0, 2750.0), 0.075, -18.0, "sh", -22.0),
        "F": _consonant((340.0, 1100.0, 2080.0), 0.090, None, "f", -24.0),
        "TH": _consonant((320.0, 1290.0, 2540.0), 0.080, None, "f", -26.0),
        "S": _consonant((320.0, 1390.0, 2530.0), 0.095, None, "s", -18.0),
        "SH": _consonant((300.0, 1840.0, 2750.0), 0.095, None, "sh", -16.0),
        "HH": _consonant((450.0, 1450.0, 2500.0), 0.055, None, "h", -22.0),
        "B": _consonant((200.0, 1100.0, 2150.0), 0.065, -24.0, "f", -26.0, 0.85),
        "D": _consonant((200.0, 1600.0, 2600.0), 0.060, -24.0, "s", -24.0, 0.85),
        "G": _consonant((200.0, 1990.0, 2850.0), 0.065, -24.0, "sh", -24.0, 0.85),
        "JH": _consonant((260.0, 1800.0, 2820.0), 0.085, -24.0, "sh", -20.0, 0.50),
        "P": _consonant((400.0, 1100.0, 2150.0), 0.085, None, "f", -22.0, 0.65),
        "T": _consonant((400.0, 1600.0, 2600.0), 0.080, None, "s", -20.0, 0.65),
        "K": _consonant((300.0, 1990.0, 2850.0), 0.085, None, "sh", -20.0, 0.65),
        "CH": _consonant((350.0, 1800.0, 2820.0), 0.105, None, "sh", -16.0, 0.40),
    }
)  # fmt: skip
