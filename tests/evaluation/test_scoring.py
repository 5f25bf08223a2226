"""Replies scored, every figure worked out by hand or printed by others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.classification import from_confusion
from emotion_llama.evaluation.open_vocabulary import emotion_wheels, group_by_first, hit_rate, set_level
from emotion_llama.evaluation.overlap import DescriptionScorer, named_in, named_overlap
from emotion_llama.evaluation.records import Case, Figure, Reply, Result, Truth
from emotion_llama.evaluation.scoring import Intervals, LabelScorer, Run, Scorer, by_case
from emotion_llama.evaluation.scoring_words import GroupScorer, HitScorer, SentimentScorer, WheelScorer
from emotion_llama.evaluation.wheels import Wheel, WheelFiles
from emotion_llama.labels import DFEW7, MER6, MERR9

PLAIN = Run("test 1", "someone", "tolerant", Intervals(num_resamples=0))
LABELS = ("angry", "happy", "neutral", "sad", "surprise", "worried")
MER2023 = [[179, 1, 2, 1, 0, 0], [2, 152, 7, 4, 3, 1], [10, 10, 134, 6, 2, 4],
           [2, 2, 1, 250, 0, 2], [1, 0, 3, 1, 6, 3], [4, 1, 3, 2, 1, 34]]  # fmt: skip
NOISE = [[224, 0, 5, 2, 4, 1], [1, 213, 16, 0, 2, 1], [23, 24, 128, 17, 11, 29],
         [3, 2, 5, 284, 0, 1], [6, 1, 2, 0, 42, 4], [2, 0, 6, 2, 3, 106]]  # fmt: skip
SIX = LabelScorer(MERR9, MER6)


def labelled(*labels: str) -> list[Case]:
    return [Case(f"c{i}", Truth(label=label)) for i, label in enumerate(labels)]


def worded(*words: tuple[str, ...]) -> list[Case]:
    return [Case(f"c{i}", Truth(words=w)) for i, w in enumerate(words)]


def say(*texts: str | None) -> dict[str, Reply]:
    return {f"c{i}": Reply(f"c{i}", text=text) for i, text in enumerate(texts) if text is not None}


def value(result: Result, name: str) -> float:
    return result.figure(name).value


def part(result: Result, name: str) -> dict[str, float]:
    return {figure.name: figure.value for figure in result.parts[name]}


@pytest.mark.parametrize("parser", ["upstream", "tolerant"])
@pytest.mark.parametrize(
    ("matrix", "f1", "accuracy"), [(MER2023, 0.9035772132511264, 0.90528), (NOISE, 0.8458065521840188, 0.85214)]
)
def test_published_answers_give_the_published_f1(
    matrix: Sequence[Sequence[int]], f1: float, accuracy: float, parser: str
) -> None:
    truth, answers = from_confusion(matrix, LABELS)
    result = SIX.score(labelled(*truth), say(*answers), replace(PLAIN, parser=parser))
    assert result.figures[0] == Figure("weighted_f1", pytest.approx(f1, abs=1e-15))
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
    upstream = SIX.score(cases, replies, replace(PLAIN, parser="upstream"))
    tolerant = SIX.score(cases, replies, PLAIN)
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
    scorer = LabelScorer(DFEW7, DFEW7, ("uar", "accuracy", "weighted_f1"))
    result = scorer.score(cases, say("happy", "happy", "happy", "happy", "sad", "sad"), PLAIN)
    assert (value(result, "uar"), value(result, "accuracy")) == (0.75, 0.625)
    assert part(result, "fold/1") == {"uar": 0.5, "accuracy": 0.25, "weighted_f1": pytest.approx(0.25 * 2 / 5)}
    # fold 1: happy F1 = 2 / (2 + 3) with weight 1/4; fold 2: 1
    assert value(result, "weighted_f1") == pytest.approx((0.1 + 1) / 2)
    drawn = scorer.score(cases, say("happy", "happy", "happy", "happy", "sad", "sad"), Run("t", "s", "tolerant"))
    assert drawn.figures[0].value == 0.75
    assert drawn.figures[0].low is not None
    assert drawn.figures[0].low < 0.75


def test_notes_have_their_own_figures() -> None:
    cases = [replace(case, note=note) for case, note in zip(labelled("sad", "sad", "sad"), ("", "x", "x"), strict=True)]
    result = SIX.score(cases, say("sad", "happy", "sad"), PLAIN)
    assert part(result, "note/plain")["accuracy"] == 1.0
    assert part(result, "note/x")["accuracy"] == 0.5


def test_likelihood_is_calibrated_and_texts_are_not() -> None:
    cases = labelled("sad", "happy")
    replies = {f"c{i}": Reply(f"c{i}", "sad", {"sad": 0.8, "happy": 0.2}) for i in range(2)}
    result = SIX.score(cases, replies, replace(PLAIN, parser="likelihood"))
    assert value(result, "ece") == pytest.approx(0.3)  # 0.8 sure, half right
    assert value(result, "brier") == pytest.approx((0.08 + 1.28) / 2)
    assert result.figure("ece").better == "lower"
    assert "ece" not in {figure.name for figure in SIX.score(cases, replies, PLAIN).figures}


def test_clips_of_one_person_are_drawn_together() -> None:
    cases = labelled(*["sad"] * 200)
    replies = say(*["sad" if i // 20 % 2 else "happy" for i in range(200)])
    run = replace(PLAIN, intervals=Intervals(400))
    alone = SIX.score(cases, replies, run).figure("accuracy")
    people = [replace(case, group=str(i // 20)) for i, case in enumerate(cases)]
    grouped = SIX.score(people, replies, run).figure("accuracy")
    assert alone.value == grouped.value == 0.5
    assert alone.low is not None
    assert grouped.low is not None
    assert 0.5 - grouped.low > 3 * (0.5 - alone.low)
    mixed = [people[0], *(replace(case, group=None) for case in people[1:])]
    assert SIX.score(mixed, replies, run).figure("accuracy").low == pytest.approx(alone.low, abs=0.02)


def test_grouped_synonyms_by_hand() -> None:
    cases = worded(("Happy", "calm"), ("sad",), ("angry",), ("sad",))
    groups: Mapping[str, list[list[str]]] = {
        "c0": [["happy", "joyful"], ["calm"]],
        "c1": [["sad", "down"], ["cross"]],
        "c3": [["sad"]],
    }
    replies = say("['joyful', 'happy']", "['down', 'cross']", "['angry']", None)
    result = GroupScorer().score(cases, replies, replace(PLAIN, groups=groups))
    # c0: P {happy}, G {happy, calm}: 1, 1/2; c1: P {sad, cross}: 1/2, 1; c2 was not grouped; c3 tells nothing: 0, 0
    assert value(result, "set_accuracy") == pytest.approx(0.5)
    assert value(result, "set_recall") == pytest.approx(0.5)
    assert value(result, "average") == pytest.approx(0.5)
    assert result.counts["not grouped"] == 1
    assert result.counts["told no word"] == 1
    assert result.counts["unanswered: no reply"] == 1


def tiny_wheels() -> WheelFiles:
    words = ("happy", "glad", "sad", "cross")
    one = Wheel({"happy": "joy", "glad": "joy", "sad": "sad", "cross": "mad"},
                {"happy": "merry", "glad": "pleased", "sad": "low", "cross": "irate"})  # fmt: skip
    two = Wheel({"happy": "up", "sad": "down"}, {"happy": "up", "sad": "down"})
    return WheelFiles({w: [w] for w in words}, {w: [w] for w in words}, (one, two), "2026")


def test_wheels_at_one_level_and_at_two() -> None:
    cases = worded(("happy",), ("sad", "cross"), ("neutral",))
    replies = say("['glad']", "['sad']", "['happy']")
    level1 = WheelScorer(tiny_wheels(), (1,)).score(cases, replies, PLAIN)
    # wheel 1: P (1, 1), R (1, 1/2): F 2 * 1 * 0.75 / 1.75; wheel 2: glad is in no group: P (0, 1), R (0, 1): F 1/2
    assert value(level1, "ew") == pytest.approx((1.5 / 1.75 + 0.5) / 2)
    assert value(level1, "ew_precision") == pytest.approx(0.75)
    assert value(level1, "ew_recall") == pytest.approx((0.75 + 0.5) / 2)
    assert part(level1, "level/1 wheel/2") == {"f1": 0.5, "precision": 0.5, "recall": 0.5}
    both = WheelScorer(tiny_wheels(), (1, 2)).score(cases, replies, PLAIN)
    # level 2, wheel 1: glad is pleased, happy is merry: P (0, 1), R (0, 1/2): F 2 * 1/2 * 1/4 / (3/4) = 1/3
    assert part(both, "level/2")["f1"] == pytest.approx((1 / 3 + 0.5) / 2)
    assert value(both, "ew") == pytest.approx((value(level1, "ew") + (1 / 3 + 0.5) / 2) / 2)
    assert both.counts["skipped: truth in no group of wheel 1"] == 1
    drawn = WheelScorer(tiny_wheels(), (1,)).score(cases, replies, replace(PLAIN, intervals=Intervals(200)))
    assert drawn.figures[0].value == pytest.approx(value(level1, "ew"))
    assert drawn.figures[0].low is not None


def test_truth_against_itself_is_one() -> None:
    cases = worded(("happy",), ("sad",))
    result = WheelScorer(tiny_wheels(), (1, 2)).score(cases, say("['happy']", "['sad']"), PLAIN)
    assert value(result, "ew") == 1.0


def test_hits_by_hand() -> None:
    cases = labelled("happy", "cross", "neutral")
    result = HitScorer(tiny_wheels()).score(cases, say("glad, sad", "sad", "happy"), PLAIN)
    # wheel 1: hit (1 of 2 groups), miss; wheel 2: glad is in no group: miss (cross drops out)
    assert value(result, "hit") == pytest.approx((0.5 + 0.0) / 2)
    assert value(result, "hit_precision") == pytest.approx((0.25 + 0.0) / 2)
    assert part(result, "wheel/1") == {"hit": 0.5, "hit_precision": 0.25}
    assert result.counts["skipped: truth in no group of wheel 1"] == 1


def test_sentiment_by_hand() -> None:
    cases = [Case(f"c{i}", Truth(sentiment=s)) for i, s in enumerate((1.2, 0.4, -0.6, 0.0, -3.0))]
    result = SentimentScorer().score(cases, say("positive", "neutral", "It is negative.", "positive", None), PLAIN)
    # kept + + - -, told + - - -: F1 2/3 and 4/5
    assert value(result, "waf") == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert value(result, "accuracy") == 0.75
    assert result.counts["skipped: sentiment 0"] == 1
    assert result.counts["unanswered: no reply"] == 1


TRUE = "Her brows are furrowed and she speaks loudly, so she is angry."
TOLD = "She frowns with furrowed brows. She is angry, not happy, and surprised."


def test_what_texts_name() -> None:
    assert named_in(TRUE).cues == {"AU04", "loudness_median_db +"}
    assert named_in(TRUE).labels == {"angry"}
    assert named_in(TOLD).labels == {"angry", "surprise"}
    assert named_in("他眉头紧锁，很生气，并不开心").labels == {"angry"}
    assert named_overlap(frozenset("ab"), frozenset("bcd")) == pytest.approx(2 / 5)
    assert named_overlap(frozenset(), frozenset("b")) is None


def test_descriptions_offline_and_judged() -> None:
    cases = [Case(f"c{i}", Truth(description=TRUE)) for i in range(4)]
    replies = say(TRUE, TOLD, " ", None)
    offline = DescriptionScorer().score(cases, replies, replace(PLAIN, parser="offline"))
    # Of the labels named: the same one; and one of one against one of two.
    assert value(offline, "named_label_overlap") == pytest.approx((1 + 2 / 3) / 2)
    assert offline.counts["unanswered: empty"] == offline.counts["unanswered: no reply"] == 1
    judged = {"c0": {"clue_overlap": 9.0, "label_overlap": 10.0}, "c1": {"label_overlap": 5.0}}
    scored = DescriptionScorer().score(cases, replies, replace(PLAIN, parser="judge", judged=judged))
    assert (value(scored, "clue_overlap"), value(scored, "label_overlap")) == (9.0, 7.5)
    assert scored.counts["no clue_overlap"] == 1  # the judge failed on one: counted, not averaged


def test_broken_clips_count_as_failed() -> None:
    replies = {"c0": Reply("c0", problem="the file cannot be read")}
    result = SIX.score(labelled("sad"), replies, PLAIN)
    assert value(result, "accuracy") == 0.0
    assert result.counts["unanswered: failed"] == 1


@pytest.mark.parametrize(
    ("scorer", "cases", "run", "message"),
    [
        (SIX, [Case("c0", Truth(sentiment=1.0))], PLAIN, "c0: its truth is no label"),
        (SIX, labelled("disgust"), PLAIN, "c0: the label 'disgust' is none of neutral"),
        (SIX, labelled("sad"), replace(PLAIN, parser="best"), "no parser 'best'"),
        (GroupScorer(), worded(("sad",)), PLAIN, "needs groups of synonyms"),
        (GroupScorer(), worded(("sad",)), replace(PLAIN, groups={"x": [["sad"]]}), "for none of 1 cases"),
        (WheelScorer(tiny_wheels(), (1,)), labelled("sad"), PLAIN, "its truth is no list of words"),
        (SentimentScorer(), labelled("sad"), PLAIN, "its truth is no sentiment"),
        (DescriptionScorer(), labelled("sad"), PLAIN, "compared by offline or judge"),
        (DescriptionScorer(), labelled("sad"), replace(PLAIN, parser="offline"), "its truth is no description"),
    ],
)
def test_refusals(scorer: Scorer, cases: list[Case], run: Run, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scorer.score(cases, say("sad"), run)


def test_descriptions_without_a_judge_or_a_figure() -> None:
    cases = [Case("c0", Truth(description=TRUE))]
    with pytest.raises(InputError, match="needs a judge's figures"):
        DescriptionScorer().score(cases, say(TOLD), replace(PLAIN, parser="judge"))
    with pytest.raises(InputError, match="no clip of 1 has a figure"):
        DescriptionScorer().score(cases, {}, replace(PLAIN, parser="offline"))


def test_replies_have_to_fit_the_cases() -> None:
    cases = labelled("sad", "sad")
    assert list(by_case(cases, [Reply("c1", text="sad")])) == ["c1"]
    with pytest.raises(InputError, match="a reply is to 'x', which is no case here"):
        by_case(cases, [Reply("x", text="sad")])
    with pytest.raises(InputError, match="two replies are to 'c0'"):
        by_case(cases, [Reply("c0", text="sad"), Reply("c0", text="sad")])
    with pytest.raises(InputError, match="two cases are called 'c0'"):
        by_case([cases[0], cases[0]], [])
    with pytest.raises(InputError, match="no cases to score"):
        by_case([], [])


def test_figures_of_drawn_clips_are_those_of_the_metrics() -> None:
    # Intervals need figures of any draw of clips, from figures of single clips; over all clips these are the metrics.
    rng = np.random.default_rng(1)
    words = [f"w{i}" for i in range(60)]
    wheels = tuple(
        Wheel(*({w: f"{rng.integers(size)}" for w in words if rng.random() < 0.7} for size in (6, 30)))
        for _ in range(5)
    )
    files = WheelFiles({w: [w] for w in words}, {w: [w] for w in words}, wheels, "2026")
    truth = [tuple(rng.choice(words, rng.integers(1, 5)).tolist()) for _ in range(200)]
    told = [tuple(dict.fromkeys(rng.choice(words, rng.integers(0, 5)).tolist())) for _ in truth]
    run, replies = replace(PLAIN, parser="upstream"), say(*[str(list(t)) for t in told])
    ew = WheelScorer(files, (1, 2)).score(worded(*truth), replies, run)
    levels = [emotion_wheels(truth, told, files.groupings(level)) for level in (1, 2)]
    assert value(ew, "ew") == pytest.approx(np.mean([level.f1 for level in levels]), abs=1e-12)
    assert value(ew, "ew_recall") == pytest.approx(np.mean([level.recall for level in levels]), abs=1e-12)
    hit = HitScorer(files).score(labelled(*[t[0] for t in truth]), replies, run)
    whole = hit_rate([t[0] for t in truth], told, files.groupings(1))
    assert value(hit, "hit") == pytest.approx(whole.hit, abs=1e-12)
    assert value(hit, "hit_precision") == pytest.approx(whole.precision, abs=1e-12)
    groups = {f"c{i}": [rng.permutation(words)[:10].tolist()] for i in range(200)}
    grouped = GroupScorer().score(worded(*truth), replies, replace(run, groups=groups))
    rules = [group_by_first(group) for group in groups.values()]
    assert value(grouped, "average") == pytest.approx(
        set_level(truth, told, rules, skip_empty_truth=False).average, abs=1e-12
    )
