"""The HTML pages of a data set and of one sample: what `templates/dataset.html.j2` and `sample.html.j2` show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from emotion_llama.merr.overview import Example, Overview
from emotion_llama.merr.records import Json, Sample, label_of, part, peak_units, text_of
from emotion_llama.merr.review.figures import review_lines
from emotion_llama.merr.statistics import Statistics
from emotion_llama.report.charts import Bar
from emotion_llama.report.dataset_text import clip_in_short, in_order, maker, value_lines
from emotion_llama.report.pages import render, thumbnail
from emotion_llama.report.wording import cells, counts_in_words, percent, plain, share_text, unit_name

MAX_BARS = 20
IMAGE_BYTES = 1_500_000  # all images of a page together, base64
LANGUAGES = ("en", "zh")

SECTIONS: Mapping[str, str] = {
    "phases": "What became of the clips",
    "distributions": "What is in it",
    "modalities": "Do face, voice and transcript agree?",
    "quality": "Quality",
    "reviews": "What reviewers decided",
    "comparison": "Beside published data sets",
    "examples": "Examples",
    "makers": "Who made what",
}


Row = tuple[str, ...]  # the cells of a table's row


def render_dataset_page(overview: Overview) -> str:
    """The page of a data set as HTML text, to be written as UTF-8."""
    import yaml

    recipe = yaml.safe_dump(dict(overview.recipe), sort_keys=False, allow_unicode=True) if overview.recipe else ""
    return render(
        "dataset.html.j2",
        *_HELPERS,
        overview=overview,
        found=overview.statistics,
        sections=SECTIONS,
        problems=_problems(overview.statistics),
        example_groups=_example_groups(overview.examples),
        recipe=recipe.rstrip(),
    )


def render_sample_page(sample: Sample, image_png: bytes | None) -> str:
    """The page of one sample as HTML text, to be written as UTF-8."""
    left = [
        f"{run.status.capitalize()}{' from the fine set' if run.scope == 'fine' else ''} at {stage}: {run.reason}."
        for stage, run in sample.runs.items()
        if run.status != "done"
    ]
    return render(
        "sample.html.j2",
        sample=sample,
        label=label_of(sample),
        clip=clip_in_short(sample),
        left=left,
        shown=_card(sample, None if image_png is None else thumbnail(image_png)),
        fields=in_order(sample),
        value_lines=value_lines,
        maker=maker,
    )


def _problems(found: Statistics) -> list[str]:
    problems = [
        f"{what} stand in more than one split: {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}."
        for what, names in (("Persons", found["shared_persons"]), ("Source videos", found["shared_sources"]))
        if names
    ]
    if found["ungrouped"]:
        problems.append(
            f"{found['ungrouped']:,} samples were split each by itself: neither their source nor their person is "
            "known, and one person may stand in two splits."
        )
    return problems


# --- bars -----------------------------------------------------------------------------------------------------------


def phase_bars(found: Statistics) -> list[Bar]:
    """How many clips are left after each phase."""
    bars, left = [], found["clips"]
    for phase in found["phases"]:
        left = min(left, phase["done"] + phase["dropped_fine"])
        bars.append(Bar(plain(phase["stage"]), left, left, f"{left:,}"))
    return bars


def label_bars(found: Statistics) -> list[Bar]:
    """Samples of each label, those with a fine description strongly."""
    bars = [Bar(c["label"], c["fine"], c["coarse"], f"{c['coarse']:,} · {c['fine']:,}") for c in found["labels"]]
    return [*bars, Bar("no label", 0, found["unlabelled"], f"{found['unlabelled']:,}")] if found["unlabelled"] else bars


def unit_bars(found: Statistics) -> list[Bar]:
    """In which share of the peak frames a unit is present."""
    return [
        Bar(c["unit"], c["present"], c["present"], percent(c["present"] / found["peaks"]),
            unit_name(c["unit"]).removeprefix(c["unit"]), f", mean {c['mean_intensity']:.1f}")
        for c in found["units"][:MAX_BARS]
    ]  # fmt: skip


def strength_bars(found: Statistics) -> list[Bar]:
    """Samples by the strength of the expression."""
    strengths = {s: sum(c["strengths"].get(s, 0) for c in found["labels"]) for s in ("slight", "moderate", "strong")}
    others = sum(sum(c["strengths"].values()) for c in found["labels"]) - sum(strengths.values())
    return [*(Bar(name, n, n, f"{n:,}") for name, n in strengths.items()), Bar("not stated", 0, others, f"{others:,}")]


def counted_bars(counts: Mapping[str, int], most: int, before: str = "", *, strong: bool = True) -> list[Bar]:
    """The first `most` counts."""
    return [Bar(f"{before}{name}", n if strong else 0, n, f"{n:,}") for name, n in list(counts.items())[:most]]


def conflict_bars(found: Statistics) -> list[Bar]:
    """Samples by the modalities that point to different labels."""
    return [
        Bar(f"{c['first']} {c['first_label']}, {c['second']} {c['second_label']}", n, n, f"{n:,}")
        for c in found["conflicts"][:MAX_BARS]
        for n in [c["count"]]
    ]


# --- rows -----------------------------------------------------------------------------------------------------------


def unit_shares(found: Statistics) -> tuple[Row, list[tuple[str, list[float], Row]]]:
    """Header and rows of the table of units by label: name, shares 0..1, their texts."""
    rows = []
    for label in found["labels"]:
        shares = [c["by_label"].get(label["label"], 0) / label["coarse"] for c in found["units"]]
        rows.append((label["label"], shares, tuple(f"{100 * share:.0f}" if share else "·" for share in shares)))
    return ("Label", *(c["unit"] for c in found["units"])), rows


def agreement_rows(found: Statistics) -> list[Row]:
    """What each modality alone predicts, against the label."""
    rows: list[Row] = []
    for a in found["agreements"]:
        answered = a["agrees"] + a["disagrees"]
        share = f" ({percent(a['agrees'] / answered)} of those with a label)" if answered else ""
        rows.append(
            (
                a["modality"],
                f"{a['agrees']:,}{share}",
                f"{a['disagrees']:,}",
                f"{a['silent']:,}",
                counts_in_words(a["not_read"]),
            )
        )
    return rows


# --- examples -------------------------------------------------------------------------------------------------------


def _example_groups(chosen: Sequence[Example]) -> list[tuple[str, list[dict[str, Any]]]]:  # label, cards
    left, groups = IMAGE_BYTES, []
    for label, group in groupby(chosen, key=lambda example: label_of(example[0]) or "no label"):
        cards = []
        for sample, image_png in group:
            image = None if image_png is None else thumbnail(image_png)
            if image is not None and 4 * len(image) // 3 > left:
                image = None
            left -= 0 if image is None else 4 * len(image) // 3
            cards.append(_card(sample, image))
        groups.append((label, cards))
    return groups


def _card(sample: Sample, image: bytes | None) -> dict[str, Any]:  # what sample_card.html.j2 shows
    return {
        "clip_id": sample.clip.clip_id,
        "image": image,
        "how_labelled": _how_labelled(sample),
        "transcript": text_of(sample.value("subtitle")),
        "conflicts": [text_of(conflict) or "" for conflict in _list(sample.value("conflicts"))],
        "texts": [_texts(sample, language) for language in LANGUAGES],
    }


def _texts(sample: Sample, language: str) -> dict[str, Any]:  # one language's part of a card
    clues = sample.value("clues", language)
    return {
        "language": language,
        "fine": text_of(sample.value("fine_caption", language)),
        "coarse": text_of(sample.value("coarse_caption", language)),
        "clues": [
            (kind, str(clue))
            for name, kind in (("supporting", "for"), ("misleading", "against"))
            for clue in _list(part(clues, name))
        ],
    }


def _how_labelled(sample: Sample) -> str:
    value = sample.value("label")
    source, strength, confidence = (part(value, name) for name in ("source", "strength", "confidence"))
    if label_of(sample) is None:
        return "no label"
    said = ["label given" if source == "given" else "label by rules"]
    if isinstance(strength, str):
        said.append(strength)
    if isinstance(confidence, (int, float)):
        said.append(f"confidence {confidence:.2f}")
    seconds = part(sample.value("peak"), "pts_seconds")
    if isinstance(seconds, (int, float)):
        units = ", ".join(f"{name} {x:.1f}" for name, x in (peak_units(sample) or {}).items())
        said.append(f"peak at {seconds:.2f} s" + (f" ({units})" if units else ""))
    return "; ".join(said)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


# What the template calls.
_HELPERS = (
    agreement_rows, conflict_bars, counted_bars, label_bars, phase_bars, review_lines, strength_bars, unit_bars,
    unit_shares, cells, counts_in_words, share_text,
)  # fmt: skip
