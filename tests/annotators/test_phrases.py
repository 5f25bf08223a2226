"""Units in words: combinations first, strength in the adverb, the same words for the same units."""

import pytest

from emotion_llama.annotators.phrases import COMBINATIONS, UNITS, adverb, expression_phrases
from emotion_llama.records import AU_NAMES


def test_smile_that_reaches_the_eyes() -> None:
    assert expression_phrases({"AU06": 2.0, "AU12": 3.0}) == ["a smile that strongly reaches the eyes"]
    assert expression_phrases({"AU12": 3.0}) == ["corners of the mouth strongly pulled up"]


def test_strongest_gesture_first_and_each_unit_once() -> None:
    phrases = expression_phrases({"AU04": 0.9, "AU25": 1.7, "AU26": 1.9, "AU01": 0.5})
    assert phrases == ["mouth clearly opened", "eyebrows slightly lowered"]


@pytest.mark.parametrize(
    ("intensity", "word"), [(0.8, "slightly"), (1.6, "clearly"), (2.4, "strongly"), (5.0, "strongly")]
)
def test_adverbs_follow_the_thresholds(intensity: float, word: str) -> None:
    assert adverb(intensity) == word


def test_below_the_threshold_nothing_is_said() -> None:
    assert expression_phrases({"AU12": 0.79}) == []
    assert expression_phrases({}) == []


def test_variants_differ_and_come_round() -> None:
    first, second, third, fourth = (expression_phrases({"AU04": 2.0}, variant=v)[0] for v in range(4))
    assert len({first, second, third}) == 3
    assert fourth == first


def test_every_unit_has_words_and_every_group_is_larger_than_the_next() -> None:
    assert set(UNITS) == set(AU_NAMES)
    sizes = [len(group) for group in COMBINATIONS]
    assert sizes == sorted(sizes, reverse=True)
    wordings = [w for table in (COMBINATIONS, UNITS) for ws in table.values() for w in ws]
    assert len(wordings) == len(set(wordings))
    assert all("AU" not in w and w.count("{how}") == (w != "eyes closed") for w in wordings)
