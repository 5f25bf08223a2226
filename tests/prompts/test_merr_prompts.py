"""Prompts of a build: every file formats with exactly its fields, shows the label where it may, and has its hash."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.prompts.prompt_files import (
    LANGUAGES,
    MERR_FIELDS,
    check_prompts,
    load_prompt,
    parse_prompt,
    prompt_hashes,
)

CASES = [(question, language) for question in MERR_FIELDS for language in LANGUAGES]


@pytest.mark.parametrize(("question", "language"), CASES)
def test_each_file_formats_with_exactly_its_fields(question: str, language: str) -> None:
    prompt = load_prompt("merr", f"{question}.{language}")
    assert prompt.fields == set(MERR_FIELDS[question])
    values = {name: f"<<{name}>>" for name in MERR_FIELDS[question]}
    system, user = prompt.filled(values)
    for value in values.values():
        assert f"{system}{user}".count(value) == 1
        assert value not in prompt.wording
    # What is left in braces is the JSON that is asked for: its doubled braces have become single ones.
    assert "{{" not in user
    assert ("{" in user) == (question != "again")
    for name in values:
        with pytest.raises(InputError, match=f"prompt {question}.{language} needs a value for '{name}'"):
            prompt.filled({k: v for k, v in values.items() if k != name})


@pytest.mark.parametrize(("question", "language"), CASES)
def test_the_hash_is_that_of_the_file(question: str, language: str) -> None:
    data = (files("emotion_llama.prompts") / "merr" / f"{question}.{language}.txt").read_bytes()
    assert load_prompt("merr", f"{question}.{language}").sha256 == hashlib.sha256(data).hexdigest()


def test_there_is_no_other_file() -> None:
    found = {path.name for path in (files("emotion_llama.prompts") / "merr").iterdir()}
    assert found == {f"{question}.{language}.txt" for question, language in CASES}


def test_languages_are_asked_for_in_themselves() -> None:
    for question, language in CASES:
        prompt = load_prompt("merr", f"{question}.{language}")
        han = len(re.findall(r"[\u4e00-\u9fff]", prompt.wording))
        assert (han > 20) == (language == "zh")
        if question != "again":
            assert ("Write in English." in prompt.user) == (language == "en")
            assert ("请用中文书写。" in prompt.user) == (language == "zh")


def test_only_reason_can_show_the_label() -> None:
    assert [question for question, fields in MERR_FIELDS.items() if "label" in fields] == ["reason"]
    for question in ("expression", "visual", "audio", "check", "infer"):
        with pytest.raises(InputError, match=r"there is no field \{label\} here"):
            parse_prompt("[user]\n{label} {labels} {text}", "merr", f"{question}.en")


def test_what_is_filled_in_is_never_read_as_a_field() -> None:
    prompt = load_prompt("merr", "reason.en")
    values = dict.fromkeys(MERR_FIELDS["reason"], "{label} {0} {{x}}")
    _, user = prompt.filled(values)
    assert user.count("{label} {0} {{x}}") == len(values)


def test_own_prompts_beside_the_packages(tmp_path: Path) -> None:
    text = '[system]\r\nBe brief.\r\n[user]\r\nWhat is there? {{"text": ...}}\r\n'
    (tmp_path / "visual.en.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    own = load_prompt("merr", "visual.en", tmp_path)
    assert own.filled({}) == ("Be brief.", 'What is there? {"text": ...}')
    assert own.sha256 == hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
    assert load_prompt("merr", "audio.en", tmp_path) == load_prompt("merr", "audio.en")
    assert check_prompts("merr", tmp_path) == ("visual.en",)
    names = [f"{question}.{language}" for question in ("visual", "reason", "infer", "again") for language in LANGUAGES]
    plain, changed = prompt_hashes("merr", None, names), prompt_hashes("merr", tmp_path, names)
    assert set(plain) == set(names)
    assert {name for name in plain if plain[name] != changed[name]} == {"visual.en"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("visual.en", "What is there?", r"expected a part \[system\] \(or none\) and a part \[user\]"),
        ("visual.en", "[user]\n", "each once and not empty"),
        ("visual.en", "[user]\na\n[user]\nb", "each once and not empty"),
        ("visual.en", "hello\n[user]\na", "each once and not empty"),
        ("visual.en", "[system]\na", "each once and not empty"),
        ("visual.en", "[user]\nWhat? {place}", r"no field \{place\} here \(there are: none\)"),
        ("audio.en", "[user]\nWhat? {tone}", r"no field \{tone\} here \(there are: measured\)"),
        ("visual.en", "[user]\nWhat? {}", r"no field \{\} here"),
        ("visual.en", '[user]\nWhat? {"text": 1}', "there is no field|without format"),
        ("visual.en", "[user]\nWhat? {", "a brace stands alone"),
        ("audio.en", "[user]\nWhat? {measured!r}", "without format or conversion"),
        ("audio.en", "[user]\nWhat? {measured:>9}", "without format or conversion"),
        ("reason.en", "[user]\nWhy? {subtitle}", r"the field \{label\} is needed and does not occur"),
        ("infer.en", "[user]\nWhy? {subtitle}", r"the field \{labels\} is needed"),
        ("check.en", "[user]\nWhy? {subtitle}", r"the field \{text\} is needed"),
        ("again.en", "[user]\nAgain.", r"the field \{problem\} is needed"),
        ("visula.en", "[user]\nWhat?", r"visula\.en\.txt is no prompt's name \(they are: expression\.en, "),
    ],
)
def test_own_prompts_that_cannot_be_used(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        check_prompts("merr", tmp_path)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no prompt"):
        check_prompts("merr", tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        check_prompts("merr", tmp_path / "x")
    (tmp_path / "visual.en.txt").write_bytes(b"[user]\n\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        check_prompts("merr", tmp_path)
    with pytest.raises(InputError, match=r"no merr prompt 'colour\.en' \(there are: expression\.en, .*again\.zh\)"):
        load_prompt("merr", "colour.en")
    with pytest.raises(InputError, match=r"no merr prompt 'visual\.fr'"):
        load_prompt("merr", "visual.fr")
