"""What face and voice do in each emotion: prototypes that hold what they say, directions that the sources give."""

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.face.label_units import MER_FACTORY, PUBLISHED
from emotion_llama.labels import MERR9
from emotion_llama.records import AU_NAMES
from merr_synth.render.affect import FACE_TABLE, PROSODY_TABLE, draw_expression, draw_prosody
from merr_synth.render.motion import unit_curves


def mean(label, field):
    return sum(getattr(PROSODY_TABLE[label], field)) / 2


def test_every_label_has_prototypes_with_a_source_and_known_units():
    assert set(FACE_TABLE) == set(PROSODY_TABLE) == set(MERR9.labels)
    for label, ways in FACE_TABLE.items():
        assert sum(way.weight for way in ways) == pytest.approx(1.0), label
        for way in ways:
            assert way.source
            assert set(way.units) | set(way.maybe) <= set(AU_NAMES)
            assert not set(way.units) & set(way.maybe)
            assert all(0 < level <= 5 for level in way.units.values())
            assert all(0 < p <= 1 and 0 < level <= 5 for p, level in way.maybe.values())


@pytest.mark.parametrize("label", sorted(PUBLISHED))
def test_the_likeliest_prototype_holds_the_published_units(label):
    likeliest = max(FACE_TABLE[label], key=lambda way: way.weight)
    assert set(PUBLISHED[label]) <= set(likeliest.units)


def test_a_prototype_said_to_be_of_mer_factory_has_units_of_that_table():
    found = 0
    for label, ways in FACE_TABLE.items():
        for way in ways:
            if way.source.startswith("MER-Factory"):
                found += 1
                assert set(way.units) <= set(MER_FACTORY[label])
    assert found == 3  # happy, angry, contempt


# Directions of the sources: Scherer 2003 table 2, Juslin & Laukka 2003, Banse & Scherer 1996, Murray & Arnott 1993.
@pytest.mark.parametrize(
    ("figure", "above", "below"),
    [
        ("pitch_shift_semitones", ("angry", "happy", "fear", "surprise"), ("sad", "contempt")),
        ("pitch_range_semitones", ("angry", "happy", "surprise"), ("sad", "fear", "contempt")),
        ("articulation_rate", ("angry", "happy", "fear"), ("sad", "contempt", "doubt")),
        ("loudness_db", ("angry", "happy"), ("sad", "worried")),
        ("softness_db", ("sad",), ("angry", "happy")),
        ("pause_share", ("sad", "doubt"), ()),
        ("tremor_percent", ("fear", "worried"), ()),
        ("ending", ("doubt", "surprise"), ()),
        ("jitter_percent", ("fear", "angry", "sad"), ()),
    ],
)
def test_figures_lie_on_the_side_of_neutral_that_the_sources_give(figure, above, below):
    if figure == "pitch_range_semitones":  # fear: little variability, but not a monotone: within neutral's range
        below = ("sad", "contempt")
        assert PROSODY_TABLE["fear"].pitch_range_semitones.low <= PROSODY_TABLE["neutral"].pitch_range_semitones.high
    assert all(mean(label, figure) > mean("neutral", figure) for label in above)
    assert all(mean(label, figure) < mean("neutral", figure) for label in below)


def test_an_expression_is_strongest_at_its_apex_and_rests_before():
    events = draw_expression("happy", 3, duration_seconds=4.0, apex_seconds=2.0)
    pts = np.arange(0, 4, 0.02)
    total = unit_curves(events, pts).sum(axis=1)
    assert pts[total.argmax()] == pytest.approx(2.0, abs=0.1)  # units reach it nearly together
    assert total[pts < 1.2].max() == 0.0  # the rise takes at most 0.55 s, the scatter of the units some 0.1 s
    # what is held after the apex is 60 % of it
    held = total[np.searchsorted(pts, 2.75)]
    assert held == pytest.approx(0.6 * total.max(), rel=0.05)


def test_the_same_seed_gives_the_same_expression_and_strength_scales_it():
    weak, again, strong = (draw_expression("sad", 5, s, apex_seconds=1.5) for s in (0.5, 0.5, 1.0))
    assert weak == again
    assert [e.unit for e in weak] == [e.unit for e in strong]
    assert [2 * e.intensity for e in weak] == pytest.approx([e.intensity for e in strong])
    assert draw_expression("sad", 6, apex_seconds=1.5) != draw_expression("sad", 5, apex_seconds=1.5)


def test_prototypes_come_in_the_shares_of_the_table():
    drawn = [{e.unit for e in draw_expression("fear", seed)} for seed in range(600)]
    with_tightener = np.mean(["AU07" in units for units in drawn])
    assert with_tightener == pytest.approx(0.5, abs=0.06)  # only the first of fear's ways has AU07; 3 SD = 0.061


def test_a_put_on_smile_has_no_cheeks():
    for seed in range(20):
        units = {e.unit for e in draw_expression("happy", seed, is_mask=True)}
        assert "AU12" in units
        assert "AU06" not in units


def test_strength_nought_is_a_neutral_voice_in_every_emotion():
    plans = [draw_prosody(label, 4, strength=0.0) for label in MERR9.labels]
    assert all(plan == plans[0] for plan in plans)
    assert plans[0].articulation_rate == pytest.approx(4.5)  # the middle of neutral's 4 to 5
    assert plans[0].pause_share == 0.0


def test_draws_stay_within_the_table():
    for label in MERR9.labels:
        for seed in range(30):
            plan = draw_prosody(label, seed)
            for name in PROSODY_TABLE[label]._fields[:-1]:
                low, high = getattr(PROSODY_TABLE[label], name)
                assert low - 1e-9 <= getattr(plan, name) <= high + 1e-9


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: draw_expression("bored", 0), "'bored' is not a label of merr9"),
        (lambda: draw_expression("sad", 0, 2.0), "strength must be within 0..1.5, got 2.0"),
        (lambda: draw_expression("sad", 0, apex_seconds=4.0), "the apex must lie within the clip, 0..3.0 s, got 4.0"),
        (lambda: draw_expression("sad", 0, is_mask=True), "only a smile can be put on"),
        (lambda: draw_prosody("bored", 0), "'bored' is not a label of merr9"),
        (lambda: draw_prosody("sad", 0, strength=-1), "strength must be within 0..1.5, got -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()
