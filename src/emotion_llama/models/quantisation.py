"""Loading the language model in 8 or 4 bits while encoders and projections stay whole, as the published system does."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import copy
import importlib.util
from typing import Any, Literal

from emotion_llama.errors import InputError, MissingDependency

# The published code loads LLaMA alone in 8 bits; its encoders are small beside it, and projections are what is trained.
KEPT_WHOLE = (
    "vision_tower", "face_tower", "temporal_tower", "audio_tower", "multi_modal_projector", "lm_head",
    "language_model.lm_head",
)  # fmt: skip
# Where transformers' quantisation configs hold their exceptions: bitsandbytes, then torchao and others.
_EXCEPTIONS = ("llm_int8_skip_modules", "modules_to_not_convert")


def quantization_config(bits: Literal[4, 8]) -> Any:
    """A BitsAndBytesConfig for `from_pretrained(..., quantization_config=...)`: int8, or NF4 in bfloat16.

    Raises:
        InputError: bits are neither 4 nor 8.
        MissingDependency: bitsandbytes is not installed.
    """
    if bits not in (4, 8):
        raise InputError(f"bits is {bits}, expected 4 or 8")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingDependency("bitsandbytes", f"loading in {bits} bits", "pip install bitsandbytes")
    import torch
    from transformers import BitsAndBytesConfig

    kept = list(KEPT_WHOLE)
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16, llm_int8_skip_modules=kept
    )


def with_exceptions(config: Any) -> Any:
    """The same config, with `KEPT_WHOLE` excepted where it has room for exceptions and names none."""
    changed = copy.deepcopy(config)
    for name in _EXCEPTIONS:
        if getattr(changed, name, ()) is None:
            setattr(changed, name, list(KEPT_WHOLE))
    return changed
