import pytest

from emotion_llama.errors import InputError
from emotion_llama.prompts import target_text


@pytest.mark.parametrize(
    ("raw", "published"),
    [
        ("Worried", "worried"),
        ("A 3.5: (b) c*d#e~f;g!", "a 3 5 b c d e f g"),
        ("It's fine?\n", "it's fine?"),
        ("  two  blanks,\n\nand lines ", "two blanks, and lines"),
        ("one\nline end", "one\nline end"),  # a single line end is kept: only runs of two blanks are collapsed
        (" ".join(f"w{i}" for i in range(205)), " ".join(f"w{i}" for i in range(200))),
    ],
)
def test_published_rule(raw: str, published: str) -> None:
    assert target_text(raw, "published") == published


def test_plain_rule_keeps_the_text() -> None:
    assert target_text(" She is Happy.\n  Why? ", "plain") == "She is Happy. Why?"


def test_nothing_left_and_unknown_rule() -> None:
    with pytest.raises(InputError, match=r"nothing is left of the answer '\.\.\.' by the rule 'published'"):
        target_text("...")
    with pytest.raises(InputError, match="no target rule 'raw' \\(there are: plain, published\\)"):
        target_text("x", "raw")
