"""Label spaces of the field, and the words that mean their labels.

Sources: MERR and the MER2023 labels, project page and code of Emotion-LLaMA (NeurIPS 2024; index order of its
code); DFEW's seven classes, Jiang et al., ACM MM 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotion_llama.errors import InputError


@dataclass(frozen=True)
class LabelSpace:
    """A closed, ordered set of emotion labels.

    Attributes:
        name: short name, as options and files spell it.
        labels: the labels, in the order of their published indices.
    """

    name: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels) or not self.labels:
            raise InputError(f"label space {self.name!r} needs distinct labels, got {self.labels}")

    def index(self, label: str) -> int:
        """Position of `label`; InputError names the space when the label is not in it."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise InputError(f"{label!r} is not a label of {self.name} (labels: {', '.join(self.labels)})") from None

    def find(self, word: str) -> str | None:
        """The label that `word` means here, through case, inflection and synonyms; None when it means none."""
        key = word.strip().lower()
        if key in self.labels:
            return key
        return next((label for label in SYNONYMS.get(key, ()) if label in self.labels), None)


MERR9 = LabelSpace("merr9", ("neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"))
MER6 = LabelSpace("mer6", ("neutral", "angry", "happy", "sad", "worried", "surprise"))
DFEW7 = LabelSpace("dfew7", ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear"))

LABEL_SPACES: dict[str, LabelSpace] = {space.name: space for space in (MERR9, MER6, DFEW7)}

# A word -> labels it may mean, the closest first. Only plain names of the same state: a near neighbour
# ("terrified" -> "worried") would be a judgement, not a synonym.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "anger": ("angry",),
    "mad": ("angry",),
    "happiness": ("happy",),
    "joy": ("happy",),
    "joyful": ("happy",),
    "sadness": ("sad",),
    "sorrow": ("sad",),
    "sorrowful": ("sad",),
    "worry": ("worried",),
    "anxious": ("worried",),
    "anxiety": ("worried",),
    "surprised": ("surprise",),
    "afraid": ("fear",),
    "fearful": ("fear",),
    "scared": ("fear",),
    "contemptuous": ("contempt",),
    "doubtful": ("doubt",),
    "disgusted": ("disgust",),
    "calm": ("neutral",),
}
