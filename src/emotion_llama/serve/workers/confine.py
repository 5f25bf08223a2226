"""Limits of a child process: memory, files, processor time, and the life of its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

EXIT_MEMORY = 71  # the child's own watch saw too much resident memory
EXIT_ORPHAN = 72  # the parent is gone
_MAX_FILE_BYTES = 1 << 20  # nothing of ours writes files; a font cache or a log may
_MAX_OPEN_FILES = 256
_WATCH_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_STATM = Path("/proc/self/statm")


def has_proc() -> bool:
    """Whether memory in use can be read under /proc (Linux)."""
    return _STATM.exists()


def at_start(parent_pid: int, niceness: int) -> None:
    """Limits that hold from the beginning: no core file, small files, few descriptors, no new privileges.

    On Linux the kernel kills the child with its parent; elsewhere, and besides, `start_watch` does.
    """
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ):
        _lower(what, most)
    with contextlib.suppress(OSError):
        os.nice(niceness)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before it could be tied to
        os._exit(EXIT_ORPHAN)


def start_watch(parent_pid: int, memory_bytes: int) -> None:
    """A thread that ends the process when its parent is gone, and, where /proc is missing, with too much memory.

    Where /proc is there the parent reads the child's memory itself, which a child that was taken over cannot stop.
    Elsewhere (macOS) the child's own peak is taken, so that the limit there holds for its whole life.
    """

    def watch() -> None:
        while True:
            time.sleep(_WATCH_SECONDS)
            if os.getppid() != parent_pid:
                os._exit(EXIT_ORPHAN)
            if not has_proc() and peak_bytes() > memory_bytes:
                os._exit(EXIT_MEMORY)

    threading.Thread(target=watch, daemon=True, name="watch").start()


def peak_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def when_warm(memory_bytes: int) -> None:
    """Limit the address space to what is in use now and `memory_bytes` more, where the system keeps such a limit.

    What is mapped once everything is loaded (470 MB with MediaPipe) is no measure of what a clip takes, hence the sum.
    """
    if not has_proc():
        return
    mapped = int(_STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _lower(resource.RLIMIT_AS, mapped + memory_bytes)


def for_clip(cpu_seconds: float) -> None:
    """Limit the processor time from now on; SIGXCPU ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + cpu_seconds) + 1, hard=False)


def _lower(what: int, most: int, *, hard: bool = True) -> None:
    _, highest = resource.getrlimit(what)
    most = most if highest == resource.RLIM_INFINITY else min(most, highest)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them
        resource.setrlimit(what, (most, most if hard else highest))
