"""The measures of a database as metrics of Prometheus."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from oms_topology.errors import MissingExtraError, OmsTopologyError
from oms_topology.persistence.measures import read_measures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Engine

__all__ = ["METRICS", "MeasureServer"]

_PREFIX: Final = "oms_topology_"
METRICS: Final = {
    "meters": "Active meters by power status.",
    "meters_unknown_share": "Share of active meters whose power status is unknown.",
    "substation_meters_unknown_share": "The same for each substation.",
    "substation_without_meters": "1 for each active substation without an active meter.",
    "slow_checks": "Checks of meters that took more than a second, in the last hour.",
    "slowest_check_seconds": "The longest of them.",
    "feed_delay_seconds": "Median time from event to receipt of the newest messages of the last hour.",
    "feed_silence_seconds": "Time since a provider was last heard.",
    "stream_silence_seconds": "Time since a consumer group last recorded how far it has come in a topic.",
    "dead_letters": "Messages that could not be used and were not replayed.",
    "inference_backlog": "Pieces of work that wait to be weighed.",
    "inference_backlog_seconds": "How long the oldest of them waits.",
    "notification_backlog": "Notifications that are due and not sent.",
    "notification_backlog_seconds": "How long the oldest of them is due.",
    "open_outages": "Open outages by status.",
    "storm_mode": "1 while storm mode is on.",
}
"""What each measure means; its metric has the same name behind ``oms_topology_``."""


class MeasureServer:
    """Answers ``/metrics`` with what the database measures at that moment, from its own threads.

    Parameters
    ----------
    engine : Engine
        The database; ``oms_topology_up`` is 0 while it cannot be read.
    host : str
        The address to listen on.
    port : int
        0 for any free one.

    Raises
    ------
    MissingExtraError
        The extra ``monitoring`` is not installed.
    OSError
        The address is not free.
    """

    def __init__(self, engine: Engine, host: str, port: int) -> None:
        prometheus = _client_library()
        registry = prometheus.CollectorRegistry()
        registry.register(_DatabaseCollector(engine))
        self._server, self._thread = prometheus.start_http_server(port, host, registry)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _DatabaseCollector:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Any]:
        """Name nothing beforehand, so that registering does not ask the database."""
        return []

    def collect(self) -> Iterator[Any]:
        gauge = _client_library().core.GaugeMetricFamily
        try:
            measures, limits = read_measures(self._engine)
        except OmsTopologyError:
            yield gauge(f"{_PREFIX}up", "1 while the database can be read.", value=0)
            return
        yield gauge(f"{_PREFIX}up", "1 while the database can be read.", value=1)
        limit = gauge(f"{_PREFIX}monitor_limit", "Above which a measure is an alert.", labels=["name"])
        for name, value in limits.items():
            limit.add_metric([name], value)
        yield limit
        for name, rows in groupby(measures, key=lambda measure: measure.name):
            known = list(rows)
            labels = list(known[0].labels)
            family = gauge(_PREFIX + name, METRICS.get(name, ""), labels=labels)
            for row in known:
                family.add_metric([row.labels[label] for label in labels], row.value)
            yield family


def _client_library() -> Any:
    try:
        import prometheus_client
        import prometheus_client.core
    except ImportError:
        raise MissingExtraError("Serving metrics", "monitoring") from None
    return prometheus_client
