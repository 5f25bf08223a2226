"""What comes of a clip: the evidence about each person, the predictions from it, and the whole analysis.

A measurement that could not be made is None with a `Missing` beside it; a prediction that could not be made is a
`Prediction` with its `problem`; never a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from emotion_llama.records import (
    ActionUnits,
    Clip,
    FaceTrack,
    Float,
    PeakFrame,
    Prosody,
    Tone,
    Transcript,
    VoiceTrack,
    Waveform,
    frame_seconds,
    freeze,
    require,
)

HELD_SHARE, SATURATED = 0.1, 4.5  # what a tenth of the time has or exceeds is held; 5 is the most
SHOWN = 0.8  # of 5, held: MER-Factory's threshold of a unit that is present


def held_units(units: ActionUnits) -> dict[str, float]:
    """Unit -> the intensity, 0..5, that it has or exceeds in a tenth of the time in which it was measured.

    This is what a person shows, as against a maximum, which one blurred frame decides. Blinks are left out, and units
    that were not measured.
    """
    return {name: held_value(values, seconds) for name, values, seconds in _measured_times(units)}


def held_value(values: Float, seconds: Float) -> float:
    """What a tenth of the time has or exceeds: the 90th percentile of values [N] that last for `seconds` [N]."""
    order = np.argsort(-values, kind="stable")
    return float(values[order[np.searchsorted(np.cumsum(seconds[order]), HELD_SHARE * seconds.sum() * (1 - 1e-9))]])


def shown_units(units: ActionUnits | None) -> dict[str, float]:
    """Units that are held at 0.8 of 5 or more -> how strongly, the strongest first; empty where none was measured."""
    held = {} if units is None else held_units(units)
    return {name: x for name, x in sorted(held.items(), key=lambda item: (-item[1], item[0])) if x >= SHOWN}


def saturated_units(units: ActionUnits) -> dict[str, float]:
    """Unit -> share of the same time, 0..1, in which it is at 4.5 or more of 5: the most that a person can do."""
    return {name: float(s[values >= SATURATED].sum() / s.sum()) for name, values, s in _measured_times(units)}


def _measured_times(units: ActionUnits) -> Iterator[tuple[str, Float, Float]]:
    """Each unit that was measured: its intensities, and how long each of these frames is shown."""
    lasting, open_eyed = frame_seconds(units.pts_seconds), units.valid & ~units.is_blink
    chosen = open_eyed if open_eyed.any() else units.valid
    for name in units.names:
        rows = chosen & np.isfinite(units.column(name))
        if rows.any():
            yield name, units.column(name)[rows], lasting[rows]


class Turn(NamedTuple):
    """Somebody speaks: when, by which name, and which of the people in view that is, where it is known."""

    start_seconds: float
    end_seconds: float
    speaker: str
    person_id: int | None = None


@dataclass(frozen=True)
class Missing:
    """A measurement that could not be made: `what` names the Evidence field, `reason` says why."""

    what: str
    reason: str


@dataclass(frozen=True, repr=False)
class Evidence:
    """All that was measured of one person in one segment: numbers first, phrases derived from them.

    `usual` is how the same voice sounds over the whole clip, what the tone is relative to; None where it is not.
    """

    action_units: ActionUnits | None = None
    peak_frame: PeakFrame | None = None
    prosody: Prosody | None = None
    tone: Tone | None = None
    transcript: Transcript | None = None
    missing: tuple[Missing, ...] = ()
    usual: Prosody | None = None

    def why_missing(self, what: str) -> str | None:
        """The reason why the field `what` is None, if it is."""
        return next((m.reason for m in self.missing if m.what == what), None)

    def __repr__(self) -> str:
        there = [n for n in ("action_units", "peak_frame", "prosody", "tone", "transcript") if getattr(self, n)]
        return f"Evidence({', '.join(there) or 'none'})"


@dataclass(frozen=True)
class Cue:
    """One piece of evidence and what it speaks for.

    Attributes:
        source: "face", "voice" or "words".
        text: what was measured, readable: "cheek raiser (AU06) 2.1 of 5".
        weights: label -> log-odds that the cue adds (negative: it speaks against).
        origin: the published table, or the project's own, that the weights come from.
        phrase: the same in words that everybody knows, without figures: "a smile that reaches the eyes".
    """

    source: Literal["face", "voice", "words"]
    text: str
    weights: Mapping[str, float]
    origin: str
    phrase: str = ""

    def __post_init__(self) -> None:
        freeze(self, "weights")


@dataclass(frozen=True)
class OutOfDomain:
    """A part of a clip that is unlike all that a model learned from.

    Attributes:
        what: the part, as people name it: "the face".
        score: its distance from what the model learned from, in standard deviations of that.
        threshold: the distance up to which it counts as alike.
    """

    what: str
    score: float
    threshold: float


@dataclass(frozen=True)
class Prediction:
    """An answer about one person in one segment.

    Attributes:
        label: of the label space; None where the answer is "uncertain", where `problem` says why there is no answer,
            and where the answer is a text that names no label.
        probabilities: of every label; None where there are none. Without a label the answer is "uncertain".
        reasoning: why, as people read it.
        raw_text: the text as the model generated it.
        model: what predicted.
        cues: what speaks for which label.
        problem: why there is no answer.
        tokens_in, tokens_out: of prompt and generated text, where they are counted.
        is_cut_off: the text is longer than was allowed, and ends in the middle.
        out_of_domain: what of the clip is unlike all that the model learned from; the label is then a guess.
        probabilities_from: "likelihood" of the labels' tokens, "first tokens" of them, "stated" by the model in its
            reply; None where that is not said.
    """

    label: str | None
    probabilities: Mapping[str, float] | None
    reasoning: str
    raw_text: str
    model: str
    cues: tuple[Cue, ...] = ()
    problem: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    is_cut_off: bool = False
    out_of_domain: tuple[OutOfDomain, ...] = ()
    probabilities_from: str | None = None

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            total = sum(self.probabilities.values())
            # Documents hold six decimals of each.
            require(abs(total - 1.0) < 1e-5, f"probabilities must sum to 1, got {total}")
            freeze(self, "probabilities")
        require(
            self.problem is None or (self.label, self.probabilities) == (None, None),
            f"either an answer or a problem: {self.label = }, {self.problem = }",
        )

    @property
    def is_uncertain(self) -> bool:
        """Whether nothing that was measured carries a label: there are probabilities, and no label."""
        return self.label is None and self.probabilities is not None

    @property
    def probability(self) -> float | None:
        """Probability of `label`."""
        if self.label is None or self.probabilities is None:
            return None
        return self.probabilities[self.label]


@dataclass(frozen=True, repr=False)
class PeakImage:
    """A face at its peak frame, as a page shows it.

    Attributes:
        jpeg: the encoded image.
        width, height: its size in pixels.
        mesh: [478, 2] mesh points in the image's pixels; None where the face was not found again.
    """

    jpeg: bytes
    width: int
    height: int
    mesh: Float | None

    def __repr__(self) -> str:
        return f"PeakImage({self.width}x{self.height}, {len(self.jpeg)} bytes, mesh={self.mesh is not None})"


@dataclass(frozen=True)
class Segment:
    """One person in one stretch of time; `image` is there where it was asked for and the face was tracked."""

    start_seconds: float
    end_seconds: float
    evidence: Evidence
    prediction: Prediction
    image: PeakImage | None = None


@dataclass(frozen=True, repr=False)
class PersonAnalysis:
    """One person of a clip. A voice without a visible face is a person too (`track` is None).

    `person_id` is 1, 2, ... in order of first appearance (or of another program's numbers).
    """

    person_id: int
    is_main: bool
    why: str  # why this person is, or is not, the main one
    track: FaceTrack | None
    segments: tuple[Segment, ...]

    def __repr__(self) -> str:
        return f"PersonAnalysis({self.person_id}, main={self.is_main}, {len(self.segments)} segments)"


@dataclass(frozen=True, repr=False)
class Analysis:
    """Everything that was found in one clip; the main person is the first of `people`.

    `waveform` is the clip's sound at 16 kHz, where it was asked for and there is any.
    """

    clip: Clip
    people: tuple[PersonAnalysis, ...]
    voice: VoiceTrack | None
    model: str
    settings: Mapping[str, object] = field(default_factory=dict)  # options as given, for the record
    warnings: tuple[str, ...] = ()
    seconds_by_stage: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)  # of what measured it, package -> version
    waveform: Waveform | None = None
    # "video", "sound": seconds read, and seconds in the file that were not; "rest": of recordings behind their end
    coverage: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    speakers: tuple[Turn, ...] = ()  # who speaks when; empty where nothing tells voices apart

    def __post_init__(self) -> None:
        freeze(self, "settings", "versions", "seconds_by_stage", "coverage")

    def __repr__(self) -> str:
        return f"Analysis({self.clip.path.name!r}, {len(self.people)} people, model={self.model!r})"
