"""Answers by rules: every task, the same answer every time, and "cannot" where nothing was measured."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.chat.questions import Facts, Question
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.media.scene_facts import SceneFacts
from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Tone
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.answers import MODEL, answer_by_rules, telling_units
from emotion_llama.rules.phrases import Phrases, own_phrases

SMILE = {**dict.fromkeys(AU_NAMES, 0.0), "AU06": 1.5, "AU12": 2.5}


def ask(task, facts: Facts, language="en", own: Phrases | None = None, **more):
    return answer_by_rules(Question(task, language, facts, **more), own=own)


def make_units(*, speech: bool = False, blink: bool = False, **units: float) -> Evidence:
    """Evidence of one frame, with its peak there."""
    row = np.array([[units.get(name, 0.0) for name in AU_NAMES]])
    flags = np.array([blink]), np.array([speech])
    measured = ActionUnits(AU_NAMES, np.zeros(1), row, np.ones(1), *flags, "person", "test")
    return Evidence(measured, PeakFrame(0, 0.0, 1.0, "all", None, units, "largest sum"))


def test_expression_in_both_languages() -> None:
    found = ask("expression", Facts(peak_units=SMILE))
    assert found.values == {"phrases": ["a smile that clearly reaches the eyes"]}
    assert found.model == MODEL
    assert ask("expression", Facts(peak_units=SMILE), "zh").values == {"phrases": ["笑意明显延伸到眼角"]}


def test_a_face_at_rest_is_a_measured_fact() -> None:
    at_rest = Facts(peak_units=dict.fromkeys(AU_NAMES, 0.1))
    assert ask("expression", at_rest).values == {"phrases": ["no marked movement of the face"]}
    assert ask("expression", at_rest, "zh").values == {"phrases": ["没有明显的面部动作"]}
    assert ask("expression", Facts(make_units())).values == {"phrases": ["no marked movement of the face"]}


def test_no_face_is_no_face_at_rest() -> None:
    found = ask("expression", Facts(Evidence(missing=(Missing("action_units", "no face was found in 9 frames"),))))
    assert isinstance(found, AnnotationError)
    assert (found.kind, found.message) == ("cannot", "no face was found in 9 frames")
    assert ask("expression", Facts()).message == "no face was read"


def test_jaw_and_lips_of_a_talking_person_are_no_expression() -> None:
    units = {"AU25": 2.0, "AU26": 2.0, "AU12": 2.0}
    assert ask("expression", Facts(make_units(**units))).values["phrases"] == [
        "the mouth clearly opened", "corners of the mouth clearly pulled up",
    ]  # fmt: skip
    talking = ask("expression", Facts(make_units(speech=True, **units)))
    assert talking.values["phrases"] == ["corners of the mouth clearly pulled up"]


def test_a_blink_is_no_expression_and_closed_eyes_are() -> None:
    assert ask("expression", Facts(make_units(blink=True, AU45=3.0))).values["phrases"] == [
        "no marked movement of the face"
    ]
    assert ask("expression", Facts(make_units(AU45=3.0))).values["phrases"] == ["eyes closed"]
    # A wide smile narrows the eyes: at 0.8 to 1.6 of 5 they are not called closed.
    assert ask("expression", Facts(make_units(AU45=1.2))).values["phrases"] == ["eyes half closed"]


def test_units_of_another_frame_than_the_evidence_s_peak_are_taken_as_they_are() -> None:
    facts = Facts(make_units(speech=True, AU25=2.0), {**SMILE, "AU26": 2.0})
    assert telling_units(facts)["AU26"] == 2.0


def test_own_phrases() -> None:
    own = own_phrases({"AU06+AU12": ["{how} beaming"]}, "en")
    assert ask("expression", Facts(peak_units=SMILE), own=own).values == {"phrases": ["clearly beaming"]}
    clues = {"visual_expression": "clearly beaming"}
    found = ask("reason", Facts(peak_units=SMILE, clues=clues, label="happy"), own=own)
    assert found.values["supporting"] == ["clearly beaming"]
    with pytest.raises(InputError, match="no wording for language 'fr'"):
        own_phrases({"AU12": ["x"]}, "fr")
    with pytest.raises(InputError, match="'AU0' is no action unit"):
        own_phrases({"AU0": ["x"]}, "en")


def test_picture() -> None:
    (nobody,) = ask("visual", Facts(scene=SceneFacts(64, 48, people=0))).values.values()
    assert nobody in ("No face can be seen in the picture.", "The picture shows no visible face.")
    assert ask("visual", Facts()).message == "the picture was not measured"
    assert ask("visual", Facts(scene=SceneFacts(64, 48))).message == "nothing of the picture could be measured"


def test_tone() -> None:
    loud = Facts(Evidence(tone=Tone("loud voice", {})))
    assert ask("audio", loud).values == {"text": "The voice is loud."}
    assert ask("audio", loud, "zh").values == {"text": "说话时音量大。"}
    assert ask("audio", Facts()).message == "no voice was measured"
    silent = Facts(Evidence(missing=(Missing("prosody", "no speech was heard"),)))
    assert ask("audio", silent).message == "no speech was heard"


def test_reasons_need_clues_and_a_label_or_measurements_that_speak_for_one() -> None:
    assert ask("reason", Facts(peak_units=SMILE)).message.startswith("there is no description")
    clues = {"visual_expression": "a smile that clearly reaches the eyes"}
    shown = ask("reason", Facts(peak_units=SMILE, clues=clues, label="happy"))
    read = ask("reason", Facts(peak_units=SMILE, clues=clues), labels=("neutral", "happy", "sad"))
    assert shown.values["label"] == read.values["label"] == "happy"
    assert ask("reason", Facts(clues=clues)).message.startswith("no evidence")
    only = ask("reason", Facts(clues={"visual_objective": "The person is shown in a close-up."}, label="sad"))
    assert only.kind == "cannot"


def test_check() -> None:
    facts = Facts(clues={"visual_expression": "eyebrows clearly lowered", "subtitle": "Stop it!"})
    assert ask("check", replace(facts, text="She frowns and says “stop it”.")).values == {"holds": True, "problems": []}
    found = ask("check", replace(facts, text="She smiles and says “come here”."))
    assert found.values == {
        "holds": False,
        "problems": [
            "it speaks of mouth corners up (smiles), which is not among the clues",
            "it quotes words that were not said: come here",
        ],
    }
    assert ask("check", replace(facts, text="她笑了。"), "zh").values["problems"] == [
        "提到了线索中没有的内容：笑（mouth corners up）"
    ]
    assert ask("check", facts).values == {"holds": False, "problems": ["there is no text to check"]}


def test_another_language_is_beyond_it() -> None:
    assert ask("visual", Facts(), "fr").message.startswith("no wording for language 'fr'")
