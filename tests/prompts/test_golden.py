"""What the published code feeds its language model, token by token, read back from its embeddings."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from emotion_llama.prompts import SLOTS, prompt_from_text, target_text
from emotion_llama.prompts.tokenise import tokenise

torch.set_num_threads(1)
VOCABULARY = 480
# 4 patch tokens and one of each encoder: 8 visual tokens a sample in the golden vectors.
PLACES = {"patches": (480, 4)} | dict.fromkeys(SLOTS[1:], (481, 1))


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> Any:
    return load_file(golden_folder / "golden.safetensors"), json.loads((golden_folder / "golden.json").read_text())


@pytest.fixture(scope="module")
def rows(golden_folder: Path) -> Any:
    weights = torch.load(golden_folder / "llama" / "pytorch_model.bin", weights_only=True)
    return weights["model.embed_tokens.weight"]


def check(ids: tuple[int, ...], embeds: Any, rows: Any, visual: Any) -> None:
    """The text positions hold the embeddings of the ids, the placeholders the visual tokens in order."""
    assert embeds.shape == (len(ids), 48)
    at = torch.tensor(ids)
    is_text = at < VOCABULARY
    assert torch.equal(embeds[is_text], rows[at[is_text]])
    assert torch.equal(embeds[~is_text], visual)


@pytest.mark.parametrize("sample", [0, 1])
def test_train_prompt(golden: Any, rows: Any, toy_tokenizer: Any, sample: int) -> None:
    tensors, texts = golden
    prompt = prompt_from_text(texts["instructions"][sample], layout="train")
    ids = tokenise(prompt, toy_tokenizer, PLACES).ids
    length = int(tensors["train_prompt_mask"][sample].sum())
    assert length == (116, 91)[sample]
    assert ids[0] == 1  # the golden prompt embeddings are taken before the begin token is put in front
    check(ids[1:], tensors["train_prompt_embeds"][sample][:length], rows, tensors["visual_tokens"][sample])


@pytest.mark.parametrize("sample", [0, 1])
@pytest.mark.parametrize("key", ["eval_texts", "instructions"])
def test_released_prompt(golden: Any, rows: Any, toy_tokenizer: Any, sample: int, key: str) -> None:
    tensors, texts = golden
    prompt = prompt_from_text(texts[key][sample], layout="released")
    ids = tokenise(prompt, toy_tokenizer, PLACES).ids
    assert ids[:2] == (1, 1)
    embeds = tensors[f"eval_prompt_embeds_{sample}"].reshape(-1, 48)
    check(ids, embeds, rows, tensors["visual_tokens"][sample])


def test_answers_and_labels(golden: Any, toy_tokenizer: Any) -> None:
    tensors, texts = golden
    for raw, answer, instruction, target in zip(
        texts["raw_answers"], texts["answers"], texts["instructions"], tensors["train_target_ids"]
    ):
        assert target_text(raw, "published") == answer
        prompt = prompt_from_text(instruction, answer=target_text(raw, "published"))
        tokens = tokenise(prompt, toy_tokenizer, PLACES)
        expected = [int(label) for label in target if label != -100]
        assert [label for label in tokens.labels if label != -100] == expected
        assert list(tokens.ids[-len(expected) :]) == expected  # the answer ends the sequence
        assert set(tokens.labels[: -len(expected)]) == {-100}
