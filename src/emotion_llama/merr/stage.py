"""What a stage is, what it is given and gives for one clip, and how it is run so that one clip's fault is its own.

A stage's work for a clip is done when the ledger holds a run whose fingerprint is still that of its name, version,
settings and what the stages it needs have put out. Everything a stage's output depends on is therefore in `settings`
or comes from a stage in `needs`; nothing else may be read.
"""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from emotion_llama.errors import AnnotationError, EmotionLlamaError, MediaError
from emotion_llama.merr.records import ClipRow, Described, Field, FieldKey, Json, Scope, StageRun

if TYPE_CHECKING:
    from emotion_llama.merr.annotators import Annotator


# process: CPU work on media, in worker processes; thread: waits for servers; main: a model that one thread holds;
# inline: too quick to hand over.
Pool = Literal["process", "thread", "main", "inline"]

# What of a clip a stage may read beside the media. A stage that reads less names it in `reads_clip`.
GIVEN_FACTS: tuple[str, ...] = (
    "source", "person", "given_label", "given_subtitle", "subtitle_source", "subtitle_language", "given_split",
    "stated_frame_count",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class StageInput(Described):
    """One clip as a stage sees it: what the stages it needs have said, and the artifacts it asked for."""

    clip: ClipRow
    fields: Mapping[FieldKey, Field] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"StageInput({self.clip.clip_id}, {sorted(self.fields)}, {sorted(self.artifacts)})"


@dataclass(frozen=True, repr=False)
class StageOutput:
    """What a stage says of one clip."""

    fields: tuple[Field, ...] = ()  # each name and language once
    # files that it made, by their name within the clip with its suffix ("peak_frame.png")
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    # the clip leaves the whole data set, or its fine-grained part, here: the reason, and which
    drop: tuple[str, Scope] | None = None

    def __repr__(self) -> str:
        return f"StageOutput({[f.name for f in self.fields]}, {sorted(self.artifacts)}, drop={self.drop})"


Results: TypeAlias = list[StageOutput | EmotionLlamaError]


class Stage(ABC):
    """A step of a build. Instances travel to worker processes: they are small and picklable."""

    name: str  # in the ledger and in recipes
    version: int = 1  # raised when the code gives other results for the same input and settings
    # stages whose fields it reads; a clip that one of them failed or dropped (scope "all") never comes here
    needs: tuple[str, ...] = ()
    settings: Mapping[str, object]  # what its output depends on beyond its input, as JSON values; no secrets
    reads_clip: tuple[str, ...] = GIVEN_FACTS  # what of the clip itself it reads
    reads_artifacts: tuple[str, ...] = ()  # names of the artifacts it wants as bytes
    # it is given all clips at once, by id (sampling, balance, splits); deterministic, quick, run in the building
    # process
    sees_all: bool = False
    pool: Pool = "inline"  # where it runs
    batch_size: int = 1  # clips it is given at once; 1 unless a model is quicker with more
    annotator: Annotator | None = None  # whom it asks, if anybody

    @abstractmethod
    def run(self, items: Sequence[StageInput]) -> Results:
        """One output, or the error, for each clip in order. An error of one clip never costs another its output."""


class ClipStage(Stage):
    """A stage that takes one clip at a time."""

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        results: Results = []
        for item in items:
            try:
                results.append(self.one(item))
            except EmotionLlamaError as error:  # noqa: PERF203  (an error is one clip's alone)
                results.append(error)
        return results

    @abstractmethod
    def one(self, item: StageInput) -> StageOutput:
        """The output for one clip; an error that the package raises on purpose is that clip's result."""


class Done(NamedTuple):
    """What became of one clip, and the seconds of work, without waiting.

    The result is its output; the reason why there is none, which begins with its kind (`timeout: ...`, `died: ...`);
    or None where the build was stopped before it was through, and nothing is recorded.
    """

    clip_id: str
    result: StageOutput | str | None
    seconds: float


def run_guarded(stage: Stage, items: Sequence[StageInput]) -> list[Done]:
    """`stage` over `items`, which it sees at once; one result a clip, in order.

    A fault of the program in a batch is not put down to all of it: each clip is then run alone, unless the stage needs
    all of them.
    """
    begun = time.perf_counter()
    try:
        results: Sequence[object] = stage.run(items)
        if len(results) != len(items):
            raise RuntimeError(f"the stage gave {len(results)} results for {len(items)} clips")
    except Exception as error:  # noqa: BLE001  (the edge of the process: one clip's fault must not end the build)
        if len(items) > 1 and not stage.sees_all:
            return [done for item in items for done in run_guarded(stage, [item])]
        results = [error] * len(items)
    seconds = (time.perf_counter() - begun) / max(1, len(items))
    return [Done(item.clip.clip_id, _result(found, item.clip), seconds) for item, found in zip(items, results)]


def _result(found: object, clip: ClipRow) -> StageOutput | str | None:
    if isinstance(found, StageOutput):
        return found
    if isinstance(found, AnnotationError) and found.kind == "interrupted":
        return None
    if isinstance(found, EmotionLlamaError):
        return reason_of(found, clip.clip_id, clip.path)
    if isinstance(found, Exception):
        return unexpected(found)
    return f"unexpected result: the stage gave a {type(found).__name__}; this is a fault of the program"


def unexpected(error: BaseException) -> str:
    """The reason that a fault of the program is recorded with, with its place, so that it can be found."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {text}{where}; this is a fault of the program, please report it"


def reason_of(error: EmotionLlamaError, *names: str | None) -> str:
    """A failure's reason, without the clip's path or other `names` in front: the row says which clip it is."""
    if isinstance(error, MediaError):
        return error.problem + (f"; {error.hint}" if error.hint else "")
    if isinstance(error, AnnotationError):
        return f"{error.kind}: {error.message}"
    text = str(error)
    for name in filter(None, names):
        text = text.removeprefix(f"{name}: ")
    return text


# --- what is to be done -----------------------------------------------------------------------------------------------


INGEST = "ingest"  # every stage needs it, without saying so
IMPORTED = "imported:"  # begins the fingerprint of runs that no build made: they stay as they are

# ok: it went through; out: it failed, was dropped or never came this far; open: not known yet.
Standing = Literal["ok", "out", "open"]
RunsByStage = Mapping[str, Mapping[str, StageRun]]  # stage -> clip -> its run, current or not


def needed(stage: Stage) -> tuple[str, ...]:
    """Names of the stages that must be through, ingest among them."""
    return (INGEST, *(name for name in stage.needs if name != INGEST))


def plan_phase(
    stage: Stage,
    clips: Mapping[str, ClipRow],
    runs: RunsByStage,
    standings: Mapping[str, Mapping[str, Standing]],
    session: int,
) -> tuple[dict[str, str], frozenset[str], dict[str, Standing]]:
    """Which clips `stage` has to see; those that failed in this `session` are not tried again.

    Returns:
        The clips to be run now, in order of ids, with the fingerprint each will have; those whose run holds; and where
        every clip stands behind this stage, as far as it is known.
    """
    own = runs.get(stage.name, {})
    imported = {clip_id for clip_id in clips if clip_id in own and own[clip_id].fingerprint.startswith(IMPORTED)}
    standing = {clip_id: _before(stage, clip_id, standings) for clip_id in sorted(clips)}
    if stage.sees_all and "open" in standing.values():
        standing = {clip_id: "open" if where == "ok" else where for clip_id, where in standing.items()}
    coming = [clip_id for clip_id, where in standing.items() if where == "ok" and clip_id not in imported]
    prints = fingerprints(stage, {clip_id: clips[clip_id] for clip_id in coming}, runs)
    tried = {c for c, run in own.items() if run.status != "failed" or run.session == session}
    finished = imported | {c for c, p in prints.items() if c in tried and own[c].fingerprint == p}
    pending = {c: p for c, p in prints.items() if c not in finished}
    standing |= dict.fromkeys(pending, "open")
    standing |= {clip_id: "out" if own[clip_id].is_out else "ok" for clip_id in finished}
    return pending, frozenset(finished), standing


def stale_runs(own: Mapping[str, StageRun], pending: Mapping[str, str], finished: frozenset[str]) -> list[str]:
    """Clips whose run of a stage does not hold any more.

    A failed run that is tried again stays in sight until then: its reason is what `status` shows.
    """
    kept = {c for c, p in pending.items() if c in own and own[c].status == "failed" and own[c].fingerprint == p}
    return sorted(c for c, run in own.items() if run.current and c not in finished and c not in kept)


def fingerprints(stage: Stage, clips: Mapping[str, ClipRow], runs: RunsByStage) -> dict[str, str]:
    """Fingerprint of `stage` for each of `clips`, which all went through the stages it needs.

    It covers the stage's name, version and settings, the clip's id and content, what came with the clip (as far as the
    stage looks at it), and the outputs of the stages needed; of all clips for a stage that sees them together.
    """
    facts = {
        clip_id: [
            clip_id,
            clip.sha256,
            {name: getattr(clip, name) for name in stage.reads_clip},
            [runs[need][clip_id].output_sha256 for need in needed(stage) if need != INGEST],
        ]
        for clip_id, clip in clips.items()
    }
    head = canonical([stage.name, stage.version, dict(stage.settings)])
    if stage.sees_all:
        return dict.fromkeys(facts, sha256_of(head + canonical(facts)))
    return {clip_id: sha256_of(head + canonical(fact)) for clip_id, fact in facts.items()}


def output_sha256(output: StageOutput) -> str:
    """Hash of what a stage has put out; times left out, so that the same again is the same.

    Raises:
        ValueError: a field is there twice, or a value cannot be stored: NaN, an infinity, or half a character.
        TypeError: a value is no JSON.
    """
    fields = {f"{f.name}/{f.language}": [f.value, f.why_missing, provenance_facts(f)] for f in output.fields}
    if len(fields) < len(output.fields):
        raise ValueError("a field is there twice")
    artifacts = {}
    for file_name, data in output.artifacts.items():
        name, dot, suffix = file_name.partition(".")
        artifacts[name] = [dot + suffix, hashlib.sha256(data).hexdigest()]
    drop = None if output.drop is None else list(output.drop)
    return hashlib.sha256(canonical([fields, artifacts, drop]).encode("utf-8")).hexdigest()


def provenance_facts(item: Field) -> dict[str, Json]:
    """A field's provenance without the times."""
    p = item.provenance
    return {
        "annotator": p.annotator, "model": p.model, "prompt_sha256": p.prompt_sha256, "label_shown": p.label_shown,
        "tokens_in": p.tokens_in, "tokens_out": p.tokens_out,
    }  # fmt: skip


def canonical(value: object) -> str:
    """JSON with sorted keys and no blanks: one text for one value.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
        TypeError: no JSON value.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def sha256_of(text: str) -> str:
    """SHA-256 of a text, which may hold half characters."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _before(stage: Stage, clip_id: str, standings: Mapping[str, Mapping[str, Standing]]) -> Standing:
    where = [standings[need].get(clip_id, "open") for need in needed(stage)]
    return "out" if "out" in where else "open" if "open" in where else "ok"


def chance(seed: str, *names: str) -> int:
    """A number that depends on the names alone, evenly spread over 64 bits; the same everywhere and always."""
    return int(sha256_of("\0".join((seed, *names)))[:16], 16)
