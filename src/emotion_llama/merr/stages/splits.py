"""Stage splits: train, validation and test by groups; clips of one source or one person are never divided.

Clips that share a source or a person, directly or through others, are one group (connected components). Groups are put
in an order by hashes of their names, and the shares are cut along that order, counted in clips: each split gets its
share up to half a group. When clips are added, groups keep their places in the order, so that only groups near a cut
can change their split; a group changes its place only where it is joined to another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from emotion_llama.errors import InputError
from emotion_llama.merr.records import SPLITS, ClipRow, Field, Provenance, now
from emotion_llama.merr.stage import Results, Stage, StageInput, StageOutput

if TYPE_CHECKING:
    from emotion_llama.merr.recipe import Recipe

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


# --- the stage --------------------------------------------------------------------------------------------------------


class SplitsStage(Stage):
    """Field split."""

    name = "splits"
    needs = ("balance",)
    reads_clip = ("source", "person", "given_split")
    sees_all = True

    def __init__(self, recipe: Recipe) -> None:
        self.part, self.seed = recipe.splits, recipe.seed
        self.settings = {**self.part.model_dump(mode="json"), "seed": self.seed}

    def run(self, items: Sequence[StageInput]) -> Results:
        """See `Stage`; InputError where given splits divide a person or a source."""
        shares = {"train": self.part.train, "validation": self.part.validation, "test": self.part.test}
        found = assign([item.clip for item in items], shares, self.seed)
        made = now()
        return [
            StageOutput((Field("split", split, _provenance(item, made)),))
            for item, split in zip(items, found, strict=True)
        ]


def _provenance(item: StageInput, made_at: str) -> Provenance:
    given = item.clip.given_split is not None
    return Provenance("given" if given else "rules", "with the clip" if given else "groups by hash", made_at=made_at)
