"""One clip, several systems: what each of them answers and why, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import parse_label
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output, System, Truth
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.report.console import Printout
from emotion_llama.report.evaluation_page import LIMITS
from emotion_llama.report.pages import render
from emotion_llama.report.wording import percent, ranked

REASON = EvalPrompt("reason", max_new_tokens=300)


@dataclass(frozen=True)
class Side:
    """What one system says of the clip.

    Attributes:
        name: of the system.
        label: by likelihood where it has probabilities, else what its answer names; None where there is none.
        probabilities: over the labels; None where the system has none.
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


@dataclass(frozen=True)
class ClipComparison:
    """A clip and what each system says of it; `words` is what all of them were told is said."""

    clip: Path
    words: str | None
    labels: tuple[str, ...]
    sides: tuple[Side, ...]


def compare_clip(
    clip: Path, systems: Sequence[System], *, words: str | None = None, space: LabelSpace = MERR9
) -> ClipComparison:
    """Ask every model for a label and for its reasons.

    Args:
        clip: a video or sound file.
        systems: who is asked.
        words: what is said; told to all.
        space: labels to choose from.

    Raises:
        InputError: there is no such file, or no system.
    """
    if not clip.is_file():
        raise InputError(f"{clip}: no such file")
    if not systems:
        raise InputError("there is nobody to compare; name models")
    case = EvalSample(clip.stem, Truth(description=""), clip, words)
    return ClipComparison(clip, words, space.labels, tuple(_side(system, case, space) for system in systems))


def _side(system: System, case: EvalSample, space: LabelSpace) -> Side:
    told, reasons = (_ask(system, case, ask) for ask in (EvalPrompt("emotion", labels=space.labels), REASON))
    label = problem = None
    if told.problem is not None:
        problem = told.problem
    else:
        found = parse_label(told, "tolerant" if told.probabilities is None else "likelihood", space, space)
        label, problem = found.label, found.why_none
    return Side(
        system.name, label, told.probabilities, told.text, reasons.text, problem, reasons.problem,
        told.seconds + reasons.seconds,
    )  # fmt: skip


def _ask(system: System, case: EvalSample, ask: EvalPrompt) -> Output:
    return next(iter(system.answer([case], ask)))


def words_of(clip: Path, subtitle: str | None) -> str | None:
    """What is said in a clip: as given, or in the file beside it; None where neither is there."""
    from emotion_llama.analysis.evidence import find_transcript
    from emotion_llama.analysis.options import Options
    from emotion_llama.records import Missing

    if subtitle is not None:
        return " ".join(subtitle.split()) or None
    found = find_transcript(clip, Options(), None, lambda line: None)
    return None if isinstance(found, Missing) else found.text


def render_comparison_text(found: ClipComparison, *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The comparison for a terminal of 80 columns."""
    out = Printout(80, colour=colour, encoding=encoding)
    out.line((found.clip.name, "bold"))
    out.paragraph(f'"{found.words}"' if found.words else "no transcript is known", "transcript: ", style="dim")
    for side in found.sides:
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


def render_comparison_page(found: ClipComparison, pictures_png: Sequence[bytes] = ()) -> str:
    """The whole page as HTML text, to be written as UTF-8.

    Args:
        found: the comparison.
        pictures_png: frames of the clip, in time order; the page contains them, faces and all.
    """
    labels = [side.label for side in found.sides if side.label is not None]
    return render(
        "comparison.html.j2",
        found=found,
        labels=list(dict.fromkeys(labels)),
        num_answered=len(labels),
        frames=pictures_png,
        limits=LIMITS[1:],
    )
