"""How often somebody may call: a token bucket for each, of a bounded number of callers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

# Callers that are remembered; the one that called longest ago is forgotten first, and its bucket is full again by then
# unless so many call at once.
MAX_CALLERS = 10_000


class RateLimiter:
    """A bucket of `per_minute` tokens for each caller that fills evenly in a minute; None is no limit."""

    def __init__(self, per_minute: int | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, caller: str) -> float:
        """Take a token: 0 where there was one, else the seconds until there is one."""
        if self._per_minute is None:
            return 0.0
        now, per_second = self._now(), self._per_minute / 60.0
        tokens, then = self._buckets.pop(caller, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - then) * per_second)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / per_second
        self._buckets[caller] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait
