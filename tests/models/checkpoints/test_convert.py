"""Conversion is strict: what it accepts, what it writes down, and what it refuses, in whose words."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emotion_llama.errors import InputError
from emotion_llama.media.probe import file_sha256
from emotion_llama.models.checkpoints import convert as converting
from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration

Tensors = dict[str, torch.Tensor]
LORA_A = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"


def changed(path: Path, out: Path, change: Callable[[Tensors], object]) -> Path:
    """A copy of a pickle with `change` done to its tensors."""
    content = torch.load(path, weights_only=True)
    change(content.get("model", content))
    torch.save(content, out)
    return out


def with_weights(sources: Sources, tmp_path: Path, change: Callable[[Tensors], object]) -> Sources:
    return sources | {"weights": changed(sources["weights"], tmp_path / "changed.pth", change)}


def assert_nothing_is_left(folder: Path) -> None:
    assert [path.name for path in folder.iterdir() if path.name.startswith("out")] == []


def test_the_manifest_tells_sources_and_files(converted: Path, golden: Path) -> None:
    text = (converted / "conversion.json").read_text()
    manifest = json.loads(text)
    assert str(golden) not in text  # no folder of this machine
    assert str(golden) not in (converted / "config.json").read_text()
    assert manifest["weights"] == "Emotion_LLaMA.pth"
    assert manifest["abilities"] == ["classify", "reason"]
    assert manifest["lora"] == {"rank": 4, "alpha": 16.0, "merged": False}
    assert manifest["num_lora_parameters"] == 2 * 2 * (4 * 48 + 48 * 4)
    eva = manifest["sources"]["eva"]
    assert eva["files"]["eva_vit_g.pth"]["sha256"] == file_sha256(golden / "eva_vit_g.pth")
    assert set(manifest["files"]) == {path.name for path in converted.iterdir()} - {"conversion.json"}
    for name, file in manifest["files"].items():
        assert (file["num_bytes"], file["sha256"]) == ((converted / name).stat().st_size, file_sha256(converted / name))
    assert manifest["left_behind"]["mae"] == {
        "decoder of the masked pre-training": ["mask_token", "decoder_embed.weight", "decoder_pred.bias"]
    }


def test_peft_spelling_with_default_gives_the_same_file(
    toy_sources: Sources, toy_options: ConversionOptions, converted: Path, tmp_path: Path
) -> None:
    def respell(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".lora_" in name]:
            tensors[name.replace(".weight", ".default.weight")] = tensors.pop(name)

    convert(with_weights(toy_sources, tmp_path, respell), tmp_path / "out", toy_options)
    for name in ("adapter_model.safetensors", "model.safetensors"):
        assert file_sha256(tmp_path / "out" / name) == file_sha256(converted / name)


def test_shards_of_the_language_model_and_of_the_output(
    toy_sources: Sources, toy_options: ConversionOptions, converted: Path, tmp_path: Path
) -> None:
    llama = tmp_path / "llama"
    shutil.copytree(toy_sources["llama"], llama)
    tensors = torch.load(llama / "pytorch_model.bin", weights_only=True)
    (llama / "pytorch_model.bin").unlink()
    names = list(tensors)
    weight_map = {}
    for number, part in ((1, names[:10]), (2, names[10:])):
        shard = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, llama / shard)
        weight_map |= dict.fromkeys(part, shard)
    (llama / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    convert(toy_sources | {"llama": llama}, tmp_path / "out", replace(toy_options, max_shard_bytes=300_000))
    shards = sorted((tmp_path / "out").glob("model-*.safetensors"))
    assert len(shards) == 5  # 1.14 MB of tensors, at most 0.3 MB a shard
    together: Tensors = {}
    for shard in shards:
        together |= load_file(shard)
    whole = load_file(converted / "model.safetensors")
    assert together.keys() == whole.keys()
    assert all(torch.equal(together[name], whole[name]) for name in whole)


def test_merged_is_weight_plus_scaled_product(
    toy_sources: Sources, toy_options: ConversionOptions, converted: Path, tmp_path: Path
) -> None:
    convert(toy_sources, tmp_path / "out", replace(toy_options, merge=True))
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    lora = torch.load(toy_sources["weights"], weights_only=True)["model"]
    before, after = (load_file(at / "model.safetensors") for at in (converted, tmp_path / "out"))
    for name in before:
        expected = before[name]
        for module in ("q_proj", "v_proj"):
            stem = f"llama_model.base_model.model.{name.removeprefix('language_model.').removesuffix('.weight')}"
            if name.startswith("language_model") and name.endswith(f"{module}.weight"):
                expected = expected + 16 / 4 * lora[f"{stem}.lora_B.weight"] @ lora[f"{stem}.lora_A.weight"]
                assert not torch.equal(expected, before[name])
        assert torch.allclose(after[name], expected, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_types_are_cast_and_recorded(
    toy_sources: Sources, toy_options: ConversionOptions, converted: Path, tmp_path: Path, dtype: str
) -> None:
    convert(toy_sources, tmp_path / "out", replace(toy_options, dtype=dtype))
    kind = getattr(torch, dtype)
    before, after = (load_file(at / "model.safetensors") for at in (converted, tmp_path / "out"))
    assert all(torch.equal(after[name], before[name].to(kind)) for name in before)
    assert {t.dtype for t in load_file(tmp_path / "out" / "adapter_model.safetensors").values()} == {kind}
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["dtype"], config["text_config"]["dtype"]) == (dtype, dtype)


def test_without_ln_vision_it_is_the_identity_and_said(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    def drop(tensors: Tensors) -> None:
        del tensors["ln_vision.weight"], tensors["ln_vision.bias"]

    report = convert(with_weights(toy_sources, tmp_path, drop), tmp_path / "out", toy_options)
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(written["vision_layernorm.weight"], torch.ones(32))
    assert torch.equal(written["vision_layernorm.bias"], torch.zeros(32))
    assert report.notes == ("ln_vision is in no file: weight 1, bias 0, as the reference has it then",)


def test_base_brings_what_weights_lack_and_weights_replace_the_rest(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    def as_minigpt(tensors: Tensors) -> None:
        for name in [name for name in tensors if name.startswith(("feats_", "cls_tk", "ln_vision"))]:
            del tensors[name]
        for tensor in tensors.values():
            tensor.fill_(7)

    base = changed(toy_sources["weights"], tmp_path / "minigptv2_checkpoint.pth", as_minigpt)
    sources = with_weights(toy_sources, tmp_path, lambda tensors: tensors.pop("llama_proj.bias"))
    convert(sources | {"base": base}, tmp_path / "out", toy_options)
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert written["multi_modal_projector.patches.bias"].unique().tolist() == [7]
    published = torch.load(toy_sources["weights"], weights_only=True)["model"]
    assert torch.equal(written["multi_modal_projector.patches.weight"], published["llama_proj.weight"])


def test_start_weights_get_new_projections_only_when_asked(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    def start(tensors: Tensors) -> None:
        for name in [name for name in tensors if name.startswith(("feats_", "cls_tk"))]:
            del tensors[name]

    sources = with_weights(toy_sources, tmp_path, start)
    with pytest.raises(InputError, match=r"missing: feats_llama_proj1\.weight \(--weights\), .* and 2 more"):
        convert(sources, tmp_path / "none", toy_options)
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        report = convert(sources, tmp_path / out, replace(toy_options, new_projections=seed))
    assert report.notes[0].startswith("new, drawn from seed 4: feats_llama_proj1.weight (--weights), ")
    a, b, c = (load_file(tmp_path / out / "model.safetensors") for out in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    face, temporal = a["multi_modal_projector.face.weight"], a["multi_modal_projector.temporal.weight"]
    assert not torch.equal(face, c["multi_modal_projector.face.weight"])
    assert not torch.equal(face, temporal)
    # nn.Linear draws uniformly within 1 / sqrt(columns); of 1,152 draws the largest comes near.
    assert 0.98 / 24**0.5 < face.abs().max() <= 1 / 24**0.5


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.update({"surprise.weight": torch.ones(1)}), r"surprise\.weight is unknown in the trained part"),
        (lambda t: t.pop("cls_tk_llama_proj.bias"), r"missing: cls_tk_llama_proj\.bias \(--weights\)"),
        (lambda t: t.pop("ln_vision.bias"), r"missing: ln_vision\.bias \(--weights\)"),
        (lambda t: t.pop(LORA_A), r"LoRA tensors are missing: .*layers\.1\.self_attn\.v_proj\.lora_A\.weight"),
        (lambda t: [t.pop(n) for n in list(t) if "layers.1" in n and "lora" in n], r"LoRA .* missing: .*layers\.1\."),
        (lambda t: [t.pop(n) for n in list(t) if "lora" in n], r"--weights holds no LoRA tensors"),
        (lambda t: t.update({LORA_A: torch.ones(5, 48)}), r"LoRA tensors have ranks \[4, 5\]"),
        (lambda t: t.update({LORA_A: torch.ones(4, 50)}), r"but its layer is \[48, 48\]; --weights and --llama are of"),
        (lambda t: t.update({LORA_A.replace(".weight", ".default.weight"): t[LORA_A]}), r"are both .*; keep one"),
        (lambda t: t.update({"llama_proj.weight": torch.ones(48, 127)}), r"127 numbers, .* multiple of EVA's width 32"),
        (lambda t: t.update({"feats_llama_proj2.bias": torch.ones(9)}), r"another shape: feats_llama_proj2\.bias \(we"),
    ],
)  # fmt: skip
def test_weights_that_are_not_whole_are_refused(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, change, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        convert(with_weights(toy_sources, tmp_path, change), tmp_path / "out", toy_options)
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("role", "change", "problem"),
    [
        ("eva", lambda t: t.pop("blocks.1.attn.q_bias"), r"missing: blocks\.1\.attn\.q_bias \(--eva\)"),
        ("eva", lambda t: t.update(pos_embed=torch.ones(1, 7, 32)), "position table has 6 rows beside the class"),
        ("eva", lambda t: t.pop("patch_embed.proj.weight"), r"eva: patch_embed\.proj\.weight is missing; is it"),
        ("mae", lambda t: t.pop("norm.bias"), r"missing: norm\.bias \(--mae\)"),
        ("mae", lambda t: t.update({"blocks.0.attn.q_bias": torch.ones(24)}), r"without a place in the model: blo"),
        ("videomae", lambda t: t.pop("encoder.blocks.0.norm1.bias"), r"missing: encoder\.blocks\.0\.norm1\.bias"),
        ("videomae", lambda t: t.update({"x.y": torch.ones(1)}), r"x\.y is unknown in the VideoMAE .*\(--videomae\)"),
    ],
)  # fmt: skip
def test_encoders_that_are_not_whole_are_refused(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, role: str, change, problem: str
) -> None:
    broken = changed(toy_sources[role], tmp_path / "broken.pth", change)
    with pytest.raises(InputError, match=problem):
        convert((toy_sources | {role: broken}), tmp_path / "out", toy_options)
    assert_nothing_is_left(tmp_path)


def test_two_files_given_the_wrong_way_round(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    swapped = toy_sources | {"mae": toy_sources["videomae"], "videomae": toy_sources["mae"]}
    with pytest.raises(
        InputError,
        match=r"videomae_checkpoint-399\.pth: given as --mae, but .* another part: VideoMAE .*; give it as --videomae",
    ):
        convert(swapped, tmp_path / "out", toy_options)


def test_an_eva_file_given_as_mae_is_named_before_its_heads_are(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    # EVA is 32 wide and MAE 24: "--mae-heads 3 does not divide 32" was the answer to the wrong question.
    options = replace(toy_options, mae_heads=3)
    with pytest.raises(InputError, match=r"eva_vit_g\.pth: given as --mae, but .*: EVA .*; give it as --eva"):
        convert(toy_sources | {"mae": toy_sources["eva"]}, tmp_path / "out", options)
    with pytest.raises(InputError, match=r"llama: given as --hubert, but .*: language model; give it as --llama"):
        convert(toy_sources | {"hubert": toy_sources["llama"]}, tmp_path / "out", toy_options)


def test_heads_that_nothing_tells_have_to_be_given(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    for role in ("eva", "mae", "videomae"):
        options = replace(toy_options, **{f"{role}_heads": None})
        with pytest.raises(
            InputError, match=rf"heads of a {role} encoder \d+ wide is not in its file .*--{role}-heads"
        ):
            convert(toy_sources, tmp_path / "out", options)
    with pytest.raises(InputError, match=r"--eva-heads 5 .* 32"):
        convert(toy_sources, tmp_path / "out", replace(toy_options, eva_heads=5))


def test_a_block_past_the_depth_is_left_behind(
    toy_sources: Sources, toy_options, converted: Path, tmp_path: Path
) -> None:
    def add_block(tensors: Tensors) -> None:
        tensors |= {n.replace("blocks.2.", "blocks.3."): t for n, t in list(tensors.items()) if "blocks.2." in n}
        tensors |= {"norm.weight": torch.ones(32), "head.bias": torch.ones(5)}

    eva = changed(toy_sources["eva"], tmp_path / "eva.pth", add_block)
    options = replace(toy_options, eva_depth=3)
    report = convert(toy_sources | {"eva": eva}, tmp_path / "out", options)
    assert len(report.ignored["eva"]["the reference builds the first 3 blocks"]) == 13
    assert file_sha256(tmp_path / "out" / "model.safetensors") == file_sha256(converted / "model.safetensors")


def test_alpha_is_the_files_the_users_or_the_published_one(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    content = torch.load(toy_sources["weights"], weights_only=True)
    weights = tmp_path / "w.pth"

    def alpha(name: str, options: ConversionOptions) -> float:
        torch.save(content, weights)
        convert(toy_sources | {"weights": weights}, tmp_path / name, options)
        return json.loads((tmp_path / name / "adapter_config.json").read_text())["lora_alpha"]

    content["config"]["model"]["lora_alpha"] = 32
    assert alpha("file", toy_options) == 32
    assert alpha("user", replace(toy_options, lora_alpha=8.5)) == 8.5
    del content["config"]
    assert alpha("published", toy_options) == 16


def test_folders_that_lack_something(toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path) -> None:
    llama, hubert = tmp_path / "llama", tmp_path / "hubert"
    shutil.copytree(toy_sources["llama"], llama)
    shutil.copytree(toy_sources["hubert"], hubert)
    (llama / "tokenizer.model").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json and no tokenizer\.model"):
        convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options)
    (llama / "config.json").unlink()
    with pytest.raises(InputError, match=r"llama: no config\.json"):
        convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options)
    (hubert / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000, "do_normalize": False}))
    with pytest.raises(InputError, match="sampling_rate 8000, do_normalize False"):
        convert(toy_sources | {"hubert": hubert}, tmp_path / "out", toy_options)
    assert_nothing_is_left(tmp_path)


def test_old_weight_norm_names_of_hubert(toy_sources: Sources, toy_options, converted: Path, tmp_path: Path) -> None:
    hubert = tmp_path / "hubert"
    shutil.copytree(toy_sources["hubert"], hubert)

    def respell(tensors: Tensors) -> None:
        conv = "encoder.pos_conv_embed.conv"
        tensors[f"{conv}.weight_g"] = tensors.pop(f"{conv}.parametrizations.weight.original0")
        tensors[f"{conv}.weight_v"] = tensors.pop(f"{conv}.parametrizations.weight.original1")
        tensors["masked_spec_embed"] = torch.ones(24)  # this model does not mask, so it has no such parameter

    changed(hubert / "pytorch_model.bin", hubert / "pytorch_model.bin", respell)
    report = convert(toy_sources | {"hubert": hubert}, tmp_path / "out", toy_options)
    assert report.ignored["hubert"] == {"only used to mask the spectrum in pre-training": ["masked_spec_embed"]}
    before, after = (load_file(at / "model.safetensors") for at in (converted, tmp_path / "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_output_folder_is_never_written_over(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="already there"):
        convert(toy_sources, out, toy_options)
    (out / "mine.txt").unlink()
    (tmp_path / "out.partial").mkdir()  # what an interrupted run leaves
    (tmp_path / "out.partial" / "half.safetensors").write_text("")
    convert(toy_sources, out, toy_options)  # an empty folder is fine
    assert not (out / "half.safetensors").exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_disk_that_is_too_small(toy_sources, toy_options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(converting.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    # 284,009 numbers and 1,536 of LoRA of 4 bytes, and 5 MB for the small files.
    with pytest.raises(InputError, match=r"6\.14 MB are needed and 1\.00 MB are free; give another place"):
        convert(toy_sources, tmp_path / "out", toy_options)
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_140_000, "1.14 MB"), (2_500, "2.50 kB"), (15 * 10**9, "15.00 GB")],
)
def test_sizes_are_shown_in_units_that_fit(count: int, text: str) -> None:
    assert converting._shown_bytes(count) == text


def test_sizes_default_to_the_published_ones() -> None:
    assert (
        ConversionOptions().image_size,
        ConversionOptions().videomae_image_size,
        ConversionOptions().videomae_frames,
    ) == (
        448,
        224,
        16,
    )


def test_stored_keeps_each_type_and_the_language_model_decides_the_models(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    llama = tmp_path / "llama"
    shutil.copytree(toy_sources["llama"], llama)
    tensors = torch.load(llama / "pytorch_model.bin", weights_only=True)
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, llama / "pytorch_model.bin")
    convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options)
    written = load_file(tmp_path / "out" / "model.safetensors")
    types = {name.split(".")[0]: tensor.dtype for name, tensor in written.items()}
    assert types.pop("language_model") == torch.float16
    assert set(types.values()) == {torch.float32}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float16"


def test_a_language_model_of_another_kind_with_tied_embeddings(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(
        hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
        vocab_size=480, tie_word_embeddings=True,
    )  # fmt: skip
    qwen = AutoModelForCausalLM.from_config(config)
    qwen.save_pretrained(tmp_path / "qwen")
    shutil.copy(toy_sources["llama"] / "tokenizer.model", tmp_path / "qwen")
    convert(toy_sources | {"llama": tmp_path / "qwen"}, tmp_path / "out", toy_options)
    model, info = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    ids = torch.tensor([[1, 5, 9]])
    with torch.no_grad():
        model.disable_adapters()
        expected = qwen.eval()(input_ids=ids).logits
        assert torch.allclose(model.eval()(input_ids=ids).logits, expected, atol=1e-6)
    # Files of tied models may hold the head all the same.
    tensors = load_file(tmp_path / "qwen" / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "qwen" / "model.safetensors")
    report = convert(toy_sources | {"llama": tmp_path / "qwen"}, tmp_path / "with_head", toy_options)
    assert report.ignored["llama"] == {"tied to the table of embeddings": ["lm_head.weight"]}


def test_a_language_model_of_another_size_is_refused(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    llama = tmp_path / "llama"
    shutil.copytree(toy_sources["llama"], llama)
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"without a place in the model: model\.layers\.1\..* \(llama\)"):
        convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options)
