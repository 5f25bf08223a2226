"""Label metrics during training: likelihoods over the label space, by hand where a hand can follow."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_llama.labels import MERR9
from emotion_llama.models import EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.features.published_folders import open_features
from emotion_llama.train.dataset import stored_media
from emotion_llama.train.examples import Example
from emotion_llama.train.trainer import label_metrics, predict_labels

ASKED = partial(predict_labels, instruction="Which emotion?", layout="train", batch_size=2)


def test_metrics_by_hand() -> None:
    rows = [
        ("sad", {"sad": 0.9, "angry": 0.1}), ("sad", {"sad": 0.4, "angry": 0.6}), ("angry", {"sad": 0.0, "angry": 1.0}),
    ]  # fmt: skip
    found = label_metrics(rows)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["uar"] == pytest.approx(0.75)
    assert found["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 / 3) / 3)
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.0) / 3)


def test_every_clip_gets_probabilities_whatever_the_batch(workshop: Path) -> None:
    torch.set_num_threads(1)
    model = EmotionLlamaForConditionalGeneration.from_pretrained(workshop / "model", dtype=torch.float32)
    processor = EmotionLlamaProcessor.from_pretrained(workshop / "model")
    media = partial(stored_media, open_features(workshop / "features"), frozenset())
    examples = [Example(f"validation{i:03d}", {"emotion": "sad"}, truths={"label": "sad"}) for i in range(3)]
    unlabelled = Example("validation003", {"emotion": "sad"})
    model.train()
    rows = list(ASKED(model, processor, [*examples, unlabelled], media, space=MERR9))
    assert model.training
    assert [truth for truth, _ in rows] == ["sad"] * 3
    _, alone = next(iter(ASKED(model, processor, examples[2:], media, space=MERR9)))
    assert np.allclose(list(alone.values()), list(rows[2][1].values()), atol=1e-6)
    assert sum(alone.values()) == pytest.approx(1.0)
    without_media = list(ASKED(model, processor, examples, lambda example: None, space=MERR9))
    assert without_media[0][1] == pytest.approx(without_media[2][1], abs=1e-6)
