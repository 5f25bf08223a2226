"""Annotators: what answers the questions of a build, by the part of a recipe that names it; made ready before it asks.

An annotator is a row of one table: rules over measurements, a chat model (a server, or transformers in this process),
our own model, or a stub for trying things out, whose made-up answers look like descriptions, differ by the question's
hash and go through the same checks as a model's.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from emotion_llama.chat.asking import LABEL_WORDS, askable, check_reply, request_of
from emotion_llama.chat.budget import Budget, SpendingFile
from emotion_llama.chat.config import Config, OpenAIConfig, TransformersConfig, checked_config
from emotion_llama.chat.model import ChatModel
from emotion_llama.chat.openai_server import OpenAIServer
from emotion_llama.chat.questions import TASKS, Language, Question, Task
from emotion_llama.chat.records import Answer, ChatRequest, Outcome
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.files import append_lines, read_lines
from emotion_llama.merr.own_model import OWN_TASKS, EmotionLlamaConfig, OwnModel

Where = Literal["inline", "thread", "main"]


class RulesConfig(Config):
    """Sentences stated from measurements alone; needs nothing."""

    name: Literal["rules"] = "rules"
    table: str = Field(
        default="published", description="Which action units speak for which label (docs/rules.md), for reasoning."
    )


class StubConfig(Config):
    """Made-up answers, for trying things out and for tests; provenance says so."""

    name: Literal["stub"] = "stub"
    seed: str = Field(default="", description="Other seeds, other answers.")
    failures: dict[
        Literal["refused", "empty", "malformed", "rejected", "unreachable", "timeout", "overloaded", "cannot"],
        Annotated[float, Field(ge=0, le=1)],
    ] = Field(default={}, description="Kind of failure -> share of questions that end so.")
    tasks: tuple[Task, ...] = Field(
        default=("expression", "visual", "audio", "reason", "check"), min_length=1, description="What it can be asked."
    )

    @model_validator(mode="after")
    def _check_shares(self) -> StubConfig:
        if sum(self.failures.values()) > 1:
            raise ValueError(f"shares of failures sum to {sum(self.failures.values()):g}, expected 1 or less")
        return self


class KeptAnswers:
    """Answers that were given, and paid for, before their clip was through: a file of the build's folder.

    A stage of a clip is done when every language has its field. Where one language fails, or the build is stopped
    before all are answered, the answers that are there would be asked for a second time; so they are kept until then,
    a line each; when `stopped` says that the build is about to end, they are written as they come.

    Raises:
        InputError: the file is there and cannot be read.
    """

    def __init__(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self._stopped = stopped
        self._lock = threading.Lock()
        self._held: dict[str, Answer] = {}  # of clips in work, in memory alone
        self._found = {row["key"]: Answer(**row["answer"]) for row in read_lines(path)}

    def find(self, key: str) -> Answer | None:
        """The answer kept under a key."""
        return self._found.get(key)

    def hold(self, key: str, answer: Answer) -> None:
        """Hold an answer until its clip is through."""
        with self._lock:
            self._held[key] = answer
        if self._stopped():
            self.keep([key])

    def settle(self, keys: Sequence[str], *, is_through: bool) -> None:
        """Let go of a clip's answers; they are written down unless it is through and will be recorded."""
        if not is_through or self._stopped():
            self.keep(keys)
        with self._lock:
            for key in keys:
                self._held.pop(key, None)

    def keep(self, keys: Iterable[str] | None = None) -> None:
        """Write down the answers held under these keys, or all; several threads may do so at a time."""
        with self._lock:
            for key in list(self._held) if keys is None else keys:
                answer = self._held.pop(key, None)
                if answer is None or key in self._found:
                    continue
                self._found[key] = answer
                values = {**vars(answer), "values": dict(answer.values)}
                append_lines(self.path, [{"key": key, "answer": values}])


@dataclass(repr=False, eq=False)
class Annotator:
    """Answers questions. Stages of one build with equal configurations share one, with its connection and budget."""

    config: RulesConfig | OpenAIConfig | TransformersConfig | EmotionLlamaConfig | StubConfig  # as the recipe has it
    settings: Mapping[str, object]  # everything that answers depend on, as JSON values; no secrets
    tasks: frozenset[Task]  # what it can be asked
    # one answer, or the reason why there is none, for each question in order
    answer: Callable[[Sequence[Question]], list[Outcome]]
    where: Where = "inline"  # how an engine may call it: inline, from many threads, or from one thread
    batch_size: int = 1  # questions that it is best asked at once
    chat: ChatModel | None = None  # the chat model behind it; None where there is none
    takes_media: bool = False  # it takes picture, face and sound also where it reasons
    # answers of a build that another one's failure would lose; None where asking costs nothing
    kept: KeptAnswers | None = None

    @property
    def facts(self) -> dict[str, object]:
        """What answers depend on, its name among them."""
        return {"name": self.name, **self.settings}

    @property
    def name(self) -> str:
        """What provenance records: "rules", "openai", "transformers", "emotion-llama", "stub"."""
        return self.config.name

    def __reduce__(self) -> tuple[Callable[..., Annotator], tuple[dict[str, Any]]]:
        return load_annotator, (self.config.model_dump(),)  # another process loads the model itself

    def ready(self) -> tuple[str, ...]:
        """Check that it could be asked now, without asking; what its user has to know before it is.

        So a missing key is found at once and not after an hour, and nobody sends pictures away without having read so.

        Raises:
            InputError: an environment variable that holds a key is not set.
            MissingDependency: a package is not installed.
        """
        if isinstance(self.config, EmotionLlamaConfig):
            from emotion_llama.chat.local_transformers import need

            need("torch")
            need("transformers")
        if self.chat is None:
            return ()
        self.chat.check_installed()
        host = self.chat.sends_to
        if host is None:
            return ()
        return (
            f"Pictures, sound or words of the clips leave this machine: annotator {self.name} sends them to {host}.",
        )


def load_annotator(config: Mapping[str, object], *, budget: Budget | None = None) -> Annotator:
    """The annotator of a configuration. Nothing is asked, downloaded or loaded before its first question.

    Args:
        config: "name" and the annotator's own options, as YAML gives them (lists, texts, numbers).
        budget: of a server, in place of the one that the options describe.

    Raises:
        InputError: no or an unknown name, options that do not fit, or a folder in them that cannot be used.
    """
    name = config.get("name")
    if not isinstance(name, str) or name not in CONFIGS:
        raise InputError(f"no annotator {name!r} (there are: {', '.join(CONFIGS)}); give it as name")
    checked = checked_config(CONFIGS[name], config)
    if isinstance(checked, OpenAIConfig | TransformersConfig):
        return _chat(checked, budget)
    if isinstance(checked, EmotionLlamaConfig):
        own, tasks = OwnModel(checked), frozenset(OWN_TASKS)
        return Annotator(checked, own.settings, tasks, own.answer, "main", checked.batch_size, takes_media=True)
    return _stub(checked) if isinstance(checked, StubConfig) else _rules(checked)


CONFIGS: dict[str, Any] = {
    "rules": RulesConfig,
    "openai": OpenAIConfig,
    "transformers": TransformersConfig,
    "emotion-llama": EmotionLlamaConfig,
    "stub": StubConfig,
}


def _rules(config: RulesConfig) -> Annotator:
    from emotion_llama.rules.answers import VERSION, answer_by_rules
    from emotion_llama.rules.scoring import check_table

    check_table(config.table)
    return Annotator(
        config, {"version": VERSION, "table": config.table, "phrases_sha256": None}, frozenset(TASKS),
        lambda questions: [answer_by_rules(question, config.table) for question in questions], batch_size=64,
    )  # fmt: skip


def _stub(config: StubConfig) -> Annotator:
    failures = {str(kind): share for kind, share in config.failures.items()}
    settings = {"annotator": "stub", "model": STUB_MODEL, "seed": config.seed, "failures": failures}
    return Annotator(
        config, settings, frozenset(config.tasks),
        lambda questions: [stub_answer(question, config.seed, failures) for question in questions],
    )  # fmt: skip


def _chat(config: OpenAIConfig | TransformersConfig, budget: Budget | None) -> Annotator:
    from emotion_llama.prompts.prompt_files import LANGUAGES, check_prompts, prompt_hashes

    if config.prompts is not None:
        check_prompts("merr", config.prompts)
    chat = ChatModel(config, budget=budget)
    tasks = askable(chat.modalities)
    questions = {*tasks, "again", *(["infer"] if "reason" in tasks else [])}
    names = [f"{question}.{language}" for question in questions for language in LANGUAGES]
    settings = {**chat.settings, "prompts": prompt_hashes("merr", config.prompts, names)}

    def answer(questions: Sequence[Question]) -> list[Outcome]:
        return _asked(chat, questions, config.prompts)

    where: Where = "thread" if chat.is_shared else "main"
    return Annotator(config, settings, tasks, answer, where, chat.batch_size, chat)


def _asked(chat: ChatModel, questions: Sequence[Question], prompts: Path | None) -> list[Outcome]:
    found: dict[int, Outcome] = {}
    requests: dict[int, ChatRequest] = {}
    for row, question in enumerate(questions):
        try:
            requests[row] = request_of(question, chat.modalities, prompts)
        except AnnotationError as error:  # noqa: PERF203  (one question's error is its own)
            found[row] = error
    found |= dict(zip(requests, chat.ask(list(requests.values())), strict=True))
    return [found[row] for row in range(len(questions))]


# --- before a build asks ----------------------------------------------------------------------------------------------


def unreachable(annotators: Iterable[Annotator]) -> tuple[str, ...]:
    """A line for each server that does not answer; what it was asked before is kept, so that a build need not stop."""
    chats = {id(one.chat): one.chat for one in annotators if one.chat is not None}.values()
    return tuple(dict.fromkeys(line for chat in chats if (line := _unreachable(chat)) is not None))


def _unreachable(chat: ChatModel) -> str | None:
    try:
        chat.check_reachable()
    except InputError as error:
        return f"{error}; until then clips are measured, and the next build asks what is open"
    return None


def ready_to_ask(
    annotators: Iterable[Annotator], folder: Path, stopped: Callable[[], bool] = lambda: False
) -> tuple[str, ...]:
    """Make a build's annotators ready; lines that its user has to read.

    Annotators of one server and model share one budget; of several bounds the smallest counts. What was spent is kept
    in the build's folder, so that a build that was stopped does not begin to count anew; and so are answers of clips
    that are not through.

    Raises:
        InputError: a key is not set, or a file of spending or answers cannot be read.
        MissingDependency: a package is not installed.
    """
    annotators = list({id(one): one for one in annotators}.values())
    lines = [line for annotator in annotators for line in annotator.ready()]
    costly = [one for one in annotators if one.where != "inline"]
    kept = KeptAnswers(folder / "kept-answers.jsonl", stopped) if costly else None
    by_server: dict[tuple[str, str], list[OpenAIServer]] = {}
    for annotator in costly:
        annotator.kept = kept
        if annotator.chat is None:
            continue
        annotator.chat.refused_file = folder / "refused-replies.jsonl"
        if isinstance(server := annotator.chat.backend, OpenAIServer):
            server.stopped = stopped
            key = (server.config.identity or server.config.base_url.rstrip("/"), server.config.model)
            by_server.setdefault(key, []).append(server)
    for key, sharing in by_server.items():
        requests = [one.config.budget_requests for one in sharing if one.config.budget_requests is not None]
        tokens = [one.config.budget_tokens for one in sharing if one.config.budget_tokens is not None]
        if requests or tokens:
            name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]
            file = SpendingFile(folder / f"spent-{name}.txt")
            shared = Budget(min(requests, default=None), min(tokens, default=None), file=file)
            for server in sharing:
                server.budget = shared
    return tuple(dict.fromkeys(lines))


# --- the stub ---------------------------------------------------------------------------------------------------------

STUB_MODEL = "stub 1"
_WORDS: Mapping[Language, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "phrase": ("eyebrows raised", "lips pressed together", "eyes widened", "chin pushed up", "brow furrowed"),
        "visual": ("one person in the middle of the picture", "a person seen from the chest up", "a face close by"),
        "audio": ("a low and even voice", "a loud voice with few pauses", "a slow and quiet voice"),
    },
    "zh": {
        "phrase": ("眉毛上扬", "嘴唇紧闭", "眼睛睁大", "下巴抬起", "眉头紧锁"),
        "visual": ("画面中间有一个人", "画面中是一个人的上半身", "画面中是一张很近的脸"),
        "audio": ("声音低沉而平稳", "声音响亮，停顿很少", "声音缓慢而轻柔"),
    },
}  # fmt: skip


def stub_answer(question: Question, seed: str, failures: Mapping[str, float]) -> Outcome:
    """A made-up answer by the question's hash: the same question always has the same one."""
    digest = hashlib.sha256(f"{seed}\n{question_hash(question)}".encode()).digest()
    draw = int.from_bytes(digest[-6:], "big") / 256**6
    for kind, share in failures.items():
        if draw < share:
            return AnnotationError(kind, "the stub fails here, as its configuration says")
        draw -= share
    values = _made_up(question, digest)
    return Answer(check_reply(question, json.dumps(values, ensure_ascii=False)), STUB_MODEL)


def question_hash(question: Question) -> str:
    """SHA-256 of all that a question shows: the same in every process, another for another question."""
    facts = question.facts
    shown = {
        "task": question.task,
        "language": question.language,
        "labels": list(question.labels),
        "variant": question.variant,
        "label": facts.label,
        "clues": dict(sorted(facts.clues.items())),
        "why_missing": dict(sorted(facts.why_missing.items())),
        "units": dict(sorted(facts.peak_units.items())),
        "tone": None if facts.evidence.tone is None else facts.evidence.tone.phrase,
        "text": facts.text,
        "media": [hashlib.sha256(data or b"").hexdigest() for data in (question.picture_png, question.sound_wav)],
    }
    return hashlib.sha256(json.dumps(shown, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _made_up(question: Question, digest: bytes) -> dict[str, object]:
    words = _WORDS[question.language]
    if question.task == "expression":
        choices = words["phrase"]
        first = digest[0] % len(choices)
        return {"phrases": [choices[first], choices[(first + 1 + digest[1] % (len(choices) - 1)) % len(choices)]]}
    if question.task == "check":
        return {"holds": True, "problems": []}
    if question.task == "reason":
        return _reasoned(question, digest)
    choices = words[question.task]
    return {"text": choices[digest[0] % len(choices)]}


def _reasoned(question: Question, digest: bytes) -> dict[str, object]:
    """Repeats the clues and ends with the label: what a grounded description looks like."""
    label = question.facts.label or question.labels[digest[0] % len(question.labels)]
    word = LABEL_WORDS[question.language].get(label, label)
    clues = [f"{name.replace('_', ' ')}: {text}"[:200] for name, text in sorted(question.facts.clues.items()) if text]
    if question.language == "zh":  # clues may be in the language that is spoken in the clip
        return {
            "supporting": [f"第 {number} 条线索" for number in range(1, len(clues[:16]) + 1)] or ["线索不足"],
            "misleading": [],
            "text": f"这个人的表情和声音都指向同一种情绪。因此这个人感到{word}。",
            "label": label,
        }
    return {
        "supporting": clues[:16] or ["too few clues"],
        "misleading": [],
        "text": f"The clues of face, voice and words point the same way. The person feels {word}.",
        "label": label,
    }
