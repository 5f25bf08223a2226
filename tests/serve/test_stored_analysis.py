"""A stored recording analysed as the page does it: its first question measures again only where it was cut."""

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(("seconds", "measured"), [(0.5, 1), (4.0, 2)])
def test_a_clip_without_a_pause_is_measured_once(
    live: Callable[..., Any], pool: Any, tone: bytes, seconds: float, measured: int
) -> None:
    """The stand-in's one segment ends at 0.5 s: the whole of the first clip, a part of the second."""
    pool.document = json.dumps(
        json.loads(pool.document) | {"clip": {**json.loads(pool.document)["clip"], "duration_seconds": seconds}}
    )
    server = live(models={"rules": "rules"})
    file_id = server.client.post("/v1/files", files={"file": ("a.wav", tone)}).raise_for_status().json()["id"]
    form = {name: (None, value) for name, value in {"file_id": file_id, "segment": "auto", "format": "html"}.items()}
    server.client.post("/v1/analyze", files=form).raise_for_status()
    part = {"type": "file", "file": {"file_id": file_id}}
    message = {"role": "user", "content": [part, {"type": "text", "text": "What is said?"}]}
    body = {"model": "rules", "messages": [message]}
    server.client.post("/v1/chat/completions", json=body).raise_for_status()
    assert len(pool.calls) == measured
