"""Folders that hold something else than a whole model of ours: one line says what it is, and no model is built."""

import json
from pathlib import Path
from shutil import copytree

import pytest
from transformers import HubertConfig, LlamaConfig

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.features.extractor import TorchEncoders
from emotion_llama.models.folders import check_model_folder
from emotion_llama.predictors import load_predictor

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
OURS = {"model_type": "emotion_llama", "architectures": ["EmotionLlamaForConditionalGeneration"]}


@pytest.fixture
def never_built(monkeypatch):
    """Building a model fails the test: a wrong folder made one of 7 billion random weights until memory was gone."""

    def build(*args, **kwargs):
        raise AssertionError("a model was built")

    monkeypatch.setattr(EmotionLlamaForConditionalGeneration, "__init__", build)


def folder_of(place: Path, config: dict[str, object], *files: str) -> Path:
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x" * 64)
    return place


def quantised(config: dict[str, object], method: str) -> dict[str, object]:
    return config | {"quantization_config": {"quant_method": method}}


OTHERS = {
    "a language model": (LLAMA, r"language model \(llama\), .*transformers:.* or make it part of one"),
    "GPTQ": (quantised(LLAMA, "gptq"), r"\(llama, quantised with gptq\), .*transformers:"),
    "AWQ": (quantised(LLAMA, "awq"), r"\(llama, quantised with awq\)"),
    "fp8": (quantised(LLAMA, "fp8"), r"\(llama, quantised with fp8\)"),
    "an encoder": (
        {"model_type": "hubert", "architectures": ["HubertModel"]},
        r"an encoder \(hubert\).*convert`",
    ),
    "pre-trained": ({"model_type": "vit_mae", "architectures": ["ViTMAEForPreTraining"]}, r"an encoder \(vit_mae\)"),
    "ours, GPTQ": (quantised(OURS, "gptq"), "quantised with gptq, which cannot be loaded"),
    "no model at all": ({"name": "x"}, r"another model \(unknown\)"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_kind_of_model_is_named(what, tmp_path, never_built):
    config, expected = OTHERS[what]
    folder = folder_of(tmp_path / "m", config, "model.safetensors")
    for load in (load_predictor, EmotionLlamaForConditionalGeneration.from_pretrained, TorchEncoders.load):
        with pytest.raises(InputError, match=expected) as caught:
            load(str(folder))
        assert "\n" not in str(caught.value)


def test_an_old_gptq_folder_is_known_by_its_second_file(tmp_path):
    with pytest.raises(InputError, match="quantised with gptq"):
        check_model_folder(folder_of(tmp_path / "m", LLAMA, "model.safetensors", "quantize_config.json"))


SHARDS = {"weight_map": {f"w{i}": f"model-{i:05d}-of-00004.safetensors" for i in range(1, 5)}}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["model-00001-of-00004.safetensors"], r"3 of the 4 .* \(model-00002-of-00004\.safetensors, .*; fetch them"),
        (["model-00001-of-00004.safetensors", "m.incomplete"], "3 of the 4 .* the download is not finished; run it"),
        ([".cache/huggingface/download/x.incomplete"], "4 of the 4 .* the download is not finished; run it again"),
    ],
)
def test_shards_that_are_not_there_are_counted(files, expected, tmp_path, never_built):
    folder = folder_of(tmp_path / "m", OURS, *files)
    (folder / "model.safetensors.index.json").write_text(json.dumps(SHARDS))
    with pytest.raises(InputError, match=expected):
        load_predictor(str(folder))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["model.safetensors"], "config.json is missing, the download is not finished"),
        (["x.incomplete"], "config.json is missing, the download is not finished"),
        (["model.gguf"], "GGUF weights are for llama.cpp and Ollama; .*openai:MODEL@URL"),
        (["adapter_config.json", "adapter_model.safetensors"], "a LoRA adapter without the model it belongs to"),
        (["eva_vit_g.pth"], "`emotion-llama convert` makes one of published files"),
    ],
)
def test_folders_without_a_configuration(files, expected, tmp_path):
    folder = folder_of(tmp_path / "m", OURS, *files)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=rf"holds no model: .*{expected}"):
        load_predictor(str(folder))


def test_weights_that_break_off_are_found_before_anything_is_loaded(toy_model, tmp_path, never_built):
    toy_model.save_pretrained(tmp_path / "whole")
    check_model_folder(tmp_path / "whole")
    copytree(tmp_path / "whole", tmp_path / "cut")
    weights = (tmp_path / "cut" / "model.safetensors").read_bytes()
    for kept in (weights[:-100], weights[:200], b"version https://git-lfs.github.com/spec/v1\n", b""):
        (tmp_path / "cut" / "model.safetensors").write_bytes(kept)
        with pytest.raises(InputError, match=r"model\.safetensors: no whole safetensors file; .* fetch it again"):
            EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights in this folder; expected one of"):
        EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "cut")


@pytest.mark.parametrize("other", [LlamaConfig(), HubertConfig()])
def test_configurations_of_other_models_are_refused(other, tmp_path):
    """Also where the name is no folder: transformers only warns, and takes the published sizes."""
    other.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"the config of a {other.model_type} model"):
        EmotionLlamaConfig.from_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"the config of a {other.model_type} model"):
        EmotionLlamaProcessor.from_pretrained(tmp_path, tokenizer=object())
