"""The HTML page of an evaluation: runs beside published rows; one file that asks nothing of any network."""

from __future__ import annotations

from emotion_llama.evaluation.report import Report


def render_evaluation_page(report: Report) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    return ""
