"""The model beside a plain re-statement of the published way: `python benchmarks/model_speed.py --size toy`.

Random weights: the figures depend on sizes alone. "toy" is the size of the golden vectors and runs anywhere; "7b" is
the published model (17 GiB in half precision; `--layers N` takes fewer LLaMA layers). Clips are random pictures and
noise; decoding and finding faces are measured by evidence_speed.py.

The published way, as its code does it: one clip at a time under fp16 autocast, the encoders one after the other, a
forward pass over the whole prompt for each of nine labels, then the answer with a prompt pass of its own; training on
stored features of face, motion and voice with the frame encoded in each step, one example at a time, activations
checkpointed. Here: clips in a batch, one prompt pass for nine labels; training on the same inputs in a batch, without
checkpoints. Both with the same weights, so that the label scores are compared too. With float32 there is no autocast.

The bandwidth limit is what a step of decoding costs where the weights of the language model are read once from memory,
at the rate that copying a large tensor reaches in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, score_labels
from emotion_llama.models.configuration_emotion_llama import LLAMA_2_7B
from emotion_llama.train.weights import choose_trained

LABELS = [[20 + 10 * index + token for token in range(1 + index % 2)] + [2] for index in range(9)]
Clip = dict[str, torch.Tensor]


class Clock:
    """Seconds by name, with the device waited for."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._is_cuda = device.startswith("cuda")

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add the time of a block."""
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def _wait(self) -> None:
        if self._is_cuda:
            torch.cuda.synchronize()


def build(size: str, layers: int | None, device: str, dtype: torch.dtype) -> EmotionLlamaForConditionalGeneration:
    """The model with random weights and an adapter."""
    changes = {} if layers is None else {"text_config": {**LLAMA_2_7B, "num_hidden_layers": layers}}
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset(size, **changes))
        model.add_lora()
    torch.set_default_dtype(torch.float32)
    return model.eval()


def clips(model: EmotionLlamaForConditionalGeneration, count: int, args: argparse.Namespace) -> list[Clip]:
    """Encoder inputs and prompts of some clips, a batch of one each."""
    config, draw = model.config, torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw).to(args.device)

    side, face, clip = (
        int(one.image_size) for one in (config.vision_config, config.face_config, config.temporal_config)
    )
    soft = [config.image_token_id] * config.num_image_tokens + [config.feature_token_id] * 4
    words = args.prompt - len(soft)
    made = []
    for _ in range(count):
        said = torch.randint(3, 20, (words,), generator=draw).tolist()
        ids = torch.tensor([[*said[:5], *soft, *said[5:]]], device=args.device)
        made.append({
            "input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": noise(1, 3, side, side),
            "face_pixel_values": noise(args.faces, 3, face, face),
            "clip_pixel_values": noise(1, 3, int(config.temporal_config.num_frames), clip, clip),
            "input_values": noise(1, round(16_000 * args.seconds)),
        })  # fmt: skip
    return made


def joined(batch: list[Clip]) -> Clip:
    """Some clips as one batch."""
    return {name: torch.cat([clip[name] for clip in batch]) for name in batch[0]}


def autocast(args: argparse.Namespace) -> Any:
    """Half precision where it computes; nothing with float32."""
    dtype = getattr(torch, args.dtype)
    return torch.autocast(args.device.partition(":")[0], dtype, enabled=dtype != torch.float32)


def encoded(model: EmotionLlamaForConditionalGeneration, batch: list[Clip], clock: Clock) -> Clip:
    """Prompts and features of some clips, each encoder once for all of them."""
    whole = joined(batch)
    counts = torch.tensor([len(clip["face_pixel_values"]) for clip in batch])
    with clock.of("scene"):
        vision = model.get_image_features(whole["pixel_values"]).last_hidden_state
    with clock.of("face"):
        face = model.get_face_features(whole["face_pixel_values"], counts).last_hidden_state
    with clock.of("motion"):
        temporal = model.get_temporal_features(whole["clip_pixel_values"]).last_hidden_state
    with clock.of("voice"):
        lengths = torch.full((len(batch),), whole["input_values"].shape[1], device=vision.device)
        audio = model.get_audio_features(whole["input_values"], lengths).last_hidden_state
    return {
        "input_ids": whole["input_ids"], "attention_mask": whole["attention_mask"], "vision_features": vision,
        "face_features": face[:, 0], "temporal_features": temporal[:, 0], "audio_features": audio[:, 0],
    }  # fmt: skip


def answered(model: EmotionLlamaForConditionalGeneration, given: Clip, tokens: int) -> torch.Tensor:
    """Greedy tokens, always as many."""
    return model.generate(
        **given, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )


@torch.inference_mode()
def published_way(
    model: EmotionLlamaForConditionalGeneration, made: list[Clip], tokens: int, clock: Clock
) -> torch.Tensor:
    """Clip by clip: encoders, nine full passes, and the answer; the label scores [C, 9]."""
    scores = []
    for clip in made:
        given = encoded(model, [clip], clock)
        with clock.of("labels"):
            sums = []
            for label in LABELS:
                answer = torch.tensor([label], device=given["input_ids"].device)
                ids = torch.cat([given["input_ids"], answer], dim=1)
                whole = {**given, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
                logs = model(**whole, logits_to_keep=len(label) + 1).logits[0, :-1].float().log_softmax(-1)
                sums.append(logs.gather(1, answer[0][:, None]).sum())
            scores.append(torch.stack(sums))
        with clock.of("answer"):
            answered(model, given, tokens)
    return torch.stack(scores)


@torch.inference_mode()
def our_way(
    model: EmotionLlamaForConditionalGeneration, made: list[Clip], tokens: int, batch: int, clock: Clock
) -> torch.Tensor:
    """In batches: encoders, one prompt pass for nine labels, and the answers; the label scores [C, 9]."""
    scores = []
    for start in range(0, len(made), batch):
        given = encoded(model, made[start : start + batch], clock)
        with clock.of("labels"):
            scores.append(score_labels(model, given, LABELS).log_likelihoods)
        with clock.of("answer"):
            answered(model, given, tokens)
    return torch.cat(scores)


def bandwidth(device: str) -> float:
    """Bytes a second that copying reads and writes."""
    source = torch.empty((256 << 20) if device.startswith("cuda") else (32 << 20), dtype=torch.float32, device=device)
    target, clock = torch.empty_like(source), Clock(device)
    target.copy_(source)
    with clock.of("copy"):
        for _ in range(5):
            target.copy_(source)
    return 5 * 2 * 4 * source.numel() / clock.seconds["copy"]


@torch.inference_mode()
def tokens_a_second(
    model: EmotionLlamaForConditionalGeneration, made: list[Clip], count: int, tokens: int, device: str
) -> float:
    """New tokens of `count` clips together, the prompt's pass not counted; of three rounds the fastest."""
    given = encoded(model, (made * count)[:count], Clock(device))
    fastest = {}
    for length in (1, 1 + tokens):
        rounds = [Clock(device) for _ in range(4)]  # the first does not count
        for clock in rounds:
            with clock.of("answer"):
                answered(model, given, length)
        fastest[length] = min(clock.seconds["answer"] for clock in rounds[1:])
    return count * tokens / (fastest[1 + tokens] - fastest[1])


def trained_a_second(
    model: EmotionLlamaForConditionalGeneration, made: list[Clip], batch: int, args: argparse.Namespace, *,
    is_published: bool,
) -> float:  # fmt: skip
    """Training examples a second: features of face, motion and voice are stored, the frame is encoded in each step."""
    clock = Clock(args.device)
    with torch.inference_mode():
        stored = [encoded(model, [clip], clock) for clip in made]
    rows = [
        {**{name: value.clone() for name, value in one.items() if name != "vision_features"},
         "pixel_values": clip["pixel_values"]}
        for one, clip in zip(stored, made, strict=True)
    ]  # fmt: skip
    choose_trained(model, ("projector", "lora"))
    model.train()
    # transformers 5.20 has it under the other name alone.
    kind = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    if is_published:
        getattr(model, f"{kind}_checkpointing_enable")({"use_reentrant": False})
    learns = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learns, lr=1e-5)
    for attempt in ("warm", "timed"):
        with clock.of(attempt):
            for start in range(0, len(rows), batch):
                given = joined(rows[start : start + batch])
                labels = given["input_ids"].clone()
                labels[:, : -args.tokens] = -100
                with autocast(args):
                    loss = model(**given, labels=labels, use_cache=False).loss
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
    getattr(model, f"{kind}_checkpointing_disable")()
    model.eval().requires_grad_(False)
    return len(made) / clock.seconds["timed"]


def timed(way: Callable[[Clock], torch.Tensor], device: str) -> tuple[torch.Tensor, Clock]:
    """What one way gives, and its times, of the second of two rounds."""
    way(Clock(device))
    clock = Clock(device)
    return way(clock), clock


def main(argv: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("toy", "7b"), default="toy")
    parser.add_argument("--layers", type=int, help="LLaMA layers, with --size 7b")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    for name, default in (("clips", 16), ("batch", 16), ("tokens", 32), ("prompt", 320), ("faces", 32), ("seconds", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    model = build(args.size, args.layers, args.device, getattr(torch, args.dtype))
    made = clips(model, args.clips, args)
    where = (
        torch.cuda.get_device_name() if args.device.startswith("cuda") else f"CPU, {torch.get_num_threads()} threads"
    )
    print(f"{where}, {args.dtype}, size {args.size}, torch {torch.__version__}, {args.clips} clips, batch {args.batch}")
    with autocast(args):
        slow, before = timed(lambda clock: published_way(model, made, args.tokens, clock), args.device)
    fast, after = timed(lambda clock: our_way(model, made, args.tokens, args.batch, clock), args.device)
    print(f"{'ms a clip':<12}{'published way':>14}{'here':>10}{'ratio':>8}")
    for name in before.seconds:
        was, now = (1e3 * clock.seconds[name] / args.clips for clock in (before, after))
        print(f"{name:<12}{was:>14.1f}{now:>10.1f}{was / now:>8.2f}")
    was, now = (args.clips / sum(clock.seconds.values()) for clock in (before, after))
    print(f"{'clips/s':<12}{was:>14.2f}{now:>10.2f}{now / was:>8.2f}")
    print(f"largest difference of a label's log-likelihood: {(slow - fast).abs().max():.1e}")
    language = model.language_model
    read = sum(one.numel() * one.element_size() for one in language.parameters())
    if language.get_input_embeddings().weight is not language.get_output_embeddings().weight:
        table = language.get_input_embeddings().weight  # of which a step reads a row for each clip
        read -= table.numel() * table.element_size()
    limit = bandwidth(args.device) / read
    for count in (1, args.batch):
        rate = tokens_a_second(model, made, count, args.tokens, args.device)
        share = rate / (count * limit)
        print(f"tokens/s, batch {count:<3} {rate:>10.1f} = {share:.1%} of the bandwidth limit, {count * limit:.0f}")
    one = trained_a_second(model, made, 1, args, is_published=True)
    many = trained_a_second(model, made, args.batch, args, is_published=False)
    print(f"training examples/s: {one:.2f} published way, {many:.2f} here, ratio {many / one:.2f}")


if __name__ == "__main__":
    main()
