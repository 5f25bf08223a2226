"""The golden model built by hand from the published-layout files, and the vectors it must reproduce."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import HubertConfig, LlamaConfig

from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.vit import interpolate_positions

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"

# Published prefix -> ours, written down here a second time so that the converter's table has something to agree with.
PROJECTIONS = {
    "llama_proj.": "multi_modal_projector.patches.",
    "feats_llama_proj1.": "multi_modal_projector.face.",
    "feats_llama_proj2.": "multi_modal_projector.temporal.",
    "feats_llama_proj3.": "multi_modal_projector.audio.",
    "cls_tk_llama_proj.": "multi_modal_projector.global_view.",
    "ln_vision.": "vision_layernorm.",
}


def read(name):
    return torch.load(GOLDEN / name, weights_only=True, map_location="cpu")


def assert_close(ours, golden, tolerance=1e-4):
    """Relative to the tensor's largest value."""
    ours, golden = torch.as_tensor(ours).float(), torch.as_tensor(golden).float()
    assert ours.shape == golden.shape
    difference = (ours - golden).abs().max() / golden.abs().max()
    assert difference < tolerance, f"relative difference {difference:.2e}"


@pytest.fixture(scope="session")
def close():
    return assert_close


@pytest.fixture(scope="session")
def checkpoint_activations():
    """Switches gradient checkpointing on: after transformers 5.20, the newest for Python 3.10, its name changed."""

    def enable(model):
        if hasattr(model, "activation_checkpointing_enable"):
            model.activation_checkpointing_enable()
        else:
            model.gradient_checkpointing_enable()

    return enable


@pytest.fixture(scope="session")
def golden():
    tensors = load_file(GOLDEN / "golden.safetensors") | load_file(GOLDEN / "golden_features.safetensors")
    return SimpleNamespace(**tensors, facts=json.loads((GOLDEN / "golden.json").read_text()))


def published_state():
    """Our names -> tensors, without the adapter."""
    state = {f"language_model.{k}": v for k, v in read("llama/pytorch_model.bin").items() if "inv_freq" not in k}
    eva = read("eva_vit_g.pth")
    eva["pos_embed"] = interpolate_positions(eva["pos_embed"], 4)
    state |= {f"vision_tower.{k}": v for k, v in eva.items()}
    mae = read("mae_checkpoint-340.pth")["model"]
    state |= {f"face_tower.{k}": v for k, v in mae.items() if not k.startswith(("decoder", "mask_token"))}
    videomae = read("videomae_checkpoint-399.pth")["model"]
    state |= {
        f"temporal_tower.{k.removeprefix('encoder.')}": v
        for k, v in videomae.items()
        if k.startswith("encoder.") and "fc_norm" not in k
    }
    state |= {f"audio_tower.{k}": v for k, v in read("hubert/pytorch_model.bin").items()}
    for name, tensor in read("Emotion_LLaMA.pth")["model"].items():
        for theirs, ours in PROJECTIONS.items():
            if name.startswith(theirs):
                state[ours + name.removeprefix(theirs)] = tensor
    return state


def published_adapter():
    """Parameter names after `add_lora` -> tensors."""
    prefix = "llama_model.base_model.model."
    return {
        f"language_model.{name.removeprefix(prefix).removesuffix('.weight')}.default.weight": tensor
        for name, tensor in read("Emotion_LLaMA.pth")["model"].items()
        if "lora_" in name
    }


def golden_config():
    llama = json.loads((GOLDEN / "llama/config.json").read_text())
    hubert = json.loads((GOLDEN / "hubert/config.json").read_text())
    return EmotionLlamaConfig.preset("toy", text_config=LlamaConfig(**llama), audio_config=HubertConfig(**hubert))


def make_golden_model():
    model = EmotionLlamaForConditionalGeneration(golden_config())
    model.load_state_dict(published_state(), strict=True)
    model.add_lora(rank=4, alpha=16, dropout=0.05)
    missing, unexpected = model.load_state_dict(published_adapter(), strict=False)
    assert not unexpected
    assert not [name for name in missing if "lora_" in name]
    return model.eval()


@pytest.fixture(scope="session")
def golden_model():
    return make_golden_model()


@pytest.fixture(scope="session")
def fresh_golden_model():
    """A function that makes another, for tests that change it."""
    return make_golden_model


@pytest.fixture(scope="session")
def toy_model():
    """Random weights at toy size, made large enough that every modality changes the output."""
    torch.manual_seed(11)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(8 if name.startswith("language_model") else 4)
    return model


def make_clips(config, num_clips=2, seed=3, crops=(3, 5)):
    """Raw encoder inputs of some clips of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    face, clip = config.face_config.image_size, config.temporal_config
    counts = torch.tensor([crops[i % len(crops)] for i in range(num_clips)])
    lengths = torch.tensor([16_000 - 3_000 * i for i in range(num_clips)])
    return {
        "pixel_values": draw(num_clips, 3, config.vision_config.image_size, config.vision_config.image_size),
        "face_pixel_values": draw(int(counts.sum()), 3, face, face),
        "face_counts": counts,
        "clip_pixel_values": draw(num_clips, 3, clip.num_frames, clip.image_size, clip.image_size),
        "input_values": draw(num_clips, 16_000),
        "input_lengths": lengths,
    }


def make_prompts(config, text_lengths, features=4, images=None, side="left", seed=5):
    """Prompts of random words around the placeholder runs, filled with id 0: (input_ids, attention_mask)."""
    random = np.random.default_rng(seed)
    images = config.num_image_tokens if images is None else images
    features = [features] * len(text_lengths) if isinstance(features, int) else features
    rows = []
    for length, count in zip(text_lengths, features):
        words = random.integers(3, min(config.text_config.vocab_size, 400), size=length).tolist()
        rows.append([1, *words[:2], *[config.image_token_id] * images, *[config.feature_token_id] * count, *words[2:]])
    width = max(map(len, rows))

    def filled(row):
        filling = [0] * (width - len(row))
        return filling + row if side == "left" else row + filling

    return torch.tensor([filled(row) for row in rows]), torch.tensor([filled([1] * len(row)) for row in rows])


@pytest.fixture(scope="session")
def clips():
    return make_clips


@pytest.fixture(scope="session")
def prompts():
    return make_prompts
