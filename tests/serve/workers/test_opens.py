"""A measuring child opens the clip once: to check it, to measure it, to show it to a model and for its page."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.results import Prediction
from emotion_llama.serve.workers.child import Child
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.protocol import options_message, prediction_message

ASTRONAUT = Path(__file__).parents[3] / "examples" / "clips" / "astronaut.mp4"
MODEL = {"name": "m", "frame_policy": "peak", "settings": {}}


@pytest.mark.parametrize("model", [None, MODEL])
def test_a_clip_is_opened_once(model: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, sent = [], []
    original = av.open
    monkeypatch.setattr(av, "open", lambda file, **options: opened.append(file) or original(file, **options))
    prediction = Prediction("happy", {"happy": 0.75, "sad": 0.25}, "It smiles.", "raw", "m")
    channel: Any = SimpleNamespace(
        send=lambda message, arrays=None: sent.append((message["type"], arrays)),
        receive=lambda: {"type": "prediction", "prediction": prediction_message(prediction)},
    )
    child = Child(channel)
    child._measure(
        {
            "path": str(ASTRONAUT), "options": options_message(Options(segment=3.0)), "limits": vars(ClipLimits()),
            "model": model, "html": True, "curves": False, "shown_name": "clip.mp4",
        }
    )  # fmt: skip
    assert len(opened) == 1
    kind, arrays = sent[-1]
    assert kind == "done"
    assert bytes(arrays["html"]).count(b"data:image/jpeg") == 2
    assert [name for name, _ in sent].count("seen") == (0 if model is None else 2)
