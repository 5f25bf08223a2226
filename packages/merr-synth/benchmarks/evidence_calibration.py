"""How often the evidence predictor is right where it gives a label, on rendered clips, as measured and disturbed.

    merr-synth render --n 270 --seed 77 --out clips270
    python packages/merr-synth/benchmarks/evidence_calibration.py clips270 [--plot docs/images/calibration.png]

Prints, for each condition: clips with a label, how many of these are right, the expected calibration error (ten bins)
of the labels' probabilities, and of the likeliest label of all clips. The disturbed conditions are those that real
measuring has: noise of the mesh (0.4 of 5, smoothed over 0.2 s), a fifth of the units missing, and a wrong neutral
(each unit shifted by up to 0.6). Each is drawn 20 times. The words of the plans are written to a label and are right
far more often than a line of television, where 15 of 27 were: "some words wrong" gives 42 of 100 clips the line of a
clip with another label, so that as many are right here. With `--plot`, a reliability diagram.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.analysis.analyzer import Analyzer
from emotion_llama.records import ActionUnits, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.scoring import predict_by_rules

SEEDS = 20
WORDS = ("words as written", "some words wrong", "without words")
WRONG_WORDS = 0.42  # of the plans' words, 95 of 100 of which are right, this leaves 55 of 100
Row = tuple[str, str | None, str, float]  # true label, given label, likeliest label, its probability


def noisy(units: ActionUnits, draw: np.random.Generator) -> ActionUnits:
    """Units with the noise of a mesh."""
    noise = draw.normal(0, 1, units.intensity.shape)
    window = np.ones(max(1, round(0.2 * len(noise) / max(float(np.ptp(units.pts_seconds)), 0.2))))
    smooth = np.apply_along_axis(np.convolve, 0, noise, window / np.sqrt(len(window)), mode="same")
    return replace(units, intensity=np.clip(units.intensity + 0.4 * smooth, 0, 5))


def holed(units: ActionUnits, draw: np.random.Generator) -> ActionUnits:
    """Units of which a fifth was not measured."""
    gone = draw.random(len(units.names)) < 0.2
    return replace(units, intensity=np.where(gone, np.nan, units.intensity))


def shifted(units: ActionUnits, draw: np.random.Generator) -> ActionUnits:
    """Units against a wrong neutral face."""
    return replace(units, intensity=np.clip(units.intensity + draw.uniform(-0.6, 0.6, len(units.names)), 0, 5))


CONDITIONS: dict[str, Callable[[ActionUnits, np.random.Generator], ActionUnits]] = {
    "as measured": lambda units, draw: units, "noise": noisy, "units missing": holed, "wrong neutral": shifted,
}  # fmt: skip


def calibration_error(rows: list[Row], bins: int = 10) -> float:
    """Mean distance of probability and share of right ones, over bins of equal width (Guo et al., ICML 2017)."""
    chances, right = np.array([row[3] for row in rows]), np.array([row[0] == row[2] for row in rows], float)
    which = np.minimum((chances * bins).astype(int), bins - 1)
    parts = [(which == b) for b in range(bins) if (which == b).any()]
    return float(sum(part.mean() * abs(chances[part].mean() - right[part].mean()) for part in parts))


def with_wrong_words(evidence: list[tuple[str, Evidence]], draw: np.random.Generator) -> list[tuple[str, Evidence]]:
    """The same, of 100 clips with words 42 with the line of a clip with another label."""
    spoken = [(label, one.transcript) for label, one in evidence if one.transcript is not None]
    changed = []
    for label, one in evidence:
        if one.transcript is not None and draw.random() < WRONG_WORDS:
            others = [words for name, words in spoken if name != label]
            one = replace(one, transcript=others[draw.integers(len(others))])
        changed.append((label, one))
    return changed


def predictions(evidence: list[tuple[str, Evidence]], condition: str, words: str, seed: int) -> list[Row]:
    """A row for each clip of which anything was measured."""
    draw, rows = np.random.default_rng(seed), []
    if words == "some words wrong":
        evidence = with_wrong_words(evidence, draw)
    elif words == "without words":
        evidence = [(label, replace(one, transcript=None)) for label, one in evidence]
    for label, one in evidence:
        units = None if one.action_units is None else CONDITIONS[condition](one.action_units, draw)
        found = predict_by_rules(replace(one, action_units=units, peak_frame=None))
        if found.probabilities is not None:
            top = max(found.probabilities, key=lambda name: found.probabilities[name])  # type: ignore[index]
            rows.append((label, found.label, top, found.probabilities[top]))
    return rows


def measured(folder: Path) -> list[tuple[str, Evidence]]:
    """True label and evidence, with the plan's words, of every clip of a rendered folder."""
    plans: list[dict[str, Any]] = [json.loads(line) for line in (folder / "plans.jsonl").open(encoding="utf-8")]
    found = []
    with Analyzer.load("rules") as analyzer:
        for plan in plans:
            one = analyzer.analyze(folder / "clips" / f"{plan['id']}.mp4").people[0].segments[0].evidence
            said = None if "words" in plan["missing"] else Transcript((TranscriptLine(plan["text"]),), "plan", "en")
            found.append((plan["label"], replace(one, transcript=said)))
    return found


def plot(rows: dict[str, list[Row]], path: Path) -> None:
    """A diagram for each kind of words: share of right ones against the probability, of 5 clips or more."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(WORDS), figsize=(10, 3.6), layout="constrained", sharey=True)
    for axes, words in zip(panels, WORDS):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for shift, condition in enumerate(CONDITIONS):
            given = [row for row in rows[f"{condition}, {words}"] if row[1] is not None]
            draws = 1 if _is_drawn_once(condition, words) else SEEDS
            levels = sorted({round(row[3], 2) for row in given})
            at = {level: [row[0] == row[1] for row in given if round(row[3], 2) == level] for level in levels}
            kept = {level: right for level, right in at.items() if len(right) >= 5 * draws}
            sizes = [6 * len(right) / draws for right in kept.values()]
            places = [level + 0.008 * (shift - 1.5) for level in kept]
            axes.scatter(places, [np.mean(right) for right in kept.values()], sizes, alpha=0.6, label=condition)
        axes.set(title=words, xlabel="stated probability", xlim=(0.3, 1), ylim=(0.3, 1.02))
    panels[0].set(ylabel="share that is right")
    legend = panels[0].legend(fontsize=8, loc="lower right")
    for handle in legend.legend_handles:
        handle.set_sizes([30])
    figure.savefig(path, dpi=120)


def _is_drawn_once(condition: str, words: str) -> bool:
    return condition == "as measured" and words != "some words wrong"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `merr-synth render`")
    parser.add_argument("--plot", type=Path, help="PNG of the reliability diagram")
    args = parser.parse_args()
    evidence, drawn = measured(args.folder), {}
    print(f"{'condition':<32}{'clips':>6}{'label':>7}{'right':>7}{'ECE':>7}{'ECE all':>9}")
    for words in WORDS:
        for condition in CONDITIONS:
            name = f"{condition}, {words}"
            seeds = range(1 if _is_drawn_once(condition, words) else SEEDS)
            rows = drawn[name] = [row for seed in seeds for row in predictions(evidence, condition, words, seed)]
            given = [row for row in rows if row[1] is not None]
            right = sum(row[0] == row[1] for row in given) / max(1, len(given))
            errors = calibration_error(given), calibration_error(rows)
            counts = len(rows) / len(seeds), len(given) / len(seeds)
            print(f"{name:<32}{counts[0]:>6.0f}{counts[1]:>7.0f}{right:>7.2f}{errors[0]:>7.2f}{errors[1]:>9.2f}")
    if args.plot is not None:
        plot(drawn, args.plot)


if __name__ == "__main__":
    main()
