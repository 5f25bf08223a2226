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


def test_questions_about_a_clip_that_was_cut_are_about_the_segment_meant(
    live: Callable[..., Any], pool: Any, tone: bytes
) -> None:
    """The first question about a clip with pauses measured it again: 3.5 s with rules, 7 s with a model."""
    document = json.loads(pool.document)
    document["clip"]["duration_seconds"] = 4.0
    first = document["people"][0]["segments"][0] | {"start_seconds": 0.0, "end_seconds": 2.5}
    second = json.loads(json.dumps(first)) | {"start_seconds": 2.5, "end_seconds": 4.0}
    said = {"probabilities": {"happy": 0.8, "sad": 0.2}, "reasoning": "Cues.", "problem": None}
    first["prediction"] |= said | {"label": "happy"}
    second["prediction"] |= said | {"label": "sad"}
    document["people"][0]["segments"] = [first, second]
    pool.document = json.dumps(document)
    server = live(models={"rules": "rules"})
    file_id = server.client.post("/v1/files", files={"file": ("a.wav", tone)}).raise_for_status().json()["id"]
    form = {name: (None, value) for name, value in {"file_id": file_id, "segment": "auto"}.items()}
    server.client.post("/v1/analyze", files=form).raise_for_status()

    def ask(question: str, **about: Any) -> dict[str, Any]:
        part = {"type": "file", "file": {"file_id": file_id}}
        message = {"role": "user", "content": [part, {"type": "text", "text": question}]}
        body = {"model": "rules", "messages": [message], "emotion_llama": about}
        found: dict[str, Any] = server.client.post("/v1/chat/completions", json=body).raise_for_status().json()
        return found

    person = document["people"][0]["person_id"]
    for at, label in ((0.0, "happy"), (2.4, "happy"), (2.5, "sad"), (3.0, "sad")):
        answer = ask("Which emotion is it?", at_seconds=at, person_id=person)
        assert f"Predicted: {label}" in answer["choices"][0]["message"]["content"]
        assert answer["emotion_llama"]["start_seconds"] == (0.0 if label == "happy" else 2.5)
        assert ask("[emotion]", at_seconds=at)["choices"][0]["message"]["content"] == label
    assert len(pool.calls) == 1
    ask("Which emotion is it?")  # of the clip as a whole
    assert len(pool.calls) == 2
