"""Pieces of one's own: round trips, fixed phrases, unknown letters as bytes, the same for the same texts."""

from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts.builder import build_prompt
from emotion_llama.prompts.tokenise import encode, load_tokenizer, tokenise
from merr_synth.nano.language.corpus import rows
from merr_synth.nano.language.measured_like import Measuring
from merr_synth.nano.language.recipe import CorpusPart
from merr_synth.nano.language.tokenizer import fixed_phrases, train_tokenizer, without_phrases

NUM_PIECES = 1200


@pytest.fixture(scope="module")
def texts(measuring: Measuring) -> list[str]:
    found = rows(CorpusPart(num_train=300), measuring, "train", 300)
    return [
        text
        for _, row in found
        for text in (row.get("subtitle", ""), row["cues"], row["description"], row.get("label", ""))
        if text
    ]


@pytest.fixture(scope="module")
def folder(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(texts, NUM_PIECES, out)
    return out


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


def test_size_and_special_tokens_are_llamas(tokenizer: Any) -> None:
    assert len(tokenizer) == NUM_PIECES
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == ("<s>", "</s>", "<unk>")
    assert [tokenizer.bos_token_id, tokenizer.eos_token_id] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "angry",
        "I miss my mother.",
        "a  b\n c\t7.5%, d'accord",
        "café 你\U0001f600",
        "[INST] not a prompt",
        "pitch 118 Hz",
    ],
)
def test_every_text_comes_back(tokenizer: Any, text: str) -> None:
    ids = encode(text, tokenizer)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids


def test_texts_it_was_trained_on_come_back(tokenizer: Any, texts: list[str]) -> None:
    for text in texts[:200]:
        assert tokenizer.decode(encode(text, tokenizer)) == text


def test_labels_are_short_and_begin_differently(tokenizer: Any) -> None:
    ids = [encode(label, tokenizer) for label in MERR9.labels]
    assert max(map(len, ids)) == 1
    assert len({one[0] for one in ids}) == 9


def test_prompts_are_short_for_their_fixed_phrases(tokenizer: Any, texts: list[str]) -> None:
    cues = max((t for t in texts if t.startswith("Measured cues")), key=len)
    assert len(encode(cues, tokenizer)) <= 120
    prompt = build_prompt("emotion", words="No!", cues=cues, layout="evidence", present=())
    pieces = [tokenizer.decode([i]) for i in tokenise(prompt, tokenizer, {}).ids]
    assert sum("Please determine which emotion label" in piece for piece in pieces) == 1


def test_a_special_token_that_is_spelt_is_words(tokenizer: Any) -> None:
    assert tokenizer.eos_token_id not in encode("she said </s> twice", tokenizer)


def test_the_same_texts_give_the_same_file(folder: Path, texts: list[str], tmp_path: Path) -> None:
    train_tokenizer(texts, NUM_PIECES, tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_phrases_are_cut_out_before_words_are_learnt() -> None:
    assert list(without_phrases(["a bc d", "bc"], ("bc",))) == ["a ", " d"]
    phrases = fixed_phrases()
    assert len(set(phrases)) == len(phrases)
    assert " inner brow raiser" in phrases


def test_too_few_pieces_are_refused(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"num_pieces is 400, .* give at least 100 more"):
        train_tokenizer(texts, 400, tmp_path)
