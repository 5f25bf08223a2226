"""transformers' own Trainer over this model: what it saves, and what it cannot bring back."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from emotion_llama.errors import InputError
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration


@pytest.fixture
def trainer(fresh_golden_model, clips, prompts, tmp_path):
    """A function that makes a Trainer of one or more steps over one batch, with a model whose adapter learns."""

    def make(steps):
        model = fresh_golden_model()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".lora_" in name)
        ids, mask = prompts(model.config, [5, 5])
        batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.clamp(max=479), **clips(model.config, 2)}
        arguments = TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, save_steps=1, per_device_train_batch_size=2, use_cpu=True,
            report_to=[], disable_tqdm=True, learning_rate=0.1, remove_unused_columns=False,
        )  # fmt: skip
        return Trainer(model=model, args=arguments, train_dataset=[0, 1], data_collator=lambda rows: batch)

    return make


def test_resuming_never_loses_the_adapter(trainer, tmp_path):
    """The weights came back without the adapter, which went on from its start; a line in the log said so."""
    first = trainer(1)
    first.train()
    learnt = {name: value.clone() for name, value in first.model.state_dict().items() if ".lora_" in name}
    with pytest.raises(InputError, match="none of the 8"):
        trainer(2).train(resume_from_checkpoint=True)
    loaded = EmotionLlamaForConditionalGeneration.from_pretrained(tmp_path / "checkpoint-1").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in learnt.items())


def test_a_state_with_the_adapter_is_taken(fresh_golden_model):
    model, other = fresh_golden_model(), fresh_golden_model()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if ".lora_" in name:
                parameter.add_(1)
    model.load_state_dict(other.state_dict())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
