from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def toy_tokenizer() -> Any:
    from emotion_llama.prompts.tokenise import load_tokenizer

    return load_tokenizer(GOLDEN / "llama")
