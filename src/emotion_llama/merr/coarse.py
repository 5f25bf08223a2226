"""The coarse caption: MERR's published template filled in, without the clauses of what is missing. Pure.

Template (`example.jpg` in Emotion-LLaMA's repository): "This person in the video is {visual objective}. The person's
expression and actions include {visual expression}, and the person's tone is {audio tone}. Saying: {subtitle}". The
Chinese one says the same and is this project's own; both stand in `annotators.wording`. A description that does not
begin with its subject ("The person is ...") cannot continue the template's first words: whole sentences ("No face can
be seen in the picture.", or as a model may write) stand as they are, a fragment ("A man in a car") behind a heading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from emotion_llama.rules.wording import Wording, wording

COARSE_VERSION = 2


def coarse_caption(clues: Mapping[str, str], language: str) -> str:
    """The caption; empty when there is no clue at all.

    Args:
        clues: any of "visual_objective", "visual_expression", "audio_tone", "subtitle", in the language.
        language: "en" or "zh".
    """
    words = wording(language)
    parts = words.coarse
    expression, tone = _bare(clues.get("visual_expression", ""), words), _tone(clues.get("audio_tone", ""), words)
    sentences = [_visual(clues.get("visual_objective", "").strip(), words)]
    if expression and tone:
        sentences.append(parts["both"].format(expression=expression, tone=tone))
    elif expression or tone:
        sentences.append(parts["expression" if expression else "tone"].format(expression=expression, tone=tone))
    saying = clues.get("subtitle", "").strip()
    sentences += [parts["subtitle"].format(subtitle=saying)] if saying else []
    return words.between_sentences.join(sentence for sentence in sentences if sentence)


def _visual(text: str, words: Wording) -> str:
    if not text:
        return ""
    subject = re.match(words.coarse["subject"], text)
    is_whole = text[-1] in words.sentence_ends
    if subject and subject.end() < len(text):
        told = words.coarse["visual"].format(text=text[subject.end() :])
    else:
        told = text if is_whole else words.coarse["visual.free"].format(text=text)
    return told if is_whole else told + words.sentence_ends[0]


def _tone(text: str, words: Wording) -> str:
    bare = _bare(text, words)
    subject = re.match(words.coarse["tone.subject"], bare)
    if subject and subject.end() < len(bare):
        return bare[subject.end() :]
    return bare


def _bare(text: str, words: Wording) -> str:
    """Without a full stop at its end, and without the capital of a sentence's first word."""
    bare = text.strip().rstrip(words.sentence_ends + " ")
    first, _, _ = bare.partition(" ")
    return bare[:1].lower() + bare[1:] if first.istitle() and first not in ("I", "The", "This") else bare
