"""One clip, several models: what each of them answers and why, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import parse_label
from emotion_llama.evaluation.records import EvalSample, Model, Output, Truth
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.predictors.base import Task
from emotion_llama.report.console import Printout
from emotion_llama.report.pages import render
from emotion_llama.report.wording import percent, ranked

REASON = Task("reason", max_new_tokens=300)
MAX_NEW_TOKENS = 500  # of the answer to the question for a label


@dataclass(frozen=True)
class Side:
    """What one model says of the clip.

    Attributes:
        name: of the model.
        label: by likelihood where it has probabilities, else what its answer names; None where there is none.
        probabilities: over the labels; None where the model has none.
        answer: to the question for a label, as it came.
        reasoning: to the question for reasons, as it came; None where there is none.
        problem: why there is no label.
        reasoning_problem: why there are no reasons.
        seconds: for both questions.
    """

    name: str
    label: str | None
    probabilities: Mapping[str, float] | None
    answer: str | None
    reasoning: str | None
    problem: str | None
    reasoning_problem: str | None
    seconds: float


def compare_clip(
    clip: Path, models: Sequence[Model], *, words: str | None = None, space: LabelSpace = MERR9
) -> tuple[Side, ...]:
    """Ask every model for a label and for its reasons.

    Args:
        clip: a video or sound file.
        models: asked one after the other.
        words: what is said; given to all.
        space: labels to choose from.

    Raises:
        InputError: there is no such file, or no model.
    """
    if not clip.is_file():
        raise InputError(f"{clip}: no such file")
    if not models:
        raise InputError("there is no model to compare; name some")
    sample = EvalSample(clip.stem, Truth(description=""), clip, words)
    return tuple(_side(model, sample, space) for model in models)


def _side(model: Model, sample: EvalSample, space: LabelSpace) -> Side:
    tasks = Task("emotion", space.labels, max_new_tokens=MAX_NEW_TOKENS), REASON
    answer, reasons = (_answer(model, sample, task) for task in tasks)
    label, problem = None, answer.problem
    if problem is None:
        found = parse_label(answer, "tolerant" if answer.probabilities is None else "likelihood", space, space)
        label, problem = found.label, found.why_none
    return Side(
        model.name, label, answer.probabilities, answer.text, reasons.text, problem, reasons.problem,
        answer.seconds + reasons.seconds,
    )  # fmt: skip


def _answer(model: Model, sample: EvalSample, task: Task) -> Output:
    return next(iter(model.answer([sample], task)))


def words_of(clip: Path, subtitle: str | None) -> str | None:
    """What is said in a clip: as given, in the file beside it, or in a text track of it; None where none is there."""
    from emotion_llama.analysis.evidence import find_transcript
    from emotion_llama.analysis.options import Options
    from emotion_llama.media.probe import open_clip
    from emotion_llama.results import Missing

    if subtitle is not None:
        return " ".join(subtitle.split()) or None
    with open_clip(clip, warn=lambda line: None) as file:
        found = find_transcript(clip, Options(), None, lambda line: None, file)
    return None if isinstance(found, Missing) else found.text


def render_comparison_text(
    clip: Path, words: str | None, sides: Sequence[Side], *, colour: bool = False, encoding: str | None = "utf-8"
) -> str:
    """The comparison for a terminal of 80 columns."""
    out = Printout(80, colour=colour, encoding=encoding)
    out.line((clip.name, "bold"))
    out.paragraph(f'"{words}"' if words else "no transcript is known", "transcript: ", style="dim")
    for side in sides:
        shares = ranked(side.probabilities)[:3]
        label = (side.label, "cyan") if side.label else (f"no label ({side.problem})", "yellow")
        out.line()
        out.line((side.name, "bold"), "  ", label)
        if shares:
            out.paragraph(", ".join(f"{label} {percent(share)}" for label, share in shares), "  ")
        if side.answer is not None:
            out.paragraph(side.answer or "(an empty answer)", "  answer: ", indent=4)
        reasons = side.reasoning or f"none ({side.reasoning_problem or 'an empty answer'})"
        out.paragraph(reasons, "  reasons: ", indent=4)
    return out.text()


def render_comparison_page(
    clip: Path, words: str | None, sides: Sequence[Side], pictures_png: Sequence[bytes] = ()
) -> str:
    """The whole page as HTML text, to be written as UTF-8.

    Args:
        clip: the file.
        words: the transcript that all models were given.
        sides: what each model says.
        pictures_png: frames of the clip, in time order; the page contains them, faces and all.
    """
    labels = [side.label for side in sides if side.label is not None]
    return render(
        "comparison.html.j2",
        clip=clip,
        words=words,
        sides=sides,
        labels=list(dict.fromkeys(labels)),
        num_answered=len(labels),
        frames=pictures_png,
    )
