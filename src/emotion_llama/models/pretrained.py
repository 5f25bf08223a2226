"""How weights and an adapter beside them are saved and loaded whole, in full or in 8 or 4 bits."""

# mypy: disable-error-code="misc, no-any-return, no-untyped-call, untyped-decorator"
# (transformers is only partly typed.)

from __future__ import annotations

import copy
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from transformers import PreTrainedModel

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models import adapters
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.folders import check_model_folder

# In float32 whatever the language model's type is: so the published features were made, and so the projections learn.
FLOAT32_PARTS = ("vision_layernorm", "face_tower", "temporal_tower", "audio_tower", "multi_modal_projector")
# The published code loads LLaMA alone in 8 bits; its encoders are small beside it, and projections are what is trained.
KEPT_WHOLE = (
    "vision_tower", "face_tower", "temporal_tower", "audio_tower", "multi_modal_projector", "lm_head",
    "language_model.lm_head",
)  # fmt: skip
# Where transformers' quantisation configs hold their exceptions: bitsandbytes, then torchao and others.
_EXCEPTIONS = ("llm_int8_skip_modules", "modules_to_not_convert")


class EmotionLlamaPreTrainedModel(PreTrainedModel):
    """What transformers has to know of the class; sub-models add their own to these lists."""

    config: EmotionLlamaConfig
    config_class = EmotionLlamaConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities: ClassVar[list[str]] = ["image", "video", "audio", "text"]
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["EmotionLlamaMultiModalProjector"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = list(FLOAT32_PARTS)
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save config and weights, and an adapter beside them in peft's two files; `from_pretrained` reads all.

        Raises:
            InputError: this model has no adapter, but the folder holds one.
        """
        if not self._hf_peft_config_loaded:
            adapters.refuse_stale_adapter(Path(save_directory))
            super().save_pretrained(save_directory, *args, **kwargs)
            return
        state = kwargs.pop("state_dict", None) or self.state_dict()
        # transformers saves either the model or the adapter, by this flag.
        self._hf_peft_config_loaded = False
        try:
            # Loading an adapter leaves a rule that would write every name with peft's prefix: names stay as they are.
            base = {"state_dict": adapters.base_state_dict(self, state), "save_original_format": False}
            super().save_pretrained(save_directory, *args, **{**kwargs, **base})
        finally:
            self._hf_peft_config_loaded = True
        super().save_pretrained(save_directory, *args, state_dict=state, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[Any] | None, *model_args: Any, **kwargs: Any
    ) -> Any:
        """As transformers' own, except that weights must be complete; an adapter beside them is loaded with them.

        `dtype` is the type of the language model and the global encoder; the rest stays in float32. A
        `quantization_config` that names no exceptions leaves encoders and projections whole (`KEPT_WHOLE`).

        Raises:
            InputError: the folder holds another kind of model, or was not downloaded whole; weights of the model or its
                adapter are missing, unknown or of another size, where transformers would warn and go on with random
                ones; or the adapter's files are not all there.
            MissingDependency: there is an adapter, and peft is not installed (transformers would leave it out).
        """
        path, wants_info = pretrained_model_name_or_path, kwargs.pop("output_loading_info", False)
        if path is not None and Path(path).is_dir():
            folder = Path(path) / kwargs.get("subfolder", "")
            if kwargs.get("state_dict") is None and kwargs.get("variant") is None:
                check_model_folder(folder)
            adapters.check_files(folder)
        if kwargs.get("quantization_config") is not None:
            kwargs["quantization_config"] = with_exceptions(kwargs["quantization_config"])
        loaded: Any = super().from_pretrained(path, *model_args, output_loading_info=True, **kwargs)
        model, info = loaded
        if hasattr(model, "_report"):
            del model._report
        return (model, info) if wants_info else model

    @staticmethod
    def _finalize_model_loading(model: Any, load_config: Any, loading_info: Any) -> Any:
        """Take transformers' own last step of loading, and check what was found.

        Here, because `from_pretrained` gives the adapter's report in place of the weights' where there is an adapter.
        """
        path = load_config.pretrained_model_name_or_path
        adapters.check_names(path, "mismatched", (name for name, *_ in loading_info.mismatched_keys))
        report = PreTrainedModel._finalize_model_loading(model, load_config, loading_info)
        adapters.check_names(path, "missing", report.missing_keys)
        adapters.check_names(path, "unexpected", report.unexpected_keys)
        model._report = report
        return report

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's own, except that weights without this model's adapter are refused.

        transformers' Trainer resumes, and takes its best checkpoint, from `model.safetensors` alone: the adapter in the
        file beside it would be left as it is, with a line in the log.

        Raises:
            InputError: the model has an adapter, and `state_dict` holds none of its tensors.
        """
        own = [] if not self._hf_peft_config_loaded else [name for name in self.state_dict() if ".lora_" in name]
        if own and not any(name in state_dict for name in own):
            raise InputError(
                f"these weights hold none of the {len(own)} tensors of the model's LoRA adapter ({own[0]}, ...), which "
                "transformers' Trainer saves in a file of its own and does not load again; load the checkpoint with "
                "from_pretrained and train on from there, or use `emotion-llama train --resume`"
            )
        return super().load_state_dict(state_dict, strict, assign)

    def load_adapter(  # type: ignore[override]
        self, peft_model_id: Any = None, adapter_name: str | None = None, **options: Any
    ) -> Any:
        """As transformers' own; for `from_pretrained` it loads the folder's adapter by `adapters.load`.

        transformers (5.23) gives parts of an adapter whose layers are offloaded no values, and says nothing.
        """
        report = vars(self).pop("_report", None)
        if report is None or not Path(peft_model_id).is_dir():
            return super().load_adapter(peft_model_id, adapter_name, **options)
        adapters.load(self, Path(peft_model_id) / options["load_config"].download_kwargs.get("subfolder", ""))
        return report


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
