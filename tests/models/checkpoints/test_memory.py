"""Conversion holds one tensor at a time: measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.checkpoints.convert import NEEDED, convert
from pathlib import Path

def memory_mb(field):
    # Not getrusage: its peak counts the parent's memory at the moment of the fork.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

golden, root = Path(sys.argv[1]), Path(sys.argv[2])
options = ConversionOptions(
    dtype=sys.argv[3], merge=sys.argv[4] == "merge",
    eva_heads=4, mae_heads=4, videomae_heads=4, image_size=56, videomae_image_size=32,
)
def sources(llama, weights):
    return dict(zip(NEEDED, (llama, golden / "eva_vit_g.pth", golden / "mae_checkpoint-340.pth",
                   golden / "videomae_checkpoint-399.pth", golden / "hubert", weights)))
# The toy first: it imports everything that takes memory of its own.
convert(sources(golden / "llama", golden / "Emotion_LLaMA.pth"), root / "toy", options)
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = memory_mb("VmRSS")
report = convert(sources(root / "llama", root / "weights.pth"), root / "out", options)
print(json.dumps({"before": before, "peak": memory_mb("VmHWM"), "parameters": report.num_parameters}))
"""
HIDDEN, LAYERS, INTER, VOCAB = 512, 23, 1408, 480


@pytest.fixture(scope="module")
def large(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of 300 MB and the trained part that fits it, beside the toy's encoders."""
    from published_shapes import llama_shapes

    root = tmp_path_factory.mktemp("large")
    (root / "llama").mkdir()
    config = json.loads((golden / "llama" / "config.json").read_text())
    config |= {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "intermediate_size": INTER, "vocab_size": VOCAB}
    (root / "llama" / "config.json").write_text(json.dumps(config))
    for path in (golden / "llama").glob("*token*"):
        (root / "llama" / path.name).write_bytes(path.read_bytes())
    shapes = llama_shapes(LAYERS, HIDDEN, INTER, VOCAB)
    torch.save({name: torch.full(shape, 0.01) for name, shape in shapes.items()}, root / "llama" / "pytorch_model.bin")
    trained = torch.load(golden / "Emotion_LLaMA.pth", weights_only=True)["model"]
    state = {name: t for name, t in trained.items() if name.startswith("ln_vision")}
    for name, tensor in trained.items():
        if "_proj" in name and "lora" not in name:
            state[name] = torch.zeros(HIDDEN, *tensor.shape[1:])
    for layer in range(LAYERS):
        for module in ("q_proj", "v_proj"):
            stem = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{module}"
            state[f"{stem}.lora_A.weight"] = torch.zeros(4, HIDDEN)
            state[f"{stem}.lora_B.weight"] = torch.zeros(HIDDEN, 4)
    torch.save({"model": state}, root / "weights.pth")
    return root


@pytest.mark.parametrize(("dtype", "merge"), [("stored", "keep"), ("bfloat16", "merge")])
def test_peak_memory_stays_below_a_third_of_the_file(
    large: Path, golden: Path, tmp_path: Path, dtype: str, merge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file_mb = (large / "llama" / "pytorch_model.bin").stat().st_size / 2**20
    assert file_mb > 280
    for name in ("llama", "weights.pth"):
        (tmp_path / name).symlink_to(large / name)
    command = [sys.executable, "-c", SCRIPT, str(golden), str(tmp_path), dtype, merge]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    grown = figures["peak"] - figures["before"]
    with capsys.disabled():
        print(f"\n  {dtype}, {merge}: file {file_mb:.0f} MB, peak grew by {grown:.0f} MB from {figures['before']:.0f}")
    assert grown < file_mb / 3
