"""Speed of an offline build: clips a minute and core, share of time by stage, cost of the store, and four workers.

Run: `OMP_NUM_THREADS=1 python benchmarks/merr_speed.py`, on a machine that does nothing else.

The clips are rendered by the project (`merr-synth`). Every build begins in an empty folder. Wall time of a
machine that is shared says little: CPU time is user + system of the build's process and its workers, so that "clips a
minute and core" holds on a busy machine too. The gain of four workers is printed by wall time, and beside it how much
more CPU time four workers took than one: what is lost to each other's memory and caches rather than to other programs.

Options: --n N (clips, 48), --size WxH (640x480), --fps F (25), --workers A,B (1,4), --clips DIR (render there, keep).
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import load_recipe
from emotion_llama.merr.status import BuildTally
from merr_synth.render.dataset import render_dataset
from merr_synth.render.plan import draw_plans


class Timing(NamedTuple):
    """One build."""

    workers: int
    wall_seconds: float
    cpu_seconds: float
    tally: BuildTally


def cpu_seconds() -> float:
    """User and system time of this process and of the workers that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def timed(manifest: Path, out: Path, workers: int) -> Timing:
    """Build from nothing."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    recipe = load_recipe(None, ["pseudo_label.mode=given_else_rules"])  # every clip goes through all stages
    tally = build([manifest], out, recipe, options=EngineOptions(workers=workers))
    return Timing(workers, time.perf_counter() - wall, cpu_seconds() - cpu, tally)


def stage_table(timing: Timing) -> None:
    """Share of the work by stage."""
    work = sum(phase.seconds for phase in timing.tally.phases)
    print(f"\n{'stage':<22}{'work s':>9}{'share':>8}{'ms/clip':>9}")
    for phase in timing.tally.phases:
        each = 1000 * phase.seconds / timing.tally.clips
        print(f"{phase.name:<22}{phase.seconds:9.2f}{phase.seconds / work:8.1%}{each:9.1f}")


def main() -> None:
    """Render, build with each number of workers, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=48)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--clips", type=Path)
    args = parser.parse_args()
    width, height = (int(number) for number in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clips = args.clips or Path(folder) / "clips"
        plans = draw_plans(args.n, size=(width, height), fps=args.fps)
        render_dataset(plans, clips, workers=os.cpu_count() or 1, resume=True)
        seconds = sum(plan.num_frames for plan in plans) / args.fps
        print(f"{args.n} clips, {seconds:.0f} s in all, {args.size}, {args.fps:g} fps; {os.cpu_count()} cores, "
              f"load {os.getloadavg()[0]:.1f} before")  # fmt: skip
        timings = [
            timed(clips / "manifest.csv", Path(folder) / f"merr{number}", int(number))
            for number in args.workers.split(",")
        ]
    first = timings[0]
    print(f"{'workers':<9}{'wall s':>8}{'CPU s':>8}{'clips/min':>11}{'clips/min/core':>16}{'gain':>7}{'CPU':>7}")
    for t in timings:
        gain, more = first.wall_seconds / t.wall_seconds, t.cpu_seconds / first.cpu_seconds
        rates = f"{60 * args.n / t.wall_seconds:11.1f}{60 * args.n / t.cpu_seconds:16.1f}"
        print(f"{t.workers:<9}{t.wall_seconds:8.1f}{t.cpu_seconds:8.1f}{rates}{gain:7.2f}{more:7.2f}")
    stage_table(first)


if __name__ == "__main__":
    main()
