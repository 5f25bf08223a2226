"""Units in words: combinations first, strength in the adverb, the same words for the same units, in two languages."""

import re

import pytest

from emotion_llama.errors import InputError
from emotion_llama.records import AU_NAMES
from emotion_llama.rules.phrases import (
    UNITS,
    adverb,
    expression_phrases,
    gestures,
    own_phrases,
    phrase_index,
)
from emotion_llama.rules.wording import LANGUAGES, wording


def test_smile_that_reaches_the_eyes() -> None:
    assert expression_phrases({"AU06": 2.0, "AU12": 3.0}) == ["a smile that strongly reaches the eyes"]
    assert expression_phrases({"AU12": 3.0}) == ["corners of the mouth strongly pulled up"]
    assert expression_phrases({"AU06": 2.0, "AU12": 3.0}, language="zh") == ["笑意一直延伸到眼角"]


def test_strongest_gesture_first_and_each_unit_once() -> None:
    phrases = expression_phrases({"AU04": 0.9, "AU25": 1.7, "AU26": 1.9, "AU01": 0.5})
    assert phrases == ["the mouth clearly opened", "eyebrows slightly lowered"]


def test_units_behind_a_phrase_and_their_mean() -> None:
    ((_, units, intensity),) = gestures({"AU06": 2.0, "AU12": 3.0})
    assert units == ("AU06", "AU12")
    assert intensity == 2.5


def test_a_dropped_jaw_parts_the_lips_which_is_said_once() -> None:
    units = {"AU01": 2.5, "AU02": 2.5, "AU05": 2.5, "AU25": 2.6, "AU26": 2.7}
    assert expression_phrases(units) == ["a very startled face with the mouth open"]
    assert expression_phrases({"AU25": 1.0}) == ["lips slightly parted"]


@pytest.mark.parametrize(
    ("intensity", "word"), [(0.8, "slightly"), (1.6, "clearly"), (2.4, "strongly"), (5.0, "strongly")]
)
def test_adverbs_follow_the_thresholds(intensity: float, word: str) -> None:
    assert adverb(intensity) == word
    chinese = {"slightly": "略微", "clearly": "明显", "strongly": "大幅"}[word]
    assert expression_phrases({"AU12": intensity}, language="zh") == [f"嘴角{chinese}上扬"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_below_the_threshold_nothing_is_said(language: str) -> None:
    assert expression_phrases({"AU12": 0.79}, language=language) == []
    assert expression_phrases({}, language=language) == []


def test_variants_differ_and_come_round() -> None:
    first, second, third, fourth = (expression_phrases({"AU04": 2.0}, variant=v)[0] for v in range(4))
    assert len({first, second, third}) == 3
    assert fourth == first


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_unit_has_words_and_every_phrase_one_slot(language: str) -> None:
    words = wording(language)
    assert set(words.units) == set(AU_NAMES)
    sizes = [len(group) for group in words.combinations]
    assert sizes == sorted(sizes, reverse=True)
    assert all(set(group) <= set(AU_NAMES) for group in words.combinations)
    phrases = [p for table in (words.combinations, words.units) for ps in table.values() for p in ps]
    assert len(phrases) == len(set(phrases))
    for phrase in phrases:
        slots = re.findall(r"\{(\w+)\}", phrase)
        assert len(slots) == 1, phrase
        assert set(slots) <= set(words.strengths), phrase
        assert "AU" not in phrase
        assert not re.search("[,;，；、]", phrase), phrase


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_gesture_has_at_least_two_phrases(language: str) -> None:
    words = wording(language)
    single = [group for table in (words.combinations, words.units) for group, ps in table.items() if len(ps) < 2]
    assert single == []


def test_english_tables_are_the_wordings_own() -> None:
    assert wording("en").units is UNITS


@pytest.mark.parametrize("language", LANGUAGES)
def test_index_knows_every_phrase_that_can_be_given(language: str) -> None:
    index = phrase_index(language)
    for group in [*wording(language).combinations, *((name,) for name in AU_NAMES)]:
        for intensity, variant in [(0.8, 0), (1.7, 1), (5.0, 2)]:
            (phrase,) = expression_phrases(dict.fromkeys(group, intensity), variant=variant, language=language)
            found, least = index[phrase]
            assert set(found) == set(group)
            assert least <= intensity


def test_own_phrases_take_the_place_of_the_package_s() -> None:
    own = own_phrases({"AU12": ["{how} smiling", "grinning"], "AU12+AU06": ["beaming {how}"]})
    assert expression_phrases({"AU12": 2.0}, own=own) == ["clearly smiling"]
    assert expression_phrases({"AU12": 2.0}, own=own, variant=1) == ["grinning"]
    assert expression_phrases({"AU06": 1.0, "AU12": 1.0}, own=own) == ["beaming slightly"]
    assert expression_phrases({"AU04": 1.0}, own=own) == ["eyebrows slightly lowered"]


def test_own_group_that_the_package_lacks() -> None:
    own = own_phrases({"AU02+AU14": ["a knowing look"]})
    assert expression_phrases({"AU02": 1.0, "AU14": 1.0}, own=own) == ["a knowing look"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"AU99": ["x"]}, "'AU99' is no action unit"),
        ({"AU12": []}, "needs a list of phrases"),
        ({"AU12": "smiling"}, "needs a list of phrases"),
        ({"AU12": [" "]}, "needs a list of phrases"),
        ({"AU12": ["{much} smiling"]}, "slot that is not known"),
        ({"AU12": ["smiling {"]}, "slot that is not known"),
        ({"AU12": ["smiling, happy"]}, "comma or semicolon"),
    ],
)
def test_own_phrases_that_cannot_be_used(table: dict[str, list[str]], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        own_phrases(table)


def test_no_wording_in_a_language_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no wording for language 'fr'"):
        expression_phrases({"AU12": 1.0}, language="fr")
