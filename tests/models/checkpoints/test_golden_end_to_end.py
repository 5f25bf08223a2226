"""Published files -> convert -> from_pretrained -> the published code's own numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import set_seed

from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.encoder_inputs import EncoderInputs
from emotion_llama.models.inputs import (
    clip_frame_indices,
    clip_pixel_values,
    face_pixel_values,
    global_pixel_values,
    sound_values,
)
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor
from emotion_llama.prompts.builder import prompt_from_text
from emotion_llama.prompts.tasks import target_text
from emotion_llama.prompts.tokenise import Tokens, load_tokenizer, tokenise

RELATIVE = 1e-4  # of the expected tensor's largest value

Tensors = dict[str, torch.Tensor]


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    assert (actual.detach() - expected).abs().max() <= RELATIVE * expected.abs().max()


@pytest.fixture(scope="module")
def model(converted: Path) -> EmotionLlamaForConditionalGeneration:
    set_seed(0)
    return EmotionLlamaForConditionalGeneration.from_pretrained(converted).eval()


@pytest.fixture(scope="module")
def expected(golden: Path) -> Tensors:
    return load_file(golden / "golden.safetensors") | load_file(golden / "golden_features.safetensors")


@pytest.fixture(scope="module")
def sizes(golden: Path) -> dict[str, int]:
    return json.loads((golden / "golden_features.json").read_text())["dims"]


@pytest.fixture(scope="module")
def texts(golden: Path) -> dict[str, list[str]]:
    return json.loads((golden / "golden.json").read_text())


def clip_inputs(expected: Tensors) -> Tensors:
    """What the encoders of the two golden clips are given: the frame, and features in place of faces and sound."""
    features = expected["features"]
    return {
        "pixel_values": expected["pixel_values"],
        "face_features": features[:, 0],
        "temporal_features": features[:, 1],
        "audio_features": features[:, 2],
    }


def one(inputs: Tensors, index: int) -> Tensors:
    return {name: tensor[index : index + 1] for name, tensor in inputs.items()}


def tokens_of(model, converted: Path, text: str, layout: str, answer: str | None = None) -> Tokens:
    config = model.config
    feature = (config.feature_token_id, 1)
    places = {
        "patches": (config.image_token_id, config.num_image_tokens),
        "face": feature, "temporal": feature, "audio": feature, "global": feature,
    }  # fmt: skip
    prompt = prompt_from_text(text, layout=layout, answer=answer)
    return tokenise(prompt, load_tokenizer(converted), places)


def test_frames_to_visual_tokens(model, expected: Tensors) -> None:
    pixels = np.stack([global_pixel_values(frame.numpy(), size=56) for frame in expected["frames"]])
    pixels = torch.from_numpy(pixels).reshape(expected["pixel_values"].shape)
    assert_close(pixels, expected["pixel_values"])
    with torch.no_grad():
        assert_close(model.get_image_features(pixels).last_hidden_state, expected["eva_hidden"])
    assert_close(model.encode(**clip_inputs(expected)).visual_tokens, expected["visual_tokens"])


def test_faces_to_the_local_feature(model, expected: Tensors, sizes: dict[str, int]) -> None:
    pixels = torch.from_numpy(face_pixel_values(expected["mae_faces_rgb"].numpy(), size=sizes["img"]))
    assert_close(pixels, expected["mae_pixel_values"])
    with torch.no_grad():
        assert_close(model.face_tower(pixels).last_hidden_state[:, 0], expected["mae_frame_features"])
        assert_close(model.get_face_features(pixels).last_hidden_state[:, 0][0], expected["mae_utterance"])


def test_faces_to_the_temporal_feature(model, expected: Tensors, sizes: dict[str, int]) -> None:
    faces = expected["videomae_faces_rgb"].numpy()
    indices = clip_frame_indices(len(faces))
    assert indices.tolist() == expected["videomae_frame_indices"].tolist()
    pixels = torch.from_numpy(clip_pixel_values(faces[indices], size=sizes["vm_img"]))[None]
    assert_close(pixels, expected["videomae_pixel_values"])
    with torch.no_grad():
        assert_close(model.temporal_tower(pixels).last_hidden_state, expected["videomae_tokens"])
        assert_close(model.get_temporal_features(pixels).last_hidden_state[:, 0][0], expected["videomae_utterance"])


def test_waveform_to_the_audio_feature(model, expected: Tensors) -> None:
    values = torch.from_numpy(sound_values(expected["hubert_waveform_16k"].numpy())).reshape(1, -1)
    assert_close(values, expected["hubert_input_values"])
    with torch.no_grad():
        assert_close(model.audio_tower(values).last_hidden_state, expected["hubert_last_hidden"])
        assert_close(model.get_audio_features(values).last_hidden_state[:, 0][0], expected["hubert_utterance"])


def test_training_prompt_targets_and_losses(model, converted: Path, expected: Tensors, texts) -> None:
    answers = [target_text(answer) for answer in texts["raw_answers"]]
    assert answers == texts["answers"]
    tokens = [tokens_of(model, converted, t, "train", a) for t, a in zip(texts["instructions"], answers)]
    clips = clip_inputs(expected)
    losses = []
    for index, row in enumerate(tokens):
        ids, labels = torch.tensor([row.ids]), torch.tensor([row.labels])
        targets = expected["train_target_ids"][index]
        assert [label for label in row.labels if label != -100] == targets[targets != -100].tolist()
        with torch.no_grad():
            embeds = model.embed_prompt(ids, _encoder_inputs(one(clips, index)))
            loss = model(input_ids=ids, labels=labels, **one(clips, index)).loss
        length = int(expected["train_prompt_mask"][index].sum())
        # The golden prompt has no begin token yet and ends where the answer starts.
        assert_close(embeds[0, 1 : 1 + length], expected["train_prompt_embeds"][index, :length])
        assert_close(loss[None], expected[f"train_loss_{index}"])
        losses.append(loss)
    ids, labels, mask = padded_right(tokens)
    with torch.no_grad():
        both = model(input_ids=ids, attention_mask=mask, labels=labels, **clips).loss
    assert_close(both[None], expected["train_loss"])


def padded_right(rows: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    length = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[0] * (length - len(row.ids))] for row in rows])
    labels = torch.tensor([[*row.labels, *[-100] * (length - len(row.ids))] for row in rows])
    mask = torch.tensor([[1] * len(row.ids) + [0] * (length - len(row.ids)) for row in rows])
    return ids, labels, mask


def _encoder_inputs(clip: Tensors):
    return EncoderInputs(**clip)


@pytest.mark.parametrize("index", [0, 1])
def test_evaluation_prompt_logits_and_answer(model, converted: Path, expected: Tensors, texts, index: int) -> None:
    row = tokens_of(model, converted, texts["eval_texts"][index], "released")
    ids, clip = torch.tensor([row.ids]), one(clip_inputs(expected), index)
    with torch.no_grad():
        assert_close(model.embed_prompt(ids, _encoder_inputs(clip)), expected[f"eval_prompt_embeds_{index}"])
        assert_close(model(input_ids=ids, **clip).logits[:, -1], expected[f"eval_logits_{index}"])
    generated = model.generate(input_ids=ids, max_new_tokens=12, do_sample=False, **clip)
    # The `generate` of that time put a begin token before what it generated from embeddings.
    assert generated[0].tolist() == expected[f"eval_generated_ids_{index}"][0, 1:].tolist()


def test_the_folders_processor_feeds_the_same_batch(model, converted: Path, expected: Tensors, texts) -> None:
    """Both clips from pixels in one left-padded batch: the answers of the published code, which ran them one by one."""
    processor = EmotionLlamaProcessor.from_pretrained(converted)
    clips = [
        ClipFeatures(*(row.numpy() for row in features), frame.numpy())
        for frame, features in zip(expected["frames"], expected["features"])
    ]
    batch = processor(clips, text=texts["eval_texts"])
    assert_close(batch["pixel_values"], expected["pixel_values"])
    generated = model.generate(**batch, max_new_tokens=12, do_sample=False)
    for index, row in enumerate(generated):
        assert row.tolist() == expected[f"eval_generated_ids_{index}"][0, 1:].tolist()
