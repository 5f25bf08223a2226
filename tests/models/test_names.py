"""The public names of the package: complete, lazy, and clear about what is not installed."""

import subprocess
import sys

import pytest

from emotion_llama import models


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_name_is_there():
    for name in models.__all__:
        assert getattr(models, name).__name__ == name
    assert dir(models) == sorted(models.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Anything'"):
        models.Anything  # noqa: B018


def test_importing_loads_neither_torch_nor_transformers():
    found = run("import emotion_llama.models, sys; print([m for m in ('torch', 'transformers') if m in sys.modules])")
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_what_is_not_installed_is_named(missing):
    found = run(f"import sys; sys.modules[{missing!r}] = None; from emotion_llama.models import EmotionLlamaConfig")
    assert "MissingDependency: the model needs torch or transformers, which is not installed" in found.stderr
    assert "pip install 'emotion-llama[model]'" in found.stderr
