"""docs/merr.md shows what the commands really print.

Numbers are compared as numbers only in shape: what a face measures differs in the last digits between processors.
"""

import re
from pathlib import Path

import pytest

from emotion_llama.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/merr.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's first build, as it says, but for where it is written."""
    (command,) = [line for line in PAGE.splitlines() if line.startswith("emotion-llama merr build examples/")]
    _, verb, sub_verb, manifest, _, out, *choices = command.split()
    assert (verb, sub_verb, out) == ("merr", "build", "merr")
    folder = tmp_path_factory.mktemp("docs") / out
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        assert main(["merr", "build", manifest, "--out", str(folder), *choices, "--workers", "2", "-q"]) == 0
    return folder


def shown(first: str) -> list[str]:
    """Lines of the page's block that begins with `first`."""
    blocks = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(first + "\n")]
    return block.splitlines()


def shape(line: str) -> str:
    """A line without its numbers and the width of its blanks."""
    return " ".join(re.sub(r"\d+(?:[.,]\d+)*", "N", line.replace("\u00a0", " ")).split())


@pytest.mark.parametrize(("first", "arguments"), [("merr", ["stats"]), ("test-00000", ["show", "test-00000"])])
def test_every_line_shown_is_printed(
    first: str, arguments: list[str], build: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    verb, *rest = arguments
    assert main(["merr", verb, str(build), *rest]) == 0
    printed = {shape(line) for line in capsys.readouterr().out.splitlines()}
    lines = [line for line in shown(first) if line.strip() not in ("", "...")]
    assert [line for line in lines if shape(line) not in printed] == []
    assert len(lines) > 8


def test_every_command_shown_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """The verbs and options of the page exist: argparse refuses what it does not know before anything is run."""
    commands = re.findall(r"^emotion-llama (merr .*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        words = command.split()
        with pytest.raises(SystemExit) as ended:
            main([*words[:2], "--help"])
        assert ended.value.code == 0
        usage = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", command):
            assert option in usage, command
