"""The golden toy files, converted once for all tests of this folder."""

from pathlib import Path

import pytest
import torch

from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[2] / "golden"
# What golden.json and golden_features.json say and shapes cannot.
TOY_OPTIONS = ConversionOptions(eva_heads=4, mae_heads=4, videomae_heads=4, image_size=56, videomae_image_size=32)


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def toy_sources() -> Sources:
    return Sources(
        llama=GOLDEN / "llama",
        eva=GOLDEN / "eva_vit_g.pth",
        mae=GOLDEN / "mae_checkpoint-340.pth",
        videomae=GOLDEN / "videomae_checkpoint-399.pth",
        hubert=GOLDEN / "hubert",
        weights=GOLDEN / "Emotion_LLaMA.pth",
    )


@pytest.fixture(scope="session")
def toy_options() -> ConversionOptions:
    return TOY_OPTIONS


@pytest.fixture(scope="session")
def converted(toy_sources: Sources, toy_options: ConversionOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "model"
    convert(toy_sources, out, toy_options)
    return out
