"""Chinese words as evidence: exact negation, degree, question and person, and a native reader's sentences."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.chinese import chinese, signs
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.rules.words import read_words

SENTENCES = list(csv.DictReader((Path(__file__).parent / "sentences_zh.csv").read_text(encoding="utf-8").splitlines()))
# MERR's nine, and disgust: a label space of the nine has none.
TEN = LabelSpace("ten", (*MERR9.labels, "disgust"))


def weights(text: str) -> dict[str, float]:
    hits = read_words(Transcript((TranscriptLine(text),), "given")).hits
    labels = {label for hit in hits for label in hit.weights}
    return {label: sum(hit.weights.get(label, 0.0) for hit in hits) for label in labels}


def notes(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(hit.text, hit.notes) for hit in read_words(Transcript((TranscriptLine(text),), "given")).hits]


def test_a_plain_word_gives_its_weight_and_speaks_against_neutral() -> None:
    assert weights("我高兴。") == pytest.approx({"happy": 1.6, "neutral": -0.35 * 1.6})


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("我很高兴。", 1.0),  # 很 hardly says more than that it is so
        ("我非常高兴。", 1.293),
        ("我太高兴了。", 1.293),
        ("我高兴极了。", 1.293),
        ("我高兴得不得了。", 1.293),
        ("我有点高兴。", 0.707),
        ("我高兴！", 1.15),
        ("我高兴啊。", 1.15),
        ("他很高兴。", 0.4),
        ("他让我很高兴。", 1.0),
        ("高兴吗？", 0.4),  # who is asked is somebody else
        ("你高兴不高兴？", 0.4 + 0.4 / 2),
        ("我不是高兴。", -0.74),
        ("我并不觉得高兴。", -0.74),
        ("我没有那么高兴。", -0.74),
        ("我从来没高兴过。", -0.74),
        ("我不得不高兴。", 1.0),
        ("我能不高兴吗？", 1.0),
        ("我很高兴，但是累了。", 0.5),
        ("我很累，但是很高兴。", 1.5),
        ("別人很高興。", 0.4),  # traditional signs
        ("我很高興。", 1.0),
    ],
)
def test_degree_negation_question_and_person(text: str, share: float) -> None:
    assert weights(text)["happy"] == pytest.approx(1.6 * share)


def test_negated_happy_hints_at_sad_and_angry_and_negated_anger_at_nothing_much() -> None:
    found = weights("我没觉得幸福。")
    assert found["sad"] == pytest.approx(0.6 * 1.6)
    assert found["angry"] == pytest.approx(0.35 * 1.6)
    assert weights("我没生气。") == pytest.approx({"angry": -0.74 * 1.6, "neutral": 0.3 * 1.6})


def test_what_only_looks_like_a_negation() -> None:
    assert notes("我忍不住哭。") == [("哭", ())]
    assert notes("别人的事我难过什么。")[0][0] == "难过"
    assert "negated" in notes("别难过。")[0][1]
    assert "negated" not in dict(notes("对不起，我很难过。"))["难过"]


@pytest.mark.parametrize(
    "text", ["他的心脏很好。", "我恨不得飞过去。", "吃完了。", "他听摇滚。", "麻烦你了。", "这里不安全。"]
)
def test_no_feeling_is_found_inside_other_words(text: str) -> None:
    assert notes(text) == []


def test_the_longest_entry_wins() -> None:
    assert [text for text, _ in notes("我不放心。")] == ["不放心"]
    assert [text for text, _ in notes("我吓了一跳。")] == ["吓了一跳"]


def test_what_begins_a_sentence_may_begin_a_clause() -> None:
    assert notes("唉，完了！") != []
    assert [text for text, _ in notes("哎呀，坏了。")] == ["哎呀", "坏了"]
    assert notes("车坏了。") == []


@pytest.mark.inputs(
    "languages", "in Chinese signs, also beside lines of other languages", "read with the Chinese lexicon"
)
def test_lines_are_read_by_their_own_language() -> None:
    lines = (TranscriptLine("I am happy"), TranscriptLine("我很难过"), TranscriptLine("Ich bin sehr traurig heute"))
    reading = read_words(Transcript(lines, "given"))
    assert [hit.text for hit in reading.hits] == ["happy", "难过"]
    marked = Transcript((TranscriptLine("我很难过"),), "given", "zh-Hans")
    assert [hit.text for hit in read_words(marked).hits] == ["难过"]


def test_shipped_entries_are_written_as_they_are_matched() -> None:
    patterns = chinese().patterns
    assert len(patterns) >= 500
    for pattern in patterns:
        assert tuple(token.text for token in signs("".join(pattern.tokens))) == pattern.tokens
    labels = Counter(max(pattern.weights, key=lambda one: pattern.weights[one]) for pattern in patterns)
    expected = {"neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt", "disgust"}
    assert set(labels) == expected
    assert all(0 <= weight <= 2 for pattern in patterns for weight in pattern.weights.values())


@pytest.mark.timeout(20)
def test_hours_without_a_mark_are_read_quickly() -> None:
    assert len(read_words(Transcript((TranscriptLine("我不高兴今天天气好" * 3000),), "given")).hits) == 3000


def _outcome(row: dict[str, str]) -> str:
    label = predict_by_rules(
        Evidence(transcript=Transcript((TranscriptLine(row["text"]),), "given")), label_space=TEN
    ).label
    wanted = None if row["expected"] == "none" else row["expected"]
    if wanted is None:
        return "right" if label in (None, "neutral") else "wrong"
    return "right" if label == wanted else "none" if label in (None, "neutral") else "wrong"


def test_share_of_sentences_read_as_a_native_reader_expects() -> None:
    # Written with their labels before the rules were tried on them, by the hand that wrote the lexicon, which makes the
    # shares flattering. "tune" was looked at while mistakes were mended, "held" was not.
    for split, least in (("tune", 0.94), ("held", 0.85)):
        rows = [row for row in SENTENCES if row["split"] == split]
        found = Counter(_outcome(row) for row in rows)
        print(f"{split}: {len(rows)} sentences, {dict(found)}")
        assert len(rows) >= 30
        assert found["right"] >= least * len(rows)
        assert found["wrong"] <= 0.07 * len(rows)
