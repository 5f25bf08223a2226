"""Quality: nothing circular is computed, nothing missing is counted, and the figures are those counted by hand."""

from collections.abc import Mapping, Sequence

import pytest
from samples import (
    MEASURED,
    MODEL,
    MODEL_SAW_LABEL,
    PROSODY,
    assess,
    make_clip_row,
    make_field,
    make_runs,
    make_sample,
    make_samples,
)

from emotion_llama.merr.quality.measures import Measure
from emotion_llama.merr.records import Json, Provenance, Sample


def measured(samples: Sequence[Sample]) -> Mapping[str, Measure]:
    return {measure.name: measure for measure in assess(samples)}


def test_what_rules_wrote_is_not_compared_with_what_they_wrote_it_from() -> None:
    found = measured(make_samples())
    for name in ("units_named_rightly", "units_named", "tone_rank", "tone_words_hold", "grounded"):
        assert found[name].value is None
        assert found[name].rests_on == 0
        assert any("circular" in reason for reason in found[name].left_out)


@pytest.mark.parametrize("annotator", ["rules", "measured", "own phrases"])
def test_every_maker_that_words_measurements_is_circular(annotator: str) -> None:
    text = make_field("visual_expression", ["a smile"], Provenance(annotator, "x"), "en")
    assert measured([make_sample(fields=[text])])["units_named"].rests_on == 0


def _said(clip_id: str, label: str, text: str) -> Sample:
    fields = [make_field("visual_objective", text, MODEL, "en")]
    return make_sample(clip_id, label, fields=fields, without=["visual_expression"])


def test_named_units_against_measured_ones() -> None:
    happy = _said("a", "happy", "A woman smiles, her eyebrows raised.")  # AU12 there, AU01/AU02 not; AU06 not named
    angry = _said("b", "angry", "A man with furrowed brow and narrowed eyes.")  # AU04, AU07 there; AU23 not named
    found = measured([happy, angry])
    assert (found["units_named_rightly"].value, found["units_named_rightly"].rests_on) == (0.75, 4)
    assert (found["units_named"].value, found["units_named"].rests_on) == (pytest.approx(3 / 5), 5)
    # Each text beside the other's face: no mention holds, and no unit is named.
    assert found["units_named_rightly"].chance == 0
    assert found["units_named"].chance == 0


def test_a_text_without_a_measured_face_is_left_out() -> None:
    sample = make_sample(
        fields=[make_field("visual_objective", "A smile.", MODEL, "en"), make_field("peak", None, MEASURED)],
        without=["visual_expression"],
    )
    found = measured([sample])["units_named_rightly"]
    assert (found.value, found.rests_on, dict(found.left_out)) == (None, 0, {"no face was measured": 1})


def _voice(clip_id: str, rate: float | None, text: str) -> Sample:
    assert isinstance(PROSODY, dict)
    prosody: Json = {**PROSODY, "articulation_rate": rate}
    return make_sample(
        clip_id, fields=[make_field("prosody", prosody, MEASURED), make_field("audio_tone", text, MODEL, "en")]
    )


def test_voices_rank_as_they_are_called() -> None:
    rates = [2.0, 2.5, 3.2, 3.6, 4.0, 4.4, 4.8, 5.2, 5.6, 6.0]
    samples = [_voice(f"v{i}", rate, "a voice") for i, rate in enumerate(rates)]
    samples[0] = _voice("v0", 2.0, "She speaks fast.")  # the slowest of ten
    samples[9] = _voice("v9", 6.0, "She speaks fast.")  # the fastest
    samples[1] = _voice("v1", 2.5, "She speaks slowly.")  # the second slowest: rank 8/9 in the word's direction
    found = measured(samples)
    assert found["tone_rank"].rests_on == 3
    assert found["tone_rank"].value == pytest.approx((0 + 1 + 8 / 9) / 3)
    assert found["tone_rank"].chance == 0.5
    # Out of bounds (below 3.0, above 5.5): "fast" at 2.0 is wrong, at 6.0 right, "slowly" at 2.5 right.
    assert (found["tone_words_hold"].value, found["tone_words_hold"].rests_on) == (pytest.approx(2 / 3), 3)


def test_few_voices_have_no_ranks_and_a_missing_figure_is_left_out() -> None:
    found = measured([_voice("a", 6.0, "fast"), _voice("b", None, "fast")])
    assert found["tone_rank"].value is None
    assert (found["tone_words_hold"].value, found["tone_words_hold"].rests_on) == (1.0, 1)
    assert found["tone_rank"].left_out == {"the figure that a word speaks of could not be measured": 1}


def test_rules_labels_against_given_ones() -> None:
    def given(clip_id: str, label: str, said: str) -> Sample:
        return make_sample(clip_id, said, clip=make_clip_row(clip_id, given_label=label))

    kept = make_field("label", {"label": "sad", "source": "given", "candidates": {"sad": 1.9}, "by_rules": "angry"})
    silent = make_field("label", {"label": "sad", "source": "given", "candidates": {}, "by_rules": None})
    samples = [
        given("a", "Happiness", "happy"), given("b", "happy", "sad"), given("c", "angry", "angry"),
        make_sample("d", "sad", clip=make_clip_row("d", given_label="sad"), fields=[kept]),
        make_sample("e", "sad", clip=make_clip_row("e", given_label="sad"), fields=[silent]),
        make_sample("f", "sad"),
    ]  # fmt: skip
    found = measured(samples)
    # a and c agree; b and d do not, although the units of d show its given label as well.
    assert (found["label_accuracy"].value, found["label_accuracy"].rests_on) == (0.5, 4)
    assert found["label_recall"].value == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["label_accuracy"].left_out == {
        "no label was given": 1, "the rules gave no label of their own": 1,
    }  # fmt: skip


def test_a_label_named_early_leaks() -> None:
    early = "The person looks angry. The brow is lowered. Hence the person is furious."
    late = 'The person says "I am angry". The brow is lowered. Hence the person is angry.'
    samples = [
        make_sample("a", "angry", fields=[make_field("fine_caption", early, MODEL_SAW_LABEL, "en")]),
        make_sample("b", "angry", fields=[make_field("fine_caption", late, MODEL_SAW_LABEL, "en"),
                                          make_field("audio_tone", "an angry voice", MODEL, "en")]),
    ]  # fmt: skip
    found = measured(samples)
    assert (found["label_early"].value, found["label_early"].rests_on) == (0.5, 2)
    assert found["label_named"].value == 1.0
    # Of expression, objective and tone of two samples, one names the label.
    assert (found["label_in_clues"].value, found["label_in_clues"].rests_on) == (pytest.approx(1 / 6), 6)


def test_grounded_share_of_models_only() -> None:
    def checked(clip_id: str, share: float | None, provenance: Provenance) -> Sample:
        value: Json = {"names_label": True, "label_at_end": True, "grounded_share": share}
        return make_sample(clip_id, fields=[
            make_field("fine_caption", "A smile. This is happy.", provenance, "en"),
            make_field("consistency", value, language="en"),
        ])  # fmt: skip

    found = measured([
        checked("a", 0.5, MODEL), checked("b", 1.0, MODEL), checked("c", None, MODEL), make_sample("d"),
    ])["grounded"]  # fmt: skip
    assert (found.value, found.rests_on) == (0.75, 2)
    assert sum(found.left_out.values()) == 2


def test_languages_by_script() -> None:
    wrong = make_field("audio_tone", "声音平稳而低沉", MODEL, "en")
    found = measured([make_sample("a", languages=("en", "zh")), make_sample("b", fields=[wrong])])["language"]
    # 5 English and 5 Chinese of the first, 5 "English" ones of the second.
    assert (found.value, found.rests_on) == (pytest.approx(14 / 15), 15)


def test_loops_and_near_duplicates() -> None:
    loop = make_field("fine_caption", "she looks up and then " * 6 + "she is happy.", MODEL, "en")
    found = measured([make_sample("a", fields=[loop]), make_sample("b"), make_sample("c")])
    assert found["loops"].value == pytest.approx(1 / found["loops"].rests_on)
    assert (found["duplicates_fine_caption_en"].value, found["duplicates_fine_caption_en"].rests_on) == (
        pytest.approx(1 / 3), 3,
    )  # fmt: skip


def test_samples_outside_the_set_are_passed_over() -> None:
    dropped = make_runs("a", until="balance", status="dropped", reason="there are enough of happy")
    assert measured([make_sample("a", runs=dropped)])["language"].rests_on == 0


def test_nothing_is_never_zero() -> None:
    for measure in assess([]):
        assert measure.value is None
        assert measure.rests_on == 0
