"""Free questions to chat models, through the annotators' own clients: their retries, budgets and checks of replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emotion_llama.chat.asking import Asked
from emotion_llama.chat.configs import OpenAIConfig, TransformersConfig
from emotion_llama.chat.questions import Answer, Facts, Question
from emotion_llama.errors import AnnotationError, InputError

# Asked is made for questions of a data set's build; the one here stands for none of them, and no schema is sent.
_NO_QUESTION = Question("check", "en", Facts())


@dataclass(frozen=True, repr=False)
class FreeAsked(Asked):
    """A conversation of any kind.

    Attributes:
        several_png: the pictures, in order.
        read: from the reply's text to its values; raises AnnotationError where it is no answer.
    """

    several_png: tuple[bytes, ...] = ()
    read: Callable[[str], dict[str, object]] = lambda text: {"text": text}

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """All pictures that are sent with it, in order."""
        return self.several_png

    def check(self, reply: str) -> dict[str, object]:
        """The values of a reply."""
        return self.read(reply)

    def __repr__(self) -> str:
        return f"FreeAsked({len(self.user)} characters, {len(self.several_png)} pictures)"


def free_question(
    system: str | None,
    user: str,
    prompt_sha256: str,
    *,
    again: Callable[[str], str] = lambda problem: problem,
    read: Callable[[str], dict[str, object]] = lambda text: {"text": text},
    pictures_png: Sequence[bytes] = (),
    sound_wav: bytes | None = None,
) -> FreeAsked:
    """One conversation.

    Args:
        system: what is said first; may be None.
        user: the question.
        prompt_sha256: of the prompt's file.
        again: asks once more, given what was wrong with the last reply.
        read: from the reply's text to its values.
        pictures_png: sent with it, in order.
        sound_wav: likewise.
    """
    return FreeAsked(
        _NO_QUESTION, system, user, prompt_sha256, "", None, sound_wav, again, tuple(pictures_png), read
    )  # fmt: skip


class Chat(Protocol):
    """A chat model: `annotators`' OpenAI-compatible server, or its transformers model."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What replies depend on."""

    def put(self, asked: Sequence[Asked]) -> list[Answer | AnnotationError]:
        """An answer, or the reason why there is none, for each question."""


def load_chat(spec: str, options: Mapping[str, Any]) -> Chat:
    """A chat model by its name on the command line.

    Args:
        spec: "openai:MODEL@URL", or "transformers:FOLDER" (or an id).
        options: fields of `OpenAIConfig` or `TransformersConfig`.

    Raises:
        InputError: the name or an option cannot be used.
    """
    from emotion_llama.predictors.load import annotator_config

    kind, _, rest = spec.partition(":")
    if kind == "openai":
        model, _, url = rest.rpartition("@")
        if not model or not url:
            raise InputError(
                f"model {spec!r}: expected openai:MODEL@URL, such as openai:qwen2.5-vl@http://localhost:8000/v1"
            )
        given = {"name": "openai", "model": model, "base_url": url, "structured": "plain", **options}
    elif kind == "transformers" and rest:
        given = {"name": "transformers", "model": rest, **options}
    else:
        raise InputError(f"model {spec!r} is no chat model; expected openai:MODEL@URL or transformers:FOLDER")
    config = annotator_config(given)
    if isinstance(config, OpenAIConfig):
        from emotion_llama.chat.openai_compatible import OpenAICompatibleAnnotator

        return OpenAICompatibleAnnotator(config)
    assert isinstance(config, TransformersConfig)
    from emotion_llama.chat.local_transformers import TransformersAnnotator

    return TransformersAnnotator(config)


def chat_settings(chat: Chat) -> dict[str, object]:
    """What its replies depend on, without the prompts of a data set's build, which are not used here."""
    return {key: value for key, value in chat.settings.items() if key != "prompts"}


def chat_modalities(chat: Chat) -> tuple[str, ...]:
    """What it takes: "text", "image", "audio"."""
    found = chat.settings["modalities"]
    return tuple(str(one) for one in found) if isinstance(found, (list, tuple)) else ("text",)


def sends_to(chat: Chat) -> str | None:
    """The host that clips go to; None where they stay on this machine."""
    host: str | None = getattr(chat, "sends_to", None)
    return host


def checked_folder(folder: str | Path | None) -> Path | None:
    """A folder of prompts of one's own.

    Raises:
        InputError: there is no such folder.
    """
    if folder is None:
        return None
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"prompts: {place} is no folder")
    return place
