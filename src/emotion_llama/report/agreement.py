"""Agreement with human coders as text for a terminal, and as the page of `agreement.html.j2`."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.evaluation.agreement import MACHINE, Agreement
from emotion_llama.evaluation.metrics.agreement import DIFFERENCE, HUMANS, OURS, Figure
from emotion_llama.report.console import Printout
from emotion_llama.report.pages import render

WIDTH = 80
TITLES = {
    "labels": "Labels, by sample", "label": "Each label", "unit": "Action units",
    "label episodes": "Label episodes (s)", "unit episodes": "Unit episodes (s)", "peaks": "Peaks (s)",
}  # fmt: skip
_IN_SHORT = ("F1", "ICC(2,1)", "F1 at 1")  # of labels and units; the page and the table have all
Rows = list[tuple[str, ...]]


def render_agreement_text(found: Agreement, *, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """The figures for a terminal of 80 columns, and what was left out."""
    out = Printout(WIDTH, colour=colour, encoding=encoding)
    out.paragraph(_heading(found))
    for section, title in TITLES.items():
        if rows := rows_of(found, section, in_short=True):
            out.line()
            out.columns(title, ("human-human", "human-machine", "difference"), rows)
    if found.notes:
        out.line()
        out.line(("What to know", "bold"))
        for note in found.notes:
            out.paragraph(note, "  ", indent=4)
    return out.text()


def render_agreement_page(found: Agreement) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    sections = [(title, rows_of(found, section)) for section, title in TITLES.items()]
    pairs = dict.fromkeys(one.between for one in found.figures if one.between not in (HUMANS, OURS, DIFFERENCE))
    of_pairs = [
        (pair, [(TITLES[f.section], _name(f), shown(f)) for f in found.figures if f.between == pair]) for pair in pairs
    ]
    totals = found.confusion.sum(axis=1)
    confusion = [
        (label, [float(n / total) if total else 0.0 for n in row], [f"{n:.0f}" for n in row])
        for label, row, total in zip(found.labels, found.confusion, totals, strict=True)
    ]
    return render(
        "agreement.html.j2", found=found, heading=_heading(found), sections=sections, pairs=of_pairs,
        confusion=confusion if found.confusion.any() else None, main=found.figure("labels", "Cohen's kappa", OURS),
        shown=shown,
    )  # fmt: skip


def rows_of(found: Agreement, section: str, *, in_short: bool = False) -> Rows:
    """Name, human-human, human-machine and difference of each figure of a section; "–" for what there is not."""
    kept = [
        one
        for one in found.figures
        if one.section == section and not (in_short and one.of and one.name not in _IN_SHORT)
    ]
    keys = dict.fromkeys((one.of, one.name) for one in kept if one.between in (HUMANS, OURS))
    rows = [
        (_name(next(one for one in kept if (one.of, one.name) == key)),
         *(shown(found.figure(section, key[1], between, key[0])) for between in (HUMANS, OURS, DIFFERENCE)))
        for key in keys
    ]  # fmt: skip
    both = [one for one in kept if one.between in ("all humans", "all humans & machine")]
    if len(both) == 2:
        rows.append(("alpha of all", shown(both[0]), shown(both[1]), "–"))
    return rows


def shown(figure: Figure | None) -> str:
    """The figure and its interval."""
    if figure is None or figure.value is None:
        return "–"
    value = f"{figure.value:.2f}"
    if figure.low is None or figure.high is None:
        return value
    low, high = (
        f"{end:.2f}".replace("0.", ".", 1) if abs(end) < 1 else f"{end:.2f}" for end in (figure.low, figure.high)
    )
    return f"{value} [{low}, {high}]"


def _name(figure: Figure) -> str:
    return f"{figure.of} {figure.name}".strip()


def _heading(found: Agreement) -> str:
    humans: Sequence[str] = [name for name in found.coders if name != MACHINE]
    clips = f"{len(found.clips)} clips" if len(found.clips) > 1 else "1 clip, which gives no intervals"
    return (
        f"{len(humans)} human coders ({', '.join(humans)}) and the machine, {clips}, a sample every "
        f"{found.step_seconds:g} s. Means over pairs of coders, [95 % bootstrap interval over clips]."
    )
