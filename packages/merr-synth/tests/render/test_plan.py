"""Plans: even labels, splits that share nothing, conflicts with their documented truth, a JSON round trip."""

import dataclasses
import json
from collections import Counter
from itertools import combinations

import pytest

from emotion_llama.errors import InputError
from merr_synth.render.conflicts import CONFLICTS, kinds_for
from merr_synth.render.plan import MISSING, draw_plans, seed_of
from merr_synth.render.plan_file import plan_from_json, plan_to_json, plans_text, read_plans

PLANS = draw_plans(360, 5, conflict_share=0.2, missing_share=0.2)


def test_the_same_arguments_give_the_same_plans_and_another_seed_others():
    assert draw_plans(12, 5) == draw_plans(12, 5)
    first, other = draw_plans(12, 5), draw_plans(12, 6)
    assert not {p.person_seed for p in first} & {p.person_seed for p in other}


def test_labels_are_even_over_all_and_in_every_split():
    assert set(Counter(p.label for p in PLANS).values()) == {40}
    for split, count in (("train", 252), ("validation", 54), ("test", 54)):
        inside = Counter(p.label for p in PLANS if p.split == split)
        assert sum(inside.values()) == count
        assert max(inside.values()) - min(inside.values()) <= 1


@pytest.mark.parametrize("what", ["person", "person_seed", "setting_seed", "source", "text", "template_id", "seed"])
def test_splits_share_nothing(what):
    values = {split: {getattr(p, what) for p in PLANS if p.split == split} for split in ("train", "validation", "test")}
    for a, b in combinations(values.values(), 2):
        assert a
        assert not a & b


def test_splits_share_no_voice_and_a_person_has_one():
    voices = {split: {p.voice for p in PLANS if p.split == split} for split in ("train", "validation", "test")}
    for a, b in combinations(voices.values(), 2):
        assert not a & b
    pairs = {(p.person, p.voice, p.person_seed) for p in PLANS}
    assert len(pairs) == len({p.person for p in PLANS}) == len({p.voice for p in PLANS})


def test_a_source_is_one_person_in_one_place_and_a_person_has_several():
    assert len({(p.source, p.person, p.setting_seed) for p in PLANS}) == len({p.source for p in PLANS})
    sources = Counter(person for person, _ in {(p.person, p.source) for p in PLANS})
    assert Counter(sources.values()).most_common(1)[0][0] == 2
    assert max(Counter(p.source for p in PLANS).values()) <= 4


def test_the_shares_of_conflicts_and_gaps_are_those_asked_for():
    # 0.2 of 252, 54 and 54, each rounded: 50 + 11 + 11
    assert sum(p.conflict is not None for p in PLANS) == 72
    assert sum(bool(p.missing) for p in PLANS) == 72
    assert not any(p.conflict and p.missing for p in PLANS)
    assert {p.missing for p in PLANS} == {(), *MISSING}
    assert set(Counter(p.conflict for p in PLANS)) == {None, *CONFLICTS}


def test_what_each_modality_shows_is_what_the_kind_of_conflict_says():
    for p in PLANS:
        if p.conflict is None:
            shown = {p.face_label, p.voice_label, p.words_label}
            assert shown <= {p.label, None}
            continue
        kind = CONFLICTS[p.conflict]
        assert p.label in kind.labels
        assert (p.face_label, p.voice_label, p.words_label) == tuple(
            x or p.label for x in (kind.face, kind.voice, kind.words)
        )
        assert p.template_id.startswith(f"{p.words_label}/{p.split}/")


def test_the_truth_of_a_conflict_follows_the_documented_rules():
    """Rules 1 to 3 of `conflicts`, written down a second time and applied to every kind and label."""
    for kind in CONFLICTS.values():
        for label in kind.labels:
            face, voice, words = (shown or label for shown in (kind.face, kind.voice, kind.words))
            signs = [sign for sign in (face, voice, words) if sign != "neutral"]
            (most, count) = Counter(signs).most_common(1)[0]
            truth = most if count > 1 or len(signs) == 1 else voice
            assert truth == label
            assert len({face, voice, words}) > 1
    assert kinds_for("neutral") == ()


def test_a_missing_modality_shows_nothing_and_something_is_always_left():
    names = {"silent": "voice_label", "no_face": "face_label", "no_words": "words_label"}
    for p in PLANS:
        for gap, field in names.items():
            if gap in p.missing:
                assert getattr(p, field) is None
        assert any((p.face_label, p.voice_label, p.words_label))


def test_ambiguous_words_tell_nothing_and_come_now_and_then():
    ambiguous = [p for p in PLANS if p.template_id.startswith("ambiguous/")]
    # 0.12 of the 151 + 32 + 32 clips without conflict or gap, each rounded: 18 + 4 + 4
    assert len(ambiguous) == 26
    assert all(p.words_label is None for p in ambiguous)


def test_the_sentence_fits_and_the_apex_lies_within():
    for p in PLANS:
        assert p.duration_seconds >= 3.0
        assert p.num_frames == pytest.approx(p.duration_seconds * p.fps)
        assert 0.35 * p.duration_seconds <= p.apex_seconds <= 0.65 * p.duration_seconds
        assert all(e.unit.startswith("AU") for e in p.events)
    assert sum(p.duration_seconds > 4.0 for p in PLANS) < 36


def test_sentences_are_rarely_said_twice():
    assert len({p.text for p in PLANS}) > 0.97 * len(PLANS)


def test_labels_and_splits_can_be_chosen():
    plans = draw_plans(10, labels=("happy", "sad"), split_shares={"test": 1.0}, fps=12, seconds=2, size=(320, 240))
    assert {p.split for p in plans} == {"test"}
    assert Counter(p.label for p in plans) == {"happy": 5, "sad": 5}
    assert plans[0].size == (320, 240)
    one = draw_plans(1)
    assert len(one) == 1


def test_seeds_depend_on_every_part():
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2) != seed_of(1, "a", 3)
    assert seed_of("ab", "c") != seed_of("a", "bc")
    assert 0 <= seed_of(0) < 2**48


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"split_shares": {"train": 0.5}}, "split_shares must be shares of train, validation, test that sum to 1"),
        ({"split_shares": {"dev": 1.0}}, "split_shares must be shares"),
        ({"split_shares": {}}, "split_shares must be shares"),
        ({"conflict_share": 0.7, "missing_share": 0.7}, "conflict_share and missing_share must be 0..1 and sum to 1"),
        ({"labels": ("happy", "bored")}, "labels must be different ones of neutral, angry.*got happy, bored"),
        ({"labels": ()}, "labels must be different ones .*got none"),
        ({"size": (255, 256)}, "size must be even numbers of at least 64 pixels, got .255, 256."),
        ({"fps": 0.5}, "fps and seconds must be within 1..60, got 0.5, 3.0"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        draw_plans(**({"n": 9} | arguments))


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError, match=r"n must be.*; size must be.*; fps and seconds"):
        draw_plans(-1, size=(2, 2), fps=0)


def test_plans_survive_the_way_through_json(tmp_path):
    path = tmp_path / "plans.jsonl"
    path.write_text(plans_text(PLANS), encoding="utf-8")
    assert read_plans(path) == PLANS
    line = json.loads(plan_to_json(PLANS[0]))
    assert line["id"] == "train-00000"
    assert set(line) == {field.name for field in dataclasses.fields(PLANS[0])}


def _changed(**changes):
    return json.dumps(json.loads(plan_to_json(PLANS[0])) | changes)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (_changed(fps="15"), "line 3: not a clip plan .fps: Input should be a valid number"),
        (_changed(colour="red"), "line 3: not a clip plan .unknown fields: colour"),
        (_changed(missing=["deaf"]), "missing.0: Input should be 'silent', 'no_face' or 'no_words'"),
        ("{", "line 3: not a clip plan .line: Invalid JSON"),
        (
            _changed(voice=dataclasses.asdict(PLANS[0].voice) | {"lisp": 1}),
            "line 3: not a clip plan .unknown fields: voice.lisp",
        ),
        (
            _changed(
                events=[{"unit": "AU99", "onset_seconds": 0, "apex_seconds": 1, "offset_seconds": 2, "intensity": 1}]
            ),
            "line 3: .*unknown action unit 'AU99'",
        ),
        (
            _changed(
                events=[
                    {"unit": "AU12", "onset_seconds": 0.0, "apex_seconds": 1.0, "offset_seconds": 2.0, "intensity": 1.0,
                     "side": "left"}
                ]
            ),
            "unknown fields: events.0.side",
        ),
    ],
)  # fmt: skip
def test_a_line_that_is_no_plan_is_told_with_its_number(text, match):
    with pytest.raises(InputError, match=match):
        plan_from_json(text, "line 3")


def test_files_that_hold_no_plans_are_told(tmp_path):
    with pytest.raises(InputError, match=r"plans cannot be read .*give a plans.jsonl of `synth render`"):
        read_plans(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text(plan_to_json(PLANS[0]) + "\n\nnothing\n")
    with pytest.raises(InputError, match=r"bad.jsonl, line 3: not a clip plan"):
        read_plans(tmp_path / "bad.jsonl")
