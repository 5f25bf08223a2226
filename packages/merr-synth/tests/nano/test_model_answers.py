"""Answers of a model to clips as they are shown: the scoring itself, once each, the same in any batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_llama.errors import BackendError, InputError
from emotion_llama.labels import MERR9
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.loaded_model import LoadedModel
from emotion_llama.models.scoring import score_labels
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.prompts.tokenise import encode
from merr_synth.nano.modalities import Shown
from merr_synth.nano.model_answers import (
    Asked,
    ModelAnswers,
    media_sha256,
    model_without,
    probabilities_of,
)

RNG = np.random.default_rng(0)


def media() -> ClipFeatures:
    vectors = [RNG.normal(size=24).astype(np.float32) for _ in range(3)]
    return ClipFeatures(*vectors, RNG.integers(0, 255, (56, 56, 3)).astype(np.uint8))


WHOLE = Asked(Shown(media(), "Well now.", None, False), "train")
TOLD = Asked(Shown(media(), None, "Measured cues. Face: x.", False), "evidence")
READ = Asked(Shown(ClipFeatures(), "What a long day this was, and it is not over.", None, False), "train")
NOTHING = Asked(Shown(ClipFeatures(), None, None, True), "train")


def test_scores_are_those_of_one_prompt_at_a_time(toy_model: Path, tmp_path: Path) -> None:
    with ModelAnswers(toy_model, tmp_path, device="cpu", batch_size=3) as asker:
        told = asker.labels([WHOLE, NOTHING, TOLD, READ])
    assert told[1] is None
    loaded = LoadedModel(toy_model, device="cpu")
    tokenizer = loaded.processor.tokenizer
    labels = [[*encode(label, tokenizer), tokenizer.eos_token_id] for label in MERR9.labels]
    for one, found in ((WHOLE, told[0]), (TOLD, told[2]), (READ, told[3])):
        batch = loaded.processor(
            one.shown.media, task="emotion", instruction=pick_instruction("emotion"), words=one.shown.words,
            cues=one.shown.cues, layout=one.layout,
        )  # fmt: skip
        with torch.inference_mode():
            expected = score_labels(loaded.model, batch, labels).log_likelihoods[0].tolist()
        assert found is not None
        assert list(found) == list(MERR9.labels)
        assert list(found.values()) == pytest.approx(expected, abs=1e-4)


class Counting(ModelAnswers):
    """Counts what the model is asked; dies after so many batches."""

    asked = 0
    most = 10**6

    def _predictor(self, layout: str) -> EmotionLlamaPredictor:
        if self.asked >= self.most:
            raise KeyboardInterrupt
        self.asked += 1
        return super()._predictor(layout)


def test_a_killed_run_goes_on_and_asks_nothing_twice(toy_model: Path, tmp_path: Path) -> None:
    clips = [WHOLE, TOLD, READ, READ]
    with ModelAnswers(toy_model, tmp_path / "whole", device="cpu", batch_size=1) as asker:
        expected = asker.labels(clips)
    said: list[tuple[int, int]] = []
    with Counting(toy_model, tmp_path / "kept", device="cpu", batch_size=1) as dying:
        dying.most = 2
        with pytest.raises(KeyboardInterrupt):
            dying.labels(clips, progress=lambda done, total: said.append((done, total)))
    assert said == [(1, 3), (2, 3)]
    with Counting(toy_model, tmp_path / "kept", device="cpu", batch_size=1) as rest:
        assert rest.labels(clips) == expected
        assert rest.asked == 1
        assert rest.labels(clips[:2]) == expected[:2]
        assert rest.asked == 1
        assert expected[2] == expected[3]
        rest.reasons(clips[:1], task="reason_v2")
        assert rest.asked == 2
        with pytest.raises(InputError, match="another process is writing to"):
            ModelAnswers(toy_model, tmp_path / "kept")


def test_reasons_are_the_greedy_text(toy_model: Path, tmp_path: Path) -> None:
    with ModelAnswers(toy_model, tmp_path, device="cpu") as asker:
        texts = asker.reasons([READ, NOTHING])
    loaded = LoadedModel(toy_model, device="cpu")
    batch = loaded.processor(
        ClipFeatures(), task="reason", instruction=pick_instruction("reason"), words=READ.shown.words, layout="train"
    )
    with torch.inference_mode():
        made = loaded.model.generate(**batch, max_new_tokens=200, do_sample=False)
    assert texts == [loaded.processor.decode_answers(made)[0], None]


def test_scores_that_are_no_numbers_are_the_models_failure(
    toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_llama.models import scoring

    def broken(*args: object, **options: object) -> scoring.LabelScores:
        bad = torch.full((1, 9), float("nan"))
        return scoring.LabelScores(bad, bad, torch.ones(9))

    monkeypatch.setattr(scoring, "score_labels", broken)
    with (
        ModelAnswers(toy_model, tmp_path, device="cpu") as asker,
        pytest.raises(BackendError, match="label scores are not finite numbers; ask with dtype float32"),
    ):
        asker.labels([READ])


def test_probabilities_sum_to_one_and_flatten() -> None:
    assert probabilities_of(None) is None
    found = probabilities_of({"a": 0.0, "b": -np.log(3.0)})
    assert found == pytest.approx({"a": 0.75, "b": 0.25})
    assert probabilities_of({"a": -700.0, "b": -1400.0}, 1e6) == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-3)


def test_media_are_told_apart_by_what_they_hold() -> None:
    ones = np.ones(3, np.float32)
    hashes = [
        ClipFeatures(face=ones),
        ClipFeatures(temporal=ones),
        ClipFeatures(face=2 * ones),
        ClipFeatures(),
    ]
    assert len({media_sha256(one) for one in hashes}) == 4
    assert media_sha256(ClipFeatures(face=ones.copy())) == media_sha256(hashes[0])


def test_what_a_model_was_trained_without_stands_in_its_card(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert model_without(tmp_path / "model") == frozenset()
    (tmp_path / "run_card.json").write_text(json.dumps({"recipe": {"data": {"without": ["face"]}}}))
    assert model_without(tmp_path / "model") == {"face"}
    (tmp_path / "run_card.json").write_text("{}")
    assert model_without(tmp_path / "model") == frozenset()
