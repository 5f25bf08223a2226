"""How many frames of a clip are measured."""

from pathlib import Path

import pytest

from emotion_llama.analysis.measure import frame_rate
from emotion_llama.records import Clip, VideoInfo


@pytest.mark.parametrize(
    ("fps", "max_fps", "expected"),
    [(25.0, 30.0, None), (30.02, 30.0, None), (40.0, 30.0, 30.0), (50.0, 30.0, 25.0), (59.94, 30.0, 29.97),
     (120.0, 30.0, 30.0), (50.0, 50.0, None)],
)  # fmt: skip
def test_from_50_frames_on_every_second_is_taken_unless_more_are_asked_for(fps, max_fps, expected) -> None:
    clip = Clip(Path("a.mp4"), "0" * 64, 1.0, VideoInfo(64, 64, fps, False, 0, "h264", "yuv420p"), None)
    assert frame_rate(clip, max_fps) == (None if expected is None else pytest.approx(expected))
