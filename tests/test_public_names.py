"""The public surface: complete, resolvable, and free to import."""

import subprocess
import sys

import pytest

import emotion_llama

HEAVY = ("torch", "transformers", "mediapipe", "librosa", "av", "cv2", "numpy", "scipy", "pydantic", "rich")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_public_name_resolves() -> None:
    for name in emotion_llama.__all__:
        assert getattr(emotion_llama, name) is not None
    assert set(emotion_llama._HOME_OF) == set(emotion_llama.__all__) - {"__version__"}
    assert dir(emotion_llama) == sorted(emotion_llama.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Analyser'"):
        _ = emotion_llama.Analyser  # type: ignore[attr-defined]


def test_import_loads_nothing_heavy() -> None:
    loaded = _python(f"import sys, emotion_llama; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_building_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys; from emotion_llama.cli.main import build_parser; build_parser()"
    assert _python(f"{code}; print([m for m in {HEAVY} if m in sys.modules])") == "[]"
