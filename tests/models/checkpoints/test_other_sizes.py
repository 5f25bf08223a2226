"""Nothing is hard-coded: a model of odd sizes goes out as published files and comes back as the same model."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import set_seed

from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration
from emotion_llama.models.checkpoints.convert import NEEDED, convert
from emotion_llama.models.checkpoints.export import PARTS, export
from emotion_llama.models.checkpoints.sizes import ConversionOptions


@pytest.mark.parametrize("seed", [1, 2])
def test_odd_sizes_survive(golden: Path, tmp_path: Path, seed: int) -> None:
    config = EmotionLlamaConfig(
        vision_config={
            "image_size": 60, "position_image_size": 30, "patch_size": 10, "hidden_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 5, "mlp_ratio": 2.53, "qkv_bias": "query_value", "final_norm": False,
        },
        face_config={"image_size": 48, "patch_size": 12, "hidden_size": 48, "num_hidden_layers": 4,
                     "num_attention_heads": 3},
        temporal_config={
            "image_size": 48, "hidden_size": 36, "num_hidden_layers": 1, "num_attention_heads": 6, "num_frames": 8,
            "tubelet_size": 4, "qkv_bias": "query_value", "use_class_token": False, "position_table": "sincos",
            "final_norm": False,
        },
        audio_config={
            "model_type": "hubert", "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 40, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 2, "do_stable_layer_norm": True, "feat_extract_norm": "layer",
        },
        text_config={
            "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8,
            "num_key_value_heads": 2, "intermediate_size": 72, "vocab_size": 480,
        },
        patches_per_token=9,
    )  # fmt: skip
    set_seed(seed)
    model = EmotionLlamaForConditionalGeneration(config)
    model.add_lora(rank=3, alpha=5)
    model.eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.3)
    model.save_pretrained(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "files", PARTS)
    shutil.copy(golden / "llama" / "tokenizer.model", tmp_path / "files" / "llama")

    at = tmp_path / "files"
    sources = dict(zip(NEEDED, (
        at / "llama", at / "eva_vit_g.pth", at / "mae_checkpoint-340.pth", at / "videomae_checkpoint-399.pth",
        at / "hubert", at / "Emotion_LLaMA.pth",
    )))  # fmt: skip
    options = ConversionOptions(
        eva_heads=5, mae_heads=3, videomae_heads=6, image_size=60, videomae_image_size=48, videomae_frames=8
    )
    convert(sources, tmp_path / "again", options)
    again = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "again").eval()

    for part in ("vision_config", "face_config", "temporal_config"):
        before, after = getattr(config, part).to_dict(), getattr(again.config, part).to_dict()
        free = {"dtype", "mlp_ratio"}  # another ratio may give the same whole number
        assert {k: after[k] for k in after if k not in free} == {k: before[k] for k in before if k not in free}
    assert again.config.patches_per_token == 9
    inputs = {
        "input_ids": torch.tensor([[1, 7, *[480] * 4, 9, *[481] * 4, 11]]),
        "pixel_values": torch.randn(1, 3, 60, 60),
        "face_pixel_values": torch.rand(3, 3, 48, 48),
        "clip_pixel_values": torch.rand(1, 3, 8, 48, 48),
        "input_values": torch.randn(1, 4000),
    }
    with torch.no_grad():
        expected = model(**inputs).logits
        assert torch.allclose(again(**inputs).logits, expected, atol=1e-6)
        model.disable_adapters()
        assert not torch.allclose(model(**inputs).logits, expected, atol=1e-2)  # the adapter is in what was compared
