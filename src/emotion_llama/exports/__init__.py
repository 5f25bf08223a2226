"""Results of `analyze` in the files that people's tools open: one short module a format.

A format takes the published document of a clip and gives text. To add one: write its module, and name it in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.files import RESULT_SUFFIX, write_whole

if TYPE_CHECKING:
    from emotion_llama.schema import AnalysisDocument


class _Format(NamedTuple):
    """Suffix of the file, "module:function", whether one file holds all clips, and the tool that opens it."""

    suffix: str
    entry: str
    is_whole: bool
    opens_in: str


FORMATS: dict[str, _Format] = {
    "summary": _Format("summary.csv", "summary:summary", True, "R, SPSS, pandas: a row per person and segment"),
    "long": _Format("long.csv", "long:long", True, "R, SPSS, pandas: a row per value, with a codebook"),
    "openface": _Format(".openface.csv", "openface:openface", False, "tools that read OpenFace's CSV"),
    "eaf": _Format(".eaf", "eaf:eaf", False, "ELAN"),
    "textgrid": _Format(".TextGrid", "textgrid:textgrid", False, "Praat"),
    "boris": _Format(".boris.csv", "boris:boris", False, "BORIS, and what reads its tabular events"),
    "bids": _Format("_events.tsv", "bids:bids", False, "tools for BIDS-style events"),
    "srt": _Format(".srt", "captions:srt", False, "players, subtitle editors"),
    "vtt": _Format(".vtt", "captions:vtt", False, "browsers"),
}


def formats_of(text: str) -> tuple[str, ...]:
    """The formats that a list by commas names.

    Raises:
        InputError: one of them is none.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names or (unknown := [name for name in names if name not in FORMATS]):
        raise InputError(
            f"no export format {', '.join(unknown) if names else text!r} (there are: {', '.join(FORMATS)})"
        )
    return names


def read_result(path: Path) -> AnalysisDocument:
    """A stored result.

    Raises:
        InputError: it cannot be read, or is no result of `analyze`.
    """
    from emotion_llama.schema import AnalysisDocument

    try:
        return AnalysisDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is no result of `emotion-llama analyze` ({reason})") from None


def export(
    results: Sequence[tuple[str, AnalysisDocument]], formats: Sequence[str], folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write results in some formats; the files, in order.

    Args:
        results: name of a clip, from which its files are named, and its document.
        formats: of `FORMATS`.
        folder: made where it is not there.
        overwrite: write over files that are there.

    Raises:
        InputError: a file is there already, or a document lacks what a format needs; nothing is written then.
    """
    texts: dict[Path, str] = {}
    for name in formats:
        one = FORMATS[name]
        module, _, function = one.entry.partition(":")
        make: Callable[..., str | dict[str, str]] = getattr(import_module(f"{__name__}.{module}"), function)
        given = [("", results)] if one.is_whole else results
        for clip, what in given:
            made = make(what) if one.is_whole else make(what, clip)
            files = made if isinstance(made, dict) else {one.suffix: made}
            texts |= {folder / f"{clip}{suffix}": text for suffix, text in files.items()}
    if not overwrite and (there := [path for path in texts if path.exists()]):
        raise InputError(f"{there[0]} is there already; give another folder, or --overwrite")
    return [write_whole(path, text) for path, text in texts.items()]


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name for each result file's clip: talk.mp4 of talk.mp4.emotion.json; equal names get their folder in front."""
    names = [path.name.removesuffix(RESULT_SUFFIX).removesuffix(".json") for path in paths]
    return [
        f"{path.absolute().parent.name}_{name}" if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]
