"""Omni models in this process: what they are given of a clip, in which order, and what of it they use."""

import io
import wave
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_models import omni_model

from emotion_llama.chat.local_transformers import LocalModel, _Loaded
from emotion_llama.chat.model import ChatModel, load_chat
from emotion_llama.chat.records import Answer, ChatRequest
from emotion_llama.errors import AnnotationError
from emotion_llama.labels import MER6

LABELS = MER6.labels


def png(value: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((60, 40, 3), value, np.uint8))[1])


def wav(frequency_hz: float) -> bytes:
    samples = (np.sin(2 * np.pi * frequency_hz * np.arange(16_000) / 16_000) * 16_000).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return out.getvalue()


def request(value: int = 20, frequency_hz: float = 200.0) -> ChatRequest:
    return ChatRequest(
        "What is felt?", "You watch.", pictures_png=(png(value), png(value)), sound_wav=wav(frequency_hz)
    )


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    torch.set_num_threads(1)
    folder = omni_model(tmp_path_factory.mktemp("omni"))
    return load_chat(f"transformers:{folder}", {"dtype": "float32", "device": "cpu", "max_new_tokens": 4})


@pytest.fixture(scope="module")
def loaded(chat: ChatModel) -> _Loaded:
    """Without torchvision, which the processor's part for videos would need."""
    assert isinstance(chat.backend, LocalModel)
    return chat.backend.load()


def shares(chat: ChatModel, asked: ChatRequest) -> dict[str, float]:
    (found,) = chat.score([asked], LABELS)
    assert not isinstance(found, AnnotationError), found
    return found[0]


def test_what_it_takes(chat: ChatModel) -> None:
    assert chat.modalities == ("text", "image", "audio")


def test_pictures_then_sound_then_the_question(loaded: _Loaded) -> None:
    inputs = loaded._inputs([(request(), None)])
    text = loaded.tokenizer.decode(inputs["input_ids"][0])
    order = [text.index(mark) for mark in ("You watch.", "<|IMAGE|>", "<|AUDIO|>", "What is felt?", "assistant: ")]
    assert order == sorted(order)
    assert text.count("<|vision_bos|>") == 2
    assert len(inputs["image_grid_thw"]) == 2
    assert int(inputs["feature_attention_mask"].sum()) == 100  # a frame each 10 ms: the whole second of sound


def test_sound_and_pictures_are_used(chat: ChatModel) -> None:
    """Omni models are known to leave sound out where it comes in another form than they expect."""
    before = shares(chat, request())
    for changed in (request(frequency_hz=3000.0), request(value=230)):
        assert max(abs(shares(chat, changed)[label] - before[label]) for label in LABELS) > 1e-6  # of random weights
    assert shares(chat, request()) == pytest.approx(before, abs=1e-8)


def test_labels_behind_one_prompt_are_those_of_whole_passes(chat: ChatModel, loaded: _Loaded) -> None:
    """Positions of pictures and sound go on behind the cache as they do in one pass."""
    scores = []
    for label in LABELS:
        inputs: Any = loaded._inputs([(request(), None)])
        tail = torch.tensor([loaded.tokenizer(label, add_special_tokens=False)["input_ids"]])
        length = inputs["input_ids"].shape[1]
        inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.no_grad():
            logs = loaded.model(**inputs).logits[0].log_softmax(-1)
        scores.append(sum(logs[length + i - 1, token] for i, token in enumerate(tail[0])))
    whole = dict(zip(LABELS, torch.stack(scores).softmax(0).tolist(), strict=True))
    assert shares(chat, request()) == pytest.approx(whole, abs=1e-4)
    assert max(whole.values()) - min(whole.values()) > 0.01


def test_a_reply_with_its_speech(chat: ChatModel, loaded: _Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """`generate` of a model that speaks gives the waveform beside the tokens."""
    (reply,) = chat.ask([request()])
    assert isinstance(reply, Answer) or "cut off" in reply.message  # four tokens of babble

    def speaks(input_ids: torch.Tensor, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
        words = torch.tensor(
            [[*loaded.tokenizer("sad", add_special_tokens=False)["input_ids"], loaded.tokenizer.eos_token_id]]
        )
        return torch.cat([input_ids, words], dim=1), torch.zeros(24_000)

    monkeypatch.setattr(loaded.model, "generate", speaks)
    (answer,) = chat.ask([request()])
    assert isinstance(answer, Answer)
    assert answer.values["text"] == "sad"
