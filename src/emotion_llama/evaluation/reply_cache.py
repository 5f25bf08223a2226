"""Replies of a run, kept as they come: a killed run goes on where it was, and asks nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.jsonl_cache import JsonlCache, hash_of
from emotion_llama.evaluation.records import Ask, Case, Reply, System
from emotion_llama.evaluation.shards import Shard
from emotion_llama.evaluation.systems.problems import is_passing

STEM = "replies"
LEAST_BLOCK = 1
Progress = Callable[[int, int], None]  # replies so far, cases in all


class ReplyCache:
    """Replies by case, of one system with its settings to one question.

    Args:
        folder: of the run.
        system: who answers; its settings are part of every key.
        ask: what is asked; likewise.
        keys: case -> hash of what it is (`case_keys`).
        writer: number of this process.
    """

    def __init__(self, folder: Path, system: System, ask: Ask, keys: Mapping[str, str], *, writer: int = 0) -> None:
        self.settings_sha256 = hash_of(system.settings, asked(ask))
        self._rows = JsonlCache(folder, STEM, writer=writer)
        self._keys = keys

    def __contains__(self, case: Case) -> bool:
        return self._key(case) in self._rows

    def get(self, case: Case) -> Reply | None:
        """The reply to a case; None where there is none."""
        row = self._rows.get(self._key(case))
        return None if row is None else reply_of_row(row)

    def add(self, cases: Sequence[Case], replies: Sequence[Reply]) -> None:
        """Keep replies, but for those that another try may give otherwise."""
        kept = [(c, r) for c, r in zip(cases, replies) if not is_passing(r.problem)]
        self._rows.add([(self._key(case), row_of_reply(reply)) for case, reply in kept])

    def read_again(self) -> None:
        """Read what the other processes wrote."""
        self._rows.read_again()

    def close(self) -> None:
        """Let another process write."""
        self._rows.close()

    def _key(self, case: Case) -> str:
        return f"{self.settings_sha256}:{self._keys[case.case_id]}"


def collect(
    system: System,
    cases: Sequence[Case],
    ask: Ask,
    cache: ReplyCache | None,
    *,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> dict[str, Reply]:
    """Replies to this process's share of the cases, by case.

    Cases are asked in blocks of the system's batch size that do not depend on what was answered before: where a reply
    may depend on its batch (half precision), a resumed run makes the same batches and gives the same figures.

    Args:
        system: who answers.
        cases: all cases of the run.
        ask: what is asked.
        cache: where replies are kept; None keeps none.
        shard: which process this is.
        progress: hears how many replies are there.

    Raises:
        InputError: the system answers out of order, or not every case.
    """
    size = max(LEAST_BLOCK, system.batch_size)
    blocks = [list(cases[i : i + size]) for i in range(0, len(cases), size)]
    own = blocks if shard is None else shard.own(blocks)
    total = sum(map(len, own))
    whole = bool(getattr(system, "depends_on_batch", False))
    found: dict[str, Reply] = {}
    for block in own:
        known = {c.case_id: r for c in block if cache is not None and (r := cache.get(c)) is not None}
        left = [case for case in block if case.case_id not in known]
        if left:
            fresh = _ask(system, block if whole else left, ask)
            if cache is not None:
                cache.add(left, [fresh[case.case_id] for case in left])
            known = fresh | known
        found |= known
        if progress is not None:
            progress(len(found), total)
    return found


def _ask(system: System, cases: Sequence[Case], ask: Ask) -> dict[str, Reply]:
    replies = list(system.answer(cases, ask))
    if [reply.case_id for reply in replies] != [case.case_id for case in cases]:
        raise InputError(f"{system.name} gave {len(replies)} replies to {len(cases)} cases, or not in their order")
    return {reply.case_id: reply for reply in replies}


def asked(ask: Ask) -> dict[str, object]:
    """The question as JSON values, with the instruction that is really given."""
    from emotion_llama.prompts.tasks import pick_instruction, task_named

    pool = task_named(ask.task).pool
    instruction = ask.instruction if ask.instruction is not None or pool is None else pick_instruction(ask.task)
    return {
        "task": ask.task, "instruction": instruction, "labels": list(ask.labels), "max_new_tokens": ask.max_new_tokens,
    }  # fmt: skip


def row_of_reply(reply: Reply) -> dict[str, Any]:
    """A reply as a JSON object; what is not there is left out."""
    row = {
        "case": reply.case_id, "text": reply.text, "problem": reply.problem, "seconds": reply.seconds or None,
        "probabilities": None if reply.probabilities is None else dict(reply.probabilities),
        "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out,
    }  # fmt: skip
    return {key: value for key, value in row.items() if value is not None}


def reply_of_row(row: Mapping[str, Any]) -> Reply:
    """The reply of such an object."""
    return Reply(
        row["case"], row.get("text"), row.get("probabilities"), row.get("problem"), row.get("seconds", 0.0),
        row.get("tokens_in"), row.get("tokens_out"),
    )  # fmt: skip
