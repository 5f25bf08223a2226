"""Time and peak memory of the published model's size, with random weights: `python benchmarks/real_size.py --layers 1`.

Default: builds the 7B configuration with as many LLaMA layers as asked for (32 need 14 GB in bfloat16; all encoders are
whole), then runs the example clip through every stage, from raw video to generated tokens. Random weights cost what
trained ones cost. Peak memory is the largest resident size of the process during a stage on a CPU, and the largest
amount allocated on the device with --device cuda.

`--convert DIR` instead writes files of the published layout and size below DIR (20 GB with 32 layers, and as much
again for the result), converts them in a process of its own, and prints its time and peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOKENIZER = ROOT / "tests" / "golden" / "llama"
CLIP = ROOT / "examples" / "clips" / "astronaut.mp4"


def memory_gb(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


def restart_peak() -> None:
    """Let VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


@contextmanager
def stage(name: str, device: str, note: str = "") -> Iterator[None]:
    """Print how long the block took and how much memory it needed."""
    import torch

    is_cuda = device.startswith("cuda")
    if is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    else:
        restart_peak()
    start = time.perf_counter()
    yield
    if is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() / 2**30 if is_cuda else memory_gb("VmHWM")
    print(f"{name:<34} {seconds:9.3f} s   peak {peak:6.2f} GiB   {note}", flush=True)


def real_config(layers: int) -> Any:
    """The published sizes with `layers` LLaMA layers."""
    from emotion_llama.models.configuration_emotion_llama import LLAMA_2_7B, EmotionLlamaConfig

    return EmotionLlamaConfig.preset(
        "7b", text_config={**LLAMA_2_7B, "num_hidden_layers": layers}, prompt_layout="released"
    )


def run_model(args: argparse.Namespace) -> None:
    """Every stage on one clip."""
    import torch

    from emotion_llama.analysis.inputs import open_inputs
    from emotion_llama.face.backends import load_backend
    from emotion_llama.models import EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
    from emotion_llama.prompts.tokenise import load_tokenizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device, dtype = args.device, getattr(torch, args.dtype)
    where = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU, {args.threads} threads"
    print(f"{where}, {args.dtype}, {args.layers} LLaMA layer(s), torch {torch.__version__}, {args.clip.name}")
    config = real_config(args.layers)
    with stage("build with random weights", device):
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = EmotionLlamaForConditionalGeneration(config)
            model.add_lora()
        torch.set_default_dtype(torch.float32)
        model = model.to(device).eval()
    print(f"  {sum(p.numel() for p in model.parameters()):,} parameters")
    processor = EmotionLlamaProcessor.of_config(config, load_tokenizer(TOKENIZER))
    with (
        stage("clip: decode, faces, crops, sound", device),
        load_backend("onnx_mesh") as backend,
        open_inputs(args.clip, lambda: backend, warn=lambda line: None) as inputs,
    ):
        clip = replace(inputs, faces=inputs.all_faces())
    with stage("pixel values, prompt", device):
        batch = processor(clip, task="reason", words="Good to be here.")
        batch = {name: value.to(device) for name, value in batch.items()}
    run_stages(model, batch, args)


def run_stages(model: Any, batch: dict[str, Any], args: argparse.Namespace) -> None:
    """Encoders one by one, then the prompt, then the answer."""
    import torch

    device = args.device
    crops, sound = batch["face_pixel_values"], batch["input_values"]
    features: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for repeat in range(args.repeats):
            said = "" if args.repeats == 1 else f"run {repeat + 1}"
            with stage("EVA ViT-g, 1 frame at 448", device, said):
                vision = model.get_image_features(batch["pixel_values"]).last_hidden_state
            with stage(f"MAE ViT-L, {len(crops)} faces", device, f"{said} {len(crops)} faces".strip()):
                faces = model.get_face_features(crops, crops_per_pass=args.batch_size)
                features["face_features"] = faces.last_hidden_state[:, 0]
            with stage("VideoMAE ViT-L, 16 faces", device, said):
                temporal = model.get_temporal_features(batch["clip_pixel_values"])
                features["temporal_features"] = temporal.last_hidden_state[:, 0]
            with stage("HuBERT-large", device, f"{said} {sound.shape[1] / 16_000:.2f} s of sound".strip()):
                audio = model.get_audio_features(sound, batch["input_lengths"])
                features["audio_features"] = audio.last_hidden_state[:, 0]
            prompt = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
            given = {**prompt, **features, "vision_features": vision}
            positions = f"{batch['input_ids'].shape[1]} positions"
            with stage("projections, prefill", device, f"{said} {positions}".strip()):
                model(**given, logits_to_keep=1)
            # Generation reads the prompt once more; the difference to one token is the decoding.
            options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
            with stage("prefill and 1 new token", device, said):
                model.generate(**given, max_new_tokens=1, **options)
            with stage(f"prefill and {1 + args.new_tokens} new tokens", device, said):
                start = time.perf_counter()
                answer = model.generate(**given, max_new_tokens=1 + args.new_tokens, **options)
                seconds = time.perf_counter() - start
            print(f"  {answer.shape[1]} tokens, {answer.shape[1] / seconds:.1f} tokens a second with the prefill")


# --- conversion -----------------------------------------------------------------------------------------------------


def write_published_files(folder: Path, layers: int, shard_bytes: int = 2 * 10**9) -> dict[str, Path]:
    """Files of the published layout at real size: half precision for LLaMA and EVA, float32 for the others."""
    import torch

    from emotion_llama.models.checkpoints.keys import published_name
    from emotion_llama.models.checkpoints.plan import state_shapes

    config = real_config(layers)
    config.vision_config.position_image_size = 224
    noise = {dtype: torch.randn(2**24).mul(0.02).to(dtype) for dtype in (torch.float16, torch.float32)}

    def values(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        count = torch.Size(shape).numel()
        return noise[dtype].repeat(-(-count // 2**24))[:count].clone().reshape(shape)

    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in state_shapes(config).items():
        role, published = published_name(name)
        parts.setdefault(role, {})[published] = shape
    for layer in range(layers):
        for module in ("q_proj", "v_proj"):
            stem = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{module}"
            parts["weights"] |= {f"{stem}.lora_A.weight": (64, 4096), f"{stem}.lora_B.weight": (4096, 64)}
    paths = {"weights": folder / "Emoation_LLaMA.pth", "eva": folder / "eva_vit_g.pth",
             "mae": folder / "mae_checkpoint-340.pth", "videomae": folder / "maeVideo_checkpoint-399.pth"}  # fmt: skip
    for role, path in paths.items():
        dtype = torch.float16 if role == "eva" else torch.float32
        state = {name: values(shape, dtype) for name, shape in parts[role].items()}
        torch.save(state if role == "eva" else {"model": state}, path)
    for role, sub_config in (("hubert", config.audio_config), ("llama", config.text_config)):
        paths[role] = folder / role
        dtype = torch.float16 if role == "llama" else torch.float32
        write_folder(
            paths[role], parts[role], sub_config.to_dict(), lambda s, d=dtype: values(s, d), shard_bytes, dtype
        )
    shutil.copy(TOKENIZER / "tokenizer.model", paths["llama"])
    return paths


def write_folder(
    folder: Path, shapes: dict[str, tuple[int, ...]], config: Any, values: Any, shard_bytes: int, dtype: Any
) -> None:
    """A Hugging Face folder of pickled shards and their index, as Llama-2-7b-chat-hf has them."""
    import torch

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    groups: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, shape in shapes.items():
        num_bytes = torch.Size(shape).numel() * dtype.itemsize
        if groups[-1] and size + num_bytes > shard_bytes:
            groups.append({})
            size = 0
        groups[-1][name] = shape
        size += num_bytes
    weight_map = {}
    for number, group in enumerate(groups, start=1):
        shard = f"pytorch_model-{number:05d}-of-{len(groups):05d}.bin"
        torch.save({name: values(shape, dtype) for name, shape in group.items()}, folder / shard)
        weight_map |= dict.fromkeys(group, shard)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


def run_convert(args: argparse.Namespace) -> None:
    """Write the files, convert them in a fresh process, print its figures."""
    folder: Path = args.convert
    folder.mkdir(parents=True)  # never into a folder that is there: it is deleted afterwards
    try:
        paths = write_published_files(folder, args.layers)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"published files of {args.layers} LLaMA layer(s): {size / 1e9:.2f} GB", flush=True)
        options = [word for role, path in paths.items() for word in (f"--{role}", str(path))]
        extra = ["--dtype", args.store_as, *(["--merge"] if args.merge else [])]
        command = [sys.executable, __file__, "--child", *options, *extra, "--out", str(folder / "model")]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(args.threads)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_child(words: list[str]) -> None:
    """One conversion, measured from inside."""
    from emotion_llama.cli.main import main

    start = time.perf_counter()
    code = main(["convert", *words])
    seconds, peak = time.perf_counter() - start, memory_gb("VmHWM")
    out = Path(words[-1])
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e9 if code == 0 else 0
    how = " ".join(words[words.index("--dtype") : -2])
    print(f"convert {how}: {seconds:.1f} s, peak memory {peak:.2f} GiB, {size:.2f} GB written")
    sys.exit(code)


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16, help="faces at a time")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--convert", type=Path, metavar="DIR", help="measure conversion; DIR is made and deleted")
    parser.add_argument("--store-as", default="stored", choices=("stored", "float32", "float16", "bfloat16"))
    parser.add_argument("--merge", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2:])
    options = parse()
    if options.convert:
        run_convert(options)
    else:
        run_model(options)
