"""Published names, all their spellings, and the warning for a classifier that is asked to reason."""

import re

import pytest

from emotion_llama.models.checkpoints.published import KNOWN_FILES, known_file, warn_if_classifier


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Emoation_LLaMA.pth", "Emoation_LLaMA.pth"),
        ("Emotion_LLaMA.pth", "Emoation_LLaMA.pth"),
        ("Emotion-LLaMA.pth", "Emoation_LLaMA.pth"),
        ("/data/ckpt/checkpoint_best.pth", "checkpoint_best.pth"),
        ("MER2024-best.pth", "MER2024-best.pth"),
        ("minigptv2_checkpoint.pth", "minigptv2_checkpoint.pth"),
        ("eva_vit_g.pth", "eva_vit_g.pth"),
        ("mae_checkpoint-340.pth", "mae_checkpoint-340.pth"),
        ("maeVideo_ckp199.pth", "maeVideo_ckp199.pth"),
        ("maeV_399.pth", "maeVideo checkpoint-399"),
        ("maeVideo_checkpoint-399.pth", "maeVideo checkpoint-399"),
        ("videomae_checkpoint-399.pth", "maeVideo checkpoint-399"),
        ("models/chinese-hubert-large", "chinese-hubert-large"),
        ("Llama-2-7b-chat-hf", "Llama-2-7b-chat-hf"),
    ],
)
def test_a_published_name_is_known(name: str, title: str) -> None:
    known = known_file(name)
    assert known is not None
    assert known.name == title


def test_other_names_are_not() -> None:
    assert known_file("my_checkpoint_best.pth") is None
    assert known_file("checkpoint_29.pth") is None


def test_each_name_is_one_file_only() -> None:
    for known in KNOWN_FILES:
        name = "maeVideo_checkpoint-399.pth" if " " in known.name else known.name
        assert [one.name for one in KNOWN_FILES if re.fullmatch(one.pattern, name, re.IGNORECASE)] == [known.name]


def record(name: str) -> dict[str, object]:
    """What a conversion records of its weights."""
    known = known_file(name)
    return {"weights": name, "abilities": None if known is None else list(known.abilities)}


def test_a_classifier_asked_to_reason_is_warned_of() -> None:
    best = record("checkpoint_best.pth")
    assert best["abilities"] == ["classify"]
    assert warn_if_classifier("emotion", best) is None
    for task in ("reason", "reason_v2"):
        line = warn_if_classifier(task, best)
        assert line is not None
        assert line.startswith("checkpoint_best.pth was tuned for classification only")
        assert "task 'emotion', or convert Emoation_LLaMA.pth" in line


def test_no_warning_for_weights_that_reason_or_are_not_known() -> None:
    assert warn_if_classifier("reason", record("Emoation_LLaMA.pth")) is None
    assert warn_if_classifier("reason", record("mine.pth")) is None
    assert warn_if_classifier("reason", None) is None
    assert warn_if_classifier("reason", {"weights": "mine.pth", "abilities": ["classify"]}) is not None


def test_start_weights_reason_about_nothing() -> None:
    line = warn_if_classifier("reason", record("minigptv2_checkpoint.pth"))
    assert line is not None
    assert "holds start weights" in line
