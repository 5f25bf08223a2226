"""Settings of a server: strict, checked at once, and safe by default."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

MIB = 1 << 20
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MIN_KEY_CHARACTERS = 16  # characters; a key of 16 hexadecimal digits has 64 bits

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ServeSettings(BaseModel):
    """All settings of `emotion-llama serve`. Limits are our own choice.

    Attributes:
        models: name that clients use -> "rules", "nano" or the folder of a model.
        default_model: the name that is taken where a request names none; the first of `models` if not given.
        device: where models run; None is a GPU if there is one.
        labels: label space that models choose from; None is the one they were trained with.
        layout: prompt layout of models; None is the one they were trained with.
        model_options: of chat models (openai:, transformers:), such as {"modalities": ["text"]}.
        asr: folder of a Whisper model, for clips that come without words; None recognises no speech.
        host, port: where the server listens; port 0 takes a free one.
        allowed_hosts: names by which clients may call the server (the Host header), beside loopback's; if none are
            given, on loopback only loopback's names, elsewhere any. Protects against DNS rebinding.
        cors_origins: pages of other origins that may call the API.
        api_keys: each 16 characters or more; needed unless the server is reached by loopback names alone.
        token: what callers send in place of a key where there are none, so that other accounts of the machine stay out;
            None lets them all in. Files and jobs do not belong to it: the next start has another one.
        workers: child processes that measure clips, each one clip at a time.
        child_memory_bytes: address space of a child.
        clip_seconds: the time that a clip may take: so many seconds, and `clip_seconds_per_second` for each of its own.
        max_upload_bytes: largest file.
        max_json_bytes: largest body that is not a file (a data URI lies in one).
        max_duration_seconds, max_job_seconds: longest clip at once, and as a job.
        max_pixels: largest frame, width times height.
        max_queue: how many requests wait for a child, and how many for each model.
        max_uploads: how many bodies are received at a time; None is `max_queue` and `workers` together.
        rate_per_minute: requests a minute of one key, or of one address where there are no keys; None is no limit.
        body_timeout_seconds: longest silence within a body.
        min_body_bytes_per_second: a body that comes slower on average, after `body_timeout_seconds`, is refused.
        max_batch, max_wait_ms, cache_clips: of the engine: requests answered together, how long one waits for others,
            and how many clips' features are kept.
        data_dir: where jobs and files are kept; None is a temporary folder that goes with the server.
        keep_uploads: keep clips after their answer; otherwise they go at once, files after `file_minutes`.
        file_minutes: how long an uploaded file may be asked about.
        job_days: how long results of jobs are kept.
        examples_dir: folder of clips (.mp4, beside them .srt) that the page offers in place of the package's own.
        review_dir: a MERR build whose samples the page lets people review.
        grace_seconds: how long running work may take to finish when the server is to stop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    models: dict[ModelName, str] = Field(default={"rules": "rules"}, min_length=1)
    default_model: str | None = None
    device: str | None = None
    labels: Literal["merr9", "mer6", "dfew7"] | None = None
    layout: Literal["train", "released", "evidence", "demo"] | None = None
    model_options: dict[str, Any] = {}
    asr: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    api_keys: tuple[SecretStr, ...] = ()
    token: SecretStr | None = None
    workers: int = Field(default=2, ge=1, le=256)
    child_memory_bytes: int = Field(default=2048 * MIB, ge=256 * MIB)
    clip_seconds: float = Field(default=120.0, gt=0)
    clip_seconds_per_second: float = Field(default=2.0, ge=0)
    max_upload_bytes: int = Field(default=200 * MIB, ge=1)
    max_json_bytes: int = Field(default=32 * MIB, ge=1024)
    max_duration_seconds: float = Field(default=600.0, gt=0)
    max_job_seconds: float = Field(default=2 * 3600.0, gt=0)
    max_pixels: int = Field(default=3840 * 2160, ge=1)
    max_queue: int = Field(default=64, ge=1)
    max_uploads: int | None = Field(default=None, ge=1)
    rate_per_minute: int | None = Field(default=None, ge=1)
    body_timeout_seconds: float = Field(default=20.0, gt=0)
    min_body_bytes_per_second: int = Field(default=4096, ge=0)
    max_batch: int = Field(default=8, ge=1)
    max_wait_ms: float = Field(default=10.0, ge=0)
    cache_clips: int = Field(default=256, ge=1)
    data_dir: Path | None = None
    keep_uploads: bool = False
    file_minutes: float = Field(default=60.0, gt=0)
    job_days: float = Field(default=7.0, gt=0)
    examples_dir: Path | None = None
    review_dir: Path | None = None
    grace_seconds: float = Field(default=20.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> ServeSettings:
        if self.default_model is not None and self.default_model not in self.models:
            raise ValueError(f"the default model {self.default_model!r} is none of: {', '.join(self.models)}")
        if any(len(key.get_secret_value()) < MIN_KEY_CHARACTERS for key in self.api_keys):
            raise ValueError(
                f"an API key is shorter than {MIN_KEY_CHARACTERS} characters; make one with: openssl rand -hex 24"
            )
        if not self.is_private and not self.api_keys:
            raise ValueError(
                f"others can reach the server ({self.host}, {', '.join(self.allowed_hosts) or 'any name'}), and there "
                "are no API keys; give --api-key-file or set EMOTION_LLAMA_API_KEYS"
            )
        if "*" in self.cors_origins and not self.api_keys:
            raise ValueError(
                "any page of the web may call the server, and there are no API keys; give keys, or origins"
            )
        return self

    @property
    def is_private(self) -> bool:
        """Whether the server can be reached from this machine alone, by loopback's names."""
        return is_loopback(self.host) and all(is_loopback(name) for name in self.allowed_hosts)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that the Host header may have; empty is any. This machine may always call itself."""
        return (*self.allowed_hosts, *LOOPBACK_NAMES) if self.allowed_hosts or is_loopback(self.host) else ()

    @property
    def model(self) -> str:
        """The name of the model that answers where a request names none."""
        return self.default_model or next(iter(self.models))

    @property
    def uploads_at_once(self) -> int:
        """How many bodies are received at a time."""
        return self.max_uploads or self.max_queue + self.workers

    def example_clips(self) -> dict[str, Path]:
        """Name -> file of the clips in `examples_dir`, in order of their names; none without one."""
        found = [] if self.examples_dir is None else sorted(self.examples_dir.glob("*.mp4"))
        return {path.name: path for path in found}


def is_loopback(host: str) -> bool:
    """Whether a name or address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def default_workers() -> int:
    """Children for this machine: a core each, one left to the server and its models, at most 4."""
    return max(1, min(4, (os.cpu_count() or 2) - 1))
