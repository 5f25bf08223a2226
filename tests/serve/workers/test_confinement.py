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
from emotion_llama.serve.workers import process, sandbox
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
    # What an earlier list, of what is forbidden, let through:
    "signals by input and output": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "which signal": "fcntl.fcntl(0, fcntl.F_SETSIG, 9)",
    "asynchronous input": "fcntl.ioctl(0, 0x5412, b'x')",  # TIOCSTI
    "files by handle": "call(304, -100, b'', 0)",  # open_by_handle_at
    "times": "os.utime('old', (0, 0))",
    "extended attribute": "os.setxattr('old', 'user.x', b'1')",
    "shared memory": "call(29, 0, 4096, 0o1600)",  # shmget
    "message queue": "call(240, b'q', 0o102, 0o600, None)",  # mq_open
    "timer": "call(222, 0, None, None)",  # timer_create
    "priority of the parent": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "processors of the parent": "os.sched_setaffinity(os.getppid(), {0})",
    "session": "os.setsid()",
    "user": "os.setuid(65534)",
    "dumps of this process": "prctl(4, 1)",  # PR_SET_DUMPABLE
}
# Calls that the kernel itself would not know: for them the C library has another way.
UNKNOWN = {"mounts": 430, "mount trees": 428, "descriptors of processes": 434, "clone3": 435, "io_uring": 425}


@linux
def test_a_confined_process_only_reads_and_computes(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("kept")
    script = tmp_path / "tries.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import ctypes, errno, fcntl, os, resource, socket, subprocess, threading
            from emotion_llama.serve.workers.sandbox import confine

            libc = ctypes.CDLL(None, use_errno=True)

            def call(*arguments):
                if libc.syscall(*arguments) < 0 and ctypes.get_errno() == errno.EPERM:
                    raise PermissionError

            def prctl(*arguments):
                if libc.prctl(*arguments, 0, 0, 0) < 0 and ctypes.get_errno() == errno.EPERM:
                    raise PermissionError

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
            for number in {UNKNOWN!r}.values():
                assert libc.syscall(number, 0, 0, 0) == -1 and ctypes.get_errno() == errno.ENOSYS, number
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


READ = """
import os, subprocess, sys, threading
from pathlib import Path
from emotion_llama.serve.workers import confine, sandbox
confine.at_start({parent}, 0)
assert sandbox.limit_reading({clips})
import email.mime.text  # Python itself stays readable
def tries(path):
    try:
        return str(len(open(path, "rb").read(8)))
    except PermissionError:
        return "refused"
paths = {paths}
print(*map(tries, paths))
thread = threading.Thread(target=lambda: print(*map(tries, paths)))
thread.start()
thread.join()
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")))
"""


@linux
@pytest.mark.parametrize("is_known", [True, False])
def test_a_child_reads_the_folder_of_clips_and_no_other(tmp_path: Path, is_known: bool) -> None:
    """The environment of the server, where its keys lie, was readable."""
    clips, other = tmp_path / "clips", tmp_path / "other"
    for folder in (clips, other):
        folder.mkdir()
        (folder / "clip.mp4").write_text("12345678")
    paths = [str(clips / "clip.mp4"), str(other / "clip.mp4"), f"/proc/{os.getpid()}/environ", "/proc/self/status"]
    script = READ.format(parent=os.getpid(), paths=paths, clips=f"[Path({str(clips)!r})]" if is_known else "[]")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second, capabilities = done.stdout.splitlines()
    assert first == second == ("8 refused refused 8" if is_known else "8 8 refused 8")
    if is_known:
        assert int(capabilities, 16) == 0  # also where the tests run as root


def test_elsewhere_there_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    assert not sandbox.confine()
    assert not sandbox.limit_reading()


def test_filter_has_the_length_of_its_rules() -> None:
    for column, opens in ((0, 2), (1, 1)):  # aarch64 has no `open`
        plain = sum(both[column] is not None for both in sandbox._ALLOWED.values())
        values = len(sandbox._FCNTL) + len(sandbox._IOCTL) + len(sandbox._PRCTL) + 1 + 1
        # Two checks of three steps, two steps a call; where an argument counts three and two a value; five where bits
        # of it count; and the last three.
        assert len(sandbox.filter_code(column, 0, 1)) == 8 * (6 + 2 * plain + 5 * 3 + 2 * values + 5 * (opens + 1) + 3)


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
