"""The JSON document and the generated documents that are committed."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from emotion_llama.document import analysis_document
from emotion_llama.records import AU_NAMES, ActionUnits, AudioInfo, Clip, Prosody
from emotion_llama.results import Analysis, Evidence, Missing, PersonAnalysis, Prediction, Segment
from emotion_llama.schema import AnalysisDocument, analysis_schema
from reference import generated_documents

ROOT = Path(__file__).parents[1]


def _analysis() -> Analysis:
    intensity = np.full((3, 17), np.nan, np.float32)
    intensity[0], intensity[2] = 1.0, 2.5
    flags = np.zeros(3, bool)
    times = np.array([0.0, 0.04, 0.08])
    units = ActionUnits(AU_NAMES, times, intensity, np.array([0.9, 0.0, 0.8]), flags, flags, "population", "mesh")
    evidence = Evidence(action_units=units, missing=(Missing("prosody", "the file has no sound"),))
    prediction = Prediction(None, None, "", "", "rules", problem="no evidence: a test")
    clip = Clip(Path("a.wav"), "0" * 64, 1.5, None, AudioInfo(16_000, 1, "pcm_s16le"))
    person = PersonAnalysis(0, True, "the only one", None, (Segment(0.0, 1.5, evidence, prediction),))
    return Analysis(clip, (person,), None, "rules", {"segment": "none"})


@pytest.mark.parametrize("name", sorted(generated_documents(ROOT)))
def test_committed_document_is_what_the_code_generates(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == generated_documents(ROOT)[name], "run scripts/generate-docs"


def test_gaps_are_null_and_left_out_of_the_figures() -> None:
    document = json.loads(analysis_document(_analysis()).model_dump_json())
    jsonschema.Draft202012Validator(analysis_schema()).validate(document)
    units = document["people"][0]["segments"][0]["evidence"]["action_units"]
    assert units["curves"]["intensity"][1] == [None] * 17
    assert (units["num_frames"], units["num_frames_measured"]) == (3, 2)
    assert units["mean"]["AU12"] == 1.75
    assert units["max"]["AU12"] == 2.5


def test_a_clip_of_one_sample_has_a_length() -> None:
    """A sound of 1/16000 s came out as 0.0 s, which the schema forbids: no document, but a crash."""
    analysis = _analysis()
    short = replace(analysis, clip=replace(analysis.clip, duration_seconds=1 / 16_000))
    assert analysis_document(short).clip.duration_seconds == 0.001


def test_the_usual_voice_is_part_of_the_evidence() -> None:
    analysis = _analysis()
    segment = analysis.people[0].segments[0]
    usual = Prosody(4.0, 2.5, 150.04, 29.4, *[None] * 13, "autocorrelation")
    heard = replace(segment, evidence=replace(segment.evidence, usual=usual))
    people = (replace(analysis.people[0], segments=(heard,)),)
    document = json.loads(analysis_document(replace(analysis, people=people)).model_dump_json())
    jsonschema.Draft202012Validator(analysis_schema()).validate(document)
    written = document["people"][0]["segments"][0]["evidence"]["usual"]
    assert (written["pitch_median_hz"], written["tilt_db"]) == (150.04, None)
    assert analysis_document(analysis).people[0].segments[0].evidence.usual is None


def test_no_answer_is_null_with_its_problem() -> None:
    prediction = analysis_document(_analysis()).people[0].segments[0].prediction
    assert (prediction.label, prediction.probabilities, prediction.problem) == (None, None, "no evidence: a test")


def test_document_is_read_back_strictly() -> None:
    text = analysis_document(_analysis()).model_dump_json()
    assert AnalysisDocument.model_validate_json(text).model_dump_json() == text
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        AnalysisDocument.model_validate_json(text.replace('"people":', '"persons":[],"people":'))


def test_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(analysis_schema())
