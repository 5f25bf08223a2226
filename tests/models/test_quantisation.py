"""What is quantised and what stays whole; without bitsandbytes, which is no dependency of the tests."""

import importlib.util

import pytest
from transformers import BitsAndBytesConfig, PreTrainedModel

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models import pretrained
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.pretrained import KEPT_WHOLE, quantization_config, with_exceptions


def test_every_part_but_the_language_models_body_stays_whole(toy_model):
    linear = {name for name, module in toy_model.named_modules() if type(module).__name__ == "Linear"}
    left = {name for name in linear if not name.startswith(KEPT_WHOLE)}
    # 2 layers of q, k, v, o, gate, up, down.
    assert len(left) == 14
    assert all(name.startswith("language_model.model.layers.") for name in left)


def test_exceptions_are_filled_in_where_none_are_named():
    own = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["lm_head"])
    bare = BitsAndBytesConfig(load_in_8bit=True)
    assert with_exceptions(own).llm_int8_skip_modules == ["lm_head"]
    assert with_exceptions(bare).llm_int8_skip_modules == list(KEPT_WHOLE)
    assert bare.llm_int8_skip_modules is None


def test_loading_passes_them_on(monkeypatch):
    taken = {}
    nothing: dict[str, set[str]] = {}
    monkeypatch.setattr(
        PreTrainedModel,
        "from_pretrained",
        classmethod(lambda cls, path, **kwargs: taken.update(kwargs) or (None, nothing)),
    )
    EmotionLlamaForConditionalGeneration.from_pretrained("x", quantization_config=BitsAndBytesConfig(load_in_8bit=True))
    assert taken["quantization_config"].llm_int8_skip_modules == list(KEPT_WHOLE)
    EmotionLlamaForConditionalGeneration.from_pretrained("x", device_map="cpu")
    assert taken["device_map"] == "cpu"


def test_eight_bits(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    config = quantization_config(8)
    assert config.load_in_8bit
    assert config.llm_int8_skip_modules == list(KEPT_WHOLE)


def test_refusals(monkeypatch):
    with pytest.raises(InputError, match="bits is 3, expected 4 or 8"):
        quantization_config(3)
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"loading in 4 bits needs bitsandbytes.*pip install bitsandbytes"):
        quantization_config(4)
