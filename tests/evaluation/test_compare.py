"""One clip, several systems, side by side."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalSample, Output
from emotion_llama.labels import MERR9
from emotion_llama.media.writing import write_clip
from emotion_llama.predictors.base import Task
from emotion_llama.report.compare import compare_clip, render_comparison_page, render_comparison_text, words_of
from merr_synth.render.face import ANNA, DrawnFace, Placement, render


class Told:
    """One reply to the question for a label, another to that for reasons."""

    batch_size = 1
    settings: Mapping[str, object] = {}

    def __init__(self, name: str, label: Output, reasons: Output) -> None:
        self.name, self._label, self._reasons = name, label, reasons
        self.asked: list[tuple[EvalSample, Task]] = []

    def answer(self, cases: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        for case in cases:
            self.asked.append((case, task))
            yield self._label if task.labels else self._reasons


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    images = [render((80, 60), [DrawnFace(ANNA, Placement((40.0, 30.0), 30.0))]).image] * 3
    return write_clip(tmp_path / "talk.mp4", images, fps=3)


@pytest.fixture
def systems() -> list[Told]:
    shares = {label: 0.6 if label == "sad" else 0.05 for label in MERR9.labels}
    return [
        Told(
            "sure", Output("talk", "happy", shares, seconds=1.0), Output("talk", "<i>The</i> brows fall.", seconds=0.5)
        ),
        Told("texts", Output("talk", "The person is happy."), Output("talk", "")),
        Told("silent", Output("talk", problem="no face was found"), Output("talk", problem="no face was found")),
    ]


def test_each_is_asked_for_a_label_and_for_reasons(clip: Path, systems: list[Told]) -> None:
    sides = compare_clip(clip, systems, words="Oh no.")
    assert [(side.name, side.label) for side in sides] == [("sure", "sad"), ("texts", "happy"), ("silent", None)]
    assert [case.transcript for case, _ in systems[0].asked] == ["Oh no.", "Oh no."]
    assert [task.name for _, task in systems[0].asked] == ["emotion", "reason"]
    assert systems[0].asked[0][1].labels == MERR9.labels
    assert sides[0].seconds == 1.5
    assert sides[2].problem == "no face was found"
    with pytest.raises(InputError, match="no such file"):
        compare_clip(clip.parent / "none.mp4", systems)
    with pytest.raises(InputError, match="no model to compare"):
        compare_clip(clip, [])


def test_words_are_given_or_lie_beside_the_clip(clip: Path) -> None:
    assert words_of(clip, None) is None
    clip.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:00,500\nOh no.\n")
    assert words_of(clip, None) == "Oh no."
    assert words_of(clip, " I  see. ") == "I see."
    assert words_of(clip, "") is None


def test_the_terminal_shows_all_of_it(clip: Path, systems: list[Told]) -> None:
    text = render_comparison_text(clip, "Oh no.", compare_clip(clip, systems, words="Oh no."))
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "sure  sad" in text
    assert "texts  happy" in text
    assert "silent  no label (no face was found)" in text
    assert "reasons: none (an empty answer)" in text
    assert "reasons: none (no face was found)" in text


def test_the_page_is_one_file_and_escapes(clip: Path, systems: list[Told]) -> None:
    words = "Oh <b>no</b>."
    page = render_comparison_page(clip, words, compare_clip(clip, systems, words=words), [b"\x89PNG"])
    assert "They differ" in page
    assert "2 of 3 models give a label: sad, happy." in page
    assert "&lt;i&gt;The&lt;/i&gt; brows fall." in page
    assert "<b>no" not in page
    assert "No reasons. No face was found." in page
    assert page.count("<img") == 1
    assert not re.search(r"<script|<link|src=\"http|url\(", page)
    agreed = compare_clip(clip, systems[:1])
    assert '<p class="verdict">sad</p>' in render_comparison_page(clip, None, agreed)
    nobody = compare_clip(clip, systems[2:])
    assert "0 of 1 models give a label: none." in render_comparison_page(clip, None, nobody)
