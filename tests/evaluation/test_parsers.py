"""One reply, three readings: what each parser tells, and why it tells nothing."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.parsers import (
    REASONS,
    ParsedAnswer,
    into,
    parse_label,
    parse_sentiment,
    parse_words,
    parsers_for,
    synonym_groups,
)
from emotion_llama.evaluation.records import Output
from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace


def says(text: str) -> Output:
    return Output("a", text=text)


def gives(**probabilities: float) -> Output:
    return Output("a", probabilities=probabilities)


@pytest.mark.parametrize(
    ("text", "upstream", "tolerant"),
    [
        ("happy", "happy", "happy"),
        ("the emotion is sad", "sad", "sad"),
        ("Happy.", "neutral", "happy"),  # a capital and a full stop are enough for the published rule
        ("happy ", "neutral", "happy"),
        ("", "neutral", None),
        ("I cannot determine the emotion.", "neutral", None),
        ("fear", "neutral", None),  # of the nine that are offered, not of the six that count
        ("neutral", "neutral", "neutral"),
    ],
)
def test_published_rule_and_reader_side_by_side(text: str, upstream: str, tolerant: str | None) -> None:
    assert parse_label(says(text), "upstream", MERR9, MER6).label == upstream
    assert parse_label(says(text), "tolerant", MERR9, MER6).label == tolerant


def test_neutral_by_default_is_told_from_neutral() -> None:
    assert parse_label(says("Happy."), "upstream", MERR9, MER6).by_default
    assert not parse_label(says("neutral"), "upstream", MERR9, MER6).by_default


def test_the_published_rule_takes_the_labels_of_other_spaces() -> None:
    # With MER's six "fear" and "disgust" could never be told; the published DFEW row has a recall of fear.
    assert parse_label(says("it is fear"), "upstream", DFEW7, DFEW7).label == "fear"
    assert parse_label(says("worried"), "upstream", MERR9, DFEW7) == ParsedAnswer("neutral", by_default=True)
    assert parse_label(
        says("c"), "upstream", LabelSpace("ab", ("a", "b")), LabelSpace("ab", ("a", "b"))
    ) == ParsedAnswer(why_none="no label")


@pytest.mark.parametrize(
    ("reply", "parser", "why"),
    [
        (None, "tolerant", "no reply"),
        (Output("a", problem="out of memory"), "upstream", "failed"),
        (gives(sad=1.0), "tolerant", "no text"),
        (says("sad"), "likelihood", "no probabilities"),
        (says(""), "tolerant", "empty"),
        (says("As an AI, I cannot label emotions."), "tolerant", "refusal"),
        (says("happy or sad"), "tolerant", "undecided"),
        (says("She is not angry."), "tolerant", "only denials"),
        (says("He is disgusted."), "tolerant", "other label"),
        (says("A man stands in a room."), "tolerant", "no label"),
    ],
)
def test_every_reason(reply: Output | None, parser: str, why: str) -> None:
    assert parse_label(reply, parser, MERR9, MER6) == ParsedAnswer(why_none=why)
    assert why in REASONS


def test_asked_labels_are_converted_to_scored_ones() -> None:
    assert parse_label(says("She seems worried."), "tolerant", MERR9, DFEW7) == ParsedAnswer(why_none="other label")
    # The first of a list counts, and it is fear: reading over the six alone would have found "sad".
    assert parse_label(says("He feels fear and sadness."), "tolerant", MERR9, MER6) == ParsedAnswer(
        why_none="other label"
    )
    assert parse_label(says("He feels fear and sadness."), "tolerant", MER6, MER6).label == "sad"
    assert parse_label(gives(fear=0.7, sad=0.3), "likelihood", MERR9, DFEW7).label == "fear"
    assert parse_label(gives(worried=0.7, sad=0.3), "likelihood", MERR9, DFEW7) == ParsedAnswer(why_none="other label")
    assert into("tired", MERR9, MER6) is None
    assert into("a", LabelSpace("own", ("a",)), MER6) is None


def test_likelihood_keeps_the_probabilities() -> None:
    told = parse_label(gives(sad=0.6, happy=0.4), "likelihood", MER6, MER6)
    assert (told.label, dict(told.probabilities or {})) == ("sad", {"sad": 0.6, "happy": 0.4})


@pytest.mark.parametrize(
    ("text", "upstream", "tolerant"),
    [
        ("['happy', 'Very Sad']", ("happy", "very sad"), ("happy", "very sad")),
        ("happy, sad, happy", ("happy", "sad"), ("happy", "sad")),
        ("[]", (), ()),
        ("Emotions: glad, a bit sad.", ("emotions: glad", "a bit sad."), ("glad", "a bit sad")),
        ("[emotion] sad", ("emotion] sad",), ("sad",)),  # a tag, which the published rule takes for a part
        ("[sad]", ("sad",), ("sad",)),
        ("Output: ['tense']", None, ("tense",)),
        ("1. hopeful\n2. very tired\n", None, ("hopeful", "very tired")),
        ("- hopeful\n- tired", None, ("hopeful", "tired")),
        ("He is sad, she is scared", ("he is sad", "she is scared"), ("sad", "scared")),
        ("I am happy.", ("i am happy.",), ("happy",)),
        ("The emotions are: joyful, proud and slightly nervous.", None, ("joyful", "proud", "slightly nervous")),
        ("He clenches his fists, so he is angry, not sad at all, while he talks to the camera.", None, ("angry",)),
    ],
)
def test_words_of_lists_and_prose(text: str, upstream: tuple[str, ...] | None, tolerant: tuple[str, ...]) -> None:
    if upstream is not None:
        assert parse_words(says(text), "upstream").words == upstream
    assert parse_words(says(text), "tolerant").words == tolerant


def test_words_that_are_not_there() -> None:
    assert parse_words(says(" "), "upstream").why_none == "empty"
    long = "The person sits on a chair in the kitchen of a large old house."
    assert parse_words(says(long), "tolerant").why_none == "no label"
    assert parse_words(None, "tolerant").why_none == "no reply"
    assert parse_words(gives(sad=0.4, happy=0.6), "likelihood").words == ("happy",)


@pytest.mark.parametrize(
    ("text", "upstream", "tolerant"),
    [
        (" Positive ", "positive", "positive"),
        ("The sentiment is negative.", None, "negative"),
        ("It is not positive but negative.", None, "negative"),
        ("positive or negative", None, None),
        ("", None, None),
        ("fine", None, None),
    ],
)
def test_sentiment(text: str, upstream: str | None, tolerant: str | None) -> None:
    assert parse_sentiment(says(text), "upstream").label == upstream
    assert parse_sentiment(says(text), "tolerant").label == tolerant


def test_sentiment_by_likelihood() -> None:
    assert parse_sentiment(gives(positive=0.2, neutral=0.3, negative=0.5), "likelihood").label == "negative"
    assert parse_sentiment(gives(sad=1.0), "likelihood").why_none == "other label"
    assert parse_sentiment(says("positive or negative"), "tolerant").why_none == "undecided"
    assert parse_sentiment(None, "upstream").why_none == "no reply"


def test_parsers_follow_from_what_replies_have() -> None:
    assert parsers_for([says("sad")]) == ("upstream", "tolerant")
    assert parsers_for([gives(sad=1.0)]) == ("likelihood",)
    assert parsers_for([Output("a", "sad", {"sad": 1.0})]) == ("upstream", "tolerant", "likelihood")
    assert parsers_for([Output("a", problem="broken")]) == ("upstream", "tolerant")


def test_groups_of_a_language_model() -> None:
    assert synonym_groups("[['Happy', 'joyful'], ['sad']]") == [["happy", "joyful"], ["sad"]]
    assert synonym_groups('Here they are:\n[["a", "b"],\n ["c"]]')[-2:] == [["a", "b"], ["c"]]
    with pytest.raises(InputError, match="an answer with groups looks like"):
        synonym_groups("I cannot group these.")


def test_refusals() -> None:
    with pytest.raises(InputError, match="no parser 'best'"):
        parse_words(says("sad"), "best")
