"""A judge's verdicts on the outputs of a run: scores by sample, and how many have none and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from emotion_llama.evaluation.judges import ASPECTS, Judge, Pair
from emotion_llama.evaluation.parsers import check_parser, parse_words
from emotion_llama.evaluation.records import EvalSample, Output
from emotion_llama.evaluation.scoring_words import description_pairs
from emotion_llama.evaluation.tasks.base import Benchmark


def judge_descriptions(
    judge: Judge, samples: Sequence[EvalSample], outputs: Sequence[Output]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Clue and label overlap of every description with its reference, by sample; and counts of failures by reason."""
    pairs = description_pairs(samples, {output.sample_id: output for output in outputs})
    scores: dict[str, dict[str, float]] = {sample_id: {} for sample_id in pairs}
    failures: Counter[str] = Counter()
    for aspect in ASPECTS:
        verdicts = judge.judge(aspect, [Pair(truth, text) for truth, text in pairs.values()])
        for sample_id, verdict in zip(pairs, verdicts):
            if verdict.score is not None:
                scores[sample_id][aspect] = verdict.score
            else:
                failures[f"judge failed, {aspect}: {(verdict.problem or '').partition(':')[0]}"] += 1
    return scores, dict(sorted(failures.items()))


def reduce_outputs(judge: Judge, benchmark: Benchmark, outputs: Sequence[Output]) -> list[Output] | None:
    """Answers in prose reduced to what the metric reads: lists of emotion words, or a sentiment; None for others.

    The way of MER-UniBench, whose own model was Qwen2.5-7B-Instruct, sampled. Outputs without a text stay as they are.
    """
    if benchmark.metric not in ("groups", "wheels", "hit", "sentiment"):
        return None
    texts = list(dict.fromkeys(output.text for output in outputs if output.text and output.text.strip()))
    words = dict(zip(texts, judge.extract_words(texts)))
    if benchmark.metric == "sentiment":
        known = [text for text in texts if words[text] is not None]
        reduced: dict[str, str | None] = dict(zip(known, judge.sentiments([words[text] or () for text in known])))
    else:
        reduced = {text: None if found is None else ", ".join(found) or "[]" for text, found in words.items()}
    return [output if output.text not in words else _reduced(output, reduced.get(output.text)) for output in outputs]


def _reduced(output: Output, text: str | None) -> Output:
    problem = "judge failed: it found no words in the answer" if text is None else None
    return Output(output.sample_id, text, problem=problem, seconds=output.seconds)


def synonym_groups_by(
    judge: Judge, samples: Sequence[EvalSample], outputs: Sequence[Output], parser: str
) -> dict[str, Sequence[Sequence[str]]]:
    """Groups of synonyms among true and predicted words, by sample; without those that the judge did not group."""
    by_id = {output.sample_id: output for output in outputs}
    listed = []
    for sample in samples:
        predicted = parse_words(by_id.get(sample.sample_id), check_parser(parser)).words or ()
        truth = [word.strip().lower() for word in sample.truth.words or ()]
        listed.append(list(dict.fromkeys([*truth, *predicted])))
    groups = judge.group_words(listed)
    return {sample.sample_id: found for sample, found in zip(samples, groups) if found is not None}
