"""A child process as the server sees it: started with a small environment, watched, killed with its group, reaped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

from emotion_llama.serve.workers.confine import EXIT_MEMORY, has_proc

CHILD: tuple[str, ...] = ("-m", "emotion_llama.serve.workers.child")  # what Python is started with
# What of the server's environment a child gets to see; keys and tokens are not in it.
_KEPT_NAMES = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT",
)  # fmt: skip
_END_SECONDS = 1.0  # for a child that closed its socket to end by itself
_TAIL_BYTES = 4000


class Process:
    """One started child and the socket to it.

    Args:
        folder: of the pool, the working directory of children; it holds warm.wav, a short sound that a child analyses
            before it is ready.
        memory_bytes: resident memory at most, and address space above that of a warm child.
        niceness: added to the server's own, so that decoding yields to answering.
        asr_model: folder of the Whisper model that it loads.
        clips: the folder of clips, where it can be kept from reading others.
    """

    def __init__(
        self,
        folder: Path,
        memory_bytes: int,
        niceness: int,
        asr_model: Path | None = None,
        clips: Path | None = None,
    ) -> None:
        """Start it; from the event loop's own thread, for Linux ends a child with the thread that started it."""
        self.socket, theirs = socket.socketpair()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        try:
            with theirs:
                arguments = [theirs.fileno(), os.getpid(), memory_bytes, niceness, folder / "warm.wav"]
                arguments += ["" if path is None else path.absolute() for path in (asr_model, clips)]
                self._popen = subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
                    [sys.executable, *CHILD, *map(str, arguments)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    cwd=folder,
                    env=_environment(folder),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:  # no memory or no process numbers left; nothing else may leak
            self.socket.close()
            self._errors.close()
            raise
        self.pid = self._popen.pid
        # A start that is cancelled at the wrong moment may leave nobody to call `close`.
        weakref.finalize(self, self._errors.close)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def resident_bytes(self) -> int | None:
        """Memory in use now; None where the system does not say (no /proc) or the child has ended."""
        if not has_proc():
            return None
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            return None

    def kill(self) -> None:
        """End it and all that it may have started, at once."""
        if self.is_alive:  # else its number may be another's by now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def ended(self, seconds: float = _END_SECONDS) -> int:
        """Its exit code, negative for a signal; it is killed when it does not end by itself in time."""
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._popen.wait, seconds)
        self.kill()
        return await asyncio.to_thread(self._popen.wait)

    def stderr_tail(self) -> str:
        """The end of what it wrote to its standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL_BYTES))
        return self._errors.read().decode("utf-8", "replace")

    def close(self) -> None:
        """Close the file behind its standard error."""
        self._errors.close()


def described(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return "ran out of memory" if code == EXIT_MEMORY else f"ended with exit code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_NAMES if name in os.environ}
    if "PYTHONPATH" in kept:  # a child has another working directory
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    return kept | {
        "TMPDIR": str(folder),
        "MPLCONFIGDIR": str(folder),
        # Clips are the unit of parallel work; threads within one cost more than they give.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each further arena of glibc maps 64 MB
    }
