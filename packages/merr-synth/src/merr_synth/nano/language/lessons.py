"""Examples of a corpus as token ids: the prompts of a model that sees and hears nothing, with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from emotion_llama.prompts.builder import build_prompt
from emotion_llama.prompts.tasks import target_text
from emotion_llama.prompts.tokenise import IGNORED, Tokens, tokenise
from emotion_llama.train.dataset import Draw, PromptConfig, TrainingDataset, TrainingItem
from emotion_llama.train.examples import Example

LAYOUT = "evidence"


def no_media(example: Example) -> None:
    """Text alone."""


class TextLessons:
    """A map-style data set: position -> input_ids and labels of one prompt with its answer."""

    def __init__(
        self, examples: Sequence[Example], draws: Sequence[Draw], config: PromptConfig, tokenizer: Any
    ) -> None:
        self._items = TrainingDataset(examples, draws, no_media, config)
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: int) -> Tokens:
        return tokens_of(self._items[position], self._tokenizer)


def tokens_of(item: TrainingItem, tokenizer: Any) -> Tokens:
    """Ids and labels of an item."""
    prompt = build_prompt(
        item.task, words=item.words, instruction=item.instruction, cues=item.cues, layout=LAYOUT, present=(),
        answer=target_text(item.answer, "plain"),
    )  # fmt: skip
    return tokenise(prompt, tokenizer, {})


def texts_of(examples: Sequence[Example]) -> Iterator[str]:
    """Words, cues and answers of examples: what a tokenizer learns from."""
    for example in examples:
        yield from (text for text in (example.words, example.cues, *dict.fromkeys(example.answers.values())) if text)


def padded(rows: Sequence[Tokens], pad_id: int) -> dict[str, Any]:
    """A batch [B, L] filled on the right: input_ids, attention_mask, labels."""
    import torch

    length = max(len(row.ids) for row in rows)
    ids, mask, labels = (torch.full((len(rows), length), value) for value in (pad_id, 0, IGNORED))
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)], mask[i, : len(row.ids)] = torch.tensor(row.ids), 1
        labels[i, : len(row.ids)] = torch.tensor(row.labels)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
