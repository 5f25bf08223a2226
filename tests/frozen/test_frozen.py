"""Nothing that the program gives for committed clips changes while its inside is rebuilt.

A change that is meant is stored by `python tests/frozen/make.py`; the difference of the stored files then shows it.
About a minute on one core. The model's own tensors are compared in tests/checkpoints/test_golden_end_to_end.py.
"""

import json
from pathlib import Path

import pytest
from frozen_outputs import OUTPUTS, PRODUCERS, differences, produced


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frozen")


@pytest.mark.parametrize("name", PRODUCERS)
def test_the_outputs_are_as_they_were_stored(name: str, work: Path) -> None:
    found = []
    for file, fresh in produced(name, work).items():
        stored = json.loads((OUTPUTS / f"{file}.json").read_text(encoding="utf-8"))
        found += differences(stored, json.loads(json.dumps(fresh)), file)
    assert not found, f"{len(found)} differences, first:\n" + "\n".join(line[:400] for line in found[:20])


def test_a_difference_is_told_by_its_place() -> None:
    stored = {"a": [1.0, {"b": "x", "why": "so"}], "c": None, "d": True}
    assert differences(stored, {"a": [1.00005, {"b": "x", "why": "otherwise"}], "c": None, "d": True}) == []
    fresh = {"a": [1.001, {"b": "y", "why": ""}, 3], "d": 1, "e": 0}
    assert differences(stored, fresh) == [
        "$.e: was not there",
        "$.c: is gone",
        "$.a: 2 parts were stored, now 3",
        "$.a[0]: 1.0 was stored, now 1.001",
        "$.a[1].b: 'x' was stored, now 'y'",
        "$.a[1].why: 'so' was stored, now ''",
        "$.d: True was stored, now 1",
    ]
