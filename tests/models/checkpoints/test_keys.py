"""Published names find their places, in every spelling, and the way back."""

import pytest

from emotion_llama.models.checkpoints.keys import block_count, place, published_name

LORA = "llama_model.base_model.model.model.layers.3.self_attn.q_proj.lora_A"
OURS = "base_model.model.language_model.model.layers.3.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("role", "name", "target"),
    [
        ("weights", "llama_proj.weight", "multi_modal_projector.patches.weight"),
        ("weights", "feats_llama_proj1.bias", "multi_modal_projector.face.bias"),
        ("weights", "feats_llama_proj2.bias", "multi_modal_projector.temporal.bias"),
        ("weights", "feats_llama_proj3.weight", "multi_modal_projector.audio.weight"),
        ("weights", "cls_tk_llama_proj.weight", "multi_modal_projector.global_view.weight"),
        ("weights", "ln_vision.bias", "vision_layernorm.bias"),
        ("weights", f"{LORA}.weight", OURS),
        ("weights", f"{LORA}.default.weight", OURS),
        ("eva", "blocks.38.attn.q_bias", "vision_tower.blocks.38.attn.q_bias"),
        ("eva", "pos_embed", "vision_tower.pos_embed"),
        ("mae", "norm.weight", "face_tower.norm.weight"),
        ("mae", "module.norm.weight", "face_tower.norm.weight"),
        ("mae", "module.blocks.0.attn.qkv.bias", "face_tower.blocks.0.attn.qkv.bias"),
        ("videomae", "encoder.blocks.2.mlp.fc1.bias", "temporal_tower.blocks.2.mlp.fc1.bias"),
        ("videomae", "module.backbone.blocks.2.norm1.bias", "temporal_tower.blocks.2.norm1.bias"),
        ("videomae", "patch_embed.proj.weight", "temporal_tower.patch_embed.proj.weight"),
        ("hubert", "encoder.layer_norm.weight", "audio_tower.encoder.layer_norm.weight"),
        ("hubert", "hubert.encoder.layers.0.layer_norm.bias", "audio_tower.encoder.layers.0.layer_norm.bias"),
        (
            "hubert",
            "encoder.pos_conv_embed.conv.weight_g",
            "audio_tower.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        ),
        (
            "hubert",
            "hubert.encoder.pos_conv_embed.conv.weight_v",
            "audio_tower.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
        ),
        ("llama", "model.norm.weight", "language_model.model.norm.weight"),
        ("llama", "lm_head.weight", "language_model.lm_head.weight"),
    ],
)  # fmt: skip
def test_a_published_name_has_its_place(role, name: str, target: str) -> None:
    assert place(role, name) == (target, "")


@pytest.mark.parametrize(
    ("role", "name", "reason"),
    [
        ("weights", "llama_model.base_model.model.model.layers.0.self_attn.rotary_emb.inv_freq", "rotary"),
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", "rotary"),
        ("weights", "attention.fc_att.weight", "fusion"),
        ("mae", "decoder_blocks.0.norm1.weight", "decoder"),
        ("mae", "mask_token", "decoder"),
        ("mae", "fc_norm.weight", "class token"),
        ("mae", "head.bias", "head"),
        ("mae", "module.fc_norm.weight", "class token"),
        ("mae", "module.head.bias", "head"),
        ("videomae", "encoder_to_decoder.weight", "decoder"),
        ("videomae", "decoder.blocks.0.attn.q_bias", "decoder"),
        ("videomae", "encoder.fc_norm.weight", "raw tokens"),
        ("videomae", "encoder.norm.weight", "raw tokens"),
        ("videomae", "head.weight", "head"),
        ("eva", "fc_norm.weight", "last block"),
        ("eva", "head.weight", "head"),
        ("hubert", "lm_head.weight", "head"),
    ],
)
def test_a_name_that_is_left_behind_has_a_reason(role, name: str, reason: str) -> None:
    target, found = place(role, name)
    assert target is None
    assert reason in found


def test_no_rule_knows_these() -> None:
    assert place("eva", "rope.freqs") is None
    assert place("weights", "visual_encoder.cls_token") is None
    assert place("mae", "encoder.blocks.0.norm1.weight") is None  # that is VideoMAE's spelling


def test_the_way_back_is_the_published_spelling() -> None:
    assert published_name(OURS) == ("weights", f"{LORA}.weight")
    assert published_name("temporal_tower.blocks.0.attn.q_bias") == ("videomae", "encoder.blocks.0.attn.q_bias")
    assert published_name("vision_layernorm.weight") == ("weights", "ln_vision.weight")
    assert published_name("language_model.lm_head.weight") == ("llama", "lm_head.weight")
    with pytest.raises(KeyError, match=r"head\.weight"):
        published_name("head.weight")


def test_blocks_are_counted_with_any_prefix() -> None:
    assert block_count(["encoder.blocks.0.a", "encoder.blocks.11.b", "norm.weight"]) == 12
    assert block_count(["norm.weight"]) == 0
