"""One run in two processes, as torchrun starts them (gloo): the figures of one process, and gone on with after a kill.

Slow for a test (some 20 s): four processes import torch.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.cli.main import main
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.feature_store import FeatureStore

NUM = 7  # in batches of two: blocks 0 and 2 are the first process's, 1 and 3 the second's
LABELS = ("happy", "sad", "angry", "neutral")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of clips that nobody decodes, and stored features; of c5 nothing is stored."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(2)
    lines = ["name,label,subtitle,group"]
    with FeatureStore(folder / "features", writable=True, recipe={"by": "tests/evaluation"}) as store:
        for i in range(NUM):
            lines.append(f"c{i},{LABELS[i % 4]},This is what was said {'and said again ' * i},p{i // 2}")
            if i != 5:
                face, temporal, audio = (rng.normal(size=24).astype(np.float32) for _ in range(3))
                image = rng.integers(0, 255, (56, 56, 3)).astype(np.uint8)
                store.add(f"c{i}", Path(f"c{i}.mp4"), "0" * 64, ClipFeatures(face, temporal, audio, image))
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


def arguments(data: Path, model: Path, out: Path) -> list[str]:
    options = [f"features={data / 'features'}", "device=cpu", "batch_size=2", "layout=train"]
    told = [part for option in options for part in ("--option", option)]
    about = ["eval", "csv", "--data", str(data / "clips.csv"), "--model", str(model), "--out", str(out)]
    return [*about, *told, "--resamples", "50", "--quiet"]


def in_two_processes(given: list[str]) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launch, "-m", "emotion_llama", *given]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    # The clip without features is counted, and ends the first process with 1, which torchrun passes on.
    assert "1 of 7 cases were not answered; see the counts" in done.stderr, done.stderr[-3000:]
    assert done.returncode == 1


def names_in(path: Path) -> list[str]:
    return sorted(json.loads(line)["value"]["case"] for line in path.read_text().splitlines())


def test_two_processes_give_the_figures_of_one(data: Path, toy_model: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(arguments(data, toy_model, one)) == 1
    in_two_processes(arguments(data, toy_model, two))
    assert names_in(two / "replies.0.jsonl") == ["c0", "c1", "c4", "c5"]
    assert names_in(two / "replies.1.jsonl") == ["c2", "c3", "c6"]
    for name in ("results.json", "cases.jsonl", "predictions.csv"):
        assert (two / name).read_text() == (one / name).read_text()
    cards = [json.loads((folder / "run_card.json").read_text()) for folder in (one, two)]
    assert [card["machine"]["processes"] for card in cards] == [1, 2]
    assert cards[0]["system"] == cards[1]["system"]
    # A process that was killed leaves its lines, the last one cut off; the rest is asked again, and nothing else.
    whole = (two / "replies.1.jsonl").read_bytes()
    (two / "replies.1.jsonl").write_bytes(whole[: whole.index(b"\n") + 20])
    for name in ("results.json", "run_card.json"):
        (two / name).unlink()
    in_two_processes([*arguments(data, toy_model, two), "--resume"])
    for name in ("results.json", "cases.jsonl", "predictions.csv"):
        assert (two / name).read_text() == (one / name).read_text()
    assert json.loads((two / "run_card.json").read_text())["time"]["asked_in_this_session"] == 2
