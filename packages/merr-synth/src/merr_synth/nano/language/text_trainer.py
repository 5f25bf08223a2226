"""The Trainer of texts: a label is not lost beside long answers, and logits are made where answers are alone."""

# mypy: disable-error-code="misc, no-untyped-call, override"
# (transformers is only partly typed.)

from __future__ import annotations

from typing import Any

from emotion_llama.train.trainer import EmotionLlamaTrainer, answer_positions, mean_of_examples

LENGTH_POWER = 0.5  # as `run.loss: roots`


class TextTrainer(EmotionLlamaTrainer):
    """As `EmotionLlamaTrainer`, for a bare causal language model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(length_power=LENGTH_POWER, **kwargs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """`loss.mean_of_examples` of a batch [B, L]."""
        hidden = model.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
        loss = mean_of_examples(
            model.lm_head(hidden[answer_positions(inputs["labels"])]), inputs["labels"], LENGTH_POWER
        )
        return (loss, {"loss": loss}) if return_outputs else loss
