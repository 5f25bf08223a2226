"""Agreement figures against hand-computed values, published examples and independent implementations."""

import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.evaluation.agreement import MACHINE, Agreement, Coding, agree
from emotion_llama.evaluation.metrics import agreement as metrics
from emotion_llama.evaluation.metrics.agreement import DIFFERENCE, HUMANS, OURS, intensity_of
from emotion_llama.evaluation.metrics.intervals import bootstrap
from emotion_llama.merr.review.figures import agreement as review_agreement


@pytest.fixture(scope="module")
def coders() -> tuple[np.ndarray, np.ndarray]:
    """Labels and intensities of three coders at 200 times."""
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 4, 200)
    codes = np.array([np.where(rng.random(200) < share, truth, rng.integers(0, 4, 200)) for share in (0.9, 0.7, 0.5)])
    missing = rng.random((3, 200)) < 0.1
    values = np.clip(truth + rng.normal(0, 0.7, (3, 200)), 0, 5)
    return np.array([codes, np.where(missing, -1, codes)]), np.array([values, np.where(missing, np.nan, values)])


def test_kappa_is_scikit_learns(coders: tuple[np.ndarray, np.ndarray]) -> None:
    first, second, _ = coders[0][0]
    counts = metrics.confusion_counts(first, second, 4)
    assert metrics.kappa(counts) == pytest.approx(sklearn.cohen_kappa_score(first, second))
    for power, weights in ((1, "linear"), (2, "quadratic")):
        ours = metrics.kappa(counts, metrics.distances(4, power))
        assert ours == pytest.approx(sklearn.cohen_kappa_score(first, second, weights=weights))
    assert metrics.kappa(counts) == pytest.approx(review_agreement(list(zip(first, second, strict=True)))["kappa"])
    assert np.isnan(metrics.kappa(np.diag([5.0, 0.0])))  # one label only


def test_precision_recall_f1_are_scikit_learns(coders: tuple[np.ndarray, np.ndarray]) -> None:
    first, second, _ = coders[0][0]
    ours = metrics.precision_recall_f1(metrics.confusion_counts(first, second, 4))
    np.testing.assert_allclose(ours, sklearn.precision_recall_fscore_support(first, second)[:3])


def test_alpha_and_icc_are_those_of_other_packages(coders: tuple[np.ndarray, np.ndarray]) -> None:
    # krippendorff 0.9.0 and pingouin 0.7.0 (its ICC(A,1)) on the same arrays.
    labels, values = coders
    assert metrics.alpha_nominal(metrics.coincidence_counts(labels[1], 4)) == pytest.approx(0.49846159498158504)
    assert metrics.alpha_interval(metrics.interval_sums(values[1])) == pytest.approx(0.7212087931106577)
    assert metrics.icc(metrics.icc_sums(values[0])) == pytest.approx(0.712356715034049)


def test_alpha_of_krippendorffs_own_example() -> None:
    # Four observers, twelve units: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), sections C and D.
    none = np.nan
    table = np.array([
        [1, 2, 3, 3, 2, 1, 4, 1, 2, none, none, none], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, none, 3],
        [none, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, none], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, none],
    ])  # fmt: skip
    codes = np.where(np.isnan(table), -1, table).astype(int)
    assert metrics.alpha_nominal(metrics.coincidence_counts(codes, 6)) == pytest.approx(0.743, abs=5e-4)
    assert metrics.alpha_interval(metrics.interval_sums(table)) == pytest.approx(0.849, abs=5e-4)


def test_icc_of_shrout_and_fleiss() -> None:
    # Six targets, four judges: Shrout & Fleiss, Psychological Bulletin 86 (1979), tables 2 and 4.
    judges = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], float)
    assert metrics.icc(metrics.icc_sums(judges)) == pytest.approx(0.29, abs=5e-3)


def test_episodes_match_one_to_one_with_the_most_overlap() -> None:
    first = [(0.0, 2.0, "happy"), (3.0, 4.0, "sad")]
    second = [(1.9, 2.5, "happy"), (0.5, 1.8, "happy"), (3.0, 4.0, "angry")]
    assert metrics.matched_episodes(first, second) == [(0, 1)]
    assert metrics.matched_episodes(first, []) == []


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[evaluation\]"):
        metrics.matched_episodes([], [])


def test_intensities() -> None:
    assert [intensity_of(text) for text in ("2.5", "b", "E")] == [2.5, 2.0, 5.0]
    assert all(np.isinf(intensity_of(text)) for text in ("", "yes", "60", "nan"))


def value(found: Agreement, section: str, name: str, between: str = OURS, of: str = "") -> float:
    figure = found.figure(section, name, between, of)
    assert figure is not None
    assert figure.value is not None
    return figure.value


def test_figures_of_a_clip_by_hand() -> None:
    # Ten seconds in steps of 1 s. Anna: 6 happy, 4 sad. Machine: 5 happy, 5 sad; one second differs.
    anna = Coding("anna", "talk", None, ((0, 6, "Happiness"), (6, 10, "sad")), {"AU12": ((1, 3, "B"),)}, (2.0,))
    ours = Coding(MACHINE, "talk", None, ((0, 5, "happy"), (5, 10, "sad")), {"AU12": ((2, 4, "3"),)}, (2.5, 9.0), 10.0)
    found = agree([anna, ours], step_seconds=1.0)
    # p_o = .9, p_e = .6 * .5 + .4 * .5 = .5
    assert value(found, "labels", "Cohen's kappa") == pytest.approx(0.8)
    assert value(found, "label", "recall", of="happy") == pytest.approx(5 / 6)
    assert value(found, "label", "precision", of="sad") == pytest.approx(4 / 5)
    assert found.confusion.tolist() == [[5, 1], [0, 4]]
    assert found.labels == ("happy", "sad")
    # Anna 0220000000, machine 0033000000: present together in one of three seconds.
    assert value(found, "unit", "F1 at 2", of="AU12") == pytest.approx(0.5)
    assert value(found, "unit", "F1 at 3", of="AU12") == 0.0
    assert value(found, "label episodes", "onset error") == pytest.approx(0.5)  # 0 and 1 s
    assert value(found, "label episodes", "offset, machine later") == pytest.approx(-0.5)
    assert value(found, "unit episodes", "onset error") == pytest.approx(1.0)
    assert value(found, "peaks", "distance") == pytest.approx(0.5)
    assert found.figure("labels", "Cohen's kappa", HUMANS) is None
    assert all(one.low is None for one in found.figures)  # one clip


LABELS = ("happy", "sad", "angry")


def coding(coder: str, clip: str, labels: list[str]) -> Coding:
    spans = tuple((float(i), i + 1.0, label) for i, label in enumerate(labels))
    return Coding(coder, clip, None, spans, duration_seconds=float(len(labels)))


def many_clips(shuffled: bool) -> Agreement:
    rng = np.random.default_rng(3)
    codings = []
    for number in range(30):
        labels = rng.choice(LABELS, 20).tolist()
        said = rng.permutation(labels).tolist() if shuffled else labels
        codings += [coding("anna", f"c{number:02d}", labels), coding(MACHINE, f"c{number:02d}", said)]
    return agree(codings, step_seconds=0.5, num_resamples=500)


@pytest.mark.parametrize(("shuffled", "expected"), [(False, 1.0), (True, 0.0)])
def test_a_perfect_coder_gives_1_and_a_shuffled_one_0_within_its_interval(shuffled: bool, expected: float) -> None:
    found = many_clips(shuffled)
    for name in ("Cohen's kappa", "Krippendorff's alpha"):
        figure = found.figure("labels", name, OURS)
        assert figure is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low - 1e-9 <= expected <= figure.high + 1e-9
        assert (figure.high - figure.low < 1e-9) is not shuffled


def test_intervals_are_those_of_the_bootstrap_over_clips() -> None:
    found = many_clips(shuffled=True)
    rng = np.random.default_rng(3)
    sums = []
    for _ in range(30):
        labels = rng.choice(3, 20)
        sums.append(metrics.confusion_counts(labels, rng.permutation(labels), 3))
    expected = bootstrap(lambda rows: float(metrics.kappa(np.array(sums)[rows].sum(axis=0))), 30, num_resamples=500)
    figure = found.figure("labels", "Cohen's kappa", OURS)
    assert figure is not None
    assert (figure.value, figure.low, figure.high) == pytest.approx(expected)


def test_humans_stand_beside_the_machine() -> None:
    codings = []
    for number in range(4):
        labels = ["happy", "sad", "sad", "angry"]
        codings += [coding("anna", f"c{number:02d}", labels), coding("ben", f"c{number:02d}", labels)]
        codings.append(coding(MACHINE, f"c{number:02d}", ["happy", "sad", "angry", "angry"]))
    found = agree(codings, step_seconds=1.0, order=("sad", "angry", "happy"), num_resamples=50)
    ours = value(found, "labels", "Cohen's kappa")
    assert value(found, "labels", "Cohen's kappa", HUMANS) == pytest.approx(1.0)
    assert value(found, "labels", "Cohen's kappa", "anna & machine") == pytest.approx(ours)
    assert value(found, "labels", "Cohen's kappa", DIFFERENCE) == pytest.approx(ours - 1)
    assert value(found, "labels", "kappa, linear", HUMANS) == pytest.approx(1.0)
    assert value(found, "label", "F1", of="sad") == pytest.approx(2 / 3)  # P 1, R 1/2


def test_what_does_not_fit_is_said_and_counted() -> None:
    anna = [coding("anna", "a", ["bored", "sad", "sad"]), coding("anna", "b", ["sad"]), coding("anna", "x", ["sad"])]
    ben = [coding("ben", "a", ["happy", "sad"])]
    ours = [
        coding(MACHINE, "a", ["happy", "(no answer)", "sad"]),
        coding(MACHINE, "b", ["sad"]),
        coding(MACHINE, "y", []),
    ]
    found = agree([*anna, *ben, *ours], step_seconds=1.0)
    said = "\n".join(found.notes)
    for part in ('"bored" of anna', "clips that are not among our results: 1 (x)", "clips that no human codes: 1 (y)",
                 "clips that ben does not code: 1 (b)", "ben: no label for 1.0 of 3.0 s",
                 "machine: no answer for 1.0 of 4.0 s",
                 "label episodes: anna 3, machine 4, matched 2"):  # fmt: skip
        assert part in said
    assert found.labels[-2:] == ("bored", "(no answer)")
    filled = agree([*anna, *ben, *ours], step_seconds=1.0, gaps="neutral", renamed={"bored": "neutral"})
    assert "neutral" in filled.labels
    assert "bored" not in filled.labels


def test_codings_that_cannot_be_compared() -> None:
    one = coding("anna", "a", ["sad"])
    with pytest.raises(InputError, match="twice"):
        agree([one, one])
    with pytest.raises(InputError, match="no clip is coded twice"):
        agree([one, coding(MACHINE, "b", ["sad"])])
    with pytest.raises(InputError, match="--order names bored"):
        agree([one, coding(MACHINE, "a", ["sad"])], order=("bored",))
    with pytest.raises(InputError, match="nothing to compare"):
        agree([Coding("anna", "a", peaks=(1.0,)), coding(MACHINE, "a", ["sad"])])


def test_units_absent_unmeasured_and_without_intensity() -> None:
    curves = (np.array([0.0, 1.0]), np.array([[2.0], [np.nan]]))
    ours = [Coding(MACHINE, "a", 1, (), {"AU12": ((0, 1, "2"),)}, (), 4.0, True, (), curves),
            Coding(MACHINE, "b", 1, (), {}, (), 4.0, True, (), (np.array([]), np.array([])))]  # fmt: skip
    anna = [Coding("anna", "a", None, (), {"AU12": ((0, 1, "yes"),)}), Coding("anna", "b", None, (), {})]
    found = agree([*anna, *ours], step_seconds=0.5)
    assert value(found, "unit", "F1 at 1", of="AU12") == 1.0  # what was not measured counts for nobody
    assert found.figure("unit", "ICC(2,1)", OURS, "AU12") is None
    assert any("AU12: anna" in note for note in found.notes)
