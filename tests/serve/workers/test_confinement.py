"""What a child may not do, tried in processes that confine themselves as children do."""

import os
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from emotion_llama.analysis.options import Options
from emotion_llama.serve.errors import ClipRefused
from emotion_llama.serve.workers import confine, process
from emotion_llama.serve.workers.pool import MeasuringPool

from .conftest import run

linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp and /proc are Linux's")

ATTEMPTS = {
    "network": "socket.socket()",
    "unix socket": "socket.socketpair()",
    "program": "os.execv('/bin/true', ['true'])",
    "subprocess": "subprocess.run(['true'])",
    "fork": "os.fork()",
    "signal to the parent": "os.kill(os.getppid(), 0)",
    "limits of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
    "new file": "open('new', 'w')",
    "old file for writing": "open('old', 'r+')",
    "append": "open('old', 'a')",
    "remove": "os.remove('old')",
    "rename": "os.rename('old', 'other')",
    "mode": "os.chmod('old', 0o777)",
    "folder": "os.mkdir('folder')",
    "link": "os.symlink('old', 'link')",
    "truncate": "os.truncate('old', 0)",
    "memory of the parent": "open(f'/proc/{os.getppid()}/mem', 'r+b')",
}


@linux
def test_a_confined_process_only_reads_and_computes(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("kept")
    script = tmp_path / "tries.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, resource, socket, subprocess, threading
            from emotion_llama.serve.workers.confine import confine

            go, found = threading.Event(), []

            def before():  # a thread from before the filter is bound by it, too
                go.wait()
                try:
                    socket.socket()
                except PermissionError:
                    found.append("refused")

            early = threading.Thread(target=before)
            early.start()
            assert confine()
            go.set()
            early.join()
            print("early thread", *found)
            for name, attempt in {ATTEMPTS!r}.items():
                try:
                    exec(attempt)
                except PermissionError:
                    print(name, "refused")
                else:
                    print(name, "DONE")
            assert open("old").read() == "kept"
            late = threading.Thread(target=print, args=("late thread runs",))
            late.start()
            late.join()
            resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
            os.abort()
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    expected = ["early thread refused", *(f"{name} refused" for name in ATTEMPTS), "late thread runs"]
    assert done.stdout.splitlines() == expected, done.stderr
    assert done.returncode == -6  # SIGABRT: it may still end itself
    assert (tmp_path / "old").read_text() == "kept"


@linux
def test_children_are_confined() -> None:
    async def work() -> bool:
        async with MeasuringPool(1) as pool:
            return pool.counts["confined"]

    assert run(work)


def test_elsewhere_there_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine.platform, "machine", lambda: "riscv64")
    assert not confine.confine()


def test_filter_has_the_length_of_its_rules() -> None:
    refused = [*confine._REFUSED.values(), *confine._UNKNOWN.values()]
    for column, with_arguments in ((0, 5), (1, 4)):  # aarch64 has no `open`
        plain = sum(both[column] is not None for both in refused)
        # Two checks of three steps, two steps a call, five where an argument counts, and the last one.
        assert len(confine.filter_code(column, 0, 1)) == 8 * (6 + 2 * plain + 5 * with_arguments + 1)


LIMITED = """
import os, resource
from emotion_llama.serve.workers import confine
confine.at_start({parent}, 3)
confine.when_warm(300 << 20)
confine.for_clip(7)
limits = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)
print(os.nice(0), *(resource.getrlimit(limit)[0] for limit in limits))
try:
    bytearray(400 << 20)
except MemoryError:
    print("MemoryError")
bytearray(100 << 20)
"""


@linux
def test_limits_of_the_system() -> None:
    script = LIMITED.format(parent=os.getpid())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    first, second = done.stdout.splitlines()
    niceness, core, fsize, nofile, cpu = (int(word) for word in first.split())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert (niceness, core, fsize, nofile) == (os.nice(0) + 3, 0, 1 << 20, min(256, most))
    assert 8 <= cpu <= 10  # 7 more than the second or less that the start took, rounded up
    assert second == "MemoryError"
    assert done.returncode == 0


def test_a_child_whose_parent_is_another_ends_at_once() -> None:
    script = "from emotion_llama.serve.workers import confine; confine.at_start(1, 0); print('lives')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert (done.returncode, done.stdout) == (72, b"")


def test_the_watch_ends_an_orphan() -> None:
    """Without the kernel's help (macOS): the child sees that its parent has changed."""
    child = (
        "from emotion_llama.serve.workers import confine; import os, time; confine.start_watch(os.getppid(), 1 << 40);"
    )
    child += "print(os.getpid(), flush=True); time.sleep(3600)"
    middle = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        assert parent.stdout.read() == ""  # ends when the orphan, which holds the pipe too, has ended
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


def test_memory_is_watched_where_there_is_no_proc(
    tmp_path: Path, bad_child: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (tmp_path / "bad_child.py").read_text()
    blind = "confine.has_proc = lambda: False\nconfine.start_watch(parent, memory)\nchannel.send"
    script = tmp_path / "blind.py"
    script.write_text(text.replace("channel.send", blind, 1))
    monkeypatch.setattr(process, "CHILD", (str(script),))
    monkeypatch.setattr(process, "has_proc", lambda: False)

    async def work() -> None:
        async with MeasuringPool(1, memory_bytes=512 << 20, seconds=600.0) as pool:
            with pytest.raises(ClipRefused, match="more memory than a clip may"):
                await pool.analyze(Path("/x/bomb"), Options())

    run(work)
