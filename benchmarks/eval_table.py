"""Rules, our model and a served model on MERR-Synth, from raw clips: one table with intervals and paired tests.

    python benchmarks/eval_table.py --data out/nano/clips --model nano --limit 90 --out runs/table
    python benchmarks/eval_table.py --data out/nano/clips --model out/nano/nano --out runs/table --markdown table.md

What `emotion-llama eval merr-synth` and `eval report` do, for three systems at once. The served model is a script on
this machine behind the protocol of OpenAI-compatible servers: it is sent frames, sound and the question as any served
model is, and answers from the words in the question alone, by this project's lexicon; where they say nothing it
answers neutral, and it refuses one request in forty. It stands for the way to a server, and for no model. A killed run
goes on where it was. `--limit` takes clips spread over the split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from emotion_llama.evaluation.models import load_model
from emotion_llama.evaluation.records import EvalSample
from emotion_llama.evaluation.report import report_of
from emotion_llama.evaluation.run import evaluate
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.evaluation.tasks.base import Reader
from emotion_llama.labels import MERR9
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.report.evaluation import render_markdown, render_report_text
from emotion_llama.rules.words import read_words

SAYS = "The person in the clip says: "
REFUSED_OF = 40
REFUSAL = "I'm sorry, but I can't help with identifying people or their emotions."


def answer(question: str) -> str:
    """The scripted answer to a question."""
    if int(hashlib.sha256(question.encode()).hexdigest()[:8], 16) % REFUSED_OF == 0:
        return REFUSAL
    words = question.partition(SAYS)[2].partition("\n")[0]
    weights: dict[str, float] = {}
    for hit in read_words(Transcript((TranscriptLine(words),), "question", "en") if words else None).hits:
        for label, weight in hit.weights.items():
            weights[label] = weights.get(label, 0.0) + weight
    known = {label: weight for label, weight in weights.items() if label in MERR9.labels and weight > 0}
    return max(known, key=lambda name: known[name], default="neutral")


class Handler(BaseHTTPRequestHandler):
    """Chat completions."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_POST(self) -> None:
        """One answer."""
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        parts = body["messages"][-1]["content"]
        text = parts if isinstance(parts, str) else " ".join(part.get("text", "") for part in parts)
        message = {"role": "assistant", "content": answer(text)}
        reply = {
            "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
        }  # fmt: skip
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def served() -> Iterator[str]:
    """The address of the scripted model, while it is up."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def spread(reader: Reader, limit: int) -> Reader:
    """So many samples of a table, evenly spread: kinds of clips stand together in the plans."""

    def read(path: Path) -> Iterator[EvalSample]:
        samples = list(reader(path))
        count = min(limit, len(samples))
        yield from (samples[i * len(samples) // count] for i in range(count))

    return read


def main(argv: list[str] | None = None) -> int:
    """Evaluate the three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that `synth render` wrote")
    add("--model", default="nano", help="nano, or a model's folder (default: nano)")
    add("--layout", help="its prompt layout (default: the one it was trained with)")
    add("--out", type=Path, required=True, help="folder of the runs")
    add("--limit", type=int, help="so many clips, spread over the split")
    add("--split", default="test", help="of the clips (default: test)")
    add("--resamples", type=int, default=2000, help="of the intervals (default: 2000)")
    add("--markdown", type=Path, help="write the report there too")
    args = parser.parse_args(argv)
    benchmark = load_benchmark("merr-synth", args.data, split=args.split)
    if args.limit is not None:
        (table,) = benchmark.tables
        benchmark = replace(benchmark, tables=[{name: spread(reader, args.limit) for name, reader in table.items()}])
    problems = benchmark.check()
    runs = []
    with served() as address:
        wanted = {
            "rules": ("rules", {}),
            "model": (args.model, {"keep": args.out / "features", "layout": args.layout}),
            "served": (f"openai:scripted@{address}", {"frames": 2, "modalities": ["text", "image", "audio"],
                                                      "identity": "benchmarks/eval_table.py"}),
        }  # fmt: skip
        for name, (spec, options) in wanted.items():
            model = load_model(spec, **options)
            found = evaluate(
                benchmark, model, out=args.out / name, resume=True, num_resamples=args.resamples,
                file_problems=problems, progress=partial(say, name),
            )  # fmt: skip
            model.close()
            assert found is not None  # one process scores
            runs.append(found)
    report = report_of(runs, num_resamples=args.resamples)
    sys.stdout.write(render_report_text(report, encoding=sys.stdout.encoding))
    if args.markdown is not None:
        args.markdown.write_text(render_markdown(report), encoding="utf-8")
    return 0


def say(name: str, done: int, total: int) -> None:
    """How far a model is; a file gets a line for every hundredth sample."""
    if sys.stderr.isatty() or done == total or done % 100 == 0:
        sys.stderr.write(f"{name}: {done} of {total}" + ("\r" if sys.stderr.isatty() and done < total else "\n"))
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
