"""/v1/chat/completions over a socket, with stand-ins for children and engine: what is measured, sent and refused."""

import asyncio
import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from emotion_llama.errors import BackendError, InputError
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors import load_predictor
from emotion_llama.predictors.base import Sample
from emotion_llama.prompts.builder import Turn
from emotion_llama.results import Missing, Prediction
from emotion_llama.serve.chat import answers
from emotion_llama.serve.errors import Busy, ClipRefused

CHANCES = {"happy": 0.75, "sad": 0.25}


class StandInAnswering:
    """Pieces, or an error at a place; `hold` waits after the first."""

    def __init__(self, pieces: list[str | Exception], finish: str, engine: "StandInEngine") -> None:
        self._pieces, self._finish, self._engine = iter(pieces), finish, engine
        self.prompt_tokens, self.completion_tokens, self.finish_reason = 0, 0, None
        self.is_closed = False

    def __aiter__(self) -> "StandInAnswering":
        return self

    async def __anext__(self) -> str:
        if self.completion_tokens and self._engine.hold:
            await asyncio.Event().wait()
        self.prompt_tokens = 11
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            self.completion_tokens += 1
            return piece
        self.finish_reason = self._finish
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


class StandInEngine:
    def __init__(self) -> None:
        self.counts: dict[str, Any] = {}
        self.pieces: list[str | Exception] = ["The ", "face ", "smiles."]
        self.finish = "stop"
        self.prediction = Prediction("happy", CHANCES, "Because.", "", "toy")
        self.reads: list[tuple[str, Sample]] = []
        self.asked: list[tuple[str, Sample, Any, dict[str, Any]]] = []
        self.answers: list[StandInAnswering] = []
        self.hold = False
        self.error: Exception | None = None

    async def start(self) -> None: ...

    async def close(self, grace_seconds: float = 10.0) -> None: ...

    async def predict(self, model: str, seen: Sample) -> Prediction:
        self.reads.append((model, seen))
        return self.prediction

    def ask(self, model: str, seen: Sample, messages: Any, **options: Any) -> StandInAnswering:
        if self.error is not None:
            raise self.error
        self.asked.append((model, seen, messages, options))
        self.answers.append(StandInAnswering(self.pieces, self.finish, self))
        return self.answers[-1]


def seen(word: str) -> Sample:
    missing = (Missing("frame", "none"), Missing("faces", "none"), Missing("sound", "none"))
    return Sample(None, ClipInputs(missing=missing), None, word, "", "key")


@pytest.fixture
def engine() -> StandInEngine:
    return StandInEngine()


@pytest.fixture
def server(live: Callable[..., Any], pool: Any, engine: StandInEngine) -> Iterator[Any]:
    """A server with `rules`, and `toy` and `twin`, which look at the same frame."""
    pool.measured = []
    pool.measure_error = None

    async def measure(path: Path, options: Any, *, model: Any, shown_name: str = "", limits: Any = None) -> Any:
        seconds = limits.max_duration_seconds
        pool.measured.append((path.read_bytes(), path.name, options, model.frame_policy, shown_name, seconds))
        if pool.measure_error is not None:
            raise pool.measure_error
        people = (1, 2) if options.people == "all" else (1,)
        return [(person, 0.0, 2.0, seen(f"person {person}")) for person in people], pool.document

    pool.measure = measure
    model = SimpleNamespace(name="toy", frame_policy="peak", settings={})
    models = {"toy": "toy", "twin": "toy", "rules": "rules"}
    readers = {"toy": model, "twin": model, "rules": load_predictor("rules")}
    yield live(models=models, predictors=readers, engine=engine)
    engine.hold = False


def uri(clip: bytes) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": "data:audio/wav;base64," + base64.b64encode(clip).decode()}}


def ask(server: Any, words: str, *parts: dict[str, Any], before: Any = (), **more: Any) -> Any:
    content = [*parts, {"type": "text", "text": words}]
    body = {"model": "toy", "messages": [*before, {"role": "user", "content": content}], **more}
    return server.client.post("/v1/chat/completions", json=body)


def events(answer: Any) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


def refusal(answer: Any, status: int, code: str | None) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == code
    return answer.json()["error"]["message"]  # type: ignore[no-any-return]


def test_words_of_a_model(server: Any, engine: StandInEngine, pool: Any, tone: bytes) -> None:
    answer = ask(server, "[reason]", uri(tone), temperature=0.5, max_tokens=9).raise_for_status().json()
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "The face smiles.", "refusal": None},
         "finish_reason": "stop", "logprobs": None}
    ]  # fmt: skip
    assert (answer["object"], answer["model"]) == ("chat.completion", "toy")
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    about = answer["emotion_llama"]
    assert (about["person_id"], about["end_seconds"], about["task"], about["label"]) == (1, 2.0, "reason", None)
    model, shown, _, options = engine.asked[0]
    assert (model, shown.transcript) == ("toy", "person 1")
    assert (options["task"], options["temperature"], options["max_new_tokens"]) == ("reason", 0.5, 9)
    content, name, options, policy, shown_name, longest = pool.measured[0]
    assert (content, name, policy, shown_name, longest) == (tone, "clip.wav", "peak", "clip", 600.0)
    assert (options.people, options.subtitle) == ("main", None)
    assert list(server.state.uploads_dir.iterdir()) == []
    assert engine.answers[0].is_closed


def test_streamed(server: Any, engine: StandInEngine, tone: bytes) -> None:
    answer = ask(server, "[reason]", uri(tone), stream=True, stream_options={"include_usage": True})
    *chunks, last = events(answer)
    assert last == "[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "The "},
        {"content": "face "},
        {"content": "smiles."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 4 + ["stop"]
    assert chunks[0]["emotion_llama"] == {"person_id": 1, "start_seconds": 0.0, "end_seconds": 2.0, "task": "reason"}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 5
    plain = events(ask(server, "[reason]", uri(tone), stream=True))
    assert all("usage" not in chunk for chunk in plain[:-1])
    assert len(plain) == 6


def test_follow_ups_measure_nothing(server: Any, engine: StandInEngine, pool: Any, tone: bytes) -> None:
    ask(server, "[reason]", uri(tone)).raise_for_status()
    before = [
        {"role": "user", "content": [uri(tone), {"type": "text", "text": "[reason]"}]},
        {"role": "assistant", "content": "The face smiles."},
    ]
    ask(server, "Is he tired?", before=before).raise_for_status()
    ask(server, "Is he tired?", uri(tone), model="twin").raise_for_status()  # looks at the same frame
    assert len(pool.measured) == 1
    _, _, turns, options = engine.asked[1]
    text = "Please analyze all the clues in the video and reason out the emotional label of the person in the video."
    assert turns == (Turn(f" [reason] {text} ", "The face smiles."), Turn("Is he tired?"))
    assert options["task"] == "free"
    ask(
        server, "[reason]", uri(tone), emotion_llama={"subtitle": "Hi"}
    ).raise_for_status()  # other words: another reading
    assert [call[2].subtitle for call in pool.measured] == [None, "Hi"]


def test_a_file_is_measured_once_and_forgotten_with_it(server: Any, pool: Any, tone: bytes) -> None:
    file = server.client.post("/v1/files", files={"file": ("a b.mp4", tone)}).json()
    part = {"type": "file", "file": {"file_id": file["id"]}}
    for words in ("[reason]", "Tell me more."):
        ask(server, words, part).raise_for_status()
    ask(server, "[reason]", uri(tone)).raise_for_status()  # the same content in another way
    assert len(pool.measured) == 1
    assert pool.measured[0][:2] == (tone, "clip.wav")
    assert pool.measured[0][4] == "a b.mp4"
    server.client.delete(f"/v1/files/{file['id']}").raise_for_status()
    refusal(ask(server, "[reason]", part), 404, "file_not_found")
    ask(server, "[reason]", uri(tone)).raise_for_status()
    assert len(pool.measured) == 2


def test_labels_are_scored_not_written(server: Any, engine: StandInEngine, tone: bytes) -> None:
    for _ in range(2):
        answer = ask(server, "[emotion]", uri(tone)).raise_for_status().json()
    assert answer["choices"][0]["message"]["content"] == "happy"
    about = answer["emotion_llama"]
    assert (about["label"], about["probabilities"], about["reasoning"]) == ("happy", CHANCES, "Because.")
    assert (len(engine.reads), engine.asked) == (1, [])  # the second time it is known
    chunks = events(ask(server, "[emotion]", uri(tone), stream=True))
    assert chunks[0]["emotion_llama"]["probabilities"] == CHANCES
    assert chunks[1]["choices"][0]["delta"] == {"content": "happy"}
    ask(server, "[emotion]", uri(tone), model="twin").raise_for_status()
    assert [model for model, _ in engine.reads] == ["toy", "twin"]


def test_where_nothing_was_measured(server: Any, engine: StandInEngine, tone: bytes) -> None:
    engine.prediction = Prediction(None, None, "", "", "toy", problem="nothing was measured")
    told = refusal(ask(server, "[emotion]", uri(tone)), 422, "nothing_to_read")
    assert told == "there is no answer: nothing was measured"


def test_another_person(server: Any, engine: StandInEngine, pool: Any, tone: bytes) -> None:
    answer = ask(server, "Tell me more.", uri(tone), emotion_llama={"person_id": 2}).raise_for_status().json()
    assert answer["emotion_llama"]["person_id"] == 2
    assert engine.asked[0][1].transcript == "person 2"
    assert pool.measured[0][2].people == "all"
    told = refusal(ask(server, "Why?", uri(tone), emotion_llama={"person_id": 7}), 422, "person_not_found")
    assert told == "there is no person 7 in the clip; there are: 1, 2"


def test_stop_and_length(server: Any, engine: StandInEngine, tone: bytes) -> None:
    answer = ask(server, "[reason]", uri(tone), stop=["ace"]).json()["choices"][0]
    assert (answer["message"]["content"], answer["finish_reason"]) == ("The f", "stop")
    assert engine.answers[-1].is_closed
    assert engine.answers[-1].completion_tokens == 2  # the third piece was not asked for
    engine.finish = "length"
    assert ask(server, "[reason]", uri(tone)).json()["choices"][0]["finish_reason"] == "length"
    stopped = events(ask(server, "[reason]", uri(tone), stop=" face", stream=True))
    assert [chunk["choices"][0]["delta"].get("content") for chunk in stopped[:-1]] == ["", "The", None]
    assert stopped[-2]["choices"][0]["finish_reason"] == "stop"
    engine.pieces = []
    empty = ask(server, "[reason]", uri(tone)).json()["choices"][0]
    assert empty["message"]["content"] == ""


def test_rules_answer_what_they_can(server: Any, engine: StandInEngine, pool: Any, tone: bytes) -> None:
    document = json.loads(pool.document)
    read = document["people"][0]["segments"][0]["prediction"]
    read.update(label="sad", probabilities=CHANCES, reasoning="The voice is low.", problem=None)
    pool.document = json.dumps(document)
    label = ask(server, "[emotion]", uri(tone), model="rules").raise_for_status().json()
    assert label["choices"][0]["message"]["content"] == "sad"
    assert label["emotion_llama"]["probabilities"] == CHANCES
    assert label["emotion_llama"]["reasoning"] == "The voice is low."
    assert label["usage"]["total_tokens"] == 0
    reason = ask(server, "[reason]", uri(tone), model="rules").raise_for_status().json()
    assert reason["choices"][0]["message"]["content"] == "The voice is low."
    assert len(pool.calls) == 1
    assert (pool.calls[0]["model"], pool.calls[0]["curves"], pool.calls[0]["html"]) == (None, False, False)
    assert (engine.reads, engine.asked) == ([], [])


def test_models_leave_measured_facts_to_the_measurements(
    server: Any, engine: StandInEngine, pool: Any, tone: bytes
) -> None:
    """ "What is she saying?" was answered "angry"."""
    said = ask(server, "What is said?", uri(tone)).raise_for_status().json()["choices"][0]["message"]["content"]
    known = json.loads(pool.document)["people"][0]["segments"][0]["evidence"]["transcript"]
    assert known["lines"][0]["text"] in said if known else "is not known" in said
    assert engine.asked == []
    # The label is the model's own, as [emotion] and the analysis have it.
    why = ask(server, "Why?", uri(tone)).raise_for_status().json()["choices"][0]["message"]["content"]
    assert why.startswith("Predicted: happy (happy ")
    assert "Because." in why
    assert engine.asked == []
    ask(server, "Tell me more.", uri(tone)).raise_for_status()
    assert len(engine.asked) == 1


@pytest.mark.parametrize(("model", "question"), [("rules", "[reason]"), ("rules", "How long?"), ("toy", "[emotion]")])
def test_the_first_question_after_an_analysis_measures_nothing(
    server: Any, engine: StandInEngine, pool: Any, tone: bytes, model: str, question: str
) -> None:
    """It sent the clip again and measured it again, which took longer than the analysis."""
    pool.shown, document = seen("said"), json.loads(pool.document)
    said = {"label": "sad", "probabilities": CHANCES, "reasoning": "The voice is low.", "problem": None}
    document["people"][0]["segments"][0]["prediction"].update(said)
    pool.document = json.dumps(document)
    file = server.client.post("/v1/files", files={"file": ("a b.mp4", tone)}).json()
    part = {"type": "file", "file": {"file_id": file["id"]}}
    form = {"model": model, "file_id": file["id"], "people": "main", "format": "html", "subtitle": " Well  now "}
    server.client.post("/v1/analyze", files={name: (None, value) for name, value in form.items()}).raise_for_status()
    about = {"emotion_llama": {"subtitle": "Well now"}}
    answer = ask(server, question, part, model=model, **about).raise_for_status().json()
    assert (len(pool.calls), pool.measured) == (1, [])
    assert len(engine.reads) == (model == "toy")  # and its label is known
    assert answer["choices"][0]["message"]["content"]
    ask(server, question, part, model=model).raise_for_status()  # other words are another analysis
    assert len(pool.calls) + len(pool.measured) == 2
    server.client.delete(f"/v1/files/{file['id']}").raise_for_status()
    assert not len(server.state.clips)


def test_a_stored_file_is_analysed_by_its_owner_alone(server: Any, pool: Any, tone: bytes) -> None:
    file = server.client.post("/v1/files", files={"file": ("a.mp4", tone)}).json()
    both = server.client.post("/v1/analyze", data={"file_id": file["id"]}, files={"file": ("b.wav", tone)})
    refusal(both, 422, "option")
    gone = server.client.post("/v1/analyze", files={"file_id": (None, "file-" + "0" * 32)})
    refusal(gone, 404, "file_not_found")
    refusal(server.client.post("/v1/analyze", files={"file_id": (None, "../etc")}), 422, "option")
    done = server.client.post("/v1/analyze", files={"file_id": (None, file["id"])}).raise_for_status()
    assert done.json()["clip"]["path"] == "a.mp4"
    assert pool.calls[-1]["content"] == tone
    assert not list(server.state.uploads_dir.iterdir())


@pytest.mark.parametrize("words", ["[visual]", "[audio]"])
def test_rules_refuse_what_they_cannot(server: Any, pool: Any, tone: bytes, words: str) -> None:
    told = refusal(ask(server, words, uri(tone), model="rules"), 400, "task_not_supported")
    assert "answers [emotion], [reason]" in told
    assert told.endswith("models that do: toy, twin")
    assert pool.calls == []  # told before anything is measured


def test_refused_before_anything_is_measured(server: Any, pool: Any, tone: bytes) -> None:
    refusal(ask(server, "[reason]", uri(tone), model="gpt-4o"), 404, "model_not_found")
    refusal(ask(server, "[reason]"), 400, "no_clip")
    refusal(ask(server, "[raeson]", uri(tone)), 400, "unknown_task")
    refusal(ask(server, "[reason]", uri(b"%PDF-1.7")), 415, "no_media")
    refusal(ask(server, "[reason]", uri(b"")), 400, "empty")
    refusal(ask(server, "[reason]", {"type": "file", "file": {"file_id": "file-1"}}), 404, "file_not_found")
    refusal(ask(server, "[reason]", {"type": "file", "file": {"file_id": "../../etc"}}), 404, "file_not_found")
    for url in ("http://169.254.169.254/", "file:///etc/passwd"):
        part = {"type": "video_url", "video_url": {"url": url}}
        refusal(ask(server, "[reason]", part), 400, "url_not_allowed")
    told = refusal(ask(server, "[reason]", uri(tone), n=3), 422, "invalid")
    assert told.startswith("n: ")
    refusal(server.client.post("/v1/chat/completions", content=b"{"), 422, "invalid")
    assert (pool.measured, list(server.state.uploads_dir.iterdir())) == ([], [])


def test_what_the_children_refuse(server: Any, pool: Any, tone: bytes) -> None:
    for error, status, code in (
        (ClipRefused("too long", status=413, code="too_long"), 413, "too_long"),
        (Busy("clips", 64, 7.2), 429, "busy"),
        (RuntimeError("secret"), 500, None),
    ):
        pool.measure_error = error
        for stream in (False, True):
            answer = ask(server, "[reason]", uri(tone), stream=stream)
            assert "secret" not in refusal(answer, status, code)
    pool.measure_error = None
    ask(server, "[reason]", uri(tone)).raise_for_status()  # a failure is not remembered
    assert list(server.state.uploads_dir.iterdir()) == []


def test_errors_before_the_first_words_have_a_status(server: Any, engine: StandInEngine, tone: bytes) -> None:
    for pieces, status, code in (
        ([InputError("the sound is too long")], 422, "option"),
        ([BackendError("weights in /secret are damaged")], 503, "unavailable"),
    ):
        engine.pieces = pieces
        for stream in (False, True):
            assert "/secret" not in refusal(ask(server, "[reason]", uri(tone), stream=stream), status, code)
            assert engine.answers[-1].is_closed
    engine.error = Busy("questions", 8, 3.0)
    answer = ask(server, "[reason]", uri(tone), stream=True)
    refusal(answer, 429, "busy")
    assert answer.headers["retry-after"] == "3"


def test_errors_after_the_first_words_are_told_within(server: Any, engine: StandInEngine, tone: bytes) -> None:
    engine.pieces = ["The ", BackendError("weights in /secret are damaged")]
    *chunks, last = events(ask(server, "[reason]", uri(tone), stream=True))
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["", "The "]
    assert last["error"]["code"] == "unavailable"
    assert "/secret" not in last["error"]["message"]
    refusal(ask(server, "[reason]", uri(tone)), 503, "unavailable")
    assert engine.answers[-1].is_closed


def test_a_client_that_goes_away_ends_the_writing(
    server: Any, engine: StandInEngine, tone: bytes, wait_until: Callable[..., None]
) -> None:
    engine.hold = True
    content = [uri(tone), {"type": "text", "text": "[reason]"}]
    body = {"model": "toy", "messages": [{"role": "user", "content": content}], "stream": True}
    with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert "assistant" in next(response.iter_lines())
    wait_until(lambda: engine.answers[0].is_closed)
    server.leave("/v1/chat/completions", lambda: len(engine.answers) == 2, json={**body, "stream": False})
    wait_until(lambda: engine.answers[1].is_closed)


def test_a_client_that_goes_away_ends_the_measuring(
    server: Any, pool: Any, tone: bytes, wait_until: Callable[..., None]
) -> None:
    pool.hold = True
    body = {
        "model": "rules",
        "messages": [{"role": "user", "content": [uri(tone), {"type": "text", "text": "[emotion]"}]}],
    }
    server.leave("/v1/chat/completions", lambda: pool.calls, json=body)
    wait_until(lambda: pool.cancelled == 1)
    wait_until(lambda: not list(server.state.uploads_dir.iterdir()))


def test_a_file_that_is_deleted_before_it_is_measured(
    server: Any, tone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(source: Path, target: Path) -> None:
        raise FileNotFoundError(source)

    monkeypatch.setattr(answers, "link_or_copy", gone)
    file = server.client.post("/v1/files", files={"file": ("a.wav", tone)}).json()
    part = {"type": "file", "file": {"file_id": file["id"]}}
    refusal(ask(server, "[reason]", part), 404, "file_not_found")
    assert list(server.state.uploads_dir.iterdir()) == []


def test_a_second_name_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"clip")
    answers.link_or_copy(source, tmp_path / "b")
    assert (tmp_path / "b").stat().st_ino == source.stat().st_ino
    with pytest.raises(FileNotFoundError):
        answers.link_or_copy(tmp_path / "none", tmp_path / "c")

    def no_links(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    answers.link_or_copy(source, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == b"clip"
    assert (tmp_path / "d").stat().st_ino != source.stat().st_ino
