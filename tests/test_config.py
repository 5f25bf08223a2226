"""Recipes in YAML: each key once, overrides, all mistakes at once."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from emotion_llama.config import (
    checked,
    merged,
    override_tree,
    parse_yaml,
    read_tree,
    read_yaml,
    resolve_paths,
)
from emotion_llama.errors import InputError


class Small(BaseModel):
    """A recipe of two parts."""

    model_config = ConfigDict(extra="forbid", strict=True)
    rate: float = 1.0
    names: tuple[str, ...] = ()
    folder: Path | None = None


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: 1\nb: 2\na: 3", "x, line 3, column 1: the key 'a' stands here a second time"),
        ("a:\n  b: 1\n  b: 2", "x, line 3, column 3: the key 'b' stands here a second time"),
        ("? [a, b]\n: 1", "x, line 1, column 3: a key must be a text"),
        ("a: [1", "expected YAML with each key once"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: {b: 1}\nc: {<<: {d: 1}}", "could not determine a constructor for the tag 'tag:yaml.org,2002:merge'"),
    ],
)
def test_text_that_is_no_plain_yaml_is_refused(text: str, match: str) -> None:
    with pytest.raises(InputError, match=re.escape(match)):
        parse_yaml(text, "x")


def test_a_date_that_cannot_be_is_a_mistake_and_no_traceback() -> None:
    with pytest.raises(InputError, match=r"x: a value cannot be \(month must be in 1\.\.12.*put a text in quotation"):
        parse_yaml("seed: 2026-13-01", "x")


def test_aliases_may_share_a_part() -> None:
    shared = parse_yaml("one: &server {name: openai, model: m}\ntwo: *server", "x")
    assert shared["two"] == {"name": "openai", "model": "m"}


def test_parts_without_end_are_refused() -> None:
    with pytest.raises(InputError, match="x: parts stand in parts without end"):
        parse_yaml("a: " + "[" * 3000 + "]" * 3000, "x")


def test_a_file_must_be_there_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: the file cannot be read .*expected YAML in UTF-8"):
        read_yaml(tmp_path / "gone.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(InputError, match=r"latin\.yaml: the file cannot be read"):
        read_yaml(tmp_path / "latin.yaml")
    assert read_yaml(written(tmp_path, "# nothing\n")) is None


def test_a_recipe_is_a_mapping_and_an_empty_file_an_empty_one(tmp_path: Path) -> None:
    assert read_tree(written(tmp_path, "")) == {}
    assert read_tree(written(tmp_path, "a: {b: 1}")) == {"a": {"b": 1}}
    for text in ("[1, 2]", "1: 2"):
        with pytest.raises(InputError, match="expected a mapping of a recipe's parts"):
            read_tree(written(tmp_path, text))


def test_overrides_become_a_tree() -> None:
    assert override_tree(["a.b=1", "a.c=[x, y]", "d=null", "a.b=2"]) == {"a": {"b": 2, "c": ["x", "y"]}, "d": None}
    for text in ("a", "a..b=1", "=1"):
        with pytest.raises(InputError, match=r"expected an override of the form part\.key=value"):
            override_tree([text])
    with pytest.raises(InputError, match="'a' was given a value of its own before"):
        override_tree(["a=1", "a.b=2"])


def test_the_second_tree_wins_key_by_key() -> None:
    first = {"a": {"b": 1, "c": 2}, "d": {"e": 1}}
    assert merged(first, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}
    assert first == {"a": {"b": 1, "c": 2}, "d": {"e": 1}}


def test_all_mistakes_are_named_at_once() -> None:
    assert checked(Small, {"rate": 2, "names": ["x"], "folder": "f"}, "r") == Small(
        rate=2.0, names=("x",), folder=Path("f")
    )
    with pytest.raises(InputError, match="r: 2 mistakes: ") as error:
        checked(Small, {"rate": "fast", "nmes": []}, "r")
    assert "rate: input should be a valid number, got 'fast'" in str(error.value)
    assert "nmes: no such key" in str(error.value)


def test_relative_paths_start_from_the_base_and_what_is_no_text_stays(tmp_path: Path) -> None:
    tree = {"a": {"p": "x/y", "q": "/abs", "r": 3}, "s": "z", "t": None}
    resolve_paths(tree, ["a.p", "a.q", "a.r", "a.gone", "s", "t", "s.deeper"], tmp_path)
    assert tree == {
        "a": {"p": str(tmp_path / "x/y"), "q": "/abs", "r": 3}, "s": str(tmp_path / "z"), "t": None,
    }  # fmt: skip
