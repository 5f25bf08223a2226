"""Before a build asks anybody: keys and packages are there, its user knows who gets the pictures, budgets go on.

Answers whose clip failed in another language are kept there too (`kept_answers`).

Annotators of one server and model share one budget; of several bounds the smallest counts. What was spent is kept in
the build's folder, so that a build that was stopped does not begin to count anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion_llama.merr.annotators import Annotator
    from emotion_llama.merr.stage import Stage
    from emotion_llama.merr.stages.asked import Respondent


def ready_to_ask(stages: Iterable[Stage], folder: Path) -> tuple[str, ...]:
    """Make the stages' annotators ready; lines that the user has to read.

    Args:
        stages: of a build.
        folder: the build's.

    Raises:
        InputError: a key is not set, or a file of spending cannot be read.
        MissingDependency: a package is not installed.
    """
    stages = list(stages)
    annotators = _annotators(stages)
    lines = [line for annotator in annotators for line in annotator.ready()]
    _keep_answers(stages, folder)
    _share_budgets(annotators, folder)
    return tuple(dict.fromkeys(lines))


def _annotators(stages: Iterable[Stage]) -> list[Annotator]:
    """Each annotator once, in the order of the stages."""
    found = {id(one.annotator): one.annotator for stage in stages for one in _respondents(stage)}
    return list(found.values())


def _respondents(stage: Stage) -> Iterator[Respondent]:
    from emotion_llama.merr.stages.asked import Respondent

    return (value for value in getattr(stage, "__dict__", {}).values() if isinstance(value, Respondent))


def _keep_answers(stages: Iterable[Stage], folder: Path) -> None:
    """Give those whose answers cost something a place for answers that another one's failure would lose."""
    from emotion_llama.merr.kept_answers import FILE, KeptAnswers

    costly = [one for stage in stages for one in _respondents(stage) if one.annotator.where != "inline"]
    kept = KeptAnswers(folder / FILE) if costly else None
    for respondent in costly:
        respondent.kept = kept
        if respondent.annotator.chat is not None:
            respondent.annotator.chat.refused_file = folder / "refused-replies.jsonl"


def _share_budgets(annotators: Iterable[Annotator], folder: Path) -> None:
    from emotion_llama.chat.budget import Budget, SpendingFile
    from emotion_llama.chat.openai_server import OpenAIServer

    by_server: dict[tuple[str, str], list[OpenAIServer]] = {}
    for annotator in annotators:
        if annotator.chat is not None and isinstance(server := annotator.chat.backend, OpenAIServer):
            key = (server.config.identity or server.config.base_url.rstrip("/"), server.config.model)
            by_server.setdefault(key, []).append(server)
    for key, sharing in by_server.items():
        requests = [one.config.budget_requests for one in sharing if one.config.budget_requests is not None]
        tokens = [one.config.budget_tokens for one in sharing if one.config.budget_tokens is not None]
        if not requests and not tokens:
            continue
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]
        file = SpendingFile(folder / f"spent-{name}.txt")
        shared = Budget(min(requests, default=None), min(tokens, default=None), file=file)
        for server in sharing:
            server.budget = shared
