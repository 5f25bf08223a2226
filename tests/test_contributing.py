"""The examples of CONTRIBUTING.md run, are short, and name places that exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BENCHMARK, ENCODER, EXPORT, ROUTE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(example: str) -> tuple[dict[str, object], str]:
    """The names that an example defines, and what it prints."""
    names: dict[str, object] = {"__name__": "example"}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(example, "CONTRIBUTING.md", "exec"), names)
    return names, out.getvalue()


@pytest.mark.parametrize("example", [BENCHMARK, ENCODER, EXPORT, ROUTE])
def test_examples_are_short(example: str) -> None:
    assert example.count("\n") < 40


def test_places_exist() -> None:
    source = ROOT / "src/emotion_llama"
    places = re.findall(r"`((?:evaluation|models|merr|serve)/[\w/.]*)`", TEXT)
    assert len(places) == 7
    assert [place for place in places if not (source / place).exists()] == []


def test_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(BENCHMARK)[1] == "[('a', 'happy'), ('b', 'sad')]\n"


def test_an_encoder() -> None:
    assert run(ENCODER)[1].startswith("49 ")  # 7 x 7 patches of 16 pixels


def test_a_page_of_the_server() -> None:
    assert run(ROUTE)[1] == "neutral\n"
