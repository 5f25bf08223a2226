"""A data set, and one sample of it, as text for a terminal of 80 columns or so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.errors import InputError
from emotion_llama.merr.overview import Overview
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.review_figures import ReviewStatistics, review_lines
from emotion_llama.merr.statistics import Statistics
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.report.dataset_counts import plain
from emotion_llama.report.dataset_tables import NO, YES, measure_value, why_nothing
from emotion_llama.report.sheet import Part, Sheet, cells
from emotion_llama.report.terminal import LEAST_WIDTH
from emotion_llama.report.wording import clock, percent

MOST_ROWS = 10
NAME, COUNT = 30, 8  # columns of a name and of a count
# Columns of the comparison as they fit beside each other.
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
    """The data set as lines of at most `width` columns, with a line break at the end.

    Raises:
        InputError: fewer than 40 columns.
    """
    if width < LEAST_WIDTH:
        raise InputError(f"the table needs at least {LEAST_WIDTH} columns, got {width}; widen the terminal")
    sheet = Sheet(width, colour=colour, encoding=encoding)
    found = overview.statistics
    sheet.line(Part(overview.name, "bold"))
    sheet.line(f"{found['coarse']:,} samples, {found['fine']:,} with a fine description, of {found['clips']:,} clips; "
               f"{clock(found['seconds'])}")  # fmt: skip
    for what, names in (("persons", found["shared_persons"]), ("source videos", found["shared_sources"])):
        if names:
            sheet.paragraph(f"{what} in more than one split: {', '.join(names)}", style="warning")
    if found["ungrouped"]:
        sheet.paragraph(f"{found['ungrouped']:,} samples were split each by itself: neither their source nor their "
                        "person is known, and one person may stand in two splits", style="warning")  # fmt: skip
    _phases(sheet, found)
    if found["coarse"]:
        _labels(sheet, found)
        _contents(sheet, found)
        _modalities(sheet, found)
        _quality(sheet, overview.measures)
    if overview.reviews is not None:
        _reviews(sheet, overview.reviews)
    _comparison(sheet, overview)
    return sheet.text()


def _heading(sheet: Sheet, title: str, *columns: str) -> None:
    sheet.line()
    sheet.line(Part(sheet.pad(title, NAME), "bold"), Part("".join(c.rjust(COUNT + 2) for c in columns), "dim"))


def _row(sheet: Sheet, name: str, *counts: str) -> None:
    sheet.line("  " + sheet.pad(name, NAME - 2) + "".join(sheet.clean(c).rjust(COUNT + 2) for c in counts))


def _phases(sheet: Sheet, found: Statistics) -> None:
    if not found["phases"]:
        return
    _heading(sheet, "Clips by phase", "done", "dropped", "fine only", "failed")
    for p in found["phases"]:
        _row(sheet, plain(p["stage"]), *(f"{p[name]:,}" for name in ("done", "dropped", "dropped_fine", "failed")))
        for reason, count in list(p["reasons"].items())[:MOST_ROWS]:
            sheet.paragraph(reason, first=f"    {count:>5,}  ", style="dim")


def _labels(sheet: Sheet, found: Statistics) -> None:
    splits = [s["split"] for s in found["splits"]][:3]
    _heading(sheet, "Labels", "coarse", "fine", *(s.replace("validation", "valid.")[: COUNT + 1] for s in splits))
    for c in found["labels"]:
        _row(sheet, c["label"], f"{c['coarse']:,}", f"{c['fine']:,}", *(f"{c['splits'].get(s, 0):,}" for s in splits))
    if found["unlabelled"]:
        _row(sheet, "no label", f"{found['unlabelled']:,}")


def _contents(sheet: Sheet, found: Statistics) -> None:
    if found["units"]:
        _heading(sheet, "Units at the peak", "samples", "share", "mean")
        for u in found["units"][:MOST_ROWS]:
            name = f"{u['unit']} {AU_DESCRIPTIONS.get(u['unit'], '')}"
            _row(sheet, name, f"{u['present']:,}", percent(u["present"] / found["peaks"]), f"{u['mean_intensity']:.1f}")
    _heading(sheet, "Descriptions", "texts", "length", "dist-1", "dist-2")
    for t in found["texts"]:
        ratios = ("–" if r is None else f"{r:.3f}" for r in (t["distinct_1"], t["distinct_2"]))
        length = t["length"]
        counts = f"{length['count']:,}", f"{length['median']:.0f}"
        _row(sheet, f"{plain(t['name'])} ({t['language']})", *counts, *ratios)
    sheet.line()
    words = _counts(found["tone_words"], found["tones"], "voices")
    for name, text in (("Tone", words), ("Words", _counts(found["subtitle_sources"], found["coarse"], "samples"))):
        sheet.paragraph(text, first=f"{name:<7}")
    if found["durations"] is not None:
        d = found["durations"]
        sheet.paragraph(f"median {d['median']:.1f} s, {d['least']:.1f} to {d['most']:.1f} s", first="Length ")


def _modalities(sheet: Sheet, found: Statistics) -> None:
    _heading(sheet, "Modality against the label", "agrees", "differs", "silent", "not asked")
    for a in found["agreements"]:
        counts = (a["agrees"], a["disagrees"], a["silent"], sum(a["not_read"].values()))
        _row(sheet, a["modality"], *(f"{n:,}" for n in counts))
    for c in found["conflicts"][:MOST_ROWS]:
        pair = f"{c['first']} {c['first_label']}, {c['second']} {c['second_label']}"
        sheet.line(Part(f"    {c['count']:>5,}  {pair}", "dim"))


def _quality(sheet: Sheet, measures: Sequence[Measure]) -> None:
    room = sheet.width - 2 - 30
    _heading(sheet, "Quality")
    for m in measures:
        if m.value is None:
            continue
        chance = "" if m.chance is None else f"chance {measure_value(m.chance)}"
        sheet.line(
            "  " + sheet.pad(m.title, room) + sheet.clean(measure_value(m.value)).rjust(6)
            + sheet.clean(chance).rjust(13) + f"n={m.rests_on:,}".rjust(10)
        )  # fmt: skip
    for m in measures:
        if m.value is None:
            sheet.paragraph(f"{m.title}: {why_nothing(m)}", first="  - ", indent="    ", style="dim")


def _reviews(sheet: Sheet, found: ReviewStatistics) -> None:
    _heading(sheet, "Reviews", "reviewed", "accepted", "fixed", "rejected", "stars")
    for r in found["reviewers"]:
        stars = "–" if r["mean_stars"] is None else f"{r['mean_stars']:.1f}"
        counts = (f"{r[name]:,}" for name in ("reviewed", "accepted", "fixed", "rejected"))
        _row(sheet, r["reviewer"], *counts, stars)
    for line in review_lines(found):
        sheet.paragraph(line, first="  - ", indent="    ", style="dim")
    if found["pairs"]:
        _heading(sheet, "Two reviewers agree", "both", "decision", "kappa", "label", "kappa")
    for pair in found["pairs"]:
        parts = [f"{pair['decisions']['compared']:,}", *_agreement(pair["decisions"]), *_agreement(pair["labels"])]
        _row(sheet, f"{pair['first']}, {pair['second']}", *parts)


def _agreement(found: ReviewStatistics) -> tuple[str, str]:
    equal = "–" if found["equal"] is None else percent(found["equal"])
    return equal, "–" if found["kappa"] is None else f"{found['kappa']:.2f}"


def _comparison(sheet: Sheet, overview: Overview) -> None:
    found = overview.comparison
    sheet.line()
    sheet.line(Part("Beside published data sets", "bold"))
    width = max((sheet.width - 18) // max(len(found["columns"]), 1), 6)
    names = (sheet.pad(SHORT.get(column, column), width - 1) + " " for column in found["columns"])
    sheet.line(Part(" " * 18 + "".join(names), "dim"))
    yes, no = sheet.clean(YES), sheet.clean(NO)
    for row in found["rows"]:
        marks = []
        for column in found["columns"]:
            share = row["shares"].get(column)
            mark = (yes if cells(yes) == 1 and yes != "?" else "y") if row["has"][column] else no
            marks.append(sheet.pad(mark + (f" {percent(share)}" if row["has"][column] and share else ""), width))
        sheet.line(Part(sheet.pad("  " + row["name"], 17) + " " + "".join(marks), "bold" if row["is_own"] else "plain"))


def _counts(counts: Mapping[str, int], of: int, what: str) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:MOST_ROWS])
    return f"{listed or 'none'} (of {of:,} {what})"
