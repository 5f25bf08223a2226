"""What is added to a unit's displacement so that MediaPipe's mesh shows it: a table fitted to the network's answers.

The mesh network reads many small movements as something else, or not at all: of a cheek that rises alone it reports
3 %, of a chin boss nothing. How its mesh answers to small displacements and to lighter and darker spots everywhere on
drawn faces was measured, and the least combination was taken that brings the unit's own points (`face/geometry.py`)
near where they should be and leaves the others (benchmarks/fit_unit_emphasis.py made the table; ridge regression,
repeated). It is not anatomy: a drawn AU06 lowers the brows and lifts the mouth's corners more than a real one.

Each row of data/unit_emphasis.csv is a soft bump around a landmark of the right half, mirrored: centimetres outwards
and up, and a relative change of brightness, at intensity 5.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from emotion_llama.face.geometry import canonical_mesh
from emotion_llama.records import AU_NAMES, Float
from merr_synth.render import head
from merr_synth.render.relief import Bulge, height_map

BUMP_CM = 0.8  # standard deviation of a displacement's bump
SPOT_CM = (0.45, 0.35)  # of a brightness spot, right and up


class Bump(NamedTuple):
    """One row of the table."""

    unit: str
    landmark: int
    outward_cm: float
    up_cm: float
    shade: float


@lru_cache(maxsize=1)
def table() -> tuple[Bump, ...]:
    """The rows of data/unit_emphasis.csv."""
    text = resources.files("merr_synth.render").joinpath("data/unit_emphasis.csv").read_text("ascii")
    rows = (line.split(",") for line in text.splitlines()[1:])
    return tuple(Bump(unit, int(point), float(out), float(up), float(shade)) for unit, point, out, up, shade in rows)


def bump_field(landmark: int, outward_cm: float, up_cm: float) -> Float:
    """[468, 3] cm: the displacement of one bump and of its mirror image (one on the midline counts once)."""
    mesh = canonical_mesh()
    out = np.zeros_like(mesh)
    for side in (1.0,) if mesh[landmark, 0] == 0 else (1.0, -1.0):
        centre = mesh[landmark] * [side, 1, 1]
        weight = np.exp(-0.5 * ((mesh - centre) ** 2).sum(axis=1) / BUMP_CM**2)
        out += weight[:, None] * np.array([outward_cm * np.sign(centre[0]), up_cm, 0.0])
    return out


def spot(landmark: int, shade: float) -> Float:
    """[H, W] float32 relative change of brightness of one spot and its mirror image, on the skin's map."""
    x, y, _ = canonical_mesh()[landmark]
    return height_map([Bulge((-abs(float(x)), float(y)), shade, SPOT_CM)])


@lru_cache(maxsize=1)
def displacements() -> Float:
    """[17, 468, 3] cm at intensity 5, in the order of AU_NAMES (read-only)."""
    out = np.zeros((len(AU_NAMES), head.FACE_POINTS, 3))
    for row in table():
        out[AU_NAMES.index(row.unit)] += bump_field(row.landmark, row.outward_cm, row.up_cm)
    out.flags.writeable = False
    return out


@lru_cache(maxsize=1)
def shades() -> Float:
    """[17, H, W] float32 relative change of brightness at intensity 5 (read-only)."""
    out = np.zeros((len(AU_NAMES), *head.MAP_SIZE[::-1]), np.float32)
    for row in table():
        if row.shade:
            out[AU_NAMES.index(row.unit)] += spot(row.landmark, row.shade)
    out.flags.writeable = False
    return out
