"""The tables of a data set's page: quality, the comparison with published sets, and who made which field."""

from __future__ import annotations

from collections.abc import Sequence

from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.review_figures import ReviewStatistics, review_lines
from emotion_llama.merr.statistics import Statistics
from emotion_llama.report.dataset_counts import plain
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.tables import table
from emotion_llama.report.wording import NBSP, percent

YES, NO = "✓", "–"


def quality(measures: Sequence[Measure]) -> list[Html]:
    """Each measure with its value, what chance gives, and how much it rests on; those without data say why."""
    intro = element(
        "p", "Measured without reference texts. A text is never compared with what it was made from, what is missing "
        "is not counted, and there is no sum over measures: they have no common unit.", class_="note",
    )  # fmt: skip
    there = [m for m in measures if m.value is not None]
    gone = [m for m in measures if m.value is None]
    parts = [intro]
    if there:
        header = ("Measure", "Value", "By chance", "Rests on", "Good is")
        parts.append(table("Measures", header, [_measure_row(m) for m in there], "measures stacks"))
    if gone:
        rows = [(m.title, why_nothing(m)) for m in gone]
        parts.append(table("Not measured here", ("Measure", "Why"), rows, "stacks"))
    return parts


def why_nothing(measure: Measure) -> str:
    """Why a measure has no value, in words."""
    listed = "; ".join(f"{reason} ({count:,})" for reason, count in measure.left_out.items())
    return listed or "nothing to measure"


def measure_value(value: float | None) -> str:
    """Shares as percent; "–" for none."""
    return NO if value is None else percent(value)


def _measure_row(m: Measure) -> tuple[str, ...]:
    says = m.says + (f". Left out: {why_nothing(m)}" if m.left_out else "")
    title = join([m.title, element("small", says)])
    return title, measure_value(m.value), measure_value(m.chance), f"{m.rests_on:,}{NBSP}{m.unit}", m.better


def reviews(found: ReviewStatistics | None) -> list[Html]:
    """What each reviewer decided, what it comes to, and how far each two of them agree."""
    if found is None:
        return [element("p", "Nobody has reviewed a sample.", class_="note")]
    header = ("Reviewer", "Reviewed", "Accepted", "Fixed", "Rejected", "Stars, mean")
    rows = [_reviewer_row(r) for r in found["reviewers"]]
    parts = [element("p", f"{line[0].upper()}{line[1:]}.", class_="note") for line in review_lines(found)]
    parts.append(table("Reviewers", header, rows, "stacks"))
    if found["pairs"]:
        columns = ("Two reviewers", "Both reviewed", "Same decision", "Kappa", "Both kept", "Same label", "Kappa")
        pairs = [_pair_row(p) for p in found["pairs"]]
        parts.append(table("Agreement, and Cohen's kappa, which is 0 at chance", columns, pairs, "stacks"))
    return parts


def _reviewer_row(r: ReviewStatistics) -> tuple[str, ...]:
    stars = NO if r["mean_stars"] is None else f"{r['mean_stars']:.1f} of {r['starred']:,}"
    return r["reviewer"], *(f"{n:,}" for n in (r["reviewed"], r["accepted"], r["fixed"], r["rejected"])), stars


def _pair_row(p: ReviewStatistics) -> tuple[str, ...]:
    cells = [f"{p['first']}, {p['second']}"]
    for found in (p["decisions"], p["labels"]):
        kappa = NO if found["kappa"] is None else f"{found['kappa']:.2f}"
        cells += [f"{found['compared']:,}", measure_value(found["equal"]), kappa]
    return tuple(cells)


def comparison(found: Statistics) -> list[Html]:
    """The published table with this data set's row."""
    head = element("tr", element("th", "Data set", scope="col"), *(
        element("th", title, scope="col") for title in found["columns"].values()
    ))  # fmt: skip
    rows = [_comparison_row(found, row) for row in found["rows"]]
    inner = element(
        "table", element("caption", "Which annotations a data set has"), element("thead", head),
        element("tbody", *rows), class_="marks",
    )  # fmt: skip
    note = element(
        "p", f"Published rows: {found['source']}. This data set's row: a mark where any sample has the annotation, "
        "with the share that does; the quantity is called sufficient from 1,000 samples on (own choice).",
        class_="note",
    )  # fmt: skip
    return [element("div", inner, class_="scrolls", tabindex=0, role="group", aria_label="Comparison"), note]


def _comparison_row(found: Statistics, row: Statistics) -> Html:
    sizes = (
        f"{row['coarse']:,} coarse, {row['fine']:,} fine"
        if row["coarse"] is not None and row["fine"] is not None
        else ""
    )
    cells = [element("th", row["name"], element("small", sizes) if sizes else "", scope="row")]
    for column in found["columns"]:
        share = row["shares"].get(column)
        below = element("small", percent(share)) if row["has"][column] and share is not None else ""
        mark = element("span", YES if row["has"][column] else NO, class_="yes" if row["has"][column] else "no")
        cells.append(element("td", mark, below))
    return element("tr", *cells, class_="own" if row["is_own"] else None)


def makers(found: Statistics) -> list[Html]:
    """Which annotator and model made each field, with which prompt, seeing the label or not, at which cost."""
    if not found["makers"]:
        return [element("p", "There is no field.", class_="note")]
    header = ("Field", "By", "Model", "Prompt", "Label shown", "Made", "Missing", "Tokens in", "Tokens out")
    rows = [_maker_row(m) for m in found["makers"]]
    return [table("Every field and its maker", header, rows, "makers stacks")]


def _maker_row(m: Statistics) -> tuple[str, ...]:
    name = plain(m["name"]) + (f" ({m['language']})" if m["language"] else "")
    prompt = m["prompt_sha256"][:8] if m["prompt_sha256"] else NO
    shown = "yes" if m["label_shown"] else "no"
    tokens = tuple(NO if n is None else f"{n:,}" for n in (m["tokens_in"], m["tokens_out"]))
    return name, m["annotator"], m["model"], prompt, shown, f"{m['made']:,}", f"{m['missing']:,}", *tokens
