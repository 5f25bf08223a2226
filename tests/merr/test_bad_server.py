"""A whole build against a server of which 40 % of the replies are bad: nothing bad becomes a field, totals add up.

Takes about 20 s: two builds of twelve clips from their media on.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_server import ScriptedServer, media_hash

from emotion_llama.chat import openai_server
from emotion_llama.errors import InputError
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.annotators import ready_to_ask, unreachable
from emotion_llama.merr.build import build
from emotion_llama.merr.engine import EngineOptions
from emotion_llama.merr.recipe import Recipe, load_recipe
from emotion_llama.merr.stages import build_stages
from emotion_llama.merr.status import BuildTally, Progress
from emotion_llama.merr.store import Store

ASKED = ("visual_objective", "audio_tone", "fine_caption")
BAD = (
    "429", "500", "502", "close", "half", "garbage", "prose", "truncated_json", "empty_text", "null_content",
    "refusal_text", "refusal_field", "html_200", "error_200", "extra_keys", "wrong_types", "other_language",
    "error_text", "placeholder", "length", "hang", "event_stream", "400", "loop", "markup",
)  # fmt: skip
LABELS = ("happy", "sad", "angry", "surprise", "fear", "neutral")


class FortyPercentBad:
    """Drawn by the question and how often it was asked: the same in every order of threads."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def __call__(self, number: int, body: dict[str, object]) -> str:
        question = media_hash(body)
        self.times[question] += 1
        digest = hashlib.sha256(f"{question} {self.times[question]}".encode()).digest()
        return BAD[digest[1] % len(BAD)] if digest[0] < 0.4 * 256 else "good"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    rows = ["name,path,label,subtitle"]
    for i in range(12):
        rng = np.random.default_rng(i)
        scene = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        times = np.arange(16_000) / 16_000
        sound = sum(0.1 / k * np.sin(2 * np.pi * (110 + 9 * i) * k * times) for k in range(1, 6))
        write_clip(folder / f"c{i:02}.mp4", [scene] * 6, 6.0, np.asarray(sound), sample_rate_hz=16_000)
        rows.append(f"c{i:02},c{i:02}.mp4,{LABELS[i % len(LABELS)]},This is sentence number {i} of the test.")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder / "clips.csv"


def recipe(base_url: str, tmp_path: Path) -> Recipe:
    one = (
        f"{{name: openai, base_url: '{base_url}', identity: test, model: scripted-1, modalities: [text, image, audio], "
        "timeout_seconds: 1.0, max_attempts: 2, max_repeats: 1, budget_requests: 1000, max_tokens: 200}"
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"pseudo_label: {{mode: given}}\nselect: {{neutral_share: 10}}\n"
        f"annotators: {{visual: {one}, audio: {one}, reason: {one}}}\n"
    )
    return load_recipe(path)


def annotators_of(recipe: Recipe) -> list[Any]:
    return [stage.annotator for stage in build_stages(recipe) if stage.annotator is not None]


def run(clips: Path, out: Path, recipe: Recipe) -> BuildTally:
    return build([clips], out, recipe, options=EngineOptions(workers=2, in_flight=6))


def checked_fields(out: Path, given: set[str]) -> Counter[str]:
    """Every field that a model made is, to the letter, in a right answer of the server; how many there are."""
    texts = {json.loads(text)["text"] for text in given}
    found: Counter[str] = Counter()
    with Store.open(out, read_only=True) as store:
        for sample in store.samples():
            for (name, _), field in sample.fields.items():
                if field.provenance.annotator != "openai":
                    continue
                assert field.value is not None, (name, field.why_missing)
                if name == "clues":
                    continue
                assert field.value in texts, (name, field.value)
                assert field.provenance.model == "scripted-1"
                assert field.provenance.prompt_sha256
                assert field.provenance.label_shown == (name == "fine_caption")
                found[name] += 1
    return found


def test_a_build_with_a_bad_server(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_server, "FIRST_WAIT_SECONDS", 0.01)
    out, calm = tmp_path / "out", tmp_path / "calm"
    with ScriptedServer(FortyPercentBad()) as server:
        choices = recipe(server.base_url, tmp_path)
        first = run(clips, out, choices)
        bad = sum(count for outcome, count in server.outcomes.items() if outcome != "good")
        assert 0.2 < bad / len(server.seen) < 0.6
        # Every clip is somewhere, and every failure has its reason.
        assert first.clips == 12
        assert first.failed > 0
        phases = {phase.name: phase for phase in first.phases}
        for name in ASKED:
            reasons = phases[name].failed
            assert all(reason.split(":")[0] in KINDS for reason in reasons), reasons
        through = phases["fine_caption"]
        assert sum(sum(phase.dropped.values()) for phase in first.phases) == 0
        fields = checked_fields(out, server.given)
        assert fields["fine_caption"] == through.done
        with Store.open(out, read_only=True) as store:
            failures = [failure for failure in store.failures() if failure.current]
        assert len(failures) == first.failed
        assert through.done + len({failure.clip_id for failure in failures}) == 12
        assert spent(out) == len(server.seen)
        # The server recovers: only what is missing is asked for, once each.
        asked_before = len(server.seen)
        missing = sum(12 - fields[name] for name in ASKED)
        server.script = ("good",)
        second = run(clips, out, choices)
        assert second.failed == 0
        assert len(server.seen) - asked_before == missing
        assert checked_fields(out, server.given) == dict.fromkeys(ASKED, 12)
        assert spent(out) == len(server.seen)
        third = run(clips, out, choices)
        assert len(server.seen) - asked_before == missing
        assert (third.failed, third.coarse, third.fine) == (0, second.coarse, second.fine)
    with ScriptedServer() as server:
        run(clips, calm, recipe(server.base_url, tmp_path))
        assert len(server.seen) == 36
    # The same data set as of a server that never failed; only what the attempts cost differs.
    assert content(out) == content(calm)


KINDS = {"refused", "empty", "malformed", "rejected", "unreachable", "timeout", "overloaded"}


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_who_gets_the_pictures_is_told_once_and_before_anything_is_done(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two annotators at one host give one line; a key that is not set stops the build before an hour's measuring."""
    monkeypatch.delenv("MERR_KEY", raising=False)
    far = "{name: openai, base_url: 'https://models.example.com/v1', model: m, api_key_env: MERR_KEY}"
    path = tmp_path / "recipe.yaml"
    path.write_text(f"annotators: {{visual: {far}, reason: {far.replace('model: m', 'model: n')}}}\n")
    told = Told()
    with pytest.raises(InputError, match="MERR_KEY"):
        build([clips], tmp_path / "out", load_recipe(path), progress=told)
    assert told.lines == []
    with Store.open(tmp_path / "out", read_only=True) as store:
        assert store.clips() == []
    monkeypatch.setenv("MERR_KEY", "secret-7")
    lines = ready_to_ask(annotators_of(load_recipe(path)), tmp_path)
    assert lines == (
        "Pictures, sound or words of the clips leave this machine: annotator openai sends them to models.example.com.",
    )
    assert not any(b"secret-7" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_server_that_is_not_there_is_named_before_clips_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("annotators: {visual: {name: openai, base_url: 'http://127.0.0.1:9/v1', model: m}}\n")
    (line,) = unreachable(annotators_of(load_recipe(path)))
    assert "no answer from the server at http://127.0.0.1:9/v1" in line
    assert "the next build asks" in line


def test_annotators_of_one_server_and_model_share_the_smallest_budget(tmp_path: Path) -> None:
    one = "{name: openai, base_url: 'http://localhost:1/v1', model: m, budget_requests: %s, seed: %s}"
    path = tmp_path / "recipe.yaml"
    path.write_text(f"annotators: {{visual: {one % (9, 1)}, audio: {one % (5, 2)}, reason: {one % ('null', 3)}}}\n")
    (tmp_path / "b").mkdir()
    for spent_before in (0, 2):
        annotators = annotators_of(load_recipe(path))
        ready_to_ask(annotators, tmp_path / "b")
        budgets = [one.chat.backend.budget for one in annotators if one.name == "openai"]
        assert len(set(map(id, budgets))) == 1
        assert (budgets[0].most, budgets[0].spent[0]) == ((5, None), spent_before)
        budgets[0].take(10)
        budgets[0].take(10)


def test_sigterm_ends_a_build_that_waits_for_a_server_and_keeps_what_was_answered(clips: Path, tmp_path: Path) -> None:
    """It once went on asking for minutes, and lost the answers."""
    path, out = tmp_path / "recipe.yaml", tmp_path / "out"
    # Both languages of the first clip and one of the second are answered; the other one never is.
    with ScriptedServer(lambda number, body: "good" if number < 3 else "hang") as server:
        visual = (
            f"{{name: openai, base_url: '{server.base_url}', identity: s, model: scripted-1, timeout_seconds: 600}}"
        )
        path.write_text(f"pseudo_label: {{mode: given}}\nlanguages: [en, zh]\nannotators: {{visual: {visual}}}\n")
        program = [sys.executable, "-m", "emotion_llama", "merr", "build", str(clips), "--out", str(out)]
        process = subprocess.Popen([*program, "--recipe", str(path), "--workers", "1", "--in-flight", "1", "--quiet"])
        while len(server.seen) < 4:
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        assert process.wait() == 130
        assert [bool(one.ended) for one in server.seen] == [True, True, True, False]  # not when the server gave up
    with Store.open(out, read_only=True) as store:
        made = {s.clip.clip_id: set(s.fields) for s in store.samples() if ("visual_objective", "en") in s.fields}
        assert store.failures() == []
    assert list(made) == ["c00"]
    assert ("visual_objective", "zh") in made["c00"]
    with ScriptedServer() as server:
        choices = load_recipe(path, [f"annotators.visual.base_url={server.base_url}"])
        assert run(clips, out, choices).failed == 0
        assert len(server.seen) == 2 * 12 - 3  # nothing is asked twice


def test_a_stopped_build_asks_nobody_and_records_no_failure(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is busy would be asked again and again while the program lives."""
    monkeypatch.setattr(openai_server, "FIRST_WAIT_SECONDS", 0.01)

    def script(number: int, body: dict[str, object]) -> str:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return "good" if number == 0 else "503"

    with ScriptedServer(script) as server:
        choices = recipe(server.base_url, tmp_path)
        tally = build([clips], tmp_path / "out", choices, options=EngineOptions(workers=1, in_flight=1))
    assert tally.was_interrupted
    phase = tally.phases[-1]
    assert (phase.name, phase.done, phase.waiting, phase.failed) == ("visual_objective", 1, 11, {})
    assert len(server.seen) == 2


def spent(out: Path) -> int:
    (file,) = out.glob("spent-*.txt")
    return sum(int(line.split()[0]) for line in file.read_text().splitlines())


def content(out: Path) -> list[object]:
    with Store.open(out, read_only=True) as store:
        return [
            (sample.clip.clip_id, key, field.value, field.why_missing, field.provenance.model)
            for sample in store.samples()
            for key, field in sorted(sample.fields.items())
        ]
