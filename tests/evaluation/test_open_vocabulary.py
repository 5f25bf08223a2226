"""Word lists against word lists, every figure worked out by hand."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.words import (
    emotion_wheels,
    group_by_first,
    hit_rate,
    parse_word_list,
    sentiment,
    set_level,
)

WHEEL = {"happy": "joy", "glad": "joy", "sad": "sad", "low": "sad", "cross": "mad"}.get
OTHER = {"happy": "up", "glad": "up", "sad": "down", "low": "down", "cross": "down"}.get


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("['happy', 'sad']", ["happy", "sad"]),
        ('["happy", ""]', ["happy"]),
        ("[]", []),
        ("", []),
        (None, []),
        (float("nan"), []),
        (["as", "is"], ["as", "is"]),
        ("happy,very sad", ["happy", "very sad"]),
        ("[don't know]", ["don", "t know"]),  # as the published rule has it
        ("[[nested]]", ["[nested]"]),
    ],
)
def test_word_lists_are_parsed_by_the_published_rule(text: object, words: list[str]) -> None:
    assert parse_word_list(text) == words


def test_grouped_synonyms_by_hand() -> None:
    grouping = group_by_first([["happy", "joyful"], ["sad", "down"]])
    scores = set_level(
        [["happy", "calm"], ["sad"]], [["Joyful", "happy"], ["down", "angry", "calm"]], grouping, skip_empty_truth=False
    )
    # clip 1: G {happy, calm}, P {happy}: 1, 1/2; clip 2: G {sad}, P {sad, angry, calm}: 1/3, 1
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(0.75)
    assert scores["average"] == pytest.approx((2 / 3 + 0.75) / 2)
    empty = set_level([["sad"], ["sad"]], [[], ["sad"]], grouping, skip_empty_truth=False)
    assert (empty["precision"], empty["recall"], empty["num_empty"]) == (0.5, 0.5, 1)


def test_each_clip_may_have_groups_of_its_own() -> None:
    groupings = [group_by_first([["happy", "sad"]]), group_by_first([])]
    scores = set_level([["happy"], ["happy"]], [["sad"], ["sad"]], groupings)
    assert (scores["precision"], scores["recall"]) == (0.5, 0.5)


def test_wheels_skip_what_they_do_not_hold() -> None:
    truth, answers = [["neutral"], ["happy", "sad"], ["cross"]], [["happy"], ["glad", "xyz"], []]
    scores = emotion_wheels(truth, answers, [WHEEL, OTHER])
    # both wheels: clip 2 gives P 1, R 1/2, clip 3 gives 0, 0; neutral names no group
    assert (scores["precision"], scores["recall"]) == (0.5, 0.25)
    assert scores["f1"] == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert (scores["wheels"][0]["num_clips"], scores["wheels"][0]["num_skipped"], scores["wheels"][0]["num_empty"]) == (
        2,
        1,
        1,
    )


def test_self_against_self_is_one() -> None:
    words = [["happy"], ["low", "cross"]]
    assert emotion_wheels(words, words, [WHEEL, OTHER])["f1"] == 1.0


def test_hits_do_not_punish_long_lists_but_precision_does() -> None:
    scores = hit_rate(["happy", "low", "neutral"], [["glad", "cross"], ["happy"], ["happy"]], [WHEEL, OTHER])
    # wheel 1: hit (1 of 2 groups), miss; wheel 2: likewise
    assert (scores["hit"], scores["precision"]) == (0.5, 0.25)
    assert (scores["num_clips"], scores["num_skipped"]) == (2, 1)


def test_sentiment_by_hand() -> None:
    scores = sentiment([1.2, 0.4, -0.6, 0.0, -3.0], ["positive", "neutral", "negative", "positive", None])
    # kept: + + - -; told: + - - -; positive F1 2/3, negative F1 4/5
    assert scores["waf"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert (scores["accuracy"], scores["num_clips"], scores["num_skipped"], scores["num_unanswered"]) == (0.75, 4, 1, 1)


def test_refusals() -> None:
    with pytest.raises(InputError, match="names a known emotion group"):
        set_level([["neutral"]], [["happy"]], WHEEL)
    with pytest.raises(InputError, match="answers for 1 clips, got 0"):
        set_level([["happy"]], [], WHEEL)
    with pytest.raises(InputError, match="at least one wheel"):
        emotion_wheels([["happy"]], [["happy"]], [])
    with pytest.raises(InputError, match="at least one wheel"):
        hit_rate(["happy"], [["happy"]], [])
    with pytest.raises(InputError, match="names a known emotion group"):
        hit_rate(["neutral"], [["happy"]], [WHEEL])
    with pytest.raises(InputError, match="'great' is no sentiment"):
        sentiment([1.0], ["great"])
    with pytest.raises(InputError, match="other than 0"):
        sentiment([0.0], ["positive"])
    with pytest.raises(InputError, match="answers for 1 clips, got 2"):
        sentiment([1.0], [None, None])
