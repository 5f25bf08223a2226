"""`merr build` and `merr status` as a user types them: order of arguments, what is printed, exit codes."""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.cli.main import main
from emotion_llama.cli.merr.build import split_arguments
from emotion_llama.cli.merr.status import status_text, tally_text
from emotion_llama.cli.options import AnyOrder
from emotion_llama.cli.progress import BuildLine
from emotion_llama.errors import InputError
from emotion_llama.media.writing import write_clip
from emotion_llama.merr.status import BuildStatus, BuildTally, PhaseTally
from emotion_llama.merr.store.builds import Build


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of sound: the cheapest that there are, without a face, so that rules give them no label."""
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(3):
        tone = np.sin(np.arange(8000) * (i + 1) / 20).astype(np.float32) / 4
        write_clip(folder / f"tone{i}.wav", audio=tone, sample_rate_hz=16_000)
    return folder


@pytest.fixture(scope="module")
def built(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "merr"
    assert main(["merr", "build", str(sounds), "--out", str(out), "--workers", "1", "-q"]) == 0
    return out


def test_a_build_prints_its_tally_and_ends_well(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["merr", "build", str(sounds), "--out", str(tmp_path / "merr"), "--workers", "1", "languages=[en,zh]"]
    assert main(arguments) == 0
    err = capsys.readouterr().err
    assert "ingest 3/3" in err  # no terminal: a line a phase
    rows = {cells[0]: cells[1:] for line in err.splitlines() if len(cells := line.split()) == 7}
    assert rows["evidence"][:5] == ["3", "-", "-", "-", "-"]
    assert rows["pseudo_label"][:5] == ["-", "-", "3", "-", "-"]
    assert "3 clips: 0 in the coarse set, 0 of them in the fine set" in err
    assert max(map(len, err.splitlines())) <= 80
    assert "languages:\n- en\n- zh\n" in (tmp_path / "merr" / "recipe.yaml").read_text()

    # A second build keeps the recipe that is there, and has nothing to do.
    assert main(arguments[:-1]) == 0
    err = capsys.readouterr().err
    assert "recipe.yaml, of the build that is there" in err
    rows = {cells[0]: cells[1:] for line in err.splitlines() if len(cells := line.split()) == 7}
    assert rows["evidence"][:2] == ["-", "3"]


def test_a_clip_that_fails_is_told_of_and_makes_exit_code_1(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    arguments = ["merr", "build", "--workers", "1", "--out", str(tmp_path / "merr"), str(broken), "--limit", "2"]
    assert main([*arguments, str(sounds / "tone0.wav")]) == 1
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if "ingest, failed" in line]
    assert line.split()[0] == "1"
    assert "2 clips" in err


def test_status_for_people_and_for_programs(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "status", str(built)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "3 clips: 0 in the coarse set" in out
    assert "no build is running: the last one ended well" in " ".join(out.split())
    assert main(["merr", "status", "--json", str(built)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["clips"] == 3
    assert status["is_complete"] is True
    (evidence,) = [phase for phase in status["phases"] if phase["name"] == "evidence"]
    assert (evidence["done"], evidence["waiting"], evidence["failed"]) == (3, 0, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "{tmp}"], "is no build: it holds no merr.sqlite"),
        (
            ["build", "languages=[en]", "--out", "{tmp}/x"],
            "no clips given, only choices of the recipe (languages=[en])",
        ),
        (["build", "{tmp}/nothing", "--out", "{tmp}/x", "colour=blue"], "colour: no such key"),
        (["build", "{tmp}", "--out", "{tmp}"], "is no build and not empty"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").touch()
    assert main(["merr", *(a.replace("{tmp}", str(tmp_path)) for a in arguments)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("emotion-llama: ")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "x"], "the following arguments are required: --out"),
        (["build", "x", "--out", "y", "--limit", "0"], "expected a number from 1 up, got '0'"),
        (["build", "x", "--out", "y", "--workers", "many"], "expected a number from 1 up, got 'many'"),
        (["build", "x", "--out", "y", "--time-limit", "-1"], "expected seconds above 0, got '-1'"),
        (["build", "x", "--out", "y", "--colour"], "unrecognized arguments: --colour"),
        (["build", "x", "--out", "y", "--engine", "dask"], "invalid choice: 'dask'"),
        (["status", "x", "y"], "unrecognized arguments: y"),
    ],
)
def test_what_is_not_understood_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["merr", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        "a b --out o k.l=1 --limit 2",
        "a --out o b --limit 2 k.l=1",
        "--out o a --limit 2 b k.l=1",
        "--limit 2 --out o k.l=1 a b",
    ],
)
def test_arguments_in_any_order(arguments: str) -> None:
    parser = AnyOrder()
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--out")
    parser.add_argument("--limit", type=int)
    found = parser.parse_args(arguments.split())
    assert (sorted(found.inputs), found.out, found.limit) == (["a", "b", "k.l=1"], "o", 2)
    assert split_arguments(found.inputs) == (["a", "b"], ["k.l=1"])


def test_a_parser_without_a_list_takes_no_leftovers(capsys: pytest.CaptureFixture[str]) -> None:
    parser = AnyOrder(exit_on_error=False)
    parser.add_argument("folder")
    assert parser.parse_known_args(["a", "b"]) == (argparse.Namespace(folder="a"), ["b"])


def test_a_file_that_looks_like_a_choice_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("take=1.mp4").touch()
    assert split_arguments(["take=1.mp4", "seed=2"]) == (["take=1.mp4"], ["seed=2"])
    with pytest.raises(InputError, match="no clips given, only choices of the recipe \\(seed=2\\)"):
        split_arguments(["seed=2"])


def test_ctrl_c_ends_with_130_and_a_tally(sounds: Path, tmp_path: Path) -> None:
    """The signal goes to the whole group, as a terminal sends it: workers leave it to their parent."""
    program = [sys.executable, "-m", "emotion_llama", "merr", "build", str(sounds), "--out", str(tmp_path / "merr")]
    process = subprocess.Popen([*program, "--workers", "1"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("ingest 3/3")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "emotion-llama: interrupted; run the same command again to go on"
    assert "not yet" in err
    assert "Traceback" not in err
    assert main(["merr", "build", str(sounds), "--out", str(tmp_path / "merr"), "--workers", "1", "-q"]) == 0


# --- tables


def test_the_tally_of_a_build_with_everything_in_it() -> None:
    phases = (
        PhaseTally("ingest", 5, 0, {"same bytes as another clip": 1}, {}, {"no video or sound": 2}, wall_seconds=1.2),
        PhaseTally(
            "fine_caption", 10, 20, {}, {"the description does not support the label": 3},
            {f"reason {i} of a long list of reasons that goes on until no line holds it": i for i in range(9, 2, -1)},
            waiting=4, wall_seconds=3723.0,
        ),
    )  # fmt: skip
    tally = BuildTally(Path("merr"), phases, 100, 50, 30, {"no longer among the inputs": 7})
    assert tally.failed == 44
    text = tally_text(tally, colour=False, encoding="utf-8")
    assert text.splitlines()[:3] == [
        "phase                     done   skipped   dropped    failed   not yet      time",
        "  ingest                     5         -         1         2         -      0:01",
        "  fine_caption              10        20         3        42         4   1:02:03",
    ]
    assert max(map(len, text.splitlines())) <= 80
    assert "    12  fine_caption, failed          3 other reasons" in text
    assert text.endswith(
        "100 clips: 50 in the coarse set, 30 of them in the fine set\n7 set aside, no longer among the inputs\n"
    )
    assert "\x1b[1m" in tally_text(tally, colour=True, encoding="utf-8")


def last_build(**changes: object) -> Build:
    values: dict[str, object] = {
        "id": 1, "plan": "p", "host": "h", "pid": 5, "engine": "local", "workers": 4,
        "began_at": "2026-01-01T10:00:00+00:00", "phase": "evidence", **changes,
    }  # fmt: skip
    return Build(**values)  # type: ignore[arg-type]


def test_status_of_a_running_build_says_who_and_where() -> None:
    phase = PhaseTally("evidence", 10, running=4, waiting=90, seconds=75.0)
    status = BuildStatus(100, 0, 0, {}, (phase,), (last_build(),), last_build(), 0)
    lines = status_text(status, colour=False, encoding="utf-8").splitlines()
    assert lines[1] == "  evidence                  10         -         -         4        90      1:15"
    assert " ".join(" ".join(lines[4:]).split()) == (
        "running now: pid 5 on h, since 2026-01-01T10:00:00+00:00, at evidence, local engine, 4 workers"
    )


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (None, "none ever was"),
        (last_build(), "the last one died; run the same command again to go on"),
        (last_build(how_ended="died", ended_at="x"), "the last one died"),
        (last_build(how_ended="interrupted", ended_at="x"), "the last one was interrupted; run the same command"),
        (last_build(how_ended="failed", ended_at="x"), "the last one ended with an error"),
        (
            last_build(how_ended="done", ended_at="x"),
            "the last one did all it could; run the same command again to try",
        ),
    ],
)
def test_status_says_how_the_last_build_ended(last: Build | None, said: str) -> None:
    phase = PhaseTally("evidence", 10, failed={"timeout": 1}, seconds=75.0)
    text = status_text(BuildStatus(11, 0, 0, {}, (phase,), (), last, 1), colour=False, encoding="ascii")
    assert f"no build is running: {said}" in " ".join(text.split())
    assert text.isascii()


# --- the line


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with BuildLine(enabled=True) as line:
        line.begin("evidence", 10, 2)
        line.say("clip\x1b7: its subtitle cannot be read")
        line.advance(3, 0)  # too soon after the last one to be drawn
        line.end()
    text = terminal.getvalue()
    assert text.startswith("\r\x1b[Kevidence 2/10\r\x1b[Kclip\\x1b7: its subtitle cannot be read\n")
    assert text.endswith("\r\x1b[K")
    assert text.count("\n") == 1


def test_a_line_never_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with BuildLine(enabled=True) as line:
        line.begin("a phase with a name that is longer than any terminal of eighty columns could ever show", 10, 2)
    assert max(len(part) for part in terminal.getvalue().split("\r\x1b[K")) <= 79


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with BuildLine(enabled=False) as line:
        line.begin("evidence", 10, 2)
        line.advance(5, 0)
        line.say("x")
        line.end()
    assert terminal.getvalue() == ""


def test_a_failure_is_told_in_full_even_quietly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A quiet build that failed for every clip said nothing at all, and the table only counted "unreadable".
    (tmp_path / "broken.mp4").write_bytes(b"")
    assert main(["merr", "build", str(tmp_path / "broken.mp4"), "--out", str(tmp_path / "merr"), "-q"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("emotion-llama: broken, ingest: ")
    assert "empty" in err
    assert len(err.splitlines()) == 1
