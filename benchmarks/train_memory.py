"""Memory that training at the published size takes, computed from the shapes: `python benchmarks/train_memory.py`.

Weights, gradients and AdamW's two moments are counted from the configuration on the meta device, so that nothing is
allocated. Activations are counted for one example with checkpointing: each layer's input is kept, one layer is
recomputed at a time, and the logits are in float32. What CUDA itself and the allocator take (about 1 GiB) is not
counted. Computed, not measured: no GPU was at hand.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from emotion_llama.models.adapters import add_lora
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.train.weights import choose_trained

GIB = 2**30
TOKENS = 260 + 190  # of the clip, and of words, instruction and answer


def real_model() -> Any:
    """The published sizes with a new adapter, without the encoders whose features are stored, on the meta device."""
    config = EmotionLlamaConfig.preset("7b", absent_towers=["face_tower", "temporal_tower", "audio_tower"])
    with torch.device("meta"):
        model = EmotionLlamaForConditionalGeneration(config)
        add_lora(model)
    choose_trained(model, ("projector", "lora"))
    return model


def activations_gib(batch: int, checkpointing: bool) -> float:
    """Of the language model in 2 bytes: kept inputs, one layer's inside, float32 logits with their gradient."""
    hidden, inner, layers, vocab = 4096, 11008, 32, 32000
    inside = TOKENS * (4 * hidden + 4 * hidden + 3 * inner + 2 * hidden) * 2
    kept = layers * TOKENS * hidden * 2 if checkpointing else layers * inside
    logits = TOKENS * vocab * 4 * 3
    return batch * (kept + inside + logits) / GIB


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    model = real_model()
    counts = {"frozen": 0, "trained": 0, "language": 0}
    for name, parameter in model.named_parameters():
        counts["trained" if parameter.requires_grad else "frozen"] += parameter.numel()
        is_base = name.startswith("language_model.") and ".lora_" not in name
        counts["language"] += parameter.numel() if is_base else 0
    print(
        f"{counts['language']:,} of the language model, {counts['frozen']:,} frozen in all, {counts['trained']:,} learn"
    )
    print(f"{'GiB, batch ' + str(args.batch):<34}{'bfloat16':>10}{'nf4':>10}{'FSDP x4':>10}")
    learning = counts["trained"] * (4 + 4 + 8) / GIB
    other = (counts["frozen"] - counts["language"]) * 2 / GIB
    rows = {
        "language model": (
            2 * counts["language"] / GIB,
            counts["language"] * 0.55 / GIB,
            4 * counts["language"] / GIB / 4,
        ),
        "global encoder and its norm": (other, other, 2 * other / 4),
        "what learns: weight, gradient, Adam": (learning, learning, learning / 4),
        "activations, checkpointed": (activations_gib(args.batch, True),) * 3,
    }
    for name, values in rows.items():
        print(f"{name:<34}" + "".join(f"{value:>10.2f}" for value in values))
    print(f"{'sum':<34}" + "".join(f"{sum(row[i] for row in rows.values()):>10.2f}" for i in range(3)))
    print(f"activations without checkpointing: {activations_gib(args.batch, False):.2f} GiB")


if __name__ == "__main__":
    main()
