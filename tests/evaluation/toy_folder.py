"""A toy model with random weights, and rendered clips of the repository laid out as the small model's chain does."""

import csv
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.cli.main import main
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.feature_store import FeatureStore

GOLDEN = Path(__file__).parents[1] / "golden"
RENDERED = Path(__file__).parents[2] / "examples" / "synth"
# A conflict, a clip without sound, a whole one; and two to fit a temperature to.
CLIPS = ("test-00001", "test-00003", "test-00004", "validation-00004", "validation-00005")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
    from emotion_llama.prompts.tokenise import load_tokenizer

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "toy"
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    EmotionLlamaForConditionalGeneration(config).save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def nano_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `merr_synth.nano.rendered_clips` wants it; made-up features, no voice in silent clips."""
    root = tmp_path_factory.mktemp("nano")
    plans = (RENDERED / "plans.jsonl").read_text().splitlines(keepends=True)
    (root / "clips").mkdir()
    (root / "clips" / "plans.jsonl").write_text("".join(p for p in plans if any(f'"{name}"' in p for name in CLIPS)))
    (root / "clips" / "truth").symlink_to(RENDERED / "truth")
    with (RENDERED / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["path"]).stem in CLIPS]
    assert len(rows) == len(CLIPS)
    with (root / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "path": str(RENDERED / row["path"])} for row in rows)
    options = ["--workers", "1", "--quiet", "pseudo_label.mode=given", "select.neutral_share=1.0"]
    assert main(["merr", "build", str(root / "clips.csv"), "--out", str(root / "merr"), *options]) == 0
    rng = np.random.default_rng(3)
    with FeatureStore(root / "features", writable=True, recipe={"by": "tests/evaluation"}) as store:
        for name in CLIPS:
            face, temporal, audio = (rng.normal(size=24).astype(np.float32) for _ in range(3))
            image = rng.integers(0, 255, (56, 56, 3)).astype(np.uint8)
            heard = None if name == "test-00003" else audio
            store.add(name, Path(f"{name}.mp4"), "0" * 64, ClipFeatures(face, temporal, heard, image))
    return root
