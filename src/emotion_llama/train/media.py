"""What the model sees and hears of an example, by its name, from a store of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from emotion_llama.models.clip_media import ClipMedia, without
from emotion_llama.train.records import Example

if TYPE_CHECKING:
    from emotion_llama.models.features.sources import FeatureSource


class MediaSource(Protocol):
    """Gives the media of an example; `None` where there is nothing of it to see or hear."""

    def __call__(self, example: Example) -> ClipMedia | None:
        """The example's media."""


class Usable(NamedTuple):
    """Examples that can be learnt from, and the names of the rest by reason."""

    examples: tuple[Example, ...]
    left_out: dict[str, tuple[str, ...]]


class StoredMedia:
    """Features by the example's name. Published folders hold no frames: such clips are learnt from without one.

    Args:
        source: of the features.
        hidden: of `ENCODERS`, those whose features nobody is shown.
    """

    def __init__(self, source: FeatureSource, hidden: frozenset[str] = frozenset()) -> None:
        self._source, self._hidden = source, hidden

    def __call__(self, example: Example) -> ClipMedia | None:
        """What the store has of it."""
        if example.name not in self._source:
            return None
        return without(ClipMedia.of_features(self._source[example.name]), self._hidden)


def usable(examples: Sequence[Example], media: MediaSource, *, text_alone: bool = False) -> Usable:
    """Sort examples by whether there is anything of them to learn from.

    Args:
        examples: to be sorted.
        media: gives what is seen and heard.
        text_alone: examples with words or cues and no media count as usable (modality dropout may leave no more).
    """
    kept: list[Example] = []
    left: dict[str, list[str]] = {}
    for example in examples:
        found = media(example)
        has_media, has_text = found is not None and any(found.present), bool(example.words or example.cues)
        if has_media or (text_alone and has_text):
            kept.append(example)
        else:
            reason = "no features of that name" if found is None else "nothing was seen or heard in the clip"
            left.setdefault(reason, []).append(example.name)
    return Usable(tuple(kept), {reason: tuple(names) for reason, names in left.items()})
