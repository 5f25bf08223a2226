"""A model's answer as it is generated: one token a step, so that many answers can take turns in one thread.

transformers' `generate` would need a thread for each answer that is streamed. Its own processors of scores are used,
and greedy answers are those of `generate`.
"""

# mypy: disable-error-code="no-untyped-call, arg-type"
# (transformers is only partly typed.)

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.errors import InputError
from emotion_llama.predictors.base import TextStream

if TYPE_CHECKING:
    import torch

_UNFINISHED = "\ufffd"  # what a tokenizer makes of a character whose bytes are not all there yet
_GREEDY_BELOW = 1e-4  # scores divided by less overflow; the likeliest token has all of the probability long before


# Our own choice. A step of the nano model (6 million parameters) takes a few milliseconds, cut into hundreds of
# operations that end in a barrier each; where another process holds one of the cores, every barrier waits for it.
SMALL_PARAMETERS = 50_000_000


def threads_for(num_parameters: int, device: str) -> int | None:
    """CPU threads for a model of that size: 1 for a small one; None leaves torch's own choice."""
    return 1 if device == "cpu" and num_parameters < SMALL_PARAMETERS else None


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Within, torch computes with at most `count` threads; None changes nothing."""
    import torch

    before = torch.get_num_threads()
    if count is None or count >= before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Writer(TextStream):
    """Generates one answer: each `next` gives the next piece of text, the last one ends the iteration."""

    def __init__(
        self,
        model: Any,  # an EmotionLlamaForConditionalGeneration; transformers is only partly typed
        batch: Mapping[str, Any],  # a processor's output of one clip, on the model's device
        decode: Callable[[list[int]], str],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_new_tokens: int = 200,
        seed: int | None = None,
        open_tokens: Collection[int] = (),
        threads: int | None = None,
    ) -> None:
        """Prepare; nothing is computed before the first `next`.

        Args:
            model: in evaluation mode.
            batch: the prompt.
            decode: tokens to text, blanks around it taken off.
            temperature: 0 takes the likeliest token each time; above it tokens are drawn.
            top_p: tokens are drawn among the likeliest that make up this share.
            max_new_tokens: longest answer.
            seed: the same for the same drawing; None draws anew.
            open_tokens: tokens that end no text: single bytes, a run of which is text once it has ended, and tokens
                that are not shown, across which such a run goes on.
            threads: most threads on the CPU.

        Raises:
            InputError: prompt and answer do not fit into what the model can look back on.
        """
        self._model, self._batch, self._decode, self._threads = model, dict(batch), decode, threads
        self.prompt_tokens = int(batch["input_ids"].shape[1])
        longest = int(getattr(model.config.text_config, "max_position_embeddings", 1 << 30))
        if self.prompt_tokens >= longest:
            raise InputError(
                f"the prompt is {self.prompt_tokens} tokens long, the model takes {longest} with its answer; "
                "leave out earlier turns"
            )
        self._most = min(max_new_tokens, longest - self.prompt_tokens)
        self._pick = _picker(model.generation_config, temperature, top_p, seed, model.device)
        self._ends = _end_tokens(model.generation_config)
        self._cache: Any = None
        self._mask: Any = None
        self._ids: list[int] = []
        self._open_tokens = open_tokens
        self._text = ""

    def __next__(self) -> str:
        while self.finish_reason is None:
            is_last = self._step()
            if not is_last and self._ids[-1] in self._open_tokens:
                continue
            whole = self._decode(self._ids)
            if len(whole) > len(self._text) and (is_last or not whole.endswith(_UNFINISHED)):
                piece, self._text = whole[len(self._text) :], whole
                return piece
        raise StopIteration

    def close(self) -> None:
        """End the answer here and let its cache go."""
        self._end("stop")

    def _step(self) -> bool:
        """Write a token; whether it was the last."""
        import torch

        # Not across a `next`: inference mode and threads are the whole thread's, and others take turns in it.
        with torch.inference_mode(), limited_threads(self._threads):
            token = self._pick(self._scores(), self._ids)
        self.completion_tokens += 1
        if token in self._ends:
            self._end("stop")
            return True
        self._ids.append(token)
        if self.completion_tokens < self._most:
            return False
        self._end("length")
        return True

    def _end(self, reason: Literal["stop", "length"]) -> None:
        self.finish_reason = self.finish_reason or reason
        self._batch, self._cache = {}, None

    def _scores(self) -> torch.Tensor:
        """[1, V] of the next token."""
        import torch

        if self._cache is None:
            self._mask = self._batch["attention_mask"]
            out = self._model(**self._batch, use_cache=True, logits_to_keep=1)
            self._batch = {}
        else:
            self._mask = torch.cat([self._mask, self._mask.new_ones(1, 1)], dim=1)
            last = torch.tensor([[self._ids[-1]]], device=self._mask.device)
            out = self._model(input_ids=last, attention_mask=self._mask, past_key_values=self._cache, use_cache=True)
        self._cache = out.past_key_values
        scores: torch.Tensor = out.logits[:, -1].float()
        return scores


def _picker(
    config: Any, temperature: float, top_p: float, seed: int | None, device: Any
) -> Callable[[torch.Tensor, list[int]], int]:
    """What chooses a token by scores [1, V] and the tokens written before."""
    import torch
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    is_greedy = temperature < _GREEDY_BELOW
    processors = LogitsProcessorList()
    if config.repetition_penalty not in (None, 1.0):
        processors.append(RepetitionPenaltyLogitsProcessor(float(config.repetition_penalty)))
    if not is_greedy:
        processors.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1:
            processors.append(TopPLogitsWarper(float(top_p)))
    drawing = torch.Generator(device=device)
    if seed is None:
        drawing.seed()
    else:
        drawing.manual_seed(seed % (1 << 63))

    def pick(scores: torch.Tensor, ids: list[int]) -> int:
        written = torch.tensor([ids], dtype=torch.long, device=scores.device)
        scores = processors(written, scores)
        if is_greedy:
            return int(scores.argmax(dim=-1))
        return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=drawing))

    return pick


def _end_tokens(config: Any) -> frozenset[int]:
    ends = config.eos_token_id
    return frozenset() if ends is None else frozenset(ends if isinstance(ends, list) else [ends])
