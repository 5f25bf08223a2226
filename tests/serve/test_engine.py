"""Models of a server: answered together, encoded once, bounded, and not brought down by one bad clip."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion_llama.errors import BackendError, InputError
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors import Sample, load_predictor
from emotion_llama.predictors.base import TextStream
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.prompts.builder import Turn
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.results import Missing, Prediction
from emotion_llama.serve.engine import Engine
from emotion_llama.serve.errors import Busy, Stopping
from emotion_llama.serve.request_queue import TextAnswer

GOLDEN = Path(__file__).parents[1] / "golden"
DRAW = np.random.default_rng(9)


def seen(key: str, words: str = "Oh no.", *, faces: int = 2) -> Sample:
    inputs = ClipInputs(
        DRAW.integers(0, 255, (20, 30, 3), np.uint8),
        DRAW.integers(0, 255, (faces, 112, 112, 3), np.uint8) if faces else None,
        DRAW.normal(0, 0.1, 16_000).astype(np.float32),
        () if faces else (Missing("faces", "nobody"),),
    )
    return Sample(None, inputs, None, words, "Measured cues. Face: no marked movement.", key)


# --- a scripted model -----------------------------------------------------------------------------------------------


class ScriptedWriter(TextStream):
    def __init__(self, pieces: Sequence[str], gate: threading.Event) -> None:
        super().__init__(pieces)
        self._left, self._gate = len(pieces), gate
        self.prompt_tokens = 7
        self.closed = False

    def __next__(self) -> str:
        self._gate.wait()
        piece = next(self._pieces)
        if piece == "fail":
            raise RuntimeError("out of memory\nwith a long story")
        self.completion_tokens += 1
        if self.completion_tokens == self._left:
            self.finish_reason = "length"
        return piece

    def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedPredictor:
    """Answers with the words; the word "bad" breaks a batch, "empty" is declined, "damaged" fails in its encoder."""

    name: str = "scripted"
    frame_policy: str = "first"
    batches: list[list[str]] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    writers: list[ScriptedWriter] = field(default_factory=list)
    side_by_side: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    settings: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate.set()

    def encode(self, sample: Sample) -> Sample | Prediction:
        if sample.text == "empty":
            return Prediction(None, None, "", "", self.name, problem="nobody")
        if sample.text == "damaged":
            raise ValueError("a broken array")
        if sample.features is None:
            self.encoded.append(sample.sample_id)
        return replace(sample, features=sample.features or object())  # type: ignore[arg-type]

    def predict(self, samples: Sequence[Sample], task: object = None) -> list[Prediction]:
        self.gate.wait()
        words = [str(sample.text) for sample in samples]
        self.batches.append(words)
        if "bad" in words:
            raise RuntimeError("CUDA out of memory.\nTried to allocate")
        return [Prediction(word, {word: 1.0}, "", "", self.name) for word in words]

    def stream(self, sample: Sample, messages: Sequence[Turn], **options: Any) -> TextStream:
        if messages[-1].text == "too long":
            raise InputError("the prompt is too long")
        self.side_by_side.append(1 + sum(writer.finish_reason is None for writer in self.writers))
        self.writers.append(ScriptedWriter(messages[-1].text.split() or [str(sample.text)], self.gate))
        return self.writers[-1]


def run(
    predictor: Any, test: Callable[[Engine], Awaitable[None]], *, grace_seconds: float = 10.0, **options: Any
) -> Engine:
    """An engine of one model, started, given to the test, and closed."""
    engine = Engine({"m": predictor}, **{"max_wait_ms": 50.0, **options})

    async def whole() -> None:
        await engine.start()
        if isinstance(predictor, ScriptedPredictor):
            for record in (predictor.batches, predictor.encoded, predictor.writers):
                record.clear()  # what it was warmed with
        try:
            await test(engine)
        finally:
            await engine.close(grace_seconds)

    asyncio.run(whole())
    return engine


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens in another thread."""
    while not condition():
        await asyncio.sleep(0.001)


def ask(engine: Engine, clip: Sample, text: str = "", *, task: str = "free", **options: Any) -> TextAnswer:
    return engine.ask("m", clip, (Turn(text),), task=task, **options)


async def collect(answering: TextAnswer) -> list[str]:
    return [piece async for piece in answering]


def test_requests_that_come_together_are_answered_together() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.predict("m", seen(w, w)) for w in ("a", "b", "c", "d", "e")))
        assert [answer.label for answer in answers] == ["a", "b", "c", "d", "e"]
        figures = engine.counts["m"]
        assert figures["batch_sizes"] == {4: 1, 1: 1}
        assert (figures["answers"], figures["encodes"], figures["failures"], figures["waiting"]) == (5, 5, 0, 0)

    run(predictor, test, max_batch=4)
    assert predictor.batches == [["a", "b", "c", "d"], ["e"]]


def test_one_bad_clip_costs_one_answer() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        words = ("a", "bad", "empty", "damaged", "b")
        reads = [engine.predict("m", seen("", w)) for w in words]
        a, bad, empty, damaged, b = await asyncio.gather(*reads, return_exceptions=True)
        assert isinstance(a, Prediction)
        assert isinstance(b, Prediction)
        assert isinstance(empty, Prediction)
        assert (a.label, b.label, empty.problem) == ("a", "b", "nobody")
        assert isinstance(bad, BackendError)
        assert str(bad) == "the model 'm' failed (RuntimeError: CUDA out of memory.)"
        assert isinstance(damaged, BackendError)
        assert "a broken array" in str(damaged)
        assert (engine.counts["m"]["answers"], engine.counts["m"]["failures"]) == (3, 2)

    run(predictor, test)
    assert predictor.batches == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


def test_a_clip_is_encoded_once_and_forgotten_last() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        for key, words in (("x", "a"), ("x", "b"), ("", "c"), ("", "d"), ("y", "e")):
            assert (await engine.predict("m", seen(key, words))).label == words
        assert predictor.encoded == ["x", "", "", "y"]  # without a key nothing is kept
        assert await collect(ask(engine, seen("x", "f"), "hello there")) == ["hello", "there"]
        assert await collect(ask(engine, seen("y", "e"), task="reason")) == ["e"]
        assert engine.counts["m"]["cache_hits"] == 3
        await engine.predict("m", seen("z", "g"))  # the third of two: "x" was used before "y"
        await engine.predict("m", seen("y", "h"))
        assert predictor.encoded == ["x", "", "", "y", "z"]
        await engine.predict("m", seen("x", "i"))
        assert predictor.encoded == ["x", "", "", "y", "z", "x"]

    run(predictor, test, cache_clips=2)


def test_questions_take_turns_and_tell_their_lengths() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        predictor.gate.clear()
        first, second = (ask(engine, seen(k), text) for k, text in (("a", "1 2 3"), ("b", "4 5")))
        assert (first.prompt_tokens, first.finish_reason) == (0, None)
        await until(lambda: len(predictor.writers) > 0)
        predictor.gate.set()
        assert await collect(first) == ["1", "2", "3"]
        assert await collect(second) == ["4", "5"]
        assert await collect(second) == []
        assert (first.prompt_tokens, first.completion_tokens, first.finish_reason) == (7, 3, "length")
        figures = engine.counts["m"]
        assert (figures["questions"], figures["tokens"], figures["asking"]) == (2, 5, 0)

    run(predictor, test)


def test_no_more_questions_side_by_side_than_a_batch() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        words = ["word"] * 200
        asked = [ask(engine, seen("a"), " ".join(words)) for _ in range(6)]
        assert await asyncio.gather(*map(collect, asked)) == [words] * 6

    run(predictor, test, max_batch=2)
    assert max(predictor.side_by_side) == 2


def test_readings_go_on_between_the_words_of_an_answer() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        asked = ask(engine, seen("a"), " ".join(["word"] * 20_000))
        assert await anext(asked) == "word"
        assert (await engine.predict("m", seen("b", "b"))).label == "b"
        assert asked.finish_reason is None
        await asked.aclose()

    run(predictor, test)


def test_a_client_that_leaves_ends_the_writing() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        asked = ask(engine, seen("a"), " ".join(["word"] * 1_000_000))
        assert await anext(asked) == "word"
        await asked.aclose()
        assert await collect(asked) == []
        await until(lambda: predictor.writers[0].closed)
        assert predictor.writers[0].completion_tokens < 1_000_000
        await until(lambda: engine.counts["m"]["asking"] == 0)

    run(predictor, test)


def test_a_client_that_leaves_before_its_turn_is_not_read() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        predictor.gate.clear()
        running = asyncio.create_task(engine.predict("m", seen("a", "a")))
        await until(lambda: predictor.encoded == ["a"])
        gone = asyncio.create_task(engine.predict("m", seen("b", "b")))
        asked = ask(engine, seen("c"), "why")
        await asyncio.sleep(0)
        gone.cancel()
        await asked.aclose()
        with pytest.raises(asyncio.CancelledError):
            await gone
        predictor.gate.set()
        assert (await running).label == "a"
        assert (await engine.predict("m", seen("d", "d"))).label == "d"
        assert predictor.encoded == ["a", "d"]

    run(predictor, test, max_wait_ms=0.0)


def test_an_answer_that_cannot_be_given_says_so() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        for clip, text, kind, told in (
            (seen("a", "empty"), "why", InputError, "there is nothing to ask about: nobody"),
            (seen("a"), "too long", InputError, "the prompt is too long"),
            (seen("a", "damaged"), "why", BackendError, "a broken array"),
        ):
            with pytest.raises(kind, match=told):
                await collect(ask(engine, clip, text))  # type: ignore[arg-type]
        broken = ask(engine, seen("a"), "one fail two")
        assert await anext(broken) == "one"
        with pytest.raises(BackendError, match=r"failed \(RuntimeError: out of memory\)$"):
            await anext(broken)
        assert await collect(broken) == []
        assert engine.counts["m"]["failures"] == 4
        with pytest.raises(InputError, match=r"no model 'x' is asked here \(there are: m\)"):
            await engine.predict("x", seen("a"))
        with pytest.raises(InputError, match="no model 'x'"):
            engine.ask("x", seen("a"), (Turn("why"),))

    run(predictor, test)


def test_a_full_line_is_busy() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        predictor.gate.clear()
        reads = [asyncio.create_task(engine.predict("m", seen("a", "a")))]
        await until(lambda: predictor.encoded)
        reads += [asyncio.create_task(engine.predict("m", seen("a", "a"))) for _ in range(3)]
        await until(lambda: engine.counts["m"]["waiting"] == 3)
        for refused in (engine.predict("m", seen("a")), collect_later(engine)):
            with pytest.raises(Busy, match="3 requests for the model 'm' are waiting already") as caught:
                await refused
            assert caught.value.retry_after_seconds >= 1
        predictor.gate.set()
        assert [answer.label for answer in await asyncio.gather(*reads)] == ["a"] * 4

    async def collect_later(engine: Engine) -> None:
        ask(engine, seen("a"), "why")

    run(predictor, test, max_queue=3, max_wait_ms=0.0)


def test_two_hundred_clients_with_bad_ones_among_them() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        words = ["bad" if n % 5 == 0 else str(n) for n in range(200)]
        reads = [engine.predict("m", seen(str(n), word)) for n, word in enumerate(words)]
        answers = await asyncio.gather(*reads, return_exceptions=True)
        for word, answer in zip(words, answers, strict=True):
            if word == "bad":
                assert isinstance(answer, BackendError)
            else:
                assert isinstance(answer, Prediction)
                assert answer.label == word

    run(predictor, test, max_queue=200)


# --- start and end --------------------------------------------------------------------------------------------------


def test_closing_finishes_what_runs_and_takes_nothing_new() -> None:
    predictor = ScriptedPredictor()
    answers: list[Prediction] = []

    async def test(engine: Engine) -> None:
        predictor.gate.clear()
        reads = [asyncio.create_task(engine.predict("m", seen(w, w))) for w in "ab"]
        asked = ask(engine, seen("c"), "one two")
        closing = asyncio.create_task(engine.close(1e6))
        await until(lambda: predictor.encoded)
        predictor.gate.set()
        await closing
        answers.extend(await asyncio.gather(*reads))
        assert await collect(asked) == ["one", "two"]
        with pytest.raises(Busy, match="0 requests"):
            await engine.predict("m", seen("a"))

    run(predictor, test, max_batch=1)
    assert [answer.label for answer in answers] == ["a", "b"]


def test_after_the_grace_the_rest_is_given_up() -> None:
    predictor = ScriptedPredictor()

    async def test(engine: Engine) -> None:
        predictor.gate.clear()
        reads = [asyncio.create_task(engine.predict("m", seen(w, w))) for w in "abc"]
        asked = ask(engine, seen("d"), "one")
        await until(lambda: predictor.encoded)
        await engine.close(0.0)
        for given_up in (*reads, asyncio.create_task(collect(asked))):
            with pytest.raises(Stopping):
                await given_up
        predictor.gate.set()

    run(predictor, test, max_batch=1, grace_seconds=5)


def test_a_model_that_fails_at_its_first_answer_does_not_start() -> None:
    predictor = ScriptedPredictor()
    predictor.predict = lambda samples: (_ for _ in ()).throw(RuntimeError("no kernel image"))  # type: ignore[assignment,method-assign]

    async def test(engine: Engine) -> None:
        raise AssertionError("it started")

    with pytest.raises(BackendError, match=r"the model 'm' failed \(RuntimeError: no kernel image\)"):
        run(predictor, test)


def test_an_engine_that_never_started_closes() -> None:
    asyncio.run(Engine({"m": ScriptedPredictor()}).close(1))  # type: ignore[dict-item]


def test_predictors_of_measurements_are_left_to_others() -> None:
    assert Engine({"rules": load_predictor("rules")}).models == ()
    assert Engine({"rules": load_predictor("rules"), "m": ScriptedPredictor()}).models == ("m",)  # type: ignore[dict-item]


# --- a real model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> EmotionLlamaPredictor:
    import torch

    folder = tmp_path_factory.mktemp("models") / "toy"
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    model = EmotionLlamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # as initialised, nothing that goes in would move the output
                parameter.mul_(8 if name.startswith("language_model") else 4)
    model.save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return EmotionLlamaPredictor.load(folder, max_new_tokens=6, device="cpu")


def test_answers_of_many_clients_are_those_of_one(toy: EmotionLlamaPredictor) -> None:
    clips = [seen(f"k{n}", "word " * n, faces=n % 3) for n in range(7)]
    alone = [toy.predict([clip])[0] for clip in clips]

    async def test(engine: Engine) -> None:
        together = await asyncio.gather(*(engine.predict("m", clip) for clip in clips))
        for one, many in zip(alone, together, strict=True):
            assert one.probabilities is not None
            assert many.probabilities == pytest.approx(dict(one.probabilities), abs=1e-5)
            assert (many.label, many.raw_text) == (one.label, one.raw_text)
        assert max(engine.counts["m"]["batch_sizes"]) > 1

    run(toy, test, max_batch=4)


def test_a_follow_up_runs_no_encoder(toy: EmotionLlamaPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[str] = []
    clip = seen("one")
    expected = "".join(toy.stream(clip, [Turn("")], task="reason", max_new_tokens=5))
    for tower in ("vision_tower", "face_tower", "temporal_tower", "audio_tower"):
        module = getattr(toy.model, tower)

        def forward(*args: Any, _run: Any = module.forward, _name: str = tower, **options: Any) -> Any:
            passes.append(_name)
            return _run(*args, **options)

        monkeypatch.setattr(module, "forward", forward)

    async def test(engine: Engine) -> None:
        passes.clear()
        await engine.predict("m", clip)
        assert sorted(passes) == ["audio_tower", "face_tower", "temporal_tower", "vision_tower"]
        for again in (replace(clip, transcript="Something else."), clip, replace(clip, inputs=None)):
            await collect(ask(engine, again, task="visual", max_new_tokens=3))
        pieces = await collect(ask(engine, clip, task="reason", max_new_tokens=5))
        assert "".join(pieces) == expected
        await engine.predict("m", replace(clip, transcript="Well."))
        assert len(passes) == 4
        assert (engine.counts["m"]["encodes"], engine.counts["m"]["cache_hits"]) == (1, 5)

    run(toy, test)
