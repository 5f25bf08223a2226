"""A chat model as a predictor: what it is sent of a sample, and what its replies become."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.chat.model import ScriptedChatModel
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.labels import MER6
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors import Predictor, Sample, Task, load_predictor
from emotion_llama.predictors.chat import ChatPredictor
from emotion_llama.prompts.builder import Turn
from emotion_llama.records import AudioInfo, Clip, PeakFrame, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing

CLIP = Clip(Path("clip"), "", 1.0, None, AudioInfo(16_000, 1, ""))
FRAME = np.full((20, 30, 3), 90, np.uint8)
SAMPLES = np.zeros(16_000, np.float32)
INPUTS = ClipInputs(FRAME, None, SAMPLES, (Missing("faces", "nobody"),), 0.5, "strongest", CLIP)
SAMPLE = Sample(Evidence(transcript=Transcript((TranscriptLine("Oh no."),), "given")), INPUTS)


def predictor(*replies: str | AnnotationError, sent: list[ChatRequest] | None = None) -> ChatPredictor:
    left = iter(replies)

    def reply(request: ChatRequest, problem: str | None) -> str | AnnotationError:
        if sent is not None:
            sent.append(request)
        return next(left)

    return ChatPredictor(ScriptedChatModel(reply, max_repeats=0), "m", label_space=MER6)


def test_a_label_and_reasons_from_two_replies() -> None:
    sent: list[ChatRequest] = []
    chat = predictor("Sad.", "The mouth drops.", sent=sent)
    assert isinstance(chat, Predictor)
    assert chat.frame_policy == "peak"
    (found,) = chat.predict([SAMPLE])
    assert (found.label, found.probabilities, found.reasoning, found.raw_text) == (
        "sad", None, "The mouth drops.", "Sad."
    )  # fmt: skip
    label, why = sent
    assert label.media == why.media == (1, True)
    assert "The person in the clip says: Oh no.\nMeasured cues. Face: not measured" in label.user
    assert ", ".join(MER6.labels) in label.user


def test_replies_without_a_label_and_failures_are_problems() -> None:
    found = predictor("Who knows.", AnnotationError("timeout", "no reply")).predict([SAMPLE, SAMPLE])
    assert found[0].problem == "the answer names none of the labels of mer6, or does not decide"
    assert found[1].problem == "timeout: no reply"
    (nothing,) = predictor().predict([Sample(Evidence())])
    assert nothing.problem == "there is nothing to see, hear or read"


def test_a_task_is_asked_once_and_its_text_kept() -> None:
    (found,) = predictor("no label").predict([SAMPLE], Task("emotion", MER6.labels))
    assert (found.label, found.raw_text, found.problem) == (None, "no label", None)


def test_a_model_of_text_alone_gets_the_measured_cues_in_every_task() -> None:
    """In an evaluation it was given the transcript only, and answered "neutral" to each of 20 clips."""
    peak = PeakFrame(0, 0.5, 3.1, "all", None, {"AU12": 3.1}, "strongest")
    sent: list[ChatRequest] = []
    (found,) = predictor("Happy.", sent=sent).predict([Sample(Evidence(None, peak))], Task("emotion", MER6.labels))
    assert found.label == "happy"
    assert "lip corner puller 3.1" in sent[0].user
    chat = ScriptedChatModel(lambda request, problem: request.user)
    (found,) = ChatPredictor(chat, "m", cues=False).predict([SAMPLE], Task("free", instruction="What is there?"))
    assert "Measured" not in found.raw_text


def test_a_reply_that_is_no_answer_is_kept_beside_its_problem() -> None:
    def reply(request: ChatRequest, problem: str | None) -> AnnotationError:
        return AnnotationError("refused", "the model declined", reply="I will not say.")

    (found,) = ChatPredictor(ScriptedChatModel(reply), "m").predict([SAMPLE])
    assert (found.raw_text, found.problem) == ("I will not say.", "refused: the model declined")


def test_a_chat() -> None:
    sent: list[ChatRequest] = []
    chat = predictor("He frowns.", AnnotationError("refused", "no"), sent=sent)
    assert list(chat.stream(SAMPLE, [Turn("Who?", "A man."), Turn("And now?")])) == ["He frowns."]
    assert "Question: Who?\nAnswer: A man.\nAnd now?" in sent[0].user
    with pytest.raises(AnnotationError, match="refused: no"):
        chat.stream(SAMPLE, [Turn("And now?")])


def test_by_name() -> None:
    found = load_predictor("openai:vlm@http://localhost:1/v1", frames=2, label_space=MER6)
    assert isinstance(found, ChatPredictor)
    assert (found.name, found.settings["frames"], found.settings["label_space"]) == ("vlm", 2, "mer6")
    with pytest.raises(InputError, match="no option 'layout'"):
        load_predictor("openai:vlm@http://localhost:1/v1", layout="train")


def test_probabilities_by_likelihood_else_as_the_model_states_them() -> None:
    shares = {"neutral": 0.1, "angry": 0.2, "happy": 0.5, "sad": 0.1, "worried": 0.05, "surprise": 0.05}
    scored = ScriptedChatModel(lambda request, problem: "A smile.", shares=lambda request: shares)
    (found,) = ChatPredictor(scored, "m", label_space=MER6).predict([SAMPLE])
    assert (found.label, found.probability, found.probabilities_from) == ("happy", 0.5, "likelihood")
    assert found.reasoning == "A smile."
    task = Task("emotion", MER6.labels)
    (found,) = ChatPredictor(scored, "m", label_space=MER6).predict([SAMPLE], task)
    assert (found.label, found.raw_text, found.probability) == ("happy", "A smile.", 0.5)

    sent: list[ChatRequest] = []
    said = '{"neutral": 20, "angry": 0, "happy": 0, "sad": 60, "worried": 0, "surprise": 0}'
    (found,) = predictor(said, "Tears.", sent=sent).predict([SAMPLE])
    assert (found.label, found.probability, found.probabilities_from) == ("sad", 0.75, "stated")
    assert sent[0].schema is not None
    assert sent[0].schema[1]["required"] == list(MER6.labels)
    unscored = ChatPredictor(ScriptedChatModel(lambda request, problem: "Sad."), "m", probabilities="none")
    (found,) = unscored.predict([SAMPLE])
    assert (found.label, found.probabilities, found.probabilities_from) == ("sad", None, None)
    with pytest.raises(InputError, match="stated"):
        load_predictor("openai:m@http://localhost:1/v1", probabilities="certain")
