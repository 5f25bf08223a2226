"""What the kernel lets a child process do, which decodes strangers' files: compute, read a few folders, answer.

A decoder that a file has taken over runs as the server's own user. Two of Linux's means bind it, both for good:

- Landlock (Linux 5.13) limits what it can open: the folders of Python and of the system's libraries, its own entry
  under /proc, and the folder of clips; nothing for writing. So the memory and the environment of other processes, where
  keys lie, are out of reach. Where the folder of clips is known, root gives up every capability besides; it stays the
  same user, because another one could not read a Python installation in root's home.
- A list of system calls (seccomp, Linux 3.17; numbers from the kernel's `syscall_64.tbl` and `asm-generic/unistd.h`)
  allows those that decoding and measuring make. All others get EPERM, and calls newer than Linux 5.1 get ENOSYS, for
  which the C library has another way.

Neither keeps it from reading other clips in the folder of clips: only processes of their own would.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h

# name -> number on x86_64, on aarch64 (which has only the newer of two calls); the most frequent ones come first.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "newfstatat": (262, 79), "read": (0, 63), "lseek": (8, 62), "mmap": (9, 222), "munmap": (11, 215),
    "futex": (202, 98), "close": (3, 57), "madvise": (28, 233), "brk": (12, 214), "mprotect": (10, 226),
    "write": (1, 64), "writev": (20, 66), "readv": (19, 65), "pread64": (17, 67),
    # the socket to the server, which is the only one: none can be made
    "sendto": (44, 206), "recvfrom": (45, 207), "getsockopt": (55, 209), "shutdown": (48, 210),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    # about files; opening is looked at below
    "fstat": (5, 80), "stat": (4, None), "lstat": (6, None), "statx": (332, 291), "statfs": (137, 43),
    "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17),
    "fadvise64": (221, 223), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    # memory, threads, signals to itself
    "mremap": (25, 216), "membarrier": (324, 283), "rseq": (334, 293), "set_robust_list": (273, 99),
    "set_tid_address": (218, 96), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128), "exit": (60, 93),
    "exit_group": (231, 94),
    # about itself and the machine
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getpriority": (140, 141), "getrlimit": (97, 163),
    "setrlimit": (160, 164), "getrusage": (98, 165), "times": (100, 153), "uname": (63, 160), "sysinfo": (99, 179),
    "getrandom": (318, 278),
    # clocks
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None),
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000  # linux/sched.h
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC (linux/fcntl.h): not F_SETOWN, which sends signals
_FCNTL = (0, 1, 2, 3, 4, 1030)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX (asm-generic/ioctls.h): not TIOCSTI, which types for others
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_PRCTL = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (linux/prctl.h)
_FIRST_OF_LATER_CALLS = 424  # from Linux 5.1 on, with one number on all machines

# machine -> its column above, its number in linux/audit.h, the numbers of seccomp and capset
_MACHINES = {"x86_64": (0, 0xC000003E, 317, 126), "aarch64": (1, 0xC00000B7, 277, 91)}

# linux/bpf_common.h, linux/filter.h, linux/seccomp.h
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1

# linux/landlock.h: numbers of the calls (on all machines), rights to read, and how many rights each version knows
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # from 5 on 16
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def limit_reading(clips: Sequence[Path] = ()) -> bool:
    """Let this process open nothing but what Python needs and what lies in these folders; False where nothing limits.

    Binds the thread that calls and those that it starts: call it before there are others. Without folders everything is
    readable but other processes' entries under /proc.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if clips:  # files that the server's user owns, so that root needs no power over those of others
        libc.syscall(machine[3], struct.pack("<Ii", _CAPABILITY_VERSION, 0), bytes(24))
    version: int = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1 or len(list(Path("/proc/self/task").iterdir())) > 1:
        return False
    # Rights over files, over TCP (from version 4 on), and what is kept from other processes (6): signals, sockets.
    rights = [(1 << _FILE_RIGHTS.get(version, 16)) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0]
    attributes = struct.pack("<3Q", *rights)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules: int = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in _readable(clips):
            with suppress(OSError):  # what is not there need not be readable
                _allow_reading(libc, rules, path)
        answer: int = libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return answer == 0


def _allow_reading(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    at = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        libc.syscall(_ADD_RULE, rules, 1, struct.pack("<Qi", rights, at), 0)
    finally:
        os.close(at)


def _readable(clips: Sequence[Path]) -> list[Path]:
    own = [Path("/proc/self"), Path("/proc/cpuinfo"), Path("/proc/meminfo")]
    if not clips:
        return [*own, *(path for path in Path("/").iterdir() if path != Path("/proc"))]
    python = [sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *filter(None, sys.path)]
    system = [f"/{name}" for name in ("usr", "lib", "lib64", "etc/fonts", "etc/ld.so.cache", "etc/localtime", "sys")]
    return [*own, Path(__file__).parents[2], *map(Path, [*python, *system, "/dev/null", "/dev/urandom"]), *clips]


def confine() -> bool:
    """Set the list of system calls for all threads of this process, for good; False where this system has none."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    column, audit_arch, seccomp, _ = machine
    code = filter_code(column, audit_arch, os.getpid())
    buffer = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    answer: int = libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return answer == 0


def filter_code(column: int, audit_arch: int, pid: int) -> bytes:
    """The list as the kernel takes it, eight bytes an instruction.

    Args:
        column: of the tables above.
        audit_arch: the kernel's number of the machine; calls in another machine's manner are refused.
        pid: of the process, which may send signals to itself (abort does).
    """
    refuse, allow = _step(_RETURN, _ERROR | errno.EPERM), _step(_RETURN, _ALLOW)
    code = [
        _step(_LOAD, _ARCH_AT), _step(_EQUAL, audit_arch, 1, 0), refuse,
        _step(_LOAD, _NUMBER_AT), _step(_AT_LEAST, _X32_BIT, 0, 1), refuse,
    ]  # fmt: skip
    for both in _ALLOWED.values():
        if (number := both[column]) is not None:
            code += [_step(_EQUAL, number, 0, 1), allow]
    # number, argument (the lower half of it), and the values that are allowed
    one_of: tuple[tuple[tuple[int, int], int, Sequence[int]], ...] = (
        ((72, 25), 1, _FCNTL), ((16, 29), 1, _IOCTL), ((157, 167), 0, _PRCTL), ((234, 131), 0, (pid,)),  # tgkill
        ((302, 261), 0, (0,)),  # prlimit of itself
    )  # fmt: skip
    for pair, argument, values in one_of:
        tests = [step for value in values for step in (_step(_EQUAL, value, 0, 1), allow)]
        code += [_step(_EQUAL, pair[column], 0, len(tests) + 2), _argument(argument), *tests, refuse]
    # open and openat without bits that write, clone with the bit of a thread
    for number, argument in (((2, None)[column], 1), ((257, 56)[column], 2)):
        if number is not None:
            code += [_step(_EQUAL, number, 0, 4), _argument(argument), _step(_ANY_BIT, _WRITING, 0, 1), refuse, allow]
    code += [_step(_EQUAL, (56, 220)[column], 0, 4), _argument(0), _step(_ANY_BIT, _CLONE_THREAD, 1, 0), refuse, allow]
    code += [_step(_AT_LEAST, _FIRST_OF_LATER_CALLS, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS), refuse]
    return b"".join(code)


def _argument(number: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + 8 * number)


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, value)
