"""Prints how well the drawn people of MERR-Synth are found and read by MediaPipe's mesh and the unit formulas.

    OMP_NUM_THREADS=1 python benchmarks/synthetic_faces.py [--sheet FOLDER]

1. Recognition: 40 people, each in a setting of their own, six frames with random poses (12, 22 and 8 degrees) and two
   random units of up to 4; the share of frames with exactly one face, and the distance of the landmarks from the truth.
2. Responses: 20 people in a plain setting and 20 in settings of their own; four seconds at rest, then every unit at
   1 to 5, facing the camera and turned. Printed are means over people of the unit's own response, the least of all
   people at 3 of 5, the strongest unrelated and related units at 3, and Spearman's rank correlation with intensity.
3. A smile of 6 and 12 and other usual pairs.
4. Time to draw a frame on one core.

None of these people was used to fit `synthetic/data/unit_emphasis.csv`. Which units count as related is said in
tests/face/carried_units.py. With --sheet, contact sheets are written as PNG files.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "face"))

import carried_units as truth
import unit_table as table

from emotion_llama.face import action_units
from emotion_llama.face.backends import MeshBackend, load_backend
from emotion_llama.records import AU_NAMES, Float, UInt8
from merr_synth.render.people import draw_person
from merr_synth.render.portrait import View, render_frame
from merr_synth.render.setting import Setting, draw_setting

SIDE = 320
FRAMES_EACH, PEOPLE = 6, range(300, 340)
READ_PEOPLE = range(300, 320)
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
HOLD, REST_FRAMES = 5, 100
TURNED = ((0.0, 15.0, 0.0), (0.0, -15.0, 4.0), (8.0, 8.0, -4.0), (-8.0, -8.0, 0.0))
PAIRS = (("AU06", "AU12"), ("AU01", "AU04"), ("AU04", "AU07"), ("AU01", "AU02"), ("AU09", "AU10"), ("AU15", "AU17"))


def picture(
    seed: int, setting: Setting, units: dict[str, float], turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[UInt8, Float, float]:
    """A frame, its true landmarks and the face's width."""
    view = View((setting.centre[0] * SIDE, setting.centre[1] * SIDE), setting.face_share * SIDE, turn)
    frame = render_frame(setting, [(draw_person(seed), view, units)], (SIDE, SIDE))
    return frame.image, frame.landmarks[0], view.width_px


def recognition(backend: MeshBackend) -> None:
    """Print the first table."""
    found, total, errors, lost = 0, 0, [], []
    for seed in PEOPLE:
        rng, setting = np.random.default_rng(seed), draw_setting(seed)
        backend.reset()
        for k in range(FRAMES_EACH):
            pitch, yaw, roll = (rng.uniform(-1, 1, 3) * [12, 22, 8] * (k > 0)).tolist()
            units = {str(u): float(rng.uniform(0, 4)) for u in rng.choice(AU_NAMES[:-1], 2, replace=False)}
            image, points, width = picture(seed, setting, units, (pitch, yaw, roll))
            faces = backend.observe(image[None])[0]
            total += 1
            if len(faces) == 1 and faces[0].landmarks is not None:
                found += 1
                errors.append(np.linalg.norm(faces[0].landmarks[:468, :2] - points[:, :2], axis=1).mean() / width)
            else:
                lost.append(seed)
    print(f"found      {found} of {total} frames ({found / total:.1%}); lost: {lost or 'none'}")
    print(f"landmarks  mean error {np.mean(errors):.2%} of the face's width, 95th percentile of frames "
          f"{np.percentile(errors, 95):.2%}")  # fmt: skip


def mesh_of(
    backend: MeshBackend, seed: int, setting: Setting, units: dict[str, float], turn: tuple[float, float, float]
) -> Float | None:
    """[478, 3] what the network sees at its third look."""
    image, _, _ = picture(seed, setting, units, turn)
    backend.reset()
    faces = backend.observe(np.stack([image] * 3))[-1]
    if len(faces) != 1 or faces[0].landmarks is None:
        return None
    return np.asarray(faces[0].landmarks, float)


def responses(
    backend: MeshBackend, seed: int, setting: Setting, expressions: list[dict[str, float]], turned: bool
) -> Float:
    """[E, U] what is read of each expression after four seconds of rest; NaN where no face was found."""
    out = np.full((len(expressions), len(AU_NAMES)), np.nan)
    rest = mesh_of(backend, seed, setting, {}, (0.0, 0.0, 0.0))
    turns = [TURNED[(seed + i) % len(TURNED)] if turned else (0.0, 0.0, 0.0) for i in range(len(expressions))]
    meshes = [mesh_of(backend, seed, setting, units, turn) for units, turn in zip(expressions, turns)]
    seen = [i for i, mesh in enumerate(meshes) if mesh is not None]
    if rest is None or not seen:
        return out
    clip = [rest] * REST_FRAMES + [meshes[i] for i in seen for _ in range(HOLD)]
    intensity = action_units.estimate(table.track_of(np.stack(clip))).intensity  # type: ignore[arg-type]
    out[seen] = intensity[REST_FRAMES + HOLD // 2 :: HOLD]
    return out


def response_table(backend: MeshBackend, own_settings: bool, turned: bool) -> None:
    """Print one table of responses."""
    expressions = [{unit: level} for unit in AU_NAMES for level in LEVELS]
    seen = []
    for seed in READ_PEOPLE:
        setting = draw_setting(seed) if own_settings else Setting()
        seen.append(responses(backend, seed, setting, expressions, turned).reshape(len(AU_NAMES), len(LEVELS), -1))
    values = np.stack(seen)  # [people, unit, level, read]
    print(f"\n{'own' if own_settings else 'plain'} settings, {'turned' if turned else 'facing the camera'}, "
          f"{len(seen)} people")  # fmt: skip
    print("unit  read at 1     2     3     4     5   least at 3  Spearman   unrelated at 3   related at 3")
    for i, unit in enumerate(AU_NAMES):
        own = values[:, i, :, i]
        ranks = [spearmanr(LEVELS, row).statistic if np.ptp(row) else 0.0 for row in own if np.isfinite(row).all()]
        mean = np.nanmean(values[:, i, 2], axis=0)
        related = truth.RELATED.get(unit, {})
        tops = []
        for group in ([u for u in AU_NAMES if u != unit and u not in related], list(related)):
            top = max(group, key=lambda u: mean[AU_NAMES.index(u)], default=None)
            tops.append(f"{top} {mean[AU_NAMES.index(top)]:.2f}" if top else "-")
        levels = " ".join(f"{v:5.2f}" for v in np.nanmean(own, axis=0))
        least, rank = np.nanmin(own[:, 2]), np.mean(ranks)
        print(f"{unit}     {levels}        {least:5.2f}     {rank:5.2f}   {tops[0]:14s}   {tops[1]}")


def pair_table(backend: MeshBackend) -> None:
    """Print what is read of usual pairs at 3."""
    print("\npairs at 3 of 5, plain setting, facing the camera: mean read of each (least of all people)")
    expressions = [dict.fromkeys(pair, 3.0) for pair in PAIRS]
    values = np.stack([responses(backend, seed, Setting(), expressions, False) for seed in READ_PEOPLE])
    for i, pair in enumerate(PAIRS):
        columns = [(unit, values[:, i, AU_NAMES.index(unit)]) for unit in pair]
        print("  " + "  ".join(f"{unit} {np.nanmean(v):.2f} ({np.nanmin(v):.2f})" for unit, v in columns))


def speed() -> None:
    """Print the time of a frame after the first of its person."""
    times = []
    for seed in list(PEOPLE)[:10]:
        setting = draw_setting(seed)
        picture(seed, setting, {"AU12": 1.0})
        for k in range(20):
            start = time.perf_counter()
            picture(seed, setting, {"AU12": 3.0, "AU06": k / 10, "AU25": 2.0}, (2.0, k / 2, 1.0))
            times.append(time.perf_counter() - start)
    first = time.perf_counter()
    picture(999, draw_setting(999), {})
    first = time.perf_counter() - first
    print(f"\ntime       {np.median(times) * 1e3:.1f} ms a frame of {SIDE} x {SIDE} (median; 95th percentile "
          f"{np.percentile(times, 95) * 1e3:.1f}); {first * 1e3:.0f} ms for the first of a new person")  # fmt: skip


def sheets(folder: Path) -> None:
    """Write contact sheets."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    people = [picture(seed, draw_setting(seed), {})[0] for seed in list(PEOPLE)[:24]]
    plain = Setting(face_share=0.52)
    units = [picture(302, plain, {})[0], *(picture(302, plain, {unit: 3.0})[0] for unit in AU_NAMES)]
    for name, images in (("people", people), ("units", units)):
        rows = [np.hstack(images[i : i + 6]) for i in range(0, len(images), 6)]
        cv2.imwrite(str(folder / f"{name}.png"), np.vstack(rows)[..., ::-1])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="write contact sheets there")
    arguments = parser.parse_args()
    with load_backend() as backend:
        recognition(backend)
        response_table(backend, own_settings=False, turned=False)
        response_table(backend, own_settings=True, turned=True)
        pair_table(backend)
    speed()
    if arguments.sheet:
        sheets(arguments.sheet)


if __name__ == "__main__":
    main()
