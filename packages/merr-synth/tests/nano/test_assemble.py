"""Parts become a model that loads strictly, bit for bit; parts that do not fit are refused by name."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from merr_synth.nano.assemble import ENCODER_PARTS, assemble_nano

GOLDEN_TOKENIZER = Path(__file__).parents[4] / "tests" / "golden" / "llama"
CONFIG = EmotionLlamaConfig.preset("toy", frame_policy="peak", prompt_layout="evidence")
WEIGHTS = "encoders.safetensors"


@pytest.fixture
def parts(tmp_path):
    """Folders of encoders and of a language model, with the model that they were taken from."""
    torch.manual_seed(5)
    source = EmotionLlamaForConditionalGeneration(CONFIG)
    encoders, language = tmp_path / "encoders", tmp_path / "language"
    CONFIG.save_pretrained(encoders)
    state = {n: v.contiguous() for n, v in source.state_dict().items() if n.startswith(ENCODER_PARTS)}
    save_file(state, encoders / WEIGHTS, metadata={"format": "pt"})
    source.language_model.save_pretrained(language)
    return encoders, language, source


def test_the_whole_is_its_parts(parts, tmp_path):
    encoders, language, source = parts

    out = assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / "whole")

    model = EmotionLlamaForConditionalGeneration.from_pretrained(out, dtype=torch.float32)
    own = model.state_dict()
    for name, value in source.state_dict().items():
        if not name.startswith("multi_modal_projector."):
            assert torch.equal(own[name], value), name
    processor = EmotionLlamaProcessor.from_pretrained(out)
    assert (processor.frame_policy, processor.prompt_layout) == ("peak", "evidence")
    assert (processor.image_token_id, model.config.image_token_id) == (480, 480)
    assert processor.image_size == 56


def test_projections_are_drawn_from_the_seed(parts, tmp_path):
    encoders, language, _ = parts
    first, again, other = (
        load_file(assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / name, seed=seed) / "model.safetensors")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    name = "multi_modal_projector.face.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    assert first[name].std() > 0


def test_a_larger_vocabulary_moves_the_placeholders(parts, tmp_path):
    encoders, _, _ = parts
    text = CONFIG.text_config.to_dict() | {"vocab_size": 600, "tie_word_embeddings": True}
    torch.manual_seed(6)
    LlamaForCausalLM(type(CONFIG.text_config)(**text)).save_pretrained(tmp_path / "larger")
    out = assemble_nano(encoders, tmp_path / "larger", GOLDEN_TOKENIZER, tmp_path / "whole", prompt_layout="train")
    config = EmotionLlamaConfig.from_pretrained(out)
    assert (config.image_token_id, config.feature_token_id) == (600, 601)
    assert (config.tie_word_embeddings, config.prompt_layout) == (True, "train")
    assert EmotionLlamaForConditionalGeneration.from_pretrained(out).num_parameters() > 0


def damaged(folder, change):
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("face_tower.cls_token"), "1 weights are missing.*face_tower.cls_token"),
        (lambda state: state.update({"face_tower.new": torch.zeros(1)}), "missing, unknown.*face_tower.new"),
        (lambda state: state.update({"face_tower.cls_token": torch.zeros(1, 1, 3)}), "another size.*cls_token"),
        (lambda state: state.update({"language_model.x": torch.zeros(1)}), "language_model.x, which is no part of an"),
    ],
)
def test_weights_that_do_not_fit_are_named(parts, tmp_path, change, message):
    encoders, language, _ = parts
    damaged(encoders, change)
    with pytest.raises(InputError, match=message):
        assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / "whole")


def test_folders_of_something_else_are_refused(parts, tmp_path):
    encoders, language, _ = parts
    with pytest.raises(InputError, match=r"does not hold trained encoders: config.json is missing"):
        assemble_nano(tmp_path, language, GOLDEN_TOKENIZER, tmp_path / "whole")
    with pytest.raises(InputError, match=r"does not hold a language model: config.json is missing"):
        assemble_nano(encoders, tmp_path, GOLDEN_TOKENIZER, tmp_path / "whole")
    (encoders / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"holds no encoders.safetensors; train the encoders to their end first"):
        assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / "whole")


def test_a_tokenizer_of_more_tokens_is_refused(parts, tmp_path):
    encoders, language, _ = parts
    config = json.loads((language / "config.json").read_text())
    (language / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(InputError, match=r"the tokenizer has 480 tokens, and the language model .* embeds 100"):
        assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / "whole")


def test_a_language_model_must_be_whole(parts, tmp_path):
    encoders, language, _ = parts
    path = language / "model.safetensors"
    state = load_file(path)
    state.pop("model.norm.weight")
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks model.norm.weight of its language model; save it whole"):
        assemble_nano(encoders, language, GOLDEN_TOKENIZER, tmp_path / "whole")
