"""Chat models of a few thousand weights: real classes of transformers, a tokenizer of bytes, and how to teach them.

`teach` overfits a model on a few questions and replies, so that a test can see a right answer come out of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from emotion_llama.chat.asking import request_of
from emotion_llama.chat.config import TransformersConfig
from emotion_llama.chat.local_transformers import _Loaded, read_modalities
from emotion_llama.chat.questions import Question
from emotion_llama.chat.records import ChatRequest

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]
CONTEXT = 2048
TEMPLATE = """\
{% for m in messages %}<s>{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}\
{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% elif c['type'] == 'audio' %}\
<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}\
{% if add_generation_prompt %}<s>assistant: {% endif %}"""
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + TEMPLATE


# The marks of Qwen's omni models, by what transformers calls them.
OMNI = {"image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>",
        "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>",
        "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}  # fmt: skip
OMNI_TEMPLATE = TEMPLATE.replace("<image>", "<|vision_bos|><|IMAGE|><|vision_eos|>")


def omni_tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer(OMNI_TEMPLATE, [*SPECIAL[:4], *OMNI.values()], extra_special_tokens=OMNI)


def tokenizer(template: str | None = None, special: Sequence[str] = SPECIAL, **options: Any) -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate(special)}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[byte] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        **(options or {"additional_special_tokens": list(special[4:])}),
    )  # fmt: skip
    made.chat_template = template
    return made


def _text_config(**changes: Any) -> LlamaConfig:
    given = {
        "vocab_size": len(SPECIAL) + 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": CONTEXT, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2,
    }  # fmt: skip
    return LlamaConfig(**given | changes)


def text_model(folder: Path, template: str | None = TEMPLATE) -> Path:
    torch.manual_seed(1)
    LlamaForCausalLM(_text_config()).save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder


def picture_model(folder: Path) -> Path:
    torch.manual_seed(2)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=14
    )
    config = LlavaConfig(vision_config=vision, text_config=_text_config(), image_token_index=4)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    LlavaProcessor(
        pictures, tokenizer(), patch_size=14, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def sound_model(folder: Path) -> Path:
    torch.manual_seed(3)
    audio = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 64,
             "num_mel_bins": 20, "max_source_positions": 100}  # fmt: skip
    text = _text_config().to_dict() | {"model_type": "qwen2", "num_key_value_heads": 4}
    config = Qwen2AudioConfig(audio_config=audio, text_config=text, audio_token_index=5)
    Qwen2AudioForConditionalGeneration(config).save_pretrained(folder)
    sounds = WhisperFeatureExtractor(feature_size=20, chunk_length=2)
    Qwen2AudioProcessor(sounds, tokenizer(), chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def omni_model(folder: Path) -> Path:
    """A whole Qwen2.5-Omni, as its folder is published (one preprocessor_config.json), without what speaks."""
    torch.manual_seed(5)
    tokens = omni_tokenizer()
    ids = {name: tokens.convert_tokens_to_ids(token) for name, token in OMNI.items()}
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}
    thinker = {
        "text_config": {
            "vocab_size": len(tokens), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT,
            "rope_parameters": rope, "tie_word_embeddings": False, "initializer_range": 0.2,
        },
        "vision_config": {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 64,
                          "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56, "initializer_range": 0.3},
        "audio_config": {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 64,
                         "num_mel_bins": 20, "max_source_positions": 100, "n_window": 50, "output_dim": 64,
                         "initializer_range": 0.3},
        "audio_token_index": ids["audio_token"], "image_token_index": ids["image_token"],
        "video_token_index": ids["video_token"], "audio_start_token_id": ids["audio_bos_token"],
        "audio_end_token_id": ids["audio_eos_token"], "vision_start_token_id": ids["vision_bos_token"],
        "vision_end_token_id": ids["vision_eos_token"], "pad_token_id": 0,
    }  # fmt: skip
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    Qwen2_5OmniForConditionalGeneration(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56).save_pretrained(folder)
    sounds = WhisperFeatureExtractor(feature_size=20, chunk_length=2).to_dict()
    path = folder / "preprocessor_config.json"
    pictures = json.loads(path.read_text())
    sounds = {key: value for key, value in sounds.items() if key != "mel_filters"}
    path.write_text(json.dumps({**pictures, **sounds, "processor_class": "Qwen2_5OmniProcessor"}))
    return folder


def teach(folder: Path, lessons: Sequence[tuple[Question, str]], prompts: Path, *, steps: int = 120) -> float:
    """Overfit the model in `folder` on questions and replies; the last loss."""
    torch.manual_seed(4)
    config = TransformersConfig(model=str(folder), device="cpu", dtype="float32")
    modalities = read_modalities(config)
    local = _Loaded(config, modalities)
    requests = [request_of(question, modalities, prompts) for question, _ in lessons]
    batches = [_lesson(local, request, reply) for request, (_, reply) in zip(requests, lessons, strict=True)]
    local.model.train()
    optimizer = torch.optim.AdamW(local.model.parameters(), lr=3e-3, weight_decay=0.0)
    loss = torch.zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum((local.model(**batch).loss for batch in batches), torch.zeros(())) / len(batches)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(local.model.parameters(), 1.0)
        optimizer.step()
    local.model.eval()
    local.model.save_pretrained(folder)
    return float(loss.detach())


def _lesson(local: _Loaded, request: ChatRequest, reply: str) -> dict[str, torch.Tensor]:
    inputs = dict(local._inputs([(request, None)]))
    answer = torch.tensor([[*local.tokenizer(reply)["input_ids"], local.tokenizer.eos_token_id]])
    prompt = inputs["input_ids"]
    inputs["input_ids"] = torch.cat([prompt, answer], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["labels"] = torch.cat([torch.full_like(prompt, -100), answer], dim=1)
    return inputs
