"""Pseudo-labels: the predictor of `analyze`, and the published rule on timelines whose answer is computed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face.backends.openface_csv import OpenFaceCsv
from emotion_llama.labels import MER6, MERR9, LabelSpace
from emotion_llama.merr.measured import Measured, from_bytes, to_bytes
from emotion_llama.merr.recipe import PseudoLabelPart
from emotion_llama.merr.stages import labels
from emotion_llama.merr.stages.labels import (
    IMPROBABLE,
    NO_FACE,
    SEEN_TOO_LITTLE,
    UNCERTAIN,
    judge,
    label_rules,
    units_of_label,
)
from emotion_llama.records import AU_NAMES, ActionUnits, Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.scoring import predict_by_rules

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


def labelled(evidence: ActionUnits | Evidence, space: LabelSpace = MERR9, **choices: Any) -> Verdict:
    part = PseudoLabelPart(**choices)
    evidence = evidence if isinstance(evidence, Evidence) else Evidence(evidence)
    found, reason, detail = judge(evidence, label_rules(part.table, space, part.own_table), part, space)
    return Verdict(None if found is None else SimpleNamespace(**found), reason, detail)


def support(units: ActionUnits, label: str) -> SimpleNamespace:
    return SimpleNamespace(
        **labels.support(Evidence(units), label, label_rules("joined", MERR9), PseudoLabelPart(), MERR9)
    )


def factory(units: ActionUnits, space: LabelSpace = MERR9, **choices: Any) -> Verdict:
    return labelled(units, space, **{"rule": "mer-factory", "table": "mer-factory", **choices})


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_the_label_is_that_of_analyze_with_what_the_face_shows_of_it() -> None:
    units = timeline({"AU06": 2.0, "AU12": 3.0})
    found = labelled(units).label
    own = predict_by_rules(Evidence(units))
    assert found is not None
    assert (found.label, found.source, found.strength, found.table) == ("happy", "rules", "strong", "joined")
    assert (found.score, found.units) == (pytest.approx(2.5), {"AU12": 3.0, "AU06": 2.0})
    assert found.confidence == own.probability
    assert found.candidates == dict(own.probabilities or {})


@pytest.mark.parametrize(
    ("intensity", "strength"),
    [(1.3, "slight"), (1.59, "slight"), (1.6, "moderate"), (2.39, "moderate"), (2.4, "strong")],
)
def test_strength_is_from_one_two_and_three_times_the_threshold(intensity: float, strength: str) -> None:
    found = labelled(timeline({"AU06": intensity, "AU12": intensity})).label
    assert found is not None
    assert found.strength == strength


def test_an_uncertain_clip_has_no_label_and_says_the_likeliest() -> None:
    verdict = labelled(timeline({"AU01": 2.0, "AU04": 2.0}, rows=slice(0, 30)))
    assert verdict.label is None
    assert verdict.reason == UNCERTAIN
    assert verdict.detail.count(",") == 2


def test_words_label_a_clip_without_a_face_and_nothing_labels_silence() -> None:
    said = Transcript((TranscriptLine("I am so happy today!"),), "given")
    found = labelled(Evidence(transcript=said)).label
    assert found is not None
    assert (found.label, found.strength, found.score, found.units) == ("happy", None, None, {})
    assert labelled(Evidence(missing=(Missing("action_units", "no face was found"),)))[:2] == (None, NO_FACE)


def test_labels_that_are_not_probable_enough_are_left_out() -> None:
    smile = timeline({"AU12": 2.0})
    assert labelled(smile, min_confidence=0.6).label.label == "happy"
    assert labelled(smile, min_confidence=0.7)[:2] == (None, IMPROBABLE)


@pytest.mark.parametrize("how", ["lost", "unsure", "blinks"])
def test_frames_that_cannot_be_trusted_say_nothing_of_the_strength(how: str) -> None:
    units = timeline({"AU06": 2.0, "AU12": 2.0}, **{how: [14]})  # type: ignore[arg-type]
    units.intensity[14, [AU_NAMES.index(n) for n in ("AU06", "AU12")]] = 5.0
    found = labelled(units).label
    assert found is not None
    assert found.score == pytest.approx(2.0)


def test_a_face_that_is_hardly_seen_has_no_label() -> None:
    units = timeline({"AU06": 2.0, "AU12": 2.0}, lost=[*range(10), *range(18, 30)])
    verdict = labelled(units)
    assert (verdict.label, verdict.reason) == (None, SEEN_TOO_LITTLE)
    assert labelled(units, min_seen_share=0.2).label.label == "happy"


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
        label = judge(from_bytes(to_bytes(only(person.units))).evidence, MER_FACTORY_RULES, rule, MERR9)[0]
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
    shown = support(timeline({"AU06": 2.0, "AU12": 2.0}), "happy")
    assert (shown.source, shown.strength, shown.confidence) == ("given", "moderate", None)
    assert shown.score == pytest.approx(2.0)
    for units, label in ((timeline({"AU06": 2.0, "AU12": 2.0}), "angry"), (timeline({}), "neutral")):
        bare = support(units, label)
        assert (bare.label, bare.strength, bare.score, bare.units) == (label, None, None, {})
    lone = support(timeline({"AU01": 3.0}), "sad")  # one of three units is no sad face, though the mean is 1.0
    assert lone.score is None


def test_a_given_label_keeps_what_the_rules_would_have_said() -> None:
    # Its units were looked at alone, so that in a build whose labels are given the rules always agreed with them.
    smile = timeline({"AU06": 2.0, "AU12": 2.0})
    assert (support(smile, "angry").by_rules, support(smile, "happy").by_rules) == ("happy", "happy")
    assert support(timeline({}), "angry").by_rules == "neutral"
    unclear = support(timeline({"AU01": 2.0, "AU04": 2.0}, rows=slice(0, 30)), "sad")
    assert (unclear.score, unclear.by_rules) == (pytest.approx(4 / 3), None)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_joined_table_reaches_every_label_of_merr_but_neutral() -> None:
    assert {rule.label for rule in label_rules("joined", MERR9)} == set(MERR9.labels) - {"neutral"}
    assert {rule.label for rule in label_rules("merr", MERR9)} == {"surprise", "happy", "sad", "angry"}
    assert {rule.label for rule in label_rules("mer-factory", MER6)} == {"happy", "sad", "surprise", "angry", "worried"}


def test_own_units_are_checked() -> None:
    own = {"happy": ("AU12",), "sad": ("AU15", "AU17")}
    rules = [(rule.label, rule.units, rule.needs, rule.any_of) for rule in label_rules("own", MERR9, own)]
    assert rules == [("happy", ("AU12",), 0.5, ()), ("sad", ("AU15", "AU17"), 0.5, ())]
    with pytest.raises(InputError, match=r"sad: expected units of AU01, .* each once, got 'AU99'"):
        label_rules("own", MERR9, {"sad": ("AU15", "AU99")})
    with pytest.raises(InputError, match="each once, got 'AU15, AU15'"):
        label_rules("own", MERR9, {"sad": ("AU15", "AU15")})
    with pytest.raises(InputError, match="the table 'own' has units for none of mer6"):
        label_rules("own", MER6, {"contempt": ("AU14",)})


def test_all_units_of_a_label_over_its_rows() -> None:
    rules = label_rules("joined", MERR9)
    assert units_of_label("surprise", rules) == ("AU05", "AU26", "AU01", "AU02")
    assert units_of_label("neutral", rules) == ()


def test_one_own_unit_may_be_a_label() -> None:
    choices: dict[str, Any] = {"table": "own", "own_table": {"sad": ("AU15",)}}
    assert labelled(timeline({"AU15": 2.0}), **choices).reason == UNCERTAIN
    found = labelled(timeline({"AU15": 2.5}), **choices).label
    assert (found.label, found.score, found.confidence) == ("sad", pytest.approx(2.5), pytest.approx(0.5))
