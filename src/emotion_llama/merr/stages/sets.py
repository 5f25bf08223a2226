"""Stages that see all clips: which neutral ones come along, near duplicates, how many of a label stay, and splits.

Near duplicates are clips of the same words whose lengths differ by at most a quarter second and whose aligned faces at
the peak look alike; clips without a face crop are compared in words and length, clips without words in face and length
at half the distance, never in length alone. Of such clips the one with the highest confidence stays, then the one with
the most pixels, then the first by id. This is meant to be right rather than complete: rendered clips encoded again at
three quarters of their size and poor quality were found in 7 of 13 cases (in the others another frame became the
peak), and of 2,415 pairs of different clips, among them the same faces at rest, the nearest two differ in 16 bits.

Clips that share a source or a person, directly or through others, are one group (connected components), which no split
divides. Groups are put in an order by hashes of their names, and the shares are cut along that order, counted in clips:
each split gets its share up to half a group. When clips are added, groups keep their places in the order, so that only
groups near a cut can change their split; a group changes its place only where it is joined to another one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.merr.records import SPLITS, ClipRow, Field, Provenance, label_of, now, part, text_of, text_part
from emotion_llama.merr.stage import Results, Stage, StageInput, StageOutput, chance
from emotion_llama.records import UInt8

if TYPE_CHECKING:
    from emotion_llama.chat.config import Config
    from emotion_llama.merr.recipe import BalancePart, Recipe, SelectPart, SplitsPart

ENOUGH_NEUTRAL = "neutral, and there are enough of these"
NEAR_DUPLICATE = "near duplicate of another clip"
OVER_CAP = "more clips of its label than wanted"
HASH_SIDE = 16  # 16 x 16 comparisons: 256 bits
_Kept: TypeAlias = "tuple[str, float, int | None]"  # id, length, face of a clip that stays
LENGTH_SECONDS = 0.25  # own: a re-encoded clip gains or loses some frames


@dataclass(frozen=True)
class Look:
    """What of a clip is compared and ranked."""

    clip_id: str
    label: str  # of the clip
    words: str  # what is said; empty without words
    duration_seconds: float | None  # None where it is not known
    face_hash: str | None  # of the aligned face at the peak; None without one
    confidence: float  # of the label; a given label counts as certain
    pixels: int  # width x height
    chance: int  # breaks ties, by content


def picture_hash(image: UInt8) -> str:
    """256 bits as 64 hexadecimal digits: whether a picture [H, W, 3] gets brighter to the right, on a 16 x 16 grid.

    The difference hash of N. Krawetz ("Kind of Like That", 2013), with more cells. Two encodings of one picture differ
    in a few bits, other pictures in about half of them; aligned faces of one person lie in between.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, 1:] > small[:, :-1]).reshape(-1)
    return bytes(np.packbits(bits)).hex()


def near_duplicates(looks: Sequence[Look], max_distance: int) -> dict[str, str]:
    """Id of a clip to be left out -> id of the one that stays for it."""
    ranked = sorted(looks, key=lambda look: (-look.confidence, -look.pixels, look.clip_id))
    kept: dict[tuple[str, int], list[_Kept]] = {}  # by words and length, so that few are compared with each other
    out: dict[str, str] = {}
    for look in ranked:
        words, seconds = " ".join(look.words.casefold().split()), look.duration_seconds
        if seconds is None:
            continue
        face = None if look.face_hash is None else int(look.face_hash, 16)
        bin_ = int(seconds / LENGTH_SECONDS)
        near = (other for b in (bin_ - 1, bin_, bin_ + 1) for other in kept.get((words, b), ()))
        same = next((other[0] for other in near if _alike(other, seconds, face, words, max_distance)), None)
        if same is None:
            kept.setdefault((words, bin_), []).append((look.clip_id, seconds, face))
        else:
            out[look.clip_id] = same
    return out


def over_caps(looks: Sequence[Look], max_per_label: int | None, max_share: float | None) -> set[str]:
    """Ids of the clips that are too many of their label: the least confident ones, equals by chance."""
    caps = caps_of(Counter(look.label for look in looks), max_per_label, max_share)
    ranked = sorted(looks, key=lambda look: (-look.confidence, look.chance, look.clip_id))
    taken: Counter[str] = Counter()
    out = set()
    for look in ranked:
        taken[look.label] += 1
        if taken[look.label] > caps[look.label]:
            out.add(look.clip_id)
    return out


def caps_of(counts: Mapping[str, int], max_per_label: int | None, max_share: float | None) -> dict[str, int]:
    """Label -> how many clips of it may stay.

    `max_share` is held after the cut: the cap is the largest c with c <= max_share x sum of min(count, c); where even
    equal labels have more than that share each (three labels, share 0.2), the cap is the smallest label's count.
    """
    caps = {label: count if max_per_label is None else min(count, max_per_label) for label, count in counts.items()}
    if max_share is None or not caps:
        return caps
    least, cap = min(caps.values()), max(caps.values())
    while cap > least and cap > max_share * sum(min(count, cap) for count in caps.values()) + 1e-9:
        cap -= 1
    return {label: min(count, cap) for label, count in caps.items()}


def _alike(kept: _Kept, seconds: float, face: int | None, words: str, max_distance: int) -> bool:
    """Whether a clip that stays (id, length, face) says the same as one of the same words, this length and face."""
    _, kept_seconds, kept_face = kept
    if abs(kept_seconds - seconds) > LENGTH_SECONDS:
        return False
    if kept_face is None or face is None:
        return bool(words) and kept_face is face
    return (kept_face ^ face).bit_count() <= (max_distance if words else max_distance // 2)


# Clips that must stay together, by position; with the key that orders groups, and the split that came with them.
Group: TypeAlias = tuple[str, tuple[int, ...], "str | None"]


def groups_of(clips: Sequence[ClipRow], seed: str) -> list[Group]:
    """The groups in the order of their keys.

    A key is the smallest hash of the names (sources, persons) that a group holds; of a clip that has neither, the hash
    of its content.

    Raises:
        InputError: the clips of one group come with different splits; the names are given.
    """
    parents: dict[str, str] = {}

    def find(node: str) -> str:
        while parents.setdefault(node, node) != node:
            parents[node] = node = parents[parents[node]]
        return node

    nodes = [_nodes(clip) for clip in clips]
    for names in nodes:
        for name in names[1:]:
            parents[find(name)] = find(names[0])
    members: dict[str, list[int]] = {}
    for position, names in enumerate(nodes):
        members.setdefault(find(names[0]), []).append(position)
    groups = []
    for of in members.values():
        names = sorted({name for position in of for name in nodes[position]})
        key = min(sha256(f"{seed} {name}".encode()).hexdigest() for name in names)
        groups.append((key, tuple(of), _given(clips, of, names)))
    return sorted(groups, key=lambda group: group[:2])


def check_given(clips: Sequence[ClipRow]) -> None:
    """Raise InputError where given splits divide a person or a source; asked before a build begins its work."""
    groups_of(clips, "")


def assign(clips: Sequence[ClipRow], shares: Mapping[str, float], seed: str) -> list[str]:
    """A split for each clip; `shares` of each of `SPLITS` sum to 1.

    Given splits are kept, and count towards the shares; the other groups fill what is left of them.

    Raises:
        InputError: as `groups_of`.
    """
    splits = [""] * len(clips)
    open_groups: list[tuple[int, ...]] = []
    for _, members, given in groups_of(clips, seed):
        if given is None:
            open_groups.append(members)
        for position in members:
            splits[position] = given or ""
    free = sum(map(len, open_groups))
    wanted = [max(0.0, shares[name] * len(clips) - splits.count(name)) for name in SPLITS]
    total = sum(wanted)
    cuts = [sum(wanted[: i + 1]) / total * free for i in range(len(wanted))] if total else [0.0, 0.0, 0.0]
    largest = max(SPLITS, key=lambda name: shares[name])
    done = 0
    for members in open_groups:
        middle = done + len(members) / 2
        name = next((SPLITS[i] for i, cut in enumerate(cuts) if middle < cut), largest)
        for position in members:
            splits[position] = name
        done += len(members)
    return splits


def _nodes(clip: ClipRow) -> list[str]:
    names = [f"{kind} {name}" for kind, name in (("source", clip.source), ("person", clip.person)) if name]
    return names or [f"clip {clip.sha256 or clip.clip_id}"]


def _given(clips: Sequence[ClipRow], members: Sequence[int], names: Sequence[str]) -> str | None:
    examples: dict[str, str] = {}
    for position in members:
        split = clips[position].given_split
        if split is not None:
            examples.setdefault(split, clips[position].clip_id)
    if len(examples) > 1:
        shown = ", ".join(f"{split} ({clip_id})" for split, clip_id in sorted(examples.items()))
        what = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise InputError(
            f"{what}: one group of clips was given the splits {shown}; a person or source must not be divided, "
            "so give all of its clips one split, or none"
        )
    return next(iter(examples), None)


# --- the stages -------------------------------------------------------------------------------------------------------


class SetStage(Stage):
    """A stage that is given all clips: `decide` is one of the functions below."""

    reads_clip: tuple[str, ...] = ()
    sees_all = True

    def __init__(
        self, name: str, decide: Callable[..., Results], needs: tuple[str, ...], choices: Config, seed: str
    ) -> None:
        self.name, self.needs, self._decide, self._choices, self._seed = name, needs, decide, choices, seed
        self.settings = {**choices.model_dump(mode="json"), "seed": seed}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`."""
        return self._decide(items, self._choices, self._seed)


def set_stages(recipe: Recipe) -> tuple[SetStage, SetStage, SetStage]:
    """The stages select, balance and splits."""
    select = SetStage("select", select_neutral, ("pseudo_label",), recipe.select, recipe.seed)
    needs = ("subtitle", "pseudo_label", "peak", "coarse_caption")
    balance = SetStage("balance", drop_too_many, needs, recipe.balance, recipe.seed)
    balance.version = 2
    splits = SetStage("splits", split_groups, ("balance",), recipe.splits, recipe.seed)
    splits.reads_clip = ("source", "person", "given_split")
    return select, balance, splits


def select_neutral(items: Sequence[StageInput], choices: SelectPart, seed: str) -> Results:
    """Samples neutral clips in: the share of the others that the recipe says, chosen by hashes of their content.

    Clips that came with the label neutral stay, and count towards the share. Which clips come along depends on their
    content and the seed alone: when clips are added, those that were in stay in as long as the share allows.
    """
    neutral = [i for i, item in enumerate(items) if label_of(item) == "neutral"]
    open_ones = [i for i in neutral if part(items[i].value("label"), "source") == "rules"]
    wanted = math.ceil(choices.neutral_share * (len(items) - len(neutral))) - (len(neutral) - len(open_ones))
    ranked = sorted(open_ones, key=lambda i: chance(seed, "neutral", _content(items[i])))
    out = set(ranked[max(0, wanted) :])
    return [StageOutput(drop=(ENOUGH_NEUTRAL, "all") if i in out else None) for i in range(len(items))]


def drop_too_many(items: Sequence[StageInput], choices: BalancePart, seed: str) -> Results:
    """Drops near duplicates and what a label has too many of."""
    looks = [_look(item, seed) for item in items]
    twice = near_duplicates(looks, choices.max_hash_distance) if choices.near_duplicates else {}
    left = [look for look in looks if look.clip_id not in twice]
    over = over_caps(left, choices.max_per_label, choices.max_share)
    reasons = dict.fromkeys(over, OVER_CAP) | {c: f"{NEAR_DUPLICATE}: {kept}" for c, kept in twice.items()}
    return [StageOutput(drop=(reasons[c], "all") if (c := look.clip_id) in reasons else None) for look in looks]


def split_groups(items: Sequence[StageInput], choices: SplitsPart, seed: str) -> Results:
    """Field split; InputError where given splits divide a person or a source."""
    shares, made = {name: getattr(choices, name) for name in SPLITS}, now()
    rules, given = (Provenance(*who, made_at=made) for who in (("rules", "groups by hash"), ("given", "with the clip")))
    return [
        StageOutput((Field("split", split, rules if item.clip.given_split is None else given),))
        for item, split in zip(items, assign([item.clip for item in items], shares, seed), strict=True)
    ]


def _look(item: StageInput, seed: str) -> Look:
    clip, confidence = item.clip, part(item.value("label"), "confidence")
    return Look(
        clip.clip_id,
        label_of(item) or "",
        text_of(item.value("subtitle")) or "",
        clip.duration_seconds,
        text_part(item.value("peak"), "face_hash"),
        float(confidence) if isinstance(confidence, (int, float)) else 1.0,
        (clip.width or 0) * (clip.height or 0),
        chance(seed, "balance", _content(item)),
    )


def _content(item: StageInput) -> str:
    return item.clip.sha256 or item.clip.clip_id
