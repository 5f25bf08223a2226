"""The figures of `nano_tables` as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
LAYOUT_NAMES = {"tokens": "tokens only", "evidence": "cues only", "both": "both", "-": ""}
# What was expected before anything was measured: figure, least or most, and where it stands below.
LEAST_UAR, LEAST_GAIN, LEAST_CONFLICT, LEAST_NAMED, MOST_INVENTED = 0.85, 0.10, 0.75, 0.80, 0.05


def markdown(found: Json) -> str:
    """All tables."""
    about = found["about"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in about["kinds"].items())
    parts = [
        f"# {about['model']} on rendered clips\n\n"
        f"{about['clips']} clips of split {about['split']}, {about['people']} people ({kinds}). "
        f"Intervals are 95 % bootstrap intervals over people ({about['resamples']} draws). A clip without an answer is "
        "wrong; a model is not asked about a clip of which nothing is shown. A: voice, V: face, T: words; what is not "
        "in a set is withheld from tokens, cues and words. Figures on rendered clips say nothing about real footage.",
        "## Expected and reached\n\n" + goals(found),
        *(f"## Labels: {title}\n\n{labels(found, part)}" for part, title in PARTS if has_part(found, part)),
        "## Model minus rules, UAR\n\n" + versus_rules(found),
        "## All modalities minus the best single one, UAR\n\n" + versus_single(found),
        "## Right answers by kind of clip, A+V+T\n\n" + by_kind(found),
    ]
    if found["reasons"]:
        parts.append("## Reasons, A+V+T, both\n\n" + reasons(found))
    parts.append("## Calibration, A+V+T\n\n" + calibrations(found))
    if len(found["ablations"]) > 2:
        parts.append("## Ablations, A+V+T\n\n" + ablations(found))
    return "\n\n".join(parts) + "\n"


PARTS = (("all", "all clips"), ("conflict", "conflict cases"))


def has_part(found: Json, part: str) -> bool:
    """Whether there are such clips."""
    return any(row["part"] == part for row in found["labels"])


def goals(found: Json) -> str:
    """What was expected beside what was reached, by layout "both"."""
    whole = {"system": "model", "senses": "A+V+T", "layout": "both"}
    gain, told = row_of(found["versus_single"], layout="both"), row_of(found["reasons"], kind="all")
    wanted = (
        ("UAR, A+V+T", LEAST_UAR, row_of(found["labels"], part="all", **whole), "uar"),
        (f"UAR, A+V+T minus the best single modality ({gain.get('best_single')})", LEAST_GAIN, gain, "difference"),
        ("UAR, conflict cases", LEAST_CONFLICT, row_of(found["labels"], part="conflict", **whole), "uar"),
        ("told cues named", LEAST_NAMED, told, "share_named"),
        ("named cues invented", -MOST_INVENTED, told, "share_invented"),
    )
    rows = []
    for name, bound, row, key in wanted:
        value = row.get(key)
        if value is not None:
            is_reached = value[0] >= bound if bound > 0 else value[0] < -bound
            sign = ">=" if bound > 0 else "<"
            rows.append((name, f"{sign} {abs(bound):.2f}", ranged(value), "yes" if is_reached else "no"))
    return table(("figure", "expected", "reached", ""), rows)


def labels(found: Json, part: str) -> str:
    """UAR, WAR, weighted F1 by modality and layout."""
    rows = [row for row in found["labels"] if row["part"] == part]
    cells = []
    for senses in dict.fromkeys(row["senses"] for row in rows):
        for row in (row for row in rows if row["senses"] == senses):
            who = "rules" if row["system"] == "rules" else LAYOUT_NAMES[row["layout"]]
            figures = [ranged(row[name]) for name in ("uar", "accuracy", "weighted_f1")]
            cells.append((senses, who, *figures, str(row["unanswered"]), number(row["answered_accuracy"], 3)))
    clips = rows[0]["clips"]
    heads = ("shown", "layout", "UAR", "WAR", "weighted F1", f"no answer (of {clips})", "WAR of the answered")
    return table(heads, cells)


def versus_rules(found: Json) -> str:
    """Differences with p values."""
    cells = [
        (
            row["part"], row["senses"], LAYOUT_NAMES[row["layout"]], ranged(row["difference"], signed=True),
            f"{row['only_first']} / {row['only_second']}", p_text(row["p_value"]), p_text(row["p_holm"]),
        )
        for row in found["versus_rules"]
    ]  # fmt: skip
    heads = ("clips", "shown", "layout", "difference", "only model / rules right", "p (McNemar)", "p (Holm)")
    return table(heads, cells)


def versus_single(found: Json) -> str:
    """Gains by layout."""
    cells = [
        (
            LAYOUT_NAMES[row["layout"]], row["best_single"], ranged(row["difference"], signed=True),
            f"{row['only_first']} / {row['only_second']}", p_text(row["p_value"]),
        )
        for row in found["versus_single"]
    ]  # fmt: skip
    return table(("layout", "best single", "difference", "only all / single right", "p (McNemar)"), cells)


def by_kind(found: Json) -> str:
    """Accuracy by kind of clip."""
    names = ("tokens", "evidence", "both", "rules")
    cells = [
        (row["kind"], str(row["clips"]), *(number(row["accuracy"][name], 3) for name in names))
        for row in found["kinds"]
    ]
    return table(("kind", "clips", *(LAYOUT_NAMES.get(name, name) for name in names)), cells)


def reasons(found: Json) -> str:
    """Cues told, named, invented; quotations; what is true of the rendering."""
    cells = [
        (
            row["kind"], str(row["clips"]), ranged(row["share_named"]), ranged(row["share_invented"]),
            f"{row['quotations_right']} of {row['quotations']}", f"{row['readings_right']} of {row['readings']}",
            number(row["names_the_label"], 3),
            share(row["true_told"], row["true"]), share(row["true_named"], row["true"]),
            share(row["untrue_named"], row["named"]),
        )
        for row in found["reasons"]
    ]  # fmt: skip
    heads = (
        "kind", "clips", "told cues named", "named cues invented", "quotations right", "words read right",
        "names its label", "true cues told", "true cues named", "named cues untrue",
    )  # fmt: skip
    return (
        table(heads, cells)
        + "\n\nTold cues are those that measuring found; true ones those that were drawn and voiced. What measuring "
        "misses can be named by accident alone. A cue is untrue where no unit of it moves in the whole clip, or the "
        "voice is clearly otherwise. Words are read right where they are said to speak of what this project's lexicon "
        "finds in them."
    )


def calibrations(found: Json) -> str:
    """Calibration error before and after temperature scaling."""
    cells = [
        (LAYOUT_NAMES[row["layout"]], *(number(row[name], 3) for name in ("temperature", "ece", "brier", "log_loss")))
        for row in found["calibration"]
    ]
    text = table(("layout", "temperature", "ECE", "Brier", "log loss"), cells)
    return text + "\n\nTemperatures other than 1 are fitted to the validation clips."


def ablations(found: Json) -> str:
    """Models beside each other."""
    cells = []
    for row in found["ablations"]:
        conflict = None if row["conflict"] is None else row["conflict"]["uar"]
        figures = [ranged(row[name]) for name in ("uar", "accuracy", "weighted_f1")]
        minus = row.get("difference")
        gap = ("", "") if minus is None else (ranged(minus["difference"], signed=True), p_text(minus["p_value"]))
        cells.append((LAYOUT_NAMES[row["layout"]], row["name"], *figures, ranged(conflict), *gap))
    against = f"UAR minus {found['ablations'][0]['against']}"
    return table(("layout", "model", "UAR", "WAR", "weighted F1", "UAR, conflict", against, "p (McNemar)"), cells)


# --- cells -----------------------------------------------------------------------------------------------------------


def row_of(rows: Iterable[Json], **wanted: object) -> Json:
    """The row with these values; empty where there is none."""
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), {})


def ranged(value: Sequence[float] | None, *, signed: bool = False) -> str:
    """A figure with its interval."""
    if value is None:
        return "none"
    first, low, high = (f"{x:+.3f}" if signed else f"{x:.3f}" for x in value)
    return f"{first} ({low} to {high})"


def number(value: float | None, digits: int) -> str:
    """A figure without one."""
    return "none" if value is None else f"{value:.{digits}f}"


def share(count: int, of: int) -> str:
    """A share of counts."""
    return number(count / of, 3) if of else "none"


def p_text(value: float) -> str:
    """A p value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
