"""docs/merr-review.md: its commands and options exist, and its Python does what it says."""

import re
from pathlib import Path

import pytest
from review_build import put_clip
from samples import make_clip_row

from emotion_llama.cli.main import build_parser
from emotion_llama.merr.review.decisions import newest_reviews
from emotion_llama.merr.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "merr-review.md").read_text(encoding="utf-8")


def test_every_command_is_understood() -> None:
    commands = re.findall(r"^emotion-llama (.*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        build_parser().parse_args(command.split())


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with Store.create(tmp_path / "merr") as store:
        put_clip(store, make_clip_row("anna_01"))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/merr-review.md", "exec"), {})
    assert "decision='fix', stars=4" in capsys.readouterr().out
    with Store.open(tmp_path / "merr") as store:
        assert [dict(r.fixes) for r in newest_reviews(store)["anna_01"]] == [{"label": "surprise"}]


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"images/[a-z-]+\.png", PAGE)
    assert len(pictures) == 4
    for picture in pictures:
        assert (Path(__file__).parents[2] / "docs" / picture).is_file()
