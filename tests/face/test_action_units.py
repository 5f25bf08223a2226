import carried_units as truth
import numpy as np
import pytest
import unit_table as table

from emotion_llama.errors import InputError
from emotion_llama.face import action_units, geometry, neutral, pose_bias, rhythms
from emotion_llama.face.unit_formulas import NEUTRAL_SPREAD_CM, UNIT_FORMULAS
from emotion_llama.records import AU_NAMES, ActionUnits, FaceTrack
from emotion_llama.results import held_units, saturated_units

STRAIGHT = np.eye(3)
FPS = table.FPS


def face(unit: str = "AU12", level: float = 0.0, turn: np.ndarray = STRAIGHT, pixels: float = 256.0) -> np.ndarray:
    return truth.photograph(truth.canonical() + level * truth.displacement(unit), turn, face_pixels=pixels)


def column(units, name: str) -> np.ndarray:
    return units.column(name)


def with_fields(track: FaceTrack, **changes) -> FaceTrack:
    return FaceTrack(**{**{name: getattr(track, name) for name in track.__dataclass_fields__}, **changes})


def test_every_unit_has_a_formula_with_its_source_and_scale():
    assert tuple(UNIT_FORMULAS) == AU_NAMES
    for formula in UNIT_FORMULAS.values():
        assert formula.full_cm > 0
        assert formula.points
        assert "FACS" in formula.source
        assert "mm" in formula.scale or "%" in formula.scale or "two thirds" in formula.scale


def test_every_feature_has_a_spread_between_people():
    names = {name.removesuffix("_right").removesuffix("_left") for name in geometry.FEATURE_NAMES}
    assert set(NEUTRAL_SPREAD_CM) == names


def test_a_resting_canonical_face_is_zero_whether_short_or_long():
    short = action_units.estimate(table.track_of(np.array([face()] * 10)))
    long = action_units.estimate(table.track_of(np.array([face()] * 100)))
    assert (short.neutral, long.neutral) == ("population", "person")
    assert short.intensity == pytest.approx(0, abs=1e-9)
    assert long.intensity == pytest.approx(0, abs=1e-9)
    assert short.names == AU_NAMES
    assert short.source == "mesh geometry"


def test_full_scale_is_the_documented_length():
    """AU26 by hand: the chin 1.0 cm lower, of 2.0 cm for 5, is 2.5; the lips 0.44 cm further apart, of 1.1, is 2."""
    mesh = truth.canonical().copy()
    mesh[[152, 148, 377, 176, 400], 1] -= 1.0
    mesh[[14, 87, 317, 178, 402], 1] -= 0.44
    units = action_units.estimate(table.track_of(truth.photograph(mesh, STRAIGHT)[None]))
    assert column(units, "AU26")[0] == pytest.approx(2.5, abs=1e-6)
    assert column(units, "AU25")[0] == pytest.approx(2.0, abs=1e-6)


def test_intensity_keeps_rising_towards_five_without_reaching_it():
    opened = [action_units.estimate(table.track_of(face("AU26", level)[None])) for level in (0.5, 1.0, 1.5, 2.0, 2.5)]
    values = [float(column(units, "AU26")[0]) for units in opened]
    assert np.all(np.diff(values) > 0)
    assert values[-1] < 5
    # Linear below 4: twice the displacement, twice the intensity.
    assert values[1] == pytest.approx(2 * values[0], rel=0.02)


def test_who_smiles_throughout_is_still_smiling():
    """The personal neutral may take off what a face's shape can explain, never the expression."""
    held = np.array([face("AU12", 0.7)] * 125)
    units = action_units.estimate(table.track_of(held))
    alone = action_units.estimate(table.track_of(held[:1]))
    assert units.neutral == "person"
    assert column(units, "AU12")[60] > 1.5
    assert column(alone, "AU12")[0] > column(units, "AU12")[60]
    # Most that may go: 0.15 cm of rise and 0.4 of width, weighted 0.6 and 0.4, of 1 cm for 5.
    assert column(alone, "AU12")[0] - column(units, "AU12")[60] < 5 * (0.6 * 0.15 + 0.4 * 0.4) + 0.3


def test_a_person_who_rests_for_a_third_of_the_time_is_measured_against_that_rest():
    rest = truth.shaped(truth.canonical(), "wide")
    smile = truth.shaped(truth.canonical() + truth.displacement("AU12"), "wide")
    clip = [truth.photograph(rest, STRAIGHT)] * 50 + [truth.photograph(smile, STRAIGHT)] * 100
    units = action_units.estimate(table.track_of(np.array(clip)))
    assert column(units, "AU12")[:45].max() < 0.4
    assert column(units, "AU12")[60:].min() > 3


def test_neutral_is_bounded_by_what_faces_differ_by():
    population = neutral.population_neutral()
    odd = np.tile(population + 3.0, (100, 1))
    found = neutral.estimate_neutral(odd, np.ones(100, bool), 1 / FPS)
    gap = geometry.FEATURE_NAMES.index("lip_gap")
    assert found.whose == "person"
    assert found.features[gap] == pytest.approx(population[gap] + NEUTRAL_SPREAD_CM["lip_gap"][1])
    assert neutral.estimate_neutral(odd, np.ones(100, bool), 1 / 100).whose == "population"  # one second only


def test_the_densest_place_wins_and_the_population_breaks_ties():
    values = np.array([[0.0]] * 30 + [[1.0]] * 10 + [[2.0]] * 30)
    assert neutral._densest(values, np.array([2.1])) == pytest.approx([2.0])
    assert neutral._densest(values, np.array([-0.3])) == pytest.approx([0.0])


def test_gaps_stay_gaps_and_have_no_confidence():
    track = table.track_of(np.array([face("AU12", 0.5)] * 60))
    valid = np.ones(60, bool)
    valid[20:30] = False
    features = track.shape_features.copy()
    features[~valid] = np.nan
    units = action_units.estimate(with_fields(track, valid=valid, shape_features=features))
    assert np.isnan(units.intensity[20:30]).all()
    assert (units.confidence[20:30] == 0).all()
    assert np.isfinite(units.intensity[valid]).all()
    assert (units.confidence[valid] > 0.9).all()


def test_a_track_without_any_face_is_all_gap():
    track = table.track_of(np.array([face()] * 5))
    units = action_units.estimate(with_fields(track, valid=np.zeros(5, bool)))
    assert np.isnan(units.intensity).all()
    assert units.neutral == "population"
    assert not units.valid.any()


def test_confidence_falls_with_pose_size_score_and_jumps():
    def confidence(pixels, **changes):
        return action_units.estimate(with_fields(table.track_of(pixels), **changes)).confidence

    straight = np.array([face()] * 9)
    assert confidence(straight) == pytest.approx(1.0)
    assert confidence(straight, scores=np.full(9, 0.6)) == pytest.approx(0.6)
    by_yaw = [confidence(np.array([face(turn=truth.rotation(0, yaw))]))[0] for yaw in (25, 35, 40, 44)]
    assert by_yaw[0] == pytest.approx(1.0)
    assert np.all(np.diff(by_yaw) < 0)
    assert by_yaw[2] == pytest.approx(0.75)  # 40 of 30 to 70 degrees
    nodding = confidence(np.array([face(turn=truth.rotation(30, 0))]))[0]
    assert nodding == pytest.approx((70 - 1.5 * 30) / 40)
    by_size = [confidence(np.array([face(pixels=size)]))[0] for size in (200, 60, 40, 15)]
    assert by_size[0] == pytest.approx(1.0)
    assert np.all(np.diff(by_size) < 0)
    jump = straight.copy()
    # For one frame the network saw something else: every landmark is some 15 mm off.
    elsewhere = truth.canonical() + np.random.default_rng(1).normal(0, 1.5, (468, 3))
    jump[4] = truth.photograph(elsewhere, STRAIGHT)
    shaken = confidence(jump)
    assert shaken[4] < 0.5
    assert shaken[[0, 1, 7, 8]] == pytest.approx(1.0)


def test_jitter_is_smoothed_but_no_step_blurred_or_peak_moved():
    rng = np.random.default_rng(3)
    levels = np.concatenate([np.zeros(40), np.linspace(0, 1, 8), np.linspace(1, 0, 8)[1:], np.zeros(40)])
    clean = np.array([face("AU15", level) for level in levels])
    noisy = clean + rng.normal(0, 0.4, clean.shape)
    smoothed = column(action_units.estimate(table.track_of(clean)), "AU15")
    assert int(np.argmax(smoothed)) == int(np.argmax(levels))
    assert smoothed[:38].max() < 0.05
    features = geometry.measure_many(noisy).shape_features
    after = action_units._smoothed(np.arange(len(levels)) / FPS, features, action_units.JITTER_CM)
    corner = geometry.FEATURE_NAMES.index("brow_inner_y_right")
    assert after[:40, corner].std() < 0.7 * features[:40, corner].std()
    # Frames a second apart are not neighbours.
    apart = action_units._smoothed(np.arange(len(levels)) * 1.0, features, action_units.JITTER_CM)
    assert apart == pytest.approx(features)


def test_the_far_side_of_a_turned_face_does_not_count():
    """Turned 44 degrees to its left the person shows the right side; the left one is the network's guess."""
    mesh = truth.canonical()
    wrong = mesh + truth.displacement("AU12") * (mesh[:, :1] > 0)  # only the person's left side moves
    away, towards = (
        action_units.estimate(table.track_of(truth.photograph(wrong, truth.rotation(0, yaw))[None]))
        for yaw in (44, -44)
    )
    assert column(away, "AU12")[0] < 0.2
    assert column(towards, "AU12")[0] > 3


def test_wrong_features_are_refused():
    track = table.track_of(np.array([face()]))
    with pytest.raises(InputError, match=r"shape features must be \[N, 43\]"):
        action_units.estimate(with_fields(track, shape_features=np.zeros((1, 7))))


# --- blinks and talking ----------------------------------------------------------------------------------------------


def closing(seconds: float, fps: float = FPS, hold: float = 0.0, pause: float = 1.5) -> np.ndarray:
    half = np.sin(np.linspace(0, np.pi, round(seconds * fps) + 2))[1:-1]
    half = np.concatenate([half[: len(half) // 2], np.ones(round(hold * fps)), half[len(half) // 2 :]])
    still = np.zeros(round(pause * fps))
    return np.concatenate([still, half, still])


@pytest.mark.parametrize("seconds", [0.16, 0.28, 0.4])
def test_a_blink_is_marked_and_is_au45(seconds):
    levels = closing(seconds)
    units = action_units.estimate(table.track_of(np.array([face("AU45", level) for level in levels])))
    assert units.is_blink[int(np.argmax(levels))]
    assert not units.is_blink[levels == 0].any()
    assert column(units, "AU45").max() > 3


def test_closed_eyes_are_not_a_blink():
    levels = closing(0.4, hold=0.8)
    units = action_units.estimate(table.track_of(np.array([face("AU45", level) for level in levels])))
    assert not units.is_blink.any()
    assert column(units, "AU45").max() > 3


def test_a_wink_is_not_a_blink():
    one_eye = truth.displacement("AU45") * (truth.canonical()[:, :1] > 0)
    clip = [truth.photograph(truth.canonical() + level * one_eye, STRAIGHT) for level in closing(0.3)]
    assert not action_units.estimate(table.track_of(np.array(clip))).is_blink.any()


def test_a_closure_that_runs_into_a_gap_or_the_end_is_not_known_to_be_a_blink():
    open_eye, times = np.full(50, 0.6), np.arange(50) / FPS
    ends, gap = open_eye.copy(), open_eye.copy()
    ends[-4:] = 0.1
    gap[20:24], gap[24:30] = 0.1, np.nan
    assert not rhythms.find_blinks(times, ends, ends).any()
    assert not rhythms.find_blinks(times, gap, gap).any()
    assert not rhythms.find_blinks(times[:2], open_eye[:2], open_eye[:2]).any()


def mouth(hz: float, seconds: float, depth_cm: float, fps: float = FPS) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(round(seconds * fps)) / fps
    return times, 0.3 + depth_cm * np.sin(2 * np.pi * hz * times)


@pytest.mark.parametrize("hz", [2.5, 4.0, 6.0])
def test_lips_moving_at_the_rate_of_syllables_are_speech(hz):
    times, gap = mouth(hz, 4.0, 0.25)
    assert rhythms.find_speech(times, gap).mean() > 0.9


@pytest.mark.parametrize(("hz", "depth_cm"), [(0.4, 0.8), (4.0, 0.03), (0.0, 0.5)])
def test_slow_or_tiny_movements_are_not_speech(hz, depth_cm):
    times, gap = mouth(hz, 4.0, depth_cm)
    assert not rhythms.find_speech(times, gap).any()


def test_speech_is_found_where_it_is():
    _, talk = mouth(4.0, 3.0, 0.25)
    gap = np.concatenate([np.full(75, 0.3), talk, np.full(75, 0.3)])
    found = rhythms.find_speech(np.arange(len(gap)) / FPS, gap)
    assert found[90:135].all()
    assert not found[:55].any()
    assert not found[-55:].any()


def test_few_frames_a_second_cannot_tell_speech():
    times, gap = mouth(4.0, 4.0, 0.25, fps=8)
    assert not rhythms.find_speech(times, gap).any()
    assert not rhythms.find_speech(times[:1], gap[:1]).any()


# --- what turning does -----------------------------------------------------------------------------------------------


def turning(camera: str, depth_gain: float = 0.0) -> geometry.FaceMeasurement:
    poses = [(p, y) for p in np.linspace(-20, 20, 9) for y in np.linspace(-20, 20, 9)]
    clip = np.array([truth.photograph(truth.canonical(), truth.rotation(*pose), camera) for pose in poses])
    clip[..., 2] *= 1 + depth_gain
    return geometry.measure_many(clip)


def test_the_distance_of_a_near_camera_is_found():
    """The truth's camera: focal length 1.5 widths of 640 px, 256 px for a face of 15.33 cm: 57.5 cm away."""
    measured = turning("perspective")
    usable = np.ones(81, bool)
    nearness, depth = pose_bias.estimate_causes(measured.shape_features, measured.head_pose_degrees, usable, 1.0)
    assert 1 / nearness == pytest.approx(57.5, rel=0.1)
    assert abs(depth) < 0.05
    before = np.ptp(measured.shape_features, axis=0).max()
    after = pose_bias.without_bias(measured.shape_features, measured.head_pose_degrees, usable, 1.0)
    assert np.ptp(after, axis=0).max() < 0.3 * before


def test_a_wrong_depth_is_found():
    measured = turning("weak", depth_gain=-0.2)
    nearness, depth = pose_bias.estimate_causes(
        measured.shape_features, measured.head_pose_degrees, np.ones(81, bool), 1.0
    )
    assert depth == pytest.approx(-0.2, abs=0.06)
    assert nearness < 1 / 200


def test_a_far_camera_and_true_depth_change_nothing():
    measured = turning("weak")
    causes = pose_bias.estimate_causes(measured.shape_features, measured.head_pose_degrees, np.ones(81, bool), 1 / FPS)
    assert causes == pytest.approx(0, abs=1e-9)
    assert pose_bias.estimate_causes(
        measured.shape_features, measured.head_pose_degrees, np.zeros(81, bool), 1 / FPS
    ) == pytest.approx([0, 0])


def test_an_expression_shown_at_one_pose_only_is_not_taken_for_the_poses_effect():
    """It was once: a jaw dropping while the head was turned made the resting face at that pose drift by 0.7."""
    turned = truth.rotation(-20, 15)
    opening = [face("AU26", level, turned) for level in np.repeat(np.linspace(0, 1, 11), 5)]
    units = action_units.estimate(table.track_of(np.array([face()] * 100 + opening)))
    assert units.intensity[102] == pytest.approx(units.intensity[50], abs=0.05)
    assert column(units, "AU26")[-1] > 3


def test_what_is_held_is_what_a_tenth_of_the_time_shows() -> None:
    """A maximum of one frame is not held; frames count by how long they are shown, blinks and gaps not at all."""
    intensity = np.zeros((12, 2))
    intensity[:, 0] = [5.0, 4.6, 2.0, 1.0, 0, 0, 0, 0, 0, 0, 5.0, np.nan]
    intensity[:, 1] = np.nan
    times = np.array([0.0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    units = ActionUnits(
        ("AU12", "AU15"),
        times,
        intensity,
        np.array([1.0] * 11 + [0.0]),
        times == 0.9,
        np.zeros(12, bool),
        "person",
        "t",
    )
    # 0.9 s count: 0.01 s at 5, 0.09 s at 4.6 are together the tenth of it and more.
    assert held_units(units) == {"AU12": 4.6}
    assert saturated_units(units) == {"AU12": pytest.approx(0.1 / 0.9)}
    assert held_units(units.between(0.1, 0.9)) == {"AU12": 2.0}
    assert saturated_units(units.between(0.3, 0.9)) == {"AU12": 0.0}
