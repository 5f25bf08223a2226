"""One model of an OpenAI-compatible server: requests, waits and asks again while the server is busy.

Retried: a busy or broken server, a time-out, a lost connection (`max_attempts`, waits doubling with jitter, or what
Retry-After says). Asked in another way at once: a form of replies, or a name of a parameter, that the server refuses.
Not retried: a request that the server calls wrong, a refusal, a spent budget.
"""

from __future__ import annotations

import base64
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeGuard
from urllib.parse import urlsplit

from emotion_llama.chat.budget import Budget, Pace
from emotion_llama.chat.config import OpenAIConfig, is_this_machine
from emotion_llama.chat.http_chat import ChatServer, RequestFailed
from emotion_llama.chat.label_scores import LabelScorer, Scored
from emotion_llama.chat.records import ChatRequest, RawReply
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.media.encoded import smaller_png

FIRST_WAIT_SECONDS = 1.0  # doubles with each attempt, up to max_wait_seconds
Form = Literal["json_schema", "json_object", "plain"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "plain")  # the strictest first
Way = tuple[Form, bool, str]  # form of replies, whether its schema has bounds of length, name of the limit of tokens
_BOUNDS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
# What a request may cost before anybody has counted: a token has at least 3 characters of English or 1 of Chinese; a
# picture 1,500 (its largest of the usual models), a second of sound 25 (Qwen2-Audio, Whisper-based encoders).
_CHARACTERS_PER_TOKEN, _PICTURE_TOKENS, _SOUND_TOKENS_PER_SECOND = 3, 1500, 25


class OpenAIServer:
    """The backend of `ChatModel` for a server. Requests at once, pace and budget hold for all threads that share it."""

    def __init__(self, config: OpenAIConfig, budget: Budget | None = None) -> None:
        self.config = config
        self.budget = budget or Budget(config.budget_requests, config.budget_tokens)
        self.modalities: tuple[str, ...] = config.modalities
        self.batch_size = 1
        self._pace = Pace(config.requests_per_minute, config.tokens_per_minute)
        self._places = threading.Semaphore(config.at_once)
        self._lock = threading.Lock()
        self._server: ChatServer | None = None
        # How replies are asked for at the moment; `structured: auto` steps down when the server refuses it.
        self.form: Form = "json_schema" if config.structured == "auto" else config.structured
        self._has_bounds, self._length_name = True, "max_tokens"
        self.scorer = LabelScorer(self.post)
        self.stopped: Callable[[], bool] = lambda: False  # from then on nothing is sent: "interrupted"

    @property
    def settings(self) -> Mapping[str, object]:
        """What answers depend on; the address counts unless the config names an `identity`."""
        c = self.config
        return {
            "annotator": "openai",
            "server": c.identity or c.base_url.rstrip("/"),
            "model": c.model,
            "modalities": list(self.modalities),
            "temperature": c.temperature,
            "seed": c.seed,
            "max_tokens": c.max_tokens,
            "image_max_side": c.image_max_side,
            "structured": c.structured,
            "extra_body": c.extra_body,
        }

    @property
    def sends_to(self) -> str | None:
        """The host; None where it is this machine."""
        host = urlsplit(self.config.base_url).hostname or ""
        return None if is_this_machine(host) else host

    def check_installed(self) -> None:
        """Raises InputError where a key is named and not set, MissingDependency where httpx2 is not installed."""
        self.connected()

    def send(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> list[RawReply | AnnotationError]:
        """A reply, or the reason why there is none, for each request and what was wrong with its last reply."""
        if len(sent) < 2:
            return [self._send(*one) for one in sent]
        with ThreadPoolExecutor(min(self.config.at_once, len(sent))) as pool:
            return list(pool.map(lambda one: self._send(*one), sent))

    def score(self, requests: Sequence[ChatRequest], labels: Sequence[str]) -> list[Scored | AnnotationError]:
        """The labels' shares as the reply to each request, or why there are none (`LabelScorer.score`)."""

        def one(request: ChatRequest) -> Scored | AnnotationError:
            try:
                return self.scorer.score(request, labels)
            except AnnotationError as error:
                return error

        with ThreadPoolExecutor(max(1, min(self.config.at_once, len(requests)))) as pool:
            return list(pool.map(one, requests))

    def post(self, request: ChatRequest) -> Mapping[str, Any]:
        """The JSON of a reply with status 200; AnnotationError where there is none."""
        with self._places:
            return self._reach(request, None, _Count())

    def close(self) -> None:
        """Give the connections back; a later request opens new ones."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    # --- one request ------------------------------------------------------------------------------------------------

    def _send(self, request: ChatRequest, problem: str | None) -> RawReply | AnnotationError:
        start, count = time.monotonic(), _Count()
        try:
            with self._places:
                body = self._reach(request, problem, count)
            text = text_of(body)
        except AnnotationError as error:
            return AnnotationError(error.kind, error.message, count.attempts, *count.tokens, reply=error.reply)
        tokens_in, tokens_out = count.tokens if count.is_told else (None, None)
        model = body.get("model")  # what the server says is more exact than what was asked for: "gpt-4o-2024-08-06"
        is_name = isinstance(model, str) and 0 < len(model.strip()) <= 200
        name = str(model) if is_name else self.config.model
        return RawReply(text, name, tokens_in, tokens_out, time.monotonic() - start, count.attempts)

    def _reach(self, request: ChatRequest, problem: str | None, count: _Count) -> Mapping[str, Any]:
        """The JSON of a status 200."""
        tries = 0
        while True:
            way = self._way
            try:
                return self._post(self._body(request, problem, way), request, count)
            except RequestFailed as failure:
                if self._adapt(failure.parameter, way):
                    continue
                # A hanging server costs minutes a try, a busy one seconds: fewer tries for the first.
                tries += 2 if failure.kind == "timeout" else 1
                if not failure.is_passing or tries >= self.config.max_attempts:
                    raise
                self._pause(tries, failure)

    def _post(self, body: Mapping[str, Any], request: ChatRequest, count: _Count) -> Mapping[str, Any]:
        server, most = self.connected(), _max_tokens(request, self.config.max_tokens)
        self._check_stopped()
        self.budget.take(most)
        used: int | None = 0
        try:
            self._pace.wait(most)
            self._check_stopped()
            used = None
            count.attempts += 1
            reply = server.post(body)
            used = count.add(reply)
            return reply
        except RequestFailed as failure:
            # A request that was turned away took no tokens; where the reply was lost or is no JSON, it may have been
            # worked on: unknown, not nothing.
            used = 0 if failure.status is not None and failure.status != 200 else None
            raise
        finally:
            self.budget.settle(most, used)

    def _check_stopped(self) -> None:
        if self.stopped():
            raise AnnotationError("interrupted", "nothing more is asked", attempts=0)

    def connected(self) -> ChatServer:
        """The server; InputError where a key is named and not set."""
        with self._lock:
            if self._server is None:
                c = self.config
                self._server = ChatServer(
                    c.base_url, key=_variable(c.api_key_env, "api_key_env"), proxy=_variable(c.proxy_env, "proxy_env"),
                    timeout_seconds=c.timeout_seconds,
                )  # fmt: skip
            return self._server

    @property
    def _way(self) -> Way:
        with self._lock:
            return self.form, self._has_bounds, self._length_name

    def _adapt(self, parameter: str | None, way: Way) -> bool:
        """Whether a parameter that was refused was changed, by this thread or, meanwhile, by another."""
        form, has_bounds, length_name = way
        with self._lock:
            if parameter == "max_tokens" and length_name == "max_tokens":
                self._length_name = "max_completion_tokens"
                return True
            if parameter == "bounds" and form == "json_schema" and has_bounds:
                self._has_bounds = False
                return True
            if parameter not in ("response_format", "bounds") or form == "plain" or self.config.structured != "auto":
                return False
            if self.form == form:
                self.form = FORMS[FORMS.index(form) + 1]
            return True

    def _pause(self, tries: int, failure: RequestFailed) -> None:
        wait_seconds = failure.wait_seconds
        if wait_seconds is not None:
            if wait_seconds > self.config.max_wait_seconds:
                raise AnnotationError(
                    "overloaded",
                    f"{failure.message}; the server asks to wait {wait_seconds:.0f} s, and max_wait_seconds is "
                    f"{self.config.max_wait_seconds:g}",
                )
            self._pace.hold(wait_seconds)
            time.sleep(wait_seconds)
            return
        # Full jitter keeps threads that failed together from coming back together.
        longest = min(self.config.max_wait_seconds, FIRST_WAIT_SECONDS * 2 ** (tries - 1))
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret

    def _body(self, request: ChatRequest, problem: str | None, way: Way) -> dict[str, Any]:
        # The protocol's own shape: https://platform.openai.com/docs/api-reference/chat
        c, (form, has_bounds, length_name) = self.config, way
        messages: list[dict[str, Any]] = []
        if request.system is not None:
            messages.append({"role": "system", "content": request.system})
        messages.append({"role": "user", "content": self._content(request)})
        if problem is not None:
            messages.append({"role": "user", "content": request.again(problem)})
        if request.begun is not None:
            messages.append({"role": "assistant", "content": request.begun})
        fields = dict(request.fields)
        most = fields.pop("max_tokens", c.max_tokens)
        body: dict[str, Any] = {"model": c.model, "messages": messages, length_name: most, **c.extra_body, **fields}
        if c.temperature is not None:
            body["temperature"] = c.temperature
        if c.seed is not None:
            body["seed"] = c.seed
        if form == "json_object" and request.schema is not None:
            body["response_format"] = {"type": "json_object"}
        elif form == "json_schema" and request.schema is not None:
            name, schema = request.schema
            named = {"name": name, "strict": True, "schema": schema if has_bounds else _without_bounds(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _content(self, request: ChatRequest) -> str | list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for picture_png in request.pictures_png:
            data = _base64(smaller_png(picture_png, self.config.image_max_side))
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        if request.sound_wav is not None:
            sound = {"data": _base64(request.sound_wav), "format": "wav"}
            parts.append({"type": "input_audio", "input_audio": sound})
        return [*parts, {"type": "text", "text": request.user}] if parts else request.user


class _Count:
    """What one request has cost so far."""

    def __init__(self) -> None:
        self.attempts = 0
        self.tokens = (0, 0)
        self.is_told = False

    def add(self, body: Mapping[str, Any]) -> int | None:
        """Tokens that the server says this reply took; None where it does not."""
        usage = body.get("usage")
        if not isinstance(usage, dict):
            return None
        tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (_is_count(tokens_in) and _is_count(tokens_out)):
            return None
        self.is_told = True
        self.tokens = self.tokens[0] + tokens_in, self.tokens[1] + tokens_out
        return tokens_in + tokens_out


def _without_bounds(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {key: _without_bounds(value) for key, value in schema.items() if key not in _BOUNDS}
    return schema


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def text_of(body: Mapping[str, Any]) -> str:
    """The text of a chat reply.

    Raises:
        AnnotationError: "refused", "empty" or "malformed": there is none, or it is not whole.
    """
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise AnnotationError("malformed", "the server's reply holds no message")
    reason = choice.get("finish_reason")
    content = message.get("content")
    said = content if isinstance(content, str) else ""
    if message.get("refusal") or reason == "content_filter":
        declined = "the server says that the model declined, or its filter stepped in"
        raise AnnotationError("refused", declined, reply=str(message.get("refusal") or said))
    if reason == "length":
        raise AnnotationError("malformed", "the reply is longer than max_tokens allows and was cut off", reply=said)
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    if content is None:
        raise AnnotationError("empty", "the reply holds no text")
    if not isinstance(content, str):
        raise AnnotationError("malformed", "the reply's content is no text")
    return content


def _max_tokens(request: ChatRequest, max_tokens: int) -> int:
    text = (request.system or "") + request.user
    wide = sum(c > "\u2e7f" for c in text)
    tokens = wide + (len(text) - wide) // _CHARACTERS_PER_TOKEN + 50
    tokens += _PICTURE_TOKENS * len(request.pictures_png)
    if request.sound_wav is not None:
        tokens += len(request.sound_wav) // 32_000 * _SOUND_TOKENS_PER_SECOND
    return tokens + max_tokens


def _variable(name: str | None, option: str) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name, "").strip()
    if not value:
        raise InputError(f"{option} names the environment variable {name}, which is not set")
    if not (value.isascii() and value.isprintable()):  # such a header fails with an error that quotes it
        raise InputError(f"the environment variable {name} holds characters that no {option} has; set it anew")
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
