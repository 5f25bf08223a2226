"""What transformers has to know of the model, and how weights and an adapter beside them are saved and loaded whole."""

# mypy: disable-error-code="misc, no-any-return, no-untyped-call, untyped-decorator"
# (transformers is only partly typed.)

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from transformers import PreTrainedModel

from emotion_llama.models import adapters
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.quantisation import with_exceptions

# In float32 whatever the language model's type is: so the published features were made, and so the projections learn.
FLOAT32_PARTS = ("vision_layernorm", "face_tower", "temporal_tower", "audio_tower", "multi_modal_projector")


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
        `quantization_config` that names no exceptions leaves encoders and projections whole (`quantisation`).

        Raises:
            InputError: weights of the model or its adapter are missing, unknown or of another size, where transformers
                would warn and go on with random ones; or the adapter's files are not all there.
            MissingDependency: there is an adapter, and peft is not installed (transformers would leave it out).
        """
        path, wants_info = pretrained_model_name_or_path, kwargs.pop("output_loading_info", False)
        if path is not None:
            adapters.check_files(Path(path) / kwargs.get("subfolder", ""))
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
