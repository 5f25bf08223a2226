"""What stages share: reading the measurements, provenance, chance that depends on names alone."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from emotion_llama.errors import InputError
from emotion_llama.merr.measured import Measured, from_bytes
from emotion_llama.merr.records import Field, Json, Provenance, StageInput

EVIDENCE = "evidence"  # artifact


def measured_of(item: StageInput) -> Measured:
    """What was measured of the clip.

    Raises:
        InputError: the artifact is not there or cannot be read.
    """
    data = item.artifacts.get(EVIDENCE)
    if data is None:
        raise InputError(f"{item.clip.clip_id}: its measurements are gone; build again")
    return _kept(data)


@lru_cache(maxsize=8)  # the next stages of a clip come soon, in the same process
def _kept(data: bytes) -> Measured:
    return from_bytes(data)


def field(name: str, value: Json, provenance: Provenance, why_missing: str | None) -> Field:
    """A field without a language; the reason counts only where there is no value."""
    return Field(name, value, provenance, why_missing=why_missing or "not measured" if value is None else None)


def chance(seed: str, *names: str) -> int:
    """A number that depends on the names alone, evenly spread over 64 bits; the same everywhere and always."""
    return int.from_bytes(sha256("\0".join((seed, *names)).encode("utf-8", "surrogatepass")).digest()[:8], "big")
