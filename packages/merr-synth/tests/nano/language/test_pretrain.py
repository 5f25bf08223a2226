"""A language model from texts alone: fifty are learnt in seconds, a killed run goes on, a folder holds one recipe."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts.tokenise import IGNORED, load_tokenizer
from emotion_llama.train.examples import Example
from merr_synth.nano.language.lessons import padded, tokens_of
from merr_synth.nano.language.measured_like import Pair
from merr_synth.nano.language.pretrain import (
    Learnt,
    make_language_model,
    new_model,
    predict_by_text,
    pretrain,
    question_of,
    read_corpus,
    table_by_part,
)
from merr_synth.nano.language.recipe import LanguageRecipe, load_language_recipe
from merr_synth.nano.language.said import telling_patterns

RECIPE = LanguageRecipe.model_validate(
    {
        "corpus": {"num_train": 50, "num_validation": 12},
        "tokenizer": {"num_pieces": 700},
        "tasks": {"emotion": 4.0, "reason": 1.0},
        "optim": {
            "learning_rate": 2e-3,
            "min_lr": 1e-4,
            "warmup_start_lr": 1e-4,
            "warmup_steps": 5,
            "max_grad_norm": 1.0,
        },
        "learn": {
            "sizes": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "head_dim": 16},
            "epochs": 2,
            "steps_per_epoch": 5,
            "dropout": {},
            "batch_size": 27,
            "threads": 1,
        },
    },
    strict=False,
)


@pytest.fixture(scope="module")
def made(pairs: Sequence[Pair], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Learnt, list[str]]:
    out, said = tmp_path_factory.mktemp("language"), list[str]()
    return out, make_language_model(RECIPE, pairs, out, say=said.append), said


def test_the_folder_holds_a_model_and_its_tokenizer(made: tuple[Path, Learnt, list[str]]) -> None:
    _, learnt, said = made
    model, tokenizer = AutoModelForCausalLM.from_pretrained(learnt.model), load_tokenizer(learnt.tokenizer)
    assert model.config.vocab_size == len(tokenizer) == 700
    assert learnt.metrics["steps"] == 10
    assert learnt.metrics["parameters"] == sum(p.numel() for p in model.parameters())
    assert said[0] == "corpus: 50 examples to learn from, 12 to validate on"


def test_fifty_texts_are_learnt(made: tuple[Path, Learnt, list[str]], tmp_path: Path) -> None:
    """Words that name a feeling, in sentences of their own: which label they stand for is learnt in seconds."""
    tokenizer = load_tokenizer(made[1].tokenizer)
    examples = [
        Example(f"{label}{i}", {"emotion": label}, words=f"I feel {text}.", truths={"label": label})
        for label, texts in telling_patterns().items()
        for i, text in enumerate([text for text in texts if " " not in text][:7])
    ]
    assert len(examples) >= 50
    longer = RECIPE.learn.model_copy(update={"epochs": 3, "steps_per_epoch": 80})
    recipe = RECIPE.model_copy(update={"learn": longer, "tasks": {"emotion": 1.0}})
    metrics = pretrain(recipe, examples, examples, tokenizer, tmp_path)
    assert metrics["eval_uar"] > 0.8  # chance: 0.11
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    table = table_by_part(model, tokenizer, examples)
    assert table["words and cues"]["uar"] == pytest.approx(metrics["eval_uar"])
    assert set(table) == {"words and cues", "cues", "words"}
    # The probabilities of the labels' first pieces, by a forward pass of its own.
    row = tokens_of(question_of(examples[0], frozenset()), tokenizer)
    prompt = [i for i, label in zip(row.ids, row.labels) if label == IGNORED]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1]
    firsts = torch.tensor([tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in MERR9.labels])
    _, probabilities = predict_by_text(model, tokenizer, examples)[0]
    assert list(probabilities.values()) == pytest.approx(logits[firsts].double().softmax(0).tolist(), abs=1e-5)


def test_what_is_there_is_not_made_again(made: tuple[Path, Learnt, list[str]], pairs: Sequence[Pair]) -> None:
    out, learnt, _ = made
    before = (out / "model" / "model.safetensors").stat().st_mtime_ns
    assert make_language_model(RECIPE, pairs, out).metrics == learnt.metrics
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_that_was_killed_goes_on(made: tuple[Path, Learnt, list[str]], pairs: Sequence[Pair]) -> None:
    out, learnt, _ = made
    (out / "language_card.json").unlink()  # the last thing that a run writes
    said: list[str] = []
    again = make_language_model(RECIPE, pairs, out, say=said.append)
    assert again.metrics["steps"] == 10
    assert again.metrics["eval_uar"] == learnt.metrics["eval_uar"]


def test_a_folder_holds_one_recipe(made: tuple[Path, Learnt, list[str]], pairs: Sequence[Pair]) -> None:
    other = RECIPE.model_copy(update={"tasks": {"emotion": 1.0}})
    with pytest.raises(InputError, match="holds the steps of another recipe"):
        make_language_model(other, pairs, made[0])


def test_sizes_that_no_model_has_are_refused() -> None:
    with pytest.raises(InputError, match="no 'hidden'; expected fields such as hidden_size"):
        new_model("toy", 300, {"hidden": 3})


def test_batches_are_filled_on_the_right() -> None:
    from emotion_llama.prompts.tokenise import Tokens

    batch = padded([Tokens((1, 2, 3), (IGNORED, IGNORED, 3)), Tokens((1,), (1,))], 0)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [1, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 3], [1, -100, -100]]


def test_the_shipped_recipe_loads_and_mistakes_are_named() -> None:
    path = Path(__file__).parents[3] / "recipes" / "nano_language.yaml"
    recipe = load_language_recipe(path, ["learn.epochs=3"])
    assert recipe.learn.epochs == 3
    with pytest.raises(InputError, match="rouns"):
        load_language_recipe(path, ["learn.rouns=3"])


def test_captions_answer_one_task_and_reasons_the_other(made: tuple[Path, Learnt, list[str]]) -> None:
    examples = read_corpus(made[0] / "corpus", "validation", frozenset({"emotion", "reason", "reason_v2"}))
    assert len(examples) == 12
    for example in examples:
        assert example.answers["reason"] != example.answers["reason_v2"] or "label" not in example.truths
    assert all(set(e.answers) <= {"emotion"} for e in read_corpus(made[0] / "corpus", "train", frozenset({"emotion"})))
