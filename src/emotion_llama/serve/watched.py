"""The figures that pool and engine keep of themselves, shown to Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emotion_llama.serve.state import ServeState

_POOL = {
    "children": "child processes that measure clips",
    "ready": "children that wait for a clip",
    "working": "children that work on one",
    "waiting": "clips that wait for a child",
    "confined": "1 where the kernel keeps children from all but reading and computing",
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


def watch(state: ServeState) -> None:
    """Let the server's registry ask pool and engine at each scrape."""
    state.metrics.registry.register(_Watched(state))


class _Watched(Collector):
    def __init__(self, state: ServeState) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead: figures are asked for when there are some."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All figures of now."""
        yield GaugeMetricFamily("emotion_llama_uploads", "bodies in work", value=self._state.uploads)
        yield from self._pool()
        yield from self._engine()

    def _pool(self) -> Iterable[Metric]:
        pool = self._state.pool.state
        for name, told in _POOL.items():
            yield GaugeMetricFamily(f"emotion_llama_pool_{name}", told, value=getattr(pool, name))
        yield CounterMetricFamily("emotion_llama_pool_replaced", "children that were replaced", value=pool.replaced)
        yield CounterMetricFamily("emotion_llama_pool_clips", "clips that children took", value=pool.clips)

    def _engine(self) -> Iterable[Metric]:
        figures = self._state.engine.figures if self._state.engine is not None else {}
        waiting = GaugeMetricFamily("emotion_llama_engine_waiting", "requests that wait for a model", labels=["model"])
        batches = CounterMetricFamily("emotion_llama_engine_batches", "batches by size", labels=["model", "size"])
        for model, figure in figures.items():
            waiting.add_metric([model], figure.waiting)
            for size, count in sorted(figure.batch_sizes.items()):
                batches.add_metric([model, str(size)], count)
        yield from (waiting, batches)
        for name, told in _ENGINE.items():
            counter = CounterMetricFamily(f"emotion_llama_engine_{name}", told, labels=["model"])
            for model, figure in figures.items():
                counter.add_metric([model], getattr(figure, name))
            yield counter
