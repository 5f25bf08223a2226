"""The HTML page of one clip with the answers of several systems, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.report.compare import ClipComparison
from emotion_llama.report.evaluation_page import LIMITS
from emotion_llama.report.pages import render


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
