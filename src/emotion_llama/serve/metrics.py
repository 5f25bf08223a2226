"""Figures for Prometheus: requests, seconds by stage, what waits, and what became of children and batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
CLOSED_BY_CLIENT = 499  # nginx's status for it; no answer was sent


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "emotion_llama_requests", "requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "emotion_llama_request_seconds",
            "from a request's headers to the end of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "emotion_llama_stage_seconds",
            "seconds of each stage of an analysis",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_work = Gauge("emotion_llama_requests_in_work", "requests not yet answered", registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stages(self, seconds_by_stage: Mapping[str, float]) -> None:
        """A clip was analysed."""
        for stage, seconds in seconds_by_stage.items():
            self._stages.labels(stage).observe(seconds)

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show a figure that another part keeps; asked for at each scrape."""
        Gauge(f"emotion_llama_{name}", help_text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All figures in Prometheus' text form."""
        return generate_latest(self.registry)


class CountRequests:
    """ASGI middleware that counts and times requests by route, not by path: clients choose paths."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = CLOSED_BY_CLIENT, time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_work.track_inprogress():
            try:
                await self._app(scope, receive, note_status)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.count(_method(scope["method"]), route, status, time.perf_counter() - began)


def _method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "OTHER"
