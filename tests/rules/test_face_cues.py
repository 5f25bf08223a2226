"""Action units as evidence: what each table reads, and how peak, time, speech, blinks and confidence count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.labels import DFEW7, MERR9, LabelSpace
from emotion_llama.records import AU_NAMES, ActionUnits, PeakFrame, frame_seconds
from emotion_llama.results import Evidence
from emotion_llama.rules.face_cues import degree, read_face, saturating
from emotion_llama.rules.rule_tables import FACE_TABLES, FaceTable
from emotion_llama.rules.scoring import predict_by_rules, score

Make = Callable[..., ActionUnits]
PUBLISHED, FACTORY = FACE_TABLES["published"], FACE_TABLES["mer-factory"]


def likeliest(units: ActionUnits, table: str = "published", space: LabelSpace = MERR9) -> str:
    """What the cues rank first, whether or not they carry a label."""
    shares = score(predict_by_rules(Evidence(units), table, space).cues, space).probabilities
    return max(shares, key=lambda label: shares[label])


def sums(units: ActionUnits | None, peak: PeakFrame | None = None, table: str = "published") -> dict[str, float]:
    found: dict[str, float] = {}
    for cue in read_face(units, peak, FACE_TABLES[table]).cues:
        for label, weight in cue.weights.items():
            found[label] = found.get(label, 0.0) + weight
    return found


def peak_at(seconds: float, **units: float) -> PeakFrame:
    return PeakFrame(round(seconds * 10), seconds, sum(units.values()), "all", None, units, "by hand")


@pytest.mark.parametrize(
    ("units", "label"),
    [
        ({"AU06": 2.4, "AU12": 2.4}, "happy"),
        ({"AU12": 2.0}, "happy"),
        ({"AU06": 2.0, "AU12": 2.0, "AU14": 1.0}, "happy"),
        ({"AU01": 1.6, "AU04": 1.6, "AU15": 1.6}, "sad"),
        ({"AU05": 1.6, "AU26": 1.6}, "surprise"),
        ({"AU01": 2.0, "AU02": 2.0, "AU05": 2.0, "AU26": 2.0}, "surprise"),
        ({"AU04": 2.0, "AU05": 1.0, "AU07": 2.0, "AU23": 2.0}, "angry"),
        ({"AU04": 2.0, "AU07": 2.0}, "angry"),
        ({"AU01": 2, "AU02": 2, "AU04": 2, "AU05": 2, "AU07": 2, "AU20": 2, "AU26": 2}, "fear"),
        ({"AU12": 1.6, "AU14": 2.4}, "contempt"),
        ({"AU14": 2.0}, "neutral"),
        ({"AU01": 2.0, "AU04": 2.0, "AU20": 2.0}, "worried"),
        ({"AU04": 2.0, "AU14": 2.0, "AU17": 2.0}, "doubt"),
        ({"AU02": 2.0, "AU14": 1.0, "AU17": 2.0}, "doubt"),
        ({}, "neutral"),
        ({"AU25": 2.0, "AU45": 3.0}, "neutral"),
    ],
)
def test_published_table_reads_its_own_combinations(units: dict[str, float], label: str, make_units: Make) -> None:
    assert likeliest(make_units(**units)) == label


@pytest.mark.parametrize(
    ("units", "label"),
    [
        ({"AU06": 1.6, "AU12": 1.6}, "happy"),  # 2 of 3, mean 1.07
        ({"AU06": 1.0, "AU12": 1.0}, "neutral"),  # 2 of 3, mean 0.67: below MER-Factory's threshold
        ({"AU04": 2.0, "AU05": 2.0, "AU07": 2.0}, "angry"),  # 3 of 6, mean 1.0
        ({"AU04": 3.0, "AU05": 3.0}, "neutral"),  # 2 of 6
        ({"AU01": 2.0, "AU15": 2.0}, "sad"),  # 2 of 4
        ({"AU20": 1.0}, "worried"),
    ],
)
def test_mer_factory_table_keeps_its_shares_and_threshold(
    units: dict[str, float], label: str, make_units: Make
) -> None:
    assert likeliest(make_units(**units), "mer-factory") == label


def test_tables_hold_the_published_units() -> None:
    def of(table: FaceTable, label: str) -> list[str]:
        return ["+".join(str(int(unit[2:])) for unit in rule.units) for rule in table.rules if rule.label == label]

    assert {label: of(PUBLISHED, label)[0] for label in ("surprise", "happy", "sad", "angry")} == {
        "surprise": "5+26", "happy": "6+12", "sad": "1+4+15", "angry": "4+5+7+23",
    }  # fmt: skip
    assert of(FACTORY, "worried") == ["28+20"]
    assert len(FACTORY.rules) == 8
    # Neither published table has neutral or doubt; the published one gets a doubt of our own, which says so.
    assert {rule.label for rule in FACTORY.rules}.isdisjoint({"neutral", "doubt"})
    assert all("own rule" in rule.origin for rule in PUBLISHED.rules if rule.label in ("doubt", "worried"))


def test_saturation_is_a_half_three_quarters_and_seven_eighths() -> None:
    assert saturating(np.array([0.0, 0.8, 1.6, 2.4])) == pytest.approx([0.0, 0.5, 0.75, 0.875])
    assert [degree(x) for x in (0.79, 0.8, 1.6, 2.4)] == ["faint", "slight", "moderate", "strong"]


def test_weight_of_a_smile_by_hand(make_units: Make) -> None:
    # 3.0 x mean(1/2, 1/2), held all the time; neutral loses half of it.
    assert sums(make_units(AU06=0.8, AU12=0.8)) == pytest.approx({"happy": 1.5, "neutral": -0.75})


def test_smile_without_cheeks_is_weaker(make_units: Make) -> None:
    # 3.0 x mean(0, 7/8)
    assert sums(make_units(AU12=2.4))["happy"] == pytest.approx(1.3125)
    assert sums(make_units(AU06=2.4, AU12=2.4))["happy"] == pytest.approx(2.625)


def test_cheeks_alone_are_no_smile(make_units: Make) -> None:
    # AU06 in no combination that holds: 0.3 x 7/8.
    assert sums(make_units(AU06=2.4)) == pytest.approx({"happy": 0.2625, "neutral": -0.13125})


def test_unit_against_takes_off_its_share(make_units: Make) -> None:
    # 5+26 at 3/4 give 2.2 x 3/4 = 1.65; AU04 at 1/2 takes 0.8 x 1/2.
    assert sums(make_units(AU05=1.6, AU26=1.6))["surprise"] == pytest.approx(1.65)
    assert sums(make_units(AU05=1.6, AU26=1.6, AU04=0.8))["surprise"] == pytest.approx(1.25)


def test_what_is_held_by_hand(make_units: Make) -> None:
    # A smile of value 1.5 in 2 of 10 frames: 0.6 x 1.5 + 0.4 x 0.2 x 1.5 = 1.02.
    # Calm in 8 of 10 frames, next to a rule at half its strength: 1.8 x 0.8 x 0.5 = 0.72.
    level = [0.0, 0.0, 0.0, 0.8, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0]
    units = make_units(AU06=level, AU12=level)
    expected = {"happy": 1.02, "neutral": -0.51 + 0.72}
    for peak in (None, peak_at(0.3), peak_at(0.8)):  # which frame is the peak changes nothing
        assert sums(units, peak) == pytest.approx(expected)
    text = read_face(units, None, PUBLISHED).cues[0].text
    assert text == (
        "cheek raiser (AU06) 0.8 and lip corner puller (AU12) 0.8 of 5, most at 0.30 s "
        "(slight, held 20 % of the visible time)"
    )


def test_one_frame_decides_nothing(make_units: Make) -> None:
    """The frame of the maximum once had 0.6 of a rule's weight, however short it was."""
    level = [0.0] * 19 + [4.0]
    units = make_units(20, AU06=level, AU12=level)
    peak = replace(peak_at(1.9), units={"AU06": 4.0, "AU12": 4.0})
    full = 3.0 * (1 - 2**-5.0)
    assert sums(units, peak)["happy"] == pytest.approx(0.4 * 0.05 * full)
    assert read_face(units, peak, PUBLISHED).units["AU12"] == 0.0


def test_low_confidence_weakens(make_units: Make) -> None:
    assert sums(make_units(AU06=0.8, AU12=0.8, confidence=0.5))["happy"] == pytest.approx(0.75)
    assert sums(make_units(confidence=0.5)) == pytest.approx({"neutral": 0.9})


def test_frames_without_a_face_are_left_out(make_units: Make) -> None:
    units = make_units(AU06=0.8, AU12=0.8)
    intensity, confidence = units.intensity.copy(), units.confidence.copy()
    intensity[5:], confidence[5:] = np.nan, 0.0
    assert sums(replace(units, intensity=intensity, confidence=confidence))["happy"] == pytest.approx(1.5)


def test_no_visible_face_is_no_evidence(make_units: Make) -> None:
    units = make_units()
    blank = replace(units, intensity=np.full_like(units.intensity, np.nan), confidence=np.zeros(10))
    reading = read_face(blank, None, PUBLISHED)
    assert reading.cues == ()
    assert reading.problem == "no frame shows a face whose units could be measured"


def test_talking_mouth_is_a_face_at_rest(make_units: Make) -> None:
    # 2.0 x 0.3 stays below 0.8; without speech the dropped jaw hints at surprise: 0.3 x a(2.0).
    assert sums(make_units(AU25=2.0, AU26=2.0, speech=True)) == pytest.approx({"neutral": 1.8})
    assert sums(make_units(AU26=2.0))["surprise"] == pytest.approx(0.3 * (1 - 2**-2.5))


def test_blink_moves_no_rule(make_units: Make) -> None:
    units = make_units(AU07=3.0, AU45=4.0)
    assert sums(units)["angry"] > 0
    assert sums(replace(units, is_blink=np.ones(10, dtype=bool))) == pytest.approx({"neutral": 1.8})


def test_peak_frame_alone_is_read_as_the_only_frame() -> None:
    reading = read_face(None, peak_at(1.2, AU06=0.8, AU12=0.8), PUBLISHED)
    assert reading.cues[0].weights == pytest.approx({"happy": 1.5, "neutral": -0.75})
    assert reading.cues[0].text == "cheek raiser (AU06) 0.8 and lip corner puller (AU12) 0.8 of 5 (slight)"
    assert read_face(None, peak_at(1.2), PUBLISHED).cues == ()


def test_unit_that_was_not_measured_does_not_count_as_absent(make_units: Make) -> None:
    # A backend without AU15: sad is read off 1+4, both at 1/2 -> 3.0 x 1/2.
    units = make_units(AU01=0.8, AU04=0.8)
    keep = [i for i, name in enumerate(AU_NAMES) if name != "AU15"]
    fewer = replace(units, names=tuple(AU_NAMES[i] for i in keep), intensity=units.intensity[:, keep])
    assert sums(fewer)["sad"] == pytest.approx(1.5)
    assert sums(units)["sad"] == pytest.approx(1.0)
    only_blink = replace(units, names=("AU45",), intensity=units.intensity[:, -1:])
    assert sums(only_blink) == {}  # nothing is known of brows and mouth: no calm face


def test_movement_that_fits_no_rule_says_so(make_units: Make) -> None:
    # Jaw and blink only, in a table without rules for them, and not at rest either.
    reading = read_face(make_units(AU14=1.0), None, replace(PUBLISHED, rules=PUBLISHED.rules[:1], lone_units={}))
    assert reading.cues == ()
    assert reading.problem == "its movement fits no rule"


def test_disgust_is_read_where_the_label_space_has_it(make_units: Make) -> None:
    units = make_units(AU09=2.4, AU15=1.6)
    prediction = predict_by_rules(Evidence(units), label_space=DFEW7)
    assert likeliest(units, space=DFEW7) == "disgust"
    assert set(prediction.probabilities or ()) == set(DFEW7.labels)
    assert "disgust" not in (predict_by_rules(Evidence(units)).probabilities or ())


def test_frames_of_one_time_count_alike() -> None:
    """A file whose timestamps all are one gave a share of 0 / 0."""
    assert frame_seconds(np.array([1.0, 1.0])).tolist() == [1.0, 1.0]
    assert frame_seconds(np.array([0.0, 0.4, 0.5])).tolist() == pytest.approx([0.4, 0.1, 0.1])
