"""Pseudo-labels: both rules on timelines whose answer is computed by hand, and the faults that `careful` mends."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace
from emotion_llama.merr.measured import Measured, from_bytes, to_bytes
from emotion_llama.merr.recipe import PseudoLabelPart
from emotion_llama.merr.stages import labels
from emotion_llama.merr.stages.labels import (
    NO_LABEL,
    SEEN_TOO_LITTLE,
    UNCLEAR,
    judge,
    label_rules,
    units_of_label,
)
from emotion_llama.records import AU_NAMES, ActionUnits
from emotion_llama.results import Evidence

FPS = 25.0
MER_FACTORY_RULES = label_rules("mer-factory", MERR9)


def timeline(
    held: Mapping[str, float],
    *,
    rows: slice | Sequence[int] = slice(10, 20),
    num_frames: int = 30,
    confidence: float = 1.0,
    lost: Sequence[int] = (),
    unsure: Sequence[int] = (),
    blinks: Sequence[int] = (),
    talking: bool = False,
    names: tuple[str, ...] = AU_NAMES,
) -> ActionUnits:
    """A face at rest, 25 fps, that shows `held` in `rows`."""
    intensity = np.zeros((num_frames, len(names)))
    for name, value in held.items():
        intensity[rows, names.index(name)] = value
    sure = np.full(num_frames, confidence)
    sure[list(unsure)] = 0.1
    sure[list(lost)] = 0.0
    is_blink, is_speech = np.zeros(num_frames, bool), np.full(num_frames, talking)
    is_blink[list(blinks)] = True
    return ActionUnits(names, np.arange(num_frames) / FPS, intensity, sure, is_blink, is_speech, "person", "test")


class Verdict(NamedTuple):
    label: Any  # with a label's values as attributes; None for none
    reason: str | None
    detail: str


def careful(units: ActionUnits, space: LabelSpace = MERR9, **choices: Any) -> Verdict:
    part = PseudoLabelPart(**choices)
    found, reason, detail = judge(units, label_rules(part.table, space, part.own_table), part)
    return Verdict(None if found is None else SimpleNamespace(**found), reason, detail)


def support(*given: Any) -> SimpleNamespace:
    return SimpleNamespace(**labels.support(*given))


def factory(units: ActionUnits, space: LabelSpace = MERR9, **choices: Any) -> Verdict:
    return careful(units, space, **{"rule": "mer-factory", "table": "mer-factory", **choices})


# --- careful ----------------------------------------------------------------------------------------------------------

# The joined table's labels, each by all of its units at 2.0: mean 2.0, which is "moderate" (1.6 to 2.4).
PROTOTYPES = {
    "happy": ("AU06", "AU12"),
    "sad": ("AU01", "AU04", "AU15"),
    "angry": ("AU04", "AU05", "AU07", "AU23"),
    "fear": ("AU01", "AU02", "AU04", "AU05", "AU07", "AU20", "AU26"),
    "worried": ("AU01", "AU04", "AU20"),
    "surprise": ("AU05", "AU26"),
    "contempt": ("AU12", "AU14"),
    "doubt": ("AU04", "AU14", "AU17"),
}


@pytest.mark.parametrize("label", PROTOTYPES)
def test_the_units_of_a_label_alone_give_it_with_full_confidence(label: str) -> None:
    units = PROTOTYPES[label]
    found = careful(timeline(dict.fromkeys(units, 2.0))).label
    assert found is not None
    assert (found.label, found.source, found.strength, found.table) == (label, "rules", "moderate", "joined")
    assert found.score == pytest.approx(2.0)
    assert found.confidence == pytest.approx(1.0)
    assert dict(found.units) == dict.fromkeys(units, 2.0)
    assert label in found.candidates


@pytest.mark.parametrize(
    ("intensity", "strength"),
    [(0.8, "slight"), (1.59, "slight"), (1.6, "moderate"), (2.39, "moderate"), (2.4, "strong")],
)
def test_strength_is_from_one_two_and_three_times_the_threshold(intensity: float, strength: str) -> None:
    found = careful(timeline({"AU06": intensity, "AU12": intensity})).label
    assert found is not None
    assert found.strength == strength


def test_the_score_is_the_mean_over_all_units_of_the_label_absent_ones_too() -> None:
    found = careful(timeline({"AU12": 3.0})).label  # 3 and 0: half present, mean 1.5
    assert found is not None
    assert (found.label, found.score, dict(found.units)) == ("happy", pytest.approx(1.5), {"AU12": 3.0})


def test_below_the_threshold_there_is_no_label_and_little_movement_is_neutral() -> None:
    verdict = careful(timeline({"AU06": 0.79, "AU12": 0.79}))
    assert verdict.label is not None
    assert verdict.label.label == "neutral"
    assert verdict.label.strength is None
    assert verdict.label.score is None
    # Strongest sum 1.58 of the limit 2.4, seen at confidence 1.
    assert verdict.label.confidence == pytest.approx(1 - 1.58 / 2.4)


def test_movement_that_fits_no_label_is_no_calm_face() -> None:
    verdict = careful(timeline({"AU09": 2.0, "AU10": 2.0}))  # a wrinkled nose: disgust, which MERR's nine lack
    assert verdict == (None, NO_LABEL, "the units sum to 4.00 at most, 2.4 is neutral's limit")
    in_dfew = careful(timeline({"AU09": 2.0, "AU15": 2.0}), DFEW7).label
    assert in_dfew is not None
    assert in_dfew.label == "disgust"


def test_a_face_close_to_the_limit_is_not_neutral_either() -> None:
    near = timeline({"AU09": 1.15, "AU10": 1.15})  # 2.3 of 2.4: confidence 0.04
    assert careful(near) == (None, NO_LABEL, "the units sum to 2.30, close to neutral's limit")
    assert careful(near, min_confidence=0.04).label is not None


def test_a_face_that_blinks_and_parts_its_lips_is_at_rest() -> None:
    found = careful(timeline({"AU25": 4.0, "AU45": 5.0, "AU09": 0.6})).label
    assert found is not None
    assert found.label == "neutral"
    assert found.confidence == pytest.approx(1 - 0.6 / 2.4)
    assert careful(timeline({"AU25": 4.0}), include_speech=True).reason == NO_LABEL
    assert careful(timeline({"AU45": 5.0}), include_blinks=True).reason == NO_LABEL


def test_of_labels_that_fit_alike_none_is_taken() -> None:
    # Inner brow and brow lowerer: two of three units of sad and of worried.
    verdict = careful(timeline({"AU01": 2.0, "AU04": 2.0}))
    assert verdict.label is None
    assert verdict.reason == UNCLEAR
    assert verdict.detail == "sad 1.33, worried 1.33; confidence 0.00"


def test_the_more_specific_label_wins_at_equal_means() -> None:
    every = dict.fromkeys(PROTOTYPES["fear"], 2.0)  # holds surprise (5, 26; 1, 2) and worried (1, 4, 20) at 2.0 as well
    verdict = careful(timeline(every)).label
    assert verdict is not None
    assert verdict.label == "fear"
    assert verdict.candidates["surprise"] == pytest.approx(2.0)


def test_confidence_is_margin_times_the_face_s() -> None:
    # happy (6, 12) and contempt (12, 14) share AU12. Fits: (2 + 2) / sqrt 2 and (2 + 1) / sqrt 2, margin 1 - 3/4.
    # On happy's own face contempt has 1/2 of its fit, so that m = 1/2, and c = 0.9 * 0.25 / 0.5.
    found = careful(timeline({"AU06": 2.0, "AU12": 2.0, "AU14": 1.0}, confidence=0.9)).label
    assert found is not None
    assert found.label == "happy"
    assert found.confidence == pytest.approx(0.9 * 0.25 / 0.5)


def test_a_lone_smile_is_no_contempt() -> None:
    found = careful(timeline({"AU12": 2.0})).label
    assert found is not None
    assert (found.label, set(found.candidates), found.confidence) == ("happy", {"happy"}, 1.0)


@pytest.mark.parametrize("how", ["lost", "unsure", "blinks"])
def test_frames_that_cannot_be_trusted_do_not_win(how: str) -> None:
    # MER-Factory's fault: a frame in which the face was lost won the overall peak.
    bad = [25, 26, 27, 28]
    units = timeline({"AU06": 1.0, "AU12": 1.0}, **{how: bad})
    units.intensity[bad] = 0.0
    units.intensity[bad, AU_NAMES.index("AU04")] = 5.0
    units.intensity[bad, AU_NAMES.index("AU23")] = 5.0
    found = careful(units).label
    assert found is not None
    assert (found.label, found.score) == ("happy", pytest.approx(1.0))


def test_blinks_count_where_that_is_asked_for() -> None:
    units = timeline({"AU04": 2.0, "AU07": 2.0}, blinks=range(10, 20))
    assert careful(units, neutral_below=9).label is not None
    asked = careful(units, include_blinks=True).label
    assert asked is not None
    assert asked.label == "angry"


def test_an_expression_that_still_rises_at_the_end_is_found() -> None:
    # MER-Factory's fault: its search for peaks passes over the ends, and the clip became neutral.
    units = timeline({})
    ramp = np.linspace(0, 3, 30)
    for name in ("AU06", "AU12"):
        units.intensity[:, AU_NAMES.index(name)] = ramp
    found = careful(units).label
    assert found is not None
    assert (found.label, found.score) == ("happy", pytest.approx(3.0))
    published = factory(units).label
    assert published is not None
    assert published.label == "neutral"


def test_a_label_of_a_unit_that_nobody_measures_cannot_be_told() -> None:
    # MER-Factory's worried is AU28 and AU20, and AU28 has no intensity: AU20 alone made a face worried.
    units = timeline({"AU20": 1.0})
    published = factory(units).label
    assert published is not None
    assert (published.label, published.score) == ("worried", pytest.approx(1.0))
    assert careful(units, table="mer-factory").label.label == "neutral"  # type: ignore[union-attr]


def test_a_unit_that_was_not_measured_is_left_out_of_the_mean() -> None:
    names = tuple(name for name in AU_NAMES if name != "AU23")
    units = timeline({"AU04": 2.0, "AU05": 2.0, "AU07": 2.0}, names=names)  # three of angry's four were measured
    found = careful(units, table="merr").label
    assert found is not None
    assert (found.label, found.score) == ("angry", pytest.approx(2.0))


def test_a_jump_of_two_frames_is_no_expression() -> None:
    # 80 ms at 25 fps; three frames last 120 ms.
    assert careful(timeline({"AU06": 3.0, "AU12": 3.0}, rows=[10, 11])).label.label == "neutral"  # type: ignore[union-attr]
    assert careful(timeline({"AU06": 3.0, "AU12": 3.0}, rows=[10, 11, 12])).label.label == "happy"  # type: ignore[union-attr]
    assert careful(timeline({"AU06": 3.0, "AU12": 3.0}, rows=[0], num_frames=1)).label.label == "happy"  # type: ignore[union-attr]


def test_talking_drops_jaw_and_lips() -> None:
    talking = timeline({"AU05": 1.0, "AU26": 2.0}, talking=True)  # 1 and 0: mean 0.5
    assert careful(talking).label.label == "neutral"  # type: ignore[union-attr]
    found = careful(talking, include_speech=True).label
    assert found is not None
    assert (found.label, found.score) == ("surprise", pytest.approx(1.5))


def test_a_face_that_is_hardly_seen_has_no_label() -> None:
    units = timeline({"AU06": 3.0, "AU12": 3.0}, lost=range(22))  # 8 of 30 frames
    assert careful(units) == (None, SEEN_TOO_LITTLE, "in 27 % of 30 frames")
    assert careful(units, min_seen_share=0.2).reason != SEEN_TOO_LITTLE


# --- MER-Factory ------------------------------------------------------------------------------------------------------


def test_the_published_rule_on_a_peak_computed_by_hand() -> None:
    units = timeline({"AU06": 2.0, "AU12": 3.0, "AU14": 0.4}, rows=[12])
    found = factory(units).label
    assert found is not None
    # happy: (2 + 3 + .4) / 3 = 1.8, two of three present; contempt: (3 + 0 + .4 + 0) / 4 = .85, one of four present.
    assert (found.label, found.strength) == ("happy", "moderate")
    assert found.score == pytest.approx(1.8)
    assert dict(found.candidates) == pytest.approx({"happy": 1.8})


def published_label(rows: list[dict[str, str]], threshold: float, distance: int) -> str:
    """MER-Factory's rule over the rows of an OpenFace table, written out from its description without our records."""
    from scipy.signal import find_peaks

    table = {
        "happy": "06 12 14", "sad": "01 04 15 14", "surprise": "01 02 05 26", "fear": "01 02 04 05 07 20 26",
        "angry": "04 05 07 23 10 17", "contempt": "12 10 14 17", "worried": "28 20",
    }  # fmt: skip
    intensities = [name for name in rows[0] if name.endswith("_r")]
    peaks, _ = find_peaks(
        [sum(float(row[n]) for n in intensities) for row in rows], height=threshold, distance=distance
    )
    best: dict[str, float] = {}
    for peak in peaks:
        row = rows[peak]
        for label, numbers in table.items():
            units = [f"AU{number}" for number in numbers.split()]
            if any(f"{unit}_c" not in row for unit in units):
                continue
            if sum(float(row[f"{unit}_c"]) == 1 for unit in units) < 0.5 * len(units):
                continue
            known = [float(row[f"{unit}_r"]) for unit in units if f"{unit}_r" in row]
            score = sum(known) / len(known)
            if score >= threshold:
                best[label] = max(best.get(label, 0.0), score)
    return max(best, key=lambda label: best[label]) if best else "neutral"


@pytest.mark.parametrize("without", ["", "AU28_c", "AU14_c"])
def test_the_published_rule_on_openface_tables_is_the_published_one(tmp_path: Path, without: str) -> None:
    """Presence is what the classifier says; read off the intensity, many of these labels came out otherwise."""
    draw = np.random.default_rng(7)
    rule, found, expected = PseudoLabelPart(rule="mer-factory", table="mer-factory"), [], []
    for _ in range(60):
        rows = []
        strong = draw.uniform(0, 4, len(AU_NAMES)) * (draw.random(len(AU_NAMES)) < 0.4)
        for frame in range(40):
            shape = np.exp(-(((frame - 20) / 5) ** 2))
            cells = {"frame": frame + 1, "timestamp": round(frame / 25, 3), "confidence": 0.98, "success": 1}
            cells |= {
                f"{n}_r": round(float(min(5, x * shape + draw.uniform(0, 0.1))), 2) for n, x in zip(AU_NAMES, strong)
            }
            cells |= {f"{n}_c": int(draw.random() < 0.5) for n in (*AU_NAMES, "AU28")}
            rows.append({name: str(value) for name, value in cells.items() if name != without})
        path = tmp_path / "clip.csv"
        path.write_text("\n".join([", ".join(rows[0]), *(", ".join(row.values()) for row in rows)]), encoding="utf-8")
        (person,) = OpenFaceCsv().read(path)
        label = judge(from_bytes(to_bytes(only(person.units))).evidence.action_units, MER_FACTORY_RULES, rule)[0]  # type: ignore[arg-type]
        assert label is not None
        found.append(label["label"])
        expected.append(published_label(rows, 0.8, 15))
    assert found == expected
    assert len(set(expected)) >= 5


def only(units: ActionUnits) -> Measured:
    return Measured(Evidence(action_units=units), ((1, "the only one", None),), {"units": "openface-csv"})


def test_units_that_the_classifier_calls_present_are_those_of_the_label() -> None:
    # AU28 has no intensity: with AU20 weak and called absent, the mean of what is known is AU20's 1.0.
    units = timeline({"AU20": 1.0}, rows=[12])
    presence = np.zeros((30, 2))
    presence[12, 1] = 1
    known = replace(units, presence_names=("AU20", "AU28"), presence=presence)
    found = factory(known).label
    assert found is not None
    assert (found.label, found.score, dict(found.units)) == ("worried", 1.0, {})
    absent = factory(replace(known, presence=np.zeros((30, 2)))).label
    assert absent is not None
    assert absent.label == "neutral"


def test_the_published_rule_takes_the_highest_mean_however_few_units_it_is_of() -> None:
    units = timeline(dict.fromkeys(("AU01", "AU02", "AU04", "AU05", "AU07", "AU20", "AU26"), 2.0), rows=[12])
    found = factory(units).label
    assert found is not None
    assert found.score == pytest.approx(2.0)
    # Two units of sad's four and three of angry's six are there, at 2 of 5: mean 1.
    means = {"fear": 2.0, "surprise": 2.0, "worried": 2.0, "sad": 1.0, "angry": 1.0}
    assert dict(found.candidates) == pytest.approx(means)
    # All of fear's seven units, and the label is worried for AU20 alone: the first of equals in the space's order.
    assert found.label == "worried"


def test_peaks_of_the_published_rule_keep_their_distance() -> None:
    units = timeline({"AU06": 2.0, "AU12": 2.0, "AU14": 2.0}, rows=[5])
    units.intensity[12, [AU_NAMES.index(n) for n in ("AU04", "AU05", "AU07", "AU23", "AU10", "AU17")]] = 1.2
    # Sums 6 and 7.2, seven frames apart: within 15 frames only the higher is a peak.
    assert factory(units).label.label == "angry"  # type: ignore[union-attr]
    assert factory(units, min_peak_distance_frames=5).label.label == "happy"  # type: ignore[union-attr]


def test_the_published_rule_without_a_label_is_neutral() -> None:
    found = factory(timeline({"AU09": 4.0}, rows=[12])).label
    assert found is not None
    assert (found.label, found.confidence, found.strength) == ("neutral", None, None)


# --- given labels -----------------------------------------------------------------------------------------------------


def test_a_given_label_says_what_the_face_shows_of_it() -> None:
    part = PseudoLabelPart()
    rules = label_rules("joined", MERR9)
    shown = support(timeline({"AU06": 2.0, "AU12": 2.0}), "happy", rules, part)
    assert (shown.source, shown.strength, shown.confidence) == ("given", "moderate", None)
    assert shown.score == pytest.approx(2.0)
    for units, label in ((timeline({"AU06": 2.0, "AU12": 2.0}), "angry"), (timeline({}), "neutral")):
        bare = support(units, label, rules, part)
        assert (bare.label, bare.source, bare.strength, bare.score, dict(bare.units)) == (
            label,
            "given",
            None,
            None,
            {},
        )


def test_a_given_label_keeps_what_the_rules_would_have_said() -> None:
    # Its units were looked at alone, so that in a build whose labels are given the rules always agreed with them.
    part, rules = PseudoLabelPart(), label_rules("joined", MERR9)
    fear = timeline(dict.fromkeys(PROTOTYPES["fear"], 2.0))  # shows surprise too
    kept = support(fear, "surprise", rules, part)
    assert (kept.label, kept.strength, kept.by_rules) == ("surprise", "moderate", "fear")
    assert {"fear", "surprise"} <= set(kept.candidates)
    smile = timeline({"AU06": 2.0, "AU12": 2.0})
    assert (support(smile, "angry", rules, part).by_rules, support(smile, "happy", rules, part).by_rules) == (
        "happy", "happy",
    )  # fmt: skip
    assert support(timeline({}), "angry", rules, part).by_rules == "neutral"
    unclear = timeline({"AU01": 2.0, "AU04": 2.0})  # two of three units of sad and of worried
    found = support(unclear, "sad", rules, part)
    assert (found.score, found.by_rules) == (pytest.approx(4 / 3), None)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_joined_table_reaches_every_label_of_merr_but_neutral() -> None:
    assert {rule.label for rule in label_rules("joined", MERR9)} == set(MERR9.labels) - {"neutral"}
    assert {rule.label for rule in label_rules("merr", MERR9)} == {"surprise", "happy", "sad", "angry"}
    assert {rule.label for rule in label_rules("mer-factory", MER6)} == {"happy", "sad", "surprise", "angry", "worried"}


def test_own_units_are_checked() -> None:
    own = {"happy": ("AU12",), "sad": ("AU15", "AU17")}
    rules = [(rule.label, rule.units, rule.needs, rule.any_of) for rule in label_rules("own", MERR9, own)]
    assert rules == [("happy", ("AU12",), 0.0, ()), ("sad", ("AU15", "AU17"), 0.0, ())]
    with pytest.raises(InputError, match=r"sad: expected units of AU01, .* each once, got 'AU99'"):
        label_rules("own", MERR9, {"sad": ("AU15", "AU99")})
    with pytest.raises(InputError, match="each once, got 'AU15, AU15'"):
        label_rules("own", MERR9, {"sad": ("AU15", "AU15")})
    with pytest.raises(InputError, match="the table 'own' has units for none of mer6"):
        label_rules("own", MER6, {"contempt": ("AU14",)})
    with pytest.raises(InputError, match="'facs'"):
        label_rules("facs", MERR9)  # type: ignore[arg-type]


def test_all_units_of_a_label_over_its_rows() -> None:
    rules = label_rules("joined", MERR9)
    assert units_of_label("surprise", rules) == ("AU05", "AU26", "AU01", "AU02")
    assert units_of_label("neutral", rules) == ()


def test_one_own_unit_may_be_a_label() -> None:
    found = careful(timeline({"AU12": 1.0}), table="own", own_table={"happy": ("AU12",)}).label
    assert found is not None
    assert found.score == pytest.approx(1.0)
    assert found.confidence == pytest.approx(1.0)
    assert math.isclose(sum(found.units.values()), 1.0)
