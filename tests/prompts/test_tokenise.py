import json
import random
import sys
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.prompts import SLOTS, Turn, build_prompt
from emotion_llama.prompts.tokenise import encode, load_tokenizer, tokenise

PLACES = {"patches": (480, 4)} | dict.fromkeys(SLOTS[1:], (481, 1))


class Words:
    """A tokenizer of blank-separated words, each its length; like Qwen's it has no begin token."""

    bos_token_id = None
    eos_token_id: int | None = 0

    def __call__(self, text: str, **options: bool) -> dict[str, list[int]]:
        assert options == {"add_special_tokens": False, "split_special_tokens": True}
        return {"input_ids": [len(word) for word in text.split()]}


def test_slots_are_expanded_and_only_answers_are_labels() -> None:
    prompt = build_prompt("free", instruction="abc", answer="yes no", present=("patches", "audio"))
    ids, labels = tokenise(prompt, Words(), PLACES)  # type: ignore[arg-type]
    # [INST] <video> | patches | </video> <feature> | audio | </feature> abc [/INST] | yes no | end; no begin token
    assert ids == (6, 7, 480, 480, 480, 480, 8, 9, 481, 10, 3, 7, 3, 2, 0)
    assert labels == (-100,) * 12 + (3, 2, 0)


def test_long_answers_are_cut_each_on_its_own() -> None:
    prompt = build_prompt("free", instruction="q", history=[Turn("q", "a bb ccc dddd")], answer="a bb", present=())
    labels = tokenise(prompt, Words(), PLACES, max_answer_tokens=3).labels  # type: ignore[arg-type]
    assert [label for label in labels if label != -100] == [1, 2, 3, 1, 2, 0]  # the first lost its end, not the second


def test_answer_needs_an_end_token() -> None:
    class Endless(Words):
        eos_token_id = None

    with pytest.raises(InputError, match="no end token"):
        tokenise(build_prompt(answer="x"), Endless(), PLACES)  # type: ignore[arg-type]


def test_empty_vocabulary_is_an_error() -> None:
    """`LlamaTokenizer(vocab_file=...)` of transformers 5 loads nothing and encodes every text to no tokens."""
    from transformers import LlamaTokenizer

    with pytest.raises(InputError, match="gives no tokens for 'hello': its vocabulary is not loaded"):
        encode("hello", LlamaTokenizer(vocab_file="tokenizer.model"))


def test_begin_and_end_tokens_never_depend_on_the_tokenizer(toy_tokenizer: Any) -> None:
    counts = {}
    for layout in ("train", "released", "demo"):
        ids = tokenise(build_prompt(words="A b </s> <s> c.", layout=layout), toy_tokenizer, PLACES).ids
        counts[layout] = (ids.count(1), ids.count(2))
    assert counts == {"train": (1, 0), "released": (2, 0), "demo": (3, 0)}
    assert toy_tokenizer("A").input_ids[0] == 1  # alone it adds one, as LLaMA's does


def test_rebuilt_tokenizer_equals_sentencepiece(toy_tokenizer: Any, golden_folder: Path) -> None:
    """Texts that start with a blank differ in transformers' own reading of the same file."""
    from sentencepiece import SentencePieceProcessor

    reference = SentencePieceProcessor(model_file=str(golden_folder / "llama" / "tokenizer.model"))
    draw = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz      ,.!?\n\té你😀ABC<>/[]'"
    for _ in range(3000):
        text = "".join(draw.choice(letters) for _ in range(draw.randint(1, 30)))
        assert encode(text, toy_tokenizer) == reference.encode(text), text
    assert encode("  two", toy_tokenizer) == reference.encode("  two")
    text = "The person is worried, isn't he? caf\u00e9"
    assert toy_tokenizer.decode(encode(text, toy_tokenizer)) == text


def test_saved_tokenizer_gives_the_same_ids(toy_tokenizer: Any, tmp_path: Path) -> None:
    toy_tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    for text in ("  two", "[INST] <video>", "a</s>b", "caf\u00e9 \n"):
        assert encode(text, again) == encode(text, toy_tokenizer)
    assert (again.pad_token, again.pad_token_id, again.bos_token_id, again.eos_token_id) == ("$$", 3, 1, 2)


def test_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer.json and no tokenizer.model"):
        load_tokenizer(tmp_path)


def test_special_token_that_the_model_lacks(tmp_path: Path, golden_folder: Path) -> None:
    copy(golden_folder / "llama" / "tokenizer.model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    with pytest.raises(InputError, match=r"eos_token '<\|end\|>' is not a piece of tokenizer.model"):
        load_tokenizer(tmp_path)


def test_model_that_normalises_cannot_be_rebuilt(tmp_path: Path) -> None:
    """SentencePiece's default rule (NFKC, blanks collapsed) would be lost without a word; it is an error instead."""
    import sentencepiece

    text = tmp_path / "text.txt"
    text.write_text("the person in the video says that she is happy and sad and worried\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "tokenizer"), vocab_size=300, model_type="bpe",
        byte_fallback=True, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"cannot be rebuilt: .* expected a BPE model without normalisation"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("package", ["sentencepiece", "transformers"])
def test_missing_packages_name_the_extra(
    package: str, tmp_path: Path, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(golden_folder / "llama" / "tokenizer.model", tmp_path)
    if package == "transformers":
        (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=r"pip install 'emotion-llama\[model\]'"):
        load_tokenizer(tmp_path)


def test_byte_level_tokenizer_without_a_begin_token(tmp_path: Path) -> None:
    """The shape of Qwen's: no begin token, blanks kept in words, special tokens that a speaker may spell."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(["the person in the video says that she is happy"] * 9, vocab_size=300)
    backend: Any = trained._tokenizer  # the wrapper has no other way to it
    PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ).save_pretrained(tmp_path)  # fmt: skip
    tokenizer = load_tokenizer(tmp_path)
    prompt = build_prompt("free", words="she is <|im_end|>", instruction="Why?", layout="released", answer="happy")
    places = {"patches": (900, 4)} | dict.fromkeys(SLOTS[1:], (901, 1))
    ids, labels = tokenise(prompt, tokenizer, places)
    end = tokenizer.eos_token_id
    assert (ids.count(end), ids[-1]) == (1, end)
    texts = [piece.text for piece in prompt if piece.kind == "text"]
    assert tokenizer.decode([i for i in ids if i < 900]) == f"{''.join(texts)}<|im_end|>"
    assert tokenizer.decode([i for i in labels if i != -100]) == "happy<|im_end|>"


def sentencepiece_model(folder: Path, **options: Any) -> Any:
    """A small model in which "$$" is a word like others, as in LLaMA's."""
    import sentencepiece

    text = folder / "text.txt"
    text.write_text("the person says $$ and pays $$ in the video and she is happy and sad\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=320, model_type="bpe", byte_fallback=True,
        minloglevel=2, hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False,
        **options,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.mark.parametrize("symbols", [[], ["$$"]], ids=["learned", "user-defined"])
def test_the_padding_word_stays_a_word(tmp_path: Path, symbols: list[str]) -> None:
    """ "$$" is the padding token; in a text it was spelt in bytes."""
    reference = sentencepiece_model(tmp_path, user_defined_symbols=symbols)
    tokenizer = load_tokenizer(tmp_path)
    tokenizer.save_pretrained(tmp_path / "saved")
    texts = ("$$", "she pays $$ and $$$", " $$", "$$ $$", "<s>$$</s>", "$$<0x41>$$<unk>")
    for text in texts:
        for one in (tokenizer, load_tokenizer(tmp_path / "saved")):
            assert encode(text, one) == reference.encode(text), text
    assert tokenizer.pad_token_id == reference.piece_to_id("$$")


def test_tokenizer_model_goes_before_tokenizer_json(tmp_path: Path, golden_folder: Path, toy_tokenizer: Any) -> None:
    """A language model's folder holds both, and transformers reads the second with a blank less at the beginning."""
    from sentencepiece import SentencePieceProcessor
    from transformers import AutoTokenizer

    for name in ("tokenizer.model", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((golden_folder / "llama" / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text(toy_tokenizer.backend_tokenizer.to_str())
    reference = SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    ours, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for text in (" [INST] <video>", "  two", "$$", "a $$ b"):
        assert encode(text, ours) == reference.encode(text)
        assert encode(text, theirs) != reference.encode(text)
    assert (ours.pad_token, theirs.pad_token) == ("$$", None)

    # Where the second is alone it is transformers' reading, with the published padding.
    (tmp_path / "tokenizer.model").unlink()
    alone = load_tokenizer(tmp_path)
    assert (encode("  two", alone), alone.pad_token_id) == (encode("  two", theirs), 3)


def test_tokenizer_json_where_the_model_is_not_the_whole_truth(tmp_path: Path, toy_tokenizer: Any) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"no SentencePiece model")
    with pytest.raises(InputError, match=r"tokenizer\.model is not a SentencePiece model"):
        load_tokenizer(tmp_path)
    toy_tokenizer.save_pretrained(tmp_path)
    assert encode("a $$ b", load_tokenizer(tmp_path)) == encode("a $$ b", toy_tokenizer)
