"""The language model of one's own: from a recipe and measured clips to a folder that `assemble` takes.

Steps, each leaving files and skipped where these are there: corpus/ (texts), tokenizer/, run/ (checkpoints),
model/ (the best epoch). A folder holds one recipe.
"""

# mypy: disable-error-code="misc, no-untyped-call, override"
# (transformers is only partly typed.)

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.prompts.tokenise import encode, load_tokenizer
from emotion_llama.train.dataset import NO_CUES, PromptConfig, TrainingItem, sample_draws, validation_draws
from emotion_llama.train.examples import Example, read_examples
from emotion_llama.train.trainer import LabelPrediction, label_metrics
from merr_synth.nano.language.corpus import write_corpus
from merr_synth.nano.language.lessons import LAYOUT, TextLessons, padded, texts_of, tokens_of
from merr_synth.nano.language.measured_like import Measuring, Pair
from merr_synth.nano.language.recipe import LanguageRecipe
from merr_synth.nano.language.tokenizer import train_tokenizer

CORPUS, TOKENIZER, RUN, MODEL, CARD = "corpus", "tokenizer", "run", "model", "language_card.json"
Say = Callable[[str], None]
_ASKED_AT_ONCE = 64


class Learnt(NamedTuple):
    """Where the model and its tokenizer are, and the best epoch's label metrics (UAR of words and cues alone)."""

    model: Path
    tokenizer: Path
    metrics: Mapping[str, float]


def make_language_model(
    recipe: LanguageRecipe, pairs: Sequence[Pair], out: Path, *, say: Say = lambda line: None
) -> Learnt:
    """Corpus, tokenizer and pre-training; what is there already is not made again.

    Args:
        recipe: the whole recipe.
        pairs: measured clips of the train split, which the texts' measurements are made like.
        out: folder of all steps.
        say: told what happens, a line each.

    Raises:
        InputError: too few measured clips, or `out` holds another recipe's steps.
    """
    _claim(out, recipe)
    corpus, tokenizer_folder = out / CORPUS, out / TOKENIZER
    if not (corpus / "validation-fine.jsonl").is_file():
        counts = write_corpus(recipe.corpus, Measuring.fit(pairs), corpus)
        say(f"corpus: {counts['train']} examples to learn from, {counts['validation']} to validate on")
    train, held_out = (read_corpus(corpus, split, frozenset(recipe.tasks)) for split in ("train", "validation"))
    if not (tokenizer_folder / "tokenizer.json").is_file():
        train_tokenizer(texts_of(train), recipe.tokenizer.num_pieces, tokenizer_folder)
    tokenizer = load_tokenizer(tokenizer_folder)
    card = out / CARD
    if not card.is_file():
        metrics = pretrain(recipe, train, held_out, tokenizer, out, say=say)
        half = card.with_suffix(".tmp")
        half.write_text(json.dumps({"metrics": metrics, "recipe": recipe.model_dump(mode="json")}, indent=1))
        half.replace(card)
    return Learnt(out / MODEL, tokenizer_folder, json.loads(card.read_text())["metrics"])


def read_corpus(folder: Path, split: str, tasks: frozenset[str]) -> list[Example]:
    """A split's examples: captions answer the task reason, as in stage 1, and reasons the task reason_v2."""
    own = {"coarse": "reason", "fine": "reason_v2"}
    found: dict[str, Example] = {}
    for kind, task in own.items():
        wanted = tasks - {other for other in own.values() if other != task}
        for example in read_examples([folder / f"{split}-{kind}.jsonl"], wanted, MERR9) if wanted else []:
            known = found.get(example.name)
            answers = {**({} if known is None else known.answers), **example.answers}
            found[example.name] = replace(example, answers=answers)
    return list(found.values())


def pretrain(
    recipe: LanguageRecipe,
    train: Sequence[Example],
    held_out: Sequence[Example],
    tokenizer: Any,
    out: Path,
    *,
    say: Say = lambda line: None,
) -> dict[str, float]:
    """Train on texts alone, write the best epoch's weights to `out`/model; its validation metrics.

    A run that was killed goes on from its last checkpoint.
    """
    import torch

    from emotion_llama.train.weights import load_trained, with_cache

    learn = recipe.learn
    torch.set_num_threads(learn.threads)
    torch.manual_seed(learn.seed)
    model = new_model(learn.preset, len(tokenizer), learn.sizes)
    num_parameters = sum(p.numel() for p in model.parameters())
    say(f"language model: {num_parameters:,} parameters, {len(tokenizer)} pieces")
    trainer = _trainer(recipe, model, train, held_out, tokenizer, out / RUN, say)
    done = sorted((out / RUN).glob("checkpoint-*/trainer_state.json"), key=lambda p: int(p.parent.name.split("-")[1]))
    trainer.train(resume_from_checkpoint=str(done[-1].parent) if done else None)
    state = trainer.state
    if state.best_model_checkpoint is not None:
        load_trained(model, Path(state.best_model_checkpoint))
    model.eval()
    with_cache(model)
    model.save_pretrained(out / MODEL)
    best: dict[str, float] = {}
    for entry in state.log_history:
        if entry.get("step") == state.best_global_step:
            best |= {k: float(v) for k, v in entry.items() if k.startswith("eval_") and isinstance(v, (int, float))}
    return {**best, "parameters": float(num_parameters), "steps": float(state.global_step)}


def new_model(preset: str, num_pieces: int, sizes: Mapping[str, int] = MappingProxyType({})) -> Any:
    """A LlamaForCausalLM of the preset's sizes, its vocabulary the tokenizer's; weights drawn by torch's seed.

    Raises:
        InputError: `sizes` names what the language model's config does not have.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    from emotion_llama.models import EmotionLlamaConfig

    config: Any = EmotionLlamaConfig
    fields = config.preset(preset).text_config.to_dict()
    if unknown := sorted(set(sizes) - set(fields)):
        raise InputError(f"learn.sizes: a language model has no {unknown[0]!r}; expected fields such as hidden_size")
    kind: Any = LlamaConfig
    text = kind(**{**fields, **sizes, "vocab_size": num_pieces, "bos_token_id": 1, "eos_token_id": 2})
    build: Any = LlamaForCausalLM
    return build(text)


def predict_by_text(
    model: Any, tokenizer: Any, examples: Sequence[Example], dropped: frozenset[str] = frozenset()
) -> list[LabelPrediction]:
    """Label probabilities from words and cues alone: the likelihood of each label's first piece.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer; labels must differ in their first piece.
        examples: with `truths["label"]`.
        dropped: "words" or "cues" to leave out.

    Raises:
        InputError: two labels begin alike.
    """
    import torch

    firsts = [encode(label, tokenizer)[0] for label in MERR9.labels]
    if len(set(firsts)) < len(firsts):
        raise InputError("two labels begin with the same piece; train the tokenizer on more texts")
    labelled = [e for e in examples if "label" in e.truths]
    lessons = [question_of(e, dropped) for e in labelled]
    predicted: list[LabelPrediction] = []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for begin in range(0, len(lessons), _ASKED_AT_ONCE):
            rows = [tokens_of(lesson, tokenizer) for lesson in lessons[begin : begin + _ASKED_AT_ONCE]]
            ends = [next(i for i, label in enumerate(row.labels) if label >= 0) - 1 for row in rows]
            batch = padded(rows, tokenizer.eos_token_id)
            hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
            logits = model.lm_head(hidden[torch.arange(len(rows)), torch.tensor(ends)])[:, firsts]
            for example, row in zip(labelled[begin : begin + _ASKED_AT_ONCE], logits.double().softmax(dim=1).tolist()):
                predicted.append((example.truths["label"], dict(zip(MERR9.labels, row))))
    model.train(was_training)
    return predicted


def question_of(example: Example, dropped: frozenset[str]) -> TrainingItem:
    """The label question about an example, with "words" or "cues" left out."""
    from emotion_llama.models.clips import ClipFeatures

    words, cues = (None if "words" in dropped else example.words), (NO_CUES if "cues" in dropped else example.cues)
    return TrainingItem(
        example.name, ClipFeatures(), "emotion", pick_instruction("emotion"), words, cues or NO_CUES,
        example.truths["label"],
    )  # fmt: skip


def _trainer(
    recipe: LanguageRecipe,
    model: Any,
    train: Sequence[Example],
    held_out: Sequence[Example],
    tokenizer: Any,
    folder: Path,
    say: Say,
) -> Any:
    from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments

    from emotion_llama.train.trainer import EpochLines, warmup_cosine
    from merr_synth.nano.language.text_trainer import TextTrainer

    learn, optim = recipe.learn, recipe.optim
    num_steps = learn.epochs * learn.steps_per_epoch
    lengths = {e.name: len(e.words or "") + len(e.cues or "") for e in train}
    draws = sample_draws(
        train, recipe.tasks, num_steps * learn.batch_size, seed=learn.seed, batch_size=learn.batch_size, lengths=lengths
    )
    asked = validation_draws(held_out, recipe.tasks)
    trainer = TextTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder), max_steps=num_steps, per_device_train_batch_size=learn.batch_size,
            per_device_eval_batch_size=_ASKED_AT_ONCE, learning_rate=optim.learning_rate,
            weight_decay=optim.weight_decay, adam_beta1=optim.beta1, adam_beta2=optim.beta2,
            max_grad_norm=optim.max_grad_norm, logging_steps=min(25, learn.steps_per_epoch), report_to="none",
            disable_tqdm=True, eval_strategy="steps", eval_steps=learn.steps_per_epoch, save_strategy="steps",
            save_steps=learn.steps_per_epoch, save_total_limit=2, load_best_model_at_end=True,
            metric_for_best_model="eval_uar", greater_is_better=True, seed=learn.seed, use_cpu=True,
            dataloader_pin_memory=False, remove_unused_columns=False, label_names=["labels"],
            prediction_loss_only=True, bf16=learn.precision == "bfloat16",
        ),
        data_collator=lambda rows: padded(rows, tokenizer.eos_token_id),
        train_dataset=TextLessons(train, draws, PromptConfig(LAYOUT, learn.dropout, grounded=True), tokenizer),
        eval_dataset=TextLessons(held_out, asked, PromptConfig(LAYOUT), tokenizer),
        callbacks=[EarlyStoppingCallback(learn.patience)] if learn.patience else [],
        schedule=partial(
            warmup_cosine, learning_rate=optim.learning_rate, min_lr=optim.min_lr,
            warmup_start_lr=optim.warmup_start_lr, warmup_steps=min(optim.warmup_steps, num_steps), num_steps=num_steps,
        ),
        predict_labels=lambda rank, processes: predict_by_text(model, tokenizer, held_out),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(EpochLines(say, learn.steps_per_epoch, "uar"))
    return trainer


def table_by_part(model: Any, tokenizer: Any, examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Metrics from words and cues, from cues alone and from words alone."""
    parts = {"words and cues": frozenset[str](), "cues": frozenset({"words"}), "words": frozenset({"cues"})}
    return {name: label_metrics(predict_by_text(model, tokenizer, examples, gone)) for name, gone in parts.items()}


def _claim(out: Path, recipe: LanguageRecipe) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path, text = out / "recipe.json", recipe.model_dump_json(indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"{out} holds the steps of another recipe; give another folder")
    path.write_text(text, encoding="utf-8")
