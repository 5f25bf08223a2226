"""Time per stage and memory of features from raw video: `OMP_NUM_THREADS=1 python benchmarks/features_speed.py`.

Random weights: the figures depend on sizes only. "toy" is the size of the golden vectors, "published" that of the
published encoders (ViT-L/16 on 224x224 twice, HuBERT-large, float32), without the language model. The whole way is
measured: probe, faces found and followed, crops decoded and cut again, encoders, files written.

Options: --clip FILE (the example clip), --sizes toy,published, --device cpu, --batch-size 32, --long N (seconds of a
long clip, 300, for the memory table at toy size; 0 leaves it out).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "clips" / "astronaut.mp4"
PRESETS = {"toy": "toy", "nano": "nano", "published": "7b"}


def encoders(size: str, device: str) -> object:
    """The three encoders of one size with random weights."""
    import torch
    from transformers import HubertModel

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
    from emotion_llama.models.features.extractor import TorchEncoders
    from emotion_llama.models.vit import VisionTransformer

    torch.manual_seed(0)
    config = EmotionLlamaConfig.preset(PRESETS[size])
    towers = {
        "face_tower": VisionTransformer(config.face_config),
        "temporal_tower": VisionTransformer(config.temporal_config),
        "audio_tower": HubertModel(config.audio_config),
    }
    return TorchEncoders(config, {name: tower.to(device) for name, tower in towers.items()}, device)


def long_clip(path: Path, seconds: int) -> None:
    """A clip of `seconds`, 640x360 at 25 frames a second, one face all the time."""
    import numpy as np

    from emotion_llama.media.writing import write_clip
    from merr_synth.render.face import ANNA, DrawnFace, Placement, render

    frames = [render((640, 360), [DrawnFace(ANNA, Placement((300.0 + 2 * i, 170.0), 130.0))]).image for i in range(20)]
    sound = 0.1 * np.random.default_rng(0).standard_normal(16_000 * seconds).astype(np.float32)
    write_clip(path, islice(cycle(frames), 25 * seconds), fps=25, audio=sound, sample_rate_hz=16_000)


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    # VmHWM, not ru_maxrss: the latter still counts the memory of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(clip: Path, size: str, device: str, batch_size: int) -> None:
    """Print one clip's stages."""
    from emotion_llama.analysis.features import extract_clips
    from emotion_llama.analysis.inputs import CropOptions
    from emotion_llama.face.backends import load_backend
    from emotion_llama.models.features.extractor import FeatureExtractor
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.models.features.published_folders import FolderWriter
    from emotion_llama.models.inputs import HUBERT_SUM4

    start = time.perf_counter()
    # The recipe in chunks, because the other one takes no clip of minutes.
    extractor = FeatureExtractor(encoders(size, device), sound=HUBERT_SUM4, batch_size=batch_size)  # type: ignore[arg-type]
    loaded = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder, load_backend("onnx_mesh") as backend:
        recipe = {"benchmark": size}
        sinks = (FolderWriter(folder, recipe), FeatureStore(folder, writable=True, recipe=recipe))
        (outcome,) = extract_clips([("clip", clip)], extractor, lambda: backend, CropOptions("peak"), sinks)
        sinks[1].close()
    if outcome.features is None:
        sys.exit(outcome.error)
    print(f"{clip.name}, {size} encoders on {device}, {outcome.features.num_faces} faces, batches of {batch_size}")
    print(f"  {'make the encoders':<28}{loaded:8.2f} s")
    names = {
        "voice": "decode the sound",
        "faces": "find and follow faces", "face": "crops and face encoder", "temporal": "temporal encoder",
        "audio": "audio encoder", "writing": "write folders and store",
    }  # fmt: skip
    for stage, seconds in outcome.seconds_by_stage.items():
        print(f"  {names[stage]:<28}{seconds:8.2f} s")
    print(f"  {'all but the making':<28}{sum(s for s in outcome.seconds_by_stage.values()):8.2f} s")
    print(f"  {'largest resident size':<28}{peak_megabytes():8.0f} MB")


def main() -> None:
    """Print a table for each size, each in a fresh process, then memory by length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=EXAMPLE)
    parser.add_argument("--sizes", default="toy,published")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--long", type=int, default=300)
    parser.add_argument("--one", choices=PRESETS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.clip, args.one, args.device, args.batch_size)
        return
    own = [sys.executable, __file__, "--device", args.device, "--batch-size", str(args.batch_size)]
    for size in args.sizes.split(","):
        subprocess.run([*own, "--clip", str(args.clip), "--one", size], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in (10, args.long) if args.long else ():
            clip = Path(folder) / f"{seconds}-seconds.mp4"
            long_clip(clip, seconds)
            subprocess.run([*own, "--clip", str(clip), "--one", "toy"], check=True)


if __name__ == "__main__":
    main()
