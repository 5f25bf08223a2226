"""A small model made whole: trained encoders, a trained language model and its tokenizer, projections drawn anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    import torch

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

ENCODER_PARTS = ("vision_tower.", "vision_layernorm.", "face_tower.", "temporal_tower.", "audio_tower.")


def assemble_nano(
    encoders_folder: str | Path,
    language_model_folder: str | Path,
    tokenizer_folder: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Put the parts together in a folder that `emotion-llama train` starts from.

    Projections are drawn from `seed` as the classes draw them; everything else is what was trained, bit for bit.

    Args:
        encoders_folder: as `train.encoders.run.train_encoders` leaves it.
        language_model_folder: any causal language model that transformers loads, in safetensors.
        tokenizer_folder: its tokenizer.
        out: a new folder, or one whose model is replaced.
        seed: of the projections.
        **changes: fields of EmotionLlamaConfig, e.g. prompt_layout="train".

    Returns:
        `out`.

    Raises:
        InputError: a folder holds something else, weights are missing, unknown or of another size, or the tokenizer
            has more tokens than the language model.
    """
    import torch

    from emotion_llama import models
    from emotion_llama.prompts.tokenise import load_tokenizer

    encoders, language = Path(encoders_folder), Path(language_model_folder)
    tokenizer = load_tokenizer(tokenizer_folder)
    config = _whole_config(encoders, language, len(tokenizer), changes)
    state = {**_encoder_weights(encoders), **_language_weights(language)}
    torch.manual_seed(seed)
    build: Any = models.EmotionLlamaForConditionalGeneration
    prepare: Any = models.EmotionLlamaProcessor
    model = build(config)
    _fill(model, state, f"{encoders} and {language}")
    model.eval()
    model.save_pretrained(out)
    prepare.of_config(config, tokenizer).save_pretrained(out)
    return Path(out)


def _whole_config(encoders: Path, language: Path, num_tokens: int, changes: dict[str, Any]) -> EmotionLlamaConfig:
    from transformers import AutoConfig

    from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig

    for folder, kind in ((encoders, "trained encoders"), (language, "a language model")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} does not hold {kind}: config.json is missing")
    text = AutoConfig.from_pretrained(language)
    if num_tokens > text.vocab_size:
        raise InputError(
            f"the tokenizer has {num_tokens} tokens, and the language model in {language} embeds {text.vocab_size}; "
            "give the tokenizer that it was trained with"
        )
    small = EmotionLlamaConfig.from_pretrained(encoders)
    # Placeholder ids follow the new vocabulary; the encoders' folder has those of its preset.
    fresh: dict[str, Any] = {"text_config": text, "image_token_id": -1, "feature_token_id": -1, "dtype": "float32"}
    fields = small.to_dict()
    kept = {key: fields[key] for key in ("vision_config", "face_config", "temporal_config", "audio_config",
            "patches_per_token", "prompt_layout", "frame_policy", "recipes")}  # fmt: skip
    # Training adds the tasks that it teaches.
    return EmotionLlamaConfig(**{**kept, **fresh, "trained_tasks": [], **changes})


def _encoder_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    from merr_synth.nano.encoders.run import ENCODERS_FILE

    if not (folder / ENCODERS_FILE).is_file():
        raise InputError(f"{folder} holds no {ENCODERS_FILE}; train the encoders to their end first")
    state: dict[str, torch.Tensor] = load_file(str(folder / ENCODERS_FILE))
    if strange := sorted(name for name in state if not name.startswith(ENCODER_PARTS)):
        raise InputError(f"{folder / ENCODERS_FILE} holds {strange[0]}, which is no part of an encoder")
    return state


def _language_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The language model's weights under the whole model's names."""
    import torch
    from transformers import AutoModelForCausalLM

    load: Any = AutoModelForCausalLM
    loaded, report = load.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
    if lacking := sorted(report["missing_keys"]):
        raise InputError(f"{folder} lacks {lacking[0]} of its language model; save it whole")
    return {f"language_model.{name}": value for name, value in loaded.state_dict().items()}


def _fill(model: Any, state: dict[str, torch.Tensor], where: str) -> None:
    """Load everything but the projections.

    Raises:
        InputError: a weight is missing, unknown or of another size; the message names one.
    """
    wanted = {
        name: value for name, value in model.state_dict().items() if not name.startswith("multi_modal_projector.")
    }
    wrong = sorted(set(wanted) ^ set(state)) or sorted(
        name for name in wanted if wanted[name].shape != state[name].shape
    )
    if wrong:
        raise InputError(
            f"{where}: {len(wrong)} weights are missing, unknown or of another size, for instance {wrong[0]}; give "
            "folders that were trained with this config"
        )
    model.load_state_dict(state, strict=False)
