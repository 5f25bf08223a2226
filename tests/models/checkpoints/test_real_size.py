"""All keys of the published files find a place at real size: on files that are holes, and a model without memory."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from published_shapes import hubert_large_shapes, llama_shapes, vit_shapes, write_sparse_safetensors

from emotion_llama.models.checkpoints.plan import Plan, make_plan
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.checkpoints.tensor_files import open_source

LLAMA_2_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096, "torch_dtype": "float16",
}  # fmt: skip
HUBERT_LARGE = {
    "model_type": "hubert", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096, "do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True,
    "feat_proj_dropout": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def published(golden: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    keys = json.loads((golden / "keys_7b.json").read_text())
    return {file: {n: tuple(s) for n, s in entry["tensors"].items()} for file, entry in keys.items()}


def folder(path: Path, shapes: Mapping[str, tuple[int, ...]], config: dict[str, object]) -> Path:
    path.mkdir()
    write_sparse_safetensors(path / "model.safetensors", shapes)
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def real(published, golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    root = tmp_path_factory.mktemp("real")
    weights, eva = published["Emotion_LLaMA.pth"], published["eva_vit_g.pth"]
    past = {name.replace(".38.", ".39."): shape for name, shape in eva.items() if ".38." in name}
    eva = {**eva, **past, "norm.weight": (1408,), "norm.bias": (1408,), "head.weight": (1000, 1408)}
    mae = vit_shapes("", 1024, 24, (16, 16), "full")
    mae |= {"cls_token": (1, 1, 1024), "pos_embed": (1, 197, 1024), "norm.weight": (1024,), "norm.bias": (1024,)}
    mae |= {"mask_token": (1, 1, 512), "decoder_pos_embed": (1, 197, 512), "decoder_blocks.0.norm1.bias": (512,)}
    videomae = vit_shapes("encoder.", 1024, 24, (2, 16, 16), "query_value")
    videomae |= {"encoder.norm.weight": (1024,), "encoder_to_decoder.weight": (512, 1024), "mask_token": (1, 1, 512)}
    paths = {
        "llama": folder(root / "llama", llama_shapes(32, 4096, 11008, 32000), LLAMA_2_7B),
        "hubert": folder(root / "hubert", hubert_large_shapes(), HUBERT_LARGE),
    }
    shutil.copy(golden / "llama" / "tokenizer.model", root / "llama")
    for role, shapes in (("eva", eva), ("mae", mae), ("videomae", videomae), ("weights", weights)):
        paths[role] = root / f"{role}.safetensors"
        write_sparse_safetensors(paths[role], shapes)
    return make_plan({role: open_source(path) for role, path in paths.items()}, ConversionOptions())


def test_every_published_key_is_placed_or_named_with_its_reason(real: Plan, published) -> None:
    for role, file in (("weights", "Emotion_LLaMA.pth"), ("eva", "eva_vit_g.pth")):
        placed = {name for found, name in real.placed.values() if found == role}
        ignored = {name for names in real.ignored.get(role, {}).values() for name in names}
        assert set(published[file]) <= placed | ignored
        assert not placed & ignored
    left = real.ignored["weights"]
    assert sum(len(names) for names in left.values()) == 32 + 36  # inv_freq of each layer; the unused head
    # The 40th block and what follows it; the file's other 511 tensors are all placed.
    assert {reason: len(names) for reason, names in real.ignored["eva"].items()} == {
        "the reference takes the last block's output; `ln_vision` follows instead": 2,
        "classification head, not on the path of the features": 1,
        "the reference builds the first 39 blocks": 13,
    }
    assert sum(role == "eva" for role, _ in real.placed.values()) == 511


def test_the_parameters_are_counted(real: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    # 32 layers x (q, v) x (4096 x 64 + 64 x 4096), UPSTREAM 1.3 E.
    assert real.num_lora_parameters == 33_554_432 == 32 * 2 * 2 * 4096 * 64
    tower: dict[str, int] = {}
    for name, shape in real.expected.items():
        count = 1
        for length in shape:
            count *= length
        head = name.split(".")[0]
        tower[head] = tower.get(head, 0) + count
    # LLaMA-2-7B has 6,738,415,616 parameters (its model card); with LoRA that is 6,771,970,048, which the
    # published training logs print.
    assert tower["language_model"] == 6_738_415_616
    assert tower["language_model"] + real.num_lora_parameters == 6_771_970_048
    assert tower["multi_modal_projector"] == 4096 * (5632 + 3 * 1024 + 1408 + 5)
    with capsys.disabled():
        print(f"\n  LoRA {real.num_lora_parameters:,}; " + ", ".join(f"{k} {v:,}" for k, v in tower.items()))


def test_published_widths_need_no_options(real: Plan) -> None:
    config = real.config
    assert (config.vision_config.num_attention_heads, config.vision_config.num_hidden_layers) == (16, 39)
    assert (config.vision_config.image_size, config.vision_config.position_image_size) == (448, 224)
    assert config.vision_config.intermediate_size == 6144
    assert (config.face_config.num_attention_heads, config.face_config.image_size) == (16, 224)
    assert (config.temporal_config.num_attention_heads, config.temporal_config.image_size) == (16, 224)
    assert config.patches_per_token == 4
    assert config.num_image_tokens == 256
    assert real.rank == 64
    assert real.notes == (
        "ln_vision is in no file: weight 1, bias 0, as the reference has it then",
        "LoRA's alpha is not in the files: 16, as published",
    )
