"""What is to be done: fingerprints of inputs, hashes of outputs, and which clips a stage still has to see. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from emotion_llama.merr.records import ClipRow, Field, Json, StageRun
from emotion_llama.merr.stage import Stage, StageOutput

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
    """Which clips `stage` has to see.

    Args:
        stage: the stage.
        clips: of the build, by id.
        runs: of this stage and of those it needs.
        standings: of the clips at the stages it needs.
        session: runs that failed in it are not tried again.

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
    finished = imported | {c for c, p in prints.items() if c in own and _holds(own[c], p, session)}
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


def _holds(run: StageRun, fingerprint: str, session: int) -> bool:
    return run.fingerprint == fingerprint and (run.status != "failed" or run.session == session)


def chance(seed: str, *names: str) -> int:
    """A number that depends on the names alone, evenly spread over 64 bits; the same everywhere and always."""
    return int(sha256_of("\0".join((seed, *names)))[:16], 16)
