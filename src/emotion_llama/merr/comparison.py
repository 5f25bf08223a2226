"""The published table of which data set has which annotations, with a row for a build of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from emotion_llama.merr.figures import Statistics

# The page says of each data set whether it is large enough, not from which size on. EMER, which it calls too small,
# has 332 samples at most; the smallest that it calls large enough has some thousands. Own choice between them.
ENOUGH_SAMPLES = 1000
# Column -> the field that fills it.
FIELD_OF: Mapping[str, str] = {
    "audio_description": "audio_tone",
    "visual_objective_description": "visual_objective",
    "visual_expression_description": "visual_expression",
    "classification_label": "label",
    "multimodal_description": "fine_caption",
}


@dataclass(frozen=True)
class ComparisonRow:
    """One data set: what it has, by column; `shares` of its samples that have it where that is known."""

    name: str
    has: Mapping[str, bool]
    shares: Mapping[str, float]
    coarse: int | None
    fine: int | None
    is_own: bool = False


@dataclass(frozen=True)
class Comparison:
    """Columns with their titles, rows, and where the published rows come from."""

    columns: Mapping[str, str]
    rows: tuple[ComparisonRow, ...]
    source: str


def compare(statistics: Statistics, name: str) -> Comparison:
    """The published rows, and that of a build called `name`.

    A build has an annotation when any of its samples has it; beside it stands the share that does. Its quantity is
    sufficient from 1,000 samples on.
    """
    import yaml

    text = resources.files("emotion_llama.merr").joinpath("data/comparison.yaml").read_text(encoding="utf-8")
    published = yaml.safe_load(text)
    columns = dict(published["columns"])
    rows = [
        ComparisonRow(row, dict(zip(columns, marks, strict=True)), {}, sizes.get("coarse"), sizes.get("fine"))
        for row, marks, sizes in ((r, m, published["sizes"].get(r, {})) for r, m in published["rows"].items())
    ]
    return Comparison(columns, (*rows, _own_row(statistics, name)), published["source"])


def _own_row(statistics: Statistics, name: str) -> ComparisonRow:
    shares = {column: _share(statistics, field) for column, field in FIELD_OF.items()}
    has = {"sufficient_quantity": statistics.coarse >= ENOUGH_SAMPLES, **{c: s > 0 for c, s in shares.items()}}
    return ComparisonRow(name, has, shares, statistics.coarse, statistics.fine, is_own=True)


def _share(statistics: Statistics, field: str) -> float:
    """Share of the coarse set that has the field, in the language that has it most often."""
    if not statistics.coarse:
        return 0.0
    if field == "fine_caption":  # one that was dropped from the fine set does not count
        return statistics.fine / statistics.coarse
    return max((c.present for c in statistics.coverage if c.name == field), default=0) / statistics.coarse
