"""The likelihood of each answer of a list: the prompt is computed once, the answers share its cache.

Legend: B clips, L prompt positions, V vocabulary, A answers, T tokens of the longest answer of a pass.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from emotion_llama.errors import InputError
from emotion_llama.models.encoder_inputs import ENCODER_INPUT_NAMES, EncoderInputs, check_filled_left

if TYPE_CHECKING:
    from transformers.cache_utils import DynamicCache

    from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration

Answers = Sequence[Sequence[int]]


class LabelScores(NamedTuple):
    """What `score_labels` found.

    Attributes:
        probabilities: [B, A] softmax over the labels of score / temperature.
        log_likelihoods: [B, A] sum of the log-probabilities of the label's tokens (natural logarithm).
        num_tokens: [A] tokens of each label.
    """

    probabilities: torch.Tensor
    log_likelihoods: torch.Tensor
    num_tokens: torch.Tensor


# Of a batch of prompts: [B, L] mask, cache, [B, V] log-probabilities of the next token.
_Prompt = tuple[torch.Tensor, "DynamicCache", torch.Tensor]


@torch.no_grad()
def score_labels(
    model: EmotionLlamaForConditionalGeneration,
    inputs: Mapping[str, Any],  # a processor's output: tensors and options by name
    label_ids: Answers,
    *,
    temperature: float = 1.0,
    length_normalised: bool = False,
    answers_per_pass: int = 64,
) -> LabelScores:
    """Score every label for every clip of a batch.

    Cost: one forward pass over the prompts and one over all but the last token of B x A labels. Where one label is the
    beginning of another, end both with the end token, or the longer is never the likelier.

    Args:
        model: in evaluation mode.
        inputs: prompts filled on the left (`input_ids`, `attention_mask`) and the clips' encoder inputs.
        label_ids: the tokens of each label as they follow the prompt.
        temperature: divides the scores; above 1 the probabilities are flatter. Fit it on labelled clips.
        length_normalised: the score is the mean over the label's tokens instead of the sum.
        answers_per_pass: labels x clips that share a pass, which bounds the copies of the cache.

    Raises:
        InputError: no label, a label without tokens, a temperature that is not above 0, or prompts filled on the right.
    """
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}, expected a number above 0")
    labels = _checked(label_ids)
    prompt = _run_prompt(model, inputs)
    return _label_scores(model, prompt, labels, temperature, answers_per_pass, length_normalised=length_normalised)


def _label_scores(
    model: EmotionLlamaForConditionalGeneration,
    prompt: _Prompt,
    labels: list[list[int]],
    temperature: float,
    answers_per_pass: int,
    *,
    length_normalised: bool = False,
) -> LabelScores:
    num_clips = len(prompt[0])
    pairs = [(clip, label) for clip in range(num_clips) for label in labels]
    sums = _log_likelihoods(model, prompt, pairs, answers_per_pass).view(num_clips, len(labels))
    num_tokens = torch.tensor([len(label) for label in labels], device=sums.device)
    scores = sums / num_tokens if length_normalised else sums
    return LabelScores(torch.softmax(scores / temperature, dim=1), sums, num_tokens)


@torch.no_grad()
def generate_and_score(
    model: EmotionLlamaForConditionalGeneration,
    inputs: Mapping[str, Any],  # as in score_labels
    label_ids: Answers,
    *,
    temperature: float = 1.0,
    answers_per_pass: int = 64,
    **options: Any,  # of `generate`
) -> tuple[torch.Tensor, LabelScores]:
    """Greedy answers, and the labels' scores as `score_labels` gives them, of prompts that are computed once for both.

    The cache that generation leaves is cut back to the prompt, so that scoring costs its own short pass alone.

    Returns:
        [B, new tokens] ids of the answers, and the labels' scores.

    Raises:
        InputError: as `score_labels`.
    """
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}, expected a number above 0")
    labels = _checked(label_ids)
    first = _FirstScores()
    made = model.generate(
        **inputs, do_sample=False, num_beams=1, repetition_penalty=1.0, return_dict_in_generate=True,
        logits_processor=LogitsProcessorList([first]), **options,
    )  # fmt: skip
    assert first.logits is not None
    mask, cache = inputs["attention_mask"], made.past_key_values
    if surplus := cache.get_seq_length() - mask.shape[1]:
        cache.crop(-surplus)
    prompt = (mask, cache, first.logits.float().log_softmax(dim=-1))
    return made.sequences, _label_scores(model, prompt, labels, temperature, answers_per_pass)


class _FirstScores(LogitsProcessor):
    """Keeps the scores [B, V] of the first new token; takes part in `generate` as a processor that changes nothing."""

    def __init__(self) -> None:
        self.logits: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.logits is None:
            self.logits = scores.clone()
        return scores


@torch.no_grad()
def rank_answers(
    model: EmotionLlamaForConditionalGeneration,
    inputs: Mapping[str, Any],  # as in score_labels
    answers: Sequence[Answers],
    *,
    answers_per_pass: int = 8,
) -> list[tuple[list[int], list[float]]]:
    """Order long candidate answers of each clip by their mean log-likelihood per token.

    The published `multi_select` (minigpt_base.py) runs one full pass per answer and divides its loss by the length of
    prompt and answer together; here the prompt is computed once and the mean is over the answer alone.

    Returns:
        for each clip the indices of its answers, the likeliest first, and, in the order given, the mean log-probability
        of each answer's tokens.

    Raises:
        InputError: as `score_labels`, or answers for another number of clips.
    """
    candidates = [_checked(of_clip) for of_clip in answers]
    prompt = _run_prompt(model, inputs)
    if len(candidates) != len(prompt[0]):
        raise InputError(f"answers are given for {len(candidates)} clips, prompts for {len(prompt[0])}")
    pairs = [(clip, answer) for clip, of_clip in enumerate(candidates) for answer in of_clip]
    sums = _log_likelihoods(model, prompt, pairs, answers_per_pass).tolist()
    means = [total / len(answer) for total, (_, answer) in zip(sums, pairs)]
    ranked = []
    for of_clip in candidates:
        own, means = means[: len(of_clip)], means[len(of_clip) :]
        ranked.append((sorted(range(len(own)), key=lambda i: -own[i]), own))
    return ranked


def _checked(answers: Answers) -> list[list[int]]:
    lists = [list(answer) for answer in answers]
    if not lists:
        raise InputError("there is nothing to score: give at least one answer")
    if () in map(tuple, lists):
        raise InputError(f"answer {lists.index([])} has no tokens; leave it out or end it with the end token")
    return lists


def _run_prompt(model: EmotionLlamaForConditionalGeneration, inputs: Mapping[str, Any]) -> _Prompt:
    """Encoders, projections and language model over the prompts, once."""
    ids = inputs["input_ids"]
    mask = inputs.get("attention_mask")
    mask = torch.ones_like(ids) if mask is None else mask
    check_filled_left(mask)
    clips = EncoderInputs(**{name: inputs.get(name) for name in ENCODER_INPUT_NAMES})
    embeds = model.embed_prompt(ids, clips, inputs.get("compat_zero_features"))
    out = model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=_positions(mask), use_cache=True, logits_to_keep=1
    )
    return (mask, out.past_key_values, out.logits[:, -1].float().log_softmax(dim=-1))


def _log_likelihoods(
    model: EmotionLlamaForConditionalGeneration,
    prompt: _Prompt,
    pairs: Sequence[tuple[int, list[int]]],
    pairs_per_pass: int,
) -> torch.Tensor:
    """[pairs] sums of the log-probabilities of each (clip, answer tokens)."""
    mask, whole_cache, next_token = prompt
    device = next_token.device
    clips = torch.tensor([clip for clip, _ in pairs], device=device)
    sums = next_token[clips, torch.tensor([answer[0] for _, answer in pairs], device=device)]
    # The first tokens came with the prompt; short answers need no pass of their own.
    longer = [index for index, (_, answer) in enumerate(pairs) if len(answer) > 1]
    for start in range(0, len(longer), pairs_per_pass):
        part = longer[start : start + pairs_per_pass]
        is_last = start + pairs_per_pass >= len(longer)
        cache = whole_cache if is_last else copy.deepcopy(whole_cache)
        sums[part] += _continue(model, mask, cache, clips[part], [pairs[index][1] for index in part])
    return sums


def _continue(
    model: EmotionLlamaForConditionalGeneration,
    prompt_mask: torch.Tensor,
    cache: DynamicCache,
    clips: torch.Tensor,
    answers: Sequence[list[int]],
) -> torch.Tensor:
    """[P] log-probabilities of all but the first token of P answers, each after its clip's prompt; uses up `cache`."""
    device, width = prompt_mask.device, max(map(len, answers)) - 1
    read = torch.tensor([answer[:-1] + [0] * (width + 1 - len(answer)) for answer in answers], device=device)
    wanted = torch.tensor([answer[1:] + [-1] * (width + 1 - len(answer)) for answer in answers], device=device)
    mask = torch.cat([prompt_mask[clips.to(device)], (wanted >= 0).to(prompt_mask.dtype)], dim=1)
    # Layers may lie on several devices, and a tensor takes indices from its own device only.
    for layer in cache.layers:
        layer.batch_select_indices(clips.to(layer.keys.device))  # type: ignore[union-attr]
    out = model(
        input_ids=read, attention_mask=mask, position_ids=_positions(mask)[:, -width:], past_key_values=cache,
        use_cache=True,
    )  # fmt: skip
    wanted = wanted.to(out.logits.device)
    logs = out.logits.float().log_softmax(dim=-1).gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return torch.where(wanted >= 0, logs, 0).sum(dim=1)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """[B, L] position of every token, counted from the first that is not filling, as `generate` counts."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)
