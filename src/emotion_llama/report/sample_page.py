"""The HTML page of one sample of a data set."""

from __future__ import annotations

from emotion_llama.merr.records import Field, Sample
from emotion_llama.merr.values import label_of
from emotion_llama.report.dataset_examples import card
from emotion_llama.report.dataset_page import page
from emotion_llama.report.markup import Html, element
from emotion_llama.report.sample_text import clip_in_short, in_order, maker, value_lines
from emotion_llama.report.tables import bullet_list, table


def render_sample_page(sample: Sample, picture_png: bytes | None) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    left = [
        f"{run.status.capitalize()}{' from the fine set' if run.scope == 'fine' else ''} at {stage}: {run.reason}."
        for stage, run in sample.runs.items()
        if run.status != "done"
    ]
    head = [
        element("p", "Sample of an emotion data set", class_="kicker"),
        element("h1", sample.clip.clip_id, dir="auto"),
        element("p", label_of(sample) or "No label", class_="verdict"),
        element("p", clip_in_short(sample), class_="detail"),
    ]
    if left:
        head.append(element("div", element("h2", "Why it left"), bullet_list(left), class_="warnings"))
    rows = [_row(found) for found in in_order(sample)]
    fields = table("Every field and its maker", ("Field", "Value", "By"), rows, "fields stacks")
    body = element(
        "main", element("header", *head), element("div", card(sample, picture_png), class_="examples alone"),
        element("section", element("h2", "All that is known"), fields),
    )  # fmt: skip
    return page(f"{sample.clip.clip_id} · sample of an emotion data set", body)


def _row(found: Field) -> tuple[str, ...]:
    name = found.name.replace("_", " ") + (f" ({found.language})" if found.language else "")
    if found.value is None:
        return name, f"missing: {found.why_missing}", maker(found)
    lines = [element("div", line, dir="auto") for line in value_lines(found.name, found.value)]
    return name, Html("".join(lines)), maker(found)
