"""Our own model as an annotator, at toy size: taught a few answers, and with random weights that only babble."""

import io
import json
import pickle
import sys
import wave
from pathlib import Path
from shutil import copytree

import cv2
import numpy as np
import pytest
import torch

from emotion_llama.chat.questions import Facts, Question
from emotion_llama.chat.records import Answer
from emotion_llama.errors import AnnotationError, BackendError, InputError, MissingDependency
from emotion_llama.face.align import align_face
from emotion_llama.labels import MERR9
from emotion_llama.merr.annotators import Annotator, load_annotator
from emotion_llama.merr.own_model import OwnModel, masked_crop
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing, Prediction

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"
DARK, BRIGHT = "a dark room", "a bright room"
LOW, REASONED = "the voice is low", "the mouth drops and the voice is low so he is sad"


def png(value: int, size: tuple[int, int] = (40, 60)) -> bytes:
    return bytes(cv2.imencode(".png", np.full((*size, 3), value, np.uint8))[1])


def wav(seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        noise = np.random.default_rng(0).integers(-3000, 3000, round(16_000 * seconds))
        file.writeframes(noise.astype("<i2").tobytes())
    return out.getvalue()


WORDS = Facts(label="happy", clues={"subtitle": "Oh no."})
VISUAL = Question("visual", "en", WORDS, picture_png=png(10))
AUDIO = Question("audio", "en", WORDS, sound_wav=wav())
REASON = Question("reason", "en", WORDS, png(10), wav(), MERR9.labels, face_png=png(99, (224, 224)))


def make_folder(folder: Path) -> Path:
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    EmotionLlamaForConditionalGeneration(config).save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


def make(folder: Path, **options: object) -> Annotator:
    given = {"name": "emotion-llama", "folder": str(folder), "device": "cpu", "max_new_tokens": 60}
    return load_annotator(given | options)


def own(annotator: Annotator) -> OwnModel:
    found = annotator.answer.__self__  # type: ignore[attr-defined]
    assert isinstance(found, OwnModel)
    return found


def clip_of(annotator: Annotator, question: Question) -> ClipFeatures:
    found: ClipFeatures = own(annotator)._sample(question).features
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Taught: dark and bright pictures, one voice, one reasoning; the whole model learns, toy that it is."""
    place = make_folder(tmp_path_factory.mktemp("models") / "toy-taught")
    annotator = make(place)
    loaded = own(annotator)._predictor()
    bright = Question("visual", "en", WORDS, picture_png=png(240))
    lessons = []
    for question, reply in ((VISUAL, DARK), (bright, BRIGHT), (AUDIO, LOW), (REASON, REASONED)):
        words = "Oh no." if question.task == "reason" else None
        clip = clip_of(annotator, question)
        lessons.append(loaded.processor(clip, task=question.task, words=words, answers=reply))
    model = loaded.model.train()
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    loss = torch.ones(())
    for _ in range(300):
        optimizer.zero_grad()
        loss = torch.stack([model(**lesson).loss for lesson in lessons]).mean()
        loss.backward()
        optimizer.step()
        if float(loss.detach()) < 0.01:
            break
    assert float(loss.detach()) < 0.05
    model.eval().save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def annotator(folder: Path) -> Annotator:
    return make(folder)


def text(outcome: Answer | AnnotationError) -> object:
    return outcome.values["text"] if isinstance(outcome, Answer) else (outcome.kind, outcome.message)


def test_three_tasks(annotator: Annotator) -> None:
    assert (annotator.where, annotator.batch_size, annotator.name) == ("main", 4, "emotion-llama")
    assert annotator.tasks == {"visual", "audio", "reason"}
    bright = Question("visual", "en", WORDS, picture_png=png(240))
    visual, audio, reason, other = annotator.answer([VISUAL, AUDIO, REASON, bright])
    assert [text(o) for o in (visual, audio, other)] == ["A dark room.", "The voice is low.", "A bright room."]
    assert isinstance(reason, Answer)
    assert dict(reason.values) == {
        "text": "The mouth drops and the voice is low so he is sad.",
        "supporting": [],
        "misleading": [],
        "label": "sad",
    }
    assert reason.label_shown is False  # though the question brings one: "happy"
    assert (reason.model, reason.attempts) == ("toy-taught", 1)
    assert reason.tokens_in is not None
    assert reason.tokens_in > 4


def test_a_batch_gives_what_single_questions_give(folder: Path, annotator: Annotator) -> None:
    bright = Question("visual", "en", WORDS, picture_png=png(240))
    mixed = [bright, VISUAL, VISUAL, bright, VISUAL]
    single = [text(annotator.answer([question])[0]) for question in mixed]
    assert single == ["A bright room.", "A dark room.", "A dark room.", "A bright room.", "A dark room."]
    assert [text(o) for o in make(folder, batch_size=5).answer(mixed)] == single
    lacking = Question("reason", "en", WORDS, None, wav(), MERR9.labels)  # a batch with and without a picture
    assert len(annotator.answer([REASON, lacking])) == 2


def test_what_the_model_is_given(annotator: Annotator) -> None:
    """One modality for a question about one; all that a still and a sound can give for reasoning; no label ever."""
    everything = {"picture_png": png(10), "sound_wav": wav(), "face_png": png(99, (224, 224))}
    present = {
        task: clip_of(annotator, Question(task, "en", WORDS, labels=MERR9.labels, **everything)).present  # type: ignore[arg-type]
        for task in ("visual", "audio", "reason")
    }
    assert present == {
        "visual": (True, True, False, False), "audio": (False, False, False, True), "reason": (True, True, False, True)
    }  # fmt: skip
    told: list[dict[str, object]] = []
    processor = own(annotator)._predictor().processor
    call = type(processor).__call__

    def listen(self: object, clips: object, **options: object) -> object:
        told.append(options)
        return call(self, clips, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(processor), "__call__", listen)
        annotator.answer([REASON])
        annotator.answer([VISUAL])
        talk = Facts(evidence=Evidence(transcript=Transcript((TranscriptLine("Well."),), "given")))
        annotator.answer([Question("reason", "en", talk, png(10), labels=MERR9.labels)])
    assert [options["words"] for options in told] == [["Oh no."], [None], ["Well."]]
    assert "happy" not in str(told)
    assert told[0]["instruction"] == (
        "Please analyze all the clues in the video and reason out the emotional label of the person in the video."
    )


def test_babble_is_no_answer(tmp_path: Path) -> None:
    outcomes = make(make_folder(tmp_path), max_new_tokens=12).answer([VISUAL, AUDIO, REASON])
    for outcome in outcomes:
        assert isinstance(outcome, AnnotationError)
        assert outcome.kind in ("malformed", "empty")
        assert outcome.tokens_in > 0


def test_reasons_without_a_label_are_malformed(annotator: Annotator, monkeypatch: pytest.MonkeyPatch) -> None:
    for reply, message in (
        ("the mouth drops and the voice is low", "the text names none of the labels, or does not decide"),
        ("he is either sad or angry", "the text names none of the labels, or does not decide"),
        ("I cannot tell what he feels from this image", "the model declined"),
        ("", "the reply holds no text"),
    ):
        made = Prediction(None, None, "", reply, "m", tokens_in=9, tokens_out=5)
        monkeypatch.setattr(own(annotator)._predictor(), "predict", lambda *_, made=made: [made])
        (outcome,) = annotator.answer([REASON])
        assert isinstance(outcome, AnnotationError)
        assert outcome.message.startswith(message)
        assert (outcome.attempts, outcome.tokens_in, outcome.tokens_out) == (1, 9, 5)
    made = Prediction(None, None, "", "he is sad and", "m", is_cut_off=True)
    monkeypatch.setattr(own(annotator)._predictor(), "predict", lambda *_: [made])
    assert "max_new_tokens" in str(annotator.answer([REASON])[0])


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (Question("visual", "zh", WORDS, png(10)), "the model writes English only"),
        (Question("check", "en", WORDS, png(10)), "the model knows no task 'check'"),
        (Question("visual", "en", WORDS), "the clip has no picture"),
        (Question("audio", "en", WORDS), "the clip has no sound"),
        (Question("reason", "en", WORDS, labels=MERR9.labels), "was given neither"),
        (Question("visual", "en", WORDS, b"x"), "the bytes are no picture"),
        (Question("audio", "en", WORDS, sound_wav=b"x"), "the bytes are no sound"),
        (Question("audio", "en", WORDS, sound_wav=wav(181)), "takes up to 180 s, got 181 s"),
    ],
)
def test_what_it_cannot_be_asked(annotator: Annotator, question: Question, why: str) -> None:
    error, good = annotator.answer([question, VISUAL])
    assert isinstance(error, AnnotationError)
    assert error.kind == "cannot"
    assert why in error.message
    assert text(good) == "A dark room."


def test_weights_that_cannot_reason_say_so(folder: Path, tmp_path: Path) -> None:
    copytree(folder, tmp_path, dirs_exist_ok=True)
    record = {"format": "emotion-llama-conversion-1", "weights": "checkpoint_best.pth", "abilities": ["classify"]}
    (tmp_path / "conversion.json").write_text(json.dumps(record))
    (error,) = make(tmp_path).answer([REASON])
    assert isinstance(error, AnnotationError)
    assert error.message.startswith("checkpoint_best.pth was tuned for classification only")


def test_layouts_with_cues(folder: Path) -> None:
    facts = Facts(evidence=Evidence(missing=(Missing("peak_frame", "nobody"),)), clues={"subtitle": "Oh."})
    question = Question("reason", "en", facts, png(10), labels=MERR9.labels)
    annotator = make(folder, layout="evidence", max_new_tokens=3)
    plain = make(folder, max_new_tokens=3).answer([question])[0]
    cued = annotator.answer([question])[0]
    assert cued.tokens_in > plain.tokens_in + 20  # type: ignore[operator]
    with pytest.raises(InputError, match="no prompt layout 'x'"):
        make(folder, layout="x")


def test_settings(folder: Path, annotator: Annotator) -> None:
    settings = annotator.settings
    json.dumps(settings)
    assert make(folder, batch_size=1).settings == settings
    assert make(folder, max_new_tokens=9).settings != settings
    other = make(folder, instructions={"visual": "Describe the picture."})
    assert other.settings != settings
    assert pickle.loads(pickle.dumps(annotator)).settings == settings
    with pytest.raises(InputError, match=r"instructions\.check"):
        make(folder, instructions={"check": "x"})


def test_folders_and_packages(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"holds no model: config\.json is missing; `emotion-llama convert`"):
        make(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[model\]"):
        make(folder).answer([VISUAL])


def test_a_model_that_breaks_is_a_backend_error(annotator: Annotator, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**inputs: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    monkeypatch.setattr(own(annotator)._predictor().model, "generate", broken)
    with pytest.raises(BackendError, match=r"'toy-taught' failed: CUDA error: an illegal memory access$"):
        annotator.answer([VISUAL])


def test_an_aligned_crop_is_masked_as_the_clips_crops_are() -> None:
    """Crops of a build are 224 and whole, the face encoder's were 112 and masked: the same as cut directly."""
    rng = np.random.default_rng(3)
    frame = cv2.GaussianBlur(rng.integers(0, 255, (300, 300, 3), np.uint8), (0, 0), 4)
    points = np.array([[120, 130], [180, 128], [150, 160], [128, 190], [174, 188]], float)
    direct = align_face(frame, points, size=112, masked=True)
    again = masked_crop(align_face(frame, points, size=224))
    assert again.shape == (112, 112, 3)
    outside = (direct == 0).all(axis=2)
    assert 0.1 < outside.mean() < 0.6
    assert ((again == 0).all(axis=2) == outside).mean() > 0.995
    assert np.abs(again.astype(float) - direct)[~outside].mean() < 2
