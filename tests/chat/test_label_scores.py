"""Probabilities of labels by tokens: every way that a server gives them agrees with the model in transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from model_server import ModelServer
from tiny_models import TEMPLATE, text_model, tokenizer

from emotion_llama.chat.model import ChatModel, load_chat
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError
from emotion_llama.labels import MERR9

LABELS = MERR9.labels
REQUEST = ChatRequest("What does the person feel?", "You watch clips.")
PROMPT = "<s>system: You watch clips.<s>user: What does the person feel?<s>assistant: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has seen the nine labels as replies, some more often than others."""
    from transformers import LlamaForCausalLM

    torch.set_num_threads(1)
    place = text_model(tmp_path_factory.mktemp("model"))
    model, tokens = LlamaForCausalLM.from_pretrained(place), tokenizer(TEMPLATE)
    rows = [tokens(PROMPT + label + "</s>", add_special_tokens=False)["input_ids"] for label in LABELS]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    start = len(tokens(PROMPT, add_special_tokens=False)["input_ids"])
    weights = torch.arange(1.0, len(LABELS) + 1)[:, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        logits = model(input_ids=ids, attention_mask=(ids > 0).long()).logits[:, start - 1 : -1]
        wanted = ids[:, start:]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=0, reduction="none")
        optimizer.zero_grad()
        (losses * weights).mean().backward()
        optimizer.step()
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def truth(model: Any) -> dict[str, float]:
    """Directly: a whole pass for each label, its tokens' log-probabilities summed, a softmax over the labels."""
    tokens = tokenizer(TEMPLATE)
    scores = []
    for label in LABELS:
        head, tail = (tokens(text, add_special_tokens=False)["input_ids"] for text in (PROMPT, label))
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([head + tail])).logits[0].log_softmax(-1)
        scores.append(sum(logs[len(head) + i - 1, t] for i, t in enumerate(tail)))
    return dict(zip(LABELS, torch.stack(scores).softmax(0).tolist(), strict=True))


def scored(chat: ChatModel) -> tuple[dict[str, float], str] | AnnotationError:
    (found,) = chat.score([REQUEST], LABELS)
    return found


def served(model: Any, *gives: str) -> tuple[tuple[dict[str, float], str] | AnnotationError, ModelServer]:
    server = ModelServer(model, tokenizer(TEMPLATE), gives)
    with server.serving() as url:
        return scored(load_chat(f"openai:tiny@{url}", {})), server


def test_in_this_process(folder: Path, truth: dict[str, float]) -> None:
    found = scored(load_chat(f"transformers:{folder}", {"dtype": "float32", "device": "cpu"}))
    assert not isinstance(found, AnnotationError)
    assert found == (pytest.approx(truth, abs=1e-4), "likelihood")
    assert max(truth.values()) - min(truth.values()) > 0.01  # they differ: a uniform answer would not pass


@pytest.mark.parametrize("gives", [("tokens", "continues"), ("prompt", "continues"), ("tokens", "continues", "prompt")])
def test_behind_a_server(gives: tuple[str, ...], model: Any, truth: dict[str, float]) -> None:
    found, server = served(model, *gives)
    assert not isinstance(found, AnnotationError), found
    assert found == (pytest.approx(truth, abs=1e-3), "likelihood")
    if "tokens" in gives:  # labels share requests: fewer than one for each of their 51 letters
        assert not any("prompt_logprobs" in body for body in server.bodies)
        assert len(server.bodies) < sum(map(len, LABELS))


def test_labels_that_are_not_among_the_likeliest_need_the_whole_prompt(tmp_path: Path) -> None:
    """A model that babbles: its 20 likeliest tokens are letters of no label."""
    from transformers import LlamaForCausalLM

    babbling = LlamaForCausalLM.from_pretrained(text_model(tmp_path)).eval()
    found, server = served(babbling, "tokens", "continues", "prompt")
    assert not isinstance(found, AnnotationError)
    assert sum("prompt_logprobs" in body for body in server.bodies) == 1 + len(LABELS)
    direct = scored(load_chat(f"transformers:{tmp_path}", {"dtype": "float32", "device": "cpu"}))
    assert direct == (pytest.approx(found[0], abs=1e-3), "likelihood")
    less, _ = served(babbling, "tokens", "continues")
    assert isinstance(less, AnnotationError)
    assert (less.kind, "20 likeliest" in less.message) == ("cannot", True)


def test_first_tokens_where_no_reply_is_continued(model: Any) -> None:
    found, _ = served(model, "tokens")
    assert isinstance(found, AnnotationError)  # "sad" and "surprise" begin with the same letter
    labels = ("happy", "neutral", "angry")
    server = ModelServer(model, tokenizer(TEMPLATE), ("tokens",))
    with server.serving() as url:
        (first,) = load_chat(f"openai:tiny@{url}", {}).score([REQUEST], labels)
    assert not isinstance(first, AnnotationError)
    assert first[1] == "first tokens"
    assert sum(first[0].values()) == pytest.approx(1)


def test_a_server_without_them_says_so(model: Any) -> None:
    found, server = served(model)
    assert isinstance(found, AnnotationError)
    assert found.kind == "cannot"
    assert len(server.bodies) == 2  # found out once
