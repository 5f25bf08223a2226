"""The README's example prints what the README shows, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from emotion_llama.cli.main import main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def test_the_example_prints_what_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```(\w*)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [text for language, text in blocks if language == "python"]
    shown = blocks[[language for language, _ in blocks].index("python") + 1][1]
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = set(re.findall(r"`emotion-llama (\w+)", README.read_text(encoding="utf-8")))
    assert len(verbs) >= 6
    for verb in verbs:
        with pytest.raises(SystemExit) as stopped:
            main([verb, "--help"])
        assert stopped.value.code == 0


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
