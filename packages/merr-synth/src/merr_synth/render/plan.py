"""What each clip of a rendered data set will be, decided before anything is rendered.

A plan holds everything: rendering it twice gives the same clip. Splits share no person, voice, setting or sentence: the
numbers that these are drawn from have the split's name in them, and sentence templates belong to one split.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from merr_synth.render.affect import ProsodyPlan, draw_expression, draw_prosody
from merr_synth.render.conflicts import CONFLICTS, ConflictKind, kinds_for
from merr_synth.render.motion import UnitEvent
from merr_synth.render.sentences import AMBIGUOUS, SPLITS, Sentence, draw_sentence
from merr_synth.render.speaker import Voice, draw_voice, plan_speech

Missing = Literal["silent", "no_face", "no_words"]
MISSING: tuple[tuple[Missing, ...], ...] = (
    ("silent",), ("no_face",), ("no_words",),
    ("silent", "no_words"), ("no_face", "no_words"), ("silent", "no_face"),
)  # fmt: skip
SPLIT_SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "validation": 0.15, "test": 0.15})
AMBIGUOUS_SHARE = 0.12  # of the clips without conflict or gap: their words tell nothing
CLIPS_PER_SOURCE, SOURCES_PER_PERSON = 2, 2
SPEECH_STARTS = (0.15, 0.30)
SPEECH_ENDS_BEFORE = 0.20  # the end of the clip
APEX_SHARES = (0.35, 0.65)
FACE_STRENGTH, VOICE_STRENGTH = (0.9, 1.35), (0.75, 1.15)
FEWEST_SYLLABLES = 4
_SENTENCE_TRIES = 25


@dataclass(frozen=True)
class ClipPlan:
    """One clip.

    Attributes:
        id: name of its files.
        split: "train", "validation" or "test".
        seed: of what is left to chance: blinks, head motion, the sensor's noise.
        label: what is true of the person.
        face_label, voice_label, words_label: what each shows; None where it is missing, or where the words tell
            nothing.
        conflict: a key of `CONFLICTS`, or None.
        missing: what the clip lacks.
        source: the video it is cut from, as it were: one person, one place.
        person: who; the same in several sources.
        person_seed, setting_seed: for the picture.
        voice: who speaks.
        text, template_id: what is said.
        prosody: how.
        events: what the face does; blinks and the talking mouth come on top.
        apex_seconds: when it is strongest.
        speech_start_seconds: when the first sound comes.
        duration_seconds, fps, size: of the clip; size is width and height in pixels.
    """

    id: str
    split: str
    seed: int
    label: str
    face_label: str | None
    voice_label: str | None
    words_label: str | None
    conflict: str | None
    missing: tuple[Missing, ...]
    source: str
    person: str
    person_seed: int
    setting_seed: int
    voice: Voice
    text: str
    template_id: str
    prosody: ProsodyPlan
    events: tuple[UnitEvent, ...]
    apex_seconds: float
    speech_start_seconds: float
    duration_seconds: float
    fps: float
    size: tuple[int, int]

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        return round(self.duration_seconds * self.fps)


class _Format(NamedTuple):
    size: tuple[int, int]
    fps: float
    seconds: float


class _Role(NamedTuple):
    """What a clip shows, before anybody is cast."""

    label: str
    conflict: str | None
    missing: tuple[Missing, ...]
    is_ambiguous: bool


def draw_plans(
    n: int,
    seed: int = 0,
    *,
    split_shares: Mapping[str, float] = SPLIT_SHARES,
    conflict_share: float = 0.15,
    missing_share: float = 0.1,
    labels: Sequence[str] = MERR9.labels,
    size: tuple[int, int] = (256, 256),
    fps: float = 15.0,
    seconds: float = 3.0,
) -> list[ClipPlan]:
    """Plans of `n` clips, labels as even as they go in every split; the same arguments give the same plans.

    Args:
        n: how many clips.
        seed: of everything.
        split_shares: share of each split; they sum to 1.
        conflict_share: share of clips whose modalities disagree (`CONFLICTS`); neutral ones never do.
        missing_share: share of clips without sound, face or words, singly and in pairs.
        labels: of MERR's nine.
        size: width and height, even numbers of pixels.
        fps: frames per second.
        seconds: least length; a sentence that takes longer makes its clip longer.

    Raises:
        InputError: an argument cannot be used.
    """
    _check(n, split_shares, conflict_share, missing_share, labels, _Format(size, fps, seconds))
    plans: list[ClipPlan] = []
    offset = 0
    # Kinds of conflict and of gaps take turns over all splits, so that few clips hold many kinds.
    first = np.random.default_rng([seed, 43])
    used = {name: float(first.uniform(0, 0.5)) for name in CONFLICTS}
    gaps = itertools.cycle(MISSING)
    for split, count in _split_counts(n, split_shares).items():
        rng = np.random.default_rng([seed, 41, SPLITS.index(split)])
        order = [labels[(offset + i) % len(labels)] for i in range(count)]
        roles = _roles(order, (conflict_share, missing_share), used, gaps, rng)
        plans += _cast(split, roles, seed, _Format(size, fps, seconds), rng)
        offset += count
    return plans


def seed_of(*parts: object) -> int:
    """A number below 2**48 that these parts, and no others, lead to (a collision is as likely as in any hash)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=6).digest(), "big")


def _check(
    n: int, shares: Mapping[str, float], conflict: float, missing: float, labels: Sequence[str], stored: _Format
) -> None:
    problems = []
    if n < 1:
        problems.append(f"n must be at least 1, got {n}")
    if set(shares) - set(SPLITS) or min(shares.values(), default=-1) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        problems.append(f"split_shares must be shares of {', '.join(SPLITS)} that sum to 1, got {dict(shares)}")
    if not (0 <= conflict <= 1 and 0 <= missing <= 1 and conflict + missing <= 1):
        problems.append(
            f"conflict_share and missing_share must be 0..1 and sum to 1 at most, got {conflict}, {missing}"
        )
    if not labels or set(labels) - set(MERR9.labels) or len(set(labels)) != len(labels):
        problems.append(
            f"labels must be different ones of {', '.join(MERR9.labels)}, got {', '.join(labels) or 'none'}"
        )
    if any(side < 64 or side % 2 for side in stored.size):
        problems.append(f"size must be even numbers of at least 64 pixels, got {stored.size}")
    if not (1 <= stored.fps <= 60 and 1 <= stored.seconds <= 60):
        problems.append(f"fps and seconds must be within 1..60, got {stored.fps}, {stored.seconds}")
    if problems:
        raise InputError("; ".join(problems))


def _split_counts(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to n, by largest remainder."""
    exact = {split: n * shares.get(split, 0.0) for split in SPLITS}
    counts = {split: math.floor(value + 1e-9) for split, value in exact.items()}
    by_rest = sorted(SPLITS, key=lambda split: counts[split] - exact[split])
    for split in by_rest[: n - sum(counts.values())]:
        counts[split] += 1
    return counts


def _roles(
    order: list[str],
    shares: tuple[float, float],
    used: dict[str, float],
    gaps: Iterator[tuple[Missing, ...]],
    rng: np.random.Generator,
) -> list[_Role]:
    """One role a clip: conflicts, gaps and ambiguous words spread over the labels, in a drawn order.

    `shares` are those of conflicts and of gaps; `used` counts how often each kind of conflict came, and goes on.
    """
    indices = [int(i) for i in rng.permutation(len(order))]
    able = [i for i in indices if kinds_for(order[i])]
    in_conflict = set(able[: round(len(order) * shares[0])])
    rest = [i for i in indices if i not in in_conflict]
    gap_count = min(len(rest), round(len(order) * shares[1]))
    missing = {i: next(gaps) for i in rest[:gap_count]}
    plain = rest[gap_count:]
    ambiguous = set(plain[: round(len(plain) * AMBIGUOUS_SHARE)])
    roles: list[_Role] = []
    for i in indices:
        kind = min(kinds_for(order[i]), key=lambda name: used[name]) if i in in_conflict else None
        if kind is not None:
            used[kind] += 1
        roles.append(_Role(order[i], kind, missing.get(i, ()), i in ambiguous))
    return roles


def _cast(split: str, roles: list[_Role], seed: int, stored: _Format, rng: np.random.Generator) -> list[ClipPlan]:
    num_sources = max(min(2, len(roles)), math.ceil(len(roles) / CLIPS_PER_SOURCE))
    said: set[str] = set()
    plans = []
    for number, role in enumerate(roles):
        source = number % num_sources
        plans.append(_clip(split, number, source, role, seed, stored, said))
    return plans


def _clip(split: str, number: int, source: int, role: _Role, seed: int, stored: _Format, said: set[str]) -> ClipPlan:
    person = source // SOURCES_PER_PERSON
    kind = CONFLICTS[role.conflict] if role.conflict else ConflictKind((), None, None, None, False, "")
    face, voice, words = (shown or role.label for shown in (kind.face, kind.voice, kind.words))
    own = seed_of(seed, split, "clip", number)
    style = seed_of(seed, split, "style", person, source, role.label)
    rng = np.random.default_rng(own)
    speaker = draw_voice(seed_of(seed, split, "voice", person))
    prosody = draw_prosody(voice, style, strength=float(rng.uniform(*VOICE_STRENGTH)))
    start = float(rng.uniform(*SPEECH_STARTS))
    room = stored.seconds - start - SPEECH_ENDS_BEFORE
    syllables = int(room * (1 - prosody.pause_share) * prosody.articulation_rate * speaker.rate_factor)
    sentence = _sentence(AMBIGUOUS if role.is_ambiguous else words, split, own, syllables, said)
    spoken = plan_speech(sentence.text, prosody, speaker).duration_seconds
    duration = math.ceil(max(stored.seconds, start + spoken + SPEECH_ENDS_BEFORE) * stored.fps - 1e-6) / stored.fps
    apex = duration * float(rng.uniform(*APEX_SHARES))
    events = draw_expression(
        face, style, float(rng.uniform(*FACE_STRENGTH)),
        duration_seconds=duration, apex_seconds=apex, is_mask=kind.is_mask,
    )  # fmt: skip
    return ClipPlan(
        id=f"{split}-{number:05d}",
        split=split,
        seed=own,
        label=role.label,
        face_label=None if "no_face" in role.missing else face,
        voice_label=None if "silent" in role.missing else voice,
        words_label=None if "no_words" in role.missing or role.is_ambiguous else words,
        conflict=role.conflict,
        missing=role.missing,
        source=f"{split}-source-{source:04d}",
        person=f"{split}-person-{person:04d}",
        person_seed=seed_of(seed, split, "person", person),
        setting_seed=seed_of(seed, split, "setting", source),
        voice=speaker,
        text=sentence.text,
        template_id=sentence.template_id,
        prosody=prosody,
        events=events,
        apex_seconds=apex,
        speech_start_seconds=start,
        duration_seconds=duration,
        fps=stored.fps,
        size=stored.size,
    )


def _sentence(label: str, split: str, seed: int, syllables: int, said: set[str]) -> Sentence:
    """A sentence that was not said yet, if one is found; a little longer ones are let in as the search goes on."""
    sentence = None
    for attempt in range(_SENTENCE_TRIES):
        most = max(FEWEST_SYLLABLES, syllables) + attempt // 8
        sentence = draw_sentence(label, split, seed_of(seed, "sentence", attempt), most_syllables=most)
        if sentence.text not in said:
            break
    assert sentence is not None
    said.add(sentence.text)
    return sentence
