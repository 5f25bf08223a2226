"""What the server costs and gives: overhead over the library, many clients, batching, follow-up questions, memory.

    OMP_NUM_THREADS=1 python benchmarks/serve_speed.py                    # the reader of rules
    OMP_NUM_THREADS=1 python benchmarks/serve_speed.py --model my-model/  # batching and follow-ups as well

Prints Markdown tables. Clips are rendered ones of the repository, so that every question is about a clip of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[1]
# In test-00000.mp4 nothing is measured that a model could answer from.
CLIPS = sorted((ROOT / "examples" / "synth" / "clips").glob("*.mp4"))[1:]


@contextmanager
def server(model: str, *options: str) -> Iterator[tuple[str, int]]:
    """Address and process id of a server."""
    command = [sys.executable, "-m", "emotion_llama", "serve", "--port", "0", "--model", f"m={model}"]
    process = subprocess.Popen([*command, "--max-queue", "512", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the server did not start"
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


def client(address: str) -> httpx2.Client:
    """A client that waits long enough."""
    return httpx2.Client(base_url=address, timeout=600.0, trust_env=False)


def analyze(http: httpx2.Client, clip: Path) -> None:
    """One analysis without curves."""
    answer = http.post("/v1/analyze", files={"file": (clip.name, clip.read_bytes())}, data={"curves": "false"})
    answer.raise_for_status()


def ask(http: httpx2.Client, file_id: str, text: str) -> None:
    """One question about an uploaded clip."""
    parts = [{"type": "file", "file": {"file_id": file_id}}, {"type": "text", "text": text}]
    http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]}).raise_for_status()


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def overhead(model: str, repeats: int) -> None:
    """Server and library, one request after the other."""
    from emotion_llama import Analyzer, analysis_document

    print("| clip | library | server | server / library |\n|---|---|---|---|")
    clips = (ROOT / "examples" / "clips" / "astronaut.mp4", CLIPS[0])
    with Analyzer.load(model) as analyzer, server(model, "--workers", "1") as (address, _), client(address) as http:
        for clip in clips:
            direct = [
                seconds(lambda clip=clip: analysis_document(analyzer.analyze(clip), curves=False).model_dump_json())  # type: ignore[misc]
                for _ in range(repeats + 1)
            ]
            served = [seconds(lambda clip=clip: analyze(http, clip)) for _ in range(repeats + 1)]  # type: ignore[misc]
            a, b = statistics.median(direct[1:]), statistics.median(served[1:])
            print(f"| {clip.name} | {a:.3f} s | {b:.3f} s | {b / a:.2f} |")


def many_at_once(title: str, count: int, clients: int, work: Callable[[int], object]) -> None:
    """A row: requests a second, p50, p95 of `clients` that ask one after the other, `count` requests in all."""
    with ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        times = sorted(threads.map(lambda i: seconds(lambda: work(i)), range(count)))
        total = time.perf_counter() - began
    p50, p95 = times[len(times) // 2], times[int(0.95 * (len(times) - 1))]
    print(f"| {title} | {clients} | {count / total:.2f} | {p50:.3f} s | {p95:.3f} s |")


def load(model: str, count: int, clients: int, *, has_model: bool) -> None:
    """Analyses, and questions with and without batching."""
    print("\n| what | clients | requests/s | p50 | p95 |\n|---|---|---|---|---|")
    for batch in ("1", "8") if has_model else ("8",):
        with server(model, "--workers", "3", "--max-batch", batch) as (address, _), client(address) as http:
            title = f", batches of {batch} at most" if has_model else ""
            many_at_once(f"analyses{title}", count, clients, lambda i: analyze(http, CLIPS[i % len(CLIPS)]))
            if has_model:
                ask_known = follow_ups(http)
                many_at_once(f"follow-up questions [reason]{title}", count, clients, ask_known)


def follow_ups(http: httpx2.Client) -> Callable[[int], None]:
    """Uploads the clips, has them measured, and gives what asks the i-th question."""
    ids = [upload(http, clip) for clip in CLIPS]
    for file_id in ids:
        ask(http, file_id, "[emotion]")
    return lambda i: ask(http, ids[i % len(ids)], "[reason]")


def upload(http: httpx2.Client, clip: Path) -> str:
    """The id of a kept clip."""
    file_id: str = http.post("/v1/files", files={"file": (clip.name, clip.read_bytes())}).json()["id"]
    return file_id


def follow_up(model: str) -> None:
    """The first question about a clip and the second; the encoders run for the first."""
    with server(model, "--workers", "1") as (address, _), client(address) as http:
        first, second = [], []
        for clip in CLIPS[:12]:
            file_id = upload(http, clip)
            first.append(seconds(lambda: ask(http, file_id, "[reason]")))  # noqa: B023  called at once
            second.append(seconds(lambda: ask(http, file_id, "[visual]")))  # noqa: B023
        figures = re.findall(r"engine_(encodes|cache_hits)_total\S* (\S+)", http.get("/metrics").text)
        print(
            f"\nfirst question {statistics.median(first):.3f} s, follow-up {statistics.median(second):.3f} s "
            f"(medians of {len(first)} clips; {dict(figures)})"
        )


def memory(model: str, count: int) -> None:
    """Resident memory of the server and its child while requests come."""
    print("\n| requests | server | child |\n|---|---|---|")
    with server(model, "--workers", "1") as (address, pid), client(address) as http:
        for i in range(1, count + 1):
            analyze(http, CLIPS[i % len(CLIPS)])
            if i in (count // 10, count // 4, count // 2, count):
                time.sleep(3.0)  # a child that has had its 200 clips is being replaced
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                largest = max(resident_mib(int(child)) for child in children)
                print(f"| {i} | {resident_mib(pid):.1f} MiB | {largest:.1f} MiB |", flush=True)


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="rules", help="rules, nano or a folder (%(default)s)")
    parser.add_argument("--requests", type=int, default=96, help="of each load (%(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="at a time (%(default)s)")
    parser.add_argument("--repeats", type=int, default=10, help="of each clip, for the overhead (%(default)s)")
    parser.add_argument(
        "--memory", type=int, default=2000, help="requests for the memory; 0 leaves it out (%(default)s)"
    )
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    has_model = args.model != "rules"
    overhead(args.model, args.repeats)
    load(args.model, args.requests, args.clients, has_model=has_model)
    if has_model:
        follow_up(args.model)
    if args.memory:
        memory(args.model, args.memory)


if __name__ == "__main__":
    main()
