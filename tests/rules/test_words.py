"""Words as evidence: exact negation and degree, languages, and the share of sentences read as expected."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.records import Transcript
from emotion_llama.results import Evidence
from emotion_llama.rules.lexicon import Lexicon, english, parse, tokens
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.rules.words import read_words

SENTENCES = list(csv.DictReader((Path(__file__).parent / "sentences.csv").read_text(encoding="utf-8").splitlines()))
# Rows with round weights, so that expected values are simple products.
TINY = Lexicon(
    parse(
        [
            {"pattern": "happy", "kind": "state", "weights": "happy:1.0"},
            {"pattern": "angry", "kind": "state", "weights": "angry:1.0"},
            {"pattern": "pathetic", "kind": "stance", "weights": "contempt:2.0"},
            {"pattern": "do not think so", "kind": "stance", "weights": "doubt:1.5"},
            {"pattern": "annoy*", "kind": "stance", "weights": "angry:1.0"},
            {"pattern": "?", "kind": "stance", "weights": "doubt:0.25"},
        ],
        "tiny",
    )
)


def weights(transcript: Transcript) -> dict[str, float]:
    hits = read_words(transcript, TINY).hits
    labels = {label for hit in hits for label in hit.weights}
    return {label: sum(hit.weights.get(label, 0.0) for hit in hits) for label in labels}


def test_plain_word_gives_its_weight_and_speaks_against_neutral(say: Callable[..., Transcript]) -> None:
    assert weights(say("I am happy.")) == pytest.approx({"happy": 1.0, "neutral": -0.35})


@pytest.mark.parametrize("text", ["I am not happy.", "I'm not happy", "I was never happy.", "I isn't happy."])
def test_negated_happy_is_less_happy_and_hints_at_sad_and_angry(text: str, say: Callable[..., Transcript]) -> None:
    # -0.74 as in VADER; then 0.6 and 0.35 of the weight; neutral loses 0.35 of the largest, 0.6.
    expected = {"happy": -0.74, "sad": 0.6, "angry": 0.35, "neutral": -0.21}
    assert weights(say(text)) == pytest.approx(expected)


def test_negated_angry_speaks_for_neutral_only(say: Callable[..., Transcript]) -> None:
    assert weights(say("I am not angry.")) == pytest.approx({"angry": -0.74, "neutral": 0.3})


@pytest.mark.parametrize(
    ("text", "happy"),
    [
        ("I am really happy.", 1.293),  # VADER: + 0.293
        ("I am soooo happy.", 1.293),
        ("I am a bit happy.", 0.707),
        ("I am happy!", 1.15),
        ("I am HAPPY.", 1.2),
        ("I AM HAPPY.", 1.0),  # all capitals mean nothing
        ("I am happy, but tired.", 0.5),
        ("I am tired, but happy.", 1.5),
        ("He is happy.", 0.4),
        ("You look happy.", 0.4),
        ("You make me happy.", 1.0),
        ("Not only am I happy.", 1.0),
        ("No, I am happy.", 1.0),  # the comma ends the reach of "no"
        ("Isn't she lovely and happy?", 0.4),  # a tag question denies nothing
        ("I have never been so happy.", 1.293),  # a superlative, not a negation
        ("Happy, happy, happy.", 1 + 1 / 2 + 1 / 3),  # the n-th time counts 1/n
        ("It is unhappy.", 0.0),
    ],
)
def test_degree_and_speaker(text: str, happy: float, say: Callable[..., Transcript]) -> None:
    assert weights(say(text)).get("happy", 0.0) == pytest.approx(happy)


def test_negation_does_not_cross_a_clause(say: Callable[..., Transcript]) -> None:
    found = weights(say("I'm not angry, I'm happy."))
    assert found["angry"] == pytest.approx(-0.74)
    assert found["happy"] == pytest.approx(1.0)


def test_stance_counts_whoever_it_is_about(say: Callable[..., Transcript]) -> None:
    assert weights(say("He is pathetic."))["contempt"] == pytest.approx(2.0)


def test_phrase_with_its_own_negation_is_not_negated_again(say: Callable[..., Transcript]) -> None:
    assert weights(say("I don't think so."))["doubt"] == pytest.approx(1.5)
    # A filler inside the phrase is stepped over and, being an intensifier, counts.
    assert weights(say("I do not really think so."))["doubt"] == pytest.approx(1.5 * 1.293)


def test_stem_takes_any_ending_and_word_does_not(say: Callable[..., Transcript]) -> None:
    assert weights(say("This is annoying."))["angry"] == pytest.approx(1.0)
    assert read_words(say("An angrybird."), TINY).hits == ()


def test_stance_is_negated_only_nearby(say: Callable[..., Transcript]) -> None:
    # Not taken back: "not" is three words away.
    assert weights(say("I don't want your pathetic advice."))["contempt"] == pytest.approx(2.0)
    assert weights(say("That is not pathetic."))["contempt"] == pytest.approx(-1.48)


def test_pattern_that_begins_a_sentence(say: Callable[..., Transcript]) -> None:
    rows = [
        {"pattern": "^ help me", "kind": "stance", "weights": "fear:1.0"},
        {"pattern": "help", "kind": "stance", "weights": "fear:0.1"},
    ]
    lexicon = Lexicon(parse(rows, "tiny"))

    def fear(text: str) -> float:
        return sum(hit.weights["fear"] for hit in read_words(say(text), lexicon).hits)

    assert fear("Help me.") == pytest.approx(1.0)
    assert fear("It is dark. Oh please, help me.") == pytest.approx(1.0)
    assert fear("Can you help me?") == pytest.approx(0.1)
    assert [pattern.text for pattern in lexicon.patterns] == ["^ help me", "help"]


@pytest.mark.timeout(20)
def test_hours_without_a_mark_are_read_quickly(say: Callable[..., Transcript]) -> None:
    # Recognised speech without punctuation was one clause, looked through again for each word: minutes.
    hits = read_words(say("I am not happy " * 20_000), TINY).hits
    assert len(hits) == 20_000
    assert hits[-1].notes == ("negated",)
    assert hits[-1].weights["happy"] == pytest.approx(-0.74 / 20_000)


def test_lines_of_a_subtitle_are_sentences(say: Callable[..., Transcript]) -> None:
    assert weights(say("I am not", "happy"))["happy"] == pytest.approx(1.0)


def test_tokens_write_contractions_out() -> None:
    assert [t.text for t in tokens("I can’t BELIEVE it’s Tom’s… what!?")] == [
        "i", "can", "not", "believe", "it", "is", "tom's", "...", "what", "?!",
    ]  # fmt: skip
    assert [t.text for t in tokens("Let's go 😡!!!")] == ["let", "us", "go", "😡", "!"]


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("", None, "nothing was transcribed"),
        ("明天去学校", None, "none of the words is in the emotion lexicon"),
        ("とても嬉しいです", None, "the words look Japanese"),
        ("Я очень рад тебя видеть", None, "the words look Russian"),
        ("I am happy", "de", "is marked 'de'"),
        ("Die Frau ist sehr traurig heute", None, "the words look German"),
        ("Je suis vraiment content de te voir", None, "the words look French"),
        ("Estoy muy contento de verte hoy", None, "the words look Spanish"),
        ("Two boxes stand there", None, "none of the words is in the emotion lexicon"),
    ],
)
def test_no_evidence_has_a_reason(text: str, language: str | None, reason: str, say: Callable[..., Transcript]) -> None:
    reading = read_words(say(text, language=language))
    assert reading.hits == ()
    assert reading.problem is not None
    assert reason in reading.problem


def test_nothing_transcribed() -> None:
    assert read_words(None).problem == "nothing was transcribed"


def test_english_marked_as_a_dialect_is_read(say: Callable[..., Transcript]) -> None:
    assert read_words(say("I am happy", language="en-GB")).problem is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"pattern": "", "kind": "state", "weights": "sad:1"}, "tiny, line 2: expected a new pattern, got ''"),
        ({"pattern": "x", "kind": "mood", "weights": "sad:1"}, "line 2: kind must be 'state' or 'stance', got 'mood'"),
        ({"pattern": "x", "kind": "state", "weights": "sad"}, "line 2: weights must read .* got 'sad'"),
        ({"pattern": "x", "kind": "state", "weights": ""}, "line 2: weights must read .* got ''"),
        ({"pattern": "x", "kind": "state", "weights": "sad:1 sad:2"}, "line 2: weights must read"),
    ],
)
def test_wrong_rows_are_named(row: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse([row], "tiny")


def test_doubled_row_is_named() -> None:
    row = {"pattern": "x", "kind": "state", "weights": "sad:1"}
    with pytest.raises(InputError, match="line 3: expected a new pattern, got 'x'"):
        parse([row, row], "tiny")


def test_shipped_lexicon_is_written_as_the_tokeniser_writes() -> None:
    # A pattern that the tokeniser would split differently could never match.
    for pattern in english().patterns:
        plain = pattern.text.replace("*", "").removeprefix("^ ")
        assert " ".join(t.text for t in tokens(plain)) == plain
    labels = {label for pattern in english().patterns for label in pattern.weights}
    expected = {"neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt", "disgust"}
    assert labels == expected
    assert 600 <= len(english().patterns) <= 1100
    assert all(0 < w <= 2 for p in english().patterns for w in p.weights.values())


def _is_read_as_expected(row: dict[str, str], say: Callable[..., Transcript]) -> bool:
    answer = predict_by_rules(Evidence(transcript=say(row["text"]))).label
    return (answer or "neutral") == row["expected"]  # no answer is right for a sentence without emotion


def test_share_of_sentences_read_as_expected(say: Callable[..., Transcript]) -> None:
    # The sentences and labels were committed before the lexicon, and by the same hand, which makes the shares
    # flattering. "tune" was looked at while mistakes were mended, "held" was not. What is too close to call is missed.
    for split, count, least in (("tune", 62, 60), ("held", 62, 57)):
        rows = [row for row in SENTENCES if row["split"] == split]
        assert len(rows) == count
        assert sum(_is_read_as_expected(row, say) for row in rows) >= least


def test_example_of_the_project_page_is_an_insult(say: Callable[..., Transcript]) -> None:
    prediction = predict_by_rules(Evidence(transcript=say("Are you really stupid or just pretending?")))
    assert prediction.probabilities is not None
    ranked = sorted(prediction.probabilities, key=lambda label: -prediction.probabilities[label])  # type: ignore[index]
    assert set(ranked[:2]) == {"contempt", "angry"}
