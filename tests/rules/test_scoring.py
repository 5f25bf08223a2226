"""The rules as a whole: probabilities computed by hand, conflicts, limits, and "no evidence"."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import FunctionType

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace
from emotion_llama.predictors import DEFAULT_MODEL, PREDICTORS, Predictor, Sample, Task, load_predictor
from emotion_llama.predictors.evidence import EvidencePredictor
from emotion_llama.records import ActionUnits, Prosody, Tone, Transcript
from emotion_llama.results import Cue, Evidence, Missing, Prediction
from emotion_llama.rules.lexicon import Lexicon, parse
from emotion_llama.rules.scoring import predict_by_rules, prior, score
from emotion_llama.rules.verdict import Verdict, spread
from emotion_llama.rules.voice_cues import VOICE_RULES

Units, Voice, Say = Callable[..., ActionUnits], Callable[..., Prosody], Callable[..., Transcript]
LEXICON = Lexicon(
    parse(
        [
            {"pattern": "pathetic", "kind": "stance", "weights": "contempt:2.0"},
            {"pattern": "hm", "kind": "stance", "weights": "doubt:0.3"},
        ],
        "tiny",
    )
)


def predict(evidence: Evidence) -> Prediction:
    return predict_by_rules(evidence, lexicon=LEXICON)


def test_prior_keeps_mass_for_nothing_strong() -> None:
    assert prior(MERR9)["neutral"] == 0.3
    assert prior(MERR9)["doubt"] == pytest.approx(0.0875)
    assert sum(prior(MER6).values()) == pytest.approx(1.0)
    assert prior(LabelSpace("two", ("happy", "sad"))) == {"happy": 0.5, "sad": 0.5}


def lasting(make_units: Units, seconds: float, **levels: float) -> ActionUnits:
    """Two seconds in which the units are held for so long."""
    shown = round(seconds * 10)
    return make_units(20, **{name: [level] * shown + [0.0] * (20 - shown) for name, level in levels.items()})


def test_a_held_smile_is_happy_and_a_twitch_is_not(make_units: Units) -> None:
    held = predict(Evidence(lasting(make_units, 0.3, AU12=1.3)))
    assert (held.label, held.probability) == ("happy", pytest.approx(0.65))
    assert held.reasoning.startswith("The person smiles: corners of the mouth")
    twitch = predict(Evidence(lasting(make_units, 0.2, AU12=1.3)))
    assert twitch.label != "happy"


def test_lowered_brows_are_anger_without_smile_and_without_raised_inner_brows(make_units: Units) -> None:
    scowl = predict(Evidence(lasting(make_units, 0.5, AU04=2.6)))
    assert (scowl.label, scowl.probability) == ("angry", pytest.approx(0.60))
    assert predict(Evidence(lasting(make_units, 0.5, AU04=2.6, AU01=1.0))).label is None
    assert predict(Evidence(lasting(make_units, 0.5, AU04=2.6, AU12=1.0))).label is None
    turned = make_units(20, AU04=2.6, confidence=0.6)  # a man who looks aside: his brows are only foreshortened
    assert predict(Evidence(turned)).label is None


def test_all_units_of_a_rule_strongly_and_at_once(make_units: Units) -> None:
    sad = predict(Evidence(lasting(make_units, 0.4, AU01=2.5, AU04=2.5, AU15=2.5)))
    assert (sad.label, sad.probability) == ("sad", pytest.approx(0.50))
    assert predict(Evidence(lasting(make_units, 0.4, AU01=2.5, AU04=2.5, AU15=2.0))).label is None
    apart = make_units(20, AU01=[2.5] * 10 + [0.0] * 10, AU04=2.5, AU15=[0.0] * 10 + [2.5] * 10)
    assert predict(Evidence(apart)).label != "sad"


def test_a_calm_face_is_weak_evidence_for_neutral_and_a_talking_one_none(make_units: Units) -> None:
    calm = predict(Evidence(make_units()))
    assert (calm.label, calm.probability) == ("neutral", pytest.approx(0.40))
    assert predict(Evidence(make_units(speech=True))).label is None
    assert predict(Evidence(make_units(confidence=0.7))).label is None


def test_a_covered_mouth_is_not_calm(make_units: Units) -> None:
    """Units that were not measured counted as 0, so that a mask over a shout was a calm face."""
    units = make_units(20)
    units.intensity[:, [units.names.index(name) for name in ("AU10", "AU12", "AU15", "AU25", "AU26")]] = float("nan")
    prediction = predict(Evidence(units))
    assert prediction.label is None
    assert not any("at rest" in cue.text for cue in prediction.cues)


def test_words_alone_and_with_the_face(make_units: Units, say: Say) -> None:
    insult = say("He is pathetic.")
    alone = predict(Evidence(transcript=insult))
    assert (alone.label, alone.probability) == ("contempt", pytest.approx(0.55))
    assert alone.reasoning.startswith("The words speak for contempt: “pathetic”.")
    resting = predict(Evidence(make_units(), transcript=insult))  # a face at rest contradicts nothing
    assert (resting.label, resting.probability) == ("contempt", pytest.approx(0.55))
    happy = say("I am so happy!")
    both = predict_by_rules(Evidence(make_units(AU06=2.0, AU12=2.0), transcript=happy))
    assert (both.label, both.probability) == ("happy", pytest.approx(0.80))


def test_a_smile_with_an_insult_is_uncertain_and_both_are_named(make_units: Units, say: Say) -> None:
    prediction = predict(Evidence(make_units(AU06=2.0, AU12=2.0), transcript=say("Pathetic.")))
    assert prediction.is_uncertain
    ranked = sorted(prediction.probabilities or {}, key=lambda label: -(prediction.probabilities or {})[label])
    assert set(ranked[:2]) == {"happy", "contempt"}
    assert "a smile that clearly reaches the eyes" in prediction.reasoning
    assert "“pathetic”" in prediction.reasoning


def test_the_voice_alone_decides_nothing(make_voice: Voice) -> None:
    rate = next(rule for rule in VOICE_RULES if rule.scale.figure == "articulation_rate")
    prediction = predict(Evidence(prosody=make_voice(articulation_rate=rate.scale.high + rate.step)))
    assert prediction.is_uncertain
    assert max(abs(sum(cue.weights.get(name, 0.0) for cue in prediction.cues)) for name in MERR9.labels) <= 0.3 + 1e-9
    music = predict(Evidence(prosody=make_voice(pitch_range_semitones=24.0)))  # music under drama spans octaves
    assert music.problem is not None
    assert "24 semitones" in music.problem


def test_without_a_label_none_stands_out(make_units: Units, say: Say) -> None:
    strong = make_units(20, AU05=4.0, AU26=2.0, confidence=0.6)
    prediction = predict(Evidence(strong))
    assert prediction.is_uncertain
    most = max((prediction.probabilities or {}).values())
    assert 0.2 < most <= 1 / 9 + 0.24 * 8 / 9 + 1e-9
    assert prediction.reasoning.startswith("Uncertain: nothing that was measured is unambiguous. The likeliest are ")


@pytest.mark.parametrize("space", [MERR9, DFEW7, LabelSpace("two", ("happy", "sad"))])
@pytest.mark.parametrize("label", ["happy", "sad"])
@pytest.mark.parametrize("chance", [0.40, 0.65, 0.80])
def test_the_label_comes_first_and_the_rest_is_shared(space: LabelSpace, label: str, chance: float) -> None:
    chance = max(chance, 1.1 / len(space.labels))  # of two labels one has more than a half
    scores = dict.fromkeys(space.labels, 0.01)
    scores[space.labels[-1]] = 1.0 - 0.01 * (len(scores) - 1)
    spreads = spread(scores, Verdict(label, chance, ("smile",)))
    assert sum(spreads.values()) == pytest.approx(1.0)
    assert spreads[label] == chance == max(spreads.values())


def test_cues_rank_the_labels_that_are_not_given(make_units: Units, say: Say) -> None:
    prediction = predict_by_rules(Evidence(make_units(AU12=2.5, AU14=2.4)))
    assert prediction.label == "happy"
    others = {label: share for label, share in (prediction.probabilities or {}).items() if label != "happy"}
    assert max(others, key=lambda label: others[label]) == "contempt"


def test_score_survives_huge_log_odds() -> None:
    scores = score((Cue("face", "x", {"happy": 5000.0}, "test"),), MERR9)
    assert scores.probabilities["happy"] == pytest.approx(1.0)
    assert scores.log_odds["happy"] == 5000.0


def test_one_source_is_capped(say: Say) -> None:
    # 2.0 (1 + 1/2 + 1/3 + 1/4) = 4.17 is scaled to 2.6, and neutral with it: -0.35 x 2.6.
    prediction = predict(Evidence(transcript=say("Pathetic, pathetic, pathetic, pathetic.")))
    assert sum(cue.weights["contempt"] for cue in prediction.cues) == pytest.approx(2.6)
    assert sum(cue.weights["neutral"] for cue in prediction.cues) == pytest.approx(-0.91)


def test_many_words_become_few_cues_with_the_same_sum(say: Say) -> None:
    text = "I hate you, liar, idiot, fool, loser, coward, bastard, jerk, scum, traitor, shut up!"
    prediction = predict_by_rules(Evidence(transcript=say(text)))
    assert len(prediction.cues) == 9
    assert prediction.cues[-1].text.endswith("more words and phrases")
    assert max(sum(c.weights.get(label, 0.0) for c in prediction.cues) for label in MERR9.labels) == pytest.approx(2.6)


@pytest.mark.parametrize("table", ["published", "mer-factory"])
def test_no_evidence_names_each_reason(table: str) -> None:
    missing = (
        Missing("action_units", "no face was found"),
        Missing("prosody", "the file has no sound"),
        Missing("transcript", "no subtitle and no recogniser"),
    )
    prediction = predict_by_rules(Evidence(missing=missing), table)
    assert prediction.label is None
    assert prediction.probabilities is None
    assert prediction.problem == (
        "no evidence: no face (no face was found); no voice (the file has no sound); "
        "no words (no subtitle and no recogniser)"
    )
    assert prediction.raw_text == ""
    bare = predict_by_rules(Evidence(), table)
    assert bare.problem == "no evidence: no face (not given); no voice (not given); no words (nothing was transcribed)"


def test_silence_and_flat_words_are_no_evidence(make_voice: Voice, say: Say) -> None:
    evidence = Evidence(prosody=make_voice(voiced_seconds=0.0), transcript=say("The train leaves at nine."))
    prediction = predict_by_rules(evidence)
    assert prediction.problem == (
        "no evidence: no face (not given); no voice (only 0.0 s are voiced, 0.3 s are needed); "
        "no words (none of the words is in the emotion lexicon)"
    )
    assert prediction.raw_text == "Saying: The train leaves at nine."


def test_what_speaks_against_the_label_and_what_is_missing_are_said(make_units: Units, make_voice: Voice) -> None:
    missing = (Missing("transcript", "none given"),)
    evidence = Evidence(make_units(AU12=2.0), prosody=make_voice(articulation_rate=2.0), missing=missing)
    reasoning = predict(evidence).reasoning
    assert "The voice speaks for sad instead: a slow voice, but does not decide." in reasoning
    assert reasoning.endswith("Nothing could be learned from the words (none given).")


def test_no_figures_stand_in_the_reasons(make_units: Units, make_voice: Voice, say: Say) -> None:
    evidence = Evidence(
        make_units(AU06=2.0, AU12=2.5), prosody=make_voice(articulation_rate=7.5), transcript=say("I am so happy!")
    )
    reasoning = predict_by_rules(evidence).reasoning
    assert not any(character.isdigit() for character in reasoning), reasoning


def test_coarse_sentence_has_only_what_was_measured(make_units: Units, say: Say) -> None:
    tone = Tone("low-pitched, quiet, slow voice", {"quiet": "-40 dB"})
    evidence = Evidence(make_units(AU04=1.6, AU07=1.6), tone=tone, transcript=say("Leave me alone."))
    assert predict_by_rules(evidence).raw_text == (
        "The person's expression and actions include eyes clearly narrowed under lowered eyebrows, "
        "and the person's tone is low-pitched, quiet, slow. Saying: Leave me alone."
    )
    assert predict_by_rules(replace(evidence, action_units=None, transcript=None)).raw_text == (
        "The person's tone is low-pitched, quiet, slow."
    )
    assert predict_by_rules(Evidence(make_units())).raw_text == (
        "The person's expression and actions include no marked movement of the face."
    )


@pytest.mark.parametrize("space", [MER6, DFEW7])
def test_other_label_spaces_get_a_distribution_of_their_own(space: LabelSpace, make_units: Units) -> None:
    prediction = predict_by_rules(Evidence(make_units(AU06=2.0, AU12=2.0)), label_space=space)
    assert set(prediction.probabilities or ()) == set(space.labels)
    assert all(set(cue.weights) <= set(space.labels) for cue in prediction.cues)
    assert prediction.label == "happy"


def test_unknown_table() -> None:
    with pytest.raises(InputError, match=r"no action unit table 'x' \(there are: published, mer-factory\)"):
        EvidencePredictor("x")


def test_space_of_one_label() -> None:
    with pytest.raises(InputError, match="label space 'one' leaves nothing to choose: it has one label"):
        EvidencePredictor(label_space=LabelSpace("one", ("neutral",)))


def test_load_predictor() -> None:
    found = load_predictor("rules", table="mer-factory")
    assert isinstance(found, EvidencePredictor)
    assert isinstance(found, Predictor)
    assert isinstance(load_predictor("evidence"), EvidencePredictor)
    assert (found.name, found.settings["table"]) == ("rules", "mer-factory")
    with pytest.raises(InputError, match=r"no predictor 'oracle' \(there are: rules, nano\)"):
        load_predictor("oracle")
    with pytest.raises(
        InputError, match=r"'rules' takes no option 'model' \(it takes: cues, label_space, lexicon, table"
    ):
        load_predictor("rules", model="x")


def test_tasks(make_units: Units) -> None:
    sample = Sample(Evidence(make_units(AU06=2.0, AU12=2.0)))
    predictor = load_predictor("rules")
    (own,) = predictor.predict([sample])
    (label,) = predictor.predict([sample], Task("emotion", MER6.labels))
    (why,) = predictor.predict([sample], Task("reason"))
    assert (label.label, label.raw_text, set(label.probabilities or ())) == ("happy", "happy", set(MER6.labels))
    assert (why.label, why.probabilities, why.raw_text) == (None, None, own.reasoning)
    assert list(predictor.stream(sample, [], task="reason")) == [own.reasoning]
    assert predictor.encode(sample) is sample
    with pytest.raises(InputError, match="'free'"):
        predictor.stream(sample, [])


def test_every_predictor_of_the_table_can_be_imported() -> None:
    assert set(PREDICTORS) == {"rules", "nano"}
    assert DEFAULT_MODEL in PREDICTORS
    for place in PREDICTORS.values():
        module, _, attribute = place.partition(":")
        assert isinstance(getattr(import_module(module), attribute.partition(".")[0]).predict, FunctionType)


def test_import_reads_no_lexicon() -> None:
    code = (
        "import sys, emotion_llama.predictors as a; assert 'emotion_llama.rules.scoring' not in sys.modules;"
        "import emotion_llama.rules.scoring, emotion_llama.rules.lexicon as x;"
        "assert x.english.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
