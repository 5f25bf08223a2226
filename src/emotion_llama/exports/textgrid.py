"""Praat's TextGrid (its manual, "TextGrid file formats"): an interval tier for each tier, filled up with empty ones."""

from __future__ import annotations

from emotion_llama.exports.tiers import Interval, tiers
from emotion_llama.schema import AnalysisDocument


def textgrid(document: AnalysisDocument, clip: str) -> str:
    """The long text format, UTF-8."""
    found = tiers(document)
    end = max([document.clip.duration_seconds, *(tier.intervals[-1].end_seconds for tier in found)])
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.4f}",
        "tiers? <exists>", f"size = {len(found)}", "item []:",
    ]  # fmt: skip
    for i, tier in enumerate(found, 1):
        filled = _filled(tier.intervals, end)
        lines += [
            f"    item [{i}]:", '        class = "IntervalTier"', f"        name = {_quoted(tier.name)}",
            "        xmin = 0", f"        xmax = {end:.4f}", f"        intervals: size = {len(filled)}",
        ]  # fmt: skip
        for j, one in enumerate(filled, 1):
            lines += [
                f"        intervals [{j}]:", f"            xmin = {one.start_seconds:.4f}",
                f"            xmax = {one.end_seconds:.4f}", f"            text = {_quoted(one.text)}",
            ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _filled(intervals: tuple[Interval, ...], end: float) -> list[Interval]:
    """The intervals and the empty ones between them, from 0 to the end."""
    filled, at = list[Interval](), 0.0
    for one in intervals:
        if one.start_seconds > at:
            filled.append(Interval(at, one.start_seconds, ""))
        filled.append(one)
        at = one.end_seconds
    return [*filled, Interval(at, end, "")] if at < end else filled


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""').replace("\n", " ") + '"'
