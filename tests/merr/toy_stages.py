"""Stages for tests of stores, builds and engines: small, countable, and able to go wrong in every way."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.errors import AnnotationError, EmotionLlamaError, MediaError
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.records import Field, Provenance
from emotion_llama.merr.stage import Pool, Stage, StageInput, StageOutput, provenance_facts
from emotion_llama.merr.store import Store


def provenance(**changes: Any) -> Provenance:
    return Provenance("toy", "toy 1", **{"made_at": str(time.time()), "seconds": time.perf_counter(), **changes})


@dataclass(frozen=True)
class Toy(Stage):
    """Writes a field with its own name: what it was given, with `word` behind; counts its runs in `log`.

    `bad` maps clip ids to what happens to them: see `_one`.
    """

    name: str
    needs: tuple[str, ...] = ()
    pool: Pool = "inline"
    word: str = ""
    version: int = 1
    log: Path | None = None
    gate: Path | None = None  # see `wait_at`
    seconds: float = 0.0
    bad: Mapping[str, str] = field(default_factory=dict)
    artifact_bytes: int = 0
    reads_artifacts: tuple[str, ...] = ()
    batch_size: int = 1
    reads_clip: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()  # names of fields that do not change its output

    @property
    def settings(self) -> Mapping[str, object]:
        return {"word": self.word, "bad": dict(self.bad)}

    def run(self, items: Sequence[StageInput]) -> list[StageOutput | EmotionLlamaError]:
        out = [self._result(item) for item in items]
        if "short" in self.bad.values():
            out.pop()
        return out

    def _result(self, item: StageInput) -> StageOutput | EmotionLlamaError:
        try:
            return self._one(item)
        except EmotionLlamaError as error:
            return error

    def _one(self, item: StageInput) -> StageOutput:
        clip_id = item.clip.clip_id
        if self.log is not None:
            with self.log.open("a") as file:  # one short write in append mode: whole, whoever else writes
                file.write(f"{self.name} {clip_id} {os.getpid()}\n")
        wait_at(self.gate)
        time.sleep(self.seconds)
        how = self.bad.get(clip_id, "")
        if how == "exit":
            os._exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            time.sleep(1000)
        if how == "bug":
            raise KeyError("missing_key")
        if how == "media":
            raise MediaError(item.clip.path or "", "the video stream is damaged", "repair it")
        if how == "refused":
            raise AnnotationError("refused", "the server will not say")
        if how.startswith("drop"):
            return StageOutput(drop=("no strong expression", "fine" if how == "drop fine" else "all"))
        if how == "nan":
            return StageOutput((Field(self.name, float("nan"), provenance()),))
        if how == "lambda":
            return StageOutput((Field(self.name, lambda: 0, provenance()),))  # type: ignore[arg-type]
        if how == "fail once" and not (marker := Path(f"{self.log}.{clip_id}")).exists():
            marker.touch()
            raise MediaError("", "not this time")
        heard = [f"{n}={f.value}" for (n, _), f in sorted(item.fields.items()) if n not in self.ignores]
        heard += [f"{n}:{len(d)}" for n, d in sorted(item.artifacts.items())]
        heard += [str(getattr(item.clip, name)) for name in self.reads_clip]
        artifacts = {}
        if self.artifact_bytes:
            seed = hashlib.sha256(f"{self.name} {item.clip.sha256}".encode()).digest()
            artifacts[f"{self.name}_file.bin"] = (seed * (self.artifact_bytes // 32 + 1))[: self.artifact_bytes]
        return StageOutput((Field(self.name, f"({' '.join(heard)}){self.word}", provenance()),), artifacts)


@dataclass(frozen=True)
class ToySet(Stage):
    """Numbers the clips that come; `keep` of them stay, the others are dropped."""

    name: str
    needs: tuple[str, ...] = ()
    version: int = 1
    keep: int = 1000
    bug: bool = False
    log: Path | None = None
    sees_all: bool = True

    @property
    def settings(self) -> Mapping[str, object]:
        return {"keep": self.keep, "bug": self.bug}

    def run(self, items: Sequence[StageInput]) -> list[StageOutput | EmotionLlamaError]:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{self.name} - {os.getpid()}\n")
        if self.bug:
            raise ZeroDivisionError("nothing to divide")
        return [
            StageOutput((Field(self.name, f"{place}", provenance()),))
            if place < self.keep
            else StageOutput(drop=("too many", "all"))
            for place, _ in enumerate(items)
        ]


@dataclass(frozen=True)
class ImportsNothing(Toy):
    """Cannot be read in another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _fail_to_load, ()


def _fail_to_load() -> None:
    raise ModuleNotFoundError("No module named 'other_machine'")


def wait_at(gate: Path | None) -> None:
    """Wait until the file `gate` has as many bytes as calls have come here, this one included."""
    if gate is not None:
        with begun_at(gate).open("ab") as file:  # a byte a call, whichever process makes it
            file.write(b".")
            file.flush()
            number = file.tell()
        while gate.stat().st_size < number:
            time.sleep(0.003)


def begun_at(gate: Path) -> Path:
    """The file that has a byte for each call that has come to `gate`."""
    return gate.with_name(gate.name + ".begun")


def calls(log: Path) -> list[str]:
    """`stage clip` of every call so far, in order."""
    return [" ".join(line.split()[:2]) for line in log.read_text().splitlines()] if log.exists() else []


def write_clips(folder: Path, number: int, *, first: int = 0) -> Path:
    """`number` different clips of five small pictures: c00.mp4, c01.mp4, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + number):
        write_one(folder / f"c{i:02}.mp4", 3 * i)
    return folder


def write_one(path: Path, grey: int) -> Path:
    images = [np.full((32, 32, 3), grey + k, np.uint8) for k in range(5)]
    return write_clip(path, images, fps=5)


def facts(folder: Path) -> list[object]:
    """All that an export can see of a build: no times, no paths outside."""
    with Store.open(folder, read_only=True) as store:
        return [
            [
                sample.clip.clip_id,
                sample.clip.sha256,
                {key: [f.value, f.why_missing, provenance_facts(f)] for key, f in sample.fields.items()},
                dict(sample.artifacts),
                {key: [r.status, r.fingerprint, r.output_sha256, r.reason, r.scope] for key, r in sample.runs.items()},
            ]
            for sample in store.samples()
        ]
