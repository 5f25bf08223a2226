"""Evidence as it would be measured of a clip that was only planned: figures of measured clips, moved by the plan.

A planned clip's true figures x give measured ones by a conditional bootstrap: one of the `NEIGHBOURS` measured clips
with the most similar true figures is drawn, and its measured figures y_i are moved along a ridge regression W of
measured on true figures, y = y_i + (x - x_i) W. Gains, offsets and cross-talk between units are W's; the noise, its
skew, its correlation between figures and which figures cannot be measured at all are those of the drawn clip. Our own
choice.

Notation: N measured clips, D true figures, F measured figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.face.peak import REPORT_ABOVE
from emotion_llama.records import AU_NAMES, ActionUnits, Float, PeakFrame, Prosody, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.speech.prosody import to_semitones
from emotion_llama.speech.tone import describe_tone, why_no_voice
from merr_synth.render.motion import unit_curves
from merr_synth.render.plan import ClipPlan

NEIGHBOURS = 12
RIDGE = 1.0  # in units of standardised figures
FEWEST = 30  # measured clips, below which there is no fit
# Measured figures of a voice: all that prosody holds.
VOICE_FIGURES: tuple[str, ...] = (
    "speech_seconds", "voiced_seconds", "pitch_median_semitones", "pitch_range_semitones",
    "pitch_slope_semitones_per_second", "loudness_median_db", "loudness_range_db", "syllables_per_second",
    "articulation_rate", "pause_count", "pause_share", "harmonicity_db", "pitch_perturbation_percent",
    "loudness_perturbation_db", "tremor_depth_percent", "tilt_db",
)  # fmt: skip
_SIGNED = frozenset({"pitch_slope_semitones_per_second", "loudness_median_db", "harmonicity_db", "tilt_db"})
_PEAK_SPREAD_SECONDS = 0.15  # of the found peak around the true one; own
# Why a modality is missing, as the pipeline says it.
NO_FACE = ("no face was found in {frames} frames", "the file has no video", "the face was not seen in this segment")
NO_VOICE = ("the file has no sound", "no speech was heard in this segment")
NO_WORDS = (
    "no words came with the clip, none lie beside it, and no recogniser was asked for",
    "nothing was said in this segment", "not given",
)  # fmt: skip


class Pair(NamedTuple):
    """A planned clip, and what was measured of it once it was rendered."""

    plan: ClipPlan
    evidence: Evidence


@dataclass(frozen=True, repr=False)
class Likeness:
    """The bootstrap of one modality: true [N, D], measured [N, F], NaN where it could not be, slopes [D, F]."""

    true: Float
    measured: Float
    slopes: Float
    spread: Float  # [D] of the true figures

    @classmethod
    def fit(cls, true: Float, measured: Float) -> Likeness:
        """Fit to N clips.

        Raises:
            InputError: there are too few.
        """
        if len(true) < FEWEST:
            raise InputError(
                f"{len(true)} measured clips came to learn from how measuring errs, expected {FEWEST} or more"
            )
        spread = np.maximum(true.std(axis=0), 1e-6)
        standard = (true - true.mean(axis=0)) / spread
        slopes = np.zeros((true.shape[1], measured.shape[1]))
        for column in range(measured.shape[1]):
            there = np.isfinite(measured[:, column])
            if there.sum() >= 2:
                x = standard[there] - standard[there].mean(axis=0)
                y = measured[there, column] - measured[there, column].mean()
                slopes[:, column] = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
        return cls(true, measured, slopes / spread[:, None], spread)

    def draw(self, x: Float, rng: np.random.Generator) -> Float:
        """[F] figures as they may be measured where [D] is true; NaN where they cannot."""
        distance = (((self.true - x) / self.spread) ** 2).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        chosen = int(rng.choice(nearest))
        drawn: Float = self.measured[chosen] + (x - self.true[chosen]) @ self.slopes
        return drawn

    def __repr__(self) -> str:
        return f"Likeness({self.true.shape[1]} true -> {self.measured.shape[1]} measured, {len(self.true)} clips)"


@dataclass(frozen=True)
class Measuring:
    """How faces and voices are measured, learnt from rendered clips."""

    face: Likeness
    voice: Likeness

    @classmethod
    def fit(cls, pairs: Sequence[Pair]) -> Measuring:
        """Learn from clips with a face and clips with a voice.

        Raises:
            InputError: too few of either.
        """
        faces = [
            pair for pair in pairs if pair.evidence.peak_frame is not None and pair.evidence.action_units is not None
        ]
        voices = [pair for pair in pairs if pair.evidence.prosody is not None]
        return cls(
            Likeness.fit(_rows([_true_face_at_peak(p) for p in faces]), _rows([_measured_face(p) for p in faces])),
            Likeness.fit(_rows([true_voice(p.plan) for p in voices]), _rows([_measured_voice(p) for p in voices])),
        )

    def evidence(self, plan: ClipPlan, words: str, rng: np.random.Generator) -> Evidence:
        """What may be measured of a planned clip that says `words`."""
        missing: list[Missing] = []
        units, peak = (None, None) if "no_face" in plan.missing else self._face(plan, rng)
        if peak is None:
            why = str(rng.choice(NO_FACE)).format(frames=plan.num_frames)
            missing += [Missing("action_units", why), Missing("peak_frame", why)]
        prosody = None if "silent" in plan.missing else self._prosody(plan, rng)
        if prosody is None:
            missing.append(Missing("prosody", str(rng.choice(NO_VOICE))))
        elif (problem := why_no_voice(prosody)) is not None:
            missing.append(Missing("tone", problem))
        told = None if "no_words" in plan.missing else Transcript((TranscriptLine(words),), "given", "en")
        if told is None:
            missing.append(Missing("transcript", str(rng.choice(NO_WORDS))))
        return Evidence(units, peak, prosody, describe_tone(prosody), told, tuple(missing))

    def _face(self, plan: ClipPlan, rng: np.random.Generator) -> tuple[ActionUnits, PeakFrame]:
        at = float(np.clip(plan.apex_seconds + rng.normal(0, _PEAK_SPREAD_SECONDS), 0, plan.duration_seconds))
        talks = _talks(plan, at)
        drawn = self.face.draw(np.append(unit_curves(plan.events, np.array([at]))[0], float(talks)), rng)
        levels, when = np.clip(np.nan_to_num(drawn[:-2]), 0, 5), float(np.clip(drawn[-2], 0, plan.duration_seconds))
        is_speech = bool(np.nan_to_num(drawn[-1]) >= 0.5)
        shown = {name: float(x) for name, x in zip(AU_NAMES, levels) if x > REPORT_ABOVE}
        peak = PeakFrame(
            0, when, float(levels.sum()), "all", None, dict(sorted(shown.items(), key=lambda item: -item[1])), "planned"
        )
        one = np.ones(1)
        flags = np.zeros(1, bool)
        units = ActionUnits(
            AU_NAMES, when * one, levels[None], one, flags, np.array([is_speech]), "population", "planned"
        )  # fmt: skip
        return units, peak

    def _prosody(self, plan: ClipPlan, rng: np.random.Generator) -> Prosody:
        values = dict(zip(VOICE_FIGURES, self.voice.draw(true_voice(plan), rng).tolist()))
        figures = {
            name: None if not np.isfinite(x) else x if name in _SIGNED else max(x, 0.0) for name, x in values.items()
        }
        for name in ("speech_seconds", "voiced_seconds"):
            figures[name] = figures[name] or 0.0
        pauses, share, pitch = figures.pop("pause_count"), figures["pause_share"], figures["pitch_median_semitones"]
        if share is not None:
            figures["pause_share"] = min(share, 0.95)
        return Prosody(
            pitch_median_hz=None if pitch is None else 27.5 * 2 ** (pitch / 12),
            pause_count=None if pauses is None else round(pauses),
            backend="planned",
            **figures,  # type: ignore[arg-type]
        )


def true_voice(plan: ClipPlan) -> Float:
    """[D] what a voice was made of: the speaker's figures moved by the emotion's, and how long the sentence is."""
    p, speaker = plan.prosody, plan.voice
    return np.array(
        [
            float(to_semitones(speaker.pitch_hz)) + p.pitch_shift_semitones, p.pitch_range_semitones,
            p.slope_semitones_per_second, p.ending, p.articulation_rate * speaker.rate_factor,
            p.loudness_db + speaker.loudness_offset_db, p.pause_share, p.tremor_percent, p.jitter_percent,
            p.harmonicity_db, p.softness_db, min(plan.duration_seconds, 5.0),
        ]
    )  # fmt: skip


def _true_face_at_peak(pair: Pair) -> Float:
    """[D] units drawn at the frame that was measured as the strongest, and whether the person talks then."""
    peak = pair.evidence.peak_frame
    assert peak is not None
    at = peak.pts_seconds
    return np.append(unit_curves(pair.plan.events, np.array([at]))[0], float(_talks(pair.plan, at)))


def _measured_face(pair: Pair) -> Float:
    """[F] measured units there, its time, and whether the person was taken to talk."""
    units, peak = pair.evidence.action_units, pair.evidence.peak_frame
    assert units is not None
    assert peak is not None
    levels = [float(units.column(name)[peak.row]) if name in units.names else np.nan for name in AU_NAMES]
    return np.array([*levels, peak.pts_seconds, float(units.is_speech[peak.row])])


def _measured_voice(pair: Pair) -> Float:
    values = [getattr(pair.evidence.prosody, name) for name in VOICE_FIGURES]
    return np.array([np.nan if value is None else float(value) for value in values])


def _talks(plan: ClipPlan, at_seconds: float) -> bool:
    return "silent" not in plan.missing and plan.speech_start_seconds <= at_seconds <= plan.duration_seconds - 0.3


def _rows(rows: Sequence[Float]) -> Float:
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)
