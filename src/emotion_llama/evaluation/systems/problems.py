"""Why a case has no answer, in words that are the same for all cases of one kind, so that they can be counted."""

from __future__ import annotations

from emotion_llama.errors import AnnotationError, EmotionLlamaError, MediaError

NO_CLIP = "the clip is not there"
NOBODY = "nobody is seen or heard"
NOTHING = "there is nothing to see, hear or read"
# Kinds of failures of a server that say nothing of the clip: the case is asked again when the run goes on.
PASSING_KINDS = ("unreachable", "timeout", "overloaded", "budget")


def problem_of(error: EmotionLlamaError) -> str:
    """The reason, without what differs from clip to clip."""
    if isinstance(error, AnnotationError):
        return f"{error.kind}: {error.message}"
    if isinstance(error, MediaError):
        return f"the clip cannot be read: {error.problem}"
    return str(error)


def is_passing(problem: str | None) -> bool:
    """Whether another try may end otherwise."""
    return problem is not None and problem.partition(":")[0] in PASSING_KINDS
