"""What is asked of an export, and what came of it: options in, a tally out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

from emotion_llama.errors import InputError
from emotion_llama.merr.records import Sample
from emotion_llama.merr.store.rows import Row

Format = Literal["merr", "parquet", "sharegpt", "csv"]
ExportScope = Literal["coarse", "fine", "both"]
Media = Literal["none", "peak", "all"]
UseOfReviews = Literal["honour", "ignore"]
FORMATS: tuple[Format, ...] = get_args(Format)
SCOPES: tuple[ExportScope, ...] = get_args(ExportScope)
MEDIA: tuple[Media, ...] = get_args(Media)
REVIEWS: tuple[UseOfReviews, ...] = get_args(UseOfReviews)
SPLITS = ("train", "validation", "test")
LANGUAGES = ("en", "zh")


class Build(Protocol):
    """What an export reads of a build; `store.Store` has it."""

    @property
    def folder(self) -> Path:
        """Where the build lies."""

    def samples(self, scope: Literal["coarse", "fine", "all"] = "all") -> Iterator[Sample]:
        """Its samples, sorted by clip id."""

    def artifact(self, clip_id: str, name: str) -> bytes | None:
        """A file that a stage made of a clip; None where there is none."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of its ledger; reviews are read with it."""


@dataclass(frozen=True)
class Choice:
    """What to export.

    Attributes:
        scope: clips of the coarse set, of the fine set, or both.
        language: of the descriptions; None takes English where the build has it (files of one language), and all that
            there are (parquet, csv).
        splits: only these; empty for all.
        media: what parquet holds beside the texts: nothing, the peak frames, or peak frames, face crops and sound.
        licence: for the data-set card; None leaves the field open.
        name: of the data set, in the card and in dataset_info.json.
        lines: one JSON object a line (sharegpt), for files too long to be read at once.
        reviews: whether reviewers' decisions count: what they left out is left out, what they fixed is used.

    Raises:
        InputError: a value is none of those listed.
    """

    scope: ExportScope = "both"
    language: str | None = None
    splits: tuple[str, ...] = ()
    media: Media = "none"
    licence: str | None = None
    name: str = "merr"
    lines: bool = False
    reviews: UseOfReviews = "honour"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("scope", self.scope, SCOPES),
            ("media", self.media, MEDIA),
            ("reviews", self.reviews, REVIEWS),
            ("language", self.language, (*LANGUAGES, None)),
            *(("split", split, SPLITS) for split in self.splits),
        ):
            if value not in known:
                words = ", ".join(str(k) for k in known if k is not None)
                raise InputError(f"an export's {what} must be one of {words}; got {value!r}")
        if not self.name or not self.name.replace("-", "_").replace(".", "_").isidentifier():
            raise InputError(f"a data set's name is letters, digits, - and _, got {self.name!r}")


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


class Written(NamedTuple):
    """What a writer made: each file's rows (None: no rows), samples by set, left out by reason, notes."""

    files: dict[str, int | None]
    samples: dict[str, int]
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()


def by_set(choice: Choice, samples: int, fine: int) -> dict[str, int]:
    """Samples of each set that was asked for, in a table that holds a sample once."""
    return {"coarse": samples, "fine": fine} if choice.scope == "both" else {choice.scope: samples}
