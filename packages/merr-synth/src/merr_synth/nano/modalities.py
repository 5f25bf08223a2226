"""What of a clip a system is shown: voice (A), face (V) and words (T), alone and together; the rest is withheld.

Withheld means everywhere: from the encoders' tokens, from the measured cues and from the words. A sense that is
withheld is missing with the reason that the pipeline gives for a clip that does not have it, because a system is to be
tried on what it meets, and no clip says that its sound was taken away for a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.prompts.cues import cue_text
from emotion_llama.results import Evidence, Missing

Sense = Literal["A", "V", "T"]
Senses = frozenset[Sense]
# The sets of the table, by name.
SENSE_SETS: Mapping[str, Senses] = MappingProxyType(
    {
        "A": frozenset({"A"}), "V": frozenset({"V"}), "T": frozenset({"T"}),
        "A+V": frozenset({"A", "V"}), "A+V+T": frozenset({"A", "V", "T"}),
    }
)  # fmt: skip


class Channels(NamedTuple):
    """How what is shown reaches the model: the prompt's layout, and whether the encoders' tokens are in it."""

    layout: str
    has_tokens: bool
    has_cues: bool


# Layouts of the table: the encoders' tokens alone, measured cues in words alone, both.
CHANNELS: Mapping[str, Channels] = MappingProxyType(
    {
        "tokens": Channels("train", True, False),
        "evidence": Channels("evidence", False, True),
        "both": Channels("evidence", True, True),
    }
)
# Encoders of each sense, by the names of `models.clips.ENCODERS`.
ENCODERS: Mapping[Sense, frozenset[str]] = MappingProxyType(
    {"V": frozenset({"image", "face", "temporal"}), "A": frozenset({"audio"}), "T": frozenset()}
)
NO_SOUND = "the file has no sound"
NO_WORDS = "no words came with the clip, none lie beside it, and no recogniser was asked for"
NO_VIDEO = "the file has no video"


class Shown(NamedTuple):
    """What a model is given of one clip: media, words, cues; None where there is nothing of the kind.

    `is_empty`: nothing is to be seen, heard or read, in tokens, cues or words.
    """

    media: ClipFeatures
    words: str | None
    cues: str | None
    is_empty: bool


def shown_of(
    evidence: Evidence,
    media: ClipFeatures,
    senses: Senses,
    channels: Channels,
    *,
    without: frozenset[str] = frozenset(),
) -> Shown:
    """What a model is given of a clip.

    Args:
        evidence: all that was measured of it.
        media: all that its encoders see and hear of it, as features.
        senses: that are shown.
        channels: one of `CHANNELS`.
        without: encoders that are left out besides: of "image", "face", "temporal", "audio".

    Raises:
        InputError: there is no such encoder.
    """
    from emotion_llama.predictors.model_prompts import shortened

    left = shown_evidence(evidence, senses)
    seen = shown_media(media, senses, without) if channels.has_tokens else ClipFeatures()
    said = "" if left.transcript is None else shortened(left.transcript.text)
    has_cues = channels.has_cues and (left.peak_frame is not None or left.prosody is not None or left.tone is not None)
    return Shown(
        seen, said or None, cue_text(left) if channels.has_cues else None, not (any(seen.present) or said or has_cues)
    )


def shown_evidence(evidence: Evidence, senses: Senses) -> Evidence:
    """The evidence without what is withheld, which is missing with the pipeline's own reasons."""
    missing = {one.what: one.reason for one in evidence.missing}
    left = evidence
    if "V" not in senses:
        seen = 0 if evidence.action_units is None else len(evidence.action_units.pts_seconds)
        why = f"no face was found in {seen} frames" if seen else missing.get("action_units", NO_VIDEO)
        missing |= {"action_units": why, "peak_frame": why}
        left = replace(left, action_units=None, peak_frame=None)
    if "A" not in senses:
        missing.pop("tone", None)
        missing["prosody"] = missing.get("prosody", NO_SOUND)
        left = replace(left, prosody=None, tone=None, usual=None)
    if "T" not in senses:
        missing["transcript"] = missing.get("transcript", NO_WORDS)
        left = replace(left, transcript=None)
    return replace(left, missing=tuple(Missing(what, reason) for what, reason in missing.items()))


def shown_media(media: ClipFeatures, senses: Senses, without: frozenset[str] = frozenset()) -> ClipFeatures:
    """The media, as features, without what is withheld and without the encoders `without`.

    Raises:
        InputError: there is no such encoder.
    """
    known = frozenset().union(*ENCODERS.values())
    if unknown := sorted(without - known):
        raise InputError(f"no encoder {unknown[0]!r} can be left out (there are: {', '.join(sorted(known))})")
    gone = without.union(*(encoders for sense, encoders in ENCODERS.items() if sense not in senses))
    return media.without(gone)
