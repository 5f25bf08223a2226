"""A run: samples asked, outputs kept, scored by every parser, written with a card of what it was."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.evaluation.cache import (
    OutputCache,
    Progress,
    Shard,
    as_json,
    collect,
    data_sha256,
    sample_keys,
    task_json,
)
from emotion_llama.evaluation.judges import Judge, judge_descriptions, reduce_outputs, synonym_groups_by
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES
from emotion_llama.evaluation.parsers import PARSERS, parse_label
from emotion_llama.evaluation.records import EXPECTED, EvalResult, EvalSample, FileProblem, Model, Output
from emotion_llama.evaluation.run_folder import EvalRun, SampleRow, installed, machine, write_run
from emotion_llama.evaluation.scoring import applicable_parsers, score_outputs
from emotion_llama.evaluation.tasks.base import NO_MEDIA, Benchmark

TOKENS = ("tokens_in", "tokens_out")


def evaluate(
    benchmark: Benchmark,
    model: Model,
    *,
    out: Path | None = None,
    limit: int | None = None,
    resume: bool = False,
    parsers: Sequence[str] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    judge: Judge | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
    file_problems: Sequence[FileProblem] | None = None,
) -> EvalRun | None:
    """Ask a model about all samples of a benchmark and score its outputs.

    Args:
        benchmark: with its files.
        model: what answers.
        out: folder of the run; None keeps nothing.
        limit: the first so many samples only.
        resume: go on with the run in `out`; what was asked with the same prompt and settings is not asked again.
        parsers: how outputs are parsed, side by side; None: every way that applies.
        num_resamples: of the bootstrap intervals; 0 makes none.
        judge: rates descriptions, groups synonyms.
        shard: which of several processes this is; the first one scores.
        progress: called with the number of outputs so far.
        file_problems: what `benchmark.check()` says, where it was called already; it may open many clips.

    Returns:
        The run; None in every process but the first.

    Raises:
        InputError: the files are not usable, `out` holds a run without `resume`, or several processes have no `out`.
    """
    place = shard or Shard()
    problems = benchmark.check() if file_problems is None else list(file_problems)
    samples = _usable_samples(benchmark, model, problems)[:limit]
    _check_out(out, resume, place)
    started, began = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.perf_counter()
    keys = sample_keys(samples)
    rank, task = place.rank, benchmark.task
    with nullcontext() if out is None else closing(OutputCache(out, model, task, keys, writer=rank)) as cache:
        outputs, known = _all_outputs(benchmark, model, samples, cache, place, progress)
        if not place.is_first:
            return None
        results, rows = score_run(
            benchmark, model.name, samples, outputs, parsers=parsers, num_resamples=num_resamples, judge=judge
        )
        card = _card(benchmark, model, samples, outputs, problems, judge)
        card["benchmark"] |= {"limit": limit, "data_sha256": data_sha256(samples, keys)}
        card["system"]["settings_sha256"] = "" if cache is None else cache.settings_sha256
        seconds = round(time.perf_counter() - began, 2)
        card["time"] |= {"started_at": started, "wall_seconds": seconds, "asked_in_this_session": len(samples) - known}
        card["machine"]["processes"] = place.world
        run = EvalRun(model.name, tuple(results), card, tuple(rows), tuple(outputs), tuple(problems), out)
        if out is not None:
            write_run(out, run)
    return run


def _all_outputs(
    benchmark: Benchmark,
    model: Model,
    samples: Sequence[EvalSample],
    cache: OutputCache | None,
    shard: Shard,
    progress: Progress | None,
) -> tuple[list[Output], int]:
    """An output for each sample, those of the other processes among them, and how many were kept before."""
    known = sum(cache.output(sample) is not None for sample in samples) if cache is not None else 0
    shard.wait()  # a process that is quicker to start would have written outputs that this one counts as known
    found = collect(model, samples, benchmark.task, cache, shard=shard, progress=progress)
    shard.wait()
    if cache is not None and shard.world > 1 and shard.is_first:
        cache.read_again()
        found = {**{one.sample_id: kept for one in samples if (kept := cache.output(one)) is not None}, **found}
    other = "another process could not answer it"
    return [found.get(one.sample_id) or Output(one.sample_id, problem=other) for one in samples], known


def _usable_samples(benchmark: Benchmark, model: Model, problems: Sequence[FileProblem]) -> list[EvalSample]:
    """All samples, or InputError; absent clips are no problem for a model that opens none."""
    needs_clips = getattr(model, "needs_clips", True)
    if fatal := [one for one in problems if one.is_fatal and (needs_clips or not one.what.startswith(NO_MEDIA))]:
        listed = "; ".join(f"{one.where}: {one.what}" for one in fatal[:3]) + ("; and more" if len(fatal) > 3 else "")
        raise InputError(f"{benchmark.name} cannot be evaluated: {listed}")
    samples = benchmark.samples()
    if not samples:
        raise InputError(f"{benchmark.name} has no samples in {benchmark.folder}")
    return samples


def _check_out(out: Path | None, resume: bool, shard: Shard) -> None:
    if out is None:
        if shard.world > 1:
            raise InputError("several processes need --out, where each keeps its outputs")
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder")
    if not resume and any(out.glob("replies.*.jsonl")) and shard.world == 1:
        raise InputError(f"{out} holds a run; give --resume to go on with it, or another --out")


def _card(
    benchmark: Benchmark,
    model: Model,
    samples: Sequence[EvalSample],
    outputs: Sequence[Output],
    problems: Sequence[FileProblem],
    judge: Judge | None,
) -> dict[str, Any]:
    known = {name: [count for one in outputs if (count := getattr(one, name)) is not None] for name in TOKENS}
    return {
        "emotion_llama": __version__,
        "benchmark": {
            **{key: getattr(benchmark, key) for key in ("name", "version", "kind", "metric", "primary")},
            "folder": str(benchmark.folder),
            "ask": task_json(benchmark.task),
            "groups": None if benchmark.groups is None else "stored",
            "cases": len(samples),
            "file_problems": [vars(problem) for problem in problems],
        },
        "system": {"name": model.name, "settings": _plain(model.settings)},
        "judge": None if judge is None else _plain(judge.settings),
        "problems": count_problems(outputs),
        "time": {
            "seconds_of_all_replies": round(sum(output.seconds for output in outputs), 2),
            **{name: sum(counts) if counts else None for name, counts in known.items()},
        },
        "versions": installed(),
        "machine": machine(),
    }


def count_problems(outputs: Sequence[Output]) -> dict[str, int]:
    """Why samples have no answer, the most frequent first; of missing rows, the first name that was expected."""
    found: Counter[str] = Counter()
    expected: dict[str, str] = {}
    for output in outputs:
        if output.problem is not None:
            why, _, name = output.problem.partition(EXPECTED)
            found[why] += 1
            expected.setdefault(why, name)
    return {why + (f"{EXPECTED}{expected[why]}" if expected[why] else ""): n for why, n in found.most_common()}


def _plain(settings: Mapping[str, object]) -> Any:
    return json.loads(json.dumps(settings, default=as_json))


# --- scoring --------------------------------------------------------------------------------------------------------


def score_run(
    benchmark: Benchmark,
    model: str,
    samples: Sequence[EvalSample],
    outputs: Sequence[Output],
    *,
    parsers: Sequence[str] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    judge: Judge | None = None,
) -> tuple[list[EvalResult], list[SampleRow]]:
    """Score outputs by every parser; arguments as `evaluate`'s.

    Returns:
        A result for each parser, and the rows that paired tests need.

    Raises:
        InputError: a parser does not apply, or the metric needs a judge and there is none.
    """
    judged: Mapping[str, Mapping[str, float]] = {}
    failures: Mapping[str, int] = {}
    if judge is not None and benchmark.kind == "description":
        judged, failures = judge_descriptions(judge, samples, outputs)
    is_wanted = judge is not None and (parsers is None or "judge" in parsers)
    reduced = reduce_outputs(judge, benchmark, outputs) if judge is not None and is_wanted else None
    chosen = list(parsers or applicable_parsers(benchmark, outputs, judged=judged or None))
    if reduced is not None and parsers is None:
        chosen.append("judge")
    results = []
    for parser in chosen:
        read, how = (reduced, "upstream") if parser == "judge" and reduced is not None else (outputs, parser)
        groups = None
        if judge is not None and benchmark.metric == "groups" and benchmark.groups is None:
            groups = synonym_groups_by(judge, samples, read, how)
        result = score_outputs(
            benchmark, samples, read, how, model=model, num_resamples=num_resamples, groups=groups,
            judged=judged or None,
        )  # fmt: skip
        counts = {**result.counts, **failures} if parser == "judge" else result.counts
        results.append(replace(result, parser=parser, counts=counts))
    return results, _rows(benchmark, samples, outputs, chosen, judged)


def _rows(
    benchmark: Benchmark,
    samples: Sequence[EvalSample],
    outputs: Sequence[Output],
    parsers: Sequence[str],
    judged: Mapping[str, Mapping[str, float]],
) -> list[SampleRow]:
    """The label predicted for each sample, or its judged scores, by parser."""
    by_id = {output.sample_id: output for output in outputs}
    rows = []
    for one in samples:
        answers: dict[str, str | None] = {}
        scores: dict[str, Mapping[str, float]] = {}
        for parser in parsers:
            if benchmark.asked is not None and benchmark.scored is not None and parser in PARSERS:
                output = by_id.get(one.sample_id)
                answers[parser] = parse_label(output, parser, benchmark.asked, benchmark.scored).label
            elif parser == "judge" and one.sample_id in judged:
                scores[parser] = judged[one.sample_id]
        rows.append(SampleRow(one.sample_id, one.truth.label, one.group, answers, scores))
    return rows
