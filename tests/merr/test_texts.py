"""Tokens, repeats and near duplicates, against counts by hand."""

import random

import pytest

from emotion_llama.merr.quality.texts import ideograph_share, near_duplicates, ngrams, repeated_share, tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t WAIT - it's well-lit!", ["don't", "wait", "it's", "well-lit"]),
        ("嘴角上扬，AU12。", ["嘴", "角", "上", "扬", "au12"]),
        ("a_b 3.5", ["a", "b", "3", "5"]),
        ("...", []),
    ],
)
def test_words_and_ideographs_are_tokens(text: str, words: list[str]) -> None:
    assert tokens(text) == words


def test_ngrams_are_runs() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []


def test_a_loop_is_seen_and_a_short_text_is_not_judged() -> None:
    # "a b c d" three times: 9 4-grams, of which 4 differ.
    assert repeated_share(["a", "b", "c", "d"] * 3) == pytest.approx(5 / 9)
    assert repeated_share(["one", "two", "three", "four", "five"]) == 0
    assert repeated_share(["a", "b", "c"]) is None


def test_script_of_a_text() -> None:
    assert ideograph_share("嘴角ab") == 0.5
    assert ideograph_share("123 !") is None


def test_near_duplicates_point_to_the_first_of_them() -> None:
    words = [f"w{i}" for i in range(60)]
    changed = [*words[:59], "other"]  # of 58 shingles each 57 are shared: 57 / 59 = 0.966
    halved = [*words[:30], *(f"v{i}" for i in range(30))]
    texts = [" ".join(words), " ".join(halved), " ".join(changed), " ".join(words), "", ""]
    assert near_duplicates(texts) == [0, 1, 0, 0, 4, 5]


def test_short_texts_are_compared_whole() -> None:
    texts = ["a calm voice", "a calm voice", "A calm voice!", "a loud voice", "two words", "two words"]
    assert near_duplicates(texts) == [0, 0, 0, 3, 4, 4]


def test_every_pair_above_the_bound_is_found() -> None:
    """Against all pairs compared one by one, on texts that differ in one or two of 40 words."""
    rng = random.Random(3)
    texts = []
    for _ in range(30):
        words = [f"w{rng.randrange(10_000)}" for _ in range(40)]
        texts.append(" ".join(words))
        for _ in range(2):
            copy = list(words)
            copy[rng.randrange(40)] = "x"
            texts.append(" ".join(copy))

    def shingles(text: str) -> set[tuple[str, ...]]:
        return set(ngrams(text.split(), 3))

    expected = []
    for row, text in enumerate(texts):
        firsts = [r for r in range(row) if expected[r] == r]
        twins = (
            r for r in firsts
            if len(shingles(text) & shingles(texts[r])) / len(shingles(text) | shingles(texts[r])) >= 0.9
        )  # fmt: skip
        expected.append(next(twins, row))
    assert 0 < sum(first != row for row, first in enumerate(expected)) < 60
    assert near_duplicates(texts) == expected
