"""Prometheus metrics of one server: requests, seconds by stage, and what pool, engine and jobs count themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

PoolCounts = Callable[[], Mapping[str, int]]
EngineCounts = Callable[[], Mapping[str, Mapping[str, Any]]]  # by model
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_POOL = {
    "children": "child processes that measure clips",
    "ready": "children that wait for a clip",
    "working": "children that work on one",
    "waiting": "clips that wait for a child",
    "confined": "1 where the kernel limits what children read and which system calls they make",
}
_ENGINE = {
    "answers": "labels given by a model, declined ones among them",
    "questions": "chats begun",
    "tokens": "tokens written in chats",
    "encodes": "how often encoders ran over a clip",
    "cache_hits": "how often features of a clip were there already",
    "failures": "requests to a model that ended in an error",
    "busy_seconds": "seconds spent in the model",
}


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "emotion_llama_requests", "requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "emotion_llama_request_seconds", "from a request's headers to the end of its answer", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._stages = Histogram(
            "emotion_llama_stage_seconds", "seconds of each stage of an analysis", ("stage",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.in_work = Gauge("emotion_llama_requests_in_work", "requests not yet answered", registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stages(self, seconds_by_stage: Mapping[str, float]) -> None:
        """Count an analysed clip."""
        for stage, seconds in seconds_by_stage.items():
            self._stages.labels(stage).observe(seconds)

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show a value that another part keeps; it is asked for at each scrape."""
        Gauge(f"emotion_llama_{name}", help_text, registry=self.registry).set_function(value)

    def watch_models(self, pool: PoolCounts, engine: EngineCounts) -> None:
        """Show what pool and engine (model -> counts) have done; both are asked at each scrape."""
        self.registry.register(_PoolAndEngine(pool, engine))

    def text(self) -> bytes:
        """All metrics in Prometheus' text form."""
        return generate_latest(self.registry)


class _PoolAndEngine(Collector):
    def __init__(self, pool: PoolCounts, engine: EngineCounts) -> None:
        self._pool, self._engine = pool, engine

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: pool and engine are asked when they run."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All values of this moment."""
        pool = self._pool()
        for name, text in _POOL.items():
            yield GaugeMetricFamily(f"emotion_llama_pool_{name}", text, value=pool[name])
        yield CounterMetricFamily("emotion_llama_pool_replaced", "children that were replaced", value=pool["replaced"])
        yield CounterMetricFamily("emotion_llama_pool_clips", "clips that children took", value=pool["clips"])
        models = self._engine()
        waiting = GaugeMetricFamily("emotion_llama_engine_waiting", "requests that wait for a model", labels=["model"])
        batches = CounterMetricFamily("emotion_llama_engine_batches", "batches by size", labels=["model", "size"])
        for model, done in models.items():
            waiting.add_metric([model], done["waiting"])
            for size, count in sorted(done["batch_sizes"].items()):
                batches.add_metric([model, str(size)], count)
        yield from (waiting, batches)
        for name, text in _ENGINE.items():
            counter = CounterMetricFamily(f"emotion_llama_engine_{name}", text, labels=["model"])
            for model, done in models.items():
                counter.add_metric([model], done[name])
            yield counter
