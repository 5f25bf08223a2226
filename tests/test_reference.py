"""The generated blocks of the documents: found, filled, and true to the tables they are made of."""

import pytest

import reference_tables as tables
from emotion_llama.errors import InputError
from reference import fill_blocks
from reference_options import OPTION_BLOCKS

PAGE = "# Page\n\n<!-- generated: one -->\nold\n<!-- end -->\n\nText.\n<!-- generated: two -->\n<!-- end -->\n"


def test_blocks_are_filled_and_the_rest_is_kept() -> None:
    filled = fill_blocks(PAGE, {"one": lambda: "1", "two": lambda: "2\n2"})
    assert filled == (
        "# Page\n\n<!-- generated: one -->\n1\n<!-- end -->\n\nText.\n<!-- generated: two -->\n2\n2\n<!-- end -->\n"
    )
    assert fill_blocks(filled, {"one": lambda: "1", "two": lambda: "2\n2"}) == filled


@pytest.mark.parametrize(
    ("page", "has"),
    [("no block", "none"), (PAGE, "one, two"), (PAGE.replace("two", "one"), "one, one")],
    ids=["missing", "unknown", "doubled"],
)
def test_a_page_with_other_blocks_is_refused(page: str, has: str) -> None:
    with pytest.raises(InputError, match=f"expected one block each of one; the page has {has}"):
        fill_blocks(page, {"one": lambda: "1"})


def _row(table: str, begin: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {begin}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_scale_without_its_length_gets_it() -> None:
    assert _row(tables.unit_table(), "AU04")[2] == "7 mm, two thirds of the maximal raise: no published norm"
    assert _row(tables.unit_table(), "AU01")[2] == "10.6 mm, mean maximal brow raise"


def test_bounds_of_the_tone_have_their_units() -> None:
    # 22.35 and 38.89 semitones above 27.5 Hz
    assert _row(tables.tone_table(), "median pitch")[1:5] == [
        "low-pitched: < 100 Hz", "high-pitched: > 260 Hz", "-3 semitones", "+3 semitones",
    ]  # fmt: skip
    assert _row(tables.tone_table(), "pitch range, from 1 s voiced")[3:5] == ["x 0.6", "x 1.6"]
    assert _row(tables.tone_table(), "share of pauses, from 2 pauses")[1:5] == ["-", "halting: > 0.35", "-", "-"]


def test_a_rule_says_how_many_of_its_units_it_needs() -> None:
    assert _row(tables.face_rule_table(), "fear")[2] == "4 of 7, AU04 or AU20 among them"  # half of seven, rounded up
    assert _row(tables.face_rule_table(), "sad")[2] == "2 of 3"


def test_a_side_of_a_band_without_weights_is_open() -> None:
    assert _row(tables.voice_rule_table(), "share of pauses")[1] == "up to 0.35"
    assert _row(tables.voice_rule_table(), "harmonicity")[1] == "from 4"
    assert _row(tables.voice_rule_table(), "pitch slope")[1] == "-12 to 5"


def test_gestures_need_their_outermost_frames_too() -> None:
    # 0.5 s of tremor and one frame of 10 ms at either end
    assert _row(tables.prosody_table(), "`tremor_depth_percent`")[3] == "0.2 s voiced; a run of 0.52 s"


def test_every_option_of_recipes_and_annotators_has_its_default() -> None:
    recipes, annotators = OPTION_BLOCKS["docs/merr-recipes.md"], OPTION_BLOCKS["docs/merr-annotators.md"]
    assert "| `select.neutral_share` | `0.2` |" in recipes["select"]()
    assert "| worried | AU01, AU04, AU20 | 50% | AU01, AU20 |" in recipes["joined"]()
    assert "| `max_attempts` | `6` |" in annotators["openai"]()
    assert "| `visual` | `text` (text) |" in annotators["replies"]()
