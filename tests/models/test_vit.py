"""The one vision transformer, against the published encoders' golden outputs and against plain arithmetic."""

import math

import pytest
import torch
from transformers import AutoModel, ViTConfig, ViTModel

from emotion_llama.errors import InputError
from emotion_llama.models import register_auto_classes
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaVitConfig
from emotion_llama.models.vit import VisionTransformer, interpolate_positions, sincos_positions


def small(**changes):
    sizes = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return EmotionLlamaVitConfig(**{**sizes, **changes})


def test_eva_is_golden(golden_model, golden, close):
    with torch.no_grad():
        close(golden_model.get_image_features(golden.pixel_values).last_hidden_state, golden.eva_hidden)


def test_mae_is_golden(golden_model, golden, close):
    with torch.no_grad():
        close(golden_model.face_tower(golden.mae_pixel_values).last_hidden_state[:, 0], golden.mae_frame_features)


def test_videomae_is_golden(golden_model, golden, close):
    with torch.no_grad():
        close(golden_model.temporal_tower(golden.videomae_pixel_values).last_hidden_state, golden.videomae_tokens)


def test_sincos_positions_by_hand():
    table = sincos_positions(3, 6)

    assert table.shape == (3, 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    rate = 10_000 ** (2 / 6)  # columns 2 and 3 share an angle
    assert table[2, 2] == pytest.approx(math.sin(2 / rate), abs=1e-7)
    assert table[2, 3] == pytest.approx(math.cos(2 / rate), abs=1e-7)


def cubic(distance, a=-0.75):
    """Keys' kernel with the constant that torch (and so the reference) uses."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def test_interpolated_positions_by_hand():
    torch.manual_seed(4)
    table = torch.randn(1, 65, 3)

    larger = interpolate_positions(table, 16)

    assert larger.shape == (1, 257, 3)
    assert torch.equal(larger[0, 0], table[0, 0])
    # Pixel centres: row 9 of 16 lies at (9 + 0.5) / 2 - 0.5 = 4.25 of 8, column 6 at 2.75.
    expected = sum(
        cubic(4.25 - row) * cubic(2.75 - column) * table[0, 1 + 8 * row + column]
        for row in range(8)
        for column in range(8)
    )
    torch.testing.assert_close(larger[0, 1 + 16 * 9 + 6], expected)


def test_a_table_kept_as_published_is_interpolated_when_pictures_are_read():
    torch.manual_seed(5)
    kept = VisionTransformer(small(position_image_size=16)).eval()
    assert kept.pos_embed.shape == (1, 1 + 2 * 2, 16)
    resized = VisionTransformer(small()).eval()
    resized.load_state_dict(kept.state_dict() | {"pos_embed": interpolate_positions(kept.pos_embed, 4)})
    pictures = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(kept(pictures).last_hidden_state, resized(pictures).last_hidden_state)


def test_positions_of_the_right_size_are_left_as_they_are():
    table = torch.randn(1, 17, 4)
    assert interpolate_positions(table, 4) is table


def test_positions_of_no_square_are_refused():
    with pytest.raises(InputError, match="15 position vectors are not a square grid"):
        interpolate_positions(torch.zeros(1, 16, 4), 4)


def test_equals_the_vit_of_transformers_with_the_same_weights():
    torch.manual_seed(0)
    ours = VisionTransformer(small()).eval()
    reference = ViTModel(
        ViTConfig(
            image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, layer_norm_eps=1e-6,
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    names = {
        "patch_embed.proj": "embeddings.patch_embeddings.projection", "norm": "layernorm",
        "cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
    }  # fmt: skip
    state = {}
    for name, tensor in ours.state_dict().items():
        tensor = tensor + 0.1 * torch.randn_like(tensor)
        ours.state_dict()[name].copy_(tensor)
        if ".qkv." in name:
            for part, third in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3)):
                state[name.replace("blocks", "layers").replace("attn.qkv", f"attention.{part}")] = third
            continue
        name = name.replace("blocks", "layers").replace("attn.proj", "attention.o_proj")
        name = name.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after")
        stem = next((stem for stem in names if name == stem or name.startswith(f"{stem}.")), None)
        state[name if stem is None else names[stem] + name.removeprefix(stem)] = tensor
    reference.load_state_dict(state, strict=True)
    pictures = torch.randn(3, 3, 32, 32)

    with torch.no_grad():
        torch.testing.assert_close(ours(pictures).last_hidden_state, reference(pictures).last_hidden_state)


@pytest.mark.parametrize(
    ("config", "shape", "tokens"),
    [
        (small(image_size=48, hidden_size=24, num_attention_heads=3), (2, 3, 48, 48), 37),
        (small(use_class_token=False, qkv_bias="none", final_norm=False), (2, 3, 32, 32), 16),
        (small(num_frames=6, tubelet_size=3, position_table="sincos"), (2, 3, 6, 32, 32), 33),
    ],
)
def test_other_sizes(config, shape, tokens):
    out = VisionTransformer(config).eval()(torch.randn(shape)).last_hidden_state
    assert out.shape == (2, tokens, config.hidden_size)
    assert torch.isfinite(out).all()


def test_eager_and_sdpa_agree():
    config = small(qkv_bias="query_value")
    model = VisionTransformer(config).eval()
    pictures = torch.randn(2, 3, 32, 32)
    outs = []
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        outs.append(model(pictures).last_hidden_state)
    torch.testing.assert_close(*outs)


def test_gradient_checkpointing_gives_the_same_gradients(checkpoint_activations):
    torch.manual_seed(1)
    model = VisionTransformer(small(qkv_bias="query_value")).train()
    pictures = torch.randn(2, 3, 32, 32)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            checkpoint_activations(model)
        model.zero_grad()
        model(pictures).last_hidden_state.square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype):
    torch.manual_seed(2)
    model = VisionTransformer(small(position_table="sincos", use_class_token=False)).eval()
    pictures = torch.randn(1, 3, 32, 32)
    full = model(pictures).last_hidden_state
    half = model.to(dtype)(pictures).last_hidden_state
    assert half.dtype is dtype
    assert (half.float() - full).abs().max() < 0.05 * full.abs().max()


def test_round_trip_is_bit_exact(tmp_path):
    model = VisionTransformer(small(num_frames=4, tubelet_size=2, position_table="sincos", use_class_token=False))
    model.save_pretrained(tmp_path)
    loaded, info = VisionTransformer.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_the_auto_class_finds_it(tmp_path):
    register_auto_classes()
    VisionTransformer(small()).save_pretrained(tmp_path)
    assert type(AutoModel.from_pretrained(tmp_path)) is VisionTransformer


def test_pictures_of_another_size_are_refused():
    model = VisionTransformer(small())
    with pytest.raises(InputError, match=r"pixel values are \[1, 3, 32, 40\], expected \[B, 3, 32, 32\]"):
        model(torch.zeros(1, 3, 32, 40))


@pytest.mark.parametrize("class_token", [True, False])
def test_what_is_asked_for_comes_out(class_token):
    """`output_hidden_states`, `output_attentions` and `return_dict` were taken and forgotten."""
    config = small(use_class_token=class_token)
    model = VisionTransformer._from_config(config, attn_implementation="eager").eval()
    pixels = torch.randn(2, 3, config.image_size, config.image_size)
    length = config.num_patches + class_token
    with torch.no_grad():
        out = model(pixels, output_hidden_states=True, output_attentions=True)
        plain = model(pixels, return_dict=False)
    layers = config.num_hidden_layers
    assert [s.shape for s in out.hidden_states] == [(2, length, config.hidden_size)] * (layers + 1)
    assert [a.shape for a in out.attentions] == [(2, config.num_attention_heads, length, length)] * layers
    torch.testing.assert_close(out.attentions[0].sum(-1), torch.ones(2, config.num_attention_heads, length))
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    assert isinstance(plain, tuple)
    assert torch.equal(plain[0], out.last_hidden_state)


def test_what_cannot_be_given_is_refused():
    model = VisionTransformer._from_config(small(), attn_implementation="sdpa")
    pixels = torch.randn(1, 3, model.config.image_size, model.config.image_size)
    with pytest.raises(InputError, match="attn_implementation='eager'"):
        model(pixels, output_attentions=True)
    with pytest.raises(TypeError, match="interpolate_pos_encoding"):
        model(pixels, interpolate_pos_encoding=True)
