"""The counting sections of a data set's page: phases, distributions, modalities."""

from __future__ import annotations

from collections.abc import Mapping

from emotion_llama.merr.statistics import Statistics
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.report.charts import figure
from emotion_llama.report.dataset_charts import Bar, count_bars, histogram, key, shaded_table
from emotion_llama.report.markup import Html, element
from emotion_llama.report.tables import details, table
from emotion_llama.report.wording import NBSP, percent

MOST_BARS = 20


def plain(name: str) -> str:
    """A field's or phase's name for a reader: "visual_expression" is "visual expression"."""
    return name.replace("_", " ")


def phases(found: Statistics) -> list[Html]:
    """How many clips each phase left in the data set, and why the others went."""
    if not found["phases"]:
        return [element("p", "No stage has run: the samples were imported.", class_="note")]
    rows, left = [], found["clips"]
    for phase in found["phases"]:
        left = min(left, phase["done"] + phase["dropped_fine"])
        rows.append(Bar(plain(phase["stage"]), left, left, f"{left:,}"))
    chart = figure(
        "Clips that are still in after each phase", count_bars(rows, "Clips after each phase"), class_="chart"
    )
    went = [_phase_row(p) for p in found["phases"] if p["reasons"] or p["failed"] or p["dropped"]]
    header = ("Phase", "Dropped", "From the fine set", "Failed", "Why")
    lost = table("Clips that left, by reason", header, went, "stacks") if went else None
    return [chart, lost or element("p", "No clip left the build on its way.", class_="note")]


def _phase_row(phase: Statistics) -> tuple[str, ...]:
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in phase["reasons"].items())
    return (
        plain(phase["stage"]),
        f"{phase['dropped']:,}",
        f"{phase['dropped_fine']:,}",
        f"{phase['failed']:,}",
        reasons or "–",
    )


def distributions(found: Statistics) -> list[Html]:
    """Labels, units, durations, tone, words, texts, splits, coverage."""
    if not found["coarse"]:
        return [element("p", "There is no sample.", class_="note")]
    parts = [_labels(found), _units(found)]
    charts = [c for c in (_strengths(found), _durations(found), _tones(found), _subtitles(found)) if c is not None]
    parts.append(element("div", *charts, class_="pair"))
    parts += [_splits(found), _texts(found), details("Every field: there or missing, and why", _coverage(found))]
    return [part for part in parts if part is not None]


def _labels(found: Statistics) -> Html:
    rows = [Bar(c["label"], c["fine"], c["coarse"], f"{c['coarse']:,} · {c['fine']:,}") for c in found["labels"]]
    if found["unlabelled"]:
        rows.append(Bar("no label", 0, found["unlabelled"], f"{found['unlabelled']:,}"))
    notes = key(("pale", "coarse"), ("strong", "of these fine"))
    return figure("Samples by label: coarse · fine", count_bars(rows, "Samples by label"), notes, class_="chart")


def _units(found: Statistics) -> Html | None:
    if not found["units"]:
        return None
    rows = [
        Bar(c["unit"], c["present"], c["present"], percent(c["present"] / found["peaks"]),
            f" {AU_DESCRIPTIONS.get(c['unit'], '')}", f", mean {c['mean_intensity']:.1f}")
        for c in found["units"][:MOST_BARS]
    ]  # fmt: skip
    labels = [c["label"] for c in found["labels"]]
    totals = {c["label"]: c["coarse"] for c in found["labels"]}
    shares: Mapping[str, list[float | None]] = {
        label: [c["by_label"].get(label, 0) / totals[label] for c in found["units"]] for label in labels
    }
    units = [c["unit"] for c in found["units"]]
    below = shaded_table("Share of a label's samples that show the unit, percent", "Label", units, shares)
    title = f"Action units present at the peak, of {found['peaks']:,} peak frames (0.8 of 5 and more)"
    return figure(title, count_bars(rows, "Units at the peak frames"), below, class_="chart")


def _strengths(found: Statistics) -> Html | None:
    order = ["slight", "moderate", "strong"]
    counts = {s: sum(c["strengths"].get(s, 0) for c in found["labels"]) for s in order}
    others = sum(sum(c["strengths"].values()) for c in found["labels"]) - sum(counts.values())
    rows = [Bar(name, n, n, f"{n:,}") for name, n in counts.items()] + [Bar("none stated", 0, others, f"{others:,}")]
    return figure("Strength of the expression", count_bars(rows, "Strength"), class_="chart")


def _durations(found: Statistics) -> Html | None:
    if found["durations"] is None:
        return None
    d = found["durations"]
    caption = f"Duration, seconds: median {d['median']:.1f}, {d['least']:.1f} to {d['most']:.1f}"
    return figure(caption, histogram(found["duration_seconds"], "s", "Durations"), class_="chart")


def _tones(found: Statistics) -> Html | None:
    if not found["tone_words"]:
        return None
    rows = [Bar(w, n, n, f"{n:,}") for w, n in list(found["tone_words"].items())[:MOST_BARS]]
    return figure(f"Tone words, of {found['tones']:,} voices", count_bars(rows, "Tone words"), class_="chart")


def _subtitles(found: Statistics) -> Html | None:
    if not found["subtitle_sources"]:
        return None
    rows = [Bar(f"from {source}", n, n, f"{n:,}") for source, n in list(found["subtitle_sources"].items())[:8]]
    rows += [Bar(f"language {name}", 0, n, f"{n:,}") for name, n in list(found["subtitle_languages"].items())[:8]]
    return figure("Where the words come from", count_bars(rows, "Subtitles"), class_="chart")


def _splits(found: Statistics) -> Html:
    rows = [
        (s["split"], f"{s['coarse']:,}", f"{s['fine']:,}", f"{s['persons']:,}", f"{s['sources']:,}",
         ", ".join(f"{label}{NBSP}{n:,}" for label, n in s["labels"].items()))
        for s in found["splits"]
    ]  # fmt: skip
    caption = f"Splits; {found['persons']:,} persons and {found['sources']:,} source videos are known"
    return table(caption, ("Split", "Coarse", "Fine", "Persons", "Sources", "Labels"), rows, "stacks")


def _texts(found: Statistics) -> Html:
    rows = [
        (f"{plain(t['name'])} ({t['language']})", f"{t['length']['count']:,}", _spread(t["length"]), f"{t['tokens']:,}",
         _ratio(t["distinct_1"]), _ratio(t["distinct_2"]))
        for t in found["texts"]
    ]  # fmt: skip
    caption = "Descriptions: words (Chinese: characters) and variety. Distinct-n falls as texts are added"
    header = ("Description", "Texts", "Length: median, 10th to 90th percentile", "Tokens", "Distinct-1", "Distinct-2")
    return table(caption, header, rows, "stacks")


def _coverage(found: Statistics) -> Html:
    rows = [
        (plain(c["name"]) + (f" ({c['language']})" if c["language"] else ""), f"{c['present']:,}",
         f"{sum(c['missing'].values()):,}" + (f", {c['not_made']:,} not made" if c["not_made"] else ""),
         "; ".join(f"{reason} ({n:,})" for reason, n in c["missing"].items()) or "–")
        for c in found["coverage"]
    ]  # fmt: skip
    return table(f"Fields of {found['coarse']:,} samples", ("Field", "There", "Missing", "Why"), rows, "stacks")


def modalities(found: Statistics) -> list[Html]:
    """What each modality says of the label, and which contradict each other."""
    rows = [_agreement_row(a) for a in found["agreements"]]
    header = ("Modality", "Says the label", "Says another", "Says nothing", "Not asked")
    agreement = table("Each modality alone, read by rules, against the label", header, rows, "stacks")
    share = percent(found["with_conflict"] / found["coarse"]) if found["coarse"] else "none"
    note = element(
        "p", f"{found['with_conflict']:,} samples ({share}) hold modalities that speak for different labels. They are "
        "flagged and kept: a smile with angry words is what multimodal models have to learn.", class_="note",
    )  # fmt: skip
    if not found["conflicts"]:
        return [agreement, note]
    pairs = [
        Bar(f"{c['first']} {c['first_label']}, {c['second']} {c['second_label']}", n, n, f"{n:,}")
        for c in found["conflicts"][:MOST_BARS]
        for n in [c["count"]]
    ]
    return [agreement, note, figure("Conflicts", count_bars(pairs, "Conflicts by pair"), class_="chart conflicts")]


def _agreement_row(a: Statistics) -> tuple[str, ...]:
    said = a["agrees"] + a["disagrees"]
    agrees = f"{a['agrees']:,}" + (f" ({percent(a['agrees'] / said)} of those that say any)" if said else "")
    not_read = "; ".join(f"{reason} ({n:,})" for reason, n in a["not_read"].items())
    return a["modality"], agrees, f"{a['disagrees']:,}", f"{a['silent']:,}", not_read or "–"


def _spread(s: Statistics) -> str:
    return f"{s['median']:.0f}, {s['low']:.0f} to {s['high']:.0f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
