"""The official `openai` client, unchanged, against the whole server: real children, a real engine, a real clip.

The model is a toy with random weights: what it writes means nothing, but it is written token by token, from the clip.
"""

import asyncio
import base64
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from openai import OpenAI

from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.predictors import load_predictor
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.serve.settings import ServeSettings
from emotion_llama.serve.start import Server, address_of, build_state, listening_socket

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "examples" / "clips" / "astronaut.mp4"
KEY = "0123456789abcdef-key"
LABELS = {"neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"}


def make_toy(folder: Path) -> Path:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    model = EmotionLlamaForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # as initialised, nothing that goes in would move the output
                parameter.mul_(4)
    model.save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(ROOT / "tests" / "golden" / "llama")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Any:
    toy = make_toy(tmp_path_factory.mktemp("models") / "toy")
    settings = ServeSettings.model_validate(
        {"models": {"toy": str(toy), "rules": "rules"}, "device": "cpu", "workers": 1, "api_keys": (KEY,),
         "data_dir": tmp_path_factory.mktemp("data")}
    )  # fmt: skip
    return build_state(
        settings, {"toy": load_predictor(str(toy), max_new_tokens=8, device="cpu"), "rules": load_predictor("rules")}
    )


@pytest.fixture(scope="module")
def client(state: Any) -> Iterator[OpenAI]:
    listener = listening_socket("127.0.0.1", 0)
    server = Server(state, lambda: None)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    with OpenAI(base_url=f"{address_of(listener)}/v1", api_key=KEY, max_retries=0, timeout=None) as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def file_id(client: OpenAI) -> str:
    with CLIP.open("rb") as file:
        kept = client.files.create(file=file, purpose="user_data")
    assert (kept.filename, kept.bytes, kept.status) == ("astronaut.mp4", CLIP.stat().st_size, "processed")
    assert [one.id for one in client.files.list()] == [kept.id]
    return kept.id


def about(file_id: str, words: str) -> list[Any]:
    return [
        {"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}, {"type": "text", "text": words}]}
    ]


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["toy", "rules"]
    assert client.models.retrieve("rules").owned_by == "emotion-llama"


def test_label_of_the_rules(client: OpenAI, file_id: str) -> None:
    answer = client.chat.completions.create(model="rules", messages=about(file_id, "[emotion]"))
    assert answer.choices[0].message.content == "happy"  # the astronaut smiles
    extra = answer.model_extra["emotion_llama"]  # type: ignore[index]
    assert extra["label"] == "happy"
    assert set(extra["probabilities"]) == LABELS
    assert sum(extra["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    reason = client.chat.completions.create(model="rules", messages=about(file_id, "[reason]"))
    assert "The person smiles" in (reason.choices[0].message.content or "")
    when = client.chat.completions.create(model="rules", messages=about(file_id, "When does she smile most?"))
    assert "strongest at" in (when.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError, match=r"not the task \[visual\]; models that do: toy") as caught:
        client.chat.completions.create(model="rules", messages=about(file_id, "[visual]"))
    assert (caught.value.code, caught.value.param) == ("task_not_supported", "messages")


def test_label_of_a_model(client: OpenAI, file_id: str) -> None:
    answer = client.chat.completions.create(model="toy", messages=about(file_id, "[emotion]"))
    extra = answer.model_extra["emotion_llama"]  # type: ignore[index]
    assert answer.choices[0].message.content == max(extra["probabilities"], key=extra["probabilities"].__getitem__)
    assert sum(extra["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_whole_and_streamed_are_the_same(client: OpenAI, file_id: str) -> None:
    options: dict[str, Any] = {"model": "toy", "messages": about(file_id, "[reason]"), "max_tokens": 12}
    whole = client.chat.completions.create(**options)
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 12
    assert whole.usage.prompt_tokens > 20
    stream = client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert chunks[0].choices[0].delta.role == "assistant"


def test_drawn_answers(client: OpenAI, file_id: str) -> None:
    def drawn(seed: int) -> str | None:
        answer = client.chat.completions.create(
            model="toy", messages=about(file_id, "Tell me a story."), temperature=1.5, top_p=0.95, seed=seed,
            max_completion_tokens=16,
        )  # fmt: skip
        return answer.choices[0].message.content

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_follow_ups_encode_nothing(client: OpenAI, state: Any, file_id: str) -> None:
    client.chat.completions.create(model="toy", messages=about(file_id, "[reason]"), max_tokens=4)
    before, clips = state.engine.counts["toy"], state.pool.counts["clips"]
    first = client.chat.completions.create(model="toy", messages=about(file_id, "[visual]"), max_tokens=4)
    history = [*about(file_id, "[visual]"), first.choices[0].message.to_dict(), {"role": "user", "content": "Go on."}]
    client.chat.completions.create(model="toy", messages=history, max_tokens=4)  # type: ignore[arg-type]
    after = state.engine.counts["toy"]
    assert after["questions"] == before["questions"] + 2
    assert after["encodes"] == before["encodes"]
    assert after["cache_hits"] > before["cache_hits"]
    assert state.pool.counts["clips"] == clips


def test_a_data_uri_and_other_words(client: OpenAI) -> None:
    uri = "data:video/mp4;base64," + base64.b64encode(CLIP.read_bytes()).decode()
    content: list[Any] = [{"type": "video_url", "video_url": {"url": uri}}, {"type": "text", "text": "[reason]"}]
    answer = client.chat.completions.create(
        model="rules", messages=[{"role": "user", "content": content}],
        extra_body={"emotion_llama": {"subtitle": "How nice to see you!"}},
    )  # fmt: skip
    assert "The words fit: “nice" in (answer.choices[0].message.content or "")
    assert "no subtitle was given" not in (answer.choices[0].message.content or "")


def test_sound_alone(client: OpenAI, tone: bytes) -> None:
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(tone).decode(), "format": "wav"}}
    with pytest.raises(openai.UnprocessableEntityError) as caught:  # half a second of a whistle: nobody speaks
        client.chat.completions.create(
            model="rules",
            messages=[{"role": "user", "content": [part, {"type": "text", "text": "[emotion]"}]}],  # type: ignore[list-item, misc]
        )
    assert caught.value.code == "nothing_to_read"


def test_errors_of_the_client(client: OpenAI, file_id: str) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4o'"):
        client.chat.completions.create(model="gpt-4o", messages=about(file_id, "[emotion]"))
    with pytest.raises(openai.NotFoundError, match="there is no file"):
        client.chat.completions.create(model="toy", messages=about("file-1", "[emotion]"))
    with pytest.raises(openai.AuthenticationError, match="is not known"):
        client.with_options(api_key="wrong").models.list()
    part = {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}
    messages: list[Any] = [{"role": "user", "content": [part, {"type": "text", "text": "[emotion]"}]}]
    with pytest.raises(openai.BadRequestError, match="not fetched or opened by this server"):
        client.chat.completions.create(model="toy", messages=messages)
    with pytest.raises(openai.UnprocessableEntityError, match=r"^Error code: 422 - n: "):
        client.chat.completions.create(model="toy", messages=about(file_id, "[emotion]"), n=2)


def test_the_asynchronous_client(client: OpenAI, file_id: str) -> None:
    async def ask_many() -> list[str]:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=KEY, max_retries=0) as many:

            async def one(words: str) -> str:
                stream = await many.chat.completions.create(
                    model="toy", messages=about(file_id, words), max_tokens=6, stream=True
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*(one("[reason]") for _ in range(6)), one("[visual]"))

    *same, other = asyncio.run(ask_many())
    assert len(set(same)) == 1
    assert other != same[0]


def test_examples_of_the_documentation(
    client: OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python of docs/serve-api.md as it stands there, but for address, key and the model's name."""
    monkeypatch.chdir(tmp_path)
    for name in ("talk.mp4", "lecture.mp4"):
        (tmp_path / name).write_bytes(CLIP.read_bytes())
    blocks = (ROOT / "docs" / "serve-api.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        code = block.split("```")[0].replace("http://127.0.0.1:8000", str(client.base_url).removesuffix("/v1/"))
        code = code.replace('"the token or a key, if any"', repr(KEY)).replace("API_KEY", KEY)
        exec(code.replace('"nano"', '"toy"'), {})
    printed = capsys.readouterr().out
    assert any(printed.startswith(f"{label}\n{{'neutral': ") for label in LABELS)
    assert re.search(r"1 \w+\n", printed)  # the analysis: person and label
    assert re.search(r"\ndone \S+ 1\.0\n", printed)  # the job
    assert re.fullmatch(r"[1-9]\d* segments", printed.splitlines()[-1])
