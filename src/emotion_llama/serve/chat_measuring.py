"""Clips of chats measured: the file put in a folder of its own, sent through the pool, and remembered."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emotion_llama.analysis.options import Options
from emotion_llama.serve.analysis import clip_limits
from emotion_llama.serve.chat_clips import ClipId, ClipMemory, KnownClip, KnownPerson, Reading
from emotion_llama.serve.chat_media import ClipReference, InlineClip, UploadedClip, inline_bytes, kind_of, sha256_of
from emotion_llama.serve.chat_schemas import ClipOptions
from emotion_llama.serve.file_routes import find_file
from emotion_llama.serve.file_store import link_or_copy
from emotion_llama.serve.problems import Problem
from emotion_llama.serve.state import ServeState
from emotion_llama.serve.uploads import shown_file_name


@dataclass(frozen=True)
class _File:
    """A clip by its content, and how it gets into a folder."""

    sha256: str
    name: str
    put_into: Callable[[Path], Path]


async def known_clip(
    state: ServeState, owner: str, model: str, reference: ClipReference, options: ClipOptions
) -> KnownClip:
    """The clip of a chat as this model is shown it, measured now if it is not known.

    Raises:
        Problem: 404 no such file, 400 or 415 what came is no recording.
        ClipRefused, ChildDied, Busy, InputError: as the pool.
    """
    memory: ClipMemory = state.clips
    subtitle = options.subtitle if options.subtitle and options.subtitle.strip() else None
    people: Literal["main", "all"] = "main" if options.person_id is None else "all"
    if isinstance(reference, UploadedClip):
        file = await _stored(state, owner, reference)
    else:
        file = await asyncio.to_thread(_inline, reference)

    async def measure() -> KnownClip:
        folder = Path(tempfile.mkdtemp(prefix="chat-", dir=state.uploads_dir))
        try:
            path = await asyncio.to_thread(file.put_into, folder)
            return await _measured(state, model, path, Options(subtitle=subtitle, people=people), file.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # Models that look at the same frame are shown the same; what rules answer is theirs alone.
    how = (state.predictors[model].frame_policy or f"predictor {model}", people, subtitle)
    return await memory.get(ClipId(owner, file.sha256, how), measure)


async def _stored(state: ServeState, owner: str, reference: UploadedClip) -> _File:
    stored = await find_file(state, owner, reference.file_id)

    def put_into(folder: Path) -> Path:
        target = folder / stored.path.name
        try:
            link_or_copy(stored.path, target)
        except FileNotFoundError:
            raise Problem(404, f"the file {stored.id!r} was deleted", code="file_not_found", param="file_id") from None
        return target

    return _File(stored.sha256, stored.name, put_into)


def _inline(reference: InlineClip) -> _File:
    data = inline_bytes(reference)
    kind = kind_of(data)

    def put_into(folder: Path) -> Path:
        target = folder / f"clip.{kind}"
        target.write_bytes(data)
        return target

    return _File(sha256_of(data), shown_file_name(reference.name), put_into)


async def _measured(state: ServeState, model: str, path: Path, options: Options, name: str) -> KnownClip:
    """A clip as chats need it; for a predictor of measurements with its answers.

    Raises:
        ClipRefused, ChildDied, Busy, InputError: as the pool.
    """
    policy, limits = state.predictors[model].frame_policy, clip_limits(state)
    if policy is None:
        of_rules = await state.pool.analyze(
            path, options, shown_name=name, model=state.asked_model(model), curves=False, limits=limits
        )
        return KnownClip(tuple(_read_person(person) for person in json.loads(of_rules.document_json)["people"]))
    found = await state.pool.measure(path, options, policy=policy, shown_name=name, limits=limits)
    return KnownClip(
        tuple(
            KnownPerson(part.person_id, part.start_seconds, part.end_seconds, seen)
            for part, seen in zip(found.parts, found.seen, strict=True)
        )
    )


def _read_person(person: dict[str, Any]) -> KnownPerson:  # of the published document
    segment = person["segments"][0]
    told = segment["prediction"]
    reading = Reading(told["label"], told["probabilities"], told["reasoning"], told["problem"])
    return KnownPerson(person["person_id"], segment["start_seconds"], segment["end_seconds"], None, reading)
