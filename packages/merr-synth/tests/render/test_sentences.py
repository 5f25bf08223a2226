"""Sentences: thousands a label, the same for the same seed, none shared between splits."""

import re
from itertools import combinations

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from merr_synth.render.phonemes import to_words
from merr_synth.render.sentences import (
    AMBIGUOUS,
    SENTENCE_LABELS,
    SPLITS,
    count_sentences,
    draw_sentence,
    grammar,
)


def test_the_grammar_has_all_labels_and_splits_and_no_slot_that_nothing_fills():
    assert set(grammar().templates) == {(label, split) for label in SENTENCE_LABELS for split in SPLITS}
    texts = [t for group in grammar().templates.values() for t in group]
    fillers = [f for group in grammar().slots.values() for f in group]
    asked = {slot for text in (*texts, *fillers) for slot in re.findall(r"\{(\w+)\}", text)}
    assert asked == set(grammar().slots)
    assert all(len(set(group)) == len(group) for group in grammar().slots.values())
    # YAML reads "on" and "1" as something else than text.
    assert all(isinstance(f, str) for f in fillers)


@pytest.mark.parametrize("label", MERR9.labels)
def test_there_are_thousands_of_sentences_a_label_and_hundreds_a_split(label):
    counts = [count_sentences(label, split) for split in SPLITS]
    assert sum(counts) >= 3000
    assert min(counts) >= 400


def test_counting_is_right_where_it_can_be_done_by_hand(monkeypatch):
    from merr_synth.render import sentences

    small = sentences.Grammar(
        {"a": ("x", "y {b}"), "b": ("1", "2", "3")}, {("sad", "train"): ("go {a}", "{b} and {b}", "stop")}
    )
    monkeypatch.setattr(sentences, "grammar", lambda: small)
    # {a}: x, and y with three; {b} and {b}: nine fillings; stop: one
    assert sentences.count_sentences("sad", "train") == 4 + 9 + 1


def test_no_template_and_no_sentence_stands_in_two_splits():
    for label in SENTENCE_LABELS:
        by_split = {split: set(grammar().templates[label, split]) for split in SPLITS}
        drawn = {split: {draw_sentence(label, split, seed).text for seed in range(400)} for split in SPLITS}
        for a, b in combinations(SPLITS, 2):
            assert not by_split[a] & by_split[b]
            assert not drawn[a] & drawn[b], label


def test_no_template_can_make_a_sentence_of_another_one():
    """Slots as wildcards: a sentence of one template must not fit the skeleton of a template in another split."""
    templates = [(label, split, t) for (label, split), group in grammar().templates.items() for t in group]
    skeletons = [
        (label, split, t, re.compile(re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(t)), re.IGNORECASE))
        for label, split, t in templates
    ]
    for label, split, t in templates:
        sentence = _filled(t)
        for other_label, other_split, other, pattern in skeletons:
            if (label, split) != (other_label, other_split) and label == other_label:
                fits = pattern.fullmatch(sentence)
                assert not (fits and _could_be(other, fits)), (sentence, other)


def _filled(template):
    while "{" in template:
        template = re.sub(r"\{(\w+)\}", lambda m: grammar().slots[m[1]][0], template)
    return template


def _could_be(template, match):
    slots = re.findall(r"\{(\w+)\}", template)
    return all(part in grammar().slots[slot] for slot, part in zip(slots, match.groups()))


def test_a_sentence_looks_like_one_and_knows_its_template():
    for label in SENTENCE_LABELS:
        for seed in range(40):
            sentence = draw_sentence(label, "train", seed)
            assert sentence.text[0].isupper()
            assert sentence.text[-1] in ".!?"
            assert "{" not in sentence.text
            assert re.fullmatch(rf"{label}/train/\d+", sentence.template_id)
            assert sentence == draw_sentence(label, "train", seed)
    assert len({draw_sentence("happy", "train", seed).text for seed in range(200)}) > 120


def test_a_person_or_thing_is_not_named_twice_in_a_sentence():
    found = 0
    for seed in range(300):
        text = draw_sentence("neutral", "train", seed).text
        if match := re.fullmatch(r"(\w+) sits next to (\w+)\.", text):
            found += 1
            assert match[1] != match[2]
    assert found >= 10


def test_short_sentences_can_be_had_in_every_label_and_split():
    for label in SENTENCE_LABELS:
        for split in SPLITS:
            text = draw_sentence(label, split, 1, most_syllables=6).text
            assert sum(len(word.syllables) for word in to_words(text)) <= 6, text
    # Nothing is that short: the shortest of many is taken, and it is one of the label's.
    assert draw_sentence("doubt", "train", 1, most_syllables=0).label == "doubt"


@pytest.mark.parametrize(("label", "split"), [("bored", "train"), ("sad", "dev"), ("", "train")])
def test_unknown_labels_and_splits_are_refused(label, split):
    with pytest.raises(InputError, match=f"no sentences for label {label!r} in split {split!r} .labels: neutral"):
        draw_sentence(label, split, 0)


def test_ambiguous_sentences_name_no_feeling():
    named = {
        word for label in ("cheer", "low", "mad", "fret", "dread", "hedge", "scorn") for word in grammar().slots[label]
    }
    for split in SPLITS:
        for template in grammar().templates[AMBIGUOUS, split]:
            slots = re.findall(r"\{(\w+)\}", template)
            assert not named & set(template.split())
            assert not {"cheer", "low", "mad", "fret", "dread", "hedge", "scorn"} & set(slots)
