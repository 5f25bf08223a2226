"""Clips answered together, and answers as they are written: the same as one by one, at two sizes of models."""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.clips import ClipInputs, FaceCrops
from emotion_llama.predictors import Sample
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.predictors.writer import Writer, limited_threads, threads_for
from emotion_llama.prompts.builder import Turn, user_text
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.records import Clip, Transcript, TranscriptLine, VideoInfo
from emotion_llama.results import Evidence, Missing, Prediction
from emotion_llama.serve.workers.protocol import loaded, read_sample, sample_message

GOLDEN = Path(__file__).parents[1] / "golden"
NOBODY, SILENT, DARK = Missing("faces", "nobody"), Missing("sound", "silent"), Missing("frame", "no video")
DRAW = np.random.default_rng(7)
OWN = (Turn(""),)  # the task's own instruction


def seen(*, frame: bool = True, faces: int = 3, sound: bool = True, words: str | None = None) -> Sample:
    reasons = {"frame": (frame, DARK), "faces": (faces > 0, NOBODY), "sound": (sound, SILENT)}
    inputs = ClipInputs(
        DRAW.integers(0, 255, (20, 30, 3), np.uint8) if frame else None,
        DRAW.integers(0, 255, (faces, 112, 112, 3), np.uint8) if faces else None,
        DRAW.normal(0, 0.1, 16_000).astype(np.float32) if sound else None,
        tuple(reason for is_there, reason in reasons.values() if not is_there),
    )
    return Sample(None, inputs, None, words, "Measured cues. Face: no marked movement.")


# Prompts of many lengths: a long talk, no words, no picture (and so without 16 or more placeholders), words alone.
CLIPS = (
    seen(words="Oh no."),
    seen(words=" ".join(f"word {i} and more" for i in range(40))),
    seen(),
    seen(frame=False, words="I am so glad that you came!"),
    seen(faces=0, words="Well."),
    seen(sound=False),
    seen(frame=False, faces=0, sound=False, words="There is nothing to see here."),
)


def make_folder(folder: Path, preset: str, **changes: object) -> Path:
    torch.manual_seed(11)
    config = EmotionLlamaConfig.preset(preset, **changes)
    model = EmotionLlamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # as initialised, nothing that goes in would move the output
                parameter.mul_(8 if name.startswith("language_model") else 4)
    model.save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["toy", "nano"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmotionLlamaPredictor:
    folder = make_folder(tmp_path_factory.mktemp("models") / request.param, request.param)
    return EmotionLlamaPredictor.load(folder, max_new_tokens=12, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def samples(predictor: EmotionLlamaPredictor) -> list[Sample]:
    found = [predictor.encode(clip) for clip in CLIPS]
    assert all(isinstance(one, Sample) for one in found)
    return found  # type: ignore[return-value]


def test_a_batch_answers_as_one_by_one(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    alone = [predictor.predict([case])[0] for case in samples]
    together = predictor.predict(samples)
    assert len({tuple(one.probabilities.values()) for one in alone if one.probabilities}) == len(CLIPS)
    for one, many in zip(alone, together, strict=True):
        assert one.probabilities is not None
        assert many.probabilities is not None
        for label, value in one.probabilities.items():
            assert many.probabilities[label] == pytest.approx(value, abs=1e-5)
        assert (many.label, many.raw_text, many.reasoning) == (one.label, one.raw_text, one.reasoning)
    assert predictor.predict([]) == []


def test_positions_start_after_the_filling(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    """A short prompt beside a long one keeps its own positions 0, 1, ..., when it is read and when it is continued."""
    batch = predictor._batch(samples[:3], "reason", "Why?")
    mask = batch["attention_mask"]
    lengths = mask.sum(dim=1).tolist()
    assert len(set(lengths)) == 3
    assert mask[:, -1].tolist() == [1, 1, 1]  # filled on the left
    heard: list[torch.Tensor] = []
    forward = predictor.model.language_model.forward

    def listen(*args: object, **options: object) -> object:
        heard.append(options["position_ids"])  # type: ignore[arg-type]
        return forward(*args, **options)

    predictor.model.language_model.forward = listen
    try:
        predictor.model.generate(**batch, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    finally:
        predictor.model.language_model.forward = forward
    for row, length in enumerate(lengths):
        assert heard[0][row, -length:].tolist() == list(range(length))
        assert heard[1][row].tolist() == [length]


def test_a_sample_that_was_sent_is_answered_as_that_of_a_file(predictor: EmotionLlamaPredictor) -> None:
    faces = DRAW.integers(0, 255, (5, 112, 112, 3), np.uint8)
    frame, sound = DRAW.integers(0, 255, (20, 30, 3), np.uint8), DRAW.normal(0, 0.1, 20_000).astype(np.float32)
    clip = Clip(Path("a.mp4"), "0" * 64, 1.25, VideoInfo(30, 20, 25.0, False, 0, "h264", "yuv420p"), None)
    crops = FaceCrops(5, lambda: iter((faces[:2], faces[2:])))
    inputs = ClipInputs(frame, crops, sound, (), 0.4, "strongest", clip)
    evidence = Evidence(transcript=Transcript((TranscriptLine("Oh no."),), "given"))
    sent = read_sample(*sample_message(loaded(Sample(evidence, inputs, sample_id="key"))))
    assert (sent.sample_id, sent.transcript, sent.evidence) == ("key", "Oh no.", None)
    assert "Voice: not measured" in (sent.cues or "")
    assert predictor.predict([sent]) == predictor.predict([Sample(evidence, inputs)])
    nothing = ClipInputs(missing=(DARK, NOBODY, SILENT), clip=clip)
    sent = read_sample(*sample_message(loaded(Sample(Evidence(), nothing))))
    assert predictor.predict([sent]) == predictor.predict([Sample(Evidence(), nothing)])


def test_what_was_encoded_is_not_encoded_again(
    predictor: EmotionLlamaPredictor, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "_features", lambda inputs: pytest.fail("encoded again"))
    again = predictor.encode(replace(CLIPS[0], features=samples[0].features, transcript="Something else."))
    assert isinstance(again, Sample)
    assert again.features is samples[0].features
    assert again.text == "Something else."


def test_declined_arrays(predictor: EmotionLlamaPredictor) -> None:
    found = predictor.encode(replace(CLIPS[4], transcript=None, evidence=Evidence()))
    assert isinstance(found, Prediction)
    assert found.problem == "nothing was measured to tell a feeling from: no face, no voice, no words"


# --- chats ----------------------------------------------------------------------------------------------------------


def test_written_piece_by_piece_is_what_generate_gives(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    for case in samples:
        writer = predictor.stream(case, OWN, task="reason", max_new_tokens=30)
        pieces = list(writer)
        batch = predictor._batch([case], "reason", None)
        made = predictor.model.generate(**batch, max_new_tokens=30, do_sample=False)
        assert "".join(pieces) == predictor.processor.decode_answers(made)[0]
        assert writer.completion_tokens == made.shape[1]
        assert writer.prompt_tokens == batch["input_ids"].shape[1]
        ends = made[0, -1].item() == predictor.processor.tokenizer.eos_token_id
        assert writer.finish_reason == ("stop" if ends else "length")
        assert len(pieces) > 1


def test_two_answers_take_turns(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    alone = ["".join(predictor.stream(case, OWN, task="visual", max_new_tokens=8)) for case in samples[:2]]
    assert not torch.is_inference_mode_enabled()
    first, second = (predictor.stream(case, OWN, task="visual", max_new_tokens=8) for case in samples[:2])
    texts = ["", ""]
    for _ in range(10):
        texts[0] += next(first, "")
        assert not torch.is_inference_mode_enabled()  # it is the thread's, and others compute in it
        texts[1] += next(second, "")
    assert texts == alone


def test_drawing(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    def draw(**options: float | int | None) -> str:
        return "".join(predictor.stream(samples[0], [Turn("Who?")], max_new_tokens=8, **options))  # type: ignore[arg-type]

    greedy = draw()
    assert draw(temperature=1.5, seed=3) == draw(temperature=1.5, seed=3)
    assert len({draw(temperature=1.5, seed=seed) for seed in range(6)}) > 3
    assert draw(temperature=1e-9, seed=1) == greedy
    assert draw(temperature=1.5, top_p=1e-6, seed=1) == greedy  # the likeliest token alone is left
    assert draw(seed=2**70) == greedy


def test_repetition_penalty_of_the_folder_counts_new_tokens(
    predictor: EmotionLlamaPredictor, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> list[str]:
        return ["".join(predictor.stream(case, OWN, task="reason", max_new_tokens=30)) for case in samples]

    plain = write()
    monkeypatch.setattr(predictor.model.generation_config, "repetition_penalty", 1e6)
    for case, text in zip(samples, write(), strict=True):
        batch = predictor._batch([case], "reason", None)
        made = predictor.model.generate(**batch, max_new_tokens=30, do_sample=False)
        assert text == predictor.processor.decode_answers(made)[0]
    assert write() != plain


def test_earlier_turns_are_part_of_the_prompt(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    case = samples[0]
    turns = (Turn(user_text("visual"), "A person in a red coat."),)
    with_history, without = (predictor.stream(case, (*h, Turn("Why?"))) for h in (turns, ()))
    assert with_history.prompt_tokens > without.prompt_tokens + 10
    batch = predictor._batch([case], "free", "Why?", turns)
    expected = predictor.processor.decode_answers(
        predictor.model.generate(**batch, max_new_tokens=200, do_sample=False)
    )[0]
    assert "".join(with_history) == expected


def test_an_answer_that_is_left_early_writes_no_more(predictor: EmotionLlamaPredictor, samples: list[Sample]) -> None:
    writer = predictor.stream(samples[0], OWN, task="reason", max_new_tokens=50)
    next(writer)
    written = writer.completion_tokens
    writer.close()
    assert list(writer) == []
    assert (writer.completion_tokens, writer.finish_reason) == (written, "stop")


def test_what_cannot_be_asked(
    predictor: EmotionLlamaPredictor, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no task 'x'"):
        predictor.stream(samples[0], OWN, task="x")
    with pytest.raises(InputError, match="task 'free' has no instruction of its own"):
        predictor.stream(samples[0], OWN)
    length = predictor.stream(samples[6], OWN, task="emotion").prompt_tokens
    monkeypatch.setattr(predictor.model.config.text_config, "max_position_embeddings", length + 4)
    longest = predictor.stream(samples[6], OWN, task="emotion")
    assert "".join(longest)
    assert 0 < longest.completion_tokens <= 4
    with pytest.raises(InputError, match=r"the prompt is \d+ tokens long, the model takes \d+ with its answer; leave"):
        predictor.stream(samples[1], OWN, task="reason")


def test_weights_for_labels_alone_are_not_asked_for_reasons(
    predictor: EmotionLlamaPredictor, samples: list[Sample], tmp_path: Path
) -> None:
    place = copy_of(predictor, tmp_path)
    record = '{"format": "emotion-llama-conversion-1", "weights": "best.pth", "abilities": ["classify"]}'
    (place / "conversion.json").write_text(record)
    classifier = EmotionLlamaPredictor.load(place, device="cpu")
    with pytest.raises(InputError, match=r"best\.pth was tuned for classification only"):
        classifier.stream(samples[0], OWN, task="reason")
    assert classifier.stream(samples[0], OWN, task="emotion", max_new_tokens=3).prompt_tokens > 10


def copy_of(predictor: EmotionLlamaPredictor, tmp_path: Path) -> Path:
    predictor.model.save_pretrained(tmp_path / "copy")
    predictor.processor.save_pretrained(tmp_path / "copy")
    return tmp_path / "copy"


def test_a_character_of_several_tokens_comes_whole() -> None:
    """A Chinese character can be three byte tokens; two thirds of it are no text."""
    tokenizer = load_tokenizer(GOLDEN / "llama")
    ids = tokenizer.encode("a 龘 b", add_special_tokens=False)
    assert any("\ufffd" in tokenizer.decode(ids[:n]) for n in range(1, len(ids)))
    single = {token for token in ids if str(tokenizer.convert_ids_to_tokens(token)).startswith("<0x")}
    for open_tokens in (single, ()):  # a tokenizer with tokens for bytes, and one whose tokens are cut anywhere
        pieces = list(scripted_writer(ids, lambda tokens: str(tokenizer.decode(tokens)).strip(), open_tokens))
        assert "".join(pieces) == "a 龘 b"
        assert not any("\ufffd" in piece for piece in pieces)


def scripted_writer(ids: list[int], decode: Callable[[list[int]], str], open_tokens: Collection[int]) -> Writer:
    config = SimpleNamespace(repetition_penalty=1.0, eos_token_id=[0])
    text_config = SimpleNamespace(max_position_embeddings=1000)
    left = [*ids, 0]

    def model(**batch: object) -> object:
        scores = torch.zeros(1, 1, 100_000)
        scores[0, 0, left.pop(0)] = 1.0
        return SimpleNamespace(past_key_values="cache", logits=scores)

    model.config = SimpleNamespace(text_config=text_config)  # type: ignore[attr-defined]
    model.generation_config, model.device = config, "cpu"  # type: ignore[attr-defined]
    batch = {"input_ids": torch.ones(1, 4, dtype=torch.long), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    return Writer(model, batch, decode, open_tokens=open_tokens)


# --- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"frame": np.zeros((4, 4), np.uint8)}, r"frame is \[4, 4\] uint8, expected one RGB picture"),
        ({"frame": np.zeros((4, 4, 3), np.float32)}, r"frame is \[4, 4, 3\] float32"),
        ({"frame": np.zeros((0, 4, 3), np.uint8)}, r"frame is \[0, 4, 3\] uint8"),
        ({"faces": np.zeros((2, 4, 5, 3), np.uint8)}, r"faces are \[2, 4, 5, 3\] uint8, expected crops"),
        ({"faces": np.zeros((2, 0, 0, 3), np.uint8)}, r"faces are \[2, 0, 0, 3\] uint8"),
        ({"sound": np.zeros(5, np.float64)}, r"sound is \[5\] float64, expected samples"),
        ({"sound": np.zeros(0, np.float32)}, r"sound is \[0\] float32"),
        ({"sound": np.array([0, math.nan], np.float32)}, "sound holds values that are not finite"),
        ({"frame": None}, "there is no frame, and `missing` gives no reason"),
    ],
)
def test_arrays_of_other_kinds_are_refused(changes: dict[str, object], told: str) -> None:
    message, arrays = sample_message(CLIPS[0])
    given = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    with pytest.raises(InputError, match=told):
        read_sample(message, given)  # type: ignore[arg-type]


# --- threads --------------------------------------------------------------------------------------------------------


def test_small_models_take_one_thread() -> None:
    assert (threads_for(6_000_000, "cpu"), threads_for(6_000_000, "cuda"), threads_for(7 * 10**9, "cpu")) == (
        1, None, None
    )  # fmt: skip
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with limited_threads(1):
            assert torch.get_num_threads() == 1
        with limited_threads(8), limited_threads(None):
            assert torch.get_num_threads() == 3  # never more than torch was told
        with pytest.raises(KeyError), limited_threads(1):
            raise KeyError("x")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
