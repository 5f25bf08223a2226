"""What `convert` will not make a model of: values that are no numbers, broken folders, places out of reach."""

import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.checkpoints.tensor_files import check_finite
from emotion_llama.models.clips import ClipInputs
from emotion_llama.models.folders import read_json_object
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor
from emotion_llama.prompts.tokenise import load_tokenizer

LORA_A = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"


def with_tensor(sources: Sources, tmp_path: Path, name: str, change) -> Sources:
    content = torch.load(sources["weights"], weights_only=True)
    content["model"][name] = change(content["model"][name])
    torch.save(content, tmp_path / "weights.pth")
    return sources | {"weights": tmp_path / "weights.pth"}


def copied(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out)
    return out


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["llama_proj.bias", LORA_A])
def test_values_that_are_no_numbers_are_refused(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, name: str, bad: float, merge: bool
) -> None:
    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[[3, 7]] = bad
        return tensor

    spoilt = with_tensor(toy_sources, tmp_path, name, spoil)
    count = 48 if name == "llama_proj.bias" else 192
    expected = rf"{name} \(--weights\): 2 of {count} values are NaN or infinite; .*weights\.pth is damaged"
    with pytest.raises(InputError, match=expected):
        convert(spoilt, tmp_path / "out", replace(toy_options, merge=merge))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]


def test_values_that_the_wanted_type_cannot_hold_are_refused(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    large = with_tensor(toy_sources, tmp_path, "ln_vision.bias", lambda tensor: tensor.fill_(70_000))  # float16: 65,504
    with pytest.raises(InputError, match=r"ln_vision\.bias: 32 of 32 values .*; it does not fit torch\.float16; give"):
        convert(large, tmp_path / "out", replace(toy_options, dtype="float16"))
    convert(large, tmp_path / "out", replace(toy_options, dtype="bfloat16"))


@pytest.mark.parametrize("kind", [torch.int64, torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_of_other_types_are_refused(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, kind: torch.dtype
) -> None:
    spoilt = with_tensor(toy_sources, tmp_path, "llama_proj.weight", lambda tensor: tensor.to(kind))
    name = str(kind).removeprefix("torch.")
    with pytest.raises(InputError, match=rf"weights\.pth: llama_proj\.weight \(--weights\) holds {name}; expected one"):
        convert(spoilt, tmp_path / "out", toy_options)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_one_bad_value_is_found_wherever_it_is(kind: torch.dtype) -> None:
    for length in (1, 7, 64, 1001):
        values = torch.linspace(-3, 3, length).to(kind)
        assert check_finite(values, "x", "no") is values
        for position in {0, length // 2, length - 1}:
            for bad in (float("nan"), float("inf"), float("-inf")):
                spoilt = values.clone()
                spoilt[position] = bad
                with pytest.raises(InputError, match=f"x: 1 of {length:,} values are NaN or infinite; no"):
                    check_finite(spoilt, "x", "no")
    check_finite(torch.zeros(0), "x", "no")


def with_added_tokens(llama: Path, *tokens: str, pad: str | None = None) -> None:
    """The folder's tokenizer as tokenizer.json, with tokens after the 480 of the vocabulary."""
    tokenizer = load_tokenizer(llama)
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    if pad is not None:
        tokenizer.pad_token = pad
    for path in llama.glob("*token*"):
        path.unlink()
    tokenizer.save_pretrained(llama)


def test_a_padding_token_without_a_row_moves_the_placeholders(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, converted: Path
) -> None:
    """Many copies of LLaMA have a "<pad>" of id 32000: the first placeholder wanted that id too, after 27 GB."""
    llama = copied(toy_sources["llama"], tmp_path / "llama")
    with_added_tokens(llama, "<pad>", pad="<pad>")
    report = convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options)
    assert report.notes == ("the tokenizer's <pad> has no row in the model", "prompts are padded with '$$'")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["image_token_id"], config["feature_token_id"]) == (481, 482)
    processor = EmotionLlamaProcessor.from_pretrained(tmp_path / "out")
    assert (processor.image_token_id, processor.feature_token_id) == (481, 482)
    model = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    published = EmotionLlamaForConditionalGeneration.from_pretrained(converted).eval()
    ids = torch.tensor([[1, 5, *[481] * model.config.num_image_tokens, 482, 9]])
    inputs = {"pixel_values": torch.ones(1, 3, 56, 56)}
    with torch.no_grad():
        logits = model(input_ids=ids, **inputs).logits
        assert torch.equal(logits, published(input_ids=ids - (ids > 480).long(), **inputs).logits)
    # Of two prompts the shorter one is padded with an id that has a row.
    batch = processor([ClipInputs(), ClipInputs()], words=["a", "a longer line of words"])
    is_padding = batch["attention_mask"] == 0
    assert is_padding.any()
    assert int(batch["input_ids"][is_padding].max()) < 480


def test_a_tokenizer_of_another_model_is_refused_before_anything_is_written(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    llama = copied(toy_sources["llama"], tmp_path / "llama")
    with_added_tokens(llama)
    content = json.loads((llama / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {"other": 480, "words": 481}
    (llama / "tokenizer.json").write_text(json.dumps(content))
    steps: list[str] = []
    with pytest.raises(InputError, match=r"has 2 tokens past the language model's 480 rows \('other', 'words'\)"):
        convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options, steps.append)
    assert steps == ["reading names and shapes"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, r"llama: no tokenizer\.json and no tokenizer\.model"),
        ({"tokenizer.json": "{"}, r"tokenizer\.json: not JSON"),
        ({"tokenizer.json": "{}"}, r"llama: its tokenizer cannot be read \(.+\); fetch its tokenizer files again"),
        ({"tokenizer.json": '{"model": {"type": "X"}, "added_tokens": []}'}, r"its tokenizer cannot be read"),
        ({"tokenizer.model": "<html>"}, r"llama: (its tokenizer cannot be read|tokenizer\.model is not)"),
    ],
)  # fmt: skip
def test_a_broken_tokenizer_costs_no_writing(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, files: dict[str, str], problem: str
) -> None:
    llama = copied(toy_sources["llama"], tmp_path / "llama")
    for path in llama.glob("*token*"):
        path.unlink()
    for name, content in files.items():
        (llama / name).write_text(content)
    steps: list[str] = []
    with pytest.raises(InputError, match=problem):
        convert(toy_sources | {"llama": llama}, tmp_path / "out", toy_options, steps.append)
    assert steps == ["reading names and shapes"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("llama/config.json", "{", r"config\.json: not JSON"),
        ("llama/config.json", "[]", r"config\.json: holds a list; expected a JSON object"),
        ("llama/config.json", '{"model_type": "no-such"}', r"transformers does not read it \(model_type 'no-such': "),
        ("llama/config.json", "{}", r"transformers does not read it \(model_type None: "),
        ("llama/config.json", '{"model_type": "llama", "vocab_size": "many"}', r"read it \(model_type 'llama'"),
        ("hubert/config.json", '{"model_type"', r"config\.json: not JSON"),
        ("hubert/preprocessor_config.json", "{", r"preprocessor_config\.json: not JSON"),
        ("hubert/preprocessor_config.json", "", r"preprocessor_config\.json: not JSON"),
    ],
)  # fmt: skip
def test_broken_configurations_are_one_line(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, name: str, content: str, problem: str
) -> None:
    folder = name.split("/", maxsplit=1)[0]
    copied(toy_sources[folder], tmp_path / folder)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        convert((toy_sources | {folder: tmp_path / folder}), tmp_path / "out", toy_options)
    assert "\n" not in str(caught.value)


def test_json_that_is_no_text_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match=r"x\.json: not JSON"):
        read_json_object(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"gone\.json: cannot be read \(No such file or directory\)"):
        read_json_object(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"videomae_frames": 7}, "--videomae-frames 7: expected an even number, 2 or more: VideoMAE takes pairs"),
        ({"videomae_frames": 1}, "--videomae-frames 1: expected an even number, 2 or more"),
        ({"videomae_frames": 0}, "--videomae-frames 0: expected a number above 0"),
        ({"mae_heads": 0}, "--mae-heads 0: expected a number above 0"),
        ({"image_size": -56}, "--image-size -56: expected a number above 0"),
        ({"lora_alpha": float("nan")}, "--lora-alpha nan: expected a number above 0"),
    ],
)
def test_sizes_of_no_sense_are_refused(sizes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        ConversionOptions(**sizes)


@pytest.mark.parametrize("frames", [2, 8, 32])
def test_other_numbers_of_frames_are_kept(toy_sources: Sources, toy_options, tmp_path: Path, frames: int) -> None:
    options = replace(toy_options, videomae_frames=frames)
    convert(toy_sources, tmp_path / "out", options)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["temporal_config"]["num_frames"] == frames


def test_more_blocks_than_the_file_has_are_refused(toy_sources: Sources, toy_options, tmp_path: Path) -> None:
    options = replace(toy_options, eva_depth=4)
    with pytest.raises(InputError, match=r"--eva-depth 4.* 3 blocks"):
        convert(toy_sources, tmp_path / "out", options)


@pytest.mark.parametrize(
    ("role", "name", "shape", "problem"),
    [
        ("eva", "patch_embed.proj.weight", (), r"eva: patch_embed\.proj\.weight has shape \[\]; expected 4 axes"),
        ("eva", "pos_embed", (5,), r"eva: pos_embed has shape \[5\]; expected 3 axes"),
        ("mae", "blocks.0.mlp.fc1.weight", (3,), r"mae: blocks\.0\.mlp\.fc1\.weight has shape \[3\]; expected 2 axes"),
        ("weights", "llama_proj.weight", (0, 128), r"\[0, 128\]; expected 2 axes, none empty"),
        ("weights", LORA_A, (), r"LoRA of .*lora_A\.weight is \[\]; expected two axes"),
    ],
)
def test_shapes_of_no_sense_are_refused(
    toy_sources: Sources, toy_options, tmp_path: Path, role: str, name: str, shape: tuple[int, ...], problem: str
) -> None:
    content = torch.load(toy_sources[role], weights_only=True)
    content.get("model", content)[name] = torch.ones(shape)
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=problem):
        convert((toy_sources | {role: tmp_path / "x.pth"}), tmp_path / "out", toy_options)


def test_mae_files_of_distributed_training_convert_alike(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path, converted: Path
) -> None:
    content = torch.load(toy_sources["mae"], weights_only=True)
    tensors = {f"module.{name}": tensor for name, tensor in content["model"].items()}
    tensors |= {"module.head.weight": torch.ones(7, 24), "module.fc_norm.bias": torch.ones(24)}
    torch.save({"model": tensors}, tmp_path / "mae.pth")
    convert(toy_sources | {"mae": tmp_path / "mae.pth"}, tmp_path / "out", toy_options)
    before, after = (load_file(folder / "model.safetensors") for folder in (converted, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_places_that_cannot_be_written(toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path) -> None:
    for place, reason in (("/proc/x", ".+"), (tmp_path / "file" / "x", "Not a directory")):
        (tmp_path / "file").write_text("")
        with pytest.raises(
            InputError, match=rf"x cannot be written \({reason}\); what was begun is removed; give anot"
        ):
            convert(toy_sources, place, toy_options)


def test_a_disk_that_fills_up_leaves_nothing(
    toy_sources: Sources, toy_options: ConversionOptions, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))  # as a full disk does, in the middle of the weights
    try:
        with pytest.raises(InputError, match=r"out cannot be written \(File too large\); what was begun is removed"):
            convert(toy_sources, tmp_path / "out", toy_options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
