"""The rules as a whole: probabilities computed by hand, conflicts, limits, and "no evidence"."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from math import exp, log
from types import FunctionType

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace
from emotion_llama.predictors import DEFAULT_MODEL, PREDICTORS, Predictor, Sample, Task, load_predictor
from emotion_llama.predictors.evidence import EvidencePredictor
from emotion_llama.records import ActionUnits, Prosody, Tone, Transcript
from emotion_llama.results import Cue, Evidence, Missing, Prediction
from emotion_llama.rules.lexicon import Lexicon, parse
from emotion_llama.rules.scoring import CLOSING, disagreement, predict_by_rules, prior, score
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


def test_face_at_rest_by_hand(make_units: Units) -> None:
    prediction = predict(Evidence(make_units()))
    # 0.3 e^1.8 / (0.3 e^1.8 + 0.7) = 1.81489 / 2.51489
    assert prediction.label == "neutral"
    assert prediction.probability == pytest.approx(0.72166, abs=1e-5)
    assert (prediction.probabilities or {})["fear"] == pytest.approx(0.03479, abs=1e-5)


def test_slight_smile_by_hand(make_units: Units) -> None:
    prediction = predict(Evidence(make_units(AU06=0.8, AU12=0.8)))
    # happy .0875 e^1.5 = .392148; neutral .3 e^-.75 = .141710; seven others .6125; sum 1.146358
    assert prediction.probabilities is not None
    assert prediction.probabilities["happy"] == pytest.approx(0.342082, abs=1e-6)
    assert prediction.probabilities["neutral"] == pytest.approx(0.123618, abs=1e-6)
    assert prediction.probabilities["sad"] == pytest.approx(0.076328, abs=1e-6)


def test_insult_by_hand(say: Say) -> None:
    prediction = predict(Evidence(transcript=say("He is pathetic.")))
    # contempt .0875 e^2 = .646542; neutral .3 e^-.7 = .148976; seven others .6125; sum 1.408018
    assert prediction.label == "contempt"
    assert prediction.probability == pytest.approx(0.459186, abs=1e-6)


def test_fast_voice_by_hand(make_voice: Voice) -> None:
    rate = next(rule for rule in VOICE_RULES if rule.scale.figure == "articulation_rate")
    prediction = predict(Evidence(prosody=make_voice(articulation_rate=rate.scale.high + rate.step)))
    # No figure is left to call the voice ordinary: .3 e^-.2 + .0875 (e^.4 + 3 e^.3 + e^.2 + e^-.4 + 2)
    # = .245619 + .825398 = 1.071017
    assert prediction.probabilities is not None
    assert prediction.probabilities["fear"] == pytest.approx(0.121879, abs=1e-6)
    assert prediction.probabilities["sad"] == pytest.approx(0.054764, abs=1e-6)
    assert prediction.label == "neutral"
    assert prediction.probability == pytest.approx(0.229332, abs=1e-6)


def test_smile_with_an_insult_is_split_and_named(make_units: Units, say: Say) -> None:
    prediction = predict(Evidence(make_units(AU06=0.8, AU12=0.8), transcript=say("Pathetic.")))
    # happy .392148, contempt .646542, neutral .3 e^-1.45 = .070371, six others .525; sum 1.634061
    assert prediction.probabilities is not None
    assert prediction.probabilities["contempt"] == pytest.approx(0.395666, abs=1e-6)
    assert prediction.probabilities["happy"] == pytest.approx(0.239984, abs=1e-6)
    assert (
        "The cues disagree: the face speaks for happy, by cheek raiser (AU06) 0.8 and lip corner puller (AU12) 0.8 "
        "of 5 at 0.00 s (slight, held 100 % of the visible time), +1.50 log-odds; the words speak for contempt."
    ) in prediction.reasoning


def test_example_of_the_project_page(make_units: Units, say: Say) -> None:
    line = "Are you really stupid or just pretending?"
    prediction = predict_by_rules(Evidence(make_units(AU06=2.0, AU12=2.5), transcript=say(line)))
    assert prediction.probabilities is not None
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    assert [label for label, _ in ranked[:3]] == ["happy", "contempt", "angry"]
    assert "The cues disagree: the face speaks for happy; the words speak for contempt" in prediction.reasoning
    assert prediction.raw_text == (
        "The person's expression and actions include a smile that clearly reaches the eyes. Saying: " + line
    )


def test_cues_add_up_to_the_probabilities(make_units: Units, make_voice: Voice, say: Say) -> None:
    evidence = Evidence(
        make_units(AU01=2.0, AU04=1.5, AU15=2.0), prosody=make_voice(articulation_rate=2.5), transcript=say("I cried.")
    )
    prediction = predict_by_rules(evidence)
    assert {cue.source for cue in prediction.cues} == {"face", "voice", "words"}
    logits = {
        label: log(p) + sum(cue.weights.get(label, 0.0) for cue in prediction.cues) for label, p in prior(MERR9).items()
    }
    total = sum(exp(x) for x in logits.values())
    assert dict(prediction.probabilities or {}) == pytest.approx({k: exp(x) / total for k, x in logits.items()})
    assert prediction.label == "sad"
    assert prediction.model == "rules"


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


def test_weak_cues_are_no_answer(say: Say) -> None:
    prediction = predict(Evidence(transcript=say("Hm.")))
    assert prediction.label is None
    assert prediction.problem == (
        "the cues are too weak to tell: together they move no label by more than 0.30 log-odds"
    )
    assert len(prediction.cues) == 1


def test_reasoning_names_cue_doubt_and_baseline(make_units: Units) -> None:
    missing = (Missing("prosody", "the file has no sound"), Missing("transcript", "none given"))
    prediction = predict(Evidence(make_units(AU06=0.8, AU12=0.8), missing=missing))
    assert prediction.reasoning == (
        "The face reads as happy: cheek raiser (AU06) 0.8 and lip corner puller (AU12) 0.8 of 5 at 0.00 s "
        "(slight, held 100 % of the visible time), +1.50 log-odds. "
        "That gives happy a probability of 0.34; the runner-up is neutral with 0.12. "
        "Nothing could be read from the voice (the file has no sound) and the words (none given). " + CLOSING
    )


def test_reasoning_names_what_speaks_against(make_units: Units, make_voice: Voice) -> None:
    evidence = Evidence(make_units(AU01=1.6, AU04=1.6, AU15=1.6), prosody=make_voice(articulation_rate=7.5))
    reasoning = predict_by_rules(evidence).reasoning
    assert "The face reads as sad: inner brow raiser (AU01) 1.6" in reasoning
    assert "Against it: voice, articulation rate 7.5 syllables/s, above 5.5 (fast), -0.40 log-odds." in reasoning


def test_agreement_of_two_sources_is_named(make_units: Units, say: Say) -> None:
    evidence = Evidence(make_units(AU12=2.4, AU14=2.4), transcript=say("Pathetic."))
    reasoning = predict(evidence).reasoning
    assert reasoning.startswith('The words read as contempt: "pathetic", +2.00 log-odds; the face agrees: lip corner')


def test_neutral_by_elimination_says_so(make_voice: Voice) -> None:
    reasoning = predict(Evidence(prosody=make_voice(articulation_rate=7.5))).reasoning
    assert reasoning.startswith("No cue speaks for neutral; it is what is left when the cues speak against the rest.")


def test_rest_beside_words_is_no_disagreement() -> None:
    calm = Cue("face", "at rest", {"neutral": 1.8}, "x")
    insult = Cue("words", "fool", {"contempt": 1.0}, "x")
    smile = Cue("face", "smile", {"happy": 0.49}, "x")
    assert disagreement([calm, insult]) == {}
    assert disagreement([smile, insult]) == {}
    assert disagreement([replace(smile, weights={"happy": 0.5}), insult]) == {"face": "happy", "words": "contempt"}


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
    with pytest.raises(InputError, match=r"'rules' takes no option 'model' \(it takes: label_space, lexicon, table"):
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
