"""Exports of a build: the published MERR files, Parquet for Hugging Face, ShareGPT for LLaMA-Factory, and our CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.merr.io.csv_table import write_csv
from emotion_llama.merr.io.folder import new_export, write_manifest
from emotion_llama.merr.io.merr_files import write_merr
from emotion_llama.merr.io.parquet import write_parquet
from emotion_llama.merr.io.rows import Choice, Rows, Written
from emotion_llama.merr.io.sharegpt import write_sharegpt
from emotion_llama.merr.review.figures import num_reviewed, review_lines
from emotion_llama.merr.statistics import by_size
from emotion_llama.merr.store import Store

Format = Literal["merr", "parquet", "sharegpt", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class ExportTally:
    """What an export wrote.

    Attributes:
        folder: where it is.
        format: in which format.
        files: each file and how many samples it holds; None for files that hold no samples.
        samples: samples written, each counted once, by set ("coarse", "fine").
        left_out: samples that the build has and the export does not, by reason.
        notes: what a user should know before training on it.
    """

    folder: Path
    format: Format
    files: Mapping[str, int | None]
    samples: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The tally in lines, for people."""
        lines = [f"{self.folder}: {self.format}"]
        width = max((len(name) for name in self.files), default=0)
        lines += [
            f"  {name:<{width}}  {'' if count is None else f'{count:,}':>8}".rstrip()
            for name, count in self.files.items()
        ]
        lines.append("samples: " + ", ".join(f"{count:,} {name}" for name, count in self.samples.items()))
        lines += [f"left out: {count:,}: {reason}" for reason, count in self.left_out.items()]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def export_build(
    store: Store, to: Path | None, kind: Format, choice: Choice | None = None, *, force: bool = False
) -> ExportTally:
    """Write what a build holds in one of the formats; the same content gives the same bytes.

    Args:
        store: of the build, open.
        to: the folder; None for `export/FORMAT` in the build's own folder. It holds a complete export exactly when it
            holds export.json.
        kind: "merr", "parquet", "sharegpt" or "csv".
        choice: which samples, in which language; None for all, in English where there is English.
        force: replace what is there, though it is not the build's own export, or was changed since.

    Raises:
        InputError: the build has nothing to export, or the folder holds something that would be lost.
        BackendError: the disk is full or refuses; nothing complete is left behind.
        MissingDependency: pyarrow is not installed (parquet).
    """
    target = (store.folder / "export" / kind if to is None else to).absolute()
    # The one place that names every format: a writer fills a folder with the rows.
    writers: Mapping[Format, Callable[[Path, Rows], Written]] = {
        "merr": write_merr,
        "parquet": write_parquet,
        "sharegpt": partial(write_sharegpt, target=target),
        "csv": write_csv,
    }
    if kind not in writers:
        raise InputError(f"no export format {kind!r} (there are: {', '.join(writers)})")
    rows = Rows(store, choice or Choice(), one_language=kind in ("merr", "sharegpt"))
    own = target.is_relative_to(store.folder.absolute() / "export")
    with new_export(target, own=own, force=force) as half:
        files, samples, notes = writers[kind](half, rows)
        left_out, reviewed = by_size(rows.left_out), rows.reviewed.result()
        if not any(samples.values()):
            reasons = "; ".join(f"{n} {why}" for why, n in list(left_out.items())[:3])
            raise InputError(f"nothing is left to export from {store.folder}" + (f": {reasons}" if reasons else ""))
        used = {name: reviewed[name] for name in ("left_out", "fixed_fields")}
        about = {
            "format": kind,
            "generator": f"emotion-llama {__version__}",
            "scope": rows.choice.scope,
            "languages": list(rows.described),
            "splits": list(rows.choice.splits) or "all",
            "media": rows.choice.media,
            "reviews": "ignored" if rows.choice.reviews == "ignore" else {"reviewed": num_reviewed(reviewed), **used},
            "samples": samples,
            "left_out": dict(sorted(left_out.items())),
        }
        write_manifest(half, about)
    return ExportTally(target, kind, files, samples, left_out, (*notes, *review_lines(reviewed)))
