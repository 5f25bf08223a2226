"""How much and how fast a server may be asked: a budget in requests and tokens, and limits a minute.

Both are shared by all threads that ask. The clock is an argument, so that tests need not wait.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from emotion_llama.errors import AnnotationError, InputError

Spent = tuple[int, int]  # requests and tokens so far, of earlier builds too where they were given
NOTHING_SPENT: Spent = (0, 0)
_LINE = re.compile(r"-?[0-9]+ -?[0-9]+ \.")


class SpendingFile:
    """What was spent in a folder's builds so far: a line a change, so that a killed build has lost none.

    A line is written when a request is sent, with what it may cost at most, and another with the difference when its
    cost is known. A line that was cut off does not count.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> Spent:
        """The sum of all lines; nothing where there is no file.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="ascii", errors="replace").splitlines() if self.path.exists() else []
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        pairs = [tuple(map(int, line.split()[:2])) for line in lines if _LINE.fullmatch(line)]
        return max(0, sum(pair[0] for pair in pairs)), max(0, sum(pair[1] for pair in pairs))

    def add(self, requests: int, tokens: int) -> None:
        """Append one change."""
        with self.path.open("a", encoding="ascii") as file:
            file.write(f"{requests} {tokens} .\n")


class Budget:
    """What may be spent altogether. Nothing is sent that could exceed it.

    Tokens are known after a reply; before it, what the request may cost at most is set aside. Where others still wait
    for replies, a request that does not fit beside what they set aside waits for them.

    Args:
        requests, tokens: the most there may be; None is no bound.
        spent: by earlier builds.
        file: where everything that is spent is kept, and what was spent before is read from, in addition to `spent`.

    Raises:
        InputError: a bound or a count is negative, or the file cannot be read.
    """

    def __init__(
        self,
        requests: int | None = None,
        tokens: int | None = None,
        spent: Spent = NOTHING_SPENT,
        *,
        file: SpendingFile | None = None,
    ) -> None:
        if min(requests or 0, tokens or 0, *spent) < 0:
            raise InputError(f"a budget is 0 or more, got {requests = }, {tokens = }, {spent = }")
        self.most = (requests, tokens)
        before = NOTHING_SPENT if file is None else file.read()
        self._file = file
        self._spent_requests, self._spent_tokens = (sum(pair) for pair in zip(spent, before))
        self._set_aside = self._waiting = 0
        self._changed = threading.Condition()

    @property
    def spent(self) -> Spent:
        """Requests sent, and tokens used or, where a server did not say, set aside for the request."""
        with self._changed:
            return self._spent_requests, self._spent_tokens

    def take(self, tokens: int) -> None:
        """Count one request that may cost `tokens`; `settle` has to follow.

        Raises:
            AnnotationError: "budget": it would exceed what may be spent. Nothing was counted.
        """
        most_requests, most_tokens = self.most
        with self._changed:
            if most_requests is not None and self._spent_requests >= most_requests:
                raise _spent_up(f"{self._spent_requests} of {most_requests} requests are spent")
            while most_tokens is not None and self._spent_tokens + self._set_aside + tokens > most_tokens:
                if not self._waiting or self._spent_tokens + tokens > most_tokens:
                    left = max(0, most_tokens - self._spent_tokens)
                    raise _spent_up(f"a request may cost {tokens} tokens, and {left} of {most_tokens} are left")
                self._changed.wait()
                if most_requests is not None and self._spent_requests >= most_requests:
                    raise _spent_up(f"{self._spent_requests} of {most_requests} requests are spent")
            self._spent_requests += 1
            self._set_aside += tokens
            self._waiting += 1
            if self._file is not None:
                self._file.add(1, tokens)

    def settle(self, set_aside: int, used: int | None) -> None:
        """Put what a request used in the place of what was set aside; None (the server does not say) keeps that."""
        with self._changed:
            self._set_aside -= set_aside
            self._waiting -= 1
            self._spent_tokens += set_aside if used is None else used
            if self._file is not None and used is not None:
                self._file.add(0, used - set_aside)
            self._changed.notify_all()


def _spent_up(problem: str) -> AnnotationError:
    return AnnotationError("budget", f"{problem}; raise the recipe's budget to go on", attempts=0)


class Pace:
    """At most so many requests and tokens a minute, evenly spaced, and a pause for all when the server asks for one.

    Args:
        requests_per_minute, tokens_per_minute: None is no limit.
        clock, sleep: of the system; tests bring their own.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        for name, limit in (
            ("requests_per_minute", requests_per_minute),
            ("tokens_per_minute", tokens_per_minute),
        ):
            if limit is not None and not limit > 0:
                raise InputError(f"{name} is {limit}, expected a number above 0")
        self._seconds_per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._seconds_per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next_seconds = float("-inf")

    def wait(self, tokens: int) -> None:
        """Return when a request that may cost `tokens` may be sent."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next_seconds)
            self._next_seconds = start + max(self._seconds_per_request, tokens * self._seconds_per_token)
        while (left := start - now) > 0:
            self._sleep(left)
            now = self._clock()

    def hold(self, seconds: float) -> None:
        """No request starts for so long: the server said that it is overloaded. Those already waiting still start."""
        with self._lock:
            self._next_seconds = max(self._next_seconds, self._clock() + seconds)
