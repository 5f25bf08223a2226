"""Reasons by template: grounded in the clues given, the label in the last sentence only, whatever the evidence."""

import dataclasses
import re

import numpy as np
import pytest

from emotion_llama.chat.questions import Facts, Question
from emotion_llama.chat.records import Answer
from emotion_llama.labels import MERR9
from emotion_llama.records import AU_NAMES, Prosody, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.answers import answer_by_rules
from emotion_llama.rules.clues import Clue, cues_in, find_clues, quotations, without_quotations
from emotion_llama.rules.reasoning import holds_label, reason, sort_clues
from emotion_llama.rules.rule_tables import FACE_TABLES
from emotion_llama.rules.wording import LANGUAGES, wording

SMILE, FROWN = {"AU06": 1.5, "AU12": 2.5}, {"AU04": 2.5, "AU07": 1.7, "AU23": 1.2}
SAID = {
    "en": [
        "Leave me alone!", "I am so angry with you.", "Thank you, this is wonderful!", "The train leaves at nine.",
        "I miss him. He never called.", "Are you sure?", "Oh my God, what is that?", "I am not happy. Fear is a word.",
    ],
    "zh": [
        "别烦我！", "我真的很生气。", "太好了，谢谢你！", "火车九点开。",
        "我好想他。我很难过。", "我不高兴。", "你确定吗？",
    ],
}  # fmt: skip
SEEN = {
    "en": "The person is shown in a close-up, with no other face in view. The head faces the camera.",
    "zh": "此人以特写出现，画面中没有其他人脸。头部正对镜头。",
}


def make_prosody(**figures: float) -> Prosody:
    names = [field.name for field in dataclasses.fields(Prosody)]
    given = {"speech_seconds": 3.0, "voiced_seconds": 2.0, "backend": "autocorrelation", **figures}
    return Prosody(**{**dict.fromkeys(names), **given})


def make_clues(units: dict[str, float], prosody: Prosody | None, said: str | None, language: str, variant: int = 0):
    """Facts as a build has them when it asks for reasons: descriptions by the same annotator."""
    spoken = None if said is None else Transcript((TranscriptLine(said),), "given", language)
    facts = Facts(Evidence(prosody=prosody, transcript=spoken), {name: units.get(name, 0.0) for name in AU_NAMES})
    clues = {"visual_objective": SEEN[language]}
    for task, name in (("expression", "visual_expression"), ("audio", "audio_tone")):
        found = answer_by_rules(Question(task, language, facts, variant=variant))
        if isinstance(found, Answer):
            values = found.values
            clues[name] = (
                values["text"] if task == "audio" else ("，" if language == "zh" else ", ").join(values["phrases"])
            )
    if said is not None:
        clues["subtitle"] = said
    return dataclasses.replace(facts, clues=clues)


def ask(facts: Facts, language: str, label: str | None, variant: int = 0) -> Answer:
    found = answer_by_rules(
        Question("reason", language, dataclasses.replace(facts, label=label), labels=MERR9.labels, variant=variant)
    )
    assert isinstance(found, Answer), found
    return found


def sentences(text: str, language: str) -> list[str]:
    ends = wording(language).sentence_ends
    bare = without_quotations(text)
    return [part for part in re.split(rf"(?<=[{re.escape(ends)}])(?!\d)", bare) if part.strip()]


def random_cases(language: str, count: int):
    rng = np.random.default_rng(7)
    for number in range(count):
        present = rng.choice(AU_NAMES, int(rng.integers(0, 6)), replace=False)
        units = {str(name): float(rng.uniform(0.8, 5.0)) for name in present}
        prosody = None
        if rng.random() < 0.7:
            prosody = make_prosody(
                pitch_median_semitones=float(rng.uniform(15, 45)),
                pitch_range_semitones=float(rng.uniform(1, 15)),
                loudness_median_db=float(rng.uniform(-50, -5)),
                articulation_rate=float(rng.uniform(2, 7)),
                pause_share=float(rng.uniform(0, 0.6)),
                pause_count=3,
                tremor_depth_percent=float(rng.uniform(0, 6)),
                pitch_slope_semitones_per_second=float(rng.uniform(-20, 10)),
                harmonicity_db=float(rng.uniform(1, 20)),
                tilt_db=float(rng.uniform(5, 25)),
            )
        words_in = "en" if rng.random() < 0.3 else language  # a subtitle need not be in the description's language
        said = str(rng.choice(SAID[words_in])) if rng.random() < 0.7 else None
        yield make_clues(units, prosody, said, language, number), MERR9.labels[number % 9], number


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_random_evidence_everything_named_was_given_and_the_label_comes_last(language: str) -> None:
    words = wording(language)
    for facts, label, variant in random_cases(language, 270):
        answer = ask(facts, language, label, variant)
        text = str(answer.values["text"])
        parts = sentences(text, language)
        assert 3 <= len(parts) <= 6, text
        *before, last = parts
        # The subtitle's own words count too: the raw text, quotations included, has no word for the label early.
        early = text[: text.rfind(last.strip())]
        assert not any(holds_label(early, label, wording(name)) for name in LANGUAGES), (label, text)
        assert holds_label(last, label, words), (label, text)
        given = {cue for clue in facts.clues.values() for cue in cues_in(clue, words)}
        named = {cue for part in before for cue in cues_in(part, words)}
        assert named <= given, (named - given, text)
        assert all(quoted in facts.clues["subtitle"] for quoted in quotations(text)), text
        listed = [*answer.values["supporting"], *answer.values["misleading"]]
        assert all(any(item in clue for clue in facts.clues.values()) for item in listed)
        assert answer.values["label"] == label
        assert "{" not in text
        judged = answer_by_rules(Question("check", language, dataclasses.replace(facts, text=text)))
        assert judged.values == {"holds": True, "problems": []}, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_s_example_a_smile_with_angry_words(language: str) -> None:
    said = {"en": "I hate you. Leave me alone!", "zh": "我很生气！"}[language]
    facts = make_clues(SMILE, None, said, language)
    answer = ask(facts, language, "angry")
    (smile,) = answer.values["misleading"]
    assert smile == {"en": "a smile that clearly reaches the eyes", "zh": "笑意明显延伸到眼角"}[language]
    assert answer.values["supporting"] == {"en": ["I hate you", "Leave me alone!"], "zh": ["我很生气！"]}[language]
    assert wording(language).moods["happy"] in str(answer.values["text"])
    # The same clip labelled happy turns it around.
    assert ask(facts, language, "happy").values["supporting"] == [smile]


def test_what_is_missing_is_named() -> None:
    text = str(ask(make_clues(SMILE, None, None, "en"), "en", "happy").values["text"])
    assert re.search("the sound of the voice and what is said", text)
    text = str(ask(make_clues(SMILE, None, None, "zh"), "zh", "happy").values["text"])
    assert "说话声音、说话内容" in text


def test_a_subtitle_that_names_the_feeling_is_sorted_but_not_quoted() -> None:
    facts = make_clues(FROWN, None, "I am so angry with you.", "en")
    answer = ask(facts, "en", "angry")
    assert "I am so angry with you" in answer.values["supporting"]
    assert "put into plain words" in str(answer.values["text"])
    # With another label the words are quoted: they give nothing away.
    assert "“I am so angry with you”" in str(ask(facts, "en", "happy").values["text"])


def test_a_label_that_nothing_bears_out_is_said_to_be_so() -> None:
    text = str(ask(make_clues(SMILE, None, None, "en"), "en", "worried").values["text"])
    assert re.search("labelled as worried, which (the|none of the) known clues", text)


def test_words_that_cannot_be_read_are_quoted_without_a_judgement() -> None:
    text = str(ask(make_clues(SMILE, None, "Das ist nicht wahr.", "en"), "en", "happy").values["text"])
    assert "“Das ist nicht wahr”" in text
    assert not re.search("contradicts|points elsewhere|speaks against", text)


def test_label_not_shown_is_read_by_the_rules() -> None:
    answer = ask(make_clues(FROWN, None, "Leave me alone!", "en"), "en", None)
    assert answer.values["label"] == "angry"
    assert str(answer.values["text"]).rstrip(".").endswith("angry")


def test_variants_give_different_texts_and_the_same_variant_the_same() -> None:
    facts = make_clues(FROWN, make_prosody(loudness_median_db=-5.0, articulation_rate=6.5), "Stop it!", "en")
    texts = [str(ask(facts, "en", "angry", v).values["text"]) for v in range(30)]
    assert len(set(texts)) >= 15
    assert texts == [str(ask(facts, "en", "angry", v).values["text"]) for v in range(30)]


def test_a_model_s_description_is_quoted_and_weighed_by_the_measurements() -> None:
    facts = Facts(
        peak_units={**dict.fromkeys(AU_NAMES, 0.0), **FROWN},
        clues={"visual_expression": "The man glowers at somebody outside the picture. His fists are clenched."},
    )
    answer = ask(facts, "en", "angry")
    assert answer.values["supporting"] == ["The man glowers at somebody outside the picture"]
    assert "“The man glowers at somebody outside the picture”" in str(answer.values["text"])


def test_a_model_s_description_that_names_the_label_is_not_repeated() -> None:
    facts = Facts(
        peak_units={**dict.fromkeys(AU_NAMES, 0.0), **FROWN}, clues={"visual_expression": "An angry look on his face."}
    )
    text = str(ask(facts, "en", "angry").values["text"])
    assert not holds_label(" ".join(sentences(text, "en")[:-1]), "angry", wording("en"))


def test_phrases_without_measurements_weigh_by_what_they_say() -> None:
    facts = Facts(clues={"visual_expression": "eyebrows strongly lowered, eyelids clearly tightened"})
    (frown, lids) = find_clues(facts, "en", FACE_TABLES["published"])
    assert frown.weights["angry"] > 0
    assert lids.weights["angry"] > 0
    assert ask(facts, "en", "angry").values["supporting"] == ["eyebrows strongly lowered", "eyelids clearly tightened"]


def test_phrases_in_other_words_weigh_by_the_units_they_name() -> None:
    facts = Facts(clues={"visual_expression": "grinning, raised cheeks, a red nose"})
    grin, cheeks, nose = find_clues(facts, "en", FACE_TABLES["published"])
    assert grin.weights["happy"] > 0
    assert cheeks.weights["happy"] > 0
    assert nose.weights == {}
    # Measured, the same words count only where the measurement bears them out.
    facts = Facts(peak_units=dict.fromkeys(AU_NAMES, 0.0), clues=facts.clues)
    assert all(clue.weights == {} for clue in find_clues(facts, "en", FACE_TABLES["published"]))


def test_a_description_without_measurements_speaks_for_nothing() -> None:
    facts = Facts(clues={"visual_expression": "He looks at the window. His face is turned away."})
    (clue,) = find_clues(facts, "en", FACE_TABLES["published"])
    assert clue.weights == {}
    assert clue.text == "He looks at the window"


def test_sorting_by_hand() -> None:
    clues = [
        Clue("face", "a", {"angry": 0.1}),
        Clue("face", "b", {"happy": 0.35}),
        Clue("face", "c", {"happy": 0.34}),
        Clue("voice", "d", {"angry": 0.4, "happy": 0.8}),  # twice as much for another label
        Clue("voice", "e", {"angry": 0.5, "happy": 0.8}),
        Clue("words", "f", {"angry": -0.2}),
        Clue("words", "g", {"neutral": 2.0}),  # neutral has no claim beside another label
        Clue("words", "h", {}),
    ]
    found = [[clue.text for clue in group] for group in sort_clues(clues, "angry")]
    assert found == [["a", "e"], ["b", "d", "f"], ["c", "g", "h"]]


def test_misleading_clues_of_different_kinds_are_given_no_common_name() -> None:
    found = sort_clues(
        [Clue("face", "x", {"happy": 2.0}), Clue("voice", "y", {"sad": 2.0}), Clue("words", "z", {"angry": 2.0})],
        "angry",
    )
    text = reason(found, "angry", Facts(clues={"visual_expression": "x", "audio_tone": "y", "subtitle": "z"}), "en")
    assert "happiness" not in text
    assert "sadness" not in text


@pytest.mark.parametrize(
    ("text", "label", "holds"),
    [
        ("He was FURIOUS.", "angry", True),
        ("hanger", "angry", False),
        ("他很愤怒", "angry", True),
        ("saddle", "sad", False),
        ("She is Angrily staring.", "angry", True),
        ("The crossed arms; sadly not measured.", "angry", False),
        ("A madrigal is sung.", "angry", False),  # "mad" is a word for angry
        ("他感到愤怒（angry）", "angry", True),
        ("他的结论：angry。", "angry", True),
    ],
)
def test_words_for_a_label(text: str, label: str, holds: bool) -> None:
    assert holds_label(text, label, wording("zh" if "他" in text else "en")) is holds
