"""A data set as text for a terminal of 80 columns or so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.merr.overview import Overview
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.review.figures import ReviewStatistics, review_lines
from emotion_llama.merr.statistics import Statistics
from emotion_llama.report.console import Printout
from emotion_llama.report.wording import NONE, cells, clock, counts_in_words, percent, plain, share_text, unit_name

MAX_ROWS = 10
# Columns of the comparison, shortened to fit beside each other.
SHORT: Mapping[str, str] = {
    "sufficient_quantity": "quantity",
    "audio_description": "audio",
    "visual_objective_description": "objective",
    "visual_expression_description": "express.",
    "classification_label": "label",
    "multimodal_description": "multim.",
}


def render_dataset_text(
    overview: Overview, *, width: int = 80, colour: bool = False, encoding: str | None = "utf-8"
) -> str:
    """The data set as lines of at most `width` columns, with a line break at the end; see `Printout`."""
    out = Printout(width, colour=colour, encoding=encoding)
    found = overview.statistics
    out.line((overview.name, "bold"))
    out.line(f"{found['coarse']:,} samples, {found['fine']:,} with a fine description, of {found['clips']:,} clips; "
             f"{clock(found['seconds'])}")  # fmt: skip
    for what, names in (("persons", found["shared_persons"]), ("source videos", found["shared_sources"])):
        if names:
            out.paragraph(f"{what} in more than one split: {', '.join(names)}", style="yellow")
    if found["ungrouped"]:
        out.paragraph(f"{found['ungrouped']:,} samples were split each by itself: neither their source nor their "
                      "person is known, and one person may stand in two splits", style="yellow")  # fmt: skip
    _phases(out, found)
    if found["coarse"]:
        _labels(out, found)
        _contents(out, found)
        _modalities(out, found)
        _quality(out, overview.measures)
    if overview.reviews is not None:
        _reviews(out, overview.reviews)
    _comparison(out, overview)
    return out.text()


def _phases(out: Printout, found: Statistics) -> None:
    if not found["phases"]:
        return
    out.line()
    rows = cells(found["phases"], "stage", "done", "dropped", "dropped_fine", "failed")
    out.numbers("Clips by phase", ("done", "dropped", "fine only", "failed"), rows)
    for p in found["phases"]:
        for reason, count in list(p["reasons"].items())[:MAX_ROWS]:
            out.paragraph(f"{plain(p['stage'])}: {reason}", f"  {count:>6,}  ", style="dim")


def _labels(out: Printout, found: Statistics) -> None:
    splits = [s["split"] for s in found["splits"]][:3]
    rows = [
        (c["label"], *(f"{n:,}" for n in (c["coarse"], c["fine"], *(c["splits"].get(s, 0) for s in splits))))
        for c in found["labels"]
    ]
    if found["unlabelled"]:
        rows.append(("no label", f"{found['unlabelled']:,}"))
    out.line()
    out.numbers("Labels", ("coarse", "fine", *(s.replace("validation", "valid.")[:9] for s in splits)), rows)


def _contents(out: Printout, found: Statistics) -> None:
    if found["units"]:
        out.line()
        out.numbers(
            "Units at the peak",
            ("samples", "share", "mean"),
            [
                (
                    unit_name(u["unit"]),
                    f"{u['present']:,}",
                    percent(u["present"] / found["peaks"]),
                    f"{u['mean_intensity']:.1f}",
                )
                for u in found["units"][:MAX_ROWS]
            ],
        )
    out.line()
    rows = cells(found["texts"], "field", "length.count", "length.median", "distinct_1", "distinct_2")
    out.numbers("Descriptions", ("texts", "length", "dist-1", "dist-2"), rows)
    out.line()
    out.paragraph(_counts(found["tone_words"], found["tones"], "voices"), "Tone        ")
    out.paragraph(_counts(found["subtitle_sources"], found["coarse"], "samples"), "Transcript  ")
    if found["durations"] is not None:
        d = found["durations"]
        out.paragraph(f"median {d['median']:.1f} s, {d['least']:.1f} to {d['most']:.1f} s", "Duration    ")


def _modalities(out: Printout, found: Statistics) -> None:
    out.line()
    out.numbers("Modality against the label", ("same", "another", "none", "not pred."), [
        (a["modality"], *(f"{n:,}" for n in (a["agrees"], a["disagrees"], a["silent"], sum(a["not_read"].values()))))
        for a in found["agreements"]
    ])  # fmt: skip
    for c in found["conflicts"][:MAX_ROWS]:
        out.line((f"  {c['count']:>6,}  {c['first']} {c['first_label']}, {c['second']} {c['second_label']}", "dim"))


def _quality(out: Printout, measures: Sequence[Measure]) -> None:
    rows = [
        (m.title, share_text(m.value), share_text(m.chance), f"{m.rests_on:,}") for m in measures if m.value is not None
    ]
    out.line()
    out.numbers("Quality", ("value", "chance", "n"), rows, name_width=out.width - 30)
    for m in measures:
        if m.value is None:
            out.paragraph(
                f"{m.title}: {counts_in_words(m.left_out) if m.left_out else 'nothing to measure'}", "  - ", style="dim"
            )


def _reviews(out: Printout, found: ReviewStatistics) -> None:
    rows = cells(found["reviewers"], "reviewer", "reviewed", "accepted", "fixed", "rejected", "mean_stars")
    out.line()
    out.numbers("Reviews", ("reviewed", "accepted", "fixed", "rejected", "stars"), rows)
    for line in review_lines(found):
        out.paragraph(line, "  - ", style="dim")
    if found["pairs"]:
        keys = ("decisions.compared", "decisions.equal%", "decisions.kappa", "labels.equal%", "labels.kappa")
        pairs = [f"{pair['first']}, {pair['second']}" for pair in found["pairs"]]
        rows = [(pair, *row) for pair, row in zip(pairs, cells(found["pairs"], *keys))]
        out.line()
        out.numbers("Two reviewers agree", ("both", "decision", "kappa", "label", "kappa"), rows)


def _comparison(out: Printout, overview: Overview) -> None:
    found = overview.comparison
    rows = []
    for row in found["rows"]:
        marks = [_mark(row["has"][column], row["shares"].get(column)) for column in found["columns"]]
        style = "bold" if row["is_own"] else ""
        rows.append([(row["name"], style), *((mark, style) for mark in marks)])
    out.line()
    out.line(("Beside published data sets", "bold"))
    out.columns("", [SHORT.get(column, column) for column in found["columns"]], rows)


def _mark(there: bool, share: float | None) -> str:
    return (f"✓ {percent(share)}" if share else "✓") if there else NONE


def _counts(counts: Mapping[str, int], of: int, what: str) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:MAX_ROWS])
    return f"{listed or 'none'} (of {of:,} {what})"
