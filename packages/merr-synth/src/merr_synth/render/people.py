"""Draws up invented people: everything about a person that does not change while a clip lasts.

No picture of anybody goes into this: a person is a set of numbers drawn from ranges, the same for the same seed. The
ten skin tones are those of the Monk Skin Tone scale (E. Monk, 2019; published by Google under CC BY 4.0), between which
the drawing interpolates; all other ranges are our own choice, wide rather than representative of any population.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from emotion_llama.records import Float

Colour = tuple[int, int, int]  # RGB, 0..255

HairStyle = Literal["shaved", "receding", "short", "parted", "fringe", "bob", "long", "curly", "afro", "tied", "scarf"]
HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
Neckline = Literal["round", "v", "collar"]
NECKLINES: tuple[Neckline, ...] = get_args(Neckline)

# Monk Skin Tone scale, lightest to darkest.
MONK_TONES: tuple[Colour, ...] = (
    (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
    (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
)  # fmt: skip
_DARKEST = 7.5  # beyond, a face in a dim room is black on black to any camera
_PINK: Colour = (232, 150, 132)  # what blood adds to the printed tones, which are greyer than lit skin
_HAIR_COLOURS: tuple[Colour, ...] = (
    (22, 18, 17), (38, 27, 22), (62, 42, 30), (92, 62, 40), (132, 92, 56), (186, 150, 96), (150, 72, 38),
)  # fmt: skip
_GREY: Colour = (176, 174, 170)
_EYE_COLOURS: tuple[Colour, ...] = (
    (52, 32, 20), (70, 46, 28), (94, 66, 38), (98, 92, 54), (82, 108, 88), (92, 122, 146), (120, 136, 142),
)  # fmt: skip
_FRAMES: tuple[Colour, ...] = ((28, 26, 26), (70, 44, 28), (120, 116, 112), (58, 22, 30), (30, 44, 72))
# First names of many languages; a number follows, so that no two people share one.
_NAMES = (
    "Ada", "Amir", "Ana", "Anders", "Asha", "Bao", "Carmen", "Chidi", "Dalia", "Elif", "Emeka", "Farah", "Goran",
    "Hana", "Ines", "Ivo", "Jamal", "Jun", "Kofi", "Lars", "Leila", "Lucia", "Mateo", "Mei", "Milan", "Nadia", "Noor",
    "Olga",
    "Omar", "Paolo", "Priya", "Ravi", "Rosa", "Sami", "Sora", "Tariq", "Uma", "Vera", "Wei", "Yara", "Yusuf", "Zoe",
)  # fmt: skip

# Names of the local shape modes; what each does: `head.SHAPE_MODES`.
MODE_NAMES: tuple[str, ...] = (
    "eye_spacing", "eye_size", "eye_openness", "eye_tilt", "brow_height", "nose_width", "nose_length", "nose_tip",
    "mouth_width", "lip_fullness", "mouth_height", "jaw_width", "chin_length", "cheek_width", "forehead_width",
)  # fmt: skip


@dataclass(frozen=True)
class Glasses:
    """Frames of one colour; `roundness` 0 is a rectangle, 1 a circle; `rim_cm` their thickness."""

    colour: Colour
    roundness: float
    rim_cm: float


@dataclass(frozen=True)
class Person:
    """Who is drawn.

    Attributes:
        name: a first name and the seed's number.
        seed: also seeds the fine structure of skin and hair.
        age_years: 18..80; lines and grey hair follow it.
        proportions: stretch of the whole head in width, height and depth.
        modes: amount of each of MODE_NAMES, standard deviations.
        skin, hair, eyes, lips, clothes: colours.
        hair_style: one of HAIR_STYLES.
        hair_cm: how far the hair stands off the skull.
        hairline_cm: height of the hairline against the usual one.
        brow_thickness, brow_density: 1 is usual.
        lines: depth of the lines of age at rest, 0..1.
        freckles: 0..1.
        beard: 0 none, 0.4 stubble, 1 a short beard.
        lashes: darkness of the lash line, 0.5..1.
        glasses: or None.
        neckline: how the clothes end.
    """

    name: str
    seed: int
    age_years: int
    proportions: tuple[float, float, float]
    modes: tuple[float, ...]
    skin: Colour
    hair: Colour
    eyes: Colour
    lips: Colour
    clothes: Colour
    hair_style: HairStyle
    hair_cm: float
    hairline_cm: float
    brow_thickness: float
    brow_density: float
    lines: float
    freckles: float
    beard: float
    lashes: float
    glasses: Glasses | None
    neckline: Neckline

    def mode(self, name: str) -> float:
        """The amount of one shape mode, standard deviations."""
        return self.modes[MODE_NAMES.index(name)]


def draw_person(seed: int) -> Person:
    """The person with this number: the same one each time.

    Args:
        seed: any integer >= 0. Skin tones follow each other in a low-discrepancy order, so that any twenty people in
            a row cover the whole range.
    """
    rng = np.random.default_rng([seed, 0x9E09])
    age = int(18 + 62 * rng.beta(1.3, 1.9))
    tone = _DARKEST * ((seed * 0.6180339887 + 0.31) % 1.0)
    skin = _mixed(_tone(tone), _PINK, float(rng.uniform(0.18, 0.34)) * (1 - tone / 14))
    grey = float(np.clip((age - 38) / 35 + rng.normal(0, 0.25), 0, 1))
    dark_hair = tone > 3.5
    hair = _HAIR_COLOURS[int(rng.integers(0, 3 if dark_hair else len(_HAIR_COLOURS)))]
    style: HairStyle = HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=_style_weights(age, tone)))]
    bearded = style not in ("bob", "long", "tied", "fringe", "scarf") and rng.random() < 0.4
    return Person(
        name=f"{_NAMES[seed % len(_NAMES)]} {seed}",
        seed=seed,
        age_years=age,
        proportions=_three(np.clip(rng.normal(1.0, [0.04, 0.045, 0.04]), 0.9, 1.1)),
        modes=tuple(float(v) for v in np.clip(rng.normal(0, 1, len(MODE_NAMES)), -1.8, 1.8)),
        skin=skin,
        hair=_mixed(hair, _GREY, 0.85 * grey),
        eyes=_jittered(rng, _EYE_COLOURS[int(rng.integers(0, 3 if dark_hair else len(_EYE_COLOURS)))], 6),
        lips=_lip_colour(rng, skin),
        clothes=_colour(rng.uniform(25, 225, 3)),
        hair_style=style,
        hair_cm=float({"afro": 4.0, "curly": 2.0, "shaved": 0.1}.get(style, 1.0) * rng.uniform(0.8, 1.25)),
        hairline_cm=float(rng.normal(0.0, 0.35)),
        brow_thickness=float(rng.uniform(0.75, 1.3)),
        brow_density=float(rng.uniform(0.75, 1.0)),
        lines=float(np.clip((age - 30) / 45 + rng.normal(0, 0.08), 0, 1)),
        freckles=float(rng.random() ** 3 if tone < 4 else 0.2 * rng.random() ** 2),
        beard=float(rng.uniform(0.3, 1.0)) if bearded else 0.0,
        lashes=float(rng.uniform(0.6, 1.0)),
        glasses=_glasses(rng) if rng.random() < 0.22 else None,
        neckline=NECKLINES[int(rng.integers(0, len(NECKLINES)))],
    )


def _style_weights(age: int, tone: float) -> list[float]:
    weights = dict.fromkeys(HAIR_STYLES, 1.0)
    weights["receding"] = 0.2 if age < 35 else 1.5
    weights["shaved"] = 0.6
    weights["afro"] = 1.6 if tone > 5 else 0.1
    weights["scarf"] = 0.5
    total = sum(weights.values())
    return [weights[style] / total for style in HAIR_STYLES]


def _glasses(rng: np.random.Generator) -> Glasses:
    colour = _FRAMES[int(rng.integers(0, len(_FRAMES)))]
    return Glasses(colour, float(rng.uniform(0, 1)), float(rng.uniform(0.12, 0.24)))


def _lip_colour(rng: np.random.Generator, skin: Colour) -> Colour:
    # Lips are redder and darker than the skin around them by about the same factor on all skins; some are painted.
    natural = np.array(skin) * [0.86, 0.62, 0.62] + [8, 0, 2]
    painted = np.array([168, 44, 58]) * rng.uniform(0.7, 1.1)
    share = float(rng.uniform(0.4, 0.8)) if rng.random() < 0.15 else 0.0
    return _colour(natural * (1 - share) + painted * share)


def _tone(position: float) -> Colour:
    whole = min(int(position), len(MONK_TONES) - 2)
    return _mixed(MONK_TONES[whole], MONK_TONES[whole + 1], position - whole)


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    return _colour(np.array(a) * (1 - share) + np.array(b) * share)


def _jittered(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    return _colour(np.array(colour) + rng.normal(0, spread, 3))


def _colour(values: Float) -> Colour:
    red, green, blue = (int(v) for v in np.clip(np.round(values), 0, 255))
    return red, green, blue


def _three(values: Float) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
