"""The review page's requests and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from emotion_llama.merr.review.decisions import MAX_COMMENT, MAX_NAME, Decision
from emotion_llama.merr.review.figures import Flag
from emotion_llama.merr.review.fixes import FixKind
from emotion_llama.serve.problems import Schema

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, strip_whitespace=True)]
PictureName = Literal["peak_frame", "face_crop"]


class Clues(Schema):
    """Clues that speak for the label, and those that do not."""

    supporting: list[str] = Field(max_length=60)
    misleading: list[str] = Field(max_length=60)


FixValue = str | list[str] | Clues | None


class ReviewSet(Schema):
    """The build that is reviewed. `labels` are those that a reviewer can choose from."""

    name: str
    samples: int
    labels: list[str]
    reviewers: list[str]


class Row(Schema):
    """One sample of the list; see `merr.review.figures.index`."""

    clip_id: str
    label: str | None
    confidence: float | None
    flags: list[Flag]
    mine: Decision | None
    reviews: int


class Rows(Schema):
    """All samples, by id."""

    samples: list[Row]


class Given(Schema):
    """A review as it was given. `holds`: the sample is still as the reviewer saw it."""

    reviewer: str
    decision: Decision
    stars: int | None
    comment: str
    fixes: dict[str, FixValue]
    reviewed_at: str
    holds: bool


class ShownField(Schema):
    """A field of the sample.

    `kind` says how it is fixed, None where nobody fixes it; `value` is what a fix starts from, `lines` the whole.
    """

    column: str
    title: str
    language: str
    kind: FixKind | None
    value: FixValue
    lines: list[str]
    why_missing: str | None
    maker: str


class Unit(Schema):
    """An action unit at the peak frame, intensity 0..5."""

    name: str
    words: str
    intensity: float


class Peak(Schema):
    """The frame of strongest expression."""

    frame_index: int
    pts_seconds: float
    why: str
    units: list[Unit]


class ClipFacts(Schema):
    """The media file: its name without its folder, and what is known of it."""

    file: str | None
    duration_seconds: float | None
    fps: float | None
    width: int | None
    height: int | None
    has_audio: bool | None
    person: str | None
    source: str | None


class Shown(Schema):
    """One sample with everything that a reviewer looks at.

    `state` is sent back with a decision, so that nobody decides on what has changed meanwhile. `others` are told only
    to a reviewer who has decided.
    """

    clip_id: str
    state: str
    label: str | None
    flags: list[Flag]
    clip: ClipFacts
    media: Literal["video", "sound"] | None
    pictures: list[PictureName]
    has_sound: bool
    peak: Peak | None
    fields: list[ShownField]
    left_fine: str | None
    mine: Given | None
    history: list[Given]
    others: list[Given]


class UnitCurve(Schema):
    """An action unit over time; null where the face was not seen."""

    name: str
    words: str
    intensity: list[float | None]


class Curves(Schema):
    """The strongest action units over time, at `pts_seconds`; strongest first."""

    pts_seconds: list[float]
    units: list[UnitCurve]


class DecisionForm(Schema):
    """A decision on a sample. `fixes` go with the decision "fix": column -> new value, null to take a text away."""

    clip_id: str = Field(min_length=1, max_length=1000)
    state: str = Field(min_length=1, max_length=64)
    reviewer: Name
    decision: Decision
    stars: Annotated[int, Field(ge=1, le=5)] | None = None
    comment: str = Field(default="", max_length=MAX_COMMENT)
    fixes: dict[str, FixValue] = Field(default_factory=dict, max_length=60)


class ReviewerFigures(Schema):
    """One reviewer's decisions on samples as they are now."""

    reviewer: str
    reviewed: int
    accepted: int
    fixed: int
    rejected: int
    starred: int
    mean_stars: float | None


class AgreementFigures(Schema):
    """How many judgements were compared, the share that is equal, and Cohen's kappa."""

    compared: int
    equal: float | None
    kappa: float | None


class PairFigures(Schema):
    """Two reviewers on the samples that both reviewed."""

    first: str
    second: str
    decisions: AgreementFigures
    labels: AgreementFigures


class ReviewFigures(Schema):
    """Progress and agreement; see `merr.review.figures.ReviewCounter.result`."""

    samples: int
    reviewed: int
    left_out: int
    disputed: int
    out_of_date: int
    disputed_texts: int
    outcomes: dict[str, int]
    fixed_fields: dict[str, int]
    reviewers: list[ReviewerFigures]
    pairs: list[PairFigures]
