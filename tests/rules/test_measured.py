"""Where nothing was measured, nothing may claim a feeling."""

import pytest

from emotion_llama.records import PeakFrame, Prosody, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.tone_text import has_evidence

PEAK = PeakFrame(0, 1.0, 0.0, "all", None, {}, "a face at rest")
LOUD = Tone("loud voice", {"loud": "level -8.0 dB re full scale"})
SPOKEN = Transcript((TranscriptLine("Oh no."),), "given")
BLANK = Transcript((TranscriptLine("  "),), "given")
# A voice too short for any figure to be in words.
PROSODY = Prosody(0.1, 0.0, *[None] * 15, "test")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), False),
        (Evidence(missing=(Missing("peak_frame", "nobody"),)), False),
        (Evidence(peak_frame=PEAK), True),  # a face that does not move is evidence
        (Evidence(tone=LOUD), True),
        (Evidence(prosody=PROSODY), False),
        (Evidence(tone=Tone("strange voice", {"strange": ""})), False),  # nobody knows the word
        (Evidence(transcript=SPOKEN), True),
        (Evidence(transcript=BLANK), False),
    ],
)
def test_a_face_a_tone_or_words(evidence: Evidence, expected: bool) -> None:
    assert has_evidence(evidence) is expected
