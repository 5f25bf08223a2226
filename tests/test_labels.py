"""Label spaces: published orders, words that mean a label, and the tables between spaces."""

import itertools

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import DFEW7, LABEL_SPACES, MER6, MERR9, SYNONYMS, LabelSpace, convert, label_space


def test_published_orders() -> None:
    assert MERR9.labels == ("neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt")
    assert MER6.labels == MERR9.labels[:6]
    assert DFEW7.labels == ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
    assert MERR9.index("worried") == 4


def test_index_of_a_foreign_label_names_the_space() -> None:
    with pytest.raises(InputError, match=r"'disgust' is not a label of merr9 \(labels: neutral, angry, .*doubt\)"):
        MERR9.index("disgust")


@pytest.mark.parametrize("labels", [(), ("happy", "happy")])
def test_space_needs_distinct_labels(labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="label space 'x' needs distinct labels, got "):
        LabelSpace("x", labels)


@pytest.mark.parametrize(
    ("word", "space", "label"),
    [
        ("happy", MERR9, "happy"),
        (" Happiness ", MERR9, "happy"),
        ("JOYFUL", MER6, "happy"),
        ("angrily", MERR9, "angry"),
        ("surprised", DFEW7, "surprise"),
        ("anxious", MERR9, "worried"),
        ("afraid", MERR9, "fear"),
        ("afraid", MER6, None),  # a near neighbour is no synonym
        ("disgusted", DFEW7, "disgust"),
        ("disgusted", MERR9, None),
        ("sceptical", MERR9, "doubt"),
        ("bored", MERR9, None),
        ("", MERR9, None),
    ],
)
def test_find(word: str, space: LabelSpace, label: str | None) -> None:
    assert space.find(word) == label


def test_every_synonym_means_a_label_and_is_none_itself() -> None:
    everything = {label for space in LABEL_SPACES.values() for label in space.labels}
    assert {label for labels in SYNONYMS.values() for label in labels} == everything
    assert set(SYNONYMS).isdisjoint(everything)
    assert all(word == word.lower().strip() for word in SYNONYMS)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(LABEL_SPACES.values(), 2)))
def test_a_shared_label_keeps_its_name_and_nothing_is_folded(source: LabelSpace, target: LabelSpace) -> None:
    found = {label: convert(label, source, target) for label in source.labels}
    assert {k: v for k, v in found.items() if v is not None} == {
        label: label for label in source.labels if label in target.labels
    }


def test_convert() -> None:
    assert convert("happy", MERR9, DFEW7) == "happy"
    assert convert("worried", MERR9, DFEW7) is None
    assert convert("contempt", MERR9, MER6) is None
    assert convert("disgust", DFEW7, MERR9) is None
    assert convert("doubt", MERR9, MERR9) == "doubt"


def test_convert_refuses_other_spaces() -> None:
    with pytest.raises(InputError, match="'disgust' is not a label of merr9"):
        convert("disgust", MERR9, MER6)
    with pytest.raises(InputError, match="labels of merr9 have no counterpart in own"):
        convert("happy", MERR9, LabelSpace("own", ("happy",)))


def test_label_space_by_name() -> None:
    assert label_space("dfew7") is DFEW7
    with pytest.raises(InputError, match=r"no label space 'ekman' \(there are: merr9, mer6, dfew7\)"):
        label_space("ekman")
