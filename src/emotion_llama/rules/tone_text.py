"""The tone of a voice in words with the figures behind them, in the languages of `wording`."""

from __future__ import annotations

from emotion_llama.records import Prosody, Tone
from emotion_llama.results import Evidence
from emotion_llama.rules.voice_cues import TONE_WORDS
from emotion_llama.rules.wording import Wording, joined, pick, wording
from emotion_llama.speech.tone import ORDINARY_FIGURES, SCALES, Judgement, Scale, describe_tone, judge


def has_evidence(evidence: Evidence) -> bool:
    """Whether a face, a voice with a tone, or words were measured. The rule is our own choice."""
    said = evidence.transcript is not None and bool(evidence.transcript.text.strip())
    return evidence.peak_frame is not None or said or _has_voice(evidence)


def _has_voice(evidence: Evidence) -> bool:
    """Whether there is a word for the voice; a tone whose words nobody knows says nothing."""
    known = wording("en").tones
    return any(word in known for word, _ in tone_words(None, evidence.tone))


_FIGURE_OF_QUALITY = "harmonicity_db"  # breathy, harsh, hoarse
_FIGURES: dict[str, tuple[str, ...]] = {
    **{word: (figure,) for word, (figure, _) in TONE_WORDS.items()},
    **dict(ORDINARY_FIGURES),
    "even": ("pitch_range_semitones",),  # that there is no tremor needs no figure
}


ToneWord = tuple[str, bool]  # a word of `speech.tone`, and whether it is relative to the person's usual voice


def tone_words(prosody: Prosody | None, tone: Tone | None = None, usual: Prosody | None = None) -> tuple[ToneWord, ...]:
    """What there is to say of the voice: from the figures, or the given tone's words where there are no figures."""
    found = describe_tone(prosody, usual) if prosody is not None else tone
    if found is None:
        return ()
    judged = {} if prosody is None else _judged(prosody, usual)
    known = found.words or dict.fromkeys(found.phrase.removesuffix(" voice").split(", "), "")
    return tuple((word, any(j.word == word and j.usual is not None for _, j in judged.values())) for word in known)


def describe_voice(
    prosody: Prosody | None, tone: Tone | None, usual: Prosody | None, language: str, variant: int = 0
) -> str | None:
    """How the voice sounds as a predicate ("low-pitched and slow, with a median pitch of 98 Hz"); None without a tone.

    Args:
        prosody: figures of the stretch; None where only the words came.
        tone: words, for the case without figures.
        usual: the same voice at large: what is relative to it is said to be.
        language: "en" or "zh".
        variant: chooses among wordings.
    """
    words = wording(language)
    found = [item for item in tone_words(prosody, tone, usual) if item[0] in words.tones]
    if not found:
        return None
    text = words.listed([tone_word_text(item, words, variant) for item in found])
    figures = [] if prosody is None else _figures(found, prosody, usual, words)
    if not figures:
        return text
    listed = joined(figures, words.figures["comma"], words.figures["and"])
    return text + words.figures["opening"].format(figures=listed)


def tone_word_text(item: ToneWord, words: Wording, variant: int) -> str:
    """One word of the tone in a language."""
    word, is_relative = item
    return pick((words.tones_relative if is_relative else words.tones)[word], variant)


def tone_index(language: str) -> dict[str, str]:
    """Every text that `tone_word_text` can give -> the word of `speech.tone`."""
    words = wording(language)
    return {
        text: word for table in (words.tones, words.tones_relative) for word, texts in table.items() for text in texts
    }


def _judged(prosody: Prosody, usual: Prosody | None) -> dict[str, tuple[Scale, Judgement]]:
    found = {scale.figure: (scale, judge(scale, prosody, usual)) for scale in SCALES}
    return {figure: (scale, judgement) for figure, (scale, judgement) in found.items() if judgement is not None}


def _figures(found: list[ToneWord], prosody: Prosody, usual: Prosody | None, words: Wording) -> list[str]:
    """The figures behind the words, each once."""
    names = dict.fromkeys(name for word, _ in found for name in _FIGURES.get(word, (_FIGURE_OF_QUALITY,)))
    judged = _judged(prosody, usual)
    texts = []
    for name in names:
        value = getattr(prosody, name)
        if value is None or name not in words.figures:
            continue
        text = _number(words.figures[name], name, value)
        reference = judged[name][1].usual if name in judged else None
        is_relative = reference is not None and judged[name][1].direction != 0
        if reference is not None and is_relative:
            usual_text = _number(words.figures[f"{name}.usual"], name, reference)
            text = words.figures["usual"].format(figure=text, usual=usual_text)
        texts.append(text)
    return texts


def _number(template: str, name: str, value: float) -> str:
    hertz = 27.5 * 2 ** (value / 12) if name == "pitch_median_semitones" else value
    return template.format(value=hertz, below=-value)
