"""A chat model: requests in, checked answers out; behind an OpenAI-compatible server or in this process.

A reply that is empty or malformed is asked for again (`max_repeats`), telling the model what was wrong; a refusal, or a
failure of the backend, is not. What is no answer is an `AnnotationError`, never a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.chat.budget import Budget
from emotion_llama.chat.config import ChatConfig, OpenAIConfig, chat_config
from emotion_llama.chat.label_scores import Scored
from emotion_llama.chat.local_transformers import LocalModel
from emotion_llama.chat.openai_server import OpenAIServer
from emotion_llama.chat.records import Answer, ChatRequest, Outcome, RawReply
from emotion_llama.errors import AnnotationError, InputError


class ChatModel:
    """One model of one server, which threads may share, or of this process, which one thread may ask.

    Nothing is sent, loaded or read from the environment before the first request or `check_installed`.

    Args:
        config: which model, and how it is asked.
        budget: of a server's requests and tokens, in place of the one that `config` describes.

    Attributes:
        refused_file: gets every reply that is no answer, with the reason; None keeps none.

    Raises:
        InputError: the model's folder cannot be used.
    """

    refused_file: Path | None = None

    def __init__(self, config: ChatConfig, *, budget: Budget | None = None) -> None:
        self.config = config
        self.max_repeats = config.max_repeats
        self.backend: OpenAIServer | LocalModel | ScriptedBackend
        if isinstance(config, OpenAIConfig):
            self.backend = OpenAIServer(config, budget)
        else:
            self.backend = LocalModel(config)

    def __reduce__(self) -> tuple[type[ChatModel], tuple[ChatConfig]]:
        # Connections, models and counts stay where they are; another process has its own.
        return type(self), (self.config,)

    @property
    def settings(self) -> Mapping[str, object]:
        """What answers depend on, as JSON values; neither key nor limits nor device."""
        return self.backend.settings

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it takes: "text", "image", "audio"."""
        return self.backend.modalities

    @property
    def batch_size(self) -> int:
        """Requests that go through it at once."""
        return self.backend.batch_size

    @property
    def is_shared(self) -> bool:
        """Whether several threads may ask at once."""
        return not isinstance(self.backend, LocalModel)

    @property
    def sends_to(self) -> str | None:
        """The host that pictures, sound and words go to; None where they stay on this machine."""
        return self.backend.sends_to if isinstance(self.backend, OpenAIServer) else None

    def check_installed(self) -> None:
        """Make sure that keys and packages that are needed are there; nothing is sent or loaded.

        Raises:
            InputError: the environment variable is not set.
            MissingDependency: a package is not installed.
        """
        self.backend.check_installed()

    def check_reachable(self) -> None:
        """As `check_installed`, and that somebody answers at a server's address; no question is asked.

        Raises:
            InputError, MissingDependency: as `check_installed`, or nobody answers.
        """
        from emotion_llama.chat.probe import check_reachable

        self.check_installed()
        if isinstance(self.backend, OpenAIServer):
            check_reachable(self.backend)

    def probe(self) -> str:
        """What the model can do, in a line; a local model is loaded, a server is asked a few short questions.

        Raises:
            InputError: it cannot be reached or loaded, is not known there, or takes less than its configuration says.
            MissingDependency: a package is not installed.
        """
        from emotion_llama.chat.probe import probe_local, probe_server

        if isinstance(self.backend, ScriptedBackend):
            return "scripted"
        return probe_server(self.backend) if isinstance(self.backend, OpenAIServer) else probe_local(self.backend)

    def ask(self, requests: Sequence[ChatRequest]) -> list[Outcome]:
        """An answer, or the reason why there is none, for each request in order.

        Raises:
            InputError, MissingDependency: the model cannot be loaded, or a key is not set.
            BackendError: a local model fails.
        """
        turns = [_Turn(request) for request in requests]
        for _ in range(self.max_repeats + 1):
            waiting = [turn for turn in turns if turn.is_open]
            if not waiting:
                break
            sent = [(turn.request, None if turn.error is None else turn.error.message) for turn in waiting]
            for turn, reply in zip(waiting, self.backend.send(sent), strict=True):
                turn.take(reply)
                if self.refused_file is not None and turn.error is not None and turn.error.reply:
                    keep_refused(self.refused_file, turn.request, turn.error)
        return [turn.outcome() for turn in turns]

    def score(self, requests: Sequence[ChatRequest], labels: Sequence[str]) -> list[Scored | AnnotationError]:
        """For each request the labels' shares as its reply, by the model's log-probabilities, and how they were had.

        AnnotationError in place of them says why there are none; its kind is "cannot" where the server gives no
        log-probabilities.

        Raises:
            InputError, MissingDependency, BackendError: as `ask`.
        """
        return self.backend.score(requests, labels) if requests else []

    def close(self) -> None:
        """Give connections back; a later request opens new ones."""
        self.backend.close()


def keep_refused(path: Path, request: ChatRequest, error: AnnotationError) -> None:
    """Append a reply that is no answer to a file, a JSON line with what was asked and why it was refused."""
    asked = {"asked": None if request.schema is None else request.schema[0], "prompt_sha256": request.prompt_sha256}
    line = {**asked, "kind": error.kind, "reason": error.message, "reply": error.reply}
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"{json.dumps(line, ensure_ascii=False)}\n")


class _Turn:
    """How far one request has come."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.values: dict[str, object] | None = None
        self.error: AnnotationError | None = None
        self.model = ""
        self.attempts = 0
        self.tokens = (0, 0)
        self.is_counted = False
        self.seconds = 0.0

    @property
    def is_open(self) -> bool:
        """Asking (again) may help."""
        return self.values is None and (self.error is None or self.error.kind in ("empty", "malformed"))

    def take(self, reply: RawReply | AnnotationError) -> None:
        self.attempts += reply.attempts
        if reply.tokens_in is not None and reply.tokens_out is not None:
            self.tokens = self.tokens[0] + reply.tokens_in, self.tokens[1] + reply.tokens_out
            self.is_counted |= isinstance(reply, RawReply) or self.tokens != (0, 0)
        if isinstance(reply, AnnotationError):
            self.error = reply
            return
        self.seconds += reply.seconds
        self.model = reply.model
        try:
            self.values, self.error = self.request.parse(reply.text), None
        except AnnotationError as error:
            self.error = error
            error.reply = reply.text

    def outcome(self) -> Outcome:
        if self.values is not None:
            tokens_in, tokens_out = self.tokens if self.is_counted else (None, None)
            sha256 = self.request.prompt_sha256
            return Answer(self.values, self.model, sha256, tokens_in, tokens_out, self.seconds, self.attempts)
        assert self.error is not None, "every request is sent at least once"
        error = self.error
        return AnnotationError(error.kind, error.message, self.attempts, *self.tokens, reply=error.reply)


class ScriptedBackend:
    """A backend for tests: `reply` gives a text or an error for a request and what was wrong with the last reply."""

    batch_size = 1

    def __init__(
        self,
        reply: Callable[[ChatRequest, str | None], str | AnnotationError],
        modalities: tuple[str, ...] = ("text", "image", "audio"),
        shares: Callable[[ChatRequest], Mapping[str, float]] | None = None,
        **settings: object,
    ) -> None:
        self._reply, self.modalities, self._shares = reply, modalities, shares
        self.settings: Mapping[str, object] = {"model": "scripted", "modalities": list(modalities), **settings}

    def send(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> list[RawReply | AnnotationError]:
        """What the function gives, in order."""
        replies = (self._reply(request, problem) for request, problem in sent)
        return [one if isinstance(one, AnnotationError) else RawReply(one, "scripted") for one in replies]

    def score(self, requests: Sequence[ChatRequest], labels: Sequence[str]) -> list[Scored | AnnotationError]:
        """What `shares` gives; "cannot" without it."""
        if self._shares is None:
            return [AnnotationError("cannot", "there are no log-probabilities") for _ in requests]
        return [(dict(self._shares(request)), "likelihood") for request in requests]

    def check_installed(self) -> None:
        """Needs nothing."""

    def close(self) -> None:
        """Holds nothing."""


class ScriptedChatModel(ChatModel):
    """A chat model of a function, for tests; arguments as `ScriptedBackend`'s."""

    def __init__(
        self,
        reply: Callable[[ChatRequest, str | None], str | AnnotationError],
        *,
        max_repeats: int = 1,
        modalities: tuple[str, ...] = ("text", "image", "audio"),
        shares: Callable[[ChatRequest], Mapping[str, float]] | None = None,
        **settings: object,
    ) -> None:
        self.max_repeats = max_repeats
        self.backend = ScriptedBackend(reply, modalities, shares, **settings)


def load_chat(spec: str, options: Mapping[str, Any]) -> ChatModel:
    """A chat model by its name on the command line.

    Args:
        spec: "openai:MODEL@URL", or "transformers:FOLDER" (or an id).
        options: fields of `OpenAIConfig` or `TransformersConfig`.

    Raises:
        InputError: the name or an option cannot be used.
    """
    kind, _, rest = spec.partition(":")
    if kind == "openai":
        model, _, url = rest.rpartition("@")
        if not model or not url:
            raise InputError(
                f"model {spec!r}: expected openai:MODEL@URL, such as openai:qwen2.5-vl@http://localhost:8000/v1"
            )
        given = {"name": "openai", "model": model, "base_url": url, **options}
    elif kind == "transformers" and rest:
        given = {"name": "transformers", "model": rest, **options}
    else:
        raise InputError(f"model {spec!r} is no chat model; expected openai:MODEL@URL or transformers:FOLDER")
    return ChatModel(chat_config(given))
