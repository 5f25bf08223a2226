"""A position of a run as the processor's batch: media, words, cues, answers, and what is left out."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.models import EmotionLlamaProcessor
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.train.dataset import NO_CUES, PromptConfig, TrainingDataset, collate, usable
from emotion_llama.train.examples import Example

EXAMPLE = Example("a", {"emotion": "Sad.", "reason": "Because."}, words="Oh no", cues="Measured cues. Face: x.")
ONES = np.ones(24, np.float32)
WHOLE = ClipFeatures(ONES, ONES, ONES, np.zeros((56, 56, 3), np.uint8))


def items(
    config: PromptConfig, media: ClipFeatures | None = WHOLE, count: int = 1, example: Example = EXAMPLE
) -> TrainingDataset:
    draws = [(0, "emotion", f"42:{i}") for i in range(count)]
    return TrainingDataset([example], draws, lambda _: media, config)


def test_a_batch_predicts_the_answer_alone(workshop: Path) -> None:
    processor = EmotionLlamaProcessor.from_pretrained(workshop / "model")
    batch = collate(processor, "train", [items(PromptConfig())[0]])
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    learnt = ids[labels != -100]
    assert processor.tokenizer.decode(learnt) == "sad</s>"  # by the published rule: lower case, no full stop
    assert (ids == processor.image_token_id).sum() == processor.num_image_tokens
    assert (ids == processor.feature_token_id).sum() == 4
    assert batch["face_features"].shape == (1, 24)


def test_cues_are_in_the_layout_that_has_them() -> None:
    assert items(PromptConfig("train"))[0].cues is None
    assert items(PromptConfig("evidence"))[0].cues == EXAMPLE.cues
    bare = Example("b", {"emotion": "sad"}, words="Oh")
    assert items(PromptConfig("evidence"), example=bare)[0].cues == NO_CUES


def test_dropout_leaves_out_as_often_as_asked_and_never_everything() -> None:
    some = items(PromptConfig("train", {"audio": 0.3, "words": 0.5}), count=2000)
    rows = [some[i] for i in range(2000)]
    assert np.mean([row.media.audio is None for row in rows]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([row.words is None for row in rows]) == pytest.approx(0.5, abs=0.045)
    assert all(row.media.face is not None for row in rows)
    assert some[7] == some[7]
    alone = ClipFeatures(audio=ONES)
    silent = Example("c", {"emotion": "sad"})
    kept = items(PromptConfig("train", {"audio": 0.9}), alone, 50, silent)
    assert all(kept[i].media.audio is not None for i in range(50))


def test_layouts_are_drawn_by_their_weights() -> None:
    some = items(PromptConfig("evidence", layouts={"evidence": 3.0, "train": 1.0}), count=1200)
    rows = [some[i] for i in range(1200)]
    assert np.mean([row.layout == "evidence" for row in rows]) == pytest.approx(0.75, abs=0.04)
    assert all((row.cues is not None) == (row.layout == "evidence") for row in rows)


def test_a_batch_holds_several_layouts(workshop: Path) -> None:
    processor = EmotionLlamaProcessor.from_pretrained(workshop / "model")
    both = [items(PromptConfig("evidence"))[0], items(PromptConfig("train"))[0]]
    batch = collate(processor, "train", both)
    texts = [processor.tokenizer.decode([i for i in row if i < 480]) for row in batch["input_ids"]]
    assert ["Measured cues" in text for text in texts] == [True, False]


def test_grounded_descriptions_keep_what_they_speak_of() -> None:
    dropout = {"audio": 0.5, "words": 0.5, "cues": 0.5}
    draws = [(0, task, f"42:{i}") for i, task in enumerate(["emotion", "reason"] * 100)]
    for layout in ("evidence", "train"):
        found = TrainingDataset([EXAMPLE], draws, lambda _: WHOLE, PromptConfig(layout, dropout, grounded=True))
        kept = [found[i] for i in range(1, 200, 2)]
        assert all(one.words for one in kept)
        assert all(one.cues == (EXAMPLE.cues if layout == "evidence" else None) for one in kept)
        share = np.mean([one.media.audio is not None for one in kept])
        assert share == (pytest.approx(0.5, abs=0.15) if layout == "evidence" else 1.0)
        assert not all(found[i].words for i in range(0, 200, 2))


def test_without_takes_a_modality_and_nothing_else() -> None:
    left = WHOLE.without({"face", "words"})
    assert left.present == (True, False, True, True)
    assert WHOLE.without(()) is WHOLE


def test_examples_are_sorted_by_what_can_be_learnt_of_them() -> None:
    other = Example("b", {"emotion": "sad"})
    third = Example("c", {"emotion": "sad"}, words="Hi")
    media = {"a": WHOLE, "b": None, "c": ClipFeatures()}
    kept, left_out = usable([EXAMPLE, other, third], lambda e: media[e.name])
    assert [e.name for e in kept] == ["a"]
    assert sorted(left_out.values()) == [["b"], ["c"]]
    assert [e.name for e in usable([third], lambda e: None, text_alone=True)[0]] == ["c"]
