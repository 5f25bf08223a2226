"""Prompt embeddings, losses, missing modalities, refusals, saving and adapters of the whole model."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM, Qwen2Config, Qwen3Config
from transformers.models.hubert.modeling_hubert import HubertModel

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models import adapters, register_auto_classes
from emotion_llama.models.checkpoints.convert import Sources, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.encoder_inputs import MODALITIES, EncoderInputs
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.train.weights import choose_trained

NAN = float("nan")
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden_features(golden):
    return {
        "pixel_values": golden.pixel_values, "face_features": golden.features[:, 0],
        "temporal_features": golden.features[:, 1], "audio_features": golden.features[:, 2],
    }  # fmt: skip


@pytest.fixture(scope="module")
def golden_ids(golden_model):
    """Tokens of the golden prompts, put together here a second time, straight from SentencePiece."""
    config = golden_model.config
    facts = json.loads((GOLDEN / "golden.json").read_text())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(GOLDEN / "llama/tokenizer.model"))
    image, features = [config.image_token_id] * config.num_image_tokens, [config.feature_token_id] * 4
    train, released = [], []
    for instruction in facts["instructions"]:
        before, rest = f"[INST] {instruction} [/INST]".split("<VideoHere>")
        between, after = rest.split("<FeatureHere>")
        train.append(pieces.encode(before) + image + pieces.encode(between) + features + pieces.encode(after))
    for text in facts["eval_texts"]:
        before, after = text.removeprefix("<s>").split("<VideoHere>")
        released.append([1, 1, *pieces.encode(before), *image, *features, *pieces.encode(after)])
    answers = [[*pieces.encode(answer), 2] for answer in facts["answers"]]
    return train, released, answers


def rows_of(inputs, index):
    return {name: value[index : index + 1] for name, value in inputs.items()}


def filled_right(rows, filling):
    width = max(map(len, rows))
    return torch.tensor([row + [filling] * (width - len(row)) for row in rows])


# --- golden -----------------------------------------------------------------------------------------------------------


def test_visual_tokens_are_golden(golden_model, golden, golden_features, close):
    encoding = golden_model.encode(**golden_features)
    assert encoding.modality_mask.all()
    close(encoding.vision_hidden, golden.eva_hidden)
    close(encoding.visual_tokens, golden.visual_tokens)
    close(encoding.patch_tokens, golden.visual_tokens[:, :4])
    for index, name in enumerate(("face_token", "temporal_token", "audio_token", "global_token"), start=4):
        close(getattr(encoding, name), golden.visual_tokens[:, index])


def test_utterance_features_are_golden(golden_model, golden, close):
    with torch.no_grad():
        close(golden_model.get_face_features(golden.mae_pixel_values).last_hidden_state[:, 0][0], golden.mae_utterance)
        close(
            golden_model.get_face_features(golden.mae_pixel_values, crops_per_pass=2).last_hidden_state[:, 0][0],
            golden.mae_utterance,
        )
        close(
            golden_model.get_temporal_features(golden.videomae_pixel_values).last_hidden_state[:, 0][0],
            golden.videomae_utterance,
        )
        # Before the last norm the states differ by far: the trap of transformers 5's `hidden_states[-1]`.
        close(golden_model.audio_tower(golden.hubert_input_values).last_hidden_state, golden.hubert_last_hidden)
        close(
            golden_model.get_audio_features(golden.hubert_input_values).last_hidden_state[:, 0][0],
            golden.hubert_utterance,
        )
        other = golden_model.get_audio_features(
            golden.hubert_input_values, recipe="hubert-sum4-chunks10"
        ).last_hidden_state[:, 0]
        close(other[0], golden.hubert_sum_last4_utterance)


def test_training_prompts_are_golden(golden_model, golden, golden_features, golden_ids, close):
    train, _, _ = golden_ids
    pad = 3  # "$$"
    with torch.no_grad():
        embeds = golden_model.embed_prompt(filled_right(train, pad), EncoderInputs(**golden_features))
    assert [len(row) for row in train] == golden.train_prompt_mask.sum(dim=1).tolist()
    close(embeds, golden.train_prompt_embeds)


def test_training_losses_are_golden(golden_model, golden, golden_features, golden_ids, close):
    train, _, answers = golden_ids
    assert filled_right(answers, -100).tolist() == golden.train_target_ids.tolist()
    ids = [[1, *prompt, *answer] for prompt, answer in zip(train, answers)]
    labels = [[-100] * (1 + len(prompt)) + answer for prompt, answer in zip(train, answers)]
    batch = {
        "input_ids": filled_right(ids, 3), "attention_mask": filled_right([[1] * len(row) for row in ids], 0),
        "labels": filled_right(labels, -100),
    }  # fmt: skip
    with torch.no_grad():
        close(golden_model(**batch, **golden_features).loss[None], golden.train_loss)
        for index in range(2):
            alone = {"input_ids": torch.tensor([ids[index]]), "labels": torch.tensor([labels[index]])}
            loss = golden_model(**alone, **rows_of(golden_features, index)).loss
            close(loss[None], getattr(golden, f"train_loss_{index}"))


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_evaluation_is_golden(golden_model, golden, golden_features, golden_ids, close, index, attention):
    ids = torch.tensor([golden_ids[1][index]])
    clip = rows_of(golden_features, index)
    golden_model.set_attn_implementation(attention)
    with torch.no_grad():
        embeds = golden_model.embed_prompt(ids, EncoderInputs(**clip))
        close(embeds, getattr(golden, f"eval_prompt_embeds_{index}"))
        close(golden_model(input_ids=ids, **clip).logits[:, -1], getattr(golden, f"eval_logits_{index}"))
    new = golden_model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, **clip
    )
    golden_model.set_attn_implementation("sdpa")
    # The golden ids begin with a BOS that the old `generate` put before every answer.
    assert new.tolist() == getattr(golden, f"eval_generated_ids_{index}")[:, 1:].tolist()


def test_the_converter_places_every_tensor_as_the_table_written_down_here(golden_model, tmp_path):
    sources = Sources(
        llama=GOLDEN / "llama", eva=GOLDEN / "eva_vit_g.pth", mae=GOLDEN / "mae_checkpoint-340.pth",
        videomae=GOLDEN / "videomae_checkpoint-399.pth", hubert=GOLDEN / "hubert",
        weights=GOLDEN / "Emotion_LLaMA.pth",
    )  # fmt: skip
    options = ConversionOptions(eva_heads=4, mae_heads=4, videomae_heads=4, image_size=56, videomae_image_size=32)
    convert(sources, tmp_path / "model", options)
    ours, theirs = (
        golden_model.state_dict(),
        EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "model").state_dict(),
    )
    # The converter keeps EVA's table as published; it is interpolated when pictures are read.
    assert ours.pop("vision_tower.pos_embed").shape == (1, 17, 32)
    assert theirs.pop("vision_tower.pos_embed").shape == (1, 5, 32)
    assert ours.keys() == theirs.keys()
    assert [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])] == []


def test_merged_adapter_is_golden(fresh_golden_model, golden, golden_features, golden_ids, close):
    model = fresh_golden_model()
    model.merge_adapter()
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "base_layer" in name]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([golden_ids[1][0]]), **rows_of(golden_features, 0)).logits
    close(logits[:, -1], golden.eval_logits_0)


# --- encoders ---------------------------------------------------------------------------------------------------------


def test_a_batch_of_clips_is_encoded_as_each_alone(toy_model, clips):
    batch = clips(toy_model.config, 3)
    together = toy_model.encode(**batch)
    ends = batch["face_counts"].cumsum(0).tolist()
    for index, (start, end) in enumerate(zip([0, *ends], ends)):
        length = int(batch["input_lengths"][index])
        alone = toy_model.encode(
            pixel_values=batch["pixel_values"][index : index + 1],
            face_pixel_values=batch["face_pixel_values"][start:end],
            clip_pixel_values=batch["clip_pixel_values"][index : index + 1],
            input_values=batch["input_values"][index : index + 1, :length],
        )
        torch.testing.assert_close(together.visual_tokens[index], alone.visual_tokens[0], rtol=1e-4, atol=1e-4)


def test_filling_of_sound_is_never_heard(toy_model, clips):
    batch = clips(toy_model.config, 2)
    expected = toy_model.encode(**batch).audio_features
    batch["input_values"][1, int(batch["input_lengths"][1]) :] = NAN
    torch.testing.assert_close(toy_model.encode(**batch).audio_features, expected)


def test_sound_of_a_model_that_cannot_mask_is_cut(clips):
    torch.manual_seed(3)
    audio = {**EmotionLlamaConfig.preset("toy").audio_config.to_dict(), "feat_extract_norm": "group"}
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", audio_config=audio)).eval()
    batch = clips(model.config, 2)
    length = int(batch["input_lengths"][1])
    with torch.no_grad():
        both = model.get_audio_features(batch["input_values"], batch["input_lengths"]).last_hidden_state[:, 0]
        alone = model.get_audio_features(batch["input_values"][1:, :length]).last_hidden_state[:, 0]
    torch.testing.assert_close(both[1], alone[0])


def test_the_chunked_recipe_by_hand(toy_model):
    torch.manual_seed(4)
    sound = torch.randn(1, 170_000)  # 10.6 s: two chunks, the second mostly filling
    rows = torch.zeros(2, 160_000)
    rows[0], rows[1, :10_000] = sound[0, :160_000], sound[0, 160_000:]
    with torch.no_grad():
        out = toy_model.audio_tower(rows, output_hidden_states=True)
        # Two layers and the embedding are all the states there are; the last is the normalised one.
        summed = out.hidden_states[0] + out.hidden_states[1] + out.last_hidden_state
        ours = toy_model.get_audio_features(sound, recipe="hubert-sum4-chunks10").last_hidden_state[:, 0]
    torch.testing.assert_close(ours[0], summed.mean(dim=(0, 1)))


def test_face_features_are_means_over_each_clips_crops(toy_model, clips):
    batch = clips(toy_model.config, 2, crops=(1, 4))
    with torch.no_grad():
        vectors = toy_model.face_tower(batch["face_pixel_values"]).last_hidden_state[:, 0]
        features = toy_model.get_face_features(
            batch["face_pixel_values"], batch["face_counts"], crops_per_pass=2
        ).last_hidden_state[:, 0]
    torch.testing.assert_close(features, torch.stack([vectors[0], vectors[1:].mean(dim=0)]))


def test_features_in_place_of_raw_inputs_change_nothing(toy_model, clips, prompts):
    batch = clips(toy_model.config, 2)
    ids, mask = prompts(toy_model.config, [5, 9])
    encoding = toy_model.encode(**batch)
    stored = {
        "vision_features": encoding.vision_hidden, "face_features": encoding.face_features,
        "temporal_features": encoding.temporal_features, "audio_features": encoding.audio_features,
    }  # fmt: skip
    with torch.no_grad():
        raw = toy_model(input_ids=ids, attention_mask=mask, **batch).logits
        cached = toy_model(input_ids=ids, attention_mask=mask, **stored).logits
    torch.testing.assert_close(cached, raw, rtol=1e-5, atol=1e-5)


def test_a_model_without_the_encoders_takes_features_and_refuses_pictures(toy_model, clips, tmp_path):
    toy_model.save_pretrained(tmp_path)
    absent = ["face_tower", "temporal_tower", "audio_tower"]
    model, info = EmotionLlamaForConditionalGeneration.from_pretrained(
        tmp_path, absent_towers=absent, output_loading_info=True
    )
    batch = clips(toy_model.config, 1, crops=(2,))
    full = toy_model.encode(**batch)

    encoding = model.encode(
        pixel_values=batch["pixel_values"], face_features=full.face_features,
        temporal_features=full.temporal_features, audio_features=full.audio_features,
    )  # fmt: skip

    assert not info["unexpected_keys"]
    assert not [name for name, _ in model.named_parameters() if name.startswith(tuple(absent))]
    torch.testing.assert_close(encoding.visual_tokens, full.visual_tokens, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="loaded without its face_tower"):
        model.encode(**batch)


# --- missing modalities -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modality", "slot"), [("face", 0), ("temporal", 1), ("audio", 2)], ids=["face", "temporal", "audio"]
)
def test_a_missing_modality_leaves_exactly_its_token_out(toy_model, clips, prompts, modality, slot):
    batch = clips(toy_model.config, 1, crops=(2,))
    ids, _ = prompts(toy_model.config, [6])
    places = (ids[0] == toy_model.config.feature_token_id).nonzero()[:, 0].tolist()
    without = {name: value for name, value in batch.items() if not name.startswith(_inputs_of(modality))}
    kept = [index for index in range(ids.shape[1]) if index != places[slot]]
    with torch.no_grad():
        full = toy_model.embed_prompt(ids, EncoderInputs(**batch))
        less = toy_model.embed_prompt(ids[:, kept], EncoderInputs(**without))
    torch.testing.assert_close(less, full[:, kept])


def _inputs_of(modality):
    return {"face": ("face_",), "temporal": ("clip_",), "audio": ("input_",)}[modality]


def test_without_a_frame_neither_patches_nor_the_global_token(toy_model, clips, prompts):
    batch = clips(toy_model.config, 1, crops=(2,))
    del batch["pixel_values"]
    ids, _ = prompts(toy_model.config, [6], features=3, images=0)
    with torch.no_grad():
        embeds = toy_model.embed_prompt(ids, EncoderInputs(**batch))
    encoding = toy_model.encode(**batch)
    assert encoding.modality_mask.tolist() == [[False, True, True, True]]
    places = (ids[0] == toy_model.config.feature_token_id).nonzero()[:, 0]
    expected = torch.stack([encoding.face_token[0], encoding.temporal_token[0], encoding.audio_token[0]])
    torch.testing.assert_close(embeds[0, places], expected)


def test_a_prompt_of_words_alone(toy_model, prompts):
    ids, _ = prompts(toy_model.config, [6], features=0, images=0)
    with torch.no_grad():
        embeds = toy_model.embed_prompt(ids, EncoderInputs())
    assert torch.equal(embeds, toy_model.get_input_embeddings()(ids))


def test_clips_of_a_batch_may_lack_different_things(toy_model, clips, prompts):
    batch = clips(toy_model.config, 3, crops=(2, 0, 3))
    batch["input_lengths"][2] = 0
    batch["input_values"][2] = NAN
    batch["clip_pixel_values"][1] = NAN
    mask = torch.tensor([[True, True, True, True], [True, False, False, True], [True, True, True, False]])
    batch["modality_mask"] = mask
    ids, attention = prompts(toy_model.config, [4, 7, 5], features=[4, 2, 3])
    with torch.no_grad():
        logits = toy_model(input_ids=ids, attention_mask=attention, **batch).logits
    encoding = toy_model.encode(**batch)

    assert torch.isfinite(logits).all()
    for index, name in enumerate(MODALITIES):
        token = encoding.global_token if name == "image" else getattr(encoding, f"{name}_token")
        assert torch.isnan(token).all(dim=1).tolist() == [not row[index] for row in mask.tolist()]
    places = (ids[1] == toy_model.config.feature_token_id).nonzero()[:, 0]
    with torch.no_grad():
        embeds = toy_model.embed_prompt(ids, EncoderInputs(**batch))
    torch.testing.assert_close(embeds[1, places], torch.stack([encoding.audio_token[1], encoding.global_token[1]]))


def test_presence_follows_from_counts_and_lengths(clips, toy_model):
    batch = clips(toy_model.config, 2, crops=(0, 2))
    batch["input_lengths"][1] = 0
    present = EncoderInputs(**batch).presence(2)
    assert present.tolist() == [[True, False, True, True], [True, True, True, False]]


def test_zeros_stand_for_the_missing_only_where_asked(toy_model, clips, prompts):
    """The published demo feeds zero vectors for face and clip; nothing else here ever does."""
    batch = clips(toy_model.config, 1, crops=(2,))
    demo = {name: batch[name] for name in ("pixel_values", "input_values", "input_lengths")}
    ids, _ = prompts(toy_model.config, [6])
    zeros = torch.zeros(1, 24)
    with torch.no_grad():
        asked = toy_model(input_ids=ids, compat_zero_features=True, **demo).logits
        given = toy_model(input_ids=ids, face_features=zeros, temporal_features=zeros, **demo).logits
    torch.testing.assert_close(asked, given)
    with pytest.raises(InputError, match=r"4 feature .* 2 "):
        toy_model(input_ids=ids, **demo)


def test_zeros_by_config(toy_model, clips, prompts):
    batch = clips(toy_model.config, 1, crops=(2,))
    ids, _ = prompts(toy_model.config, [6])
    toy_model.config.compat_zero_features = True
    try:
        logits = toy_model(input_ids=ids, pixel_values=batch["pixel_values"]).logits
    finally:
        toy_model.config.compat_zero_features = False
    assert torch.isfinite(logits).all()


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "features", "message"),
    [
        (5, 4, "clip 0: the prompt has 5 image placeholders, the clip gives 4 image tokens"),
        (3, 4, "clip 0: the prompt has 3 image placeholders, the clip gives 4 image tokens"),
        (4, [4, 5], "clip 1: the prompt has 5 feature placeholders, the clip gives 4 feature tokens"),
        (4, [4, 3], "clip 1: the prompt has 3 feature placeholders, the clip gives 4 feature tokens"),
        (0, 0, "clip 0: the prompt has 0 image placeholders, the clip gives 4 image tokens"),
    ],
    ids=["more-patches", "fewer-patches", "more-features", "fewer-features", "no-placeholder"],
)
def test_placeholders_and_tokens_must_agree(toy_model, clips, prompts, images, features, message):
    batch = clips(toy_model.config, 2)
    ids, mask = prompts(toy_model.config, [6, 6], features=features, images=images)
    with pytest.raises(InputError, match=message):
        toy_model(input_ids=ids, attention_mask=mask, **batch)


def test_placeholders_without_any_clip_are_refused(toy_model, prompts):
    ids, _ = prompts(toy_model.config, [6])
    with pytest.raises(InputError, match=r"4 image .* 0 "):
        toy_model.generate(input_ids=ids)


def test_one_clip_cannot_lend_another_its_tokens(toy_model, clips, prompts):
    batch = clips(toy_model.config, 2)
    ids, mask = prompts(toy_model.config, [6, 6], features=[5, 3])  # eight in all, as the clips give
    with pytest.raises(InputError, match=r"clip 0.* 5 "):
        toy_model(input_ids=ids, attention_mask=mask, **batch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_features": torch.zeros(2, 24)}, "face: both face_pixel_values and face_features are given"),
        ({"pixel_values": torch.zeros(3, 3, 56, 56)}, "different numbers of clips: pixel_values 3, face_counts 2"),
        ({"modality_mask": torch.ones(2, 3)}, r"modality_mask is \[2, 3\], expected \[B, 4\]"),
        ({"face_counts": None}, "face_pixel_values of 2 clips need face_counts"),
        ({"face_counts": torch.tensor([4, 3])}, "face_counts add up to 7, but face_pixel_values holds 8 crops"),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(toy_model, clips, change, message):
    with pytest.raises(InputError, match=message):
        EncoderInputs(**{**clips(toy_model.config, 2), **change})


def test_other_refusals(toy_model, clips, prompts):
    batch = clips(toy_model.config, 2)
    ids, _ = prompts(toy_model.config, [6])
    with pytest.raises(InputError, match="pixel_values is of 2 clips, input_ids of 1"):
        toy_model(input_ids=ids, **batch)
    with pytest.raises(InputError, match="input_ids and inputs_embeds"):
        toy_model()
    with pytest.raises(InputError, match="input_ids and inputs_embeds"):
        toy_model.generate(input_ids=ids, inputs_embeds=torch.zeros(1, 2, 48))
    with pytest.raises(InputError, match="nothing to encode: none of pixel_values"):
        toy_model.encode(input_ids=ids)
    with pytest.raises(InputError, match=r"clip 0 .*'audio'"):
        toy_model.encode(pixel_values=batch["pixel_values"], modality_mask=torch.tensor([[1, 0, 0, 1], [1, 0, 0, 0]]))
    with pytest.raises(InputError, match=r"face_features are \[2, 23\], expected \[B, 24\]"):
        toy_model.encode(face_features=torch.zeros(2, 23))
    with pytest.raises(InputError, match="audio recipe 'x' is not known"):
        toy_model.get_audio_features(batch["input_values"], recipe="x").last_hidden_state[:, 0]


# --- training ---------------------------------------------------------------------------------------------------------


def _training_batch(model, clips, prompts):
    ids, mask = prompts(model.config, [6, 11], side="right")
    labels = torch.where(torch.arange(ids.shape[1]) >= 12, ids, -100).masked_fill(mask == 0, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, **clips(model.config, 2)}


def freeze_for_tuning(model) -> list[str]:
    """Let the projections and the adapter, where there is one, learn; the names of these."""
    choose_trained(model, ("projector", "lora") if model._hf_peft_config_loaded else ("projector",))
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def test_only_projections_and_adapters_learn(clips, prompts):
    torch.manual_seed(5)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    model.add_lora(rank=4)
    names = freeze_for_tuning(model)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # LoRA's A moves once its B has left zero
        model(**_training_batch(model, clips, prompts)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == set(names)
    assert len(names) == 2 * 5 + 2 * 2 * 2  # weights and biases; A and B of q and v in two layers
    assert all(name.startswith(("multi_modal_projector.", "language_model.")) for name in names)


def test_frozen_encoders_stay_in_evaluation_mode():
    """HuBERT in training mode drops whole layers and masks spans: features would be noise."""
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    freeze_for_tuning(model)
    model.train()
    assert (model.training, model.language_model.training, model.multi_modal_projector.training) == (True,) * 3
    assert not any(tower.training for tower in (model.audio_tower, model.vision_tower, model.face_tower))
    model.audio_tower.requires_grad_(True)
    assert model.train().audio_tower.training
    assert not model.eval().audio_tower.training


def test_gradient_checkpointing_gives_the_same_gradients(clips, prompts, checkpoint_activations):
    torch.manual_seed(6)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    model.add_lora(rank=4, dropout=0.0)
    freeze_for_tuning(model)
    batch = _training_batch(model, clips, prompts)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            checkpoint_activations(model)
            assert model.language_model.model.layers[0].gradient_checkpointing
        model.train().zero_grad()
        model(**batch).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.requires_grad])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


# --- saving and loading -----------------------------------------------------------------------------------------------


def assert_same_tensors(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def _config_without_types(folder):
    config = json.loads((folder / "config.json").read_text())
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        part.pop("dtype", None)
    return config


@pytest.mark.parametrize("device_map", [None, "cpu", {"": "cpu"}])
def test_round_trip_is_bit_exact(toy_model, tmp_path, device_map):
    toy_model.save_pretrained(tmp_path)
    loaded, info = EmotionLlamaForConditionalGeneration.from_pretrained(
        tmp_path, device_map=device_map, output_loading_info=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    loaded.save_pretrained(tmp_path / "again")
    # transformers writes the type of the weights into each part's config at loading; all else is as it was.
    assert _config_without_types(tmp_path / "again") == _config_without_types(tmp_path)
    assert_same_tensors(loaded, toy_model)


def test_parts_may_be_offloaded(toy_model, clips, prompts, tmp_path):
    toy_model.save_pretrained(tmp_path)
    places = {
        "vision_tower": "cpu", "vision_layernorm": "disk", "face_tower": "disk", "temporal_tower": "cpu",
        "audio_tower": "cpu", "multi_modal_projector": "disk", "language_model": "disk",
    }  # fmt: skip
    model = EmotionLlamaForConditionalGeneration.from_pretrained(
        tmp_path, device_map=places, offload_folder=tmp_path / "offload"
    )
    assert model.multi_modal_projector.face.bias.device.type == "meta"
    ids, mask = prompts(model.config, [4, 6], features=[4, 3])
    batch = clips(model.config, 2, crops=(2, 0))
    with torch.no_grad():
        ours = model(input_ids=ids, attention_mask=mask, **batch).logits
        expected = toy_model(input_ids=ids, attention_mask=mask, **batch).logits
    torch.testing.assert_close(ours, expected)


def test_onto_the_meta_device(toy_model, tmp_path):
    toy_model.save_pretrained(tmp_path)
    model = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path, device_map="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert {name: p.shape for name, p in model.named_parameters()} == {
        name: p.shape for name, p in toy_model.named_parameters()
    }


def test_in_shards(toy_model, tmp_path):
    toy_model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert_same_tensors(EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path), toy_model)


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM])
def test_auto_classes_find_it(toy_model, tmp_path, auto_class):
    register_auto_classes()
    toy_model.save_pretrained(tmp_path)
    loaded = auto_class.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert type(loaded) is EmotionLlamaForConditionalGeneration
    assert loaded.dtype is loaded.language_model.dtype is torch.bfloat16


def test_bfloat16_answers(toy_model, tmp_path, clips, prompts):
    toy_model.save_pretrained(tmp_path)
    model = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ids, mask = prompts(model.config, [5, 8])
    logits = model(input_ids=ids, attention_mask=mask, **clips(model.config, 2)).logits
    assert logits.dtype is torch.bfloat16
    assert torch.isfinite(logits).all()


def test_the_published_size_on_the_meta_device():
    with torch.device("meta"):
        model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig())
        before = sum(parameter.numel() for parameter in model.language_model.parameters())
        model.add_lora()
    lora = [parameter.numel() for name, parameter in model.named_parameters() if "lora_" in name]
    assert before == 6_738_415_616  # LLaMA-2-7B
    assert sum(lora) == 33_554_432  # UPSTREAM: thread logs of the authors
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    patches = model.multi_modal_projector.patches
    assert (patches.in_features, patches.out_features) == (5632, 4096)


def test_an_adapter_is_saved_beside_the_weights_and_found_again(
    fresh_golden_model, golden, golden_ids, golden_features, close, tmp_path
):
    model = fresh_golden_model()
    model.save_pretrained(tmp_path)

    files = {path.name for path in tmp_path.iterdir()}
    assert files >= {"config.json", "model.safetensors", "adapter_config.json", "adapter_model.safetensors"}
    loaded = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path)

    assert_same_tensors(loaded, model)
    assert loaded.peft_config["default"].lora_alpha == 16
    assert freeze_for_tuning(loaded) == freeze_for_tuning(fresh_golden_model())
    with torch.no_grad():
        logits = loaded(input_ids=torch.tensor([golden_ids[1][1]]), **rows_of(golden_features, 1)).logits
    close(logits[:, -1], golden.eval_logits_1)


def test_saving_twice_leaves_the_adapter_attached(fresh_golden_model, tmp_path):
    model = fresh_golden_model()
    model.save_pretrained(tmp_path / "once")
    model.save_pretrained(tmp_path / "twice")
    for name in ("model.safetensors", "adapter_model.safetensors"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


def test_a_loaded_adapter_is_saved_as_it_was(fresh_golden_model, tmp_path):
    fresh_golden_model().save_pretrained(tmp_path / "once")
    loaded = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "once")
    loaded.save_pretrained(tmp_path / "again")
    for name in ("model.safetensors", "adapter_model.safetensors"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    loaded.merge_adapter()
    loaded.save_pretrained(tmp_path / "merged")
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    merged = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert_same_tensors(merged, loaded)


def test_a_merged_model_is_not_saved_over_its_adapter(fresh_golden_model, tmp_path):
    """The adapter left in the folder would be added a second time."""
    model = fresh_golden_model()
    model.save_pretrained(tmp_path)
    model.merge_adapter()
    with pytest.raises(InputError, match="holds an adapter of an earlier save"):
        model.save_pretrained(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "unexpected"])
def test_incomplete_weights_are_refused(toy_model, tmp_path, kind):
    """transformers warns, fills in random numbers and goes on."""
    state = dict(toy_model.state_dict())
    if kind == "missing":
        del state["multi_modal_projector.face.weight"]
    else:
        state["multi_modal_projector.smell.weight"] = torch.zeros(2)
    toy_model.save_pretrained(tmp_path, state_dict=state)
    name = {"missing": "face", "unexpected": "smell"}[kind]
    with pytest.raises(InputError, match=rf"1 {kind} weights: multi_modal_projector\.{name}\.weight"):
        EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path)


def test_an_adapter_without_peft_is_refused(fresh_golden_model, tmp_path, monkeypatch):
    """transformers leaves an adapter out in silence where peft is missing: the model would be another one."""
    fresh_golden_model().save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependency, match="peft"):
        EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path)


def test_adapter_refusals():
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    with pytest.raises(InputError, match="there is no adapter to merge"):
        model.merge_adapter()
    with pytest.raises(InputError, match="the language model has no layer named c_attn"):
        model.add_lora(targets=("q_proj", "c_attn"))


def test_the_adapter_stays_out_of_the_encoders():
    """HuBERT has layers called q_proj and v_proj, too."""
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    model.add_lora(rank=2)
    names = list(adapters.adapted_layers(model))
    assert len(names) == 4
    assert all(name.startswith("language_model.") for name in names)


# --- other language models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        Qwen2Config(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=400, tie_word_embeddings=True,
        ),
        Qwen3Config(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=8, vocab_size=400, tie_word_embeddings=False,
        ),
    ],
    ids=["qwen2-tied", "qwen3"],
)  # fmt: skip
def test_qwen_shaped_language_models(text, clips, prompts, tmp_path):
    torch.manual_seed(7)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", text_config=text)).eval()
    model.save_pretrained(tmp_path)
    loaded = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path)
    ids, mask = prompts(model.config, [5, 9])
    batch = clips(model.config, 2)

    head, table = loaded.get_output_embeddings().weight, loaded.get_input_embeddings().weight
    assert (head.data_ptr() == table.data_ptr()) is text.tie_word_embeddings
    assert_same_tensors(loaded, model)
    with torch.no_grad():
        logits = loaded(input_ids=ids, attention_mask=mask, **batch).logits
    torch.testing.assert_close(logits, model(input_ids=ids, attention_mask=mask, **batch).logits)
    assert loaded.generate(input_ids=ids, attention_mask=mask, max_new_tokens=3, **batch).shape == (2, 3)


def test_the_audio_tower_is_transformers_own(toy_model):
    assert type(toy_model.audio_tower) is HubertModel
    assert np.isfinite(toy_model.audio_tower.encoder.pos_conv_embed.conv.weight.detach().numpy()).all()


def test_embeddings_can_be_replaced():
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))
    model.resize_token_embeddings(490)
    assert model.get_input_embeddings().weight.shape == model.get_output_embeddings().weight.shape == (490, 48)
