"""How well each stage of a build agrees with what is true of rendered clips (`merr_synth.render.render`).

Notation: N frames, U units. The truth of a clip is the JSON object that its rendering wrote beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.records import Sample, part, peak_units, text_of
from emotion_llama.records import ActionUnits, Float
from emotion_llama.tables import parse_json

if TYPE_CHECKING:
    from emotion_llama.merr.store import Store

Truth = Mapping[str, Any]  # a JSON object, see `render.truth_of`
PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold
NEAR_FRAMES = 3  # distance up to which a peak frame counts as found
LEAST_STRONG = 20  # frames in which a unit is present from which its correlation is reported; own


def agree(store: Store, truths: Path, *, shifted: bool = False) -> tuple[Measure, ...]:
    """Agreement of a build with the truth of its clips, for whatever the build has of them.

    Args:
        store: the build, open for reading.
        truths: folder of the JSON files that the renderer wrote, named as the clips.
        shifted: hold each clip against the truth of another, a third of the set away: what chance gives.

    Raises:
        InputError: a clip has no truth.
    """
    from emotion_llama.merr.measured import from_bytes

    ids = [clip.clip_id for clip in store.clips()]
    third = (len(ids) // 3 or 1) if shifted else 0
    truth_of = dict(zip(ids, ids[third:] + ids[:third]))
    checks = (Units(), Peaks(), Labels(), Tones(), Subtitles(), Conflicts())
    for sample in store.samples("all"):
        truth = read_truth(truths / f"{truth_of[sample.clip.clip_id]}.json")
        evidence = store.artifact(sample.clip.clip_id, "evidence")
        units = None if evidence is None else from_bytes(evidence).evidence.action_units
        for check in checks:
            check.add(sample, truth, units)
    return tuple(measure for check in checks for measure in check.measures())


def read_truth(path: Path) -> Truth:
    """One clip's truth.

    Raises:
        InputError: it is not there, or no JSON object.
    """
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected what is true of a rendered clip as JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found


class Units:
    """Measured intensities against drawn ones, frame by frame; those of blinks left out."""

    def __init__(self) -> None:
        self._pairs: dict[str, list[Float]] = defaultdict(list)  # unit -> [2, frames]: true, measured

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip."""
        if units is None or "no_face" in truth["missing"]:
            return
        drawn = np.asarray(truth["units"])
        frames = np.clip(np.rint(units.pts_seconds * truth["fps"]).astype(int), 0, len(drawn) - 1)
        keep = units.valid & ~np.isin(frames, truth["blink_frames"])
        for column, name in enumerate(truth["unit_names"]):
            if name in units.names:
                pair = np.stack([drawn[frames[keep], column], units.column(name)[keep]])
                self._pairs[name].append(pair[:, np.isfinite(pair[1])])

    def by_unit(self) -> dict[str, tuple[float, float, int]]:
        """Unit -> correlation, response (measured per drawn intensity, through zero), frames where it is present."""
        found = {}
        for name, pairs in sorted(self._pairs.items()):
            true, measured = np.concatenate(pairs, axis=1)
            strong = int((true >= PRESENT).sum())
            if strong >= LEAST_STRONG and measured.std() > 0:
                response = float(true @ measured / (true @ true))
                found[name] = float(np.corrcoef(true, measured)[0, 1]), response, strong
        return found

    def measures(self) -> tuple[Measure, ...]:
        """Mean over the units, then each unit."""
        units = self.by_unit()
        mean = float(np.mean([r for r, _, _ in units.values()])) if units else None
        says = "Pearson correlation of measured and drawn intensities over frames outside blinks, mean over the units"
        rows = [Measure("units", "Units, correlation", mean, len(units), "units", "higher", says)]
        for name, (correlation, response, strong) in units.items():
            title = f"  {name}, correlation (response {response:.2f})"
            rows.append(Measure(f"unit_{name}", title, correlation, strong, "frames", "higher", says))
        return tuple(rows)


class Peaks:
    """The peak frame against the drawn one, and the units present there."""

    def __init__(self) -> None:
        self._distances: list[int] = []
        self._hits = self._named = self._true = 0

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip."""
        frame, present = part(sample.value("peak"), "frame_index"), peak_units(sample)
        if not isinstance(frame, int) or present is None or "no_face" in truth["missing"]:
            return
        if truth["peak_all"] is not None:
            self._distances.append(abs(frame - truth["peak_all"]))
        drawn = truth["units"][min(frame, len(truth["units"]) - 1)]
        true = {n for n, x in zip(truth["unit_names"], drawn) if x >= PRESENT} - {"AU45"}
        named = {n for n, x in present.items() if x >= PRESENT} - {"AU45"}
        self._hits += len(true & named)
        self._named += len(named)
        self._true += len(true)

    def measures(self) -> tuple[Measure, ...]:
        """Share near the drawn peak; F1 of presence."""
        near = [distance <= NEAR_FRAMES for distance in self._distances]
        f1 = 2 * self._hits / (self._named + self._true) if self._named + self._true else None
        return (
            Measure("peak_frame", f"Peak frame within {NEAR_FRAMES} frames", _share(near), len(near), "clips", "higher",
                    "share of the clips with a drawn expression"),
            Measure("peak_units", "Units present at the peak, F1", f1, self._true, "units", "higher",
                    "presence (0.8 of 5) at the measured peak frame, against what is drawn in that frame"),
        )  # fmt: skip


class Labels:
    """The rules' label against the label that the face was drawn for, and against the clip's; of clips with a face."""

    def __init__(self) -> None:
        self._face: list[bool] = []
        self._clip: list[bool] = []
        self._all: list[bool] = []

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip; those that rules left without a label count in the last measure only."""
        value = sample.value("label")
        label = part(value, "label")
        if part(value, "source") == "given" or truth["face_label"] is None or "no_face" in truth["missing"]:
            return
        self._all.append(label == truth["face_label"])
        if isinstance(label, str):
            self._face.append(label == truth["face_label"])
            self._clip.append(label == truth["label"])

    def measures(self) -> tuple[Measure, ...]:
        """Accuracies."""
        rows = (
            ("label", "Label by rules against the face's", self._face, "of the clips that rules labelled"),
            (
                "label_clip",
                "Label by rules against the clip's",
                self._clip,
                "the same; face, voice and words may differ",
            ),
            ("label_all", "Face's label found, of all faces", self._all, "clips left without a label count as wrong"),
        )
        return tuple(
            Measure(n, title, _share(seen), len(seen), "clips", "higher", f"share {says}")
            for n, title, seen, says in rows
        )


class Tones:
    """Tone words against those that the voice was made for."""

    def __init__(self) -> None:
        self._found: list[bool] = []
        self._wrong: list[bool] = []

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip with a measured voice."""
        words, tone = part(sample.value("tone"), "words"), truth["tone"]
        if not isinstance(words, dict) or tone is None:
            return
        self._found += [word in words for word in tone["expected"]]
        self._wrong += [word in tone["excluded"] for word in words]

    def measures(self) -> tuple[Measure, ...]:
        """Expected words found; words given that the voice excludes."""
        return (
            Measure("tone_found", "Tone words found", _share(self._found), len(self._found), "words", "higher",
                    "share of the words that the voice was made for"),
            Measure("tone_wrong", "Tone words that are wrong", _share(self._wrong), len(self._wrong), "words", "lower",
                    "share of the words given that the voice was made to contradict"),
        )  # fmt: skip


class Subtitles:
    """What is said, letter by letter; nothing where nothing is said."""

    def __init__(self) -> None:
        self._same: list[bool] = []

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip."""
        said = None if "no_words" in truth["missing"] else truth["text"]
        self._same.append(text_of(sample.value("subtitle")) == said)

    def measures(self) -> tuple[Measure, ...]:
        """Share of clips."""
        return (Measure("subtitle", "Subtitles exact", _share(self._same), len(self._same), "clips", "higher",
                        "share of the clips, those without words among them"),)  # fmt: skip


class Conflicts:
    """Modalities that contradict each other, by what they were made for; a neutral one contradicts nothing."""

    def __init__(self) -> None:
        self._found: list[bool] = []
        self._right: list[bool] = []

    def add(self, sample: Sample, truth: Truth, units: ActionUnits | None) -> None:
        """One clip that came to the check."""
        conflicts = sample.value("conflicts")
        if not isinstance(conflicts, list):
            return
        missing = set(truth["missing"])
        made = {
            truth[f"{modality}_label"]
            for modality, gone in (("face", "no_face"), ("voice", "silent"), ("words", "no_words"))
            if gone not in missing
        } - {"neutral", None}
        flagged = any(part(c, "first") != "label" for c in conflicts)
        if len(made) > 1:
            self._found.append(flagged)
        if flagged:
            self._right.append(len(made) > 1)

    def measures(self) -> tuple[Measure, ...]:
        """Recall and precision."""
        return (
            Measure("conflicts_found", "Conflicts found", _share(self._found), len(self._found), "clips", "higher",
                    "share of the clips made in conflict"),
            Measure("conflicts_right", "Conflicts flagged rightly", _share(self._right), len(self._right), "clips",
                    "higher", "share of the clips flagged"),
        )  # fmt: skip


def _share(seen: list[bool]) -> float | None:
    return sum(seen) / len(seen) if seen else None
