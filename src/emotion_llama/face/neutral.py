"""What a person's face looks like at rest: the zero of the action units.

Legend: N frames, F shape features (`geometry.FEATURE_NAMES`), cm.
The population's neutral is the canonical face. A person's is where each feature dwells: the densest quarter of its
values, pulled to the population's where two places are equally dense, and never further from what is usual for a face
of that length than faces differ (`unit_formulas.NEUTRAL_SPREAD_CM`, about one standard deviation). So somebody who
smiles from the first frame to the last still measures as smiling: only the part of the smile that could be the shape
of a face is taken for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from emotion_llama.face import geometry
from emotion_llama.face.unit_formulas import NEUTRAL_SPREAD_CM
from emotion_llama.records import Bool, Float

# Less holds too little rest to tell a face from its expression.
PERSON_SECONDS, PERSON_FRAMES = 3.0, 10
# From two thirds of that to four thirds the person's own rest counts more and more: a frame more or less of it, as
# in the same clip at another size, moves no unit by a leap.
BLEND = 1 / 3
DWELL_SHARE = 0.25  # of the frames: somebody at rest for a quarter of the time is measured against that rest
PRIOR_WEIGHT = 0.1  # a window this much closer to the population may be wider by a tenth of that
MAX_TURN_DEGREES = 30.0  # frames turned further do not define the rest


# A long nose goes with a long face (the heights of the face's thirds correlate: Farkas 1994), and no expression makes
# a nose longer. So the person's length from eyes to subnasale sets how long all heights are expected to be, within
# what two standard deviations of that length (51 +- 3 mm) are; by half only where it is not known to be at rest.
LENGTH_RATIO = (0.87, 1.13)
UNSURE_SHARE = 0.5
# How high an upper lid may rest: from the canonical face's, up to where a large eye with its lid fold that high has it.
# The two portraits of tests/face/test_real_faces.py and the canonical face have lid = 0.6 x fold within 0.5 mm, but a
# narrow eye may have a high fold too. Raising the lid leaves the fold, so AU05 stays visible above the range.
LID_PER_FOLD = 0.6


class Neutral(NamedTuple):
    """Resting values [F] cm, and whose they are."""

    features: Float
    whose: Literal["person", "population"]


@lru_cache(maxsize=1)
def population_neutral() -> Float:
    """[F] features of the canonical face, cm; do not write to it."""
    pixels = geometry.canonical_mesh() * [1.0, -1.0, -1.0]
    features = geometry.measure(pixels).shape_features
    features.flags.writeable = False
    return features


@lru_cache(maxsize=1)
def _spread() -> tuple[Float, Float]:
    """[F] how far below and above the population's a person's neutral may lie."""
    names = [name.removesuffix("_right").removesuffix("_left") for name in geometry.FEATURE_NAMES]
    below, above = zip(*(NEUTRAL_SPREAD_CM[name] for name in names))
    return np.array(below), np.array(above)


def estimate_neutral(
    features: Float, usable: Bool, seconds_per_frame: float, usable_above: Bool | None = None
) -> Neutral:
    """The neutral face of one person.

    Where the mouth gives too little rest, that of the upper face may still be the person's own; where neither does, the
    brows rest where they mostly are, within half of what faces differ, and everything else is the population's.

    Args:
        features: [N, F] cm; NaN in rows that are not usable.
        usable: [N] frames that may define the rest: seen, not turned far, no blink, no speech, no smile.
        seconds_per_frame: typical time a frame stands for.
        usable_above: [N] the same for brows and lids, which speech does not move; as `usable` where not given.
    """
    population, (below, above) = population_neutral(), _spread()
    seen = np.isfinite(features).all(axis=1)
    typical = np.median(features[seen], axis=0) if seen.any() else population
    usual = _lids_within(_for_length(population, typical, UNSURE_SHARE), typical)
    brows, upper = _are("brow_"), _are("brow_", "lid_", "infraorbital_")
    rest = np.where(brows, np.clip(typical, usual - UNSURE_SHARE * below, usual + UNSURE_SHARE * above), usual)
    whose: Literal["person", "population"] = "population"
    for frames, part in ((usable if usable_above is None else usable_above, upper), (usable, ~upper)):
        seconds = float(frames.sum() * seconds_per_frame)
        share = (seconds - PERSON_SECONDS * (1 - BLEND)) / (2 * BLEND * PERSON_SECONDS)
        if frames.sum() >= PERSON_FRAMES and share > 0:
            dwell = _densest(features[frames], population)
            usual = _lids_within(_for_length(population, dwell, 1.0), dwell)
            own = np.clip(dwell, usual - below, usual + above)
            rest = np.where(part, rest + min(share, 1.0) * (own - rest), rest)
            whose = "person" if part is not upper and seconds >= PERSON_SECONDS else whose
    return Neutral(rest, whose)


def _are(*prefixes: str) -> Bool:
    """[F] features whose names begin so."""
    return np.array([name.startswith(prefixes) for name in geometry.FEATURE_NAMES])


def _for_length(population: Float, person: Float, share: float) -> Float:
    """[F] the population's features with the heights stretched to the person's length of face."""
    names = geometry.FEATURE_NAMES
    nose = names.index("nose_base_y")
    ratio = 1 + share * (np.clip(person[nose] / population[nose], *LENGTH_RATIO) - 1)
    heights = [("_y" in name or "_height" in name) and not name.startswith("lid_") for name in names]
    return np.where(heights, population * ratio, population)


def _lids_within(usual: Float, person: Float) -> Float:
    """[F] the same with the upper lids where the person has them, within what the folds above allow."""
    names, out = geometry.FEATURE_NAMES, usual.copy()
    for side in geometry.SIDES:
        fold, lid = names.index(f"lid_fold_y_{side}"), names.index(f"lid_upper_y_{side}")
        room = LID_PER_FOLD * np.clip(person[fold] - usual[fold], 0.0, NEUTRAL_SPREAD_CM["lid_fold_y"][1])
        out[lid] = np.clip(person[lid], usual[lid], usual[lid] + room)
    return np.asarray(out)


def _densest(values: Float, prior: Float) -> Float:
    """[F] mean of the narrowest window that holds DWELL_SHARE of the values [N, F], by feature."""
    ordered = np.sort(values, axis=0)
    size = max(2, int(np.ceil(DWELL_SHARE * len(ordered))))
    width = ordered[size - 1 :] - ordered[: len(ordered) - size + 1]
    total = np.vstack([np.zeros(ordered.shape[1]), np.cumsum(ordered, axis=0)])
    mean = (total[size:] - total[:-size]) / size
    best = np.argmin(width + PRIOR_WEIGHT * np.abs(mean - prior), axis=0)
    return np.asarray(np.take_along_axis(mean, best[None], axis=0)[0])
