"""What learns, and that alone in a file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emotion_llama.errors import InputError
from emotion_llama.models import EmotionLlamaForConditionalGeneration
from emotion_llama.train.weights import (
    TRAINED_FILE,
    choose_trained,
    count_parts,
    load_trained,
    save_trained,
    trained_state,
)


@pytest.fixture
def model(workshop: Path):  # type: ignore[no-untyped-def]
    return EmotionLlamaForConditionalGeneration.from_pretrained(workshop / "model", dtype=torch.float32)


def test_published_training_moves_projections_and_adapter(model) -> None:  # type: ignore[no-untyped-def]
    choose_trained(model, ("projector", "lora"))
    counts = count_parts(model)
    # patches 4 x 32 -> 48, face, temporal, audio 24 -> 48, global 32 -> 48, each with 48 biases
    assert counts["multi_modal_projector"] == (128 * 48 + 3 * 24 * 48 + 32 * 48 + 5 * 48,) * 2
    # rank 4 at q (48 -> 48) and v (48 -> 48) of 2 layers: A 4 x 48, B 48 x 4
    assert counts["lora"] == (2 * 2 * (4 * 48 + 48 * 4),) * 2
    assert all(trained == 0 for part, (_, trained) in counts.items() if part not in ("multi_modal_projector", "lora"))
    choose_trained(model, ("encoders",))
    counts = count_parts(model)
    assert counts["face_tower"][0] == counts["face_tower"][1] > 0
    assert counts["lora"][1] == counts["language_model"][1] == 0


def test_weights_go_into_a_file_and_back(model, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    choose_trained(model, ("projector", "lora"))
    before = {name: value.clone() for name, value in trained_state(model).items()}
    path = save_trained(before, tmp_path)
    assert path.name == TRAINED_FILE
    assert set(load_file(path)) == {n for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    load_trained(model, tmp_path)
    assert all(torch.equal(before[name], value) for name, value in trained_state(model).items())


def test_a_checkpoint_of_something_else_is_refused(model, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    choose_trained(model, ("projector",))
    state = trained_state(model)
    with pytest.raises(InputError, match=r"is no checkpoint of this training: trained\.safetensors is missing"):
        load_trained(model, tmp_path)
    save_trained({"x": torch.zeros(1), **state}, tmp_path)
    with pytest.raises(InputError, match=r"1 weights are missing, unknown or of another shape \(x\); resume"):
        load_trained(model, tmp_path)
    first = next(iter(state))
    save_file({**state, first: torch.zeros(1)}, tmp_path / TRAINED_FILE)
    with pytest.raises(InputError, match="of another shape"):
        load_trained(model, tmp_path)
    state.pop(first)
    save_trained(state, tmp_path)
    with pytest.raises(InputError, match=first.replace(".", r"\.")):
        load_trained(model, tmp_path)


def test_refusals(model) -> None:  # type: ignore[no-untyped-def]
    for name, parameter in list(model.named_parameters()):
        if ".lora_" in name:
            owner, _, leaf = name.rpartition(".")
            delattr(model.get_submodule(owner), leaf)
            assert parameter is not None
    with pytest.raises(InputError, match="no LoRA adapter to train"):
        choose_trained(model, ("lora",))
