"""Questions about a clip: each is answered from its document, or declined with the reason."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_llama.analysis import evidence as evidence_module
from emotion_llama.analysis.evidence import NO_WORDS
from emotion_llama.document import analysis_document
from emotion_llama.records import AudioInfo, Clip, FaceTrack, PeakFrame, Tone, Transcript, TranscriptLine
from emotion_llama.results import Analysis, Evidence, Missing, OutOfDomain, PersonAnalysis, Prediction, Segment
from emotion_llama.rules.conversation import answer
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.rules.wording.chinese_reasons import in_chinese


@pytest.fixture
def document(make_units: Any, make_voice: Any) -> dict[str, Any]:
    lines = (TranscriptLine("What a wonderful day!", 0.4, 1.2), TranscriptLine("I am so happy.", 2.6, 3.5))
    evidence = Evidence(
        make_units(20, AU06=2.0, AU12=3.0), PeakFrame(3, 1.25, 5.0, "all", None, {"AU12": 3.0, "AU06": 2.0}, "settled"),
        make_voice(articulation_rate=2.0), Tone("slow voice", {"slow": "2.0 syllables/s"}),
        Transcript(lines, "talk.srt", "en"),
    )  # fmt: skip
    return of(evidence, predict_by_rules(evidence))


def of(evidence: Evidence, prediction: Prediction) -> dict[str, Any]:
    nan = np.full((1, 4), np.nan)
    track = FaceTrack(
        0, (640, 480), np.zeros(1), np.zeros(1, np.int64), np.zeros(1, bool), nan, np.zeros(1), np.zeros((1, 5, 2)),
        nan[:, :3], nan, np.zeros(1),
    )  # fmt: skip
    person = PersonAnalysis(1, True, "in view all the time", track, (Segment(0.0, 4.0, evidence, prediction),))
    clip = Clip(Path("talk.mp4"), "0" * 64, 4.0, None, AudioInfo(16_000, 1, "aac"))
    made = analysis_document(Analysis(clip, (person,), None, "rules"), curves=False)
    found: dict[str, Any] = json.loads(made.model_dump_json())
    return found


# Twenty questions in two languages, each with what its answer has to hold.
QUESTIONS = [
    ("What is she saying?", "What a wonderful day"),
    ("What are the words?", "2.60 s"),
    ("How does he feel?", "happy 80"),
    ("Is she sad?", "Predicted: happy"),
    ("Why do you think so?", "The person smiles"),
    ("Which cues are there?", "smile"),
    ("What speaks against it?", "sad: a slow voice"),
    ("How sure are you?", "no proof"),
    ("When is it strongest?", "1.25 s"),
    ("How does the voice sound?", "slow voice (2.0 syllables/s)"),
    ("What does the face show?", "AU12 3.0"),
    ("How long is the clip?", "4.00 s"),
    ("How many people are there?", "1 person"),
    ("What could not be measured?", "Everything"),
    ("Who is speaking?", "this person's"),
    ("Who is she?", "not guessed"),
    ("How old is he?", "not guessed"),
    ("What is she wearing?", "a model that sees"),
    ("Is he lying?", "do not show"),
    ("Write a poem", "needs a larger model"),
    ("她说了什么？", "What a wonderful day"),
    ("她的情绪是什么？", "高兴 80"),
    ("为什么？", "笑"),
    ("有多确定？", "不是证明"),
    ("什么时候最强？", "1.25 s"),
    ("她的声音怎么样？", "语速慢"),
    ("表情怎么样？", "AU12 3.0"),
    ("有什么相反的线索？", "悲伤：语速慢"),
    ("她是谁？", "不猜测"),
    ("她穿什么？", "能看画面的模型"),
    ("写一首诗", "更大的模型"),
]


@pytest.mark.parametrize(("question", "held"), QUESTIONS)
def test_each_question_is_answered_or_declined(question: str, held: str, document: dict[str, Any]) -> None:
    reply = answer(question, document, 1)
    assert held in reply
    assert reply.strip(" .") not in ("happy", "高兴")  # never a bare label
    if re.search("[\u4e00-\u9fff]", question):  # nothing in it stays English but quotations and names
        rest = re.sub(r"“[^”]*”|AU\d\d|talk\.srt|\d s\b", "", reply)
        assert not re.search("[A-Za-z]", rest), rest


@pytest.mark.parametrize(
    "reason",
    [
        NO_WORDS,
        "the voice of this segment is taken to be nobody's in view: the lips move in 6 % of 1.9 s of speech",
        "the voice of this segment is taken to be person 2's: lips move during 61 % of the speech",
        "the voice of this segment is somebody else's: 's1' is person 2; 's2' is nobody whose lips move with it",
        "the face is turned away (by 45 degrees or more) in 40 of 90 frames, which were not measured",
        "no face was found in 120 frames",
    ],
)
def test_reasons_are_put_into_chinese(reason: str) -> None:
    chinese = in_chinese(reason)
    assert chinese is not None
    assert not re.search("[A-Za-z]", re.sub("'s[12]'", "", chinese))
    assert sorted(figures(chinese)) == sorted(figures(reason))


def figures(text: str) -> list[str]:
    return re.findall(r"[\d.]+", re.sub("'s[12]'", "", text))


def test_every_plain_reason_of_the_evidence_has_its_chinese() -> None:
    tree = ast.parse(Path(evidence_module.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Missing"]
    plain = [call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)]
    assert len(plain) >= 4
    assert [reason for reason in plain if in_chinese(str(reason)) is None] == []


def test_what_is_missing_is_said_and_not_made_up() -> None:
    missing = tuple(Missing(what, f"no {what}") for what in ("action_units", "peak_frame", "prosody", "transcript"))
    found = of(Evidence(missing=missing), predict_by_rules(Evidence(missing=missing)))
    for question, held in (
        ("What is she saying?", "no transcript"),
        ("How does the voice sound?", "no prosody"),
        ("What does the face show?", "no action_units"),
        ("When?", "no peak_frame"),
        ("How does she feel?", "no evidence"),
        ("What could not be measured?", "peak frame (no peak_frame)"),
    ):
        assert held in answer(question, found, 1)


def test_an_uncertain_answer_and_a_guess_are_worded_as_such(make_units: Any) -> None:
    unclear = Evidence(make_units(20, AU05=4.0, AU26=2.0, confidence=0.6))
    assert answer("How does she feel?", of(unclear, predict_by_rules(unclear)), 1).startswith("Uncertain")
    guess = Prediction(
        "angry", {"angry": 0.99, "sad": 0.01}, "", "", "nano", out_of_domain=(OutOfDomain("the face", 9.0, 3.0),)
    )
    reply = answer("Is he angry?", of(unclear, guess), 1)
    assert reply == "A guess: angry. Unlike all that the model learned from: the face."
