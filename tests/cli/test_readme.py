"""The README shows what the example clip really prints."""

import re
from pathlib import Path

import pytest

from emotion_llama.cli.main import main

ROOT = Path(__file__).parents[2]


def test_every_line_shown_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["analyze", "examples/clips/astronaut.mp4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (shown,) = [block for block in blocks if block.startswith("astronaut.mp4\n")]
    missing = [line for line in shown.splitlines() if line not in printed and line != "  ..."]
    assert missing == []
    assert len(shown.splitlines()) > 20


def test_a_smile_is_measured_as_one() -> None:
    """The example of the first screen: a smiling woman, cheeks raised, read as happy."""
    from emotion_llama import Analyzer

    (segment,) = Analyzer.load("rules").analyze(ROOT / "examples/clips/astronaut.mp4").people[0].segments
    assert segment.prediction.label == "happy"
    assert segment.evidence.peak_frame is not None
    assert segment.evidence.peak_frame.units["AU12"] > 1
    assert segment.evidence.peak_frame.units["AU06"] > 1


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
