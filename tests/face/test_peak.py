import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face import label_units
from emotion_llama.face.peak import find_peak
from emotion_llama.records import AU_NAMES, ActionUnits

FPS = 25.0


def units_of(
    rows: dict[str, list[float]], *, names=AU_NAMES, confidence=None, blink=(), speech=(), nan_rows=()
) -> ActionUnits:
    """Intensities by unit over time; units that are not named are zero."""
    n = len(next(iter(rows.values())))
    intensity = np.zeros((n, len(names)))
    for name, values in rows.items():
        intensity[:, names.index(name)] = values
    intensity[list(nan_rows)] = np.nan
    flags = [np.isin(np.arange(n), list(marked)) for marked in (blink, speech)]
    return ActionUnits(
        names, np.arange(n) / FPS, intensity, np.ones(n) if confidence is None else np.array(confidence), *flags,
        neutral="backend", source="test",
    )  # fmt: skip


def test_the_published_example_of_a_surprised_face():
    """Emotion-LLaMA's figure: AU05 .36 + AU26 1.02 at frame 1 beats 0 + 1.25 at frame 7."""
    au05 = [0.0, 0.36, 0.1, 0, 0, 0, 0, 0.0]
    au26 = [0.5, 1.02, 0.9, 0.4, 0.3, 0.6, 0.9, 1.25]
    peak = find_peak(units_of({"AU05": au05, "AU26": au26}), rule="label", label="surprise")
    assert peak is not None
    assert peak.row == 1
    assert peak.pts_seconds == pytest.approx(1 / FPS)
    assert peak.score == pytest.approx(1.38)
    assert (peak.rule, peak.label) == ("label", "surprise")
    assert "AU05 0.36 + AU26 1.02 = 1.38" in peak.why
    # Had only the largest single unit counted, frame 7 would have won.
    alone = find_peak(units_of({"AU26": au26}), rule="label", label_units=("AU26",))
    assert alone is not None
    assert alone.row == 7


def test_rule_all_sums_every_unit():
    units = units_of({"AU06": [1.0, 2.0, 0.5], "AU12": [1.0, 0.5, 3.0], "AU01": [1.5, 0.0, 0.0]})
    peak = find_peak(units)
    assert peak is not None
    assert (peak.row, peak.score) == (0, pytest.approx(3.5))
    assert peak.label is None
    assert list(peak.units) == ["AU01", "AU06", "AU12"]  # strongest first
    assert "largest sum of 16 units: 3.50 (AU01 1.50" in peak.why
    assert "3 of 3 frames could be judged" in peak.why


def test_only_units_above_the_threshold_are_reported():
    units = units_of({"AU06": [0.7], "AU12": [2.5]})
    assert dict(find_peak(units).units) == {"AU12": pytest.approx(2.5)}


def test_a_lost_face_never_wins():
    """MER-Factory's peak was a frame with confidence 0 whose stale intensities were the largest."""
    units = units_of({"AU12": [1.0, 5.0, 2.0, 4.9]}, confidence=[1.0, 0.0, 1.0, 0.0])
    assert find_peak(units).row == 2
    gap = units_of({"AU12": [1.0, 5.0, 2.0]}, confidence=[1.0, 0.0, 1.0], nan_rows=[1])
    assert find_peak(gap).row == 2


def test_no_frame_no_peak():
    nothing = units_of({"AU12": [1.0, 5.0]}, confidence=[0.0, 0.0])
    assert find_peak(nothing) is None


def test_frames_of_little_confidence_win_only_among_themselves():
    units = units_of({"AU12": [1.0, 5.0]}, confidence=[0.9, 0.1])
    assert find_peak(units).row == 0
    assert find_peak(units_of({"AU12": [1.0, 5.0]}, confidence=[0.1, 0.1])).row == 1


@pytest.mark.parametrize("where", [0, 4])
def test_the_first_and_the_last_frame_can_win(where):
    values = [1.0] * 5
    values[where] = 3.0
    units = units_of({"AU12": values})
    assert find_peak(units).row == where


def test_the_earliest_of_equals_wins():
    assert find_peak(units_of({"AU12": [0.0, 2.0, 1.0, 2.0]})).row == 1
    still = find_peak(units_of({"AU12": [0.0, 0.0]}))
    assert (still.row, still.score) == (0, 0.0)


def test_blinks_do_not_count_unless_asked():
    units = units_of({"AU12": [1.0, 1.0, 2.0], "AU45": [0.0, 5.0, 0.0]}, blink=[1])
    peak = find_peak(units)
    assert peak.row == 2
    assert "1 blink frames left out" in peak.why
    assert find_peak(units, include_blinks=True).row == 1
    # Closed eyes that are no blink may win, but not by AU45.
    shut = units_of({"AU12": [1.0, 1.5, 1.2], "AU45": [0.0, 0.0, 5.0]})
    assert find_peak(shut).row == 1
    # Where every frame is a blink, one still has to be chosen.
    assert find_peak(units_of({"AU12": [1.0, 2.0]}, blink=[0, 1])).row == 1


def test_talking_does_not_count_unless_asked():
    units = units_of({"AU12": [1.0, 0.5], "AU25": [0.0, 2.0], "AU26": [0.0, 2.0]}, speech=[1])
    peak = find_peak(units)
    assert (peak.row, peak.score) == (0, pytest.approx(1.0))
    assert "AU25 and AU26 not counted while talking" in peak.why
    assert find_peak(units, include_speech=True).row == 1
    # The same mouth, not talking, is an expression.
    gaping = units_of({"AU12": [1.0, 0.5], "AU25": [0.0, 2.0], "AU26": [0.0, 2.0]})
    assert find_peak(gaping).row == 1


def test_a_label_takes_the_published_table_before_mer_factorys():
    units = units_of({"AU06": [1.0, 0.0], "AU14": [0.0, 3.0]})
    assert find_peak(units, rule="label", label="happy").row == 0  # 06 + 12
    assert find_peak(units, rule="label", label="happy", label_units=("AU06", "AU12", "AU14")).row == 1
    worried = units_of({"AU20": [0.0, 1.0]})  # AU28 of the table is not measured
    assert find_peak(worried, rule="label", label="worried").row == 1


def test_published_tables_are_as_printed():
    assert label_units.PUBLISHED == {
        "surprise": ("AU05", "AU26"),
        "happy": ("AU06", "AU12"),
        "sad": ("AU01", "AU04", "AU15"),
        "angry": ("AU04", "AU05", "AU07", "AU23"),
    }
    assert label_units.units_of("sad") == ("AU01", "AU04", "AU15")
    assert label_units.units_of("contempt") == ("AU12", "AU10", "AU14", "AU17")


def test_labels_that_do_not_exist():
    units = units_of({"AU12": [1.0]})
    with pytest.raises(InputError, match="no published units for 'doubt'"):
        find_peak(units, rule="label", label="doubt")
    with pytest.raises(InputError, match="needs label or label_units"):
        find_peak(units, rule="label")
    with pytest.raises(InputError, match='peak rule must be "all" or "label"'):
        find_peak(units, rule="largest")
    with pytest.raises(InputError, match="AU28"):
        find_peak(units, rule="label", label_units=("AU28",))


def test_a_mesh_that_is_still_being_laid_a_turned_head_and_half_shut_eyes_do_not_win():
    """First frames after a detection were up to 15 degrees off, and won; so did glances down and away."""
    values = np.ones(40)
    values[0], values[20], values[25], values[30] = 4.0, 3.5, 3.0, 2.0
    confidence, lids = np.ones(40), np.zeros(40)
    confidence[20], lids[25] = 0.6, 3.0
    units = units_of({"AU12": values.tolist(), "AU45": lids.tolist()}, confidence=confidence)
    assert find_peak(units).row == 30
    assert find_peak(units_of({"AU12": values[:10].tolist()})).row == 0  # of a short stretch every frame counts
