"""Settings: safe where nothing is said, refused where they would expose people."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from emotion_llama.errors import InputError
from emotion_llama.serve import settings as of
from emotion_llama.serve.settings import ServeSettings, is_loopback
from emotion_llama.serve.start import address_of, build_state, listening_socket, serve

KEY = SecretStr("0123456789abcdef")


def test_defaults_are_for_this_machine_alone() -> None:
    settings = ServeSettings()
    assert settings.is_private
    assert settings.hosts == ("localhost", "127.0.0.1", "[::1]")
    assert settings.max_upload_bytes == 200 * 1024 * 1024
    assert settings.max_pixels == 3840 * 2160
    assert not settings.keep_uploads
    assert settings.cors_origins == ()
    assert settings.model == "rules"
    assert settings.uploads_at_once == 64 + 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "0.0.0.0"}, "there are no API keys"),
        ({"host": "::"}, "there are no API keys"),
        ({"host": "192.168.0.7"}, "there are no API keys"),
        ({"allowed_hosts": ("emotion.example",)}, "there are no API keys"),
        ({"cors_origins": ("*",)}, "any page of the web"),
        ({"api_keys": (SecretStr("0123456789abcde"),)}, "shorter than 16 characters"),
        ({"default_model": "nano"}, "'nano' is none of: rules"),
        ({"models": {}}, "at least 1 item"),
        ({"models": {"../x": "rules"}}, "should match pattern"),
        ({"port": 65536}, "less than or equal to 65535"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"workers": "2"}, "valid integer"),
        ({"max_clips": 3}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ServeSettings(**given)


def test_reached_by_others_with_keys() -> None:
    settings = ServeSettings(host="0.0.0.0", api_keys=(KEY,))
    assert not settings.is_private
    assert settings.hosts == ()
    named = ServeSettings(allowed_hosts=("a.example",), api_keys=(KEY,))
    assert named.hosts == ("a.example", "localhost", "127.0.0.1", "[::1]")
    assert KEY.get_secret_value() not in repr(settings)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.evil", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_examples_of_the_owners_own(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", "a.srt"):
        (tmp_path / name).touch()
    assert list(ServeSettings(examples_dir=tmp_path).example_clips()) == ["a.mp4", "b.mp4"]
    assert ServeSettings().example_clips() == {}


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 3), (64, 4), (None, 1)])
def test_children_leave_a_core(monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert of.default_workers() == workers


def test_a_port_that_is_taken_is_told_before_anything_is_loaded() -> None:
    with listening_socket("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert address_of(bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(InputError, match=f"port {port} cannot be had .*; give another --port"):
            serve(ServeSettings(port=port), lambda address: None)
    with pytest.raises(InputError, match="is not known here"):
        listening_socket("no.such.host.invalid", 0)


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    class Bound:
        def getsockname(self) -> tuple[str, int, int, int]:
            return ("::1", 8000, 0, 0)

    assert address_of(Bound()) == "http://[::1]:8000"  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'gpt'"):
        build_state(ServeSettings(models={"gpt": "gpt"}, data_dir=tmp_path))


def test_a_folder_for_data_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    state = build_state(ServeSettings(data_dir=folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert state.engine is None
    assert not state.is_ready
    state.jobs.store.close()
