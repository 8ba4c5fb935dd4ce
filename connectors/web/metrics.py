"""Metrics as plain data, and as Prometheus text. They are read when they are asked for.

Counting costs the hot path nothing: a process keeps its running totals in plain integers, and
``families`` turns them into ``Metric`` values at the moment of a scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is now.

    name  : as Prometheus wants it; a counter's ends in ``_total``
    type  : ``counter`` (a running total) or ``gauge``
    value : one number, or one for each set of labels; all sets have the same label names
    """

    name: str
    help: str
    type: Literal["counter", "gauge"]
    value: float | Sequence[Sample]


Families = Callable[[], Iterable[Metric]]


class Exposition:
    """What ``/metrics`` answers: the families, and CPU, memory and files of this process."""

    def __init__(self, families: Families) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(families))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Reader(Collector):
    def __init__(self, families: Families) -> None:
        self._families = families

    def describe(self) -> Iterable[Family]:
        # asked at registration, when nothing may be read yet
        return ()

    def collect(self) -> Iterable[Family]:
        return [_family(metric) for metric in self._families()]


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    if isinstance(metric.value, int | float):
        return kind(metric.name, metric.help, value=metric.value)
    samples = list(metric.value)
    names = sorted(samples[0][0]) if samples else []
    family = kind(metric.name, metric.help, labels=names)
    for labels, value in samples:
        if sorted(labels) != names:
            raise ValueError(
                f"{metric.name}: expected the labels {names} in every sample, got {sorted(labels)}"
            )
        family.add_metric([labels[name] for name in names], value)
    return family
