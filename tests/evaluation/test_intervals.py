"""Bootstrap and paired tests, against closed forms and scikit-learn's figures."""

import numpy as np
import pytest
from scipy.stats import binomtest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import label_score, score_labels
from emotion_llama.evaluation.metrics.intervals import bootstrap, mcnemar

RNG = np.random.default_rng(7)
TRUTH = [("a", "b", "c")[i] for i in RNG.integers(3, size=400)]
ANSWERS = [t if u < 0.7 else ("a", "b", None)[i] for t, u, i in zip(TRUTH, RNG.random(400), RNG.integers(3, size=400))]


@pytest.mark.parametrize("metric", ["accuracy", "uar", "weighted_f1", "macro_f1"])
def test_quick_scores_equal_the_full_ones(metric: str) -> None:
    quick = label_score(TRUTH, ANSWERS, metric)
    for seed in range(5):
        rows = np.random.default_rng(seed).integers(400, size=60)
        full = score_labels([TRUTH[i] for i in rows], [ANSWERS[i] for i in rows])
        assert quick(rows) == pytest.approx(full[metric], abs=1e-12)


def test_interval_of_a_share_is_the_binomial_one() -> None:
    right = np.zeros(400)
    right[:300] = 1.0
    found = bootstrap(lambda rows: float(right[rows].mean()), 400)
    spread = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - spread, abs=0.008)
    assert found.high == pytest.approx(0.75 + spread, abs=0.008)
    assert found == bootstrap(lambda rows: float(right[rows].mean()), 400)


def test_clips_of_one_person_widen_the_interval() -> None:
    right = np.repeat(np.arange(20) % 2, 20).astype(float)  # twenty people, all their clips right or all wrong
    people = [str(i // 20) for i in range(400)]
    alone = bootstrap(lambda rows: float(right[rows].mean()), 400)
    grouped = bootstrap(lambda rows: float(right[rows].mean()), 400, groups=people)
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)  # sqrt(20) = 4.5 times as wide


def test_mcnemar_by_hand() -> None:
    # 10 clips only the first has right, 2 only the second: p = 2 (C(12,0) + C(12,1) + C(12,2)) / 2^12
    first = [True] * 50 + [True] * 10 + [False] * 2 + [False] * 38
    second = [True] * 50 + [False] * 10 + [True] * 2 + [False] * 38
    share = [
        label_score(["right"] * 100, ["right" if r else None for r in side], "accuracy") for side in (first, second)
    ]
    assert mcnemar(first, second) == (pytest.approx(2 * (1 + 12 + 66) / 4096), 10, 2)
    assert mcnemar(first, first) == (1.0, 0, 0)
    for only_first, only_second in ((0, 1), (3, 3), (0, 40), (700, 800), (60, 2000)):
        sides = [True] * only_first + [False] * only_second, [False] * only_first + [True] * only_second
        expected = binomtest(only_first, only_first + only_second).pvalue
        assert mcnemar(*sides)[0] == pytest.approx(expected, rel=1e-9, abs=1e-300)
    difference = bootstrap(lambda rows: share[0](rows) - share[1](rows), 100)
    assert difference.value == pytest.approx(0.08)
    assert 0 < difference.low < 0.08 < difference.high


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least one clip"):
        bootstrap(lambda rows: 0.0, 0)
    with pytest.raises(InputError, match="2 clips and 1 groups"):
        bootstrap(lambda rows: 0.0, 2, groups=["a"])
