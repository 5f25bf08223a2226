"""Wheel files of the shapes that their owners distribute, with words of this test's own."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook

from emotion_llama.errors import InputError
from emotion_llama.evaluation.tasks.wheels import load_wheels, wheel_from_rows, wheel_groupings

ROWS = [("Happy", "Playful", "silly"), ("", "", "cheeky"), ("", "Content", ""), ("Mad", "Hurt", "jealous")]
FORMS = {"silly": "silly,silliness", "cheeky": "cheeky", "jealous": "jealous,envious", "glad": "glad,gladly"}
SYNONYMS = {"Content": "['glad', 'cheeky']", "jealous": "jealous"}


def write_spreadsheets(folder: Path, forms: dict[str, str]) -> None:
    with (folder / "format.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "format"])
        writer.writerows(forms.items())
    sheet(folder / "synonym.xlsx", [["word_run1", "synonym_run1", "word_run2", "synonym_run2"],
                                    *([word, text, word, ""] for word, text in SYNONYMS.items())])  # fmt: skip
    for k in range(1, 6):
        sheet(folder / f"wheel{k}.xlsx", [["level1", "level2", "level3"], *map(list, ROWS)])


def sheet(path: Path, rows: list[list[str]]) -> None:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append([cell or None for cell in row])  # type: ignore[union-attr]
    book.save(path)


def write_mapping(path: Path, **tables: object) -> None:
    np.savez(path, **{name: np.array(table, dtype=object) for name, table in tables.items()})


def test_blanks_are_filled_from_above() -> None:
    wheel = wheel_from_rows(ROWS)
    assert dict(wheel[0]) == {
        "happy": "happy", "playful": "happy", "silly": "happy", "cheeky": "happy", "content": "happy",
        "mad": "mad", "hurt": "mad", "jealous": "mad",
    }  # fmt: skip
    assert wheel[1]["cheeky"] == "playful"
    assert wheel[1]["happy"] == "content"  # the alphabetically first of its level-2 words
    with pytest.raises(InputError, match="row 1 of a wheel has no word at level 1 or 2"):
        wheel_from_rows([("", "playful", "silly")])


def test_spreadsheets_lead_from_forms_to_groups(tmp_path: Path) -> None:
    write_spreadsheets(tmp_path, FORMS)
    wheels, version = load_wheels(tmp_path)
    group = wheels[1][0]
    assert group(" Gladly ") == "happy"  # gladly -> glad -> content -> happy
    assert group("envious") == "mad"
    assert group("silliness") is None  # a form of "silly", which is no synonym of a wheel word
    assert group("content") is None  # a wheel word, but no known form
    assert wheels[2][4]("gladly") == "content"
    assert version == "2026"


def test_a_base_word_is_a_form_of_itself(tmp_path: Path) -> None:
    """The official mapping of 2025 has 7,386 forms, ours had 7,385: one base word's row does not list itself."""
    write_spreadsheets(tmp_path, {**FORMS, "glad": "gladly"})
    wheels, _ = load_wheels(tmp_path)
    assert wheels[1][0]("glad") == wheels[1][0]("gladly") == "happy"


def test_the_wrong_form_of_2025_is_told(tmp_path: Path) -> None:
    write_spreadsheets(tmp_path, {**FORMS, "fearless": "fearless,fear"})
    assert load_wheels(tmp_path)[1] == "2025"


def test_the_first_word_in_alphabetical_order_decides() -> None:
    wheel = wheel_from_rows([("mad", "hurt", "b"), ("sad", "low", "a")])
    assert wheel_groupings({"x": ["base"]}, {"base": ["b", "zz", "a"]}, (wheel,))[1][0]("x") == "sad"


def test_merged_tables_of_2026(tmp_path: Path) -> None:
    levels = {"level1": {"glad": "joy"}, "level2": {"glad": "pleased"}}
    write_mapping(
        tmp_path / "wheel_mapping.npz",
        format_mapping={"gladly": ["glad"]},
        raw_mapping={"glad": ["glad"]},
        wheel_map_whole={f"wheel{k}": levels for k in range(1, 6)},
    )
    wheels, _ = load_wheels(tmp_path)
    assert wheels[1][2]("gladly") == "joy"
    assert wheels[2][2]("gladly") == "pleased"


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('this was run')",)


def test_a_pickle_that_would_run_something_is_not_read(tmp_path: Path) -> None:
    write_mapping(tmp_path / "wheel_mapping.npz", format_mapping=Bomb(), raw_mapping={}, wheel_map_whole={})
    with pytest.raises(InputError, match=r"holds more than tables \(it asks for builtins.exec\), and was not read"):
        load_wheels(tmp_path)


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no wheel files"):
        load_wheels(tmp_path)
    (tmp_path / "wheel_mapping.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"is not the wheel_mapping\.npz of MER2026"):
        load_wheels(tmp_path)
    write_mapping(tmp_path / "wheel_mapping.npz", format_mapping=[1, 2], raw_mapping={}, wheel_map_whole={})
    with pytest.raises(InputError, match=r"an array \[2\] of object, expected one table"):
        load_wheels(tmp_path)
    (tmp_path / "wheel_mapping.npz").unlink()
    write_spreadsheets(tmp_path, FORMS)
    (tmp_path / "wheel3.xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"wheel3\.xlsx cannot be read as a workbook"):
        load_wheels(tmp_path)
    sheet(tmp_path / "wheel3.xlsx", [["a", "b"]])
    with pytest.raises(InputError, match=r"wheel3\.xlsx has the columns a, b; expected level1"):
        load_wheels(tmp_path)
    sheet(tmp_path / "synonym.xlsx", [["word", "synonym"]])
    with pytest.raises(InputError, match="expected word_run1"):
        load_wheels(tmp_path)
    (tmp_path / "format.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=r"format\.csv has the columns a, b; expected name"):
        load_wheels(tmp_path)


def test_bomb_is_one(tmp_path: Path) -> None:
    # What the reader refuses would really be run by numpy's own loader.
    write_mapping(tmp_path / "bomb.npz", table=Bomb())
    with zipfile.ZipFile(tmp_path / "bomb.npz") as archive:
        assert archive.namelist() == ["table.npy"]
    with pytest.raises(SystemExit, match="this was run"):
        np.load(tmp_path / "bomb.npz", allow_pickle=True)["table"]
