"""The verb `serve`: options to settings, and complaints; that it serves is tested with the server."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.cli.main import build_parser, main
from emotion_llama.cli.serve import default_models, named_models, settings_of
from emotion_llama.errors import InputError


def _args(*options: str) -> argparse.Namespace:
    return build_parser().parse_args(["serve", *options])


def test_defaults_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_llama.serve.settings import ServeSettings, default_workers

    monkeypatch.delenv("EMOTION_LLAMA_API_KEYS", raising=False)
    settings = settings_of(_args("--no-token"))
    expected = ServeSettings(workers=default_workers(), models={name: name for name in default_models()})
    assert settings == expected


def test_options_reach_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first-key-of-16-and-more\n")
    monkeypatch.setenv("EMOTION_LLAMA_API_KEYS", "second-key-of-16-and-more")
    settings = settings_of(
        _args(
            *("--model", "b=rules", "--host", "0.0.0.0", "--port", "0", "--workers", "3", "--rate", "60"),
            *("--api-key-file", str(keys), "--allow-host", "a.example", "--allow-origin", "https://b.example"),
            *("--max-upload-mib", "1.5", "--max-seconds", "30", "--max-job-seconds", "60", "--max-pixels", "1000"),
            *("--max-queue", "5", "--grace", "2", "--data", str(tmp_path), "--keep-uploads", "--file-minutes", "5"),
            *("--job-days", "1", "--max-batch", "2", "--max-wait-ms", "1", "--cache-clips", "9", "--device", "cpu"),
            *("--labels", "mer6", "--layout", "train", "--review", str(tmp_path), "--examples", str(tmp_path)),
        )
    )
    told: dict[str, Any] = settings.model_dump(exclude={"api_keys"})
    assert [key.get_secret_value() for key in settings.api_keys] == [
        "second-key-of-16-and-more",
        "first-key-of-16-and-more",
    ]
    assert told == {
        "models": {"b": "rules"},
        "model_options": {},
        "default_model": None,
        "device": "cpu",
        "labels": "mer6",
        "layout": "train",
        "host": "0.0.0.0",
        "port": 0,
        "allowed_hosts": ("a.example",),
        "cors_origins": ("https://b.example",),
        "workers": 3,
        "child_memory_bytes": 2 << 30,
        "clip_seconds": 120.0,
        "clip_seconds_per_second": 2.0,
        "max_upload_bytes": 1572864,
        "max_json_bytes": 32 << 20,
        "max_duration_seconds": 30.0,
        "max_job_seconds": 60.0,
        "max_pixels": 1000,
        "max_queue": 5,
        "max_uploads": None,
        "rate_per_minute": 60,
        "body_timeout_seconds": 20.0,
        "min_body_bytes_per_second": 4096,
        "max_batch": 2,
        "max_wait_ms": 1.0,
        "cache_clips": 9,
        "data_dir": tmp_path,
        "keep_uploads": True,
        "file_minutes": 5.0,
        "job_days": 1.0,
        "examples_dir": tmp_path,
        "review_dir": tmp_path,
        "grace_seconds": 2.0,
        "asr": None,
        "token": None,
    }


def test_models_are_called_by_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    assert named_models(["rules", str(folder), f"other={folder}"]) == {
        "rules": "rules",
        "my-model": str(folder),
        "other": str(folder),
    }
    with pytest.raises(InputError, match=r"two models are called 'rules'; give one another name"):
        named_models(["rules", "rules"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0"], "there are no API keys; give --api-key-file or set EMOTION_LLAMA_API_KEYS"),
        (["--port", "70000", "--workers", "0"], "port: .*; workers: "),
        (["--model", "gpt"], "no predictor 'gpt'"),
        (["--api-key-file", "/nowhere"], "the file of API keys /nowhere cannot be read"),
    ],
)
def test_complaints_are_one_line(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.delenv("EMOTION_LLAMA_API_KEYS", raising=False)
    assert main(["serve", "--port", "0", *options]) == 1
    error = capsys.readouterr().err
    assert re.search(told, error)
    assert error.count("\n") == 1


def test_without_fastapi_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "emotion_llama.serve.start", None)
    assert main(["serve"]) == 1
    assert "pip install 'emotion-llama[serve]'" in capsys.readouterr().err


def test_the_link_holds_a_token_of_this_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_llama.cli.serve import _announce

    monkeypatch.delenv("EMOTION_LLAMA_API_KEYS", raising=False)
    settings, another = settings_of(_args()), settings_of(_args())
    assert settings.token is not None
    assert settings.token != another.token
    _announce("http://127.0.0.1:8000", settings, opens=False)
    token = settings.token.get_secret_value()
    assert len(token) >= 32
    assert f" http://127.0.0.1:8000/#token={token} " in capsys.readouterr().out
    assert settings_of(_args("--no-token")).token is None
    monkeypatch.setenv("EMOTION_LLAMA_API_KEYS", "0123456789abcdef")
    assert settings_of(_args()).token is None


def test_help_loads_no_server() -> None:
    import subprocess
    import sys

    code = (
        "import sys, contextlib\nfrom emotion_llama.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['serve', '--help'])\n"
        "print([m for m in ('fastapi', 'uvicorn', 'torch', 'pydantic', 'cv2') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stderr.strip() == "[]"
