"""Outputs scored, every figure worked out by hand or printed by others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confusion import from_confusion

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.words import named_in, named_overlap
from emotion_llama.evaluation.records import EvalResult, EvalSample, Metric, Output, Truth
from emotion_llama.evaluation.scoring import score_outputs
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.evaluation.tasks.wheels import Wheels, wheel_groupings
from emotion_llama.labels import DFEW7, MER6, MERR9
from emotion_llama.predictors.base import Task

SIX = Benchmark("test", "1", "label", "weighted_f1", Task("emotion"), Path(), [], asked=MERR9, scored=MER6)
GROUPS, SENTIMENT, DESCRIPTIONS = (
    replace(SIX, metric=metric, asked=None, scored=None) for metric in ("groups", "sentiment", "description")
)


def wheels_of(files: Wheels, *levels: int) -> Benchmark:
    return replace(GROUPS, metric="wheels", wheels=files, levels=levels)


def hits_of(files: Wheels) -> Benchmark:
    return replace(GROUPS, metric="hit", wheels=files)


def scored(
    benchmark: Benchmark,
    samples: Sequence[EvalSample],
    outputs: Mapping[str, Output],
    parser: str = "tolerant",
    num_resamples: int = 0,
    **options: Any,
) -> EvalResult:
    return score_outputs(
        benchmark, samples, outputs.values(), parser, model="someone", num_resamples=num_resamples, **options
    )


LABELS = ("angry", "happy", "neutral", "sad", "surprise", "worried")
MER2023 = [[179, 1, 2, 1, 0, 0], [2, 152, 7, 4, 3, 1], [10, 10, 134, 6, 2, 4],
           [2, 2, 1, 250, 0, 2], [1, 0, 3, 1, 6, 3], [4, 1, 3, 2, 1, 34]]  # fmt: skip
NOISE = [[224, 0, 5, 2, 4, 1], [1, 213, 16, 0, 2, 1], [23, 24, 128, 17, 11, 29],
         [3, 2, 5, 284, 0, 1], [6, 1, 2, 0, 42, 4], [2, 0, 6, 2, 3, 106]]  # fmt: skip


def labelled(*labels: str) -> list[EvalSample]:
    return [EvalSample(f"c{i}", Truth(label=label)) for i, label in enumerate(labels)]


def worded(*words: tuple[str, ...]) -> list[EvalSample]:
    return [EvalSample(f"c{i}", Truth(words=w)) for i, w in enumerate(words)]


def say(*texts: str | None) -> dict[str, Output]:
    return {f"c{i}": Output(f"c{i}", text=text) for i, text in enumerate(texts) if text is not None}


def value(result: EvalResult, name: str) -> float:
    return result.metric(name).value


def part(result: EvalResult, name: str) -> dict[str, float]:
    return {figure.name: figure.value for figure in result.parts[name]}


@pytest.mark.parametrize("parser", ["upstream", "tolerant"])
@pytest.mark.parametrize(
    ("matrix", "f1", "accuracy"), [(MER2023, 0.9035772132511264, 0.90528), (NOISE, 0.8458065521840188, 0.85214)]
)
def test_published_answers_give_the_published_f1(
    matrix: Sequence[Sequence[int]], f1: float, accuracy: float, parser: str
) -> None:
    truth, answers = from_confusion(matrix, LABELS)
    result = scored(SIX, labelled(*truth), say(*answers), parser)
    assert result.metrics[0] == Metric("weighted_f1", pytest.approx(f1, abs=1e-15))
    assert value(result, "accuracy") == pytest.approx(accuracy, abs=5e-6)
    assert part(result, "recall")["angry"] == pytest.approx(matrix[0][0] / sum(matrix[0]))
    assert list(part(result, "confusion/sad").values())[:2] == [
        {t: dict(zip(LABELS, row, strict=True)) for t, row in zip(LABELS, matrix, strict=True)}["sad"][label]
        for label in MER6.labels[:2]
    ]
    assert result.counts == {"cases": len(truth), "answered": len(truth), "unanswered": 0}


def test_the_same_replies_by_each_parser() -> None:
    cases = labelled("sad", "happy", "neutral", "angry")
    replies = say("Sad.", "happy", "I cannot determine the emotion.", None)
    upstream = scored(SIX, cases, replies, "upstream")
    tolerant = scored(SIX, cases, replies)
    # published rule: neutral, happy, neutral, nothing; a reader: sad, happy, nothing, nothing
    assert (value(upstream, "accuracy"), value(tolerant, "accuracy")) == (0.5, 0.5)
    assert value(upstream, "answered_accuracy") == pytest.approx(2 / 3)
    assert value(tolerant, "answered_accuracy") == 1.0
    assert upstream.counts == {
        "cases": 4, "answered": 3, "unanswered": 1, "unanswered: no reply": 1, "neutral by the published rule": 2,
    }  # fmt: skip
    assert tolerant.counts == {
        "cases": 4, "answered": 2, "unanswered": 2, "unanswered: no reply": 1, "unanswered: refusal": 1,
    }  # fmt: skip


def test_means_over_folds_are_not_the_pooled_figure() -> None:
    # fold 1: happy 1 of 1, sad 0 of 3: UAR 1/2, accuracy 1/4; fold 2: sad 2 of 2: 1 and 1
    cases = [
        replace(case, fold=fold)
        for case, fold in zip(labelled("happy", "sad", "sad", "sad", "sad", "sad"), (1, 1, 1, 1, 2, 2), strict=True)
    ]
    benchmark = replace(SIX, asked=DFEW7, scored=DFEW7, primary="uar")
    answers = say("happy", "happy", "happy", "happy", "sad", "sad")
    result = scored(benchmark, cases, answers)
    assert (value(result, "uar"), value(result, "accuracy")) == (0.75, 0.625)
    fold = part(result, "fold/1")
    assert (fold["uar"], fold["accuracy"], fold["weighted_f1"]) == (0.5, 0.25, pytest.approx(0.25 * 2 / 5))
    # fold 1: happy F1 = 2 / (2 + 3) with weight 1/4; fold 2: 1
    assert value(result, "weighted_f1") == pytest.approx((0.1 + 1) / 2)
    drawn = scored(benchmark, cases, answers, num_resamples=2000)
    assert drawn.metrics[0].value == 0.75
    assert drawn.metrics[0].low is not None
    assert drawn.metrics[0].low < 0.75


def test_notes_have_their_own_figures() -> None:
    cases = [replace(case, note=note) for case, note in zip(labelled("sad", "sad", "sad"), ("", "x", "x"), strict=True)]
    result = scored(SIX, cases, say("sad", "happy", "sad"))
    assert part(result, "note/plain")["accuracy"] == 1.0
    assert part(result, "note/x")["accuracy"] == 0.5


def test_likelihood_is_calibrated_and_texts_are_not() -> None:
    cases = labelled("sad", "happy")
    replies = {f"c{i}": Output(f"c{i}", "sad", {"sad": 0.8, "happy": 0.2}) for i in range(2)}
    result = scored(SIX, cases, replies, "likelihood")
    assert value(result, "ece") == pytest.approx(0.3)  # 0.8 sure, half right
    assert value(result, "brier") == pytest.approx((0.08 + 1.28) / 2)
    assert result.metric("ece").better == "lower"
    assert "ece" not in {figure.name for figure in scored(SIX, cases, replies).metrics}


def test_clips_of_one_person_are_drawn_together() -> None:
    cases = labelled(*["sad"] * 200)
    replies = say(*["sad" if i // 20 % 2 else "happy" for i in range(200)])
    alone = scored(SIX, cases, replies, num_resamples=400).metric("accuracy")
    people = [replace(case, group=str(i // 20)) for i, case in enumerate(cases)]
    grouped = scored(SIX, people, replies, num_resamples=400).metric("accuracy")
    assert alone.value == grouped.value == 0.5
    assert alone.low is not None
    assert grouped.low is not None
    assert 0.5 - grouped.low > 3 * (0.5 - alone.low)
    mixed = [people[0], *(replace(case, group=None) for case in people[1:])]
    assert scored(SIX, mixed, replies, num_resamples=400).metric("accuracy").low == pytest.approx(alone.low, abs=0.02)


def test_grouped_synonyms_by_hand() -> None:
    cases = worded(("Happy", "calm"), ("sad",), ("angry",), ("sad",))
    groups: Mapping[str, list[list[str]]] = {
        "c0": [["happy", "joyful"], ["calm"]],
        "c1": [["sad", "down"], ["cross"]],
        "c3": [["sad"]],
    }
    replies = say("['joyful', 'happy']", "['down', 'cross']", "['angry']", None)
    result = scored(GROUPS, cases, replies, groups=groups)
    # c0: P {happy}, G {happy, calm}: 1, 1/2; c1: P {sad, cross}: 1/2, 1; c2 was not grouped; c3 tells nothing: 0, 0
    assert value(result, "set_accuracy") == pytest.approx(0.5)
    assert value(result, "set_recall") == pytest.approx(0.5)
    assert value(result, "average") == pytest.approx(0.5)
    assert result.counts["not grouped"] == 1
    assert result.counts["predicted no word"] == 1
    assert result.counts["unanswered: no reply"] == 1


def tiny_wheels() -> Wheels:
    words = ("happy", "glad", "sad", "cross")
    one = ({"happy": "joy", "glad": "joy", "sad": "sad", "cross": "mad"},
           {"happy": "merry", "glad": "pleased", "sad": "low", "cross": "irate"})  # fmt: skip
    two = ({"happy": "up", "sad": "down"}, {"happy": "up", "sad": "down"})
    return wheel_groupings({w: [w] for w in words}, {w: [w] for w in words}, (one, two))


def test_wheels_at_one_level_and_at_two() -> None:
    cases = worded(("happy",), ("sad", "cross"), ("neutral",))
    replies = say("['glad']", "['sad']", "['happy']")
    level1 = scored(wheels_of(tiny_wheels(), 1), cases, replies)
    # wheel 1: P (1, 1), R (1, 1/2): F 2 * 1 * 0.75 / 1.75; wheel 2: glad is in no group: P (0, 1), R (0, 1): F 1/2
    assert value(level1, "ew") == pytest.approx((1.5 / 1.75 + 0.5) / 2)
    assert value(level1, "ew_precision") == pytest.approx(0.75)
    assert value(level1, "ew_recall") == pytest.approx((0.75 + 0.5) / 2)
    assert part(level1, "level/1 wheel/2") == {"f1": 0.5, "precision": 0.5, "recall": 0.5}
    both = scored(wheels_of(tiny_wheels(), 1, 2), cases, replies)
    # level 2, wheel 1: glad is pleased, happy is merry: P (0, 1), R (0, 1/2): F 2 * 1/2 * 1/4 / (3/4) = 1/3
    assert part(both, "level/2")["f1"] == pytest.approx((1 / 3 + 0.5) / 2)
    assert value(both, "ew") == pytest.approx((value(level1, "ew") + (1 / 3 + 0.5) / 2) / 2)
    assert both.counts["skipped: truth in no group of wheel 1"] == 1
    drawn = scored(wheels_of(tiny_wheels(), 1), cases, replies, num_resamples=200)
    assert drawn.metrics[0].value == pytest.approx(value(level1, "ew"))
    assert drawn.metrics[0].low is not None


def test_truth_against_itself_is_one() -> None:
    cases = worded(("happy",), ("sad",))
    result = scored(wheels_of(tiny_wheels(), 1, 2), cases, say("['happy']", "['sad']"))
    assert value(result, "ew") == 1.0


def test_hits_by_hand() -> None:
    cases = labelled("happy", "cross", "neutral")
    result = scored(hits_of(tiny_wheels()), cases, say("glad, sad", "sad", "happy"))
    # wheel 1: hit (1 of 2 groups), miss; wheel 2: glad is in no group: miss (cross drops out)
    assert value(result, "hit") == pytest.approx((0.5 + 0.0) / 2)
    assert value(result, "hit_precision") == pytest.approx((0.25 + 0.0) / 2)
    assert part(result, "wheel/1") == {"hit": 0.5, "hit_precision": 0.25}
    assert result.counts["skipped: truth in no group of wheel 1"] == 1


def test_sentiment_by_hand() -> None:
    cases = [EvalSample(f"c{i}", Truth(sentiment=s)) for i, s in enumerate((1.2, 0.4, -0.6, 0.0, -3.0))]
    result = scored(SENTIMENT, cases, say("positive", "neutral", "It is negative.", "positive", None))
    # kept + + - -, told + - - -: F1 2/3 and 4/5
    assert value(result, "waf") == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert value(result, "accuracy") == 0.75
    assert result.counts["skipped: sentiment 0"] == 1
    assert result.counts["unanswered: no reply"] == 1


TRUE = "Her brows are furrowed and she speaks loudly, so she is angry."
TOLD = "She frowns with furrowed brows. She is angry, not happy, and surprised."


def test_what_texts_name() -> None:
    assert named_in(TRUE)[0] == {"AU04", "loudness_median_db +"}
    assert named_in(TRUE)[1] == {"angry"}
    assert named_in(TOLD)[1] == {"angry", "surprise"}
    assert named_in("他眉头紧锁，很生气，并不开心")[1] == {"angry"}
    assert named_overlap(set("ab"), set("bcd")) == pytest.approx(2 / 5)
    assert named_overlap(set(), set("b")) is None


def test_descriptions_offline_and_judged() -> None:
    cases = [EvalSample(f"c{i}", Truth(description=TRUE)) for i in range(4)]
    replies = say(TRUE, TOLD, " ", None)
    offline = scored(DESCRIPTIONS, cases, replies, "offline")
    # Of the labels named: the same one; and one of one against one of two.
    assert value(offline, "named_label_overlap") == pytest.approx((1 + 2 / 3) / 2)
    assert offline.counts["unanswered: empty"] == offline.counts["unanswered: no reply"] == 1
    judged = {"c0": {"clue_overlap": 9.0, "label_overlap": 10.0}, "c1": {"label_overlap": 5.0}}
    by_judge = scored(DESCRIPTIONS, cases, replies, "judge", judged=judged)
    assert (value(by_judge, "clue_overlap"), value(by_judge, "label_overlap")) == (9.0, 7.5)
    assert by_judge.counts["no clue_overlap"] == 1  # the judge failed on one: counted, not averaged


def test_broken_clips_count_as_failed() -> None:
    replies = {"c0": Output("c0", problem="the file cannot be read")}
    result = scored(SIX, labelled("sad"), replies)
    assert value(result, "accuracy") == 0.0
    assert result.counts["unanswered: failed"] == 1


@pytest.mark.parametrize(
    ("benchmark", "samples", "options", "message"),
    [
        (SIX, labelled("sad"), {"parser": "best"}, "no parser 'best'"),
        (GROUPS, worded(("sad",)), {}, "needs groups of synonyms"),
        (GROUPS, worded(("sad",)), {"groups": {"x": [["sad"]]}}, "for none of 1 samples"),
        (SENTIMENT, [EvalSample("c0", Truth(sentiment=0.0))], {}, "other than 0"),
        (wheels_of(tiny_wheels(), 1), worded(("neutral",)), {}, "names a known emotion group"),
        (hits_of(tiny_wheels()), labelled("neutral"), {}, "names a known emotion group"),
        (DESCRIPTIONS, labelled("sad"), {}, "compared by offline or judge"),
    ],
)
def test_refusals(benchmark: Benchmark, samples: list[EvalSample], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scored(benchmark, samples, say("sad"), **options)


def test_descriptions_without_a_judge_or_a_score() -> None:
    samples = [EvalSample("c0", Truth(description=TRUE))]
    with pytest.raises(InputError, match="needs a judge's scores"):
        scored(DESCRIPTIONS, samples, say(TOLD), "judge")
    with pytest.raises(InputError, match="no clip of 1 has a score"):
        scored(DESCRIPTIONS, samples, {}, "offline")
