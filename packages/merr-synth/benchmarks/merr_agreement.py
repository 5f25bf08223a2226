"""Agreement of a build with rendered clips whose truth is known.

Run: `OMP_NUM_THREADS=1 python benchmarks/merr_agreement.py`.

Renders clips of invented people (`merr-synth`), builds them offline with the default recipe, once with labels
by rules alone, and once with the given labels so that every clip goes through all stages (measurements are not made
twice), and prints how each stage agrees with what was drawn and voiced.

Options: --n N (clips, 180), --size WxH (256x256), --fps F (15), --workers K (2), --seed S (0), --keep DIR.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.recipe import load_recipe
from emotion_llama.merr.store import Store
from merr_synth.agreement import agree
from merr_synth.render.dataset import render_dataset
from merr_synth.render.plan import draw_plans


class Figure(NamedTuple):
    """A measure, and what it is when each clip is held against another's truth."""

    measure: Measure
    chance: float | None


def measure_all(
    folder: Path, n: int, *, size: tuple[int, int], fps: float, workers: int, seed: int
) -> dict[str, Figure]:
    """Render, build twice, compare. The labels are those of the first build, all else is of the second."""
    clips, out = folder / "clips", folder / "merr"
    plans = draw_plans(n, seed=seed, size=size, fps=fps)
    began = time.perf_counter()
    render_dataset(plans, clips, workers=workers, resume=True)
    print(f"rendered {n} clips of {size[0]}x{size[1]} at {fps:g} fps in {time.perf_counter() - began:.0f} s")
    found: dict[str, Figure] = {}
    for mode in ("rules", "given_else_rules"):
        recipe = load_recipe(None, [f"pseudo_label.mode={mode}"])
        tally = build([clips / "manifest.csv"], out, recipe, options=EngineOptions(workers=workers))
        print(f"built with labels {mode}: {tally.coarse} of {tally.clips} clips in the coarse set, "
              f"{tally.fine} in the fine set, {tally.wall_seconds:.0f} s")  # fmt: skip
        with Store.open(out, read_only=True) as store:
            true, chance = (agree(store, clips / "truth", shifted=shifted) for shifted in (False, True))
            for measure, other in zip(true, chance):
                if mode == "given_else_rules" or measure.name.startswith("label"):
                    found.setdefault(measure.name, Figure(measure, other.value))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=180)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder to leave clips and build in")
    args = parser.parse_args()
    width, height = (int(number) for number in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        found = measure_all(
            args.keep or Path(folder), args.n, size=(width, height), fps=args.fps, workers=args.workers, seed=args.seed
        )
    print(f"{'':<42}{'agreement':>10}{'by chance':>11}{'rests on':>16}")
    for m, chance in found.values():
        values = ("-" if value is None else f"{value:.3f}" for value in (m.value, chance))
        print(f"{m.title:<42}{next(values):>10}{next(values):>11}{f'{m.rests_on} {m.unit}':>16}")


if __name__ == "__main__":
    main()
