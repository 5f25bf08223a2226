"""What an evaluation costs beside plain batched generation of the same answers, and what label likelihoods cost.

    python benchmarks/eval_overhead.py [--clips 64] [--batch 8] [--hidden 512] [--layers 8] [--tokens 24] [--rounds 3]

A random language model of the given size on toy encoders answers clips with stored features. Plain generation reads
the same store, makes the same batches and calls `generate`; the harness does that, keeps every reply, hashes the data
and writes the run. Answers must be equal. Labels are asked in one more column: their likelihoods are no part of plain
generation, and are told apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emotion_llama.evaluation.cache import OutputCache, collect, data_sha256, sample_keys
from emotion_llama.evaluation.models.predictions import write_predictions
from emotion_llama.evaluation.models.predictor import PredictorModel, own_model
from emotion_llama.evaluation.records import EvalSample
from emotion_llama.evaluation.run_folder import installed, machine
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.labels import MERR9
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.predictors.base import Task
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.prompts.tokenise import load_tokenizer

TOKENIZER = Path(__file__).parents[1] / "tests/golden/llama"


def build(folder: Path, hidden: int, layers: int) -> Path:
    """A model's folder with random weights: a language model of LLaMA's proportions on toy encoders."""
    tokenizer = load_tokenizer(TOKENIZER)
    text = {
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": len(tokenizer) + 8,
        "intermediate_size": 11 * hidden // 4, "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64, "max_position_embeddings": 2048,
    }  # fmt: skip
    torch.manual_seed(0)
    config = EmotionLlamaConfig.preset("toy", text_config=text)
    EmotionLlamaForConditionalGeneration(config).save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, tokenizer).save_pretrained(folder)
    return folder


def make_data(folder: Path, config: Any, count: int) -> None:
    """A table of clips (a few bytes each: nobody decodes them) and a store of their features."""
    random = np.random.default_rng(1)
    (folder / "clips").mkdir()
    lines = ["name,video,label,subtitle"]
    sizes = [config.face_config.hidden_size, config.temporal_config.hidden_size, config.audio_config.hidden_size]
    side = config.vision_config.image_size
    with FeatureStore(folder / "features", writable=True, recipe={"made": "by the benchmark"}) as store:
        for i in range(count):
            (folder / "clips" / f"c{i}.mp4").write_bytes(bytes([i % 256]) * 1000)
            lines.append(f"c{i},clips/c{i}.mp4,{MERR9.labels[i % 9]},What did you say number {i}?")
            vectors = [random.normal(size=size).astype(np.float32) for size in sizes]
            image = random.integers(0, 255, (side, side, 3), np.uint8)
            store.add(f"c{i}", Path(f"c{i}.mp4"), "0" * 64, ClipFeatures(*vectors, image))
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")


def plain(model: PredictorModel, store: FeatureStore, cases: Sequence[EvalSample], task: Task) -> list[str]:
    """Batches, `generate`, decoded answers; nothing else."""
    own, texts = model.predictor, []
    assert isinstance(own, EmotionLlamaPredictor)
    for begin in range(0, len(cases), model.batch_size):
        some = cases[begin : begin + model.batch_size]
        batch = own.processor(
            [store[case.sample_id] for case in some], task=task.name, instruction=task.instruction,
            words=[case.transcript for case in some],
        ).to(own.model.device)  # fmt: skip
        with torch.inference_mode():
            made = own.model.generate(
                **batch, max_new_tokens=task.max_new_tokens, do_sample=False, num_beams=1, repetition_penalty=1.0
            )
        texts += own.processor.decode_answers(made)
    return texts


def harness(model: PredictorModel, cases: Sequence[EvalSample], task: Task, out: Path) -> list[str]:
    """What `run.evaluate` does but for scoring: keys, replies kept, data hash, table of predictions."""
    keys = sample_keys(cases)
    cache = OutputCache(out, model, task, keys)
    found = collect(model, cases, task, cache)
    replies = [found[case.sample_id] for case in cases]
    data_sha256(cases, keys)
    installed()
    machine()
    write_predictions(out / "predictions.csv", replies)
    cache.close()
    return [reply.text or "" for reply in replies]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("clips", 64), ("batch", 8), ("hidden", 512), ("layers", 8), ("tokens", 24), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = build(folder / "model", args.hidden, args.layers)
        make_data(folder, EmotionLlamaConfig.from_pretrained(model), args.clips)
        system = own_model(model, features=folder / "features", device=args.device, batch_size=args.batch)
        store = FeatureStore(folder / "features")
        benchmark = load_benchmark("csv", folder / "clips.csv")
        cases = benchmark.samples()
        free = Task("emotion", (), benchmark.task.instruction, args.tokens)
        labelled = Task("emotion", MERR9.labels, benchmark.task.instruction, args.tokens)
        expected = plain(system, store, cases, free)
        calls: dict[str, Callable[[int], list[str]]] = {
            "plain generation": lambda n: plain(system, store, cases, free),
            "harness": lambda n: harness(system, cases, free, folder / f"a{n}"),
            "harness and label likelihoods": lambda n: harness(system, cases, labelled, folder / f"b{n}"),
        }
        wall: dict[str, list[float]] = {name: [] for name in calls}
        busy: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(args.rounds):  # turns, so that a machine that slows down slows all alike
            for name, call in calls.items():
                start, start_busy = time.perf_counter(), time.process_time()
                texts = call(number)
                wall[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - start_busy)
                assert texts == expected, f"{name} gives other answers"
    print(f"{args.clips} clips, batches of {args.batch}, {args.tokens} new tokens, median of {args.rounds} rounds")
    print(f"{'':<32}{'wall':>10}{'':>10}{'processor':>12}")
    for name in calls:
        cells = ""
        for times, width in ((wall, 8), (busy, 10)):
            median, base = (statistics.median(times[one]) for one in (name, "plain generation"))
            cells += f"{median:{width}.2f} s {100 * (median / base - 1):+6.1f} %"
        print(f"{name:<32}{cells}")


if __name__ == "__main__":
    main()
