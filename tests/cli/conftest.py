"""A two-second clip of a drawn person who talks, with a subtitle beside it."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.media.writing import write_clip
from merr_synth.render.face import ANNA, DrawnFace, Placement, render
from merr_synth.render.voice import VoiceSpec, render_voice

WORDS = "I am so happy to see you!"


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    place = Placement((160.0, 110.0), 110.0)
    images = [render((320, 240), [DrawnFace(ANNA, place)]).image for _ in range(20)]
    voice = render_voice(VoiceSpec(duration_seconds=2.0, pitch_points=((0.0, 180.0), (2.0, 240.0)))).samples
    path = write_clip(folder / "talk.mp4", images, fps=10, audio=np.asarray(voice), sample_rate_hz=16_000)
    (folder / "talk.srt").write_text(f"1\n00:00:00,200 --> 00:00:01,800\n{WORDS}\n")
    return path
