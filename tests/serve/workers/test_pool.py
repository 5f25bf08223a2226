"""Real clips through real children: the same answers as the library's, and nothing that stays behind."""

import asyncio
import json
import os
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.analysis import Analyzer
from emotion_llama.analysis.options import Options
from emotion_llama.document import analysis_document
from emotion_llama.predictors.base import Sample
from emotion_llama.results import Prediction
from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve.errors import ClipRefused
from emotion_llama.serve.workers.child import Throttle, kept_faces
from emotion_llama.serve.workers.clip_check import ClipLimits
from emotion_llama.serve.workers.pool import MeasuringPool, name_to_show
from emotion_llama.serve.workers.protocol import loaded

from .conftest import asked_model, run, write_wave

ASTRONAUT = Path(__file__).parents[3] / "examples" / "clips" / "astronaut.mp4"
MIB = 1 << 20
SLOW_FIELDS = ("seconds_by_stage", "clip")  # what differs between two equal analyses: time taken and the path


class Recorder:
    """A model that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Sample] = []

    async def __call__(self, seen: Sample) -> Prediction:
        self.seen.append(seen)
        return Prediction("happy", {"happy": 0.75, "sad": 0.25}, "It smiles.", "raw", "m", problem=None)


class KeepingPredictor:
    """A predictor in this process that keeps what the child's would have sent."""

    name = "m"
    frame_policy = "peak"
    settings: dict[str, object] = {"layout": "x"}  # noqa: RUF012

    def __init__(self) -> None:
        self.seen: list[Sample] = []

    def encode(self, sample):
        return sample

    def predict(self, samples, task=None):
        self.seen += [loaded(sample) for sample in samples]
        return [Prediction("happy", {"happy": 0.75, "sad": 0.25}, "It smiles.", "raw", "m") for _ in samples]


def _without_times(document_json: str) -> dict[str, object]:
    document = json.loads(document_json)
    AnalysisDocument.model_validate(document)
    return {name: value for name, value in document.items() if name not in SLOW_FIELDS}


def test_same_as_the_library() -> None:
    asked = Options(subtitle="How nice!", segment=3.0)
    heard: list[tuple[str, float]] = []
    recorder = Recorder()

    async def work():
        async with MeasuringPool(1) as pool:
            rules = await pool.analyze(
                ASTRONAUT, asked, shown_name="..\\up/Mine.mp4", html=True, progress=lambda *one: heard.append(one)
            )
            model = await pool.analyze(
                ASTRONAUT, asked, model=asked_model("m", "peak", {"layout": "x"}), answer=recorder, curves=False
            )
            return rules, model, pool.counts

    rules, model, state = run(work)
    with Analyzer.load("rules") as analyzer:
        expected = analysis_document(analyzer.run(ASTRONAUT, asked)).model_dump_json()
        assert _without_times(rules.document_json) == _without_times(expected)
        keeper = KeepingPredictor()
        analyzer.predictor = keeper
        expected = analysis_document(analyzer.run(ASTRONAUT, asked), curves=False).model_dump_json()
        assert _without_times(model.document_json) == _without_times(expected)
    for got, wanted in zip(recorder.seen, keeper.seen, strict=True):
        for name in ("image", "faces", "samples", "missing"):
            np.testing.assert_array_equal(getattr(got.inputs, name), getattr(wanted.inputs, name))
        assert (got.transcript, got.cues, got.evidence) == (wanted.transcript, wanted.cues, wanted.evidence)
    assert json.loads(rules.document_json)["clip"]["path"] == "Mine.mp4"
    assert rules.html is not None
    assert "<title>Mine.mp4" in rules.html
    assert str(ASTRONAUT.parent) not in rules.html + rules.document_json
    stages = list(dict.fromkeys(stage for stage, _ in heard))
    assert stages == ["words", "voice", "faces", "reading", "report"]
    assert list(model.parts) == list(rules.parts) == [(1, 0, 3), (1, 3, 6)]
    assert len({seen.sample_id for seen in recorder.seen}) == 2
    assert (state["clips"], state["replaced"]) == (2, 0)


def test_measured_for_later() -> None:
    async def work():
        async with MeasuringPool(1) as pool:
            models = [asked_model(policy=policy) for policy in ("first", "first", "middle")]
            return [await pool.measure(ASTRONAUT, Options(), model=model) for model in models]

    measured = run(work)
    ((part,), (again,), (middle,)) = (parts for parts, _ in measured)
    assert all(json.loads(text)["people"][0]["person_id"] == 1 for _, text in measured)
    assert part[:3] == (1, 0.0, 6.0)
    assert part[3].sample_id == again[3].sample_id != ""
    assert middle[3].sample_id != part[3].sample_id  # another frame


def test_fewer_faces_than_there_are_is_told() -> None:
    recorder = Recorder()

    async def work():
        async with MeasuringPool(1) as pool:
            limits, model = ClipLimits(max_faces=10), asked_model()
            return await pool.analyze(ASTRONAUT, Options(), model=model, answer=recorder, limits=limits)

    analyzed = run(work)
    assert recorder.seen[0].inputs.num_faces == 10
    assert json.loads(analyzed.document_json)["warnings"] == ["the model was shown 10 of 150 pictures of a face"]


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [
        (0, 4, []),
        (4, 4, [0, 1, 2, 3]),
        (10, 4, [0, 1, 8, 9]),
        (10, 6, [0, 1, 4, 5, 8, 9]),
        (5, 1, [0, 1]),
        (5, 2, [0, 1]),
        (5, 4, [0, 1, 3, 4]),
    ],
)
def test_kept_faces_are_pairs_of_neighbours(count: int, most: int, kept: list[int]) -> None:
    assert kept_faces(count, most).tolist() == kept


def test_progress_is_not_sent_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("emotion_llama.serve.workers.child.time.monotonic", lambda: now[0])
    sent: list[tuple[str, float]] = []
    throttle = Throttle(lambda message: sent.append((message["stage"], message["share"])))
    for stage, share, seconds in (
        ("words", 0.0, 0.0), ("faces", 0.0, 0.001), ("faces", 0.1, 0.01), ("faces", 0.2, 0.05), ("faces", 0.3, 0.01),
        ("faces", 1.2, 0.01), ("reading", -0.1, 0.0),
    ):  # fmt: skip
        now[0] += seconds
        throttle(stage, share)
    assert sent == [("words", 0.0), ("faces", 0.0), ("faces", 0.2), ("faces", 1.0), ("reading", 0.0)]


def test_long_recording_for_a_model_has_to_be_cut(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", 3.0)
    recorder = Recorder()

    async def work():
        limits = ClipLimits(max_segment_seconds=2.0)
        model = asked_model()
        async with MeasuringPool(1) as pool:
            with pytest.raises(ClipRefused, match="at most 2 s at once; ask for segments"):
                await pool.analyze(path, Options(), model=model, answer=recorder, limits=limits)
            await pool.analyze(path, Options(segment=1.5), model=model, answer=recorder, limits=limits)
            await pool.analyze(path, Options(), limits=limits)  # rules read any length

    run(work)
    assert [len(seen.inputs.samples) for seen in recorder.seen] == [24_000, 24_000]


def test_fifty_clips_leave_nothing_behind(clip: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def resident_kib() -> int:
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

    async def work():
        recorder = Recorder()
        model = asked_model()
        async with MeasuringPool(2, max_clips_per_child=20) as pool:

            async def some(count: int) -> None:
                calls = [pool.analyze(clip, Options(), model=model, answer=recorder, html=True) for _ in range(count)]
                await asyncio.gather(*calls)
                while pool.counts["ready"] < 2:  # a child that has had its clips is being replaced
                    await asyncio.sleep(0.05)
                recorder.seen.clear()

            await some(10)
            files, kib = open_files(), resident_kib()
            for _ in range(5):
                await some(10)
            return open_files() - files, resident_kib() - kib, pool.counts

    more_files, more_kib, state = run(work)
    assert state["clips"] == 60
    assert state["replaced"] >= 2
    assert more_files <= 0
    assert more_kib < 4096  # 50 pictures of 64x48, crops and sounds alone would be 7 MB


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk.mp4", "talk.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\talk.mp4", "talk.mp4"),
        ("..", "clip"),
        ("", "clip"),
        ("a\0b\n\x1b[31m.mp4", "a_b__[31m.mp4"),
        ("\u202egpj.mp4", "_gpj.mp4"),  # right-to-left override
        ("我的视频.webm", "我的视频.webm"),
        ("x" * 500 + ".mp4", "x" * 120 + ".mp4"),
        ("y" * 500, "y" * 120),
    ],
)
def test_names_to_show(name: str, shown: str) -> None:
    assert name_to_show(name) == shown
