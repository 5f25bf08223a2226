"""Makes merr_synth/render/data/unit_emphasis.csv: what drawn units need beside anatomy to be read.

    OMP_NUM_THREADS=1 python benchmarks/fit_unit_emphasis.py out.csv

First the answer of MediaPipe's mesh to small bumps and spots around 130 landmarks is measured on five drawn people
(about three minutes on one core). Then, for every unit of AIMS, the bumps are sought that bring the shape features
(`face/geometry.py`) near the aim and keep the rest still: Gauss-Newton steps with a ridge on the bumps, on roughness
and on shifts of points that no muscle moves, on eight people, kept only where they help. The aims and weights are our
own choice, set after looking at the tables of benchmarks/synthetic_faces.py, in which none of these people takes part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emotion_llama.face import geometry
from emotion_llama.face.backends import MeshBackend, load_backend
from emotion_llama.records import Float
from merr_synth.render import emphasis, head, portrait, unit_shapes
from merr_synth.render.face import canonical_triangles
from merr_synth.render.people import draw_person
from merr_synth.render.portrait import View, render_frame
from merr_synth.render.setting import Setting

MEASURED_ON, FITTED_ON = (100, 103, 106, 108, 115), (100, 103, 106, 108, 115, 112, 120, 121)
PLACES, BUMP_CM, SPOT = 130, 0.4, 0.3
STEPS, STEP, SHORTER = 11, 0.6, 0.4
RIDGE, STILL_COST, ROUGH_COST = 0.13, 1200.0, 160.0
STILL = (
    33, 133, 130, 243, 112, 155, 173, 246, 7, 168, 6, 197, 195, 5, 4, 1, 2, 94, 152, 148, 10, 356, 234, 127, 132, 58,
    172, 136, 150, 149, 176,
)  # fmt: skip


class Aim(NamedTuple):
    """One unit's fit.

    Attributes:
        features: change in cm that the network shall report at intensity 5; others shall stay.
        weights: of features, where it is not the usual one.
        lowest, highest: range of the landmarks' heights that may carry a bump, cm.
        spot_cost: how much more a spot costs than a bump.
        still_cost: factor on the cost of moving points that no muscle moves.
        scale: of the solution; what is written is so much of it.
    """

    features: dict[str, float]
    weights: dict[str, float]
    lowest: float
    highest: float
    spot_cost: float = 5.0
    still_cost: float = 1.0
    scale: float = 1.0


AIMS: dict[str, Aim] = {
    "AU02": Aim(
        {"brow_outer_y": 0.9, "brow_middle_y": 0.8, "brow_inner_y": 0.3},
        {"brow_outer_y": 12, "brow_middle_y": 12, "lid_upper_y": 20}, 1.0, 9.0, scale=0.8,
    ),
    "AU04": Aim(
        {"brow_inner_y": -0.6, "brow_middle_y": -0.5, "brow_inner_x": -0.35, "brow_outer_y": -0.1},
        {"brow_inner_y": 12, "brow_middle_y": 12, "brow_inner_x": 12, "lid_upper_y": 20}, 0.5, 9.0, scale=1.2,
    ),
    "AU05": Aim({"lid_upper_y": 0.2, "lid_fold_y": 0.05}, {"lid_upper_y": 36}, 1.0, 6.0, scale=0.85),
    "AU06": Aim(
        {"cheek_y": 0.5, "infraorbital_y": 0.4, "lid_lower_y": 0.18},
        {"cheek_y": 22, "infraorbital_y": 16, "nose_wing_y": 12, "lid_lower_y": 6, "lid_upper_y": 25,
         "mouth_corner_z": 6, "chin_pad_y": 9, "upper_lip_y": 10, "lip_gap": 9},
        -5.5, 5.2, spot_cost=4.0, scale=1.25,
    ),
    "AU07": Aim({"lid_lower_y": 0.15}, {"lid_lower_y": 36, "lid_upper_y": 36}, 0.3, 5.2),
    "AU09": Aim(
        {"nose_wing_y": 0.75, "nose_side_y": 0.75, "cheek_y": 0.25, "nose_base_y": 0.2, "upper_lip_y": 0.2,
         "infraorbital_y": 0.15},
        {"nose_wing_y": 12, "nose_side_y": 12, "lid_upper_y": 20}, -4.2, 5.5,
    ),
    "AU14": Aim(
        {"mouth_corner_height": -0.4, "mouth_corner_z": -0.2, "mouth_corner_skin_x": -0.15, "mouth_corner_x": 0.05},
        {"mouth_corner_height": 20, "mouth_corner_skin_x": 16, "mouth_corner_x": 12, "mouth_corner_z": 12,
         "upper_lip_height": 12, "lower_lip_height": 13, "upper_lip_y": 7, "lower_lip_y": 7},
        -8.0, -1.5, spot_cost=6.0, scale=1.2,
    ),
    "AU17": Aim(
        {"chin_pad_y": 0.55, "lower_lip_y": 0.35, "upper_lip_y": 0.1, "upper_lip_height": -0.05,
         "lower_lip_height": -0.1},
        {"chin_pad_y": 18, "chin_y": 14, "lower_lip_height": 9, "upper_lip_height": 9}, -9.5, -2.2, spot_cost=7.0,
        still_cost=0.25, scale=0.75,
    ),
    "AU45": Aim({"lid_upper_y": -0.38, "lid_lower_y": 0.08}, {"lid_upper_y": 36}, 1.0, 6.0),
}  # fmt: skip
USUAL_WEIGHT = 4.0
WEIGHTS = {
    "nose_tip_y": 3.0, "lid_fold_y": 2.0, "upper_lip_height": 3.0, "lip_gap": 6.0, "lid_upper_y": 12.0,
    "lid_lower_y": 12.0,
}  # fmt: skip
NAMES = tuple(dict.fromkeys(name.removesuffix("_right").removesuffix("_left") for name in geometry.FEATURE_NAMES))


@lru_cache(maxsize=1)
def places() -> tuple[int, ...]:
    """Landmarks of the right half and the midline, as far from each other as so many can be."""
    mesh = geometry.canonical_mesh()
    right = [i for i in range(len(mesh)) if mesh[i, 0] <= 0.01]
    chosen = [4]
    while len(chosen) < PLACES:
        away = np.linalg.norm(mesh[right][:, None] - mesh[None, chosen], axis=2).min(axis=1)
        chosen.append(right[int(away.argmax())])
    return tuple(chosen)


@lru_cache(maxsize=1)
def bumps() -> tuple[tuple[int, str, Float, Float], ...]:
    """Every bump and spot: landmark, kind, displacement [468, 3], shade [H, W]."""
    still, flat = np.zeros((head.FACE_POINTS, 3)), np.zeros(head.MAP_SIZE[::-1], np.float32)
    out = []
    for place in places():
        out.append((place, "out", emphasis.bump_field(place, BUMP_CM, 0.0), flat))
        out.append((place, "up", emphasis.bump_field(place, 0.0, BUMP_CM), flat))
        out.append((place, "spot", still, np.nan_to_num(emphasis.spot(place, SPOT))))
    return tuple(out)


class Network:
    """MediaPipe's mesh, looking at drawn people with something added to them."""

    def __init__(self, backend: MeshBackend) -> None:
        self._backend = backend
        self._motion, self._shade = np.zeros((head.FACE_POINTS, 3)), np.zeros(head.MAP_SIZE[::-1], np.float32)
        moved = unit_shapes.moved
        unit_shapes.moved = lambda *arguments: moved(*arguments) + self._motion  # type: ignore[assignment]
        shade = portrait._shade
        portrait._shade = lambda *arguments: shade(*arguments) * np.clip(1 + self._shade, 0.45, 1.5)[..., None]
        self._rest = {seed: self._look(seed, {}) for seed in FITTED_ON}

    def _look(self, seed: int, units: dict[str, float]) -> Float:
        """[F] features of one person."""
        image = render_frame(SETTING, [(draw_person(seed), VIEW, units)], (400, 400)).image
        self._backend.reset()
        faces = self._backend.observe(np.stack([image] * 3))[-1]
        if len(faces) != 1 or faces[0].landmarks is None:
            return np.full(len(NAMES), np.nan)
        values = geometry.measure(faces[0].landmarks).shape_features
        named: dict[str, list[float]] = {}
        for name, value in zip(geometry.FEATURE_NAMES, values):
            named.setdefault(name.removesuffix("_right").removesuffix("_left"), []).append(float(value))
        return np.array([np.mean(named[name]) for name in NAMES])

    def change(self, amounts: Float, units: dict[str, float], seeds: tuple[int, ...]) -> Float:
        """[F] mean change against rest with so much of every bump."""
        self._motion = np.einsum("b,bkc->kc", amounts, np.stack([b[2] for b in bumps()]))
        self._shade = sum((a * b[3] for a, b in zip(amounts, bumps()) if b[1] == "spot" and a), 0 * bumps()[0][3])
        return np.asarray(np.nanmean([self._look(seed, units) - self._rest[seed] for seed in seeds], axis=0))

    def jacobian(self) -> Float:
        """[B, F] answer to each bump."""
        one = np.eye(len(bumps()))
        return np.stack([(self.change(b, {}, MEASURED_ON) - self.change(-b, {}, MEASURED_ON)) / 2 for b in one])


SETTING, VIEW = Setting(), View((200.0, 184.0), 200.0)


def penalty(aim: Aim) -> Float:
    """[B, B] quadratic cost of the bumps."""
    mesh, triangles = geometry.canonical_mesh(), canonical_triangles()
    fields = np.stack([b[2] for b in bumps()])[..., :2]
    edges = np.unique(np.sort(np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1), axis=0)
    length = np.maximum(np.linalg.norm(mesh[edges[:, 0]] - mesh[edges[:, 1]], axis=1), 0.25)
    still = fields[:, STILL].reshape(len(fields), -1)
    rough = ((fields[:, edges[:, 0]] - fields[:, edges[:, 1]]) / length[None, :, None]).reshape(len(fields), -1)
    ridge = []
    for place, kind, _, _ in bumps():
        inside = aim.lowest <= mesh[place, 1] <= aim.highest and abs(mesh[place, 0]) < 6.3
        ridge.append(RIDGE * (aim.spot_cost if kind == "spot" else 1.0) if inside else 1e3)
    shape_cost = STILL_COST * still @ still.T / len(STILL) + ROUGH_COST * rough @ rough.T / len(edges)
    return np.asarray(np.diag(ridge) + aim.still_cost * shape_cost)


def fitted(aim: Aim, answer: Float, change: Callable[[Float], Float]) -> tuple[Float, float, float]:
    """[B] the bumps, and the misfit before and after."""
    target = np.array([aim.features.get(name, 0.0) for name in NAMES])
    weight = np.array([aim.weights.get(name, WEIGHTS.get(name, USUAL_WEIGHT)) for name in NAMES])
    system, cost_of = (answer * weight).T, penalty(aim)
    amounts, step = np.zeros(len(answer)), STEP
    best, best_cost, misfits, direction = amounts, np.inf, [], amounts
    for _ in range(STEPS):
        seen = change(amounts)
        misfit = float(((weight * (seen - target)) ** 2).sum())
        cost = misfit + float(amounts @ cost_of @ amounts)
        if cost < best_cost:
            best, best_cost = amounts, cost
            misfits.append(misfit)
            slope = system.T @ (weight * (target - seen)) - cost_of @ amounts
            direction = np.linalg.solve(system.T @ system + cost_of, slope)
        else:
            step *= SHORTER
        amounts = best + step * direction
    return best, misfits[0], misfits[-1]


def rows(unit: str, amounts: Float) -> list[str]:
    """Lines of the table; what is smaller than 0.12 mm or 1.2 % is left out."""
    by_place: dict[int, dict[str, float]] = {}
    for amount, (place, kind, _, _) in zip(amounts.tolist(), bumps()):
        value = round(amount * (SPOT if kind == "spot" else BUMP_CM), 3)
        if abs(value) >= 0.012:
            by_place.setdefault(place, {})[kind] = value
    return [
        f"{unit},{place},{kinds.get('out', 0):g},{kinds.get('up', 0):g},{kinds.get('spot', 0):g}"
        for place, kinds in by_place.items()
    ]


def main() -> None:
    """Measure, fit, write."""
    emphasis.table = lambda: ()  # type: ignore[assignment]
    lines = ["unit,landmark,outward_cm,up_cm,shade"]
    with load_backend() as backend:
        network = Network(backend)
        answer = network.jacobian()
        for unit, aim in AIMS.items():
            best, before, after = fitted(aim, answer, lambda a, unit=unit: network.change(a, {unit: 5.0}, FITTED_ON))
            print(f"{unit}  misfit {before:6.1f} -> {after:6.1f}", flush=True)
            lines += rows(unit, aim.scale * best)
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", "ascii")


if __name__ == "__main__":
    main()
