"""Whether anything was measured that a feeling could be told from; where not, nothing may claim one."""

from __future__ import annotations

from emotion_llama.records import Evidence
from emotion_llama.rules.tone_text import tone_words
from emotion_llama.rules.wording import wording


def has_evidence(evidence: Evidence) -> bool:
    """Whether a face, a voice with a tone, or words were measured. The rule is our own choice."""
    said = evidence.transcript is not None and bool(evidence.transcript.text.strip())
    return evidence.peak_frame is not None or said or _has_voice(evidence)


def _has_voice(evidence: Evidence) -> bool:
    """Whether there is a word for the voice; a tone whose words nobody knows says nothing."""
    known = wording("en").tones
    return any(item.word in known for item in tone_words(None, evidence.tone))
