"""docs/merr-files.md: its examples are what a build gives, and what an import takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.merr.io import export
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.store import Store

Make = Callable[..., Store]
ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "merr-files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- (file|import): (\S+) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def build(make_build: Make, spec: Any) -> Store:
    return make_build(
        spec("sample_00000023", split="train"), spec("sample_00000024", "surprise", words=None, fine={}, split="test")
    )


@pytest.mark.parametrize(("name", "text"), [(name, text) for kind, name, text in BLOCKS if kind == "file"])
def test_shown_files_are_what_is_exported(build: Store, name: str, text: str) -> None:
    export_build(build, None, name.split("/")[0])  # type: ignore[arg-type]
    assert (build.folder / "export" / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("name", "text"), [(name, text) for kind, name, text in BLOCKS if kind == "import"])
def test_shown_files_are_imported_without_problems(make_build: Make, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    tally = import_files([tmp_path / name], make_build())
    assert tally.problems.counts == {}
    assert tally.new_clips == len(text.splitlines()) - text.startswith("name,")


def test_page_shows_each_kind_of_file() -> None:
    assert [name for _, name, _ in BLOCKS] == [
        "merr/MERR_coarse_grained.txt", "merr/MERR_fine_grained.json", "merr/transcription_en_all.csv",
        "sharegpt/merr_fine_train.json", "relative_test3_NCEV.txt", "MER2024-noise_NCE.txt", "labels.txt",
        "transcription_all_new.csv",
    ]  # fmt: skip


def test_every_option_of_export_and_import_is_real(capsys: pytest.CaptureFixture[str]) -> None:
    from emotion_llama.cli.main import main

    known = set()
    for verb in ("export", "import", "validate"):
        with pytest.raises(SystemExit):
            main(["merr", verb, "--help"])
        known |= set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z]+", PAGE.replace("<!--", "").replace("-->", "")))
    assert named <= known
    assert len(named) > 10


def test_advice_for_pandas_takes_the_marks_away() -> None:
    from emotion_llama.merr.io.csv_table import read_text, write_text

    pattern = re.compile(r"^'(?='*(?:[=+\-@\t\r]|$))")
    assert r"""column.str.replace(r"^'(?='*(?:[=+\-@\t\r]|$))", "", regex=True)""" in PAGE
    for text in ("=1", "'=1", "'", "a", "-x", "'a", "\tx"):
        cell = write_text(text)
        assert pattern.sub("", cell) == text == read_text(cell)


def test_the_export_format_of_contributing(make_build, spec, monkeypatch, tmp_path) -> None:
    names: dict[str, Any] = {}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (example,) = [found for found in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Rows" in found]
    exec(compile(example, "CONTRIBUTING.md", "exec"), names)
    monkeypatch.setattr(export, "WRITERS", {**export.WRITERS, "captions": names["write_captions"]})
    tally = export_build(make_build(spec("a"), spec("b", label="sad")), tmp_path / "out", "captions")  # type: ignore[arg-type]
    assert (tmp_path / "out/captions.txt").read_text().splitlines() == ["a\thappy", "b\tsad"]
    assert tally.samples["coarse"] == 2
