"""A judge's verdicts on the replies of a run: figures by case, and how many there are none of and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.judges import ASPECTS, Judge, Pair
from emotion_llama.evaluation.records import Case, Reply


@dataclass(frozen=True)
class Judging:
    """Figures by case, and counts of what the judge gave no figure for."""

    figures: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, int] = field(default_factory=dict)


def judged_by(judge: Judge, cases: Sequence[Case], replies: Sequence[Reply]) -> Judging:
    """Clue and label overlap of every description with its reference."""
    from emotion_llama.evaluation.overlap import description_pairs

    pairs = description_pairs(cases, {reply.case_id: reply for reply in replies})
    figures: dict[str, dict[str, float]] = {pair.case_id: {} for pair in pairs}
    counts: Counter[str] = Counter()
    for aspect in ASPECTS:
        verdicts = judge.judge(aspect, [Pair(pair.truth, pair.told) for pair in pairs])
        for pair, verdict in zip(pairs, verdicts):
            if verdict.score is not None:
                figures[pair.case_id][aspect] = verdict.score
            else:
                counts[f"judge failed, {aspect}: {(verdict.problem or '').partition(':')[0]}"] += 1
    return Judging(figures, dict(sorted(counts.items())))


def read_by(judge: Judge, benchmark: Benchmark, replies: Sequence[Reply]) -> list[Reply] | None:
    """Replies in prose reduced to what the metric reads: lists of emotion words, or a sentiment; None for others.

    The way of MER-UniBench, whose own model was Qwen2.5-7B-Instruct, sampled. Replies without a text stay as they are.
    """
    from emotion_llama.evaluation.scoring_words import GroupScorer, HitScorer, SentimentScorer, WheelScorer

    if not isinstance(benchmark.scorer, (GroupScorer, HitScorer, SentimentScorer, WheelScorer)):
        return None
    texts = list(dict.fromkeys(reply.text for reply in replies if reply.text and reply.text.strip()))
    words = dict(zip(texts, judge.extract_words(texts)))
    if isinstance(benchmark.scorer, SentimentScorer):
        known = [text for text in texts if words[text] is not None]
        told: dict[str, str | None] = dict(zip(known, judge.sentiments([words[text] or () for text in known])))
    else:
        told = {text: None if found is None else ", ".join(found) or "[]" for text, found in words.items()}
    return [
        reply if reply.text not in words else _reduced(reply, told.get(reply.text)) for reply in replies
    ]  # fmt: skip


def _reduced(reply: Reply, text: str | None) -> Reply:
    if text is None:
        return Reply(reply.case_id, problem="judge failed: it found no words in the answer", seconds=reply.seconds)
    return Reply(reply.case_id, text, seconds=reply.seconds)


def synonym_groups_by(
    judge: Judge, cases: Sequence[Case], replies: Sequence[Reply], parser: str
) -> dict[str, Sequence[Sequence[str]]]:
    """Groups of synonyms among the words of truth and answer, by case; without those that the judge did not group."""
    from emotion_llama.evaluation.parsers import check_parser, tell_words

    by_id = {reply.case_id: reply for reply in replies}
    listed = []
    for case in cases:
        told = tell_words(by_id.get(case.case_id), check_parser(parser)).words or ()
        truth = [word.strip().lower() for word in case.truth.words or ()]
        listed.append(list(dict.fromkeys([*truth, *told])))
    groups = judge.group_words(listed)
    return {case.case_id: found for case, found in zip(cases, groups) if found is not None}
