"""Training examples refuse what teaches nothing."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.train.examples import Example


def test_examples_teach_something() -> None:
    assert Example("a", {"emotion": "sad"}).answers["emotion"] == "sad"
    with pytest.raises(InputError, match="a teaches nothing"):
        Example("a", {})
    with pytest.raises(InputError, match="the answer to task 'reason' is empty"):
        Example("a", {"reason": "  "})
    with pytest.raises(InputError, match="no task 'mood'"):
        Example("a", {"mood": "sad"})
