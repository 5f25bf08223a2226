"""What is kept of a run as it comes, in one process or several: a killed run goes on, and asks nothing twice.

Files are JSONL, one object a line, appended whole. A line that a kill has cut off stays where it is and does not count.
Several processes, as torchrun starts them, write to files of their own and wait for each other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalSample, Model, Output, is_passing
from emotion_llama.files import append_lines, lock_file, make_folder, read_lines
from emotion_llama.predictors.base import Task

Progress = Callable[[int, int], None]  # outputs so far, samples in all
T = TypeVar("T")
MAX_WAIT = timedelta(days=7)  # one process may have much longer clips than another


class JsonlCache:
    """JSON values by key in the files of one folder that begin with `stem`; the last one of a key counts.

    Raises:
        InputError: the folder cannot be made, a file cannot be read, or another process writes as the same writer.
    """

    def __init__(self, folder: Path, stem: str, *, writer: int = 0) -> None:
        make_folder(folder)
        self._folder, self._stem = folder, stem
        self._path = folder / f"{stem}.{writer}.jsonl"
        self._rows: dict[str, Any] = {}
        with ExitStack() as opened:  # where something cannot be read, the lock is let go
            busy = f"another process is writing to {folder}; wait for it, or give another --out"
            self._lock = opened.enter_context(lock_file(folder / f".{stem}.{writer}.lock", busy))
            self.read_again()
            opened.pop_all()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Any:
        """The value of a key; None where there is none."""
        return self._rows.get(key)

    def add(self, rows: Sequence[tuple[str, Any]]) -> None:
        """Keep rows, all of them or, in a kill, the first of them; they are handed to the kernel when this returns."""
        if rows:
            append_lines(self._path, [{"key": key, "value": value} for key, value in rows])
            self._rows |= dict(rows)

    def read_again(self) -> None:
        """Read what all writers have written so far."""
        for path in sorted(self._folder.glob(f"{self._stem}.*.jsonl")):
            self._rows |= {row["key"]: row["value"] for row in read_lines(path)}

    def close(self) -> None:
        """Let another process write."""
        self._lock.close()

    def __enter__(self) -> JsonlCache:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# --- hashes ---------------------------------------------------------------------------------------------------------


def hash_of(*values: object) -> str:
    """A SHA-256 of JSON values, the same in every process."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=as_json)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def as_json(value: object) -> object:
    """What `json.dumps` does not know: other mappings and iterables, and texts of everything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return list(value)
    return str(value)


def sample_keys(samples: Sequence[EvalSample]) -> dict[str, str]:
    """Sample -> hash of what a model is given of it: the clip and the transcript."""
    return {one.sample_id: hash_of(one.sample_id, one.transcript, _media_sha256(one.media)) for one in samples}


def _media_sha256(path: Path | None) -> str:
    """Of a clip's bytes; of a folder of frames, the names and sizes of its files."""
    from emotion_llama.media.probe import file_sha256

    if path is None:
        return "none"
    if path.is_dir():
        return hash_of(sorted((file.name, file.stat().st_size) for file in path.iterdir() if file.is_file()))
    return file_sha256(path) if path.is_file() else "not there"


def data_sha256(samples: Sequence[EvalSample], keys: Mapping[str, str]) -> str:
    """A hash of all samples with their truths, whatever their order and wherever the clips lie."""
    digest = hashlib.sha256()
    for one in sorted(samples, key=lambda one: one.sample_id):
        truth = one.truth
        row = (keys[one.sample_id], truth.label, truth.words, truth.sentiment, truth.description, one.fold)
        digest.update(hash_of(*row).encode())
    return digest.hexdigest()


# --- outputs --------------------------------------------------------------------------------------------------------


class OutputCache(JsonlCache):
    """Outputs of one model with its settings and one task."""

    def __init__(self, folder: Path, model: Model, task: Task, keys: Mapping[str, str], *, writer: int = 0) -> None:
        self.settings_sha256 = hash_of(model.settings, task_json(task))
        self._keys = keys
        super().__init__(folder, "replies", writer=writer)

    def output(self, sample: EvalSample) -> Output | None:
        """The output for a sample; None where there is none."""
        row = self.get(self._key(sample))
        return None if row is None else output_of_row(row)

    def keep(self, samples: Sequence[EvalSample], outputs: Sequence[Output]) -> None:
        """Add outputs, but for those that another try may give otherwise."""
        kept = [(sample, output) for sample, output in zip(samples, outputs) if not is_passing(output.problem)]
        self.add([(self._key(sample), row_of_output(output)) for sample, output in kept])

    def _key(self, sample: EvalSample) -> str:
        return f"{self.settings_sha256}:{self._keys[sample.sample_id]}"


# --- several processes ----------------------------------------------------------------------------------------------


class Shard(NamedTuple):
    """Process `rank` of `world`; `local_rank` is its number on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """The one that scores and writes."""
        return self.rank == 0

    def own(self, blocks: Sequence[T]) -> list[T]:
        """Every `world`-th block from the `rank`-th on."""
        return list(blocks[self.rank :: self.world])

    def device(self) -> str | None:
        """The GPU of this process; None where there is one process or no GPU."""
        if self.world == 1:
            return None
        import torch

        return f"cuda:{self.local_rank}" if torch.cuda.is_available() else "cpu"

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=MAX_WAIT)
        dist.barrier()

    def leave(self) -> None:
        """Let the other processes go."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


def shard_of_environment() -> Shard:
    """From the variables that torchrun sets; the only process where it did not.

    Raises:
        InputError: the variables are no numbers, or the rank is none of the world's.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    texts = [os.environ.get(name, default) for name, default in zip(names, ("0", "1", "0"))]
    if not all(text.isdecimal() for text in texts) or not int(texts[0]) < int(texts[1]):
        raise InputError(f"RANK, WORLD_SIZE and LOCAL_RANK are {', '.join(texts)}; start several processes by torchrun")
    return Shard(*map(int, texts))


def collect(
    model: Model,
    samples: Sequence[EvalSample],
    task: Task,
    cache: OutputCache | None,
    *,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> dict[str, Output]:
    """Outputs for this process's share of the samples, by sample.

    Samples are asked in blocks of the model's batch size that do not depend on what was answered before: where an
    output may depend on its batch (half precision), a resumed run makes the same batches and gives the same metrics.
    """
    size = max(1, model.batch_size)
    blocks = [list(samples[i : i + size]) for i in range(0, len(samples), size)]
    own = blocks if shard is None else shard.own(blocks)
    total = sum(map(len, own))
    whole = bool(getattr(model, "depends_on_batch", False))
    found: dict[str, Output] = {}
    for block in own:
        known = {one.sample_id: kept for one in block if cache is not None and (kept := cache.output(one)) is not None}
        left = [one for one in block if one.sample_id not in known]
        if left:
            asked = block if whole else left
            fresh = {output.sample_id: output for output in model.answer(asked, task)}
            if cache is not None:
                cache.keep(left, [fresh[one.sample_id] for one in left])
            known = fresh | known
        found |= known
        if progress is not None:
            progress(len(found), total)
    return found


def task_json(task: Task) -> dict[str, object]:
    """The task as JSON values, with the instruction that is really given."""
    from emotion_llama.prompts.tasks import TASKS, pick_instruction

    instruction = task.instruction
    if instruction is None and TASKS[task.name] is not None:
        instruction = pick_instruction(task.name)
    return {
        "task": task.name, "instruction": instruction, "labels": list(task.labels),
        "max_new_tokens": task.max_new_tokens,
    }  # fmt: skip


def row_of_output(output: Output) -> dict[str, Any]:
    """An output as a JSON object; what is not there is left out."""
    row = {
        "case": output.sample_id, "text": output.text, "problem": output.problem, "seconds": output.seconds or None,
        "probabilities": None if output.probabilities is None else dict(output.probabilities),
        "tokens_in": output.tokens_in, "tokens_out": output.tokens_out,
    }  # fmt: skip
    return {key: value for key, value in row.items() if value is not None}


def output_of_row(row: Mapping[str, Any]) -> Output:
    """The output of such an object."""
    return Output(**{("sample_id" if key == "case" else key): value for key, value in row.items()})
