"""What scoring nine labels costs beside one forward pass over the prompt, and beside nine full passes.

    python benchmarks/label_scoring.py [--hidden 512] [--layers 8] [--prompt 300] [--threads 1]

A random language model of the given size reads a prompt of that many tokens, visual tokens included; labels are of two
or three tokens, as the nine of MERR are with the end token. Encoders are as small as they get, so that the language
model's part dominates. Prints the median of several rounds and the largest difference of the log-likelihoods.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EncoderInputs, score_labels

LABELS = [[500 + 10 * index + token for token in range(1 + index % 2)] + [2] for index in range(9)]


def build(hidden: int, layers: int) -> EmotionLlamaForConditionalGeneration:
    """A model with random weights: a language model of LLaMA's proportions on toy encoders."""
    text = {
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": 32000,
        "intermediate_size": 11 * hidden // 4, "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
    }  # fmt: skip
    torch.manual_seed(0)
    return EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", text_config=text)).eval()


def make_inputs(model: EmotionLlamaForConditionalGeneration, prompt: int) -> dict[str, torch.Tensor]:
    """One clip and its prompt of that many tokens."""
    config = model.config
    tokens = config.num_image_tokens + 4
    words = torch.randint(3, 400, (prompt - tokens,)).tolist()
    soft = [config.image_token_id] * config.num_image_tokens + [config.feature_token_id] * 4
    return {
        "input_ids": torch.tensor([[*words[:5], *soft, *words[5:]]]),
        "pixel_values": torch.randn(1, 3, 56, 56),
        "face_features": torch.randn(1, 24),
        "temporal_features": torch.randn(1, 24),
        "audio_features": torch.randn(1, 24),
    }


def median_seconds(call: Callable[[], Any], rounds: int) -> float:
    """Of some calls, after one that does not count."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.no_grad()
def full_passes(model: EmotionLlamaForConditionalGeneration, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same figures without a shared cache: a pass over prompt and label for each."""
    clip = {name: value for name, value in inputs.items() if name != "input_ids"}
    sums = []
    for label in LABELS:
        ids = torch.cat([inputs["input_ids"], torch.tensor([label])], dim=1)
        embeds = model.embed_prompt(ids, EncoderInputs(**clip))
        logs = model(inputs_embeds=embeds, logits_to_keep=len(label) + 1).logits[0, :-1].log_softmax(-1)
        sums.append(logs.gather(1, torch.tensor(label)[:, None]).sum())
    return torch.stack(sums)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("layers", 8), ("prompt", 300), ("threads", 1), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = build(options.hidden, options.layers)
    inputs = make_inputs(model, options.prompt)
    with torch.no_grad():
        prompt = median_seconds(lambda: model(**inputs, logits_to_keep=1), options.rounds)
        scored = median_seconds(lambda: score_labels(model, inputs, LABELS), options.rounds)
        separate = median_seconds(lambda: full_passes(model, inputs), 3)
        difference = (score_labels(model, inputs, LABELS).log_likelihoods[0] - full_passes(model, inputs)).abs().max()
    print(f"hidden {options.hidden}, {options.layers} layers, prompt {options.prompt} tokens, 9 labels, one clip")
    print(f"one prompt forward    {prompt * 1e3:8.1f} ms")
    print(f"nine labels, shared   {scored * 1e3:8.1f} ms = {scored / prompt:.2f} x the prompt")
    print(f"nine labels, separate {separate * 1e3:8.1f} ms = {separate / prompt:.2f} x the prompt")
    print(f"largest difference of a log-likelihood: {difference:.1e}")


if __name__ == "__main__":
    main()
