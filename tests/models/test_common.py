"""The tests that transformers runs on every model and that apply to this one, on the toy model.

Each test has the name it has in transformers' suite (tests/test_modeling_common.py, generation/test_utils.py). Those
that stand elsewhere here: gradient checkpointing, offloading, half precision and shards (test_modeling, test_loading),
left padding, beams, streaming and sampling (test_generation), saving of a processor (test_processing).

Left out, with the reason:

- test_resize_embeddings_untied, test_resize_tokens_embeddings for ids beyond the placeholders: placeholders lie after
  the vocabulary, so that a longer vocabulary moves them; a model grows by a new conversion. Shrinking works.
- test_prompt_lookup, test_assisted_decoding, test_dola: drafts are made from token ids; refused (test_generation).
- test_generate_from_inputs_embeds_with_static_cache and test_generate_compile: HuBERT's and the scatter's shapes depend
  on the clips.
- test_head_pruning, test_feed_forward_chunking, test_problem_types: transformers 5 has them for older models only.
- test_model_parallelism, test_flash_attn_*: need two GPUs, or a package that is not installed.
"""

import copy
import inspect

import pytest
import torch

from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.vit import VisionTransformer


@pytest.fixture(scope="module")
def batch(toy_model, clips, prompts):
    ids, mask = prompts(toy_model.config, [5, 9])
    return {"input_ids": ids, "attention_mask": mask, **clips(toy_model.config, 2)}


@pytest.fixture
def eager():
    """A model that keeps attention weights."""
    torch.manual_seed(3)
    config = EmotionLlamaConfig.preset("toy")
    return EmotionLlamaForConditionalGeneration._from_config(config, attn_implementation="eager").eval()


def run(model, batch, **options):
    with torch.no_grad():
        return model(**batch, **options)


def test_save_load(toy_model, batch, tmp_path):
    toy_model.save_pretrained(tmp_path)
    again = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(run(again, batch).logits, run(toy_model, batch).logits)
    assert again.generation_config.to_dict() == toy_model.generation_config.to_dict()
    # What a second save writes is what was loaded.
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()


def test_determinism(toy_model, batch):
    assert torch.equal(run(toy_model, batch).logits, run(toy_model, batch).logits)


def test_initialization_and_can_init_all_missing_weights():
    """Two models of one seed are alike, and every weight is finite and has a value of its own class's start."""
    one, other = (_seeded(7).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(torch.isfinite(value).all() for value in one.values())


def _seeded(seed):
    torch.manual_seed(seed)
    return EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy"))


def test_forward_signature():
    names = list(inspect.signature(EmotionLlamaForConditionalGeneration.forward).parameters)
    assert names[:2] == ["self", "input_ids"]
    assert list(inspect.signature(VisionTransformer.forward).parameters)[1] == "pixel_values"


def test_config(tmp_path):
    """ConfigTester: JSON, saving, copies, sub-configs as dicts, and a change that stays."""
    config = EmotionLlamaConfig.preset("toy", patches_per_token=2)
    assert EmotionLlamaConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
    config.save_pretrained(tmp_path)
    assert EmotionLlamaConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
    assert copy.deepcopy(config).to_dict() == config.to_dict()
    assert config.to_diff_dict()["patches_per_token"] == 2
    assert EmotionLlamaConfig().num_labels == 2
    assert config.get_text_config() is config.text_config


def test_model_get_set_embeddings(eager):
    table = torch.nn.Embedding(480, 48)
    eager.set_input_embeddings(table)
    assert eager.get_input_embeddings() is table
    head = torch.nn.Linear(48, 480, bias=False)
    eager.set_output_embeddings(head)
    assert eager.get_output_embeddings() is head


def test_resize_tokens_embeddings(eager, batch):
    before = run(eager, batch).logits
    eager.resize_token_embeddings(470)
    assert eager.config.get_text_config().vocab_size == 470
    assert eager.get_output_embeddings().weight.shape == (470, 48)
    kept = batch | {"input_ids": batch["input_ids"].where(batch["input_ids"] != 475, 3)}
    torch.testing.assert_close(run(eager, kept).logits, before[..., :470])


@pytest.mark.parametrize("tied", [True, False])
def test_tied_weights_keys_and_load_save_without_tied_weights(tied, tmp_path):
    config = EmotionLlamaConfig.preset("toy")
    config.text_config.tie_word_embeddings = tied
    config = EmotionLlamaConfig.from_dict(config.to_dict())
    model = EmotionLlamaForConditionalGeneration(config)
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (table is head) is tied
    model.save_pretrained(tmp_path)
    again, info = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert (again.get_input_embeddings().weight is again.get_output_embeddings().weight) is tied


def test_attention_outputs(eager, batch):
    out = run(eager, batch, output_attentions=True)
    length = batch["input_ids"].shape[1]
    assert [weights.shape for weights in out.attentions] == [(2, 4, length, length)] * 2
    eager.config.get_text_config().output_attentions = True
    assert len(run(eager, batch).attentions) == 2


def test_hidden_states_output(toy_model, batch):
    out = run(toy_model, batch, output_hidden_states=True)
    assert [states.shape for states in out.hidden_states] == [(*batch["input_ids"].shape, 48)] * 3


def test_retain_grad_hidden_states_attentions(eager, batch):
    out = eager(**batch, output_hidden_states=True, output_attentions=True)
    for kept in (out.hidden_states[0], out.attentions[0]):
        kept.retain_grad()
    out.logits.flatten()[0].backward(retain_graph=True)
    assert out.hidden_states[0].grad is not None
    assert out.attentions[0].grad is not None


def test_model_outputs_equivalence(toy_model, batch):
    """A tuple, by argument and by config, holds what the named output holds."""
    named = run(toy_model, batch, labels=batch["input_ids"].clamp(max=479), output_hidden_states=True)
    plain = run(
        toy_model, batch, labels=batch["input_ids"].clamp(max=479), output_hidden_states=True, return_dict=False
    )
    assert isinstance(plain, tuple)
    assert torch.equal(plain[0], named.loss)
    assert torch.equal(plain[1], named.logits)
    assert len(plain) == len(named.to_tuple())
    toy_model.config.return_dict = False
    try:
        assert isinstance(run(toy_model, batch), tuple)
    finally:
        toy_model.config.return_dict = True


def test_inputs_embeds_matches_input_ids(toy_model, prompts):
    ids, mask = prompts(toy_model.config, [7], features=0, images=0)
    embeds = toy_model.get_input_embeddings()(ids)
    by_embeds = run(toy_model, {"inputs_embeds": embeds, "attention_mask": mask}).logits
    assert torch.equal(by_embeds, run(toy_model, {"input_ids": ids, "attention_mask": mask}).logits)


def test_training_and_gradient_of_every_weight(batch):
    """Every weight that takes part gets a gradient: no part is cut off from the loss."""
    model = _seeded(5).train()
    model(**batch, labels=batch["input_ids"].clamp(max=479)).loss.backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == set()


def test_eager_matches_sdpa_inference(eager, batch):
    sdpa = EmotionLlamaForConditionalGeneration._from_config(copy.deepcopy(eager.config), attn_implementation="sdpa")
    sdpa.load_state_dict(eager.state_dict())
    assert sdpa.vision_tower.config._attn_implementation == "sdpa"
    # What stands at filling, which attends to nothing, is of no use and differs.
    read = batch["attention_mask"].bool()
    ours, theirs = run(sdpa.eval(), batch).logits[read], run(eager, batch).logits[read]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_keep_in_fp32_modules(toy_model, tmp_path):
    toy_model.save_pretrained(tmp_path)
    model = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float16)
    assert model.multi_modal_projector.face.weight.dtype == torch.float32
    assert model.language_model.lm_head.weight.dtype == torch.float16


# --- generation ------------------------------------------------------------------------------------------------------

SHORT = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "eos_token_id": 2, "pad_token_id": 0}


@pytest.mark.filterwarnings("ignore:Passing `no_repeat_ngram_size`")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"do_sample": True, "top_k": 5},
        {"num_beams": 2},
        {"num_beams": 2, "do_sample": True, "top_k": 5},
        {"use_cache": False},
        {"cache_implementation": "dynamic"},
        {"bad_words_ids": [[7], [8, 9]]},
        {"no_repeat_ngram_size": 2},
        {"num_return_sequences": 2, "do_sample": True},
    ],
)
def test_generate_variants(toy_model, batch, options):
    """test_greedy_generate, test_sample_generate, test_beam_search_generate, test_beam_sample_generate, ..."""
    torch.manual_seed(0)
    made = toy_model.generate(**batch, **{**SHORT, **options})
    assert made.shape == (2 * options.get("num_return_sequences", 1), 4)
    assert int(made.max()) < 480


def test_generate_dict_output(toy_model, batch):
    """test_greedy_generate_dict_outputs: scores, logits, hidden states, and the cache."""
    asked = dict.fromkeys(("output_scores", "output_logits", "output_hidden_states"), True)
    out = toy_model.generate(**batch, **SHORT, **asked, return_dict_in_generate=True)
    assert [score.shape for score in out.scores] == [(2, 480)] * 4
    assert [logits.shape for logits in out.logits] == [(2, 480)] * 4
    assert len(out.hidden_states) == 4
    assert out.past_key_values.get_seq_length() == batch["input_ids"].shape[1] + 3
    assert torch.equal(torch.stack([score.argmax(-1) for score in out.scores], dim=1), out.sequences)


def test_past_key_values_format_and_generate_continue_from_past_key_values(toy_model, batch):
    """A cached prompt and one more token give what the longer text gives at once."""
    before = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    out = run(toy_model, batch, use_cache=True, position_ids=before)
    assert len(out.past_key_values) == 2
    token = out.logits[:, -1:].argmax(-1)
    mask = torch.cat([batch["attention_mask"], torch.ones_like(token)], dim=1)
    positions = (mask.cumsum(1) - 1)[:, -1:]
    step = toy_model(
        input_ids=token, attention_mask=mask, position_ids=positions, past_key_values=out.past_key_values
    ).logits
    whole = batch | {"input_ids": torch.cat([batch["input_ids"], token], dim=1), "attention_mask": mask}
    full = run(toy_model, whole, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits
    torch.testing.assert_close(step[:, 0], full[:, -1], rtol=1e-4, atol=1e-4)


def test_left_padding_compatibility(toy_model, batch):
    """A prompt filled on the left gives the logits of the prompt alone."""
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    whole = run(toy_model, batch, position_ids=positions).logits[0, -1]
    kept = batch["attention_mask"][0].bool()
    crops = int(batch["face_counts"][0])
    alone = {
        "input_ids": batch["input_ids"][:1, kept], "pixel_values": batch["pixel_values"][:1],
        "face_pixel_values": batch["face_pixel_values"][:crops], "clip_pixel_values": batch["clip_pixel_values"][:1],
        "input_values": batch["input_values"][:1], "input_lengths": batch["input_lengths"][:1],
    }  # fmt: skip
    torch.testing.assert_close(run(toy_model, alone).logits[0, -1], whole, rtol=1e-3, atol=1e-3)


def test_methods_with_logits_to_keep(toy_model, batch):
    last = run(toy_model, batch, logits_to_keep=1).logits
    torch.testing.assert_close(last, run(toy_model, batch).logits[:, -1:])


# --- features ---------------------------------------------------------------------------------------------------------


def test_get_features_output(toy_model, batch):
    """test_get_image_features_output, test_get_audio_features_output: transformers 5's output, or a tuple of it."""
    config = toy_model.config
    face = (batch["face_pixel_values"], batch["face_counts"])
    patches, tokens = config.vision_config.num_patches, config.num_image_tokens
    calls = {
        "image": ((batch["pixel_values"],), (2, 1 + patches, 32), (2, tokens, 48)),
        "face": (face, (2, 1, 24), (2, 1, 48)),
        "temporal": ((batch["clip_pixel_values"],), (2, 1, 24), (2, 1, 48)),
        "audio": ((batch["input_values"], batch["input_lengths"]), (2, 1, 24), (2, 1, 48)),
    }
    encoded = toy_model.encode(**batch)
    for modality, (inputs, states, pooled) in calls.items():
        method = getattr(toy_model, f"get_{modality}_features")
        with torch.no_grad():
            out, plain = method(*inputs), method(*inputs, return_dict=False)
        assert (out.last_hidden_state.shape, out.pooler_output.shape) == (states, pooled)
        assert isinstance(plain, tuple)
        token = encoded.patch_tokens if modality == "image" else getattr(encoded, f"{modality}_token")[:, None]
        torch.testing.assert_close(out.pooler_output, token)
    with torch.no_grad():
        asked = toy_model.get_image_features(batch["pixel_values"], output_hidden_states=True)
    assert len(asked.hidden_states) == config.vision_config.num_hidden_layers + 1
