"""What a chat model can do, found out before anything is measured for it: a line, or an error that says why not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion_llama.chat.http_chat import RequestFailed
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.media.encoded import write_png, write_wav

if TYPE_CHECKING:
    from emotion_llama.chat.local_transformers import LocalModel
    from emotion_llama.chat.openai_server import OpenAIServer

PROBE_TOKENS = 16  # of the first reply: enough for its speed
_READY: dict[str, Any] = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}
_QUESTION = ChatRequest(
    'Answer with the JSON object {"ready": true}.', schema=("ready", _READY), fields={"max_tokens": PROBE_TOKENS}
)
_ANY = ChatRequest("Answer with the word yes.", fields={"max_tokens": 1})
_FROM = {"likelihood": "by likelihood", "first tokens": "by the first tokens", None: "as the model states them"}


def check_reachable(server: OpenAIServer) -> tuple[str, ...]:
    """Names of the models that the server lists; empty where it lists none.

    Raises:
        InputError: nobody answers at its address.
        MissingDependency: httpx2 is not installed.
    """
    try:
        listed = server.connected().models().get("data")
    except RequestFailed as error:
        if error.status is None:
            raise InputError(
                f"no answer from the server at {server.config.base_url} ({error.message}); start it, or correct the "
                "address behind @"
            ) from None
        return ()
    found = [one.get("id") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return tuple(name for name in found if isinstance(name, str))


def probe_server(server: OpenAIServer) -> str:
    """Find out in which form a server replies, what it takes, whether it gives log-probabilities, how fast.

    A server that takes no pictures is sent none from then on, unless the configuration names its modalities.

    Returns:
        one line for people.

    Raises:
        InputError: it cannot be reached, does not know the model or the key, or takes less than the configuration says.
    """
    c, models = server.config, check_reachable(server)
    start = time.monotonic()
    try:
        body = server.post(_QUESTION)
    except AnnotationError as error:
        raise InputError(_why_not(server, error, models)) from None
    seconds = time.monotonic() - start
    is_named = "modalities" in c.model_fields_set
    for what, media in _MEDIA.items():
        if what not in server.modalities:
            continue
        try:
            server.post(replace(_ANY, **media()))
        except AnnotationError as error:
            if is_named:
                raise InputError(
                    f"the model {c.model!r} takes no {what} ({error.message}); leave it out of modalities"
                ) from None
            server.modalities = tuple(one for one in server.modalities if one != what)
    parts = [f"answers in {seconds:.1f} s"]
    count = (body.get("usage") or {}).get("completion_tokens")
    if isinstance(count, int) and count > 1 and seconds > 0:
        parts[0] += f" ({count / seconds:.0f} tokens/s)"
    parts += [f"JSON by {server.form}" if server.form != "plain" else "no JSON form", _takes(server.modalities)]
    return f"{c.model}: {', '.join(parts)}, probabilities {_probabilities(server)}"


def _probabilities(server: OpenAIServer) -> str:
    try:
        return _FROM[server.scorer.gives]
    except AnnotationError as error:
        return f"not found out ({error.message})"


def probe_local(model: LocalModel) -> str:
    """Load a model of this process; the same line as of a server. Errors as `LocalModel.send`."""
    start = time.monotonic()
    model.load()
    return (
        f"{model.name}: loaded in {time.monotonic() - start:.0f} s, {_takes(model.modalities)}, "
        f"probabilities {_FROM['likelihood']}"
    )


def _takes(modalities: tuple[str, ...]) -> str:
    rest = [one for one in modalities if one != "text"]
    return f"takes {' and '.join(['text', *rest])}" + ("" if "image" in rest else ", no pictures")


def _picture() -> dict[str, Any]:
    return {"pictures_png": (write_png(np.full((64, 64, 3), 128, np.uint8)),)}


def _sound() -> dict[str, Any]:
    return {"sound_wav": write_wav(np.zeros(16_000, np.float32))}


_MEDIA = {"image": _picture, "audio": _sound}


def _why_not(server: OpenAIServer, error: AnnotationError, models: tuple[str, ...]) -> str:
    c = server.config
    status = error.status if isinstance(error, RequestFailed) else None
    if status in (401, 403):
        name = c.api_key_env or "NAME"
        do = f"put the key into the environment variable {name}" + (
            "" if c.api_key_env else " and give api_key_env=NAME"
        )
        return f"the server at {c.base_url} refuses the request ({error.message}); {do}"
    if status == 404 or (models and c.model not in models):
        there = f"it has: {', '.join(models[:8])}" if models else "give the name under which it serves the model"
        return f"the server at {c.base_url} does not know the model {c.model!r} ({error.message}); {there}"
    if error.kind == "timeout":
        return f"the server at {c.base_url} did not answer ({error.message}); give it more with timeout_seconds=600"
    return f"the server at {c.base_url} does not answer questions ({error}); see what it prints"
