"""The toy model of the golden vectors with features that tell three labels apart, and a recipe for them."""

import json
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"
LABELS = ("happy", "sad", "angry")
RECIPE = """
model: {start: model, dtype: float32, lora: {rank: 4, alpha: 16, dropout: 0.0}}
data: {train: [train.jsonl], validation: [validation.jsonl], features: features}
optim: {learning_rate: 5.0e-3, min_lr: 1.0e-4, warmup_start_lr: 1.0e-4, warmup_steps: 5}
run: {epochs: 2, steps_per_epoch: 5, batch_size: 4, log_every: 1}
"""


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, features, examples and a recipe; tests write runs elsewhere."""
    import torch

    from emotion_llama.cli.main import main

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("workshop")
    files = {"llama": "llama", "eva": "eva_vit_g.pth", "mae": "mae_checkpoint-340.pth",
             "videomae": "videomae_checkpoint-399.pth", "hubert": "hubert", "weights": "Emotion_LLaMA.pth"}  # fmt: skip
    options = [part for name, file in files.items() for part in (f"--{name}", str(GOLDEN / file))]
    sizes = {"eva-heads": 4, "mae-heads": 4, "videomae-heads": 4, "image-size": 56, "videomae-image-size": 32}
    options += [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
    assert main(["convert", *options, "--out", str(root / "model")]) == 0
    write_data(root)
    (root / "recipe.yaml").write_text(RECIPE)
    return root


def write_data(root: Path) -> None:
    from emotion_llama.models.clips import ClipFeatures
    from emotion_llama.models.features.feature_store import FeatureStore

    rng = np.random.default_rng(0)
    means = {label: rng.normal(size=24) * 2 for label in LABELS}
    with_store = FeatureStore(root / "features", writable=True, recipe={"by": "tests/train"})
    for split, count in (("train", 30), ("validation", 9)):
        rows = []
        for i in range(count):
            label, name = LABELS[i % 3], f"{split}{i:03d}"
            face, temporal, audio = (
                (means[label] + rng.normal(size=24) * 0.3).astype(np.float32) for _ in range(3)
            )  # fmt: skip
            frame = rng.integers(0, 255, (56, 56, 3)).astype(np.uint8)
            with_store.add(name, Path(f"{name}.mp4"), "0" * 64, ClipFeatures(face, temporal, audio, frame))
            text = f"The face looks {label}, so the person is {label}."
            rows.append({"name": name, "label": label, "description": text, "subtitle": "well now"})
        (root / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with_store.close()
