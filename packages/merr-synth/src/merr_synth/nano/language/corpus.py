"""Texts for pre-training: clips that were planned and never rendered, with evidence as it would be measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from merr_synth.nano.language.measured_like import Measuring
from merr_synth.nano.language.recipe import CorpusPart
from merr_synth.nano.language.said import vary
from merr_synth.nano.nano_data import Row, rows_of, write_split
from merr_synth.render.plan import draw_plans

SEED = 0x6E616E6F  # added to the recipe's: no plan of a rendered set is drawn again


def write_corpus(part: CorpusPart, measuring: Measuring, out: Path) -> dict[str, int]:
    """Write `<split>-<kind>.jsonl` of train and validation into `out`, as `nano_data`; how many examples each holds.

    Validation clips are of other people, voices and sentences (`synthetic.plan`), and say what their plans say.
    """
    out.mkdir(parents=True, exist_ok=True)
    sizes = {"train": part.num_train, "validation": part.num_validation}
    return {split: write_split(out, split, rows(part, measuring, split, n)) for split, n in sizes.items()}


def rows(part: CorpusPart, measuring: Measuring, split: str, count: int) -> Iterator[tuple[Row, Row]]:
    """`count` examples of a split, coarse and fine, the same for the same seed."""
    plans = draw_plans(
        count, part.seed + SEED, split_shares={split: 1.0}, conflict_share=part.conflict_share,
        missing_share=part.missing_share, fps=part.fps, seconds=part.seconds,
    )  # fmt: skip
    for plan in plans:
        rng = np.random.default_rng([plan.seed, 71])
        words = vary(plan.text, plan.words_label, rng) if split == "train" else plan.text
        coarse, fine = rows_of(plan, measuring.evidence(plan, words, rng))
        name = {"name": f"text-{plan.id}"}
        yield {**coarse, **name}, {**fine, **name}
