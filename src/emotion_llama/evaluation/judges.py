"""Judges: how far a description shares its clues and its labels with the reference, by a chat model.

Published: gpt-3.5-turbo-16k-0613 at temperature 0 with Chinese prompts (AffectGPT, evaluation.py of April 2024), which
is retired. Figures of another judge are not those; a table is judged by one judge, and its name and prompts are kept.
What needs no model is the parser "offline" of descriptions: shared cues and labels by word lists.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from emotion_llama.chat.model import ChatModel, load_chat
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.evaluation.cache import JsonlCache, hash_of
from emotion_llama.evaluation.metrics.words import SENTIMENTS
from emotion_llama.evaluation.parsers import parse_words
from emotion_llama.evaluation.records import EvalSample, Output, is_passing
from emotion_llama.evaluation.scoring_words import description_pairs
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.prompts.prompt_files import checked_folder, load_prompt, prompt_hashes

Aspect = Literal["clue_overlap", "label_overlap"]
AT_ONCE = 32  # questions between two writes to the cache
ASPECTS: tuple[Aspect, ...] = ("clue_overlap", "label_overlap")
Pair = tuple[str, str]  # what is compared: the reference's text and the model's
# From a reply's text to its value, a JSON value; AnnotationError where it is none.
ParseReply = Callable[[str], Any]
# A value, None where there is none; the replies as they came, those without a value among them; why there is no value.
Parsed = tuple[Any, tuple[str, ...], str | None]
# Lowest and highest score. The published judge's prompt says 1 to 10, the project page 0 to 10.
SCALES: dict[str, tuple[float, float]] = {"1-10": (1, 10), "0-10": (0, 10)}

_THINK = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
_OF = rf"(?:\s*(?:/|out of|of)\s*(?P<of>{_NUMBER}))?"
_NAMED = re.compile(rf"\b(?:score|rating|overlap)\b[\s:=\-]*(?:is|of|as)?[\s:=]*(?P<n>{_NUMBER}){_OF}", re.IGNORECASE)
_FIRST = re.compile(rf"\A(?P<n>{_NUMBER}){_OF}(?P<after>.*)", re.DOTALL | re.IGNORECASE)
_SHARE = re.compile(rf"(?<![\d.,/])(?P<n>{_NUMBER})\s*(?:/|out of)\s*(?P<of>{_NUMBER})", re.IGNORECASE)
# "1" that begins a list ("1. The clues"), a range ("7-8") or a count ("3 clues"), and is no score.
_NO_SCORE = re.compile(r"\s*(?:[.)]\s*\S|[-–~]\s*\d|%|[a-z])", re.IGNORECASE)


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

    def judge(self, aspect: Aspect, pairs: Sequence[Pair]) -> list[Parsed]:
        """The score of each pair within the scale, of several votes the median; nothing is asked a second time."""
        low, high = SCALES[self.scale]
        rated, found = (dict(enumerate(pairs)), {}) if aspect == "clue_overlap" else self._as_words(pairs)
        values = [
            {"truth": truth, "answer": answer, "low": f"{low:g}", "high": f"{high:g}"}
            for truth, answer in rated.values()
            for _ in range(self.votes)
        ]
        parsed = self._each(aspect, values, [lambda text: parse_score(text, low, high)] * len(values))
        for place, row in enumerate(rated):
            found[row] = _median(parsed[place * self.votes : (place + 1) * self.votes])
        return [found[row] for row in range(len(pairs))]

    def extract_words(self, texts: Sequence[str]) -> list[tuple[str, ...] | None]:
        """The emotion words of each text; None where the judge gives no usable answer."""
        parsed = self._words_of(texts)
        return [None if value is None else tuple(value) for value, _, _ in parsed]

    def group_words(self, words: Sequence[Sequence[str]]) -> list[tuple[tuple[str, ...], ...] | None]:
        """Groups of the same meaning, of every word of each list; None where the judge gives no usable answer."""
        some = [row for row, listed in enumerate(words) if listed]
        values = [{"answer": ", ".join(words[row])} for row in some]
        parsed = self._each("group", values, [group_parser(words[row]) for row in some])
        found: list[tuple[tuple[str, ...], ...] | None] = [()] * len(words)
        for row, (groups, _, _) in zip(some, parsed):
            found[row] = None if groups is None else tuple(tuple(group) for group in groups)
        return found

    def sentiments(self, words: Sequence[Sequence[str]]) -> list[str | None]:
        """Positive, negative or neutral for each list of words; None where the judge gives no usable answer."""
        values = [{"answer": json.dumps(list(some), ensure_ascii=False)} for some in words]
        return [value for value, _, _ in self._each("sentiment", values, [parse_sentiment_reply] * len(values))]

    # --- asking -----------------------------------------------------------------------------------------------------

    def _words_of(self, texts: Sequence[str]) -> list[Parsed]:
        return self._each("extract", [{"answer": text} for text in texts], [parse_word_reply] * len(texts))

    def _as_words(self, pairs: Sequence[Pair]) -> tuple[dict[int, Pair], dict[int, Parsed]]:
        """By row: the pairs as lists of words, and those whose words cannot be had."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        parsed = dict(zip(texts, self._words_of(texts)))
        found: dict[int, Pair] = {}
        failed: dict[int, Parsed] = {}
        for row, pair in enumerate(pairs):
            sides = [parsed[text] for text in pair]
            wrong = next((problem for value, _, problem in sides if value is None), None)
            if wrong is None:
                truth, answer = (", ".join(value) or "none" for value, _, _ in sides)
                found[row] = truth, answer
            else:
                raw = tuple(reply for _, replies, _ in sides for reply in replies)
                failed[row] = None, raw, f"{wrong} (words of a text)"
        return found, failed

    def _each(
        self, prompt_name: str, values: Sequence[Mapping[str, str]], parsers: Sequence[ParseReply]
    ) -> list[Parsed]:
        """The replies to one prompt, filled in as often as there are values; the same values are several votes."""
        prompt, again = (load_prompt("judge", name, self._folder) for name in (prompt_name, "again"))
        votes: Counter[str] = Counter()
        keys: list[str] = []
        for one in values:
            of_one = hash_of(prompt_name, one, self.settings)
            votes[of_one] += 1
            keys.append(f"{of_one} {votes[of_one]}")
        found: dict[str, Parsed] = {}
        for key in keys:
            if self._cache is not None and (row := self._cache.get(key)) is not None:
                found[key] = row["value"], tuple(row["raw"]), row["problem"]

        def request(row: int, raw: list[str]) -> ChatRequest:
            def parsed(text: str) -> dict[str, object]:
                raw.append(text)
                return {"value": parsers[row](text)}

            system, user = prompt.filled(values[row])
            ask_again = lambda problem: again.filled({"problem": problem})[1]  # noqa: E731 - used once, below
            return ChatRequest(user, system, prompt.sha256, parse=parsed, again=ask_again)

        left = [row for row, key in enumerate(keys) if key not in found]
        for begin in range(0, len(left), AT_ONCE):
            raws: dict[int, list[str]] = {row: [] for row in left[begin : begin + AT_ONCE]}
            outcomes = self._chat.ask([request(row, raw) for row, raw in raws.items()])
            fresh: dict[str, Parsed] = {}
            for (row, raw), outcome in zip(raws.items(), outcomes):
                if isinstance(outcome, AnnotationError):
                    fresh[keys[row]] = None, tuple(raw), str(outcome)
                else:
                    fresh[keys[row]] = outcome.values["value"], tuple(raw), None
            if self._cache is not None:
                # What a busy server did not answer is asked again next time.
                kept = {key: one for key, one in fresh.items() if not is_passing(one[2])}
                self._cache.add([(key, dict(zip(("value", "raw", "problem"), one))) for key, one in kept.items()])
            found |= fresh
        return [found[key] for key in keys]


def _median(parsed: Sequence[Parsed]) -> Parsed:
    """The median of the votes where at least half of them count."""
    votes = [float(value) for value, _, _ in parsed if value is not None]
    raw = tuple(reply for _, replies, _ in parsed for reply in replies)
    if 2 * len(votes) < len(parsed) or not votes:
        return None, raw, next(problem for _, _, problem in parsed if problem is not None)
    return float(statistics.median(votes)), raw, None


# --- from a reply's text to its value -------------------------------------------------------------------------------


def parse_score(text: str, low: float, high: float) -> float:
    """The score from `low` to `high` that an answer gives.

    Read, in this order: "score: 7.5" or "rating 8/10" (of several, all must agree); an answer that begins with the
    number ("8", "8/10", "8; because ..."), but not with the number of a list ("1. The clues", "1) ..."); one "8/10" or
    "8 out of 10" in the text. The published code takes the first digits of whatever comes, so that "1. ..." is a 1.

    Raises:
        AnnotationError: "empty" or "malformed": there is no score, there are several, or it is outside the scale.
    """
    plain = re.sub(r"[*`_#]", "", _THINK.sub("", text)).strip().lstrip("\"'([ ")
    if not plain:
        raise AnnotationError("empty", "the reply holds no text")
    found = [(match["n"], match["of"]) for match in _NAMED.finditer(plain)]
    first = _FIRST.match(plain)
    if not found and first is not None and (first["of"] is not None or not _NO_SCORE.match(first["after"])):
        found = [(first["n"], first["of"])]
    if not found:
        found = [(match["n"], match["of"]) for match in _SHARE.finditer(plain)]
    expected = f"expected one from {low:g} to {high:g}"
    scores = set()
    for number, of in found:
        score = float(number.replace(",", "."))
        if of is not None and float(of.replace(",", ".")) != high:
            raise AnnotationError("malformed", f"the score is out of {of}, {expected}")
        if not low <= score <= high:
            raise AnnotationError("malformed", f"the score is {score:g}, {expected}")
        scores.add(score)
    if not scores:
        raise AnnotationError("malformed", "the reply holds no score")
    if len(scores) > 1:
        several = ", ".join(f"{score:g}" for score in sorted(scores))
        raise AnnotationError("malformed", f"the reply holds several scores ({several})")
    return scores.pop()


def _json_list(text: str) -> list[Any]:
    bare = _THINK.sub("", text)
    begin, end = bare.find("["), bare.rfind("]")
    try:
        found = json.loads(bare[begin : end + 1]) if 0 <= begin < end else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise AnnotationError("malformed", "the reply is no JSON list")
    return found


def parse_word_reply(text: str) -> list[str]:
    """Emotion words, in lower case, each once; AnnotationError "malformed" where the text is no list of words."""
    found = _json_list(text)
    if not all(isinstance(word, str) for word in found):
        raise AnnotationError("malformed", "the reply is no list of words")
    return list(dict.fromkeys(word.strip().lower() for word in found if word.strip()))


def group_parser(words: Sequence[str]) -> Callable[[str], list[list[str]]]:
    """Parses groups that hold each of `words` exactly once; AnnotationError "malformed" where a text does not."""
    wanted = sorted({word.strip().lower() for word in words})

    def parse(text: str) -> list[list[str]]:
        found = _json_list(text)
        if not all(isinstance(group, list) and all(isinstance(word, str) for word in group) for group in found):
            raise AnnotationError("malformed", "the reply is no list of lists of words")
        groups = [[word.strip().lower() for word in group] for group in found if group]
        if sorted(word for group in groups for word in group) != wanted:
            raise AnnotationError("malformed", "the groups do not hold every word of the list exactly once")
        return groups

    return parse


def parse_sentiment_reply(text: str) -> str:
    """One of `SENTIMENTS`; AnnotationError "malformed" where the text is none."""
    word = text.strip().strip(".\"'*").lower()
    if word not in SENTIMENTS:
        raise AnnotationError("malformed", f"the reply is none of {', '.join(SENTIMENTS)}")
    return word


# --- verdicts on the outputs of a run -------------------------------------------------------------------------------


def judge_descriptions(
    judge: Judge, samples: Sequence[EvalSample], outputs: Sequence[Output]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Clue and label overlap of every description with its reference, by sample; and counts of failures by reason."""
    pairs = description_pairs(samples, {output.sample_id: output for output in outputs})
    scores: dict[str, dict[str, float]] = {sample_id: {} for sample_id in pairs}
    failures: Counter[str] = Counter()
    for aspect in ASPECTS:
        for sample_id, (score, _, problem) in zip(pairs, judge.judge(aspect, list(pairs.values()))):
            if score is not None:
                scores[sample_id][aspect] = score
            else:
                failures[f"judge failed, {aspect}: {(problem or '').partition(':')[0]}"] += 1
    return scores, dict(sorted(failures.items()))


def reduce_outputs(judge: Judge, benchmark: Benchmark, outputs: Sequence[Output]) -> list[Output] | None:
    """Answers in prose reduced to what the metric takes: lists of emotion words, or a sentiment; None for others.

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
        predicted = parse_words(by_id.get(sample.sample_id), parser).words or ()
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
