"""A program that builds with toy stages, to be killed by a test: python toy_build.py CLIPS OUT LOG GATE WORKERS."""

import sys
from pathlib import Path

from toy_stages import Toy, ToySet

from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.stage import Stage


def stages(log: Path | None, gate: Path | None) -> list[Stage]:
    return [
        Toy("measure", pool="process", log=log, gate=gate, artifact_bytes=20_000),
        Toy("label", ("measure",), log=log, bad={"c03": "drop", "c05": "drop fine"}),
        ToySet("select", ("label",), keep=44, log=log),
        Toy("crop", ("select", "measure"), pool="process", log=log, gate=gate, artifact_bytes=9_000,
            reads_artifacts=("measure_file",)),
        Toy("describe", ("crop",), pool="thread", log=log, gate=gate),
        ToySet("split", ("describe",), log=log),
    ]  # fmt: skip


if __name__ == "__main__":
    clips, out, log, gate, workers = sys.argv[1:]
    options = EngineOptions(workers=int(workers), in_flight=2)
    build([clips], Path(out), Recipe(), stages=stages(Path(log), Path(gate)), options=options)
