"""The tasks: their tags, the published instructions as data, and how answers are written for training."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from emotion_llama.errors import InputError

# Task -> the pool of its instructions; None: a text of the user's own. The tag in the prompt is the task's name; free
# text has none. Source: dataset class of Emotion-LLaMA (emotion, reason, reason_v2, caption), its demo (visual, audio).
TASKS: dict[str, str | None] = {
    "emotion": "emotion",
    "reason": "reason",
    "reason_v2": "reason",
    "caption": "caption",
    "visual": "visual",
    "audio": "audio",
    "free": None,
}
POOLS: tuple[str, ...] = ("emotion", "emotion_six", "reason", "caption", "visual", "audio")


def check_task(name: str) -> str:
    """The name itself, where it is a task's.

    Raises:
        InputError: there is no such task; the message lists them.
    """
    if name not in TASKS:
        raise InputError(f"no task {name!r} (there are: {', '.join(TASKS)})")
    return name


@cache
def instruction_pool(name: str) -> tuple[str, ...]:
    """The instructions of one of `POOLS`, in their published order.

    Raises:
        InputError: there is no such pool.
    """
    if name not in POOLS:
        raise InputError(f"no instruction pool {name!r} (there are: {', '.join(POOLS)})")
    lines = (files("emotion_llama.prompts") / "data" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def pick_instruction(task: str, *, pool: str | None = None, seed: int | str | None = None) -> str:
    """An instruction of the task: the first of its pool, or one drawn by `seed`, the same for the same seed.

    Args:
        task: one of `TASKS`, not "free".
        pool: another pool than the task's own, e.g. "emotion_six".
        seed: what to draw by, e.g. clip name and epoch; None takes the first.

    Raises:
        InputError: the task or pool is unknown, or the task has no instructions of its own.
    """
    name = pool or TASKS[check_task(task)]
    if name is None:
        raise InputError(f"task {task!r} has no instruction of its own; give instruction=...")
    choices = instruction_pool(name)
    return choices[0] if seed is None else random.Random(f"{name}:{seed}").choice(choices)  # noqa: S311 - no secret


def emotion_instruction(labels: Sequence[str]) -> str:
    """The published emotion instruction for other labels.

    Naming all nine labels of MERR scored better than naming the test set's alone (published answer in the project's
    issue tracker), so that the standard instruction is the better choice where its labels will do.

    Raises:
        InputError: no label.
    """
    if not labels:
        raise InputError("an emotion instruction needs labels, got none")
    opening = instruction_pool("emotion")[0].partition(": ")[0]
    return f"{opening}: {', '.join(labels)}."


# --- answers ----------------------------------------------------------------------------------------------------------

_PUNCTUATION = re.compile(r'[.!"()*#:;~]')
_BLANKS = re.compile(r"\s{2,}")
MAX_WORDS = 200


def _plain(text: str) -> str:
    return " ".join(text.split())


def _published(text: str) -> str:
    # A punctuation mark becomes a blank first: "3.5" is "3 5" in the published targets, not "35".
    spaced = _BLANKS.sub(" ", _PUNCTUATION.sub(" ", text.lower()))
    return " ".join(spaced.rstrip("\n").strip(" ").split(" ")[:MAX_WORDS])


# "published" is `blip_caption` of LAVIS, with which the published weights were trained: lower case, ten marks of
# punctuation taken out, blanks collapsed, 200 words. A model trained on it writes no capitals and no full stops.
TARGET_RULES: dict[str, Callable[[str], str]] = {"plain": _plain, "published": _published}


def target_text(text: str, rule: str = "published") -> str:
    """The answer as training sees it.

    Args:
        text: a label, or a description.
        rule: "published", or "plain": the text with blanks collapsed.

    Raises:
        InputError: the rule is unknown, or nothing is left of the text.
    """
    if rule not in TARGET_RULES:
        raise InputError(f"no target rule {rule!r} (there are: {', '.join(TARGET_RULES)})")
    target = TARGET_RULES[rule](text)
    if not target:
        raise InputError(f"nothing is left of the answer {text[:40]!r} by the rule {rule!r}")
    return target
