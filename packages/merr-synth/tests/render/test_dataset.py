"""Data sets on disk: complete, the same for any number of workers, finished after an interruption."""

import csv
import json
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.media.transcript_table import find_sentence
from merr_synth.render import dataset
from merr_synth.render.dataset import render_dataset
from merr_synth.render.plan import draw_plans

PLANS = draw_plans(
    6, 3, conflict_share=0.17, missing_share=0.5, seconds=1.0, fps=6.0, size=(96, 96), split_shares={"train": 1.0}
)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def table(folder):
    return list(csv.DictReader((folder / "manifest.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "new"
    seen = []
    tally = render_dataset(PLANS, folder, progress=lambda n, name: seen.append((n, name)), command="make it")
    return folder, tally, seen


def test_everything_is_there_and_counted(made):
    folder, tally, seen = made
    assert (tally.done, tally.skipped, tally.failed) == (6, 0, [])
    assert tally.text() == "6 done, 0 skipped (already done), 0 failed"
    assert seen == [(i + 1, plan.id) for i, plan in enumerate(PLANS)]
    expected = {f"clips/{p.id}.mp4" for p in PLANS} | {f"truth/{p.id}.json" for p in PLANS}
    assert set(files(folder)) == expected | {"plans.jsonl", "manifest.csv", "transcription.csv", "README.md"}


def test_the_tables_name_every_clip_and_the_published_reader_takes_the_sentences(made):
    folder, _, _ = made
    rows = table(folder)
    assert list(rows[0]) == ["name", "path", "label", "subtitle", "person", "source", "split"]
    for row, plan in zip(rows, PLANS, strict=True):
        assert (folder / row["path"]).is_file()
        assert (row["name"], row["label"], row["split"]) == (plan.id, plan.label, plan.split)
        assert (row["person"], row["source"]) == (plan.person, plan.source)
        assert row["subtitle"] == ("" if "no_words" in plan.missing else plan.text)
    assert (folder / "transcription.csv").read_text().startswith("name,sentence\n")
    said = [plan for plan in PLANS if "no_words" not in plan.missing]
    assert len(said) < len(PLANS)
    for plan in said:
        assert find_sentence(folder / "transcription.csv", f"{plan.id}.mp4", None)[0] == plan.text


def test_the_readme_says_what_it_is(made):
    text = (made[0] / "README.md").read_text()
    assert "# MERR-Synth: 6 of 6 clips" in text
    assert "make it" in text
    assert "no_face 1, no_words 1, silent 1" in text
    assert "No real person is seen or heard" in text
    assert "splits: train 6; they share" in text


def test_two_workers_make_the_same_files(made, tmp_path):
    tally = render_dataset(PLANS, tmp_path / "two", workers=2, command="make it")
    assert tally.done == 6
    assert files(tmp_path / "two") == files(made[0])


def test_an_interrupted_run_is_finished_and_nothing_is_done_twice(made, tmp_path, monkeypatch):
    folder = tmp_path / "cut"
    calls = []

    def stop_after_two(number, name):
        calls.append(name)
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_dataset(PLANS, folder, progress=stop_after_two, command="make it")
    assert not (folder / "manifest.csv").exists()
    (folder / "truth" / f"{PLANS[0].id}.json").write_text('{"version": 1, "voi')  # as a full disk leaves it
    (folder / "clips" / f".{PLANS[2].id}-77.tmp.mp4").write_bytes(b"half")  # as a killed run leaves it
    times = {p: p.stat().st_mtime_ns for p in (folder / "clips").iterdir() if PLANS[1].id in p.name}
    tally = render_dataset(PLANS, folder, resume=True, command="make it")
    assert (tally.done, tally.skipped) == (5, 1)
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())
    assert files(folder) == files(made[0])
    assert render_dataset(PLANS, folder, resume=True).skipped == 6


class _BrokenPool:
    """A pool whose worker was killed at its first clip."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None

    def submit(self, *call):
        future = Future()
        future.set_exception(BrokenProcessPool("A process in the process pool was terminated abruptly"))
        return future


def test_a_worker_that_is_killed_ends_the_run_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", _BrokenPool)
    with pytest.raises(BackendError, match=r"a process that renders was ended from outside.*take fewer workers"):
        render_dataset(PLANS, tmp_path / "set", workers=2)
    assert (tmp_path / "set" / "plans.jsonl").exists()


def test_a_clip_that_fails_is_counted_and_left_out_of_the_tables(tmp_path, monkeypatch):
    real = dataset.render_clip

    def failing(plan, folder, *, voice):
        if plan.id == PLANS[2].id:
            raise InputError("the disk is full")
        return real(plan, folder, voice=voice)

    monkeypatch.setattr(dataset, "render_clip", failing)
    tally = render_dataset(PLANS, tmp_path / "set")
    assert tally.failed == [f"{PLANS[2].id}: the disk is full"]
    assert tally.text() == "5 done, 0 skipped (already done), 1 failed"
    names = [row["name"] for row in table(tmp_path / "set")]
    assert names == [plan.id for plan in PLANS if plan.id != PLANS[2].id]
    assert "5 of 6 clips" in (tmp_path / "set" / "README.md").read_text()


def test_a_clip_of_another_voice_is_not_taken_for_done(made, tmp_path):
    folder, _, _ = made
    truth = json.loads((folder / "truth" / f"{PLANS[0].id}.json").read_text())
    assert truth["voice_backend"] == "own"
    assert dataset._is_finished(PLANS[0], folder, "own")
    assert not dataset._is_finished(PLANS[0], folder, "espeak")


def test_folders_of_something_else_are_left_alone(made, tmp_path, monkeypatch):
    folder, _, _ = made
    with pytest.raises(InputError, match="holds a data set; finish it with --resume"):
        render_dataset(PLANS, folder)
    with pytest.raises(InputError, match="holds a data set of other plans; repeat its options"):
        render_dataset(PLANS[:3], folder, resume=True)
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(InputError, match=r"is not empty and holds no plans.jsonl; give a new folder"):
        render_dataset(PLANS, tmp_path)
    with pytest.raises(InputError, match="expected plans with ids of their own, got train-00000"):
        render_dataset([PLANS[0], PLANS[0]], tmp_path / "x")
    with pytest.raises(InputError, match="expected plans with ids of their own, got none"):
        render_dataset([], tmp_path / "x")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(MissingDependency, match="espeak-ng"):
        render_dataset(PLANS, tmp_path / "x", voice="espeak")
    assert not (tmp_path / "x").exists()


def test_a_table_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "manifest.csv").mkdir()
    with pytest.raises(InputError, match=r"manifest.csv cannot be written .*give another folder"):
        dataset.write_whole(tmp_path / "manifest.csv", "text")
