"""A data set without pictures: plans, their truth, and decoded clips whose light is their label."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_llama.labels import MERR9
from emotion_llama.records import AU_NAMES
from merr_synth.nano.encoders.clips import ClipArrays, ClipCache
from merr_synth.nano.encoders.targets import HEARD_FIGURES
from merr_synth.render.plan import draw_plans
from merr_synth.render.plan_file import plans_text

FRAMES = 10
RECIPE = """
data: {clips: clips, cache: cache, workers: 1}
towers:
  vision_tower: null
  face_tower: {epochs: 2, batch_size: 3, crops: 2}
  temporal_tower: null
  audio_tower: null
loaders: 0
"""


def truth_dict(plan, units=None, **changes):
    """A truth file's values, as far as encoders read them."""
    units = np.zeros((FRAMES, len(AU_NAMES))) if units is None else units
    figures = {name: float(i + 1) for i, name in enumerate(HEARD_FIGURES)}
    told = {
        "id": plan.id, "unit_names": list(AU_NAMES), "fps": plan.fps, "units": units.tolist(), "blink_frames": [2],
        "tone": {"figures": figures}, "face_label": plan.face_label, "voice_label": plan.voice_label,
    }  # fmt: skip
    return {**told, **changes}


def arrays_of(label, rng):
    """Decoded by hand: the brighter the picture and the higher the tone, the later the label."""
    place = MERR9.index(label)
    light = (25 * place + rng.integers(0, 20, (FRAMES, 64, 64, 3))).astype(np.uint8)
    frames = (25 * place + rng.integers(0, 20, (5, 112, 112, 3))).astype(np.uint8)
    tone = np.sin(2 * np.pi * (100 + 100 * place) * np.arange(16_000) / 16_000)
    return ClipArrays(
        light, np.arange(FRAMES, dtype=np.int32), rng.normal(size=(FRAMES, 3)).astype(np.float32), frames,
        np.array([5, 1, 3, 6, 9], np.int32), rng.random((5, 3)).astype(np.float32),
        rng.normal(size=(5, 3)).astype(np.float32), tone.astype(np.float16),
    )  # fmt: skip


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Path:
    """A folder with clips/ (plans and truth), cache/ and recipe.yaml; tests write runs elsewhere."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("encoders")
    shares = {"train": 6 / 13, "validation": 4 / 13, "test": 3 / 13}
    plans = draw_plans(13, 4, split_shares=shares, conflict_share=0, missing_share=0)
    (root / "clips" / "truth").mkdir(parents=True)
    (root / "clips" / "plans.jsonl").write_text(plans_text(plans))
    cache = ClipCache(root / "cache")
    cache.folder.mkdir()
    rng = np.random.default_rng(0)
    for plan in plans:
        units = rng.random((FRAMES, len(AU_NAMES)))
        (root / "clips" / "truth" / f"{plan.id}.json").write_text(json.dumps(truth_dict(plan, units)))
        cache.write(plan.id, arrays_of(plan.label, rng))
    (root / "recipe.yaml").write_text(RECIPE)
    return root
