"""What is shipped answers as what was trained, within half precision, and says that it computes in float32."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor, adapters
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.predictors.model_prompts import distances, load_domains
from merr_synth.nano import ship as shipping
from merr_synth.nano.ship import add_familiar, half, ship


@pytest.fixture(scope="module")
def trained(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model, its own adapter merged, with a new one that has moved."""
    out = tmp_path_factory.mktemp("trained") / "model"
    model = EmotionLlamaForConditionalGeneration.from_pretrained(workshop / "model", dtype=torch.float32)
    if adapters.adapted_layers(model):
        adapters.merge(model)
    adapters.add_lora(model, rank=4, alpha=8)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.config.get_text_config().use_cache = False
    model.save_pretrained(out)
    EmotionLlamaProcessor.from_pretrained(workshop / "model").save_pretrained(out)
    return out


def logits_of(folder: Path) -> torch.Tensor:
    model = EmotionLlamaForConditionalGeneration.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(input_ids=torch.arange(3, 40)[None]).logits


def test_the_shipped_answers_are_those_of_the_trained(trained: Path, tmp_path: Path) -> None:
    size = ship(trained, tmp_path / "nano")
    assert size == sum(path.stat().st_size for path in (tmp_path / "nano").iterdir())
    state = load_file(tmp_path / "nano" / "model.safetensors")
    assert not any("lora" in name for name in state)
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}
    loaded = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "nano")
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    # Training had left use_cache false in the configs: every token of an answer read the whole prompt anew.
    assert loaded.config.get_text_config().use_cache
    assert loaded.generation_config.use_cache
    found, expected = logits_of(tmp_path / "nano"), logits_of(trained)
    scale = expected.abs().max().item()
    assert (found - expected).abs().max().item() < 5e-3 * scale  # half precision has eleven bits
    bare = EmotionLlamaForConditionalGeneration.from_pretrained(trained)
    for layer in adapters.adapted_layers(bare).values():
        for name in layer.lora_B:
            torch.nn.init.zeros_(layer.lora_B[name].weight)
    with torch.inference_mode():
        without = bare.eval()(input_ids=torch.arange(3, 40)[None]).logits
    assert (without - expected).abs().max().item() > 5e-2 * scale  # the adapter speaks


def test_what_is_familiar_goes_with_it(workshop: Path, tmp_path: Path) -> None:
    names = [f"train{i:03d}" for i in range(30)]
    others = [f"validation{i:03d}" for i in range(9)]
    found = add_familiar(workshop / "features", names, others, tmp_path)
    familiar = load_domains(tmp_path)
    assert set(found) == set(familiar) == {"face", "temporal", "audio"}
    with FeatureStore(workshop / "features") as store:
        vectors = [store[name].face for name in others]
    away = distances(familiar["face"], np.stack([vector for vector in vectors if vector is not None]))
    assert max(away) == pytest.approx(found["face"], rel=1e-4)


def test_what_cannot_be_shipped_is_refused(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"holds no model: config\.json is missing"):
        ship(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match=r"^w holds values beyond half precision \(largest 1e\+05\)$"):
        half("w", torch.tensor([1.0, 1e5]))
    assert half("ids", torch.tensor([1, 2])).dtype == torch.int64
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="MB of weights, at most 0 MB are shipped"):
        ship(trained, tmp_path / "out")
    assert not (tmp_path / "out").exists()
