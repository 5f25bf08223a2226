"""A data set, and one sample of it, as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emotion_llama.merr.overview import Overview
from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.records import FIELDS, Field, Json, Sample, StageRun, is_coarse, is_fine, label_of, text_of
from emotion_llama.merr.review.figures import ReviewStatistics, review_lines
from emotion_llama.merr.statistics import PHASES, Statistics
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.report.console import Printout
from emotion_llama.report.wording import (
    NONE,
    PROSODY_ROWS,
    cells,
    clock,
    counts_in_words,
    figure,
    percent,
    plain,
    printable,
    share_text,
    unit_name,
)

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
DEEP = 3  # levels of a value that are written out


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


# --- one sample -------------------------------------------------------------------------------------------------------


def render_sample_text(sample: Sample, *, width: int = 80, colour: bool = False, encoding: str | None = "utf-8") -> str:
    """A sample as lines of at most `width` columns: its file, every field with its maker, and what became of it."""
    out = Printout(width, colour=colour, encoding=encoding)
    out.line((sample.clip.clip_id, "bold"))
    out.paragraph(clip_in_short(sample), style="dim")
    for stage in sorted(sample.runs, key=_place):
        run = sample.runs[stage]
        if run.status != "done":
            out.paragraph(_what_became(run), style="yellow")
    for found in in_order(sample):
        _field(out, found)
    if sample.artifacts:
        out.line()
        out.line(("files", "bold"))
        for name, path in sorted(sample.artifacts.items()):
            out.paragraph(path, f"  {name:<12}")
    return out.text()


def list_line(sample: Sample) -> str:
    """A clip and its state, on one line for `grep`: its id, a tab, and its label or why it is not in the set."""
    left = [_what_became(sample.runs[s]) for s in sorted(sample.runs, key=_place) if sample.runs[s].status != "done"]
    if left:
        return f"{printable(sample.clip.clip_id)}\t{printable('; '.join(left))}"
    label = label_of(sample)
    state = "fine" if is_fine(sample) else "coarse" if is_coarse(sample) else "not finished"
    return f"{printable(sample.clip.clip_id)}\t{state}" + ("" if label is None else f", {label}")


def _what_became(run: StageRun) -> str:
    scope = " from the fine set" if run.scope == "fine" else ""
    return f"{run.status}{scope} at {run.stage}: {run.reason}"


def clip_in_short(sample: Sample) -> str:
    """The clip's file and its properties, on one line."""
    clip = sample.clip
    parts = [clip.path or "no file"]
    if clip.width and clip.height:
        parts.append(f"{clip.width} × {clip.height} px")
    if clip.frame_count is not None:
        many = "s" * (clip.frame_count != 1)
        parts.append(f"{clip.frame_count} frame{many}" + (f" at {clip.fps:.4g} fps" if clip.fps else ""))
    if clip.duration_seconds is not None:
        parts.append(f"{clip.duration_seconds:.2f} s")
    if clip.has_audio is not None:
        parts.append("audio" if clip.has_audio else "no audio")
    parts += [f"{name} {value}" for name, value in (("person", clip.person), ("source", clip.source)) if value]
    return " · ".join(parts)


def in_order(sample: Sample) -> list[Field]:
    """The sample's fields in the order of a build, languages together."""
    names = list(FIELDS)
    return sorted(
        sample.fields.values(),
        key=lambda f: (names.index(f.name) if f.name in FIELDS else len(names), f.name, f.language),
    )


def maker(found: Field) -> str:
    """The maker of a field, in short: annotator, model, prompt, tokens."""
    p = found.provenance
    parts = [p.annotator if p.model in ("", p.annotator) else f"{p.annotator}, {p.model}"]
    if p.prompt_sha256 is not None:
        parts.append(f"prompt {p.prompt_sha256[:8]}")
    if p.label_shown:
        parts.append("label shown")
    if p.tokens_in is not None or p.tokens_out is not None:
        parts.append(f"{(p.tokens_in or 0) + (p.tokens_out or 0)} tokens")
    return ", ".join(parts)


def value_lines(name: str, value: Json) -> list[str]:
    """A value as lines of text: descriptions as they are, measurements by name, with units where they have one."""
    text = text_of(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [str(item) for item in value] or ["none"]
    if isinstance(value, list):
        return [text_of(item) or _plain(item, DEEP) for item in value] or ["none"]
    if name == "prosody" and isinstance(value, Mapping):
        return [line for key in PROSODY_ROWS if (line := _prosody_line(key, value.get(key))) is not None]
    if isinstance(value, Mapping) and text is not None:
        rest: Json = {k: v for k, v in value.items() if k != "text" and v is not None}
        return [f"“{text}”", *([_plain(rest, DEEP)] if rest else [])]
    if isinstance(value, Mapping):
        return [
            f"{key.replace('_', ' ')}: {_plain(item, DEEP)}"
            for key, item in value.items()
            if item not in (None, "", [], {})
        ]
    return [_plain(value, DEEP)]


def _field(out: Printout, found: Field) -> None:
    language = f" ({found.language})" if found.language else ""
    out.line()
    out.line((f"{found.name.replace('_', ' ')}{language}", "bold"), (f"  {maker(found)}", "dim"))
    if found.value is None:
        out.paragraph(f"missing: {found.why_missing}", "  ", style="yellow")
        return
    for line in value_lines(found.name, found.value):
        out.paragraph(line, "  ", indent=4)


def _prosody_line(key: str, value: Json) -> str | None:
    if not isinstance(value, (int, float)):
        return None
    words, unit, decimals = PROSODY_ROWS[key]
    shown = figure(100 * value if key == "pause_share" else value, decimals)
    return f"{words}: {shown} {unit}".rstrip()


def _plain(value: Json, deep: int) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) >= 5e-4 else "0"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(item, deep - 1) for item in value) or "none"
    if isinstance(value, Mapping):
        if deep == 0:
            return "…"
        if set(value) == {"what", "reason"}:
            return f"{value['what']} ({value['reason']})"
        named = ((AU_DESCRIPTIONS.get(k, ""), k, v) for k, v in value.items() if v is not None)
        return ", ".join(
            f"{k}{f' {words}' if words else ''} {_plain(v, deep - 1)}".replace("_", " ") for words, k, v in named
        )
    return "none" if value is None else str(value)


def _place(stage: str) -> tuple[int, str]:
    return (PHASES.index(stage) if stage in PHASES else len(PHASES)), stage
