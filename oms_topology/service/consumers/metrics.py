"""What the consumers of a process have done, for Prometheus and for the health page."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from oms_topology.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.errors import OmsTopologyError
    from oms_topology.model import Receipt, StreamPosition
    from oms_topology.service.consumers.source import MessageSource

__all__ = ["ConsumerMetrics", "LoopMetrics"]

_BATCH_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH_MESSAGES = (1, 3, 10, 30, 100, 300, 1000, 3000)


class ConsumerMetrics:
    """The counters of one process; each consumer of it has its own part.

    Raises
    ------
    MissingExtraError
        The extra ``kafka`` is not installed.
    """

    def __init__(self) -> None:
        prometheus = _client_library()
        self._text_of = prometheus.generate_latest
        self.registry = prometheus.CollectorRegistry()
        self.loops: dict[str, LoopMetrics] = {}

        def made(kind: str, name: str, purpose: str, *labels: str, **more: Any) -> Any:
            return getattr(prometheus, kind)(
                f"oms_topology_consumer_{name}", purpose, ["source", *labels], registry=self.registry, **more
            )

        self.messages = made("Counter", "messages", "Messages taken in, by what became of them.", "outcome")
        self.batch_s = made(
            "Histogram", "batch_seconds", "Time to record a batch, all attempts counted.", buckets=_BATCH_S
        )
        self.batch_messages = made(
            "Histogram", "batch_messages", "Messages in a batch.", buckets=_BATCH_MESSAGES
        )
        self.failures = made("Counter", "failures", "Attempts that failed and were made again.", "error")
        self.is_paused = made("Gauge", "paused", "1 while waiting for the database.")
        self.is_connected = made("Gauge", "broker_connected", "1 while a broker is connected.")
        self.last_commit = made(
            "Gauge", "last_commit_timestamp_seconds", "When the last batch was committed."
        )
        self.lag = made("Gauge", "lag_messages", "Messages waiting in a partition.", "topic", "partition")

    def of(self, provider: str) -> LoopMetrics:
        """Give the part of one consumer, made when first asked for."""
        return self.loops.setdefault(provider, LoopMetrics(self, provider))

    def text(self) -> bytes:
        """Write all in the text format of Prometheus."""
        return bytes(self._text_of(self.registry))


class LoopMetrics:
    """What one consumer did; written by its thread, read by others.

    Attributes
    ----------
    is_paused : bool
        Whether it waits for the database.
    is_connected : bool
        Whether its broker is connected.
    turned_at : float
        When its loop last went round, in seconds of :func:`time.monotonic`.
    lag : dict
        Messages waiting, by topic and partition.
    """

    def __init__(self, all_metrics: ConsumerMetrics, provider: str) -> None:
        self._all = all_metrics
        self._provider = provider
        self.is_paused = False
        self.is_connected = False
        self.turned_at = time.monotonic()
        self.lag: dict[tuple[str, str], int] = {}
        all_metrics.is_paused.labels(provider).set(0)

    def recorded(self, receipts: Sequence[Receipt], duration_s: float) -> None:
        """Count a committed batch."""
        for outcome, count in Counter(map(_outcome, receipts)).items():
            self._all.messages.labels(self._provider, outcome).inc(count)
        self._all.batch_s.labels(self._provider).observe(duration_s)
        self._all.batch_messages.labels(self._provider).observe(len(receipts))
        self._all.last_commit.labels(self._provider).set_to_current_time()

    def failed(self, error: OmsTopologyError) -> None:
        """Count an attempt that is made again."""
        self._all.failures.labels(self._provider, type(error).__name__).inc()
        self._pause(True)

    def recovered(self) -> None:
        """Note that the database is back."""
        self._pause(False)

    def turned(self, source: MessageSource) -> None:
        """Note that the loop went round, and how much waits."""
        self.turned_at = time.monotonic()
        self.is_connected = source.is_connected
        self._all.is_connected.labels(self._provider).set(self.is_connected)
        self._told_lag({_place(held): waiting for held, waiting in source.lag.items()})

    def _pause(self, is_paused: bool) -> None:
        self.is_paused = is_paused
        self._all.is_paused.labels(self._provider).set(is_paused)

    def _told_lag(self, lag: dict[tuple[str, str], int]) -> None:
        # A partition that went to another member is that one's to tell of.
        for place in self.lag.keys() - lag.keys():
            self._all.lag.remove(self._provider, *place)
        for place, waiting in lag.items():
            self._all.lag.labels(self._provider, *place).set(waiting)
        self.lag = lag


def _place(position: StreamPosition) -> tuple[str, str]:
    return position.topic, str(position.partition)


def _outcome(receipt: Receipt) -> str:
    if not receipt.accepted:
        return "dead_letter"
    return "duplicate" if receipt.duplicate else "recorded"


def _client_library() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise MissingExtraError("Consuming messages", "kafka") from None
    return prometheus_client
