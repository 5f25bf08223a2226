"""Options of chat models as strict records: a part of a recipe, options of a command, or a dict in Python."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from emotion_llama.errors import InputError

Modality = Literal["text", "image", "audio"]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# Capitals only: tokens such as hf_abc... would be names as well, and what stands here is written down with the recipe.
KeyName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=64)]


class Config(BaseModel):
    """Base of all options: strict, frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OpenAIConfig(Config):
    """A server that speaks the OpenAI chat protocol: vLLM, Ollama, llama.cpp, a hosted one."""

    name: Literal["openai"] = "openai"
    base_url: str = Field(description="Up to and with /v1, such as http://localhost:8000/v1.")
    model: str = Field(min_length=1, description="The model's name, as the server knows it.")
    modalities: tuple[Modality, ...] = Field(
        default=("text", "image"),
        min_length=1,
        description="What the model takes; a task that needs more is not asked.",
    )
    api_key_env: KeyName | None = Field(
        default=None,
        description="Name of the environment variable (capitals) that holds the key, which is never written down.",
    )
    proxy_env: EnvName | None = Field(
        default=None,
        description="Name of the environment variable that holds a proxy's URL. None: no proxy, whatever is set.",
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Send pictures, words and key unencrypted (http) to a host outside the local network.",
    )
    identity: str | None = Field(
        default=None,
        description="Stands for base_url in what answers depend on. Give it, and keep it, where the same model moves "
        "between addresses; otherwise another address asks all questions again.",
    )
    prompts: Path | None = Field(default=None, description="Folder of prompts of your own (docs/merr-annotators.md).")
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="None leaves it out, for servers that refuse it."
    )
    seed: int | None = Field(default=None, description="Passed on, for servers that know it.")
    max_tokens: int = Field(default=1024, ge=1, description="Of a reply, hidden reasoning included.")
    image_max_side: int = Field(
        default=1024, ge=64, description="Larger pictures are made smaller before they are sent."
    )
    structured: Literal["auto", "json_schema", "json_object", "plain"] = Field(
        default="auto",
        description="How the form of replies is asked for; auto takes the strictest that the server accepts.",
    )
    extra_body: dict[str, Any] = Field(
        default={},
        description="Further fields of each request, such as {chat_template_kwargs: {enable_thinking: false}}.",
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, description="For one request, from when it is sent; waiting for its turn does not count."
    )
    max_attempts: int = Field(
        default=6,
        ge=1,
        description="Requests for one question while the server is down or busy; a time-out counts as two.",
    )
    max_repeats: int = Field(
        default=2, ge=0, description="Times a question is asked again after a reply that is no answer."
    )
    max_wait_seconds: float = Field(
        default=60.0, gt=0, description="Longest wait before another attempt; a server that asks for more is given up."
    )
    concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Requests under way at once. None: 8, but 1 to a server on this machine: llama.cpp and others "
        "answer one at a time, and the wait would count as time of the request. Give vLLM more.",
    )
    requests_per_minute: float | None = Field(default=None, gt=0, description="None: as fast as `concurrency` allows.")
    tokens_per_minute: float | None = Field(default=None, gt=0, description="Counting what a reply may have at most.")
    budget_requests: int | None = Field(default=None, ge=0, description="The most requests altogether; None: no bound.")
    budget_tokens: int | None = Field(default=None, ge=0, description="The most tokens altogether, in and out.")

    @property
    def at_once(self) -> int:
        """Requests under way at once: `concurrency`, or its default for this address."""
        return self.concurrency or (1 if is_this_machine(urlsplit(self.base_url).hostname or "") else 8)

    @field_validator("extra_body")
    @classmethod
    def _check_extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = {"model", "messages", "response_format", "stream", "n", "temperature", "seed", "max_tokens"} & set(value)
        if own:
            raise ValueError(f"extra_body cannot set {sorted(own)[0]!r}, which has an option of its own or is fixed")
        return value

    @model_validator(mode="after")
    def _check_address(self) -> OpenAIConfig:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(  # not with what came: it may hold a key
                "base_url is no address such as http://localhost:8000/v1 (http or https, a host, a path, no ?query)"
            )
        if parts.username or parts.password:
            raise ValueError("base_url holds a password; name an environment variable in api_key_env instead")
        if parts.scheme == "http" and not self.allow_plain_http and not is_near(parts.hostname):
            raise ValueError(
                f"base_url would send pictures of people and the key unencrypted to {parts.hostname}; use https, or "
                "set allow_plain_http"
            )
        return self


class TransformersConfig(Config):
    """A model of the transformers library, in this process."""

    name: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1, description="A folder (nothing is downloaded), or an id of the hub.")
    revision: str | None = Field(default=None, description="Of a hub id.")
    modalities: tuple[Modality, ...] | None = Field(
        default=None, description="Needed with an id; a folder says it itself."
    )
    prompts: Path | None = Field(default=None, description="Folder of prompts of your own.")
    device: str | None = Field(
        default=None, description="cpu, cuda, cuda:1, or auto (spread over all). None: a GPU if any."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(default="auto", description="auto: as stored.")
    bits: Literal[4, 8] | None = Field(default=None, description="Load in 8 or 4 bits (extra quant).")
    batch_size: int = Field(default=4, ge=1, description="Questions that go through the model at once.")
    max_new_tokens: int = Field(default=512, ge=1, description="Of a reply.")
    max_repeats: int = Field(
        default=1, ge=0, description="Times a question is asked again after a reply that is no answer."
    )
    image_max_side: int = Field(default=1024, ge=64, description="Larger pictures are made smaller first.")
    template_options: dict[str, Any] = Field(
        default={}, description="What the model's chat template knows besides, such as {enable_thinking: false}."
    )


ChatConfig = OpenAIConfig | TransformersConfig
C = TypeVar("C", bound=Config)


def chat_config(options: Mapping[str, object]) -> ChatConfig:
    """The checked options of a chat model; `name` is "openai" or "transformers".

    Raises:
        InputError: options that do not fit; all of them are named.
    """
    if options.get("name") == "openai":
        return checked_config(OpenAIConfig, options)
    return checked_config(TransformersConfig, options)


def checked_config(kind: type[C], options: Mapping[str, object], what: str = "annotator") -> C:
    """The options as `kind`; texts are taken as paths and lists as tuples where the option is one (YAML knows neither).

    Raises:
        InputError: options that do not fit; all of them are named.
    """
    given = dict(options)
    for name, field in kind.model_fields.items():
        value, wanted = given.get(name), str(field.annotation)
        if isinstance(value, str) and "Path" in wanted:
            given[name] = Path(value).expanduser()
        elif isinstance(value, list) and "tuple" in wanted:
            given[name] = tuple(value)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise InputError(f"{what} {options.get('name')}: {_mistakes(error, kind)}") from None


def _mistakes(error: ValidationError, kind: type[Config]) -> str:
    found = []
    for one in error.errors(include_url=False):
        place = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            found.append(f"no option {place!r} (there are: {', '.join(kind.model_fields)})")
        elif one["type"] == "missing":
            found.append(f"{place} is needed")
        else:
            found.append(f"{place}: {one['msg']}" if place else one["msg"].removeprefix("Value error, "))
    return "; ".join(found)


def is_near(host: str) -> bool:
    """Whether a host is this machine or on the local network, by its name alone (no look-up)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is resolved by the local network; the endings are reserved for it (RFC 6761, 6762, ...).
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))
    return address.is_private or address.is_loopback or address.is_link_local


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
