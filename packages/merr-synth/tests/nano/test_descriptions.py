"""Captions and reasons of evidence, word for word where little was measured."""

import re

import numpy as np

from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.tone_text import has_evidence
from merr_synth.nano.descriptions import NOTHING, describe

SMILE = PeakFrame(0, 1.0, 5.0, "all", None, {"AU12": 2.5, "AU06": 2.0}, "test")
LOUD = Tone("loud voice", {"loud": "level -8.0 dB re full scale"})
WORDS = Transcript((TranscriptLine("I hate this room!"),), "given", "en")


def talking(*, at_peak: bool) -> ActionUnits:
    one = np.ones(1)
    levels = np.zeros((1, len(AU_NAMES)))
    return ActionUnits(AU_NAMES, one, levels, one, np.zeros(1, bool), np.array([at_peak]), "population", "test")


def test_the_caption_holds_what_was_measured_and_no_figure() -> None:
    text = describe(Evidence(None, SMILE, None, LOUD, WORDS), "angry").coarse
    assert text == (
        "The person's expression and actions include a smile that clearly reaches the eyes, and the person's "
        "tone is loud. The words speak of anger."
    )


def test_the_reasons_weigh_what_was_measured_and_end_with_the_label() -> None:
    text = describe(Evidence(None, SMILE, None, LOUD, WORDS), "angry").fine
    assert "the words speak of anger" in text
    assert "“" not in text
    assert "smile" in text
    assert "happi" in text  # what the smile alone would suggest
    assert text.rstrip(".").endswith("angry")
    assert "labelled" not in text


def test_words_are_never_quoted_in_any_wording() -> None:
    """A model of two million parameters had 10 of 76 quotations right."""
    said = {"I hate this room! I hate you, get out!": "speak of anger", "The lamp is on the table.": "tell no feeling"}
    for words, told in said.items():
        lines = tuple(TranscriptLine(f"{line}", i, i + 1) for i, line in enumerate(re.findall(r"[^.!?]+[.!?]", words)))
        for label in ("angry", "happy", "neutral"):
            for variant in range(60):
                made = describe(
                    Evidence(None, SMILE, None, LOUD, Transcript(lines, "given", "en")), label, variant=variant
                )
                for text in made:
                    assert "“" not in text
                    assert told in text
                    assert "table" not in text
                    assert "room" not in text


def test_units_of_a_talking_mouth_are_not_named() -> None:
    open_mouth = PeakFrame(0, 1.0, 5.0, "all", None, {"AU26": 2.0, "AU25": 2.0}, "test")
    assert "mouth" in describe(Evidence(talking(at_peak=False), open_mouth), "surprise").coarse
    assert "mouth" not in describe(Evidence(talking(at_peak=True), open_mouth), "surprise").coarse


def test_wordings_vary() -> None:
    evidence = Evidence(None, SMILE, None, LOUD, WORDS)
    assert len({describe(evidence, "angry", variant=v).fine for v in range(40)}) > 5
    assert describe(evidence, "angry", variant=3) == describe(evidence, "angry", variant=3)


def test_without_evidence_there_is_nothing_to_tell() -> None:
    nothing = Evidence(missing=(Missing("peak_frame", "no face was found"),))
    assert not has_evidence(nothing)
    assert describe(nothing, "sad").fine == NOTHING
    assert has_evidence(Evidence(None, SMILE))
