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

# A word -> labels it may mean, the closest first. Only plain names of the same state, in the forms a model writes them
# (noun, adjective, adverb, participle). A near neighbour ("terrified" -> "worried") would be a judgement, not a
# synonym, so it is left out: what a space lacks is `convert`'s business.
SYNONYMS: dict[str, tuple[str, ...]] = {
    word: labels
    for labels, words in (
        (("neutral",), "neutrality neutrally calm calmness emotionless impassive unemotional composed expressionless"),
        (("angry",), "anger angrily angered angrier mad madness rage enraged furious fury irate outraged outrage"),
        (("happy",), "happiness happily happier joy joyful joyfully joyous joyfulness delighted delight cheerful glad"),
        (("sad",), "sadness sadly saddened sadder sorrow sorrowful unhappy unhappiness grief mournful"),
        (("worried",), "worry worries worrying worriedly anxious anxiety anxiously anxiousness apprehensive"),
        (("surprise",), "surprised surprises surprising surprisingly astonished astonishment amazed amazement shocked"),
        (("fear",), "fearful fearfully fearing fears afraid scared frightened terrified terror"),
        (("contempt",), "contemptuous contemptuously contemptible scorn scornful disdain disdainful"),
        (("doubt",), "doubtful doubtfully doubting doubts doubted skeptical sceptical skepticism scepticism dubious"),
        (("disgust",), "disgusted disgusting disgustedly revulsion repulsed"),
    )
    for word in words.split()
}


def convert(label: str, source: LabelSpace, target: LabelSpace) -> str | None:
    """The label of `target` that names the same state as `label` of `source`; None when there is none.

    Between published spaces a label means the label of the same name, and nothing else: MER 2023 and DFEW publish no
    table, and "fear" is not folded into "worried", nor "contempt" into "angry" or "disgust": these are different states
    with different action units, and an evaluation that folds them has to say so itself.

    Raises:
        InputError: `label` is not in `source`, or one of the spaces is not a published one.
    """
    source.index(label)
    if source == target:
        return label
    if source not in LABEL_SPACES.values() or target not in LABEL_SPACES.values():
        raise InputError(
            f"labels of {source.name} have no counterpart in {target.name}; labels are converted between "
            f"{', '.join(LABEL_SPACES)} only"
        )
    return label if label in target.labels else None


def label_space(name: str) -> LabelSpace:
    """The space called `name`; InputError lists the names when there is none."""
    try:
        return LABEL_SPACES[name]
    except KeyError:
        raise InputError(f"no label space {name!r} (there are: {', '.join(LABEL_SPACES)})") from None
