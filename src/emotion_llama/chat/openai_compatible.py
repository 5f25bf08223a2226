"""Annotators behind an OpenAI-compatible server: asks, waits, asks again, and lets nothing through that is no answer.

What is retried: a busy or broken server, a time-out, a lost connection (`max_attempts`, waits doubling with jitter, or
what Retry-After says); and a reply that is empty or malformed (`max_repeats`, telling the model what was wrong). What
is not: a request that the server calls wrong, a refusal, a spent budget.
"""

from __future__ import annotations

import base64
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from emotion_llama.chat.asking import Asked, ask, askable
from emotion_llama.chat.budget import NOTHING_SPENT, Budget, Pace, Spent
from emotion_llama.chat.chat_body import Count, model_of, text_of
from emotion_llama.chat.configs import OpenAIConfig, is_this_machine
from emotion_llama.chat.http_chat import ChatServer, Reply
from emotion_llama.chat.questions import Answer, Question, Task, Where
from emotion_llama.chat.replies import reply_schema
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.media.image_bytes import smaller_png
from emotion_llama.prompts.merr_prompts import check_folder, prompt_hashes

FIRST_WAIT_SECONDS = 1.0  # doubles with each attempt, up to max_wait_seconds
T = TypeVar("T")
Form = Literal["json_schema", "json_object", "plain"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "plain")  # the strictest first
# What a request may cost before anybody has counted: a token has at least 3 characters of English or 1 of Chinese; a
# picture 1,500 (its largest of the usual models), a second of sound 25 (Qwen2-Audio, Whisper-based encoders).
_CHARACTERS_PER_TOKEN, _PICTURE_TOKENS, _SOUND_TOKENS_PER_SECOND = 3, 1500, 25


class OpenAICompatibleAnnotator:
    """Asks one model of one server. Threads may share it; requests at once, pace and budget hold for all of them.

    Nothing is sent before the first question, and no key is read before it or `check_ready`.

    Args:
        config: address, model and limits.
        budget: in place of the one that `config` describes, where several annotators share one.
        spent: requests and tokens of earlier builds, which count for the budget of `config`.

    Raises:
        InputError: the folder of prompts cannot be used.
    """

    name = "openai"
    where: Where = "thread"
    batch_size = 1

    def __init__(self, config: OpenAIConfig, *, budget: Budget | None = None, spent: Spent = NOTHING_SPENT) -> None:
        if config.prompts is not None:
            check_folder(config.prompts)
        self.config = config
        self.budget = budget or Budget(config.budget_requests, config.budget_tokens, spent)
        self._pace = Pace(config.requests_per_minute, config.tokens_per_minute)
        self._places = threading.Semaphore(config.concurrency)
        self._lock = threading.Lock()
        self._server: ChatServer | None = None
        self._form: Form = "json_schema" if config.structured == "auto" else config.structured
        self._length_name = "max_tokens"
        self._prompt_hashes = prompt_hashes(self.tasks(), config.prompts)

    def __reduce__(self) -> tuple[type[OpenAICompatibleAnnotator], tuple[OpenAIConfig]]:
        # Connections and locks stay where they are; another process begins its own count.
        return type(self), (self.config,)

    @property
    def settings(self) -> Mapping[str, object]:
        """What answers depend on; neither key nor limits. The address counts unless the config names an `identity`."""
        c = self.config
        return {
            "annotator": self.name,
            "server": c.identity or c.base_url.rstrip("/"),
            "model": c.model,
            "modalities": list(c.modalities),
            "temperature": c.temperature,
            "seed": c.seed,
            "max_tokens": c.max_tokens,
            "image_max_side": c.image_max_side,
            "structured": c.structured,
            "extra_body": c.extra_body,
            "prompts": self._prompt_hashes,
        }

    @property
    def sends_to(self) -> str | None:
        """The host that pictures, sound and words go to; None where it is this machine."""
        host = urlsplit(self.config.base_url).hostname or ""
        return None if is_this_machine(host) else host

    @property
    def form(self) -> Form:
        """How replies are asked for at the moment; `structured: auto` steps down when the server refuses it."""
        return self._form

    def check_ready(self) -> None:
        """Make sure that there is a key where one is named, and what sends requests; nothing is sent.

        Raises:
            InputError: the environment variable is not set.
            MissingDependency: httpx2 is not installed.
        """
        self._connected()

    def tasks(self) -> frozenset[Task]:
        """What its modalities allow."""
        return askable(self.config.modalities)

    def answer(self, questions: Sequence[Question]) -> list[Answer | AnnotationError]:
        """One answer, or the reason why there is none, for each question; several are asked at once."""
        return self._at_once(self._answer, questions)

    def put(self, asked: Sequence[Asked]) -> list[Answer | AnnotationError]:
        """The same for questions that are worked out already, whatever they ask and whatever their replies are."""
        return self._at_once(self._put, asked)

    def close(self) -> None:
        """Give the connections back; a later question opens new ones."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()

    # --- one question -----------------------------------------------------------------------------------------------

    def _at_once(
        self, do: Callable[[T], Answer | AnnotationError], each: Sequence[T]
    ) -> list[Answer | AnnotationError]:
        if len(each) < 2:
            return [do(one) for one in each]
        with ThreadPoolExecutor(min(self.config.concurrency, len(each))) as pool:
            return list(pool.map(do, each))

    def _answer(self, question: Question) -> Answer | AnnotationError:
        try:
            asked = ask(question, self.config.modalities, self.config.prompts)
        except AnnotationError as error:
            return AnnotationError(error.kind, error.message, attempts=0)
        return self._put(asked)

    def _put(self, asked: Asked) -> Answer | AnnotationError:
        count = Count()
        try:
            with self._places:
                values, model = self._converse(asked, count)
        except AnnotationError as error:
            return AnnotationError(error.kind, error.message, count.attempts, count.tokens_in, count.tokens_out)
        tokens_in, tokens_out = (count.tokens_in, count.tokens_out) if count.is_told else (None, None)
        return Answer(values, model, asked.prompt_sha256, tokens_in, tokens_out, count.seconds, count.attempts)

    def _converse(self, asked: Asked, count: Count) -> tuple[dict[str, object], str]:
        """Ask until there is an answer, or until asking again is of no use."""
        problem: str | None = None
        for repeats_left in range(self.config.max_repeats, -1, -1):
            body = self._reach(asked, problem, count)
            try:
                if isinstance(body, AnnotationError):
                    raise body
                return asked.check(text_of(body)), model_of(body) or self.config.model
            except AnnotationError as error:
                if error.kind == "refused" or not repeats_left:
                    raise
                problem = error.message
        raise AssertionError("the last repeat raises or returns")

    def _reach(self, asked: Asked, problem: str | None, count: Count) -> Mapping[str, Any] | AnnotationError:
        """A status 200 with JSON; an AnnotationError is returned where another reply may do, raised where none will."""
        tries = 0
        while True:
            form, length_name = self._form, self._length_name
            reply = self._post(self._request(asked, problem, form, length_name), asked, count)
            if reply.body is not None:
                return reply.body
            if reply.parameter is not None and self._adapt(reply.parameter, form, length_name):
                continue
            error = AnnotationError(reply.failing or "malformed", reply.problem)
            if reply.failing == "malformed":
                return error
            # A hanging server costs minutes a try, a busy one seconds: fewer tries for the first.
            tries += 2 if reply.failing == "timeout" else 1
            if not reply.passing or tries >= self.config.max_attempts:
                raise error
            self._pause(tries, reply)

    def _post(self, request: Mapping[str, Any], asked: Asked, count: Count) -> Reply:
        server, most = self._connected(), _most_tokens(asked, self.config.max_tokens)
        self.budget.take(most)
        used: int | None = None
        try:
            self._pace.wait(most)
            count.attempts += 1
            reply = server.post(request)
            used = count.add(reply)
            return reply
        finally:
            self.budget.settle(most, used)

    def _connected(self) -> ChatServer:
        with self._lock:
            if self._server is None:
                c = self.config
                self._server = ChatServer(
                    c.base_url, key=_variable(c.api_key_env, "api_key_env"), proxy=_variable(c.proxy_env, "proxy_env"),
                    timeout_seconds=c.timeout_seconds,
                )  # fmt: skip
            return self._server

    def _adapt(self, parameter: str, form: Form, length_name: str) -> bool:
        """Whether a refused parameter was changed, by this thread or, meanwhile, by another."""
        with self._lock:
            if parameter == "max_tokens" and length_name == "max_tokens":
                self._length_name = "max_completion_tokens"
                return True
            if parameter != "response_format" or form == "plain" or self.config.structured != "auto":
                return False
            if self._form == form:
                self._form = FORMS[FORMS.index(form) + 1]
            return True

    def _pause(self, tries: int, reply: Reply) -> None:
        if reply.wait_seconds is not None:
            if reply.wait_seconds > self.config.max_wait_seconds:
                raise AnnotationError(
                    "overloaded",
                    f"{reply.problem}; the server asks to wait {reply.wait_seconds:.0f} s, and max_wait_seconds is "
                    f"{self.config.max_wait_seconds:g}",
                )
            self._pace.hold(reply.wait_seconds)
            time.sleep(reply.wait_seconds)
            return
        # Full jitter keeps threads that failed together from coming back together.
        longest = min(self.config.max_wait_seconds, FIRST_WAIT_SECONDS * 2 ** (tries - 1))
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret

    def _request(self, asked: Asked, problem: str | None, form: Form, length_name: str) -> dict[str, Any]:
        # The protocol's own shape: https://platform.openai.com/docs/api-reference/chat
        c = self.config
        messages: list[dict[str, Any]] = [] if asked.system is None else [{"role": "system", "content": asked.system}]
        messages.append({"role": "user", "content": self._content(asked)})
        if problem is not None:
            messages.append({"role": "user", "content": asked.again(problem)})
        request: dict[str, Any] = {"model": c.model, "messages": messages, length_name: c.max_tokens, **c.extra_body}
        if c.temperature is not None:
            request["temperature"] = c.temperature
        if c.seed is not None:
            request["seed"] = c.seed
        if form == "json_object":
            request["response_format"] = {"type": "json_object"}
        elif form == "json_schema":
            schema = reply_schema(asked.question.task, asked.question.labels)
            named = {"name": asked.question.task, "strict": True, "schema": schema}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        return request

    def _content(self, asked: Asked) -> str | list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for picture_png in asked.pictures:
            data = _base64(smaller_png(picture_png, self.config.image_max_side))
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        if asked.sound_wav is not None:
            sound = {"data": _base64(asked.sound_wav), "format": "wav"}
            parts.append({"type": "input_audio", "input_audio": sound})
        return [*parts, {"type": "text", "text": asked.user}] if parts else asked.user


def _most_tokens(asked: Asked, max_tokens: int) -> int:
    text = (asked.system or "") + asked.user
    wide = sum(c > "\u2e7f" for c in text)
    tokens = wide + (len(text) - wide) // _CHARACTERS_PER_TOKEN + 50
    tokens += _PICTURE_TOKENS * len(asked.pictures)
    if asked.sound_wav is not None:
        tokens += len(asked.sound_wav) // 32_000 * _SOUND_TOKENS_PER_SECOND
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
