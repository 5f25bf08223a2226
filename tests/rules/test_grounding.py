"""The judge of groundedness: what a text names that was not given, in both languages."""

import pytest

from emotion_llama.rules.clues import cues_in, find_problems, quotations, without_quotations
from emotion_llama.rules.wording import wording


@pytest.mark.parametrize(
    ("text", "given", "found"),
    [
        ("She smiles broadly.", "corners of the mouth clearly pulled up", []),
        ("She smiles broadly.", "eyebrows slightly lowered", ["mouth corners up"]),
        ("Her voice trembles and she is loud.", "The voice is loud.", ["trembling"]),
        ("There are tears in her eyes.", "eyes slightly narrowed", ["tears"]),
        ("She does not smile.", "eyebrows slightly lowered", []),
        ("On the other hand, nothing is known.", "", []),
        ("He raises a hand.", "", ["hands"]),
        ("She frowns with widened eyes.", "eyebrows raised, eyes widened", ["eyebrows lowered"]),
    ],
)
def test_english_cues(text: str, given: str, found: list[str]) -> None:
    assert [p.cue for p in find_problems(text, [given], "", "en")] == found


@pytest.mark.parametrize(
    ("text", "given", "found"),
    [
        ("她面带微笑。", "嘴角明显上扬", []),
        ("她面带微笑。", "眉头微微皱起", ["mouth corners up"]),
        ("她没有笑。", "眉头微微皱起", []),
        ("他声音颤抖，语速很快。", "说话时语速快", ["trembling"]),
        ("他流下眼泪。", "", ["tears"]),
    ],
)
def test_chinese_cues(text: str, given: str, found: list[str]) -> None:
    assert [p.cue for p in find_problems(text, [given], "", "zh")] == found


def test_what_the_person_says_is_no_claim_about_them() -> None:
    text = "She says “stop smiling, you are loud” in a quiet voice."
    assert find_problems(text, ["The voice is quiet."], "Stop smiling, you are loud.", "en") == []


def test_words_that_were_not_said() -> None:
    (problem,) = find_problems("He says “I hate you”.", [], "I hate rain.", "en")
    assert (problem.kind, problem.words) == ("quote", "I hate you")
    assert find_problems("他说「我恨你」。", [], "我恨你！", "zh") == []
    assert find_problems('He says "I HATE  you".', [], "I hate you!", "en") == []


def test_the_words_that_name_a_cue_are_told() -> None:
    assert cues_in("a Frowning man", wording("en")) == {"eyebrows lowered": "Frowning"}


def test_quotations_of_all_kinds() -> None:
    assert quotations('“a” "b" 「c」 『d』 “ ”') == ["a", "b", "c", "d"]
    assert without_quotations("x “a” y") == "x   y"
