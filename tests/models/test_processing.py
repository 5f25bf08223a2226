"""Batches of the processor, number by number, and through the golden model."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from emotion_llama.errors import InputError
from emotion_llama.models import (
    EmotionLlamaConfig,
    EmotionLlamaForConditionalGeneration,
    EmotionLlamaProcessor,
    register_auto_classes,
)
from emotion_llama.models.clips import ClipFeatures, ClipInputs, FaceCrops
from emotion_llama.prompts import Turn
from emotion_llama.prompts.tokenise import load_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGE, FEATURE = 480, 481
PICTURE = np.full((9, 7, 3), 128, np.uint8)
FACES = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
SOUND = np.sin(np.arange(16_100)).astype(np.float32)


@pytest.fixture(scope="module")
def processor():
    return EmotionLlamaProcessor.of_config(EmotionLlamaConfig.preset("toy"), load_tokenizer(GOLDEN / "llama"))


@pytest.fixture(scope="module")
def golden_clips(golden):
    features = golden.features.numpy()
    return [
        ClipFeatures(*rows[:3], frame.numpy())
        for frame, rows in zip(golden.frames, features)
    ]  # fmt: skip


# --- against the published code --------------------------------------------------------------------------------------


def test_golden_training_batch(processor, golden, golden_clips, golden_model, close):
    """From picture, features, instruction and raw answer to the published loss."""
    facts = golden.facts
    batch = processor(golden_clips, text=facts["instructions"], answers=facts["raw_answers"])
    assert torch.equal(batch["pixel_values"], golden.pixel_values)
    # prompt, begin token, answer with its end token; the longer row decides
    assert batch["attention_mask"].sum(dim=1).tolist() == [1 + 116 + 2, 1 + 91 + 28]
    assert batch["input_ids"].shape == (2, 120)
    assert batch["attention_mask"][:, 0].tolist() == [1, 1]  # filled on the right
    assert batch["input_ids"][0, 119] == 3  # "$$"
    for labels, target in zip(batch["labels"], golden.train_target_ids):
        assert labels[labels != -100].tolist() == target[target != -100].tolist()
    with torch.no_grad():
        close(golden_model(**batch).loss.reshape(1), golden.train_loss)


@pytest.mark.parametrize("sample", [0, 1])
def test_golden_generation(processor, golden, golden_clips, golden_model, close, sample):
    batch = processor(golden_clips[sample], text=golden.facts["eval_texts"][sample], layout="released")
    with torch.no_grad():
        close(golden_model(**batch).logits[:, -1], getattr(golden, f"eval_logits_{sample}").reshape(1, -1))
    generated = golden_model.generate(**batch, max_new_tokens=12, do_sample=False)
    expected = getattr(golden, f"eval_generated_ids_{sample}").flatten().tolist()
    assert [1, *generated[0].tolist()] == expected
    assert processor.decode_answers(generated)[0] == processor.tokenizer.decode(expected, skip_special_tokens=True)


def test_a_batch_filled_on_the_left_answers_as_one_by_one(processor, golden, golden_clips, golden_model):
    texts = golden.facts["instructions"]
    together = processor(golden_clips, text=texts)
    assert together["input_ids"].shape == (2, 117)
    assert together["attention_mask"].sum(dim=1).tolist() == [117, 92]
    assert together["attention_mask"][1, :26].tolist() == [0] * 25 + [1]
    assert "labels" not in together
    ids = golden_model.generate(**together, max_new_tokens=8, do_sample=False)
    for row, clip, text in zip(ids, golden_clips, texts):
        alone = golden_model.generate(**processor(clip, text=text), max_new_tokens=8, do_sample=False)
        assert row.tolist() == alone[0].tolist()


# --- counts ----------------------------------------------------------------------------------------------------------


def test_ids_of_a_whole_prompt(processor):
    """Every id by hand from the toy vocabulary: one character or piece after the other."""
    ids = processor(ClipInputs(PICTURE), task="free", instruction="No")["input_ids"][0].tolist()
    pieces = ["▁", "[", "I", "N", "S", "T", "]", "▁", "<", "v", "ideo", ">"]
    tokenizer = processor.tokenizer
    assert ids[:13] == [1, *tokenizer.convert_tokens_to_ids(pieces)]
    assert ids[13:17] == [IMAGE] * 4
    # "</video> <feature>", then the global token alone, then "</feature>  No  [/INST]"
    middle = tokenizer.decode(ids[17 : ids.index(FEATURE)])
    assert middle == "</video> <feature>"
    after = ids.index(FEATURE) + 1
    assert ids.count(FEATURE) == 1
    assert tokenizer.decode(ids[after:]) == "</feature>  No  [/INST]"


EVERYTHING = {"image": PICTURE, "faces": FACES, "samples": SOUND}


@pytest.mark.parametrize(
    ("names", "counts", "mask"),
    [
        (("image", "faces", "samples"), (4, 4), [True, True, True, True]),
        (("image", "samples"), (4, 2), [True, False, False, True]),
        (("faces",), (0, 2), [False, True, True, False]),
        (("samples",), (0, 1), [False, False, False, True]),
        (("image",), (4, 1), [True, False, False, False]),
        ((), (0, 0), [False, False, False, False]),
    ],
)
@pytest.mark.parametrize("layout", ["train", "released", "demo"])
def test_placeholders_of_every_combination(processor, names, counts, mask, layout):
    batch = processor(ClipInputs(**{name: EVERYTHING[name] for name in names}), words="Hm.", layout=layout)
    ids = batch["input_ids"][0].tolist()
    assert (ids.count(IMAGE), ids.count(FEATURE)) == counts
    assert batch["modality_mask"].tolist() == [mask]
    given = {"image": "pixel_values", "faces": "clip_pixel_values", "samples": "input_values"}
    assert {name for name in given.values() if name in batch} == {given[name] for name in names}


def test_upstream_demo_zeros_keep_the_places(processor):
    zeros = EmotionLlamaProcessor.of_config(
        EmotionLlamaConfig.preset("toy", compat_zero_features=True), processor.tokenizer
    )
    batch = zeros(ClipInputs(PICTURE, samples=SOUND))
    assert batch["input_ids"][0].tolist().count(FEATURE) == 4
    assert batch["modality_mask"].tolist() == [[True, False, False, True]]


def test_the_model_takes_every_combination_in_one_batch(processor, toy_model):
    """Counts agree between processor and model, and a clip's answer does not depend on its neighbours."""
    clips = [
        ClipInputs(PICTURE, FACES, SOUND), ClipInputs(PICTURE), ClipInputs(samples=SOUND[:9000]), ClipInputs(),
        ClipInputs(faces=FACES[:1]),
    ]  # fmt: skip
    words = ["One.", None, "Three three.", "Four.", None]
    together = processor(clips, words=words)
    assert together["face_pixel_values"].shape == (4, 3, 64, 64)
    assert together["face_counts"].tolist() == [3, 0, 0, 0, 1]
    assert together["clip_pixel_values"].shape == (5, 3, 16, 32, 32)
    assert torch.isnan(together["clip_pixel_values"][1]).all()
    assert together["input_lengths"].tolist() == [16_100, 0, 16_000, 0, 0]  # 9000 samples are filled to a second
    with torch.no_grad():
        logits = toy_model(**together).logits[:, -1]
        assert torch.isfinite(logits).all()
        for row, clip, said in zip(logits, clips, words):
            alone = toy_model(**processor(clip, words=said)).logits[0, -1]
            torch.testing.assert_close(row, alone, rtol=1e-4, atol=1e-4)


def test_chat_counts(processor):
    history = [[Turn("What is seen?", "a smile")]]
    batch = processor(ClipInputs(PICTURE), task="reason", history=history, answers="She is happy!")
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    assert (ids.count(1), ids.count(2), ids.count(IMAGE)) == (2, 2, 4)  # two turns begun, two answers ended
    learned = processor.tokenizer.decode([x for x in labels if x != -100], skip_special_tokens=False)
    assert (
        learned == "a smile</s> she is happy</s>"
    )  # each text begins with SentencePiece's blank; the first is taken off


def test_cues_are_told_in_layout_evidence(processor):
    batch = processor(ClipInputs(PICTURE), cues="Measured cues. Face: x.", layout="evidence")
    assert "Measured cues. Face: x." in processor.tokenizer.decode(batch["input_ids"][0][batch["input_ids"][0] < 480])


def test_long_answers_are_cut(processor):
    short = EmotionLlamaProcessor.of_config(EmotionLlamaConfig.preset("toy"), processor.tokenizer, max_answer_tokens=5)
    labels = short(ClipInputs(), answers="worried and sad and worried")["labels"]
    assert int((labels != -100).sum()) == 5


def test_plain_target_rule(processor):
    plain = EmotionLlamaProcessor.of_config(EmotionLlamaConfig.preset("toy"), processor.tokenizer, target_rule="plain")
    labels = plain(ClipInputs(), answers="Sad. Really.")["labels"]
    assert plain.tokenizer.decode(labels[labels != -100], skip_special_tokens=True) == "Sad. Really."


# --- from the parts of the pipeline ----------------------------------------------------------------------------------


def test_what_is_there_of_features_and_of_inputs(processor):
    vector = np.ones(24, np.float32)
    assert ClipFeatures(vector, None, 2 * vector, PICTURE).present == (True, True, False, True)
    crops = FaceCrops(3, lambda: iter((FACES[:2], FACES[2:])))
    inputs = ClipInputs(PICTURE, crops, SOUND)
    assert np.array_equal(inputs.all_faces(), FACES)
    assert repr(inputs) == "ClipInputs('the clip', image=7x9, faces=3, sound=1.01 s)"
    assert (ClipInputs().present, ClipInputs().num_faces) == ((False,) * 4, 0)
    streamed, whole = processor.media_batch([inputs]), processor.media_batch([ClipInputs(PICTURE, FACES, SOUND)])
    assert all(torch.equal(streamed[name], whole[name]) for name in whole)


# --- saving ----------------------------------------------------------------------------------------------------------


def test_round_trip_and_auto_class(processor, tmp_path):
    register_auto_classes()
    changed = EmotionLlamaProcessor.of_config(
        EmotionLlamaConfig.preset("toy"), processor.tokenizer, target_rule="plain", frame_policy="peak",
        prompt_layout="released",
    )  # fmt: skip
    changed.save_pretrained(tmp_path)
    for again in (EmotionLlamaProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(again, EmotionLlamaProcessor)
        assert again.to_dict() == changed.to_dict()
        assert (again.target_rule, again.frame_policy, again.prompt_layout) == ("plain", "peak", "released")
        old, new = changed(ClipInputs(PICTURE), words="  a"), again(ClipInputs(PICTURE), words="  a")
        assert {name: value.tolist() for name, value in old.items()} == {n: v.tolist() for n, v in new.items()}
    stored = json.loads((tmp_path / "processor_config.json").read_text())
    assert stored["num_image_tokens"] == 4


def test_a_folder_without_processor_config_gets_the_fitting_one(processor, tmp_path):
    copytree(GOLDEN / "llama", tmp_path, dirs_exist_ok=True)
    EmotionLlamaConfig.preset("toy", prompt_layout="released", frame_policy="middle").save_pretrained(tmp_path)
    found = EmotionLlamaProcessor.from_pretrained(tmp_path)
    assert (found.prompt_layout, found.frame_policy, found.image_size) == ("released", "middle", 56)
    assert found(ClipInputs(PICTURE))["input_ids"][0, :2].tolist() == [1, 1]


def test_published_defaults(processor):
    default = EmotionLlamaProcessor(processor.tokenizer)
    assert (default.num_image_tokens, default.image_token_id, default.feature_token_id) == (256, 480, 481)
    assert (default.image_size, default.face_size, default.clip_size) == (448, 224, 224)
    assert default.max_answer_tokens == 1024
    ids = default(ClipInputs(PICTURE, FACES, SOUND))["input_ids"][0].tolist()
    assert (ids.count(480), ids.count(481)) == (256, 4)
    assert set(default(ClipInputs(PICTURE, FACES, SOUND), answers="x")) <= set(default.model_input_names)


# --- errors ----------------------------------------------------------------------------------------------------------


def test_values_must_fit_the_clips(processor):
    with pytest.raises(InputError, match=r"words .*1 .* 2"):
        processor([ClipInputs(), ClipInputs()], words=["a"])
    with pytest.raises(InputError, match="a batch needs a clip or more, got none"):
        processor([])


def test_crops_and_features_do_not_mix(processor):
    vector = np.ones(24, np.float32)
    with pytest.raises(InputError, match=r"faces.*temporal_features"):
        processor([ClipInputs(faces=FACES), ClipFeatures(temporal=vector)])
    with pytest.raises(InputError, match=r"samples.*audio_features"):
        processor([ClipInputs(samples=SOUND), ClipFeatures(audio=vector)])
    with pytest.raises(InputError, match=r"face_features differs in shape between clips: \[24\], \[25\]"):
        processor([ClipFeatures(face=vector), ClipFeatures(face=np.ones(25, np.float32))])
    with pytest.raises(InputError, match=r"faces holds no crop; leave it out \(None\)"):
        ClipInputs(faces=FACES[:0])


def test_placeholder_that_is_a_word(processor):
    with pytest.raises(InputError, match=r"7 and 8 .* 480"):
        EmotionLlamaProcessor(processor.tokenizer, image_token_id=7)
    with pytest.raises(InputError, match="audio recipe 'x' is not known"):
        EmotionLlamaProcessor(processor.tokenizer, audio_recipe="x")


@pytest.mark.parametrize("num_frames", [8, 32])
def test_temporal_encoders_of_other_lengths(num_frames, tmp_path):
    preset = EmotionLlamaConfig.preset("toy")
    temporal = preset.temporal_config.to_dict() | {"num_frames": num_frames}
    config = EmotionLlamaConfig.preset("toy", temporal_config=temporal)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(tmp_path)
    processor = EmotionLlamaProcessor.from_pretrained(tmp_path)
    faces = np.random.default_rng(1).integers(0, 255, (11, 40, 40, 3), np.uint8)
    batch = processor.media_batch([ClipInputs(faces=faces)])
    assert batch["clip_pixel_values"].shape == (1, 3, num_frames, 32, 32)
    model = EmotionLlamaForConditionalGeneration(config).eval()
    assert torch.isfinite(model.encode(**batch).temporal_token).all()


def test_options_of_the_tokenizer_are_honoured(processor, tmp_path):
    """They were taken and forgotten."""
    processor.save_pretrained(tmp_path)
    load = EmotionLlamaProcessor.from_pretrained
    loaded = load(tmp_path, model_max_length=77, truncation_side="left", pad_token="</s>", use_fast=True)
    assert (loaded.tokenizer.model_max_length, loaded.tokenizer.truncation_side) == (77, "left")
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    clips = [ClipFeatures(), ClipFeatures()]
    words = ["Good.", "Good to be here, after all."]
    for side, column in ((None, 0), ("left", 0), ("right", -1)):
        given = {} if side is None else {"padding_side": side}
        batch = load(tmp_path, **given)(clips, words=words)
        assert batch["attention_mask"][0, column] == 0
        assert batch["attention_mask"][0, -1 - column] == 1
    again = load(tmp_path, padding_side="right")
    again.save_pretrained(tmp_path / "again")
    assert load(tmp_path / "again").padding_side == "right"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"use_fast": False}, "cannot honour use_fast=False"),
        ({"add_prefix_space": True}, "cannot honour add_prefix_space=True"),
        ({"pad_token": "<nothing>"}, "'<nothing>' is no token of the model's vocabulary"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(processor, tmp_path, option, message):
    processor.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=message):
        EmotionLlamaProcessor.from_pretrained(tmp_path, **option)
