"""Reasons beside what was measured, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.clues import CUE_UNITS
from merr_synth.nano.descriptions import describe
from merr_synth.nano.naming import (
    VARIANTS,
    allowed_cues,
    judge_reasons,
    reading_in,
    told_cues,
    total,
    true_cues,
)

TONE = Tone("loud, fast voice", {"loud": "level -8.0 dB re full scale", "fast": "6.0 syllables a second"})
SAID = Transcript((TranscriptLine("I hate this room!"),), "given", "en")


def evidence(units: dict[str, float], *, talks: bool = False, tone: Tone | None = TONE) -> Evidence:
    one = np.ones(1)
    levels = np.zeros((1, len(AU_NAMES)))
    track = ActionUnits(AU_NAMES, one, levels, one, np.zeros(1, bool), np.array([talks]), "population", "test")
    return Evidence(track, PeakFrame(0, 1.0, 5.0, "all", None, units, "test"), None, tone, SAID)


SMILE = evidence({"AU12": 2.5, "AU06": 2.0, "AU04": 0.6, "AU25": 1.2}, talks=True)


def test_cues_are_told_where_they_are_clear_and_not_of_talking() -> None:
    assert told_cues(SMILE) == {"mouth corners up", "cheeks raised", "loud", "fast"}
    silent = evidence({"AU25": 1.2}, tone=None)
    assert told_cues(silent) == {"mouth open"}
    assert told_cues(evidence({"AU04": 0.6}, tone=None)) == {"face at rest"}
    assert told_cues(Evidence()) == set()
    assert told_cues(Evidence(tone=Tone("low-pitched, moderate voice", {}))) == {"low pitch", "even voice"}


def test_a_weak_cue_may_be_named_and_an_unmeasured_one_is_invented() -> None:
    told, allowed = told_cues(SMILE), allowed_cues(SMILE)
    text = "She smiles, the brow is furrowed and the eyes are wide; the voice is loud. She says “I hate this room”."
    found = judge_reasons(text, SMILE, told, allowed)
    assert found.named == {"mouth corners up", "eyebrows lowered", "eyes widened", "loud"}
    assert found.invented == {"eyes widened"}
    assert (found.quotations, found.quotations_right) == (1, 1)
    sums = total([found])
    assert (sums.told, sums.named, sums.found, sums.invented) == (4, 4, 2, 1)
    assert (sums.share_named, sums.share_invented, sums.share_quoted_right) == (0.5, 0.25, 1.0)


def test_words_in_quotation_marks_are_no_cue_and_may_be_wrong() -> None:
    found = judge_reasons("She says “I smile at this room”.", SMILE, told_cues(SMILE), allowed_cues(SMILE))
    assert found.named == set()
    assert (found.quotations, found.quotations_right) == (1, 0)


def test_what_the_words_are_said_to_speak_of() -> None:
    assert reading_in("It is loud. The words speak of anger.") == "anger"
    assert reading_in("Not telling: the voice is even, and the words tell no feeling.") == "no feeling"
    assert reading_in("The feeling is put into plain words.") is None
    right = judge_reasons("The words speak of anger.", SMILE, told_cues(SMILE), allowed_cues(SMILE))
    wrong = judge_reasons("The words tell no feeling.", SMILE, told_cues(SMILE), allowed_cues(SMILE))
    silent = judge_reasons("The face is at rest.", SMILE, told_cues(SMILE), allowed_cues(SMILE))
    sums = total([right, wrong, silent])
    assert (sums.readings, sums.readings_right, sums.share_read_right) == (2, 1, 0.5)
    assert total([silent]).share_read_right is None
    mute = replace(SMILE, transcript=None)  # words of which nothing is known cannot be read
    assert judge_reasons("The words speak of anger.", mute, frozenset(), frozenset()).readings_right == 0


def test_shares_of_nothing_are_none() -> None:
    found = judge_reasons("Nothing is known.", Evidence(), frozenset(), frozenset())
    sums = total([found])
    assert (sums.share_named, sums.share_invented, sums.share_quoted_right) == (None, None, None)


@pytest.mark.parametrize("units", [{"AU12": 2.5, "AU06": 2.0}, {"AU04": 2.0, "AU05": 1.0, "AU07": 1.7}, {"AU26": 1.0}])
def test_our_own_descriptions_name_all_and_invent_nothing(units: dict[str, float]) -> None:
    measured = evidence(units)
    told, allowed = told_cues(measured), allowed_cues(measured)
    for variant in range(VARIANTS):
        found = judge_reasons(describe(measured, "angry", variant=variant).fine, measured, told, allowed)
        assert found.invented == set()
        assert found.named >= told


def truth(levels: dict[str, float], *, missing: tuple[str, ...] = (), moved: dict[str, float] | None = None) -> dict:
    row = [levels.get(name, 0.0) for name in AU_NAMES]
    other = [(moved or {}).get(name, 0.0) for name in AU_NAMES]
    tone = {"figures": {}, "expected": ["loud"], "excluded": ["quiet", "slow"]}
    return {
        "missing": list(missing), "unit_names": list(AU_NAMES), "units": [other, row], "expression": [[0.0] * 17, row],
        "peak_all": 1 if levels else None, "tone": None if "silent" in missing else tone,
    }  # fmt: skip


def test_what_was_drawn_and_voiced_is_true() -> None:
    found = true_cues(truth({"AU12": 2.0, "AU04": 0.4}, moved={"AU45": 3.0}))
    assert found.shown == {"mouth corners up", "loud"}
    # AU04 moves a little and AU45 blinks: neither is claimed to be absent.
    still = set(CUE_UNITS) - {"mouth corners up", "eyebrows lowered", "eyes closed"}
    assert found.absent == still | {"face at rest", "quiet", "slow"}


def test_a_resting_face_and_a_missing_one() -> None:
    assert true_cues(truth({})).shown == {"face at rest", "loud"}
    assert "face at rest" not in true_cues(truth({})).absent
    nothing = true_cues(truth({}, missing=("no_face", "silent")))
    assert nothing == (set(), set())
