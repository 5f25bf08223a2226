"""Consistency: descriptions that hold and that do not, in both languages; modalities that contradict each other."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emotion_llama.labels import MERR9
from emotion_llama.merr.recipe import ConsistencyPart
from emotion_llama.merr.stages import consistency
from emotion_llama.merr.stages.consistency import (
    INVENTED_QUOTE,
    NEIGHBOURS,
    NO_CUES,
    NOT_NAMED,
    TOO_EARLY,
    UNGROUNDED,
    find_conflicts,
    split_sentences,
)
from emotion_llama.records import AU_NAMES, ActionUnits, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.wording import wording

CLUES = {
    "visual_expression": "eyes clearly widened, mouth strongly opened",
    "audio_tone": "The voice is loud and fast.",
    "subtitle": "I am so happy for you.",
}
CLUES_ZH = {"visual_expression": "双眼明显睁大，嘴巴高度张开", "audio_tone": "说话时音量大、语速快。"}


def check_text(*given: Any) -> SimpleNamespace:
    return SimpleNamespace(**consistency.check_text(*given))


def problems(text: str, label: str = "surprise", clues: Mapping[str, str] = CLUES, **choices: object) -> list[str]:
    part = ConsistencyPart(**choices)  # type: ignore[arg-type]
    return [problem.partition(":")[0] for problem in check_text(text, label, clues, "en", part).problems]


def test_a_description_that_holds() -> None:
    text = "The eyes are wide open and the voice is loud. Taken together, the person seems surprised."
    found = check_text(text, "surprise", CLUES, "en", ConsistencyPart())
    assert (found.names_label, found.label_at_end, found.grounded_share) == (True, True, 1.0)
    assert (found.ungrounded, found.problems, found.judge) == ([], [], None)


def test_another_label_than_the_clip_s() -> None:
    found = check_text("The eyes are widened. The person is angry.", "surprise", CLUES, "en", ConsistencyPart())
    assert not found.names_label
    assert found.problems == ["the description does not come to the label: surprise, but angry"]
    assert problems("The eyes are widened.") == [NOT_NAMED]


def test_a_label_named_too_early() -> None:
    text = "The person is astonished. The eyes are widened, which shows surprise."
    assert problems(text) == [TOO_EARLY]
    assert problems(text, require_label_last=False) == []
    assert problems("Widened eyes show surprise at 2.5 seconds.") == []  # one sentence, and a number is no full stop


def test_cues_that_were_not_given() -> None:
    # Named: eyes widened and loud voice, given; tears and a trembling voice, invented.
    text = "With widened eyes, tears and a loud, trembling voice the person is surprised."
    found = check_text(text, "surprise", CLUES, "en", ConsistencyPart())
    assert found.grounded_share == pytest.approx(0.5)
    assert set(found.ungrounded) == {"tears", "trembling"}
    assert found.problems == []  # half is enough by default
    assert problems(text, min_grounded_share=0.6) == [UNGROUNDED]


def test_what_is_denied_is_not_named() -> None:
    assert problems("There are no tears. The person is surprised.", min_grounded_share=1.0) == []


def test_a_description_without_cues() -> None:
    text = "The person must be surprised."
    assert check_text(text, "surprise", CLUES, "en", ConsistencyPart()).grounded_share is None
    assert problems(text) == []
    assert problems(text, require_cues=True) == [NO_CUES]


def test_quoted_words_are_no_claims_and_invented_ones_a_problem() -> None:
    # The subtitle says "happy", with and without quotation marks: neither names the label early.
    for quoted in ("\u201cI am so happy for you.\u201d", "I am so happy for you."):
        assert problems(f"The words are {quoted} The eyes are widened. The person is happy.", "happy") == []
    assert problems("The person says \u201cI hate this\u201d with widened eyes, and is surprised.") == [INVENTED_QUOTE]


def test_chinese_texts_are_judged_alike() -> None:
    part = ConsistencyPart(min_grounded_share=1.0)
    held = check_text("此人双眼睁大，声音响亮。可以推断此人感到惊讶。", "surprise", CLUES_ZH, "zh", part)
    assert (held.problems, held.grounded_share) == ([], 1.0)
    early = check_text("此人十分震惊。双眼睁大，可见其惊讶。", "surprise", CLUES_ZH, "zh", part)
    assert [p.partition(":")[0] for p in early.problems] == [TOO_EARLY]
    other = check_text("此人流泪，很悲伤。", "surprise", CLUES_ZH, "zh", part)
    assert [p.partition(":")[0] for p in other.problems] == [NOT_NAMED, UNGROUNDED]
    assert other.problems[0].endswith("surprise, but sad")


@pytest.mark.parametrize("said", ["sad", "a", "I"])
def test_one_spoken_word_takes_no_label_out_of_the_last_sentence(said: str) -> None:
    """Recognised speech of one word, "sad", was cut out of every place, and the clip left the fine set."""
    text = "The eyes are half closed. All in all the person in it feels sad."
    assert problems(text, "sad", {**CLUES, "subtitle": said, "visual_expression": "eyes half closed"}) == []


def test_a_sentence_that_is_said_is_no_claim_with_or_without_marks() -> None:
    clues = {**CLUES, "subtitle": "I am so sad"}
    assert problems("The person says I am so sad, and the eyes are widened. The person is sad.", "sad", clues) == []
    clues = {"subtitle": "我真的很伤心"}
    part = ConsistencyPart()
    assert check_text("此人说我真的很伤心。此人感到悲伤。", "sad", clues, "zh", part).problems == []


def test_sentences() -> None:
    assert split_sentences("One at 2.5 s. Two! Three?  ", wording("en")) == ["One at 2.5 s.", "Two!", "Three?"]
    assert split_sentences("一。二！", wording("zh")) == ["一。", "二！"]
    assert split_sentences("", wording("en")) == []


# --- conflicts --------------------------------------------------------------------------------------------------------


def evidence(units: Mapping[str, float], words: str) -> Evidence:
    intensity = np.zeros((50, len(AU_NAMES)))
    for name, value in units.items():
        intensity[:, AU_NAMES.index(name)] = value
    nothing = np.zeros(50, bool)
    timeline = ActionUnits(AU_NAMES, np.arange(50) / 25, intensity, np.ones(50), nothing, nothing, "person", "test")
    return Evidence(action_units=timeline, transcript=Transcript((TranscriptLine(words),), "given"))


SMILE = {"AU06": 3.0, "AU12": 3.0}


def conflict(*values: str) -> dict[str, str]:
    return dict(zip(("first", "first_label", "second", "second_label", "text"), values, strict=True))


def test_a_smile_with_angry_words_is_a_conflict() -> None:
    found = find_conflicts(evidence(SMILE, "I am furious. I hate you, get out!"), MERR9)
    assert found == [conflict("face", "happy", "words", "angry", "the face says happy, the words say angry")]


def test_neighbours_do_not_contradict() -> None:
    frightened_words = "I am terrified, I am so scared!"
    surprised = {"AU05": 3.0, "AU26": 3.0}
    assert find_conflicts(evidence(surprised, frightened_words), MERR9) == []
    assert len(find_conflicts(evidence(SMILE, frightened_words), MERR9)) == 1
    assert find_conflicts(Evidence(), MERR9, "sad", "worried") == []
    assert all(len(pair) == 2 for pair in NEIGHBOURS)
    assert {label for pair in NEIGHBOURS for label in pair} <= {*MERR9.labels, "disgust"}


def test_what_agrees_or_says_nothing_is_none() -> None:
    assert find_conflicts(evidence(SMILE, "I am so happy, what a wonderful day!"), MERR9) == []
    assert find_conflicts(evidence(SMILE, "The train leaves at nine."), MERR9) == []
    assert find_conflicts(Evidence(), MERR9) == []


def cues_of(monkeypatch: pytest.MonkeyPatch, **weights: Mapping[str, float]) -> list[dict[str, str]]:
    """Conflicts of one cue a modality, with the weights said."""
    monkeypatch.setattr(consistency, "source_sums", lambda evidence: weights)
    return find_conflicts(Evidence(), MERR9)


@pytest.mark.parametrize(
    ("face", "words", "is_conflict"),
    [
        ({"happy": 1.0}, {"angry": 0.5}, True),
        ({"happy": 0.99}, {"angry": 2.0}, False),  # a face that is not clear
        ({"happy": 2.0}, {"angry": 0.49}, False),  # hardly a word
        ({"happy": 1.2, "sad": 0.6}, {"angry": 1.0}, False),  # read as half as sad: no clear face
        ({"happy": 1.2, "sad": 0.59}, {"angry": 1.0}, True),
        ({"happy": 1.2, "surprise": 1.1}, {"angry": 1.0}, True),  # a neighbour leaves it clear
        ({"happy": 1.2, "neutral": 1.1}, {"angry": 1.0}, True),
        ({"happy": 1.2}, {"angry": 1.0, "sad": 0.9}, True),  # words are read as they stand
        ({"surprise": 2.0}, {"worried": 2.0}, False),
    ],
)
def test_only_a_clear_face_contradicts(
    face: Mapping[str, float], words: Mapping[str, float], is_conflict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of five flags were faces read wrongly, of half a clear cue's weight, or torn between two labels."""
    assert bool(cues_of(monkeypatch, face=face, words=words)) is is_conflict


def test_a_hint_in_the_voice_contradicts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cues_of(monkeypatch, voice={"fear": 0.99}, words={"happy": 2.0}) == []
    assert cues_of(monkeypatch, voice={"fear": 1.0}, words={"happy": 2.0}) == [
        conflict("voice", "fear", "words", "happy", "the voice says fear, the words say happy")
    ]


def test_a_given_label_against_the_face() -> None:
    neutral_words = evidence(SMILE, "The train leaves at nine.")
    assert find_conflicts(neutral_words, MERR9, "sad", "happy") == [
        conflict("label", "sad", "face", "happy", "the label is sad, the face says happy")
    ]
    assert find_conflicts(neutral_words, MERR9, "happy", "happy") == []
    assert find_conflicts(neutral_words, MERR9, "sad", None) == []
