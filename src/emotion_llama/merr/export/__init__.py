"""Exports of a build: the published MERR files, Parquet for Hugging Face, ShareGPT for LLaMA-Factory, and our CSV."""

from __future__ import annotations

from pathlib import Path

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.merr.export.choice import FORMATS, Build, Choice, ExportTally, Format, Written
from emotion_llama.merr.export.folder import new_export, write_manifest
from emotion_llama.merr.export.merr_files import write_merr
from emotion_llama.merr.export.selection import Selection, select
from emotion_llama.merr.review_figures import num_reviewed, review_lines

__all__ = ["FORMATS", "Build", "Choice", "ExportTally", "Format", "default_folder", "export_build"]


def export_build(
    build: Build, to: Path | None, kind: Format, choice: Choice | None = None, *, force: bool = False
) -> ExportTally:
    """Write what a build holds in one of the formats; the same content gives the same bytes.

    Args:
        build: an open `store.Store`.
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
    if kind not in FORMATS:
        raise InputError(f"no export format {kind!r} (there are: {', '.join(FORMATS)})")
    target = (default_folder(build, kind) if to is None else to).absolute()
    selection = select(build, choice or Choice(), one_language=kind in ("merr", "sharegpt"))
    own = target.is_relative_to(build.folder.absolute() / "export")
    with new_export(target, own=own, force=force) as half:
        written = _write(half, kind, selection, target)
        if not any(written.samples.values()):
            reasons = "; ".join(f"{n} {why}" for why, n in sorted(written.left_out.items(), key=lambda i: -i[1])[:3])
            raise InputError(f"nothing is left to export from {build.folder}" + (f": {reasons}" if reasons else ""))
        write_manifest(half, _about(kind, selection, written))
    left_out = dict(sorted(written.left_out.items(), key=lambda item: (-item[1], item[0])))
    notes = (*written.notes, *review_lines(selection.reviewed.result()))
    return ExportTally(target, kind, written.files, written.samples, left_out, notes)


def default_folder(build: Build, kind: Format) -> Path:
    """Where an export goes unless told otherwise."""
    return build.folder / "export" / kind


def _write(half: Path, kind: Format, selection: Selection, target: Path) -> Written:
    if kind == "merr":
        return write_merr(half, selection)
    if kind == "csv":
        from emotion_llama.merr.export.csv_table import write_csv

        return write_csv(half, selection)
    if kind == "sharegpt":
        from emotion_llama.merr.export.sharegpt import write_sharegpt

        return write_sharegpt(half, selection, target)
    from emotion_llama.merr.export.parquet import write_parquet

    return write_parquet(half, selection)


def _about(kind: Format, selection: Selection, written: Written) -> dict[str, object]:
    choice = selection.choice
    return {
        "format": kind,
        "generator": f"emotion-llama {__version__}",
        "scope": choice.scope,
        "languages": list(selection.described),
        "splits": list(choice.splits) or "all",
        "media": choice.media,
        "reviews": _use_of_reviews(selection),
        "samples": written.samples,
        "left_out": dict(sorted(written.left_out.items())),
    }


def _use_of_reviews(selection: Selection) -> object:
    if selection.choice.reviews == "ignore":
        return "ignored"
    found = selection.reviewed.result()
    return {"reviewed": num_reviewed(found), "left_out": found["left_out"], "fixed_fields": found["fixed_fields"]}
