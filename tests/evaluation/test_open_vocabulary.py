"""Word lists by the published rule, and the scores of a clip, worked out by hand."""

import numpy as np
import pytest

from emotion_llama.evaluation.metrics.words import clip_scores, group_by_first, harmonic_mean, parse_word_list

WHEEL = {"happy": "joy", "glad": "joy", "sad": "sad", "low": "sad", "cross": "mad"}.get


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


def test_a_clip_is_scored_by_its_groups() -> None:
    truth, answers = [["neutral"], ["happy", "sad"], ["cross"]], [["happy"], ["glad", "xyz"], []]
    precision, recall, empty = clip_scores(truth, answers, WHEEL)
    # neutral names no group; G {joy, sad}, P {joy}: 1, 1/2; G {mad}, P empty: 0, 0
    assert np.isnan([precision[0], recall[0]]).all()
    assert (precision[1:].tolist(), recall[1:].tolist()) == ([1.0, 0.0], [0.5, 0.0])
    assert empty.tolist() == [False, False, True]
    assert harmonic_mean(0.0, 0.0) == 0.0  # NaN in the owners' code


def test_each_clip_may_have_groups_of_its_own() -> None:
    groupings = [group_by_first([["happy", "joyful"], ["sad", "down"]]), group_by_first([])]
    precision, recall, _ = clip_scores([["happy", "calm"], ["happy"]], [["Joyful", "happy"], ["sad"]], groupings)
    # clip 1: G {happy, calm}, P {happy}; clip 2: a word of no group is itself
    assert (precision.tolist(), recall.tolist()) == ([1.0, 0.0], [0.5, 0.0])
