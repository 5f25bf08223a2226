from importlib.resources import files

import pytest

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9
from emotion_llama.prompts import TASKS, instruction_pool, pick_instruction
from emotion_llama.prompts.builder import user_text
from emotion_llama.prompts.tasks import POOLS, emotion_instruction


def test_pools_have_their_published_sizes() -> None:
    sizes = {name: len(instruction_pool(name)) for name in POOLS}
    assert sizes == {"emotion": 1, "emotion_six": 5, "reason": 5, "caption": 6, "visual": 1, "audio": 1}


def test_every_pool_file_names_its_source_and_is_listed() -> None:
    folder = files("emotion_llama.prompts") / "data"
    assert {entry.name for entry in folder.iterdir()} == {f"{name}.txt" for name in POOLS}
    for name in POOLS:
        assert (folder / f"{name}.txt").read_text().startswith("# Source: ZebangCheng/Emotion-LLaMA, ")


def test_first_instruction_unless_seeded() -> None:
    assert pick_instruction("reason").startswith("Please analyze all the clues in the video")
    assert pick_instruction("reason_v2") == pick_instruction("reason")
    drawn = [pick_instruction("reason", seed=f"clip_{i}") for i in range(200)]
    assert drawn == [pick_instruction("reason", seed=f"clip_{i}") for i in range(200)]
    counts = sorted(drawn.count(text) for text in instruction_pool("reason"))
    assert counts[0] > 20  # 40 each on average, deviation 5.7: below 20 would be 3.5 deviations
    assert pick_instruction("emotion", pool="emotion_six") == instruction_pool("emotion_six")[0]


def test_emotion_instruction_for_other_labels() -> None:
    assert emotion_instruction(["joy", "rage"]) == (
        "Please determine which emotion label in the video represents: joy, rage."
    )
    assert set(MERR9.labels) == set(instruction_pool("emotion")[0].partition(": ")[2].rstrip(".").split(", "))
    with pytest.raises(InputError, match="needs labels, got none"):
        emotion_instruction([])


def test_unknown_pool_and_tags() -> None:
    with pytest.raises(InputError, match="no instruction pool 'resaon'"):
        pick_instruction("reason", pool="resaon")
    tags = [user_text(task, instruction="Why?").partition("]")[0].strip() for task in TASKS]
    assert tags == ["[emotion", "[reason", "[reason_v2", "[caption", "[visual", "[audio", "Why?"]
