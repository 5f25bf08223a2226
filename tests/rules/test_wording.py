"""The languages' tables: the same keys and slots everywhere, and no words that a description must not hold."""

from dataclasses import fields
from string import Formatter

import pytest

from emotion_llama.labels import LABEL_SPACES
from emotion_llama.media.picture import COLOUR_WORDS
from emotion_llama.rules.clues import cues_in
from emotion_llama.rules.lexicon import english, tokens
from emotion_llama.rules.reasoning import holds_label
from emotion_llama.rules.wording import LANGUAGES, Wording, pick_for, wording
from emotion_llama.rules.words import FILLERS
from emotion_llama.speech.tone import SCALES

ENGLISH = wording("en")
TABLES = [field.name for field in fields(Wording) if isinstance(getattr(ENGLISH, field.name), type(ENGLISH.units))]
LABELS = sorted({label for space in LABEL_SPACES.values() for label in space.labels})


def _slots(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys(language: str) -> None:
    words = wording(language)
    assert words.language == language
    assert len(TABLES) == 15
    for table in TABLES:
        if table != "strengths":  # which words of strength a phrase needs is the language's own affair
            assert set(getattr(words, table)) == set(getattr(ENGLISH, table)), table


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("table", ["scene", "reason"])
def test_sentences_have_the_same_slots_in_every_language_and_variant(language: str, table: str) -> None:
    for key, texts in getattr(wording(language), table).items():
        wanted = _slots(getattr(ENGLISH, table)[key][0])
        assert all(_slots(text) == wanted for text in texts), key
        assert len(set(texts)) == len(texts), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_is_measured_has_words(language: str) -> None:
    words = wording(language)
    tones = {w for scale in SCALES for w in (scale.low_word, scale.high_word) if w}
    assert tones | {"breathy", "harsh", "hoarse", "even", "moderate"} == set(words.tones)
    assert {s.low_word for s in SCALES if s.relative} | {s.high_word for s in SCALES if s.relative} == set(
        words.tones_relative
    )
    assert set(words.colours) == set(COLOUR_WORDS)
    assert set(words.feelings) == set(LABELS) == set(words.moods) == set(words.label_words)
    assert all(len(strength) == 3 for strength in words.strengths.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_descriptions_of_the_picture_hold_no_word_of_emotion(language: str) -> None:
    words = wording(language)
    for texts in words.scene.values():
        for text in texts:
            assert not any(holds_label(text, label, words) for label in LABELS), text
            found = tokens(text.format_map(dict.fromkeys(_slots(text), "")))
            hits = [english().match(found, at, FILLERS) for at in range(len(found))]
            # A dark picture is no dark mood.
            assert [hit[0].text for hit in hits if hit is not None and hit[0].text != "dark"] == [], text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("label", LABELS)
def test_templates_of_reasons_do_not_name_the_label_before_the_last_sentence(language: str, label: str) -> None:
    words = wording(language)
    early = [text for key, texts in words.reason.items() for text in texts if not key.startswith("last")]
    early += [phrase for table in (words.combinations, words.units) for ps in table.values() for phrase in ps]
    early += [tone for table in (words.tones, words.tones_relative) for tones in table.values() for tone in tones]
    early += [*words.at_rest, *words.figures.values(), *words.colours.values()]
    assert [text for text in early if holds_label(text, label, words)] == []
    others = [mood for name, mood in words.moods.items() if name != label]
    assert [mood for mood in others if holds_label(mood, label, words)] == []


UNIT_CUES = {
    "AU01": "eyebrows raised", "AU02": "eyebrows raised", "AU04": "eyebrows lowered", "AU05": "eyes widened",
    "AU06": "cheeks raised", "AU07": "eyes narrowed", "AU09": "nose wrinkled", "AU10": "upper lip raised",
    "AU12": "mouth corners up", "AU14": "mouth corners tightened", "AU15": "mouth corners down",
    "AU17": "chin pushed up", "AU20": "lips stretched", "AU23": "lips tightened", "AU25": "mouth open",
    "AU26": "mouth open", "AU45": "eyes closed",
}  # fmt: skip
PRESSED = ("AU17", "AU23")  # "lips pressed together" names what the lips do, not the chin below them
TONE_CUES = {
    "low-pitched": "low pitch", "high-pitched": "high pitch", "monotone": "flat melody", "lively": "lively melody",
    "quiet": "quiet", "loud": "loud", "slow": "slow", "fast": "fast", "halting": "pauses", "trembling": "trembling",
    "falling": "falling pitch", "rising": "rising pitch", "breathy": "breathy", "harsh": "rough", "hoarse": "rough",
    "even": "even voice", "moderate": "even voice",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_judge_knows_every_unit_in_every_phrase(language: str) -> None:
    words = wording(language)
    missed = []
    for group, phrases in [*words.combinations.items(), *(((name,), ps) for name, ps in words.units.items())]:
        for phrase in phrases:
            for i in range(3):
                text = phrase.format_map({slot: texts[i] for slot, texts in words.strengths.items()})
                found = cues_in(f"it shows {text}.", words)
                wanted = {UNIT_CUES[name] for name in group} if group != PRESSED else {"lips tightened"}
                missed += [(text, cue) for cue in wanted - set(found)]
    assert missed == []
    assert all("face at rest" in cues_in(text, words) for text in words.at_rest)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_judge_knows_every_word_of_tone_and_takes_it_for_no_other(language: str) -> None:
    words = wording(language)
    for table in (words.tones, words.tones_relative):
        for tone, texts in table.items():
            for text in texts:
                assert set(cues_in(f"the voice is {text}.", words)) == {TONE_CUES[tone]}, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_judge_takes_no_template_for_a_cue(language: str) -> None:
    words = wording(language)
    texts = [text for key, texts in words.reason.items() for text in texts]
    bare = [text.format_map(dict.fromkeys(_slots(text), "~")) for text in texts]
    assert [text for text in bare if cues_in(text, words)] == []


def test_lists_in_running_text() -> None:
    assert ENGLISH.listed(["a"]) == "a"
    assert ENGLISH.listed(["a", "b", "c"]) == "a, b and c"
    # "wide eyes and a dropped jaw and a curled lip" would not tell where one phrase ends.
    assert ENGLISH.listed(["a and b", "c"]) == "a and b, and c"
    assert wording("zh").listed(["甲", "乙", "丙"]) == "甲、乙、丙"
    assert wording("zh").clauses(["甲", "乙"]) == "甲，乙"
    assert ENGLISH.listed([]) == ""


def test_keys_choose_their_wordings_independently_and_always_alike() -> None:
    pairs = {(pick_for("a", "xy", v), pick_for("b", "xy", v)) for v in range(1000, 1040)}
    assert len(pairs) == 4
    assert [pick_for("a", "xyz", v) for v in range(5)] == [pick_for("a", "xyz", v) for v in range(5)]
