"""Chat models on the command line: what they can do is found out before any clip is measured."""

import json
from pathlib import Path

import pytest
from model_server import ModelServer
from scripted_server import ScriptedServer
from tiny_models import TEMPLATE, text_model, tokenizer

from emotion_llama.chat.model import load_chat
from emotion_llama.cli.main import main
from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9


@pytest.fixture
def tiny(tmp_path: Path) -> ModelServer:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(text_model(tmp_path / "tiny")).eval()
    return ModelServer(model, tokenizer(TEMPLATE), ("tokens", "continues", "prompt"))


@pytest.mark.parametrize("verb", ["analyze", "compare", "eval"])
def test_a_model_behind_a_server_answers_every_verb(
    verb: str, tiny: ModelServer, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = talk, tmp_path / "out.json"
    table = tmp_path / "clips.csv"
    table.write_text(f"name,label,video\na,happy,{clip}\n")
    with tiny.serving() as url:
        name = f"openai:tiny@{url}"
        commands = {
            "analyze": ["analyze", str(clip), "--model", name, "--json", str(out)],
            "compare": ["compare", str(clip), "--models", name],
            "eval": ["eval", "csv", "--data", str(table), "--model", name, "--out", str(tmp_path / "run")],
        }
        option = [] if verb == "compare" else ["--option", "modalities=[text]"]
        code = main([*commands[verb], *option])
    output = capsys.readouterr()
    assert code == 0, output.err
    assert "tiny: answers in" in output.err
    assert "JSON by json_schema" in output.err
    assert "probabilities by likelihood" in output.err
    if verb == "analyze":
        found = json.loads(out.read_text())["people"][0]["segments"][0]["prediction"]
        assert found["probabilities_from"] == "likelihood"
        assert set(found["probabilities"]) == set(MERR9.labels)
    has_pictures = any("image_url" in json.dumps(body) for body in tiny.bodies)
    assert has_pictures == (verb == "compare")


def test_nothing_is_measured_for_a_server_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_llama.analysis.batch.analyze_jobs", lambda *args, **more: pytest.fail("measured"))
    (tmp_path / "talk.mp4").write_bytes(b"")
    assert main(["analyze", str(tmp_path / "talk.mp4"), "--model", "openai:m@http://127.0.0.1:9/v1"]) == 1
    said = capsys.readouterr().err
    assert "no answer from the server at http://127.0.0.1:9/v1" in said
    assert "start it" in said


@pytest.mark.parametrize(("outcome", "says"), [("404", "does not know the model 'm'"), ("401", "api_key_env=NAME")])
def test_a_server_that_refuses_says_what_to_do(outcome: str, says: str) -> None:
    with ScriptedServer([outcome]) as server, pytest.raises(InputError, match=says):
        load_chat(f"openai:m@{server.base_url}", {}).probe()


def test_pictures_are_sent_only_where_the_model_takes_them() -> None:
    def script(number: int, body: dict[str, object]) -> str:
        return "400" if "image_url" in json.dumps(body) else "good"

    with ScriptedServer(script) as server:
        chat = load_chat(f"openai:m@{server.base_url}", {})
        assert "takes text, no pictures" in chat.probe()
        assert (chat.modalities, chat.settings["modalities"]) == (("text",), ["text"])
        named = load_chat(f"openai:m@{server.base_url}", {"modalities": ["text", "image"]})
        with pytest.raises(InputError, match="takes no image"):
            named.probe()


def test_a_local_model_is_loaded_before_clips_are_measured(tmp_path: Path) -> None:
    folder = text_model(tmp_path / "tiny")
    assert "tiny: loaded in" in load_chat(f"transformers:{folder}", {"device": "cpu"}).probe()
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_chat(f"transformers:{folder}", {}).probe()
