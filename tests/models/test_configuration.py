"""Sizes, defaults, round trips and refusals of the config."""

import pytest
import torch
from transformers import AutoConfig, Qwen3Config

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaForConditionalGeneration, register_auto_classes
from emotion_llama.models.configuration_emotion_llama import PRESETS, EmotionLlamaConfig, EmotionLlamaVitConfig
from emotion_llama.models.inputs import RECIPES
from emotion_llama.prompts.layouts import LAYOUTS


def test_the_default_is_the_published_model():
    config = EmotionLlamaConfig()

    assert config.num_image_tokens == 256  # (448 / 14)^2 / 4
    assert (config.vision_config.hidden_size, config.vision_config.intermediate_size) == (1408, 6144)
    assert config.temporal_config.num_patches == 8 * 14 * 14
    assert (config.text_config.hidden_size, config.text_config.vocab_size) == (4096, 32000)
    assert (config.audio_config.hidden_size, config.audio_config.do_stable_layer_norm) == (1024, True)


def test_placeholders_lie_just_outside_the_vocabulary_unless_said():
    assert (EmotionLlamaConfig().image_token_id, EmotionLlamaConfig().feature_token_id) == (32000, 32001)
    config = EmotionLlamaConfig.preset("toy", image_token_id=7)
    assert (config.image_token_id, config.feature_token_id) == (7, 8)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_saving(name, tmp_path):
    config = EmotionLlamaConfig.preset(name, frame_policy="peak", recipes={"audio": "hubert-sum4-chunks10"})
    config.save_pretrained(tmp_path)

    loaded = EmotionLlamaConfig.from_pretrained(tmp_path)

    assert loaded.to_dict() == config.to_dict()
    assert loaded.recipes == {
        "image": "eva-bicubic-clip", "face": "mae-bilinear-01", "temporal": "videomae-8x2",
        "audio": "hubert-sum4-chunks10",
    }  # fmt: skip


def test_nano_is_shipped_in_less_than_40_megabytes():
    config = EmotionLlamaConfig.preset("nano")
    with torch.device("meta"):
        model = EmotionLlamaForConditionalGeneration(config)

    count = sum(parameter.numel() for parameter in model.parameters())  # tied embeddings count once

    assert 4 * count < 40e6 - 1e6  # float32, and a megabyte for the tokenizer
    assert config.num_image_tokens == 16  # (112 / 14)^2 / 4
    assert (config.frame_policy, config.prompt_layout) == ("peak", "evidence")


def test_recipes_and_layouts_are_those_of_the_tables():
    config = EmotionLlamaConfig()
    assert set(config.recipes.values()) <= set(RECIPES)
    for layout in LAYOUTS:
        assert EmotionLlamaConfig.preset("toy", prompt_layout=layout).prompt_layout == layout


def test_any_causal_language_model(tmp_path):
    text = Qwen3Config(hidden_size=32, vocab_size=100, num_hidden_layers=1, tie_word_embeddings=True)
    config = EmotionLlamaConfig.preset("toy", text_config=text)
    config.save_pretrained(tmp_path)

    loaded = EmotionLlamaConfig.from_pretrained(tmp_path)

    assert type(loaded.text_config) is Qwen3Config
    assert (loaded.image_token_id, loaded.tie_word_embeddings) == (100, True)
    assert loaded.get_text_config() is loaded.text_config


def test_the_auto_class_knows_it(tmp_path):
    register_auto_classes()
    EmotionLlamaConfig.preset("toy").save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is EmotionLlamaConfig


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EmotionLlamaVitConfig(image_size=50, patch_size=16), "image_size 50 is not a multiple of patch_size"),
        (lambda: EmotionLlamaVitConfig(num_frames=5, tubelet_size=2), "num_frames 5 is not a multiple"),
        (lambda: EmotionLlamaVitConfig(hidden_size=30, num_attention_heads=4), "30 does not divide into 4 heads"),
        (
            lambda: EmotionLlamaVitConfig(position_image_size=50),
            "position_image_size 50 is for tables of single pictures",
        ),
        (lambda: EmotionLlamaConfig.preset("13b"), "'13b' is not known; expected one of: 7b, nano, toy"),
        (lambda: EmotionLlamaConfig.preset("toy", patches_per_token=3), "16 patches do not join"),
        (lambda: EmotionLlamaConfig.preset("toy", absent_towers=["vision_tower"]), "absent_towers names vision_tower"),
        (lambda: EmotionLlamaConfig.preset("toy", recipes={"smell": "x"}), "recipes names smell"),
        (lambda: EmotionLlamaConfig.preset("toy", image_token_id=5, feature_token_id=5), "are both 5"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(Exception, match="expected one of \\('full', 'query_value', 'none'\\), got some"):
        EmotionLlamaVitConfig(qkv_bias="some")
    with pytest.raises(Exception, match="'train', 'released', 'demo', 'evidence'"):
        EmotionLlamaConfig.preset("toy", prompt_layout="old")
