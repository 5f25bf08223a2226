"""Shared by all tests: one thread a process; evidence made by hand; a toy model with data to train it on."""

import os
import re
import tempfile
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No test sees the models that this user chose or fetched, nor a test the other's.
_USER = Path(tempfile.mkdtemp(prefix="emotion-llama-user-"))
os.environ.update(XDG_CONFIG_HOME=str(_USER / "config"), XDG_DATA_HOME=str(_USER / "data"))

pytest_plugins = ["made_evidence", "toy_training"]

_STARTS_PROCESSES = re.compile(r"\b(?:subprocess|multiprocessing|torchrun|ray\.init|PlaywrightPage|WorkerPool|live\()")
_BROWSER = Path(__file__).parent / "serve" / "page"


@cache
def _starts_processes(path: Path) -> bool:
    """Whether the file, or a conftest.py between it and this one, starts processes."""
    files = [path, *(folder / "conftest.py" for folder in path.parents if Path(__file__).parent in folder.parents)]
    return any(_STARTS_PROCESSES.search(file.read_text(encoding="utf-8")) for file in files if file.exists())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the rows of docs/inputs.md that a failed test carries."""
    report = yield
    if report.failed:
        rows = [f"| {' | '.join(mark.args[1:])} |" for mark in item.iter_markers("inputs")]
        report.sections += [("docs/inputs.md says", "\n".join(rows))] if rows else []
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or starts processes; the others are fast (`make test-fast`)."""
    for item in items:
        if _BROWSER in item.path.parents:
            item.add_marker(pytest.mark.browser)
        elif _starts_processes(item.path):
            item.add_marker(pytest.mark.process)
