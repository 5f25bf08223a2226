"""A run: cases asked, replies kept, scored by every parser, written with a card of what it was."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.case_keys import case_keys
from emotion_llama.evaluation.judges import Judge
from emotion_llama.evaluation.judging import Judging, judged_by, read_by, synonym_groups_by
from emotion_llama.evaluation.records import Case, FileProblem, Reply, Result, System
from emotion_llama.evaluation.reply_cache import Progress, ReplyCache, collect
from emotion_llama.evaluation.run_card import run_card
from emotion_llama.evaluation.run_folder import PREDICTIONS_FILE, CaseRow, write_run
from emotion_llama.evaluation.scoring import Intervals
from emotion_llama.evaluation.scoring_words import GroupScorer
from emotion_llama.evaluation.shards import Shard
from emotion_llama.evaluation.systems.predictions import write_predictions
from emotion_llama.labels import LABEL_SPACES, LabelSpace

NO_CLIPS = "no media file"  # how `benchmarks.files.media_problems` begins


@dataclass(frozen=True)
class EvalRun:
    """A finished run.

    Attributes:
        results: one a parser.
        replies: one a case, in the order of the cases.
        card: as `run_card` makes it.
        rows: see `run_folder.CaseRow`.
        file_problems: of the benchmark's files.
        folder: where it was written; None where it was not.
    """

    results: tuple[Result, ...]
    replies: tuple[Reply, ...]
    card: Mapping[str, object]
    rows: tuple[CaseRow, ...]
    file_problems: tuple[FileProblem, ...]
    folder: Path | None = None


def evaluate(
    benchmark: Benchmark,
    system: System,
    *,
    out: Path | None = None,
    limit: int | None = None,
    resume: bool = False,
    parsers: Sequence[str] | None = None,
    intervals: Intervals | None = None,
    judge: Judge | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
    file_problems: Sequence[FileProblem] | None = None,
) -> EvalRun | None:
    """Ask a system all cases of a benchmark and score its replies.

    Args:
        benchmark: with its files.
        system: who answers.
        out: folder of the run; None keeps nothing.
        limit: the first so many cases only.
        resume: go on with the run in `out`; replies to the same cases, question and settings are not asked again.
        parsers: how replies are read, side by side; None: every way that applies.
        intervals: how bootstrap intervals are made.
        judge: rates descriptions, groups synonyms.
        shard: which of several processes this is; the first one scores.
        progress: hears how far the asking is.
        file_problems: what `benchmark.check()` says, where it was asked already; it may open many clips.

    Returns:
        The run; None in every process but the first.

    Raises:
        InputError: the benchmark's files are not usable, `out` holds a run and `resume` is not given, or nothing keeps
            the replies of several processes.
    """
    place = shard or Shard()
    problems = benchmark.check() if file_problems is None else list(file_problems)
    if fatal := [problem for problem in problems if _stops(problem, system)]:
        told = "; ".join(f"{p.where}: {p.what}" for p in fatal[:3])
        raise InputError(f"{benchmark.name} cannot be evaluated: {told}" + ("; and more" if len(fatal) > 3 else ""))
    cases = benchmark.cases()[:limit]
    if not cases:
        raise InputError(f"{benchmark.name} has no cases in {benchmark.folder}")
    _check_out(out, resume, place)
    started, began = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.perf_counter()
    keys = case_keys(cases)
    with ExitStack() as open_things:
        cache = None
        if out is not None:
            cache = ReplyCache(out, system, benchmark.ask, keys, writer=place.rank)
            open_things.callback(cache.close)
        known = sum(case in cache for case in cases) if cache is not None else 0
        place.wait()  # a process that is quicker to start would have written replies that this one counts as known
        found = collect(system, cases, benchmark.ask, cache, shard=place, progress=progress)
        place.wait()
        if not place.is_first:
            return None
        if cache is not None and place.world > 1:
            cache.read_again()
            found = {**{c.case_id: r for c in cases if (r := cache.get(c)) is not None}, **found}
        replies = tuple(
            found.get(case.case_id) or Reply(case.case_id, problem="another process could not answer it")
            for case in cases
        )
        scored = score_replies(
            benchmark, system.name, cases, replies, parsers=parsers, intervals=intervals, judge=judge
        )
        card = run_card(
            benchmark,
            system,
            cases,
            keys,
            replies,
            file_problems=problems,
            settings_sha256="" if cache is None else cache.settings_sha256,
            judge=None if judge is None else judge.settings,
            wall_seconds=time.perf_counter() - began,
            fresh=len(cases) - known,
            limit=limit,
            started_at=started,
            processes=place.world,
        )
        run = EvalRun(scored.results, replies, card, scored.rows, tuple(problems), out)
        if out is not None:
            write_predictions(out / PREDICTIONS_FILE, replies)
            write_run(out, run.results, card, run.rows)
    return run


def _stops(problem: FileProblem, system: System) -> bool:
    """Whether a problem leaves nothing to evaluate; absent clips do not matter to who opens none."""
    return problem.is_fatal and (getattr(system, "needs_clips", True) or not problem.what.startswith(NO_CLIPS))


def _check_out(out: Path | None, resume: bool, shard: Shard) -> None:
    if out is None:
        if shard.world > 1:
            raise InputError("several processes need --out, where each keeps its replies")
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder")
    if not resume and any(out.glob("replies.*.jsonl")) and shard.world == 1:
        raise InputError(f"{out} holds a run; give --resume to go on with it, or another --out")


# --- scoring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """Results of all parsers, and the rows that paired tests need."""

    results: tuple[Result, ...]
    rows: tuple[CaseRow, ...]


def score_replies(
    benchmark: Benchmark,
    system: str,
    cases: Sequence[Case],
    replies: Sequence[Reply],
    *,
    parsers: Sequence[str] | None = None,
    intervals: Intervals | None = None,
    judge: Judge | None = None,
) -> Scored:
    """Score replies by every parser; arguments as `evaluate`'s.

    Raises:
        InputError: a parser does not apply, or the metric needs a judge and there is none.
    """
    judging = judged_by(judge, cases, replies) if judge is not None and benchmark.kind == "description" else Judging({})
    is_wanted = judge is not None and (parsers is None or "judge" in parsers)
    reduced = read_by(judge, benchmark, replies) if judge is not None and is_wanted else None
    chosen = list(parsers or benchmark.parsers(replies, judged=judging.figures or None))
    if reduced is not None and parsers is None:
        chosen.append("judge")
    results, rows = [], {case.case_id: CaseRow(case.case_id, case.truth.label, case.group) for case in cases}
    for parser in chosen:
        by_judge = parser == "judge" and reduced is not None
        read, how = (reduced or (), "upstream") if by_judge else (replies, parser)
        groups = None
        if judge is not None and isinstance(benchmark.scorer, GroupScorer) and benchmark.groups is None:
            groups = synonym_groups_by(judge, cases, read, how)
        result = benchmark.score(
            cases, read, how, system=system, intervals=intervals, groups=groups, judged=judging.figures or None
        )
        counts = {**result.counts, **judging.counts} if parser == "judge" else result.counts
        results.append(replace(result, parser=parser, counts=counts))
        _add_rows(rows, benchmark, cases, replies, parser, judging)
    return Scored(tuple(results), tuple(rows.values()))


def _add_rows(
    rows: dict[str, CaseRow],
    benchmark: Benchmark,
    cases: Sequence[Case],
    replies: Sequence[Reply],
    parser: str,
    judging: Judging,
) -> None:
    """Note what each case was told, or scored, by this parser."""
    from emotion_llama.evaluation.parsers import PARSERS, check_parser, tell_label

    by_id = {reply.case_id: reply for reply in replies}
    spaces = label_spaces(benchmark)
    for case in cases:
        row = rows[case.case_id]
        if spaces is not None and parser in PARSERS:
            told = tell_label(by_id.get(case.case_id), check_parser(parser), *spaces)
            rows[case.case_id] = replace(row, answers={**row.answers, parser: told.label})
        elif parser == "judge" and case.case_id in judging.figures:
            rows[case.case_id] = replace(row, scores={**row.scores, parser: judging.figures[case.case_id]})


def label_spaces(benchmark: Benchmark) -> tuple[LabelSpace, LabelSpace] | None:
    """The labels that a benchmark of one label a clip asks and scores; None for other benchmarks."""
    from emotion_llama.evaluation.scoring import LabelScorer

    if isinstance(benchmark.scorer, LabelScorer):
        return benchmark.scorer.asked, benchmark.scorer.scored
    if benchmark.kind != "label" or not benchmark.ask.labels:
        return None
    known = (space for space in LABEL_SPACES.values() if space.labels == benchmark.ask.labels)
    space = next(known, LabelSpace("asked", benchmark.ask.labels))
    return space, space
