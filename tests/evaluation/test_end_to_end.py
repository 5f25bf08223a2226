"""Benchmarks from raw clips in their own file layouts, with a toy model and rules: killed, resumed, failures counted.

Slow for a test (some 20 s): features of every clip are made from pictures and sound.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch

from emotion_llama.evaluation.models import load_model
from emotion_llama.evaluation.models.predictor import PredictorModel, own_model
from emotion_llama.evaluation.records import EvalSample, Output
from emotion_llama.evaluation.report import report_of
from emotion_llama.evaluation.run import evaluate
from emotion_llama.evaluation.run_folder import find_runs
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.media.writing import write_clip
from emotion_llama.predictors.base import Task
from emotion_llama.report.evaluation import render_report_text
from merr_synth.render.face import ANNA, DrawnFace, Placement, render

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"
QUICK = 20
NUM = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
    from emotion_llama.prompts.tokenise import load_tokenizer

    folder = tmp_path_factory.mktemp("models") / "toy"
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    EmotionLlamaForConditionalGeneration(config).save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four clips of a drawn person, the second without sound, and a fifth that is damaged."""
    folder, found = tmp_path_factory.mktemp("clips"), []
    for i in range(NUM - 1):
        images = [render((120, 90), [DrawnFace(ANNA, Placement((60.0 + i + j, 45.0), 45.0))]).image for j in range(4)]
        tone = (0.2 * np.sin(2 * np.pi * (150 + 40 * i) * np.arange(12_000) / 16_000)).astype(np.float32)
        sound = {} if i == 1 else {"audio": tone, "sample_rate_hz": 16_000}
        found.append(write_clip(folder / f"{i}.mp4", images, fps=5, **sound))  # type: ignore[arg-type]
    (folder / "broken.mp4").write_bytes(b"not a video")
    return [*found, folder / "broken.mp4"]


def placed(clips: Sequence[Path], folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for clip, name in zip(clips, names):
        copyfile(clip, folder / f"{name}.mp4")


def mer2023(folder: Path, clips: Sequence[Path]) -> Benchmark:
    names = [f"sample_{i:08d}" for i in range(NUM)]
    placed(clips, folder / "video", names)
    labels = ("happy", "sad", "angry", "neutral", "worried")
    lines = [f"{name} 4 {label} -10" for name, label in zip(names, labels)]
    (folder / "relative_test3_NCEV.txt").write_text("\n".join(lines) + "\n")
    (folder / "transcription_en_all.csv").write_text("name,sentence\n" + "".join(f"{n},I see.\n" for n in names))
    return load_benchmark("mer2023-semi", folder)


def mer2024_noise(folder: Path, clips: Sequence[Path]) -> Benchmark:
    names = [f"samplenew3_{i:08d}" for i in range(NUM)]
    placed(clips, folder / "MER2024_noise", names)
    labels = ("happy", "sad", "angry", "neutral", "worried")
    rows = "".join(f"{name},{label}\n" for name, label in zip(names, labels))
    (folder / "reference-noise.csv").write_text(f"name,discrete\n{rows}")
    return load_benchmark("mer2024-noise", folder)


def dfew(folder: Path, clips: Sequence[Path]) -> Benchmark:
    placed(clips, folder / "Clip" / "original", [str(i + 1) for i in range(NUM)])
    tests = folder / "EmoLabel_DataSplit" / "test(single-labeled)"
    tests.mkdir(parents=True)
    rows = "".join(f"{i + 1},{i + 1}\n" for i in range(NUM))
    (tests / "set_1.csv").write_text(f"video_name,label\n{rows}")
    return load_benchmark("dfew", folder, fold=1)


def emer(folder: Path, clips: Sequence[Path]) -> Benchmark:
    names = [f"sample_{i:08d}" for i in range(NUM)]
    placed(clips, folder / "video", names)
    rows = "".join(f'{n},happy,I see.,"The corners of the mouth rise. She is happy."\n' for n in names)
    (folder / "gt-eng.csv").write_text(f"names,emotions,subtitles,reasons\n{rows}")
    return load_benchmark("emer", folder)


def own(folder: Path, clips: Sequence[Path]) -> Benchmark:
    placed(clips, folder, [f"c{i}" for i in range(NUM)])
    rows = "".join(f"c{i},c{i}.mp4,{label}\n" for i, label in enumerate(("happy", "sad", "fear", "doubt", "happy")))
    (folder / "clips.csv").write_text(f"name,video,label\n{rows}")
    return load_benchmark("csv", folder / "clips.csv")


def merr_synth(folder: Path, clips: Sequence[Path]) -> Benchmark:
    """Plans whose clips are those of the fixture: what is measured of them is told to the model (layout evidence)."""
    from merr_synth.render.plan import draw_plans
    from merr_synth.render.plan_file import plans_text

    plans = draw_plans(NUM, 3, split_shares={"train": 0.0, "validation": 0.0, "test": 1.0})
    placed(clips, folder / "clips", [plan.id for plan in plans])
    (folder / "plans.jsonl").write_text(plans_text(plans))
    return load_benchmark("merr-synth", folder)


class Dying:
    """The system until it has answered so many cases."""

    depends_on_batch = True

    def __init__(self, system: PredictorModel, most: int) -> None:
        self.name, self.settings, self.batch_size = system.name, system.settings, system.batch_size
        self._system, self._left = system, most

    def answer(self, cases: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        for reply in self._system.answer(cases, task):
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield reply


@pytest.mark.parametrize("layout", [mer2023, mer2024_noise, dfew, emer, own, merr_synth], ids=lambda f: str(f.__name__))
def test_a_benchmark_from_raw_clips(
    layout: Callable[[Path, Sequence[Path]], Benchmark], model: Path, clips: list[Path], tmp_path: Path
) -> None:
    benchmark = layout(tmp_path / "data", clips)
    benchmark = replace(benchmark, task=replace(benchmark.task, max_new_tokens=5))
    prompt = "evidence" if layout is merr_synth else "train"
    system = own_model(model, device="cpu", batch_size=2, keep=tmp_path / "features", layout=prompt)
    whole = evaluate(benchmark, system, num_resamples=QUICK)
    assert whole is not None
    broken = next(
        case.sample_id for case in benchmark.samples() if case.media is not None and case.media.stem == _last(case)
    )
    told = {reply.sample_id: reply for reply in whole.outputs}
    assert (told[broken].problem or "").startswith("the clip cannot be read: ")
    assert sum(reply.problem is not None for reply in whole.outputs) == 1
    for result in whole.results:
        assert (result.counts["cases"], result.counts["unanswered: failed"]) == (NUM, 1)
    out = tmp_path / "runs" / "toy"
    with pytest.raises(KeyboardInterrupt):
        evaluate(benchmark, Dying(system, 3), out=out, num_resamples=QUICK)
    resumed = evaluate(benchmark, system, out=out, resume=True, num_resamples=QUICK)
    assert resumed is not None
    assert resumed.results == whole.results
    assert [(r.text, r.probabilities) for r in resumed.outputs] == [(r.text, r.probabilities) for r in whole.outputs]
    again = evaluate(benchmark, load_model(str(out / "predictions.csv")), num_resamples=QUICK)
    assert again is not None
    assert [(r.metrics, dict(r.counts)) for r in again.results] == [(r.metrics, dict(r.counts)) for r in whole.results]
    system.close()
    text = render_report_text(report_of(find_runs([tmp_path / "runs"])))
    assert re.search(r"toy \[\w+\]: 1 x the clip cannot be read", " ".join(text.split()))


def _last(case: EvalSample) -> str:
    """The name that the damaged clip has in the case's layout."""
    assert case.media is not None
    stem = case.media.stem
    digits = re.search(r"\d+$", stem)
    assert digits is not None
    last = NUM if case.media.parent.name == "original" else NUM - 1
    return stem[: digits.start()] + str(last).zfill(len(digits[0]))


def test_rules_a_toy_model_and_a_served_one_in_one_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MERR-Synth by three kinds of system; the served one says happy, then sad, and so on, and once refuses."""
    import scripted_server

    from merr_synth.render.dataset import render_dataset
    from merr_synth.render.plan import draw_plans

    shares = {"train": 0.0, "validation": 0.0, "test": 1.0}
    plans = draw_plans(6, 3, split_shares=shares, labels=("happy", "sad"), size=(120, 90), fps=5.0, seconds=1.0)
    render_dataset(plans, tmp_path / "data")
    benchmark = load_benchmark("merr-synth", tmp_path / "data")
    benchmark = replace(benchmark, task=replace(benchmark.task, max_new_tokens=4))
    for word in ("happy", "sad"):
        monkeypatch.setitem(scripted_server.BAD_TEXTS, word, word)
    script = ["happy", "sad", "happy", "refusal_field", "happy", "sad"]
    with scripted_server.ScriptedServer(script) as server:
        served = load_model(f"openai:vlm@{server.base_url}", concurrency=1, frames=1)
        systems = [load_model("rules"), own_model(model, device="cpu", batch_size=3), served]
        for system in systems:
            evaluate(benchmark, system, out=tmp_path / "runs" / system.name, num_resamples=QUICK)
    report = report_of(find_runs([tmp_path / "runs"]), num_resamples=20)
    (section,) = report
    assert {result.model for result in section.own} == {"rules", "toy", "vlm"}
    assert all(result.metric("uar").low is not None for result in section.own)
    assert {result.label: result for result in section.own}["vlm (tolerant)"].counts["unanswered: failed"] == 1
    assert [count for why, count in section.problems["vlm"].items() if why.startswith("refused: ")] == [1]
    pairs = {(one.first.partition(" (")[0], one.second.partition(" (")[0]) for one in section.comparisons}
    assert pairs == {("rules", "toy"), ("rules", "vlm"), ("toy", "vlm")}
    assert {one.num_samples for one in section.comparisons} == {6}
