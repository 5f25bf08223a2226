"""Judges: how far a description shares its clues and its labels with the reference, by a chat model.

Published: gpt-3.5-turbo-16k-0613 at temperature 0 with Chinese prompts (AffectGPT, evaluation.py of April 2024), which
is retired. Figures of another judge are not those; a table is judged by one judge, and its name and prompts are kept.
What needs no model is the parser "offline" of descriptions: shared cues and labels by word lists.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from emotion_llama.chat.model import ChatModel, load_chat
from emotion_llama.chat.records import Answer, ChatRequest
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.evaluation.cache import JsonlCache, hash_of
from emotion_llama.evaluation.judge_answers import SCALES, groups_of, parse_score, read_sentiment, read_words
from emotion_llama.evaluation.parsers import check_parser, parse_words
from emotion_llama.evaluation.records import EvalSample, Output, is_passing
from emotion_llama.evaluation.scoring_words import description_pairs
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.prompts.prompt_files import checked_folder, load_prompt, prompt_hashes

Aspect = Literal["clue_overlap", "label_overlap"]
AT_ONCE = 32  # questions between two writes to the cache
ASPECTS: tuple[Aspect, ...] = ("clue_overlap", "label_overlap")
Pair = tuple[str, str]  # what is compared: the reference's text and the model's
Reading = Callable[[str], Any]  # from a reply's text to its value, a JSON value; AnnotationError where it is none


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one pair.

    Attributes:
        score: within the judge's scale; None where there is none.
        raw: every reply as it came, those that were no answer among them.
        votes: the scores whose median `score` is.
        problem: why there is no score.
    """

    score: float | None
    raw: tuple[str, ...] = ()
    votes: tuple[float, ...] = ()
    problem: str | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.problem is None):
            raise InputError("a verdict has a score or a problem")


class Judge:
    """A chat model that rates how far two descriptions overlap.

    Label overlap takes two steps, as published: the emotion words of both texts are taken out first, then compared.
    A reply without a score within the scale is asked again as often as the model's configuration says, then counted as
    a failure.

    Args:
        chat: the model.
        name: as reports print it.
        scale: "1-10" (the published prompt) or "0-10".
        votes: how often each pair is rated; the median counts. More than one needs a temperature above 0.
        prompts: folder of prompts of one's own.
        cache: where verdicts are kept; None keeps none.

    Raises:
        InputError: a name or a file cannot be used, or several votes at temperature 0.
    """

    def __init__(
        self,
        chat: ChatModel,
        name: str,
        *,
        scale: str = "1-10",
        votes: int = 1,
        prompts: str | Path | None = None,
        cache: JsonlCache | None = None,
    ) -> None:
        if scale not in SCALES:
            raise InputError(f"no scale {scale!r} (there are: {', '.join(SCALES)})")
        if votes < 1 or (votes > 1 and not chat.settings.get("temperature")):
            raise InputError(
                f"{votes} votes were asked for; give 1 or more, and for several a chat model with temperature above 0"
            )
        self.name, self.scale, self.votes = name, scale, votes
        self._chat, self._cache = chat, cache
        self._folder = checked_folder(prompts)
        self._prompts = prompt_hashes("judge", self._folder)

    @property
    def settings(self) -> Mapping[str, object]:
        """Model and decoding, scale, votes and prompts."""
        return {
            "judge": self.name,
            "chat": dict(self._chat.settings),
            "scale": self.scale,
            "votes": self.votes,
            "prompts": self._prompts,
        }

    def judge(self, aspect: Aspect, pairs: Sequence[Pair]) -> list[Verdict]:
        """A verdict for each pair; what was asked before is not asked again."""
        low, high = SCALES[self.scale]
        verdicts: dict[int, Verdict] = {}
        values: list[dict[str, str]] = []
        rows: list[int] = []
        for row, pair in enumerate(pairs if aspect == "clue_overlap" else self._as_words(pairs)):
            if isinstance(pair, Verdict):
                verdicts[row] = pair
            else:
                rows.append(row)
                values += [{"truth": pair[0], "answer": pair[1], "low": f"{low:g}", "high": f"{high:g}"}] * self.votes
        heard = self._each(aspect, values, lambda text: parse_score(text, low, high))
        for place, row in enumerate(rows):
            verdicts[row] = _median(heard[place * self.votes : (place + 1) * self.votes])
        return [verdicts[row] for row in range(len(pairs))]

    def extract_words(self, texts: Sequence[str]) -> list[tuple[str, ...] | None]:
        """The emotion words of each text; None where the judge gives no usable answer."""
        heard = self._each("extract", [{"answer": text} for text in texts], read_words)
        return [None if one.value is None else tuple(one.value) for one in heard]

    def group_words(self, words: Sequence[Sequence[str]]) -> list[tuple[tuple[str, ...], ...] | None]:
        """Groups of the same meaning, of every word of each list; None where the judge gives no usable answer."""
        some = [row for row, listed in enumerate(words) if listed]
        values = [{"answer": ", ".join(words[row])} for row in some]
        heard = dict(zip(some, self._each_by("group", values, [groups_of(words[row]) for row in some])))
        found: list[tuple[tuple[str, ...], ...] | None] = []
        for row in range(len(words)):
            groups = heard[row].value if row in heard else []
            found.append(None if groups is None else tuple(tuple(group) for group in groups))
        return found

    def sentiments(self, words: Sequence[Sequence[str]]) -> list[str | None]:
        """Positive, negative or neutral for each list of words; None where the judge gives no usable answer."""
        values = [{"answer": json.dumps(list(some), ensure_ascii=False)} for some in words]
        return [one.value for one in self._each("sentiment", values, read_sentiment)]

    # --- asking -----------------------------------------------------------------------------------------------------

    def _as_words(self, pairs: Sequence[Pair]) -> list[Pair | Verdict]:
        """Each pair as two lists of words, or a verdict where the words cannot be had."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        heard = dict(zip(texts, self._each("extract", [{"answer": text} for text in texts], read_words)))
        found: list[Pair | Verdict] = []
        for pair in pairs:
            sides = [heard[text] for text in pair]
            raw = tuple(reply for side in sides for reply in side.raw)
            wrong = next((side.problem for side in sides if side.value is None), None)
            if wrong is not None:
                found.append(Verdict(None, raw, problem=f"{wrong} (words of a text)"))
            else:
                truth, answer = (", ".join(side.value or ()) or "none" for side in sides)
                found.append((truth, answer))
        return found

    def _each(self, prompt_name: str, values: Sequence[Mapping[str, str]], read: Reading) -> list[_Heard]:
        """What is heard to one prompt, filled in as often as there are values; the same values are several votes."""
        return self._each_by(prompt_name, values, [read] * len(values))

    def _each_by(self, prompt_name: str, values: Sequence[Mapping[str, str]], reads: Sequence[Reading]) -> list[_Heard]:
        prompt, again = (load_prompt("judge", name, self._folder) for name in (prompt_name, "again"))
        votes: Counter[str] = Counter()
        keys: list[str] = []
        for one in values:
            of_one = hash_of(prompt_name, one, self.settings)
            votes[of_one] += 1
            keys.append(f"{of_one} {votes[of_one]}")
        found = {k: _Heard.of_row(self._cache.get(k)) for k in keys if self._cache is not None and k in self._cache}
        left = [row for row, key in enumerate(keys) if key not in found]
        for begin in range(0, len(left), AT_ONCE):
            some = left[begin : begin + AT_ONCE]
            raws: list[list[str]] = [[] for _ in some]
            asked = [
                self._question(prompt.filled(values[row]), prompt.sha256, again.filled, reads[row], raw)
                for row, raw in zip(some, raws)
            ]
            fresh = {keys[row]: _heard(one, raw) for row, one, raw in zip(some, self._chat.ask(asked), raws)}
            if self._cache is not None:
                # What a busy server did not answer is asked again next time.
                self._cache.add([(key, one._asdict()) for key, one in fresh.items() if not is_passing(one.problem)])
            found |= fresh
        return [found[key] for key in keys]

    def _question(
        self,
        texts: tuple[str | None, str],
        sha256: str,
        again: Callable[[Mapping[str, str]], tuple[str | None, str]],
        read: Callable[[str], Any],
        raw: list[str],
    ) -> ChatRequest:
        def reading(text: str) -> dict[str, object]:
            raw.append(text)
            return {"value": read(text)}

        system, user = texts
        return ChatRequest(user, system, sha256, parse=reading, again=lambda problem: again({"problem": problem})[1])


class _Heard(NamedTuple):
    """The value of a reply, or why there is none; and the replies as they came."""

    value: Any
    raw: tuple[str, ...]
    problem: str | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> _Heard:
        """From a row of the cache."""
        return cls(row["value"], tuple(row["raw"]), row["problem"])


def _heard(outcome: Answer | AnnotationError, raw: Sequence[str]) -> _Heard:
    if isinstance(outcome, AnnotationError):
        return _Heard(None, tuple(raw), str(outcome))
    return _Heard(outcome.values["value"], tuple(raw))


def _median(heard: Sequence[_Heard]) -> Verdict:
    """The median of the votes where at least half of them count."""
    votes = tuple(float(one.value) for one in heard if one.value is not None)
    raw = tuple(reply for one in heard for reply in one.raw)
    if 2 * len(votes) < len(heard) or not votes:
        return Verdict(None, raw, votes, next(one.problem for one in heard if one.problem is not None))
    return Verdict(float(statistics.median(votes)), raw, votes)


# --- verdicts on the outputs of a run -------------------------------------------------------------------------------


def judge_descriptions(
    judge: Judge, samples: Sequence[EvalSample], outputs: Sequence[Output]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Clue and label overlap of every description with its reference, by sample; and counts of failures by reason."""
    pairs = description_pairs(samples, {output.sample_id: output for output in outputs})
    scores: dict[str, dict[str, float]] = {sample_id: {} for sample_id in pairs}
    failures: Counter[str] = Counter()
    for aspect in ASPECTS:
        verdicts = judge.judge(aspect, list(pairs.values()))
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


# --- by name --------------------------------------------------------------------------------------------------------


def load_judge(spec: str, *, cache: JsonlCache | None = None, **options: Any) -> Judge:
    """The judge of a name.

    Args:
        spec: "openai:MODEL@URL" or "transformers:FOLDER".
        cache: where verdicts are kept.
        options: `scale`, `votes`, `prompts`, and the fields of the chat model's configuration.

    Raises:
        InputError: the name means nothing, or an option cannot be used.
    """
    own = {key: options.pop(key) for key in ("scale", "votes", "prompts") if key in options}
    name = spec.partition(":")[2]
    name = name.rpartition("@")[0] or name
    return Judge(load_chat(spec, options), name, cache=cache, **own)
