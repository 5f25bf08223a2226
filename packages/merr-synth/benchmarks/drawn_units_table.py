"""Prints what is left of every action unit after the mesh network: drawn faces, meshed by MediaPipe, measured.

    OMP_NUM_THREADS=1 python benchmarks/drawn_units_table.py

The displacements are those of tests/face/carried_units.py at full strength; `action_units_table.py` measures the same
on the true meshes. Four drawn people, frontal, 250 pixels wide, at rest for four seconds and then in the unit. The
drawings have no wrinkles, no teeth and flat light, so this is no figure for photographs: it shows what the network does
to a mesh whose truth is known.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "face"))

import carried_units as truth
import unit_table as table

from emotion_llama.face import action_units
from emotion_llama.face.backends import MeshBackend, load_backend
from emotion_llama.records import AU_NAMES, Float
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Identity, Placement, render

PEOPLE = (ANNA, BEN, CLEO, DREW)
SIDE, WIDTH = 640, 250.0
REST_FRAMES, FULL_FRAMES = 100, 10


def mesh_of(backend: MeshBackend, person: Identity, displacement_cm: Float) -> Float:
    """[478, 3] what the network sees of a drawn face; the third look, when its region has settled."""
    face = DrawnFace(person, Placement((SIDE / 2, SIDE / 2), WIDTH), displacement_cm)
    image = render((SIDE, SIDE), [face]).image
    backend.reset()
    ((found,),) = backend.observe(np.stack([image] * 3))[-1:]
    assert found.landmarks is not None
    return np.asarray(found.landmarks, float)


def response(backend: MeshBackend, person: Identity, unit: str) -> Float:
    """[U] intensities of the full unit, the person's own rest being zero."""
    rest = mesh_of(backend, person, np.zeros((468, 3)))
    full = mesh_of(backend, person, truth.displacement(unit))
    clip = np.stack([rest] * REST_FRAMES + [full] * FULL_FRAMES)
    return np.asarray(action_units.estimate(table.track_of(clip)).intensity[-FULL_FRAMES // 2])


def main() -> None:
    """Print the table."""
    print("unit  own response   strongest unrelated unit")
    print("      mean  lowest   (means over 4 people)")
    with load_backend() as backend:
        for i, unit in enumerate(AU_NAMES):
            seen = np.stack([response(backend, person, unit) for person in PEOPLE])
            related = {unit, *truth.RELATED.get(unit, {})}
            others = {name: value for name, value in zip(AU_NAMES, seen.mean(axis=0)) if name not in related}
            worst = max(others, key=lambda name: others[name])
            print(f"{unit}  {seen[:, i].mean():4.2f}  {seen[:, i].min():6.2f}   {worst} {others[worst]:.2f}")


if __name__ == "__main__":
    main()
