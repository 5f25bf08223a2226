"""Letters to syllables: counted against sentences that were divided by hand, and single words looked at."""

import re
from pathlib import Path

import pytest

from merr_synth.render.phonemes import CONSONANTS, VOWELS, letters_to_sounds, pronunciations, to_words
from merr_synth.render.phones import PHONES
from merr_synth.render.sentences import grammar

# A hyphen or blank ends a syllable; divided by hand for the tempo benchmark, not for this grammar.
DIVIDED = Path(__file__).parents[4] / "benchmarks" / "spoken_sentences.txt"


def test_syllables_agree_with_words_divided_by_hand():
    words = [w for line in DIVIDED.read_text().splitlines() if not line.startswith("#") for w in line.split()]
    counted = {re.sub(r"[^a-z']", "", w.lower()): w.count("-") + 1 for w in words}
    right = sum(len(to_words(word)[0].syllables) == count for word, count in counted.items())
    assert len(counted) > 250
    assert right / len(counted) > 0.97


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("ship", "SH IH P"), ("knife", "N AY F"), ("thinks", "TH IH NG K S"), ("picture", "P IH K CH ER"),
        ("station", "S T EY SH AH N"), ("stopped", "S T AO P T"), ("edge", "EH JH"), ("quick", "K W IH K"),
        ("night", "N AY T"), ("little", "L IH T AH L"), ("phone", "F OW N"), ("cats", "K AE T S"),
        ("wanted", "W AO N T IH D"),
    ],
)  # fmt: skip
def test_rules_say_ordinary_words_as_they_are_said(word, sounds):
    assert " ".join(letters_to_sounds(word)) == sounds


def test_consonants_go_to_the_next_syllable_as_far_as_they_can_open_it():
    (word,) = to_words("umbrella")
    assert [(s.onset, s.nucleus) for s in word.syllables] == [((), "AH"), (("B", "R"), "EH"), (("L",), "AH")]
    assert [s.is_stressed for s in word.syllables] == [False, True, False]
    assert word.syllables[0].coda == ("M",)
    assert [s.is_stressed for s in to_words("the")[0].syllables] == [False]


def test_marks_stay_with_their_words_and_other_signs_are_left_out():
    words = to_words("Well, it\u2019s – hmm – Anna's!")
    assert [(w.text, w.mark) for w in words] == [("well", ","), ("it's", ""), ("hmm", ""), ("anna's", "!")]
    assert to_words("42 ... ?") == ()


def test_the_lexicon_and_the_synthesiser_know_the_same_sounds():
    assert set(PHONES) == VOWELS | CONSONANTS
    for word, phones in pronunciations().items():
        assert all(p.rstrip("01") in PHONES for p in phones), word
        assert any(p.rstrip("01") in VOWELS for p in phones), word


def test_every_word_of_the_grammar_can_be_said():
    texts = [t for group in (*grammar().templates.values(), *grammar().slots.values()) for t in group]
    words = {w for text in texts for w in re.findall(r"[a-z]+(?:'[a-z]+)*", re.sub(r"\{\w+\}", " ", text.lower()))}
    assert len(words) > 700
    for word in words:
        assert to_words(word)[0].syllables, word
