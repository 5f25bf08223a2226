"""What reviews come to, what fixes change, and how far reviewers agree; expected values worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from samples import make_field, make_runs, make_sample

from emotion_llama.merr.records import Json, Provenance, Sample, is_coarse, is_fine
from emotion_llama.merr.review.decisions import Decision, Review, Verdict, seen_of, settle
from emotion_llama.merr.review.figures import ReviewCounter, agreement, num_disputed, num_reviewed, review_lines
from emotion_llama.merr.review.fixes import with_fixes

SAMPLE = make_sample()  # "happy", with English descriptions
ANNA = Provenance("reviewer", "anna", made_at="2026-03-01T10:00:00+00:00")


def said(
    reviewer: str, decision: Decision, number: int = 1, *, sample: Sample = SAMPLE, stars: int | None = None,
    **fixes: Json,
) -> Review:  # fmt: skip
    return Review(
        sample.clip.clip_id, reviewer, decision, stars, "", fixes, seen_of(sample), "2026-03-01T10:00:00+00:00", number
    )


def values(verdict: Verdict) -> dict[tuple[str, str], tuple[Json, str]]:
    return {key: (value, provenance.model) for key, (value, provenance) in verdict.fixes.items()}


def test_one_reviewer_decides() -> None:
    assert settle(SAMPLE, []).outcome == "none"
    assert settle(SAMPLE, [said("anna", "accept")]).outcome == "accepted"
    assert settle(SAMPLE, [said("anna", "reject")]).outcome == "rejected"
    fixed = settle(SAMPLE, [said("anna", "fix", label="sad", subtitle=None)])
    assert fixed.outcome == "fixed"
    assert values(fixed) == {("label", ""): ("sad", "anna"), ("subtitle", ""): (None, "anna")}


@pytest.mark.parametrize(
    ("decisions", "outcome", "why"),
    [
        ("aar", "accepted", None),
        ("arr", "rejected", "rejected by reviewers"),
        ("ar", "disputed", "reviewers disagree: as many reject it as keep it"),
        ("aarr", "disputed", "reviewers disagree: as many reject it as keep it"),
    ],
)
def test_more_have_to_keep_a_sample_than_reject_it(decisions: str, outcome: str, why: str | None) -> None:
    words: dict[str, Decision] = {"a": "accept", "r": "reject"}
    found = settle(SAMPLE, [said(f"r{i}", words[d], i) for i, d in enumerate(decisions)])
    assert (found.outcome, found.why_left_out) == (outcome, why)


def test_the_label_is_the_one_that_most_keepers_stand_for() -> None:
    keeps, sad, sad_too = (
        said("anna", "accept", 1),
        said("ben", "fix", 2, label="sad"),
        said("cleo", "fix", 3, label="sad"),
    )
    tie = settle(SAMPLE, [keeps, sad])
    assert (tie.outcome, tie.why_left_out) == ("disputed label", "reviewers disagree on its label")
    assert values(settle(SAMPLE, [keeps, sad, sad_too])) == {("label", ""): ("sad", "cleo")}
    # Who fixes something else stands for the label that is there.
    other = said("dora", "fix", 4, audio_tone_en="a flat voice")
    assert values(settle(SAMPLE, [keeps, sad, other])) == {("audio_tone", "en"): ("a flat voice", "dora")}
    # Who rejects the sample has no say in its label.
    assert settle(SAMPLE, [sad, sad_too, said("eve", "reject", 5)]).fixes.keys() == {("label", "")}


def test_a_sample_without_a_label_can_be_accepted() -> None:
    bare = make_sample(without=("label",))
    assert settle(bare, [said("anna", "accept", sample=bare), said("ben", "accept", sample=bare)]).outcome == "accepted"


def test_of_texts_the_newest_fix_counts_and_differing_ones_are_told() -> None:
    first = said("anna", "fix", 1, audio_tone_en="flat", subtitle="No.")
    second = said("ben", "fix", 2, audio_tone_en="dull", subtitle="No.")
    found = settle(SAMPLE, [second, first, said("cleo", "accept", 3)])  # in whatever order they come
    assert values(found) == {("audio_tone", "en"): ("dull", "ben"), ("subtitle", ""): ("No.", "ben")}
    assert found.disputed_columns == ("audio_tone_en",)


def test_reviews_of_an_earlier_state_are_counted_and_not_used() -> None:
    earlier = said("anna", "reject", sample=make_sample(fields=[make_field("audio_tone", "loud", language="en")]))
    found = settle(SAMPLE, [earlier])
    assert (found.outcome, found.out_of_date, found.reviews) == ("none", 1, ())
    found = settle(SAMPLE, [earlier, said("ben", "accept", 2)])
    assert (found.outcome, found.out_of_date) == ("accepted", 1)


# --- what fixes change


def test_a_fixed_text_has_the_reviewer_as_its_maker() -> None:
    fixed = with_fixes(SAMPLE, {("audio_tone", "en"): ("a flat voice", ANNA)})
    found = fixed.fields["audio_tone", "en"]
    assert (found.value, found.provenance) == ("a flat voice", ANNA)
    others = {key: f for key, f in fixed.fields.items() if key != ("audio_tone", "en")}
    assert others == {key: f for key, f in SAMPLE.fields.items() if key != ("audio_tone", "en")}


def test_a_text_taken_away_says_who_did() -> None:
    fixed = with_fixes(SAMPLE, {("coarse_caption", "en"): (None, ANNA)})
    found = fixed.fields["coarse_caption", "en"]
    assert (found.value, found.why_missing, found.provenance.model) == (None, "a reviewer took it away", "anna")
    assert not is_coarse(fixed)


def test_a_fixed_subtitle_keeps_its_language_and_loses_its_source() -> None:
    fixed = with_fixes(SAMPLE, {("subtitle", ""): ("I did.", ANNA)})
    assert fixed.value("subtitle") == {"text": "I did.", "source": "reviewer", "language": "en"}


def test_a_fixed_label_takes_what_was_made_for_the_old_one_along() -> None:
    conflicts: Json = [
        {"first": "label", "first_label": "happy", "second": "face"},
        {"first": "face", "second": "words"},
    ]
    sample = make_sample(fields=[make_field("conflicts", conflicts)])
    fixed = with_fixes(sample, {("label", ""): ("sad", ANNA)})
    assert fixed.value("label") == {
        "label": "sad", "source": "given", "strength": None, "score": None, "confidence": None, "units": {},
        "candidates": {}, "table": "", "by_rules": "happy",
    }  # fmt: skip
    assert fixed.value("conflicts") == [{"first": "face", "second": "words"}]
    for key in (("clues", "en"), ("fine_caption", "en")):
        assert fixed.fields[key].why_missing == "written for another label, which a reviewer changed"
        assert fixed.fields[key].provenance == sample.fields[key].provenance
    assert fixed.fields["consistency", "en"].why_missing == "of the description before a reviewer changed it"
    assert (is_coarse(fixed), is_fine(fixed)) == (True, False)


def test_a_fine_description_that_comes_to_the_new_label_stays() -> None:
    text = make_field("fine_caption", "A smile, then tears: the person is unhappy.", language="en")
    sample = make_sample(fields=[text])
    assert with_fixes(sample, {("label", ""): ("sad", ANNA)}).fields["fine_caption", "en"] == text
    both = with_fixes(SAMPLE, {("label", ""): ("sad", ANNA), ("fine_caption", "en"): ("Tears: this is sad.", ANNA)})
    assert is_fine(both)
    assert both.value("fine_caption", "en") == "Tears: this is sad."


def test_fixed_clues_keep_the_label_that_their_annotator_named() -> None:
    clues = make_field("clues", {"supporting": ["a smile"], "misleading": [], "label": "happy"}, language="en")
    fixed = with_fixes(
        make_sample(fields=[clues]), {("clues", "en"): ({"supporting": ["a grin"], "misleading": ["tears"]}, ANNA)}
    )
    assert fixed.value("clues", "en") == {"supporting": ["a grin"], "misleading": ["tears"], "label": "happy"}


def failed(languages: Sequence[str]) -> Sample:
    """A sample whose fine descriptions of these languages did not hold."""
    problems = [make_field("consistency", {"problems": ["no cue is named"]}, language=lang) for lang in languages]
    runs = make_runs("clip_0", until="consistency", status="dropped", reason="no cue is named", scope="fine")
    return make_sample(languages=("en", "zh"), fields=problems, runs=runs)


def test_a_rewritten_description_comes_back_into_the_fine_set() -> None:
    english, chinese = ("fine_caption", "en"), ("fine_caption", "zh")
    assert not is_fine(failed(["en"]))
    assert is_fine(with_fixes(failed(["en"]), {english: ("A smile. Happy.", ANNA)}))
    assert not is_fine(with_fixes(failed(["en"]), {chinese: ("很高兴。", ANNA)}))
    assert not is_fine(with_fixes(failed(["en", "zh"]), {english: ("A smile. Happy.", ANNA)}))
    # What is told of the other language still holds.
    fixed = with_fixes(failed(["en"]), {english: ("A smile. Happy.", ANNA)})
    assert fixed.value("consistency", "en") is None
    assert fixed.value("consistency", "zh") is not None


# --- agreement


def test_kappa_by_hand() -> None:
    # Cohen's kappa of a 2 x 2 table with cells 20, 5, 10, 15: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert agreement(pairs) == {"compared": 50, "equal": pytest.approx(0.7), "kappa": pytest.approx(0.4)}


def test_kappa_where_there_is_none() -> None:
    assert agreement([]) == {"compared": 0, "equal": None, "kappa": None}
    assert agreement([("a", "a"), ("a", "a")]) == {"compared": 2, "equal": 1.0, "kappa": None}  # p_e is 1
    assert agreement([("a", "b"), ("b", "a")]) == {"compared": 2, "equal": 0.0, "kappa": pytest.approx(-1.0)}


def test_kappa_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    one, other = list("aabbccabca"), list("abbbcaabcc")
    assert agreement(list(zip(one, other, strict=True)))["kappa"] == pytest.approx(cohen_kappa_score(one, other))


def test_reviews_are_counted() -> None:
    samples = [make_sample(f"c{i}") for i in range(6)]
    dropped = make_sample("left", runs=make_runs("left", until="select", status="dropped", reason="enough of them"))

    def of(i: int, *reviews: Review) -> tuple[Review, ...]:
        return tuple(replace(r, clip_id=samples[i].clip.clip_id, seen=seen_of(samples[i])) for r in reviews)

    reviews = {
        "c0": of(0, said("anna", "accept", 1, stars=4), said("ben", "accept", 2, stars=5)),
        "c1": of(1, said("anna", "reject", 3), said("ben", "accept", 4)),
        "c2": of(2, said("anna", "fix", 5, label="sad", stars=1), said("ben", "accept", 6)),
        "c3": of(3, said("anna", "fix", 7, audio_tone_en="flat"), said("ben", "fix", 8, audio_tone_en="dull")),
        "c4": (said("anna", "accept", 9, sample=make_sample(fields=[make_field("subtitle", None)])),),
        "left": (said("anna", "accept", 10, sample=dropped),),
    }
    counter = ReviewCounter(reviews)
    for sample in (*samples, dropped):
        counter.add(sample)
    found = counter.result()
    assert (found["samples"], num_reviewed(found), found["left_out"], found["out_of_date"], num_disputed(found)) == (
        6, 4, 2, 1, 2,
    )  # fmt: skip
    assert found["outcomes"] == {"accepted": 1, "disputed": 1, "disputed label": 1, "fixed": 1, "none": 2}
    assert (found["fixed_fields"], found["disputed_texts"]) == ({"audio_tone_en": 1}, 1)
    anna, ben = found["reviewers"]
    assert anna == {
        "reviewer": "anna", "reviewed": 4, "accepted": 1, "fixed": 2, "rejected": 1, "starred": 2, "mean_stars": 2.5,
    }  # fmt: skip
    assert (ben["reviewed"], ben["accepted"], ben["fixed"], ben["rejected"], ben["mean_stars"]) == (4, 3, 1, 0, 5.0)
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"]) == ("anna", "ben")
    # Decisions: aa, ra, fa, ff -> 2 of 4 equal; p_e = (1*3 + 2*1 + 1*0) / 16 = 5/16; kappa = (8 - 5) / (16 - 5).
    assert pair["decisions"] == {"compared": 4, "equal": 0.5, "kappa": pytest.approx(3 / 11)}
    # Labels where both keep it: c0 happy-happy, c2 sad-happy, c3 happy-happy; p_e = (2*3 + 1*0) / 9 -> kappa 0.
    assert pair["labels"] == {"compared": 3, "equal": pytest.approx(2 / 3), "kappa": pytest.approx(0.0)}
    assert review_lines(found) == (
        "samples reviewed: 4 of 6; left out for it: 2; with fixed fields: 1 (audio_tone_en 1)",
        "samples on which reviewers disagree, left out: 2",
        "samples of which reviewers fixed a text differently, the newest is used: 1",
        "reviews of an earlier state of their sample, not used: 1",
    )


def test_without_reviews_there_is_nothing_to_say() -> None:
    counter = ReviewCounter({})
    assert counter.add(SAMPLE).outcome == "none"
    assert review_lines(counter.result()) == ()
