"""Units and tones that free texts name."""

import pytest

from emotion_llama.merr.quality.texts import tone_mentions, unit_mentions
from emotion_llama.rules.phrases import phrase_index
from emotion_llama.speech.tone import SCALES

CLEAR = 1.6  # phrases of this strength: adverbs change nothing here
PHRASES = [
    (phrase, set(units))
    for language in ("en", "zh")
    for phrase, (units, least) in phrase_index(language).items()
    if least == CLEAR
]


@pytest.mark.parametrize(("phrase", "units"), PHRASES)
def test_what_the_packages_own_phrases_name_is_meant(phrase: str, units: set[str]) -> None:
    """Phrases written elsewhere for another purpose: every mention is of a unit meant."""
    mentions = unit_mentions(phrase)
    assert mentions
    assert all(mention & units for mention in mentions), mentions


@pytest.mark.parametrize("is_english", [True, False])
def test_nearly_all_that_they_mean_is_found(is_english: bool) -> None:
    """Idioms say more than their words ("a smug smile" is AU14 too), so not all: 92 % and 94 % when written."""
    chosen = [(phrase, units) for phrase, units in PHRASES if phrase.isascii() == is_english]
    assert len(chosen) > 50
    found = [any(unit in named for named in unit_mentions(phrase)) for phrase, units in chosen for unit in units]
    assert sum(found) / len(found) > 0.88


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("She smiles broadly, and her eyebrows are raised.", [{"AU12"}, {"AU01", "AU02"}]),
        ("His brow is furrowed while his lips are pressed into a thin line", [{"AU04"}, {"AU23"}]),
        ("The inner corners of her eyebrows are raised", [{"AU01"}]),
        ("Raised cheeks and narrowed eyes", [{"AU06"}, {"AU07"}]),
        ("wide-eyed, mouth agape", [{"AU05"}, {"AU25", "AU26"}]),
        ("lips pressed and eyes wide open", [{"AU23"}, {"AU05"}]),
        ("He wears a blue shirt and looks at the camera.", []),
        ("There is no smile; the mouth is not open.", []),
        ("She isn't smiling, but frowning.", [{"AU04", "AU15"}]),
        ("她眉头紧锁，嘴角上扬。", [{"AU04"}, {"AU12"}]),
        ("他没有微笑，眼睛睁大", [{"AU05"}]),
        ("双唇微张，皱着眉", [{"AU25"}, {"AU04"}]),
    ],
)
def test_mentions_in_sentences(text: str, units: list[set[str]]) -> None:
    assert unit_mentions(text) == units


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("She speaks quickly, in a high-pitched voice.",
         [("articulation_rate", 1), ("pitch_median_semitones", 1)]),
        ("a low, quiet voice that trembles", [("loudness_median_db", -1), ("tremor_depth_percent", 1)]),
        ("monotone and slow", [("pitch_range_semitones", -1), ("articulation_rate", -1)]),
        ("It is not loud, but hesitant.", [("pause_share", 1)]),
        ("The tone is warm.", []),
        ("语速较快，声音低沉", [("articulation_rate", 1), ("pitch_median_semitones", -1)]),
        ("声音没有颤抖", []),
    ],
)  # fmt: skip
def test_tones_in_sentences(text: str, mentions: list[tuple[str, int]]) -> None:
    assert tone_mentions(text) == mentions


@pytest.mark.parametrize("scale", [s for s in SCALES if s.figure != "pitch_slope_semitones_per_second"])
def test_the_tone_tables_own_words_are_understood(scale: object) -> None:
    for word, direction in ((scale.low_word, -1), (scale.high_word, 1)):  # type: ignore[attr-defined]
        if word is not None:
            assert tone_mentions(f"a {word} voice") == [(scale.figure, direction)]  # type: ignore[attr-defined]
