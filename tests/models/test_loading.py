"""Folders that are not whole, parts that are offloaded, types that differ: no weights are made up, none is rounded."""

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from emotion_llama.errors import InputError
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.features.extractor import TorchEncoders
from emotion_llama.models.features.loaded_model import LoadedModel
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor
from emotion_llama.models.scoring import score_labels
from emotion_llama.prompts.tokenise import load_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
PARTS = (
    "vision_tower", "vision_layernorm", "face_tower", "temporal_tower", "audio_tower", "multi_modal_projector",
    "language_model",
)  # fmt: skip
load = EmotionLlamaForConditionalGeneration.from_pretrained


@pytest.fixture(scope="module")
def adapted(golden_model, tmp_path_factory):
    """A folder with an adapter beside the weights, as `convert` writes it unless told to merge."""
    folder = tmp_path_factory.mktemp("models") / "adapted"
    golden_model.save_pretrained(folder)
    return folder


def changed(folder, target, file, change):
    copytree(folder, target)
    tensors = load_file(target / file)
    change(tensors)
    save_file(tensors, target / file, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize(
    "name",
    ["multi_modal_projector.face.weight", "language_model.model.layers.1.mlp.up_proj.weight", "vision_layernorm.bias"],
)
def test_weights_missing_beside_an_adapter_are_refused(adapted, tmp_path, name):
    """transformers reported on the adapter alone: the model came with random weights in their place."""
    folder = changed(adapted, tmp_path / "m", "model.safetensors", lambda tensors: tensors.pop(name))
    with pytest.raises(InputError, match=f"1 missing weights: {name}; convert it again"):
        load(folder)


def test_weights_unknown_or_of_another_size_beside_an_adapter_are_refused(adapted, tmp_path):
    folder = changed(adapted, tmp_path / "a", "model.safetensors", lambda tensors: tensors.update(smell=torch.ones(2)))
    with pytest.raises(InputError, match="1 unexpected weights: smell"):
        load(folder)
    name = "multi_modal_projector.audio.weight"
    folder = changed(
        adapted, tmp_path / "b", "model.safetensors", lambda tensors: tensors.update({name: torch.ones(2)})
    )
    for ignore in (False, True):
        with pytest.raises(InputError, match=f"1 mismatched weights: {name}"):
            load(folder, ignore_mismatched_sizes=ignore)


def test_an_adapter_that_is_not_whole_is_refused(adapted, tmp_path):
    name = "language_model.model.layers.0.self_attn.q_proj.lora_A.weight"
    key = f"base_model.model.{name}"
    file = "adapter_model.safetensors"
    with pytest.raises(InputError, match=rf"1 missing weights: {name}"):
        load(changed(adapted, tmp_path / "a", file, lambda tensors: tensors.pop(key)))
    with pytest.raises(InputError, match="1 unexpected weights: more"):
        load(changed(adapted, tmp_path / "b", file, lambda tensors: tensors.update(more=torch.ones(1))))
    with pytest.raises(InputError, match=rf"1 mismatched weights: {name}"):
        load(changed(adapted, tmp_path / "c", file, lambda tensors: tensors.update({key: torch.ones(3, 3)})))


@pytest.mark.parametrize("lost", ["adapter_config.json", "adapter_model.safetensors"])
def test_half_an_adapter_is_refused(adapted, tmp_path, lost):
    copytree(adapted, tmp_path / "m")
    (tmp_path / "m" / lost).unlink()
    with pytest.raises(InputError, match=f"saved with a LoRA adapter, but {lost} is missing"):
        load(tmp_path / "m")


def test_a_conversion_that_kept_an_adapter_needs_it(adapted, toy_model, tmp_path):
    """Without its adapter the folder loaded as plain LLaMA, and said nothing."""
    folder = tmp_path / "m"
    copytree(adapted, folder)
    record = {"format": "emotion-llama-conversion-1", "lora": {"rank": 4, "alpha": 16, "merged": False}}
    (folder / "conversion.json").write_text(json.dumps(record))
    assert load(folder)._hf_peft_config_loaded
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"but adapter_config\.json and adapter_model\.safetensors is missing"):
        load(folder)
    record["lora"]["merged"] = True
    (folder / "conversion.json").write_text(json.dumps(record))
    assert not load(folder)._hf_peft_config_loaded


@pytest.mark.parametrize("away", ["layer", "language_model", "vision_tower"])
def test_an_adapter_works_on_layers_that_are_offloaded(adapted, clips, prompts, tmp_path, away):
    """Its tensors ended on the meta device or held whatever was in memory: other numbers at every load."""
    places = dict.fromkeys(PARTS, "cpu") | ({} if away == "layer" else {away: "disk"})
    if away == "layer":
        del places["language_model"]
        inner = ("embed_tokens", "layers.0", "layers.1", "norm", "rotary_emb")
        places |= {f"language_model.model.{name}": "disk" if name == "layers.1" else "cpu" for name in inner}
        places["language_model.lm_head"] = "cpu"
    model = load(adapted, device_map=places, offload_folder=tmp_path)
    assert {p.device.type for name, p in model.named_parameters() if "lora_" in name} == {"cpu"}
    ids, mask = prompts(model.config, [4, 6])
    batch = {"input_ids": ids, "attention_mask": mask, **clips(model.config, 2)}
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits, load(adapted)(**batch).logits)
    if away != "vision_tower":
        with pytest.raises(InputError, match=r"q_proj is offloaded, .* or convert it with --merge"):
            model.merge_adapter()


# --- types ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(adapted, tmp_path_factory):
    """As the published files are: language model and global encoder in float16, all else in float32."""

    def halve(tensors):
        halved = ("language_model.", "vision_tower.")
        tensors |= {name: value.half() for name, value in tensors.items() if name.startswith(halved)}

    folder = changed(adapted, tmp_path_factory.mktemp("models") / "mixed", "model.safetensors", halve)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    EmotionLlamaProcessor.of_config(
        EmotionLlamaConfig.from_pretrained(folder), load_tokenizer(GOLDEN / "llama")
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float32"])
def test_features_on_the_fly_are_those_of_the_store(mixed, clips, dtype):
    """Encoders ran in the language model's type: features were off by up to 4e-3 of those that `features` writes."""
    model, encoders = load(mixed, dtype=dtype), TorchEncoders.load(mixed)
    inputs = clips(model.config, 1, crops=(3,))
    found = model.encode(**inputs)
    stored = {
        "face": encoders.face(inputs["face_pixel_values"].numpy()).mean(axis=0),
        "temporal": encoders.temporal(inputs["clip_pixel_values"][0].numpy()),
        "audio": encoders.audio(inputs["input_values"].numpy(), "hubert-last-whole")[0],
    }
    assert model.dtype is {"auto": torch.float16}.get(dtype, getattr(torch, dtype, None))
    for name, expected in stored.items():
        ours = getattr(found, f"{name}_features")[0]
        assert ours.dtype is torch.float32
        torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    assert TorchEncoders.of_model(model).fingerprint() == encoders.fingerprint()


def test_saving_keeps_every_tensor_in_its_stored_type(mixed, tmp_path):
    load(mixed).save_pretrained(tmp_path)
    for file in ("model.safetensors", "adapter_model.safetensors"):
        before, after = load_file(mixed / file), load_file(tmp_path / file)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert tensor.dtype is after[name].dtype, name
            assert torch.equal(tensor, after[name]), name


def test_parts_on_disk_keep_their_types_too(mixed, clips, prompts, tmp_path):
    places = dict.fromkeys(PARTS, "cpu") | {
        "face_tower": "disk",
        "audio_tower": "disk",
        "multi_modal_projector": "disk",
    }
    away, here = load(mixed, device_map=places, offload_folder=tmp_path), load(mixed)
    inputs = clips(here.config, 2)
    ours, expected = away.encode(**inputs), here.encode(**inputs)
    torch.testing.assert_close(ours.visual_tokens, expected.visual_tokens, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_answers(mixed, clips, prompts, dtype):
    model, whole = load(mixed, dtype=dtype), load(mixed, dtype=torch.float32)
    ids, mask = prompts(model.config, [5, 8])
    batch = {"input_ids": ids, "attention_mask": mask, **clips(model.config, 2)}
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}
    assert model.generate(**batch, max_new_tokens=3, do_sample=False, eos_token_id=None).shape == (2, 3)
    labels = [[395, 2], [17, 2], [374, 328, 2]]
    ours = score_labels(model, batch, labels).log_likelihoods.float()
    torch.testing.assert_close(ours, score_labels(whole, batch, labels).log_likelihoods, rtol=0.05, atol=0.3)


def test_a_new_adapter_learns_in_float32(mixed, tmp_path):
    model = EmotionLlamaForConditionalGeneration._from_config(EmotionLlamaConfig.preset("toy"), dtype=torch.bfloat16)
    model.add_lora(rank=2)
    types = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert {types[name] for name in types if "lora_" in name or "projector" in name} == {torch.float32}
    assert types["language_model.lm_head.weight"] is torch.bfloat16


def test_float16_is_bfloat16_on_a_cpu(mixed, adapted):
    assert LoadedModel(mixed, device="cpu").model.dtype is torch.bfloat16
    assert LoadedModel(mixed, device="cpu", dtype="float16").model.dtype is torch.float16
    with pytest.raises(InputError, match=r"device 'cuda:7' is not here: torch finds \d of that kind"):
        LoadedModel(mixed, device="cuda:7")
    with pytest.raises(InputError, match="'gpu'"):
        LoadedModel(mixed, device="gpu")


# --- devices ----------------------------------------------------------------------------------------------------------


def test_nothing_is_made_on_the_default_device(toy_model, clips, prompts):
    """Counts and masks were made wherever torch makes tensors by default, and met inputs elsewhere."""
    ids, mask = prompts(toy_model.config, [4])
    one = clips(toy_model.config, 1, crops=(3,))
    del one["face_counts"], one["input_lengths"]
    batch = {"input_ids": ids, "attention_mask": mask, **one}
    labels = [[374, 328, 2], [17, 2], [7]]
    expected = score_labels(toy_model, batch, labels)
    with torch.device("meta"):
        ours = score_labels(toy_model, batch, labels)
        features = toy_model.get_face_features(one["face_pixel_values"]).last_hidden_state[:, 0]
    torch.testing.assert_close(ours.log_likelihoods, expected.log_likelihoods)
    torch.testing.assert_close(features, toy_model.encode(**one).face_features)
