"""JSON of strangers: each way in which it can be wrong is a ValueError that says so."""

from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.merr.inputs import read_manifest
from emotion_llama.merr.io.content import FileContent
from emotion_llama.merr.io.merr_files import read_published
from emotion_llama.tables import parse_json


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "Expecting property name"),
        ("[" * 200_000, "parts stand in parts without end"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ('{"a": "x\\ud83d"}', "a text holds half a character"),
        ('{"\\uDE00": 1}', "a text holds half a character"),
        ("9" * 5000, "Exceeds the limit"),
    ],
    ids=["broken", "deep", "nan", "infinity", "half", "half a key", "long number"],
)
def test_what_cannot_be_used_is_a_value_error(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_json(text)


def test_whole_characters_come_through_and_pairs_are_seen() -> None:
    text = '{"a": ["\\ud83d\\ude00", "好", "\\\\ud83d", 1.5, null]}'
    assert parse_json(text) == {"a": ["😀", "好", "\\ud83d", 1.5, None]}
    seen: list[int] = []

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        seen.append(len(items))
        return dict(items)

    assert parse_json('{"a": 1, "a": 2}', pairs) == {"a": 2}
    assert seen == [2]


def test_files_of_strangers_end_in_a_message(tmp_path: Path) -> None:
    deep = '{"a": ' + "[" * 200_000
    with pytest.raises(InputError, match=r"MERR is no JSON .parts stand in parts without end"):
        read_published(deep, FileContent("MERR", "0"), MERR9)
    (tmp_path / "clips.jsonl").write_text(deep)
    with pytest.raises(InputError, match=r"clips\.jsonl, line 1: .*parts without end"):
        read_manifest(tmp_path / "clips.jsonl", MERR9)
