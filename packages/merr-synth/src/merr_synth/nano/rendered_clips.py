"""Rendered clips with what was measured of them and what encoders made of them, as `scripts/nano` lays them out.

ROOT/clips      plans.jsonl, truth/ID.json (`synth render`)
ROOT/merr       a MERR build of them: measured evidence
ROOT/features   a feature store of them, by the encoders of the model that is asked
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.results import Evidence
from merr_synth.nano.condition_scores import TestClip


@dataclass(frozen=True, repr=False)
class RenderedClip:
    """One clip.

    Attributes:
        clip: as scores need it.
        evidence: measured of it.
        media: its features.
        truth: what its rendering wrote.
    """

    clip: TestClip
    evidence: Evidence
    media: ClipFeatures
    truth: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"RenderedClip({self.clip.name}, {self.clip.label}, {self.clip.kind})"


def read_rendered(
    root: Path, split: str, *, features: Path | None = None, limit: int | None = None
) -> list[RenderedClip]:
    """The clips of a split, in the order of their plans.

    Args:
        root: see above.
        split: "train", "validation" or "test".
        features: store in place of the root's.
        limit: so many, spread evenly: kinds of clips stand together in the plans.

    Raises:
        InputError: a folder or a file is missing, no clip is of the split, or one was not measured or has no features.
    """
    from emotion_llama.merr.measured import from_bytes
    from emotion_llama.merr.store import Store
    from emotion_llama.models.features.published_folders import open_features
    from merr_synth.agreement import read_truth
    from merr_synth.nano.nano_data import note_of
    from merr_synth.render.plan_file import read_plans

    plans = [plan for plan in read_plans(root / "clips" / "plans.jsonl") if plan.split == split]
    if not plans:
        raise InputError(f"{root / 'clips'} holds no clip of split {split!r}")
    if limit is not None and limit < len(plans):
        plans = [plans[i * len(plans) // limit] for i in range(limit)]
    stored, found = open_features(features or root / "features"), []
    with Store.open(root / "merr", read_only=True) as store:
        for plan in plans:
            data = store.artifact(plan.id, "evidence")
            if data is None:
                raise InputError(f"{plan.id} is not measured in {root / 'merr'}; finish the build first")
            if plan.id not in stored:
                raise InputError(f"{plan.id} has no features in {features or root / 'features'}; make them first")
            truth = read_truth(root / "clips" / "truth" / f"{plan.id}.json")
            clip = TestClip(plan.id, plan.label, plan.person, note_of(plan))
            found.append(RenderedClip(clip, from_bytes(data).evidence, stored[plan.id], truth))
    return found
