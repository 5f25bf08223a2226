"""Limits of a child process: memory, files, processor time, life of its parent, and the system calls it may make.

A decoder that a file has taken over runs as the server's own user. Without a filter it could end or inspect the server,
overwrite its data, or call out. The filter (seccomp, Linux 3.17; numbers of system calls from the kernel's
`syscall_64.tbl` and `asm-generic/unistd.h`) answers EPERM to all of that. It does not keep the child from reading what
the server's user may read; run the server as a user of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
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


# name -> number on x86_64, on aarch64 (which has only the newer of two calls); what is refused altogether.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # the network, and other processes by sockets
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "io_uring_setup": (425, 425),
    # programs and processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "setpriority": (141, 140),
    # changes to files
    "creat": (85, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "rmdir": (84, None), "mkdir": (83, None), "mkdirat": (258, 34), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "mknod": (133, None), "mknodat": (259, 33),
    "truncate": (76, 45), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    # the system, where the server runs as root
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
}  # fmt: skip
# Their arguments lie where a filter cannot look; the C library goes on without them.
_UNKNOWN: dict[str, tuple[int | None, int | None]] = {"openat2": (437, 437), "clone3": (435, 435)}
_OPEN, _OPENAT, _CLONE, _TGKILL, _PRLIMIT = (2, None), (257, 56), (56, 220), (234, 131), (302, 261)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000  # linux/sched.h


# machine -> its column above, its number in linux/audit.h, the number of the seccomp call
_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}

# linux/bpf_common.h, linux/filter.h, linux/seccomp.h
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine() -> bool:
    """Set the filter for all threads of this process, for good; False where this system has none."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    column, audit_arch, seccomp = machine
    code = filter_code(column, audit_arch, os.getpid())
    buffer = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    answer: int = libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return answer == 0


def filter_code(column: int, audit_arch: int, pid: int) -> bytes:
    """The filter as the kernel takes it, eight bytes an instruction.

    Args:
        column: of the tables above.
        audit_arch: the kernel's number of the machine; calls in another machine's manner are refused.
        pid: of the process, which may send signals to itself (abort does).
    """
    refuse = _step(_RETURN, _ERROR | errno.EPERM)
    code = [
        _step(_LOAD, _ARCH_AT), _step(_EQUAL, audit_arch, 1, 0), refuse,
        _step(_LOAD, _NUMBER_AT), _step(_AT_LEAST, _X32_BIT, 0, 1), refuse,
    ]  # fmt: skip
    for numbers, answer in ((_REFUSED, errno.EPERM), (_UNKNOWN, errno.ENOSYS)):
        for both in numbers.values():
            if (number := both[column]) is not None:
                code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERROR | answer)]
    # number, argument, test, value, and whether passing the test is refused
    looked_at = (
        (_OPEN, 1, _ANY_BIT, _WRITING, True),
        (_OPENAT, 2, _ANY_BIT, _WRITING, True),
        (_CLONE, 0, _ANY_BIT, _CLONE_THREAD, False),
        (_TGKILL, 0, _EQUAL, pid, False),
        (_PRLIMIT, 0, _EQUAL, 0, False),
    )
    for both, argument, test, value, is_refused in looked_at:
        if (number := both[column]) is not None:
            code += [
                _step(_EQUAL, number, 0, 4),
                _step(_LOAD, _ARGUMENTS_AT + 8 * argument),  # the lower half of it
                _step(test, value, 0, 1) if is_refused else _step(test, value, 1, 0),
                refuse,
                _step(_RETURN, _ALLOW),
            ]
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, value)
