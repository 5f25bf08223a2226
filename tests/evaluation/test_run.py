"""Runs: killed and gone on with, the same from a file, every failure counted, and what the card says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.cache import (
    JsonlCache,
    OutputCache,
    Shard,
    collect,
    data_sha256,
    hash_of,
    output_of_row,
    row_of_output,
    sample_keys,
    shard_of_environment,
)
from emotion_llama.evaluation.models import load_model
from emotion_llama.evaluation.records import EvalSample, FileProblem, Output, Truth
from emotion_llama.evaluation.run import evaluate
from emotion_llama.evaluation.run_folder import find_runs, read_run
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.evaluation.tasks.base import Benchmark
from emotion_llama.predictors.base import Task

QUICK = 20
WORDS = ("happy", "sad", "angry", "neutral")
NUM = 10


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten clips with labels; the files are bytes that nobody decodes."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["name,video,label,group"]
    for i in range(NUM):
        (folder / f"c{i}.mp4").write_bytes(bytes([i]))
        lines.append(f"c{i},c{i}.mp4,{WORDS[i % 4]},g{i // 2}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


class Scripted:
    """Answers "happy" to everything, unless told otherwise; counts what it is asked."""

    name = "scripted"
    needs_clips = True

    def __init__(
        self, texts: Mapping[str, str] | None = None, *, die_after: int | None = None, batch_size: int = 2
    ) -> None:
        self.texts, self.die_after, self.batch_size = dict(texts or {}), die_after, batch_size
        self.asked: list[str] = []
        self.settings: dict[str, object] = {"system": "scripted", "seed": 1}

    def answer(self, cases: Sequence[EvalSample], task: Task) -> Iterator[Output]:
        for case in cases:
            if self.die_after is not None and len(self.asked) >= self.die_after:
                raise KeyboardInterrupt
            self.asked.append(case.sample_id)
            text = self.texts.get(case.sample_id, "happy")
            if text.startswith("!"):
                yield Output(case.sample_id, problem=text[1:])
            else:
                yield Output(case.sample_id, text, {"happy": 0.75, "sad": 0.25}, seconds=0.5, tokens_in=3)


def benchmark(table: Path) -> Benchmark:
    return load_benchmark("csv", table)


def without_names(results: Sequence[Any]) -> list[Any]:
    return [(r.parser, r.metrics, dict(r.counts), dict(r.parts)) for r in results]


def test_a_killed_run_goes_on_without_loss_or_repeats(table: Path, tmp_path: Path) -> None:
    texts = {f"c{i}": WORDS[i % 3] for i in range(NUM)}
    whole = evaluate(benchmark(table), Scripted(texts), num_resamples=QUICK)
    assert whole is not None
    dying = Scripted(texts, die_after=5)
    with pytest.raises(KeyboardInterrupt):
        evaluate(benchmark(table), dying, out=tmp_path / "run", num_resamples=QUICK)
    with pytest.raises(InputError, match="--resume"):
        read_run(tmp_path / "run")
    with pytest.raises(InputError, match="holds a run; give --resume to go on"):
        evaluate(benchmark(table), Scripted(texts), out=tmp_path / "run")
    rest = Scripted(texts)
    resumed = evaluate(benchmark(table), rest, out=tmp_path / "run", resume=True, num_resamples=QUICK)
    assert resumed is not None
    # Blocks of two: the fifth reply was not kept, because its block was not whole.
    assert rest.asked == [f"c{i}" for i in range(4, NUM)]
    assert resumed.results == whole.results
    assert resumed.outputs == whole.outputs
    nobody = Scripted(texts, die_after=0)
    third = evaluate(benchmark(table), nobody, out=tmp_path / "run", resume=True, num_resamples=QUICK)
    assert third is not None
    assert (nobody.asked, third.results) == ([], whole.results)
    assert read_run(tmp_path / "run").results == whole.results


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_run import Scripted, benchmark
from emotion_llama.evaluation.run import evaluate
class Stuck(Scripted):
    def answer(self, samples, prompt):
        if len(self.asked) == 3:
            print("stuck", flush=True)
            sys.stdin.read()
        yield from super().answer(samples, prompt)
evaluate(benchmark(Path({table!r})), Stuck(batch_size=1), out=Path({out!r}))
"""


def test_a_run_that_is_killed_hard_loses_nothing(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = CHILD.format(here=str(Path(__file__).parent), table=str(table), out=str(out))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"stuck\n"
        child.send_signal(signal.SIGKILL)
    file = out / "replies.0.jsonl"
    assert file.read_bytes().count(b"\n") == 3
    rest = Scripted(batch_size=1)
    run = evaluate(benchmark(table), rest, out=out, resume=True, num_resamples=QUICK)
    assert run is not None
    assert rest.asked == [f"c{i}" for i in range(3, NUM)]
    assert len(run.outputs) == NUM
    assert file.read_bytes().count(b"\n") == NUM


def test_the_same_predictions_from_a_file_score_the_same(table: Path, tmp_path: Path) -> None:
    texts = {"c0": "The person is sad.", "c1": "", "c2": "!no face was found", "c3": "Happy", "c4": "angry, \n not sad"}
    first = evaluate(benchmark(table), Scripted(texts), out=tmp_path / "run")
    assert first is not None
    file = load_model(str(tmp_path / "run" / "predictions.csv"))
    second = evaluate(benchmark(table), file)
    assert second is not None
    assert [r.parser for r in second.results] == ["upstream", "tolerant", "likelihood"]
    assert without_names(second.results) == without_names(first.results)


def test_failures_are_counted_by_reason(table: Path) -> None:
    texts = {"c0": "!the clip cannot be read: no video", "c1": "", "c2": "!the clip cannot be read: no video",
             "c3": "bored"}  # fmt: skip
    run = evaluate(benchmark(table), Scripted(texts), num_resamples=QUICK, parsers=["tolerant"])
    assert run is not None
    counts = run.results[0].counts
    assert (counts["cases"], counts["answered"], counts["unanswered"]) == (10, 6, 4)
    assert (counts["unanswered: failed"], counts["unanswered: empty"], counts["unanswered: no label"]) == (2, 1, 1)
    assert run.card["problems"] == {"the clip cannot be read: no video": 2}


def test_what_a_reply_depends_on_is_asked_again(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    evaluate(benchmark(table), Scripted(), out=out, num_resamples=QUICK)

    def again(system: Scripted) -> list[str]:
        evaluate(benchmark(table), system, out=out, resume=True, num_resamples=QUICK)
        return system.asked

    (table.parent / "c3.mp4").write_bytes(b"another clip")
    assert again(Scripted()) == ["c3"]
    table.write_text(table.read_text().replace("c5,c5.mp4,sad,g2", "c5,c5.mp4,neutral,g2"))
    assert again(Scripted()) == []  # the truth is nothing that a system sees
    other = Scripted()
    other.settings = {**other.settings, "seed": 2}
    assert again(other) == [f"c{i}" for i in range(NUM)]
    assert again(Scripted()) == []


def test_a_busy_server_is_asked_again_next_time(table: Path, tmp_path: Path) -> None:
    busy = Scripted({"c1": "!overloaded: HTTP status 503", "c2": "!rejected: HTTP status 400"})
    run = evaluate(benchmark(table), busy, out=tmp_path / "run", num_resamples=QUICK)
    assert run is not None
    assert run.results[0].counts["unanswered: failed"] == 2
    second = Scripted()
    evaluate(benchmark(table), second, out=tmp_path / "run", resume=True, num_resamples=QUICK)
    assert second.asked == ["c1"]


def test_batches_stay_the_same_where_replies_depend_on_them(table: Path, tmp_path: Path) -> None:
    class Batched(Scripted):
        depends_on_batch = True

    dying = Batched({"c1": "!timeout: no reply"}, batch_size=3)
    evaluate(benchmark(table), dying, out=tmp_path / "run", num_resamples=QUICK)
    second = Batched({"c0": "sad"}, batch_size=3)
    run = evaluate(benchmark(table), second, out=tmp_path / "run", resume=True, num_resamples=QUICK)
    assert run is not None
    assert second.asked == ["c0", "c1", "c2"]
    assert run.outputs[0].text == "happy"  # what was kept counts


def test_a_limit_takes_the_first_cases(table: Path, tmp_path: Path) -> None:
    first = Scripted()
    run = evaluate(benchmark(table), first, out=tmp_path / "run", limit=4, num_resamples=QUICK)
    assert run is not None
    assert first.asked == ["c0", "c1", "c2", "c3"]
    assert run.results[0].counts["cases"] == 4
    rest = Scripted()
    evaluate(benchmark(table), rest, out=tmp_path / "run", resume=True, num_resamples=QUICK)
    assert rest.asked == [f"c{i}" for i in range(4, NUM)]


def test_processes_share_the_cases(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two processes, then the first, which scores; waiting is torchrun's business."""
    monkeypatch.setattr(Shard, "wait", lambda self: None)
    whole = evaluate(benchmark(table), Scripted(), num_resamples=QUICK)
    parts = [Scripted(), Scripted()]
    assert evaluate(benchmark(table), parts[1], out=tmp_path / "run", shard=Shard(1, 2, 1), num_resamples=QUICK) is None
    run = evaluate(benchmark(table), parts[0], out=tmp_path / "run", shard=Shard(0, 2), num_resamples=QUICK)
    assert run is not None
    assert whole is not None
    assert parts[1].asked == ["c2", "c3", "c6", "c7"]
    assert sorted(parts[0].asked + parts[1].asked) == [f"c{i}" for i in range(NUM)]
    assert run.results == whole.results
    assert (tmp_path / "run" / "replies.1.jsonl").read_bytes().count(b"\n") == 4
    with pytest.raises(InputError, match="several processes need --out"):
        evaluate(benchmark(table), Scripted(), shard=Shard(0, 2))


def test_shards_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert shard_of_environment() == Shard(0, 1, 0)
    assert Shard().device() is None
    Shard().wait()
    Shard().leave()
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert shard_of_environment() == Shard(3, 4, 1)
    assert Shard(1, 2).own(["a", "b", "c", "d"]) == ["b", "d"]
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(InputError, match="RANK, WORLD_SIZE and LOCAL_RANK are 4, 4, 1"):
        shard_of_environment()


def test_the_card_says_what_the_run_was(table: Path, tmp_path: Path) -> None:
    run = evaluate(benchmark(table), Scripted(), out=tmp_path / "run", limit=4, num_resamples=QUICK)
    assert run is not None
    card = json.loads((tmp_path / "run" / "run_card.json").read_text())
    assert card == run.card
    about = card["benchmark"]
    assert (about["name"], about["kind"], about["cases"], about["limit"]) == ("csv", "label", 4, 4)
    assert about["ask"]["labels"] == list(benchmark(table).task.labels)
    assert "emotion" in about["ask"]["instruction"]
    assert card["system"]["settings"] == {"system": "scripted", "seed": 1}
    assert len(card["system"]["settings_sha256"]) == 64
    assert card["time"]["seconds_of_all_replies"] == 2.0
    assert card["time"]["tokens_in"] == 12
    assert card["time"]["asked_in_this_session"] == 4
    assert card["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert card["machine"]["processes"] == 1
    assert card["judge"] is None


def test_the_data_hash_is_of_clips_words_and_truths(table: Path) -> None:
    def hashed() -> str:
        cases = benchmark(table).samples()
        return data_sha256(cases, sample_keys(cases))

    first = hashed()
    assert hashed() == first
    cases = benchmark(table).samples()
    assert data_sha256(cases[::-1], sample_keys(cases)) == first
    (table.parent / "c1.mp4").write_bytes(b"other")
    second = hashed()
    table.write_text(table.read_text().replace("c2,c2.mp4,angry", "c2,c2.mp4,sad"))
    assert len({first, second, hashed()}) == 3
    gone = EvalSample("x", Truth(label="sad"), table.parent / "gone.mp4")
    assert sample_keys([gone])["x"] != sample_keys([EvalSample("x", Truth(label="sad"))])["x"]
    pictures = EvalSample("x", Truth(label="sad"), table.parent)
    assert len(sample_keys([pictures])["x"]) == 64


def test_runs_that_cannot_be(table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; give a folder"):
        evaluate(benchmark(table), Scripted(), out=tmp_path / "file")
    whole = benchmark(table)
    no_clips = FileProblem("no media file of c0, c1, c2 ...", "data", NUM, is_fatal=True)
    no_labels = FileProblem("every label is 'neutral'", "labels.txt", is_fatal=True)
    blind = Scripted()
    blind.needs_clips = False
    with pytest.raises(InputError, match="media file of c0"):
        evaluate(whole, Scripted(), file_problems=[no_clips])
    with pytest.raises(InputError, match=r"csv cannot be evaluated: labels\.txt: every label is 'neutral'"):
        evaluate(whole, blind, file_problems=[no_labels])
    run = evaluate(whole, blind, num_resamples=QUICK, file_problems=[no_clips])
    assert run is not None
    assert run.file_problems == (no_clips,)
    with pytest.raises(InputError, match="csv has no samples in"):
        evaluate(replace(whole, tables=[{"": lambda path: iter(())}]), Scripted(), file_problems=[])


def test_a_run_is_read_back_strictly(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "a"
    evaluate(benchmark(table), Scripted(), out=out, num_resamples=QUICK)
    assert [record.folder for record in find_runs([tmp_path / "runs"])] == [out]
    record = read_run(out)
    assert (record.name, record.card["judge"]) == ("scripted", None)
    assert record.rows[1].truth == "sad"
    assert record.rows[1].group == "g0"
    assert dict(record.rows[1].answers) == {"upstream": "happy", "tolerant": "happy", "likelihood": "happy"}
    with pytest.raises(InputError, match="holds no run"):
        find_runs([tmp_path / "data"])
    text = (out / "results.json").read_text()
    (out / "results.json").write_text(text.replace('"version": 1', '"version": 9'))
    with pytest.raises(InputError, match="is of version 9, expected 1"):
        read_run(out)
    (out / "results.json").write_text(text.replace('"figures"', '"figure"', 1))
    with pytest.raises(InputError, match="cannot be read as a run"):
        read_run(out)


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    with JsonlCache(tmp_path, "rows") as cache:
        cache.add([("a", 1), ("b", {"x": "ä\n"})])
        cache.add([])
        with pytest.raises(InputError, match="another process is writing"):
            JsonlCache(tmp_path, "rows")
    file = tmp_path / "rows.0.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    with JsonlCache(tmp_path, "rows") as cache:
        assert (len(cache), cache.get("a"), cache.get("b"), "b" in cache) == (1, 1, None, False)
        cache.add([("b", 3)])
        cache.add([("a", 2)])
    with JsonlCache(tmp_path, "rows", writer=1) as other:
        assert (other.get("a"), other.get("b")) == (2, 3)
        with JsonlCache(tmp_path, "rows") as cache:
            cache.add([("c", 4)])
        assert other.get("c") is None
        other.read_again()
        assert other.get("c") == 4


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with JsonlCache(tmp_path, "rows") as cache:
        (tmp_path / "rows.0.jsonl").mkdir()
        with pytest.raises(InputError, match="cannot be written"):
            cache.add([("a", 1)])
    with pytest.raises(InputError, match="cannot be read"):
        JsonlCache(tmp_path, "rows")


def test_hashes_are_of_values_not_of_order() -> None:
    assert hash_of({"a": 1, "b": (1, 2)}) == hash_of({"b": [1, 2], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 2})
    assert hash_of(os.PathLike) == hash_of(os.PathLike)


def test_replies_survive_the_file(tmp_path: Path) -> None:
    for reply in (
        Output("a", "text", {"happy": 0.1, "sad": 0.9}, seconds=1.5, tokens_in=3, tokens_out=4),
        Output("a", ""),
        Output("a", problem="no face"),
    ):
        assert output_of_row(json.loads(json.dumps(row_of_output(reply)))) == reply
    case = EvalSample("a", Truth(label="sad"))
    cache = OutputCache(tmp_path, Scripted(), Task("emotion"), {"a": "k"})
    assert cache.output(case) is None
    cache.keep([case], [Output("a", "x")])
    assert cache.output(case) == Output("a", "x")
    cache.close()


def test_what_a_quicker_process_answers_meanwhile_is_not_counted_as_known(table: Path, tmp_path: Path) -> None:
    """A first process that was slower to start counted its neighbour's fresh replies as known: 1 asked instead of 2."""

    class Meeting(Shard):
        """Process 0 of 2, whose neighbour asks its blocks between the meeting before and the one after."""

        def wait(self) -> None:
            neighbour = evaluate_as_second if not done else list
            done.append(neighbour())

    done: list[object] = []

    def evaluate_as_second() -> object:
        bench, system = benchmark(table), Scripted()
        cases = bench.samples()
        with_cache = OutputCache(tmp_path / "run", system, bench.task, sample_keys(cases), writer=1)
        collect(system, cases, bench.task, with_cache, shard=Shard(1, 2))
        with_cache.close()
        return system.asked

    run = evaluate(benchmark(table), Scripted(), out=tmp_path / "run", num_resamples=QUICK, shard=Meeting(0, 2))
    assert run is not None
    assert done[0] == ["c2", "c3", "c6", "c7"]
    assert len(done) == 2
    assert run.card["time"]["asked_in_this_session"] == NUM
