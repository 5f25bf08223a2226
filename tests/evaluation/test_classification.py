"""Scores of labels: the published confusion matrices, and what silence costs."""

import pytest
from confusion import from_confusion

from emotion_llama.evaluation.metrics.classification import NO_ANSWER, score_labels

LABELS = ("angry", "happy", "neutral", "sad", "surprise", "worried")
# Emotion-LLaMA's own results: result/MER2023.txt, and the MER2024-NOISE answers of MER2024-best.pth.
MER2023 = [[179, 1, 2, 1, 0, 0], [2, 152, 7, 4, 3, 1], [10, 10, 134, 6, 2, 4],
           [2, 2, 1, 250, 0, 2], [1, 0, 3, 1, 6, 3], [4, 1, 3, 2, 1, 34]]  # fmt: skip
NOISE = [[224, 0, 5, 2, 4, 1], [1, 213, 16, 0, 2, 1], [23, 24, 128, 17, 11, 29],
         [3, 2, 5, 284, 0, 1], [6, 1, 2, 0, 42, 4], [2, 0, 6, 2, 3, 106]]  # fmt: skip


def test_published_confusion_matrices_give_the_published_figures() -> None:
    mer2023 = score_labels(*from_confusion(MER2023, LABELS))
    assert mer2023["num_clips"] == 834
    assert mer2023["weighted_f1"] == pytest.approx(0.9035772132511264, abs=1e-15)
    assert mer2023["accuracy"] == pytest.approx(0.90528, abs=5e-6)
    assert mer2023["uar"] == pytest.approx(0.8069, abs=5e-5)
    assert mer2023["macro_f1"] == pytest.approx(0.8134, abs=5e-5)
    noise = score_labels(*from_confusion(NOISE, LABELS))
    assert noise["num_clips"] == 1170
    assert noise["weighted_f1"] == pytest.approx(0.8458065521840188, abs=1e-15)
    assert noise["accuracy"] == pytest.approx(0.85214, abs=5e-6)


def test_confusion_survives_the_way_there_and_back() -> None:
    scores = score_labels(*from_confusion(MER2023, LABELS), labels=LABELS)
    assert scores["labels"] == LABELS
    assert scores["confusion"][:, :-1].tolist() == MER2023
    assert scores["confusion"][:, -1].tolist() == [0] * 6
    assert scores["supports"] == dict(zip(LABELS, (183, 169, 166, 257, 14, 45), strict=True))


def test_silence_counts_as_wrong_and_is_counted_apart() -> None:
    scores = score_labels(["sad", "sad", "happy", "happy"], ["sad", None, "happy", "sad"])
    assert (scores["num_unanswered"], scores["accuracy"], scores["answered_accuracy"]) == (1, 0.5, pytest.approx(2 / 3))
    assert scores["recalls"] == {"happy": 0.5, "sad": 0.5}
    # sad: TP 1, FP 1, FN 1 -> 1/2; happy: TP 1, FP 0, FN 1 -> 2/3
    assert scores["weighted_f1"] == pytest.approx((0.5 + 2 / 3) / 2)
    assert NO_ANSWER not in scores["labels"]
    assert score_labels(["sad"], [None])["answered_accuracy"] is None


def test_an_answer_outside_the_truth_lowers_macro_but_not_weighted_f1() -> None:
    scores = score_labels(["sad", "sad", "sad"], ["sad", "sad", "fear"], labels=("sad", "fear", "doubt"))
    assert scores["weighted_f1"] == pytest.approx(0.8)
    assert scores["macro_f1"] == pytest.approx(0.4)  # of sad and fear; doubt occurs nowhere
    assert scores["uar"] == pytest.approx(2 / 3)
