"""Weight files of any size that take no room on the disk: a header, and a hole where the values would be (zeros)."""

import json
from collections.abc import Mapping
from pathlib import Path

_BYTES = {"F16": 2, "F32": 4}


def write_sparse_safetensors(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16") -> int:
    """Write a file whose tensors are all zero; returns its apparent size in bytes."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        size = _BYTES[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little"))
        stream.write(head)
        stream.truncate(8 + len(head) + end)
    return 8 + len(head) + end


def llama_shapes(layers: int, hidden: int, inter: int, vocab: int) -> dict[str, tuple[int, ...]]:
    """LLaMA-2 as Hugging Face names it."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for i in range(layers):
        at = f"model.layers.{i}"
        shapes |= {f"{at}.self_attn.{p}_proj.weight": (hidden, hidden) for p in "qkvo"}
        shapes |= {f"{at}.mlp.{p}_proj.weight": (inter, hidden) for p in ("gate", "up")}
        shapes[f"{at}.mlp.down_proj.weight"] = (hidden, inter)
        shapes |= {f"{at}.{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
        shapes[f"{at}.self_attn.rotary_emb.inv_freq"] = (64,)
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (vocab, hidden)}


def vit_shapes(prefix: str, width: int, depth: int, patch: tuple[int, ...], bias: str) -> dict[str, tuple[int, ...]]:
    """timm's names of a ViT with an MLP four times as wide; `bias` is "full" or "query_value"."""
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}patch_embed.proj.weight": (width, 3, *patch), f"{prefix}patch_embed.proj.bias": (width,)
    }  # fmt: skip
    for i in range(depth):
        at = f"{prefix}blocks.{i}"
        shapes |= {f"{at}.norm{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
        shapes[f"{at}.attn.qkv.weight"] = (3 * width, width)
        if bias == "full":
            shapes[f"{at}.attn.qkv.bias"] = (3 * width,)
        else:
            shapes |= {f"{at}.attn.{part}_bias": (width,) for part in "qv"}
        shapes |= {f"{at}.attn.proj.weight": (width, width), f"{at}.attn.proj.bias": (width,)}
        shapes |= {f"{at}.mlp.fc1.weight": (4 * width, width), f"{at}.mlp.fc1.bias": (4 * width,)}
        shapes |= {f"{at}.mlp.fc2.weight": (width, 4 * width), f"{at}.mlp.fc2.bias": (width,)}
    return shapes


def hubert_large_shapes() -> dict[str, tuple[int, ...]]:
    """chinese-hubert-large as transformers before torch 2 saved it (`weight_g`, `weight_v`)."""
    shapes: dict[str, tuple[int, ...]] = {"masked_spec_embed": (1024,)}
    for i, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        at = f"feature_extractor.conv_layers.{i}"
        shapes[f"{at}.conv.weight"] = (512, 1 if i == 0 else 512, kernel)
        shapes |= {f"{at}.conv.bias": (512,), f"{at}.layer_norm.weight": (512,), f"{at}.layer_norm.bias": (512,)}
    shapes |= {"feature_projection.layer_norm.weight": (512,), "feature_projection.layer_norm.bias": (512,)}
    shapes |= {"feature_projection.projection.weight": (1024, 512), "feature_projection.projection.bias": (1024,)}
    conv = "encoder.pos_conv_embed.conv"
    shapes |= {f"{conv}.bias": (1024,), f"{conv}.weight_g": (1, 1, 128), f"{conv}.weight_v": (1024, 64, 128)}
    shapes |= {"encoder.layer_norm.weight": (1024,), "encoder.layer_norm.bias": (1024,)}
    for i in range(24):
        at = f"encoder.layers.{i}"
        for name in ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.out_proj"):
            shapes |= {f"{at}.{name}.weight": (1024, 1024), f"{at}.{name}.bias": (1024,)}
        for name in ("layer_norm", "final_layer_norm"):
            shapes |= {f"{at}.{name}.weight": (1024,), f"{at}.{name}.bias": (1024,)}
        ff = f"{at}.feed_forward"
        shapes |= {f"{ff}.intermediate_dense.weight": (4096, 1024), f"{ff}.intermediate_dense.bias": (4096,)}
        shapes |= {f"{ff}.output_dense.weight": (1024, 4096), f"{ff}.output_dense.bias": (1024,)}
    return shapes
