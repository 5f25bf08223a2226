"""Chat models of a few thousand weights: real classes of transformers, a tokenizer of bytes, and how to teach them.

`teach` overfits a model on a few questions and replies, so that a test can see a right answer come out of it.
"""

from __future__ import annotations

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
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

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


def tokenizer(template: str | None = None) -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate(SPECIAL)}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[byte] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=SPECIAL[4:],
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
