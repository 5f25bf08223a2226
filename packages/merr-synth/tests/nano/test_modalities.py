"""What is withheld is withheld everywhere: tokens, cues and words."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.scoring import predict_by_rules
from merr_synth.nano.modalities import CHANNELS, SENSE_SETS, shown_evidence, shown_media, shown_of

ONES = np.ones(4, np.float32)
MEDIA = ClipFeatures(ONES, ONES, ONES, np.zeros((8, 8, 3), np.uint8))


def evidence() -> Evidence:
    two = np.ones(2)
    units = ActionUnits(
        AU_NAMES, two, np.zeros((2, 17)), two, np.zeros(2, bool), np.zeros(2, bool), "population", "test"
    )  # fmt: skip
    peak = PeakFrame(0, 1.0, 5.0, "all", None, {"AU12": 2.5, "AU06": 2.0}, "test")
    tone = Tone("loud voice", {"loud": "level -8.0 dB re full scale"})
    return Evidence(units, peak, None, tone, Transcript((TranscriptLine("I hate it!"),), "given", "en"))


@pytest.mark.parametrize(
    ("senses", "face", "voice", "words"),
    [("A", 0, 1, 0), ("V", 1, 0, 0), ("T", 0, 0, 1), ("A+V", 1, 1, 0), ("A+V+T", 1, 1, 1)],
)
def test_a_set_shows_its_own_and_nothing_else(senses: str, face: int, voice: int, words: int) -> None:
    for name, channels in CHANNELS.items():
        shown = shown_of(evidence(), MEDIA, SENSE_SETS[senses], channels)
        has_tokens = name != "evidence"
        assert shown.media.present == (*[bool(face and has_tokens)] * 3, bool(voice and has_tokens))
        assert shown.words == ("I hate it!" if words else None)
        if name == "tokens":
            assert shown.cues is None
        else:
            assert shown.cues is not None
            assert ("lip corner puller" in shown.cues) == bool(face)
            assert ("loud" in shown.cues) == bool(voice)
            assert ("Words: not measured" in shown.cues) == (not words)
        assert not shown.is_empty
    left = shown_evidence(evidence(), SENSE_SETS[senses])
    sources = {cue.source for cue in predict_by_rules(left).cues}
    assert sources == {name for name, there in (("face", face), ("voice", voice), ("words", words)) if there}


def test_withheld_senses_are_missing_for_the_reasons_that_clips_have() -> None:
    left = shown_evidence(evidence(), frozenset())
    assert left.why_missing("peak_frame") == "no face was found in 2 frames"
    assert left.why_missing("prosody") == "the file has no sound"
    assert (left.why_missing("transcript") or "").startswith("no words came with the clip")
    own = Evidence(missing=(Missing("action_units", "too dark"), Missing("prosody", "a tone"), Missing("tone", "x")))
    left = shown_evidence(own, frozenset())
    assert (left.why_missing("peak_frame"), left.why_missing("prosody")) == ("too dark", "a tone")
    assert left.why_missing("tone") is None
    assert shown_evidence(Evidence(), frozenset()).why_missing("action_units") == "the file has no video"


def test_where_nothing_is_left_there_is_nothing_to_ask() -> None:
    mute = Evidence(None, evidence().peak_frame, None, None, None)
    seen = ClipFeatures(global_image=MEDIA.global_image)
    voice, face = SENSE_SETS["A"], SENSE_SETS["V"]
    assert all(shown_of(mute, seen, voice, channels).is_empty for channels in CHANNELS.values())
    assert not any(shown_of(mute, seen, face, channels).is_empty for channels in CHANNELS.values())
    # A frame without a face is something to look at, and no cue.
    bare = {name: shown_of(Evidence(), seen, face, channels).is_empty for name, channels in CHANNELS.items()}
    assert bare == {"tokens": False, "evidence": True, "both": False}


def test_single_encoders_are_left_out_besides() -> None:
    left = shown_media(MEDIA, SENSE_SETS["A+V"], frozenset({"face"}))
    assert left.present == (True, False, True, True)
    with pytest.raises(InputError, match=r"no encoder 'words' can be left out \(there are: audio, face, image, temp"):
        shown_media(MEDIA, SENSE_SETS["A"], frozenset({"words"}))
