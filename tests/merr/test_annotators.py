"""Annotators by configuration: every entry of the table, mistakes named together, documents that match."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from emotion_llama.chat.config import OpenAIConfig, chat_config, is_near, is_this_machine
from emotion_llama.errors import InputError
from emotion_llama.merr.annotators import CONFIGS, load_annotator

ROOT = Path(__file__).parents[2]
LEAST: dict[str, dict[str, object]] = {
    "rules": {},
    "openai": {"base_url": "http://localhost/v1", "model": "m"},
    "transformers": {"model": "<folder>"},
    "emotion-llama": {"folder": "<folder>"},
    "stub": {},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_annotator_loads_from_its_least_configuration(name: str, tmp_path: Path) -> None:
    kind = "qwen2" if name == "transformers" else "emotion_llama"
    (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    given = {key: str(tmp_path) if value == "<folder>" else value for key, value in LEAST[name].items()}
    annotator = load_annotator({"name": name, **given})
    assert annotator.name == name
    assert annotator.where in ("inline", "thread", "main")
    assert "audio" in annotator.tasks
    assert annotator.ready() == ()


def test_tables_name_the_same() -> None:
    assert set(CONFIGS) == set(LEAST)
    for name, kind in CONFIGS.items():
        assert kind.model_fields["name"].default == name


def test_yaml_values_are_taken() -> None:
    config = chat_config(
        {"name": "openai", "base_url": "https://a.b/v1", "model": "m", "modalities": ["text", "audio"],
         "timeout_seconds": 5, "prompts": "~/prompts", "temperature": None}
    )  # fmt: skip
    assert isinstance(config, OpenAIConfig)
    assert (config.modalities, config.timeout_seconds, config.temperature) == (("text", "audio"), 5.0, None)
    assert config.prompts == Path.home() / "prompts"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"no annotator None \(there are: rules, openai, transformers, emotion-llama, stub\)"),
        ({"name": "opneai"}, "no annotator 'opneai'"),
        ({"name": ["rules"]}, "no annotator"),
        ({"name": "openai"}, "openai: base_url is needed; model is needed"),
        ({"name": "openai", "base_url": "localhost:8000", "model": "m"}, "no address such as http://localhost:8000/v1"),
        ({"name": "openai", "base_url": "http://localhost/v1?key=1", "model": "m"}, "no address such as"),
        ({"name": "openai", "base_url": "https://u:p@a.b/v1", "model": "m"}, "base_url holds a password"),
        ({"name": "openai", "base_url": "http://a.example.com/v1", "model": "m"},
         "would send pictures of people and the key unencrypted to a.example.com; use https, or set allow_plain_http"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "api_key": "k"}, "no option 'api_key'"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "api_key_env": "sk-1"}, "api_key_env: String"),
        (
            {"name": "openai", "base_url": "http://x/v1", "model": "m", "api_key_env": "hf_AbcdefGhijkl"},
            "api_key_env: String should match pattern",
        ),
        ({"name": "openai", "base_url": "https://x/v1?key=s3cret", "model": "m"}, "base_url is no address such as"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "modalities": []}, "modalities: Tuple should"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "modalities": ["video"]}, "modalities.0: Input"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "extra_body": {"messages": []}},
         "extra_body cannot set 'messages'"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "max_tokens": "9", "concurrency": 0},
         "max_tokens: Input should be a valid integer; concurrency: Input should be greater than or equal to 1"),
        ({"name": "openai", "base_url": "http://x/v1", "model": "m", "timeout_seconds": float("inf")}, "finite number"),
        ({"name": "stub", "failures": {"refused": 0.7, "timeout": 0.7}}, r"sum to 1\.4, expected 1 or less"),
        ({"name": "stub", "failures": {"budgett": 0.7}}, "failures.budgett"),
        ({"name": "rules", "table": "x"}, "no action unit table 'x'"),
        ({"name": "rules", "model": "x"}, r"no option 'model' \(there are: name, table\)"),
    ],
)  # fmt: skip
def test_mistakes_are_named_together(config: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_annotator(config)


def test_which_hosts_are_near() -> None:
    near = ["localhost", "a.localhost", "127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "gpu01",
            "gpu01.local", "x.internal", "nas.lan", "pi.home.arpa", "169.254.1.1", "fd00::1"]  # fmt: skip
    far = ["api.example.com", "8.8.8.8", "2606:4700::1111", "localhost.example.com", "internal.com", "172.32.0.1"]
    assert [host for host in near if not is_near(host)] == []
    assert [host for host in far if is_near(host)] == []
    assert [host for host in near if is_this_machine(host)] == ["localhost", "a.localhost", "127.0.0.1", "::1"]


def test_the_page_names_every_kind_of_failure() -> None:
    page = (ROOT / "docs/merr-annotators.md").read_text(encoding="utf-8")
    for kind in (
        "refused",
        "empty",
        "malformed",
        "rejected",
        "unreachable",
        "timeout",
        "overloaded",
        "budget",
        "cannot",
    ):
        assert f"`{kind}`" in page


def test_importing_annotators_imports_no_model_and_no_client() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from emotion_llama.merr.annotators import load_annotator;"
        "a = load_annotator({'name': 'openai', 'base_url': 'http://localhost/v1', 'model': 'm'}); a.settings;"
        "load_annotator({'name': 'stub'}); load_annotator({'name': 'rules'});"
        "print([m for m in ('torch', 'transformers', 'httpx2', 'openai', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
