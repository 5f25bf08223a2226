"""How likely a chat model begins its reply with each of a few given texts, by the log-probabilities of tokens.

A label's score is the sum over its tokens, each after those before it, as `models.scoring` has it of our own model; the
labels' shares are the softmax of the scores. A server is asked in the cheapest way that it supports:

tokens  `top_logprobs` of one new token, and of the next after a reply that was begun (an assistant message that the
        server continues: llama.cpp, Ollama, vLLM); labels that share tokens share requests.
prompt  `prompt_logprobs` of the whole conversation with each label as the reply (vLLM): where a label's token is not
        among the likeliest.
first   where the server continues no reply: the first tokens alone, if no two labels begin with the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError

How = Literal["likelihood", "first tokens"]
Scored = tuple[dict[str, float], How]  # label -> probability
Post = Callable[[ChatRequest], Mapping[str, Any]]
MAX_TOP = 20  # the most that OpenAI and, by default, vLLM give
MAX_UNKNOWN = 1e-3  # of all labels together: what may be left to tokens that are not among the likeliest
_BELOW = math.log(1e-5)  # a beginning that is this much less likely than the likeliest label needs no exact score
_CONTINUE = {"add_generation_prompt": False, "continue_final_message": True}
_TOP = {"max_tokens": 1, "logprobs": True, "top_logprobs": MAX_TOP}
_PROBE = ChatRequest("Answer with one of these words and nothing else: yes, no.")


def shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Softmax of log-probabilities."""
    most = max(scores.values())
    weights = {name: math.exp(value - most) for name, value in scores.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def log_likelihoods(model: Any, inputs: Mapping[str, Any], answers: Sequence[Sequence[int]]) -> list[float]:
    """The sum of the log-probabilities of each answer's tokens behind one prompt [1, L], by a model of transformers.

    The prompt is computed once; all answers are computed behind its cache, in one pass.
    """
    import torch

    width = max(map(len, answers))
    given = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in answers], device=model.device)
    prompt = model(**inputs, use_cache=True)
    rows = prompt.logits[:, -1:].expand(len(answers), -1, -1)
    if width > 1:
        cache = prompt.past_key_values
        cache.batch_repeat_interleave(len(answers))
        # No mask: one prompt is not filled up, and without it models with their own positions count on from the cache.
        later = model(input_ids=given[:, :-1], past_key_values=cache, use_cache=True).logits
        rows = torch.cat([rows, later.to(rows.device)], dim=1)
    logs = rows.float().log_softmax(dim=-1).gather(2, given.to(rows.device)[..., None])[..., 0].tolist()
    return [float(sum(row[: len(answer)])) for row, answer in zip(logs, answers, strict=True)]


class LabelScorer:
    """Scores labels by one server, and remembers what the server was found to give.

    Args:
        post: sends a request once and returns the JSON of its reply; raises AnnotationError.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._found: dict[str, bool] = {}

    @property
    def gives(self) -> How | None:
        """What scores are made of; asks the server where that is not known yet."""
        if not self._gives("tokens"):
            return "likelihood" if self._gives("prompt") else None
        return "likelihood" if self._gives("continues") or self._gives("prompt") else "first tokens"

    def score(self, request: ChatRequest, labels: Sequence[str]) -> Scored:
        """Shares of the labels as the reply.

        Raises:
            AnnotationError: "cannot" where the server gives no such figures, or others where it fails.
        """
        why = "the server gives no log-probabilities of tokens"
        if self._gives("tokens"):
            found = self._by_tokens(request, labels) if self._gives("continues") else None
            if found is not None:
                return shares(found), "likelihood"
            why = f"the labels are not among the {MAX_TOP} likeliest beginnings of a reply"
        if self._gives("prompt"):
            whole = {label: self._by_prompt(request, label) for label in labels}
            known = {label: score for label, score in whole.items() if score is not None}
            if len(known) == len(labels):
                return shares(known), "likelihood"
            why = "the server's log-probabilities of a prompt do not end with the label"
        elif self._gives("tokens") and (first := self._by_first(request, labels)) is not None:
            return shares(first), "first tokens"
        raise AnnotationError("cannot", why)

    # --- what the server gives --------------------------------------------------------------------------------------

    def _gives(self, what: str) -> bool:
        if what not in self._found:
            try:
                self._found[what] = getattr(self, f"_gives_{what}")()
            except AnnotationError as error:
                if error.kind not in ("rejected", "malformed", "refused", "empty"):
                    raise
                self._found[what] = False
        return self._found[what]

    def _gives_tokens(self) -> bool:
        return bool(_top(self._post(replace(_PROBE, fields=_TOP))))

    def _gives_continues(self) -> bool:
        """Whether a begun reply is continued: one letter more is one token more, with no marks of a new turn."""
        without, begun = (self._post(replace(_PROBE, fields=_TOP | more, begun=text)) for more, text in
                          (({}, None), (_CONTINUE, "a")))  # fmt: skip
        before, after = ((one.get("usage") or {}).get("prompt_tokens") for one in (without, begun))
        return isinstance(before, int) and isinstance(after, int) and 0 <= after - before <= 1

    def _gives_prompt(self) -> bool:
        return self._by_prompt(_PROBE, "yes") is not None

    # --- the three ways ---------------------------------------------------------------------------------------------

    def _by_tokens(self, request: ChatRequest, labels: Sequence[str]) -> dict[str, float] | None:
        """Log-probability of each label; None where what is not known of them is too much."""
        nodes: dict[str, dict[str, float]] = {}  # what the reply has so far -> tokens that may follow
        found: dict[str, float] = {}
        unknown: dict[str, float] = {}  # the most that these can have
        waiting = [(0.0, label, "") for label in labels]
        while waiting:
            waiting.sort()
            score, label, begun = waiting.pop()  # the likeliest first, so that the others can be left out
            if found and score < max(found.values()) + _BELOW:
                unknown[label] = score
                continue
            if begun not in nodes:
                fields = _TOP if not begun else _TOP | _CONTINUE
                nodes[begun] = _top(self._post(replace(request, fields=fields, begun=begun or None, schema=None)))
                if not nodes[begun]:
                    return None
            token = _longest(nodes[begun], label[len(begun) :], is_first=not begun)
            if token is None:
                unknown[label] = score + min(nodes[begun].values())
                continue
            score, begun = score + nodes[begun][token], begun + (token if begun else token.lstrip())
            if begun == label:
                found[label] = score
            else:
                waiting.append((score, label, begun))
        if not found:
            return None
        most = max(found.values())
        is_enough = sum(math.exp(min(score - most, 0.0)) for score in unknown.values()) < MAX_UNKNOWN
        return found | unknown if is_enough else None

    def _by_first(self, request: ChatRequest, labels: Sequence[str]) -> dict[str, float] | None:
        """Log-probability of each label's first token; None where two have the same, or too much is not known."""
        top = _top(self._post(replace(request, fields=_TOP, schema=None)))
        tokens = {label: _longest(top, label, is_first=True) for label in labels}
        named = [token for token in tokens.values() if token is not None]
        if not named or len(set(named)) < len(named):
            return None
        least, best = min(top.values()), max(top[token] for token in named)
        if (len(labels) - len(named)) * math.exp(least - best) > MAX_UNKNOWN:
            return None
        return {label: least if token is None else top[token] for label, token in tokens.items()}

    def _by_prompt(self, request: ChatRequest, label: str) -> float | None:
        """Log-probability of the label as the conversation's end; None where the server does not give it."""
        fields = {"max_tokens": 1, "prompt_logprobs": 0, **_CONTINUE}
        listed = self._post(replace(request, fields=fields, begun=label, schema=None)).get("prompt_logprobs")
        text, score = "", 0.0
        for one in reversed(listed if isinstance(listed, list) else []):
            token = next(iter(one.values()), None) if isinstance(one, dict) else None
            if not isinstance(token, dict) or not isinstance(token.get("decoded_token"), str):
                return None
            text, score = token["decoded_token"] + text, score + float(token.get("logprob", math.nan))
            if text.lstrip() == label:
                return score if math.isfinite(score) else None
            if not label.endswith(text):
                return None
        return None


def _top(body: Mapping[str, Any]) -> dict[str, float]:
    """Token -> log-probability of the first new token's likeliest; empty where there are none."""
    try:
        listed = body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        found = {str(one["token"]): float(one["logprob"]) for one in listed}
    except (KeyError, IndexError, TypeError, ValueError):
        return {}
    return {token: value for token, value in found.items() if math.isfinite(value)}


def _longest(tokens: Mapping[str, float], text: str, *, is_first: bool) -> str | None:
    """The longest token that `text` begins with; a blank before the first one is the tokenizer's own."""
    fitting = [t for t in tokens if (bare := t.lstrip() if is_first else t) and text.startswith(bare)]
    return max(fitting, key=lambda token: (len(token.strip()), tokens[token]), default=None)
