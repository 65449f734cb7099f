"""The loop: poll, record, acknowledge; wait and try again when the database is away."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from oms_topology.errors import OmsTopologyError, StoreError
from oms_topology.service.consumers.backoff import Backoff
from oms_topology.service.consumers.source import positions_after
from oms_topology.service.consumers.writer import is_the_messages_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from oms_topology.model import Receipt
    from oms_topology.service.consumers.metrics import LoopMetrics
    from oms_topology.service.consumers.source import MessageSource, SourceMessage
    from oms_topology.service.consumers.writer import BatchWriter

__all__ = ["ConsumerLoop"]

_T = TypeVar("_T")

_LOG = logging.getLogger(__name__)
_POLL_S = 0.5
_KEEP_ALIVE_S = 0.1


class ConsumerLoop:
    """Takes the messages of one source in until it is told to stop.

    Parameters
    ----------
    source : MessageSource
        Where they come from.
    writer : BatchWriter
        Where they go; both belong to the thread that calls :meth:`run`.
    metrics : LoopMetrics
        Told of everything that an operator may want to count.
    stop : threading.Event
        When set, the batch in hand is finished, and nothing more is read.
    batch_messages : int
        How many messages go into one transaction at the most.
    backoff : Backoff, optional
        How long to wait for a database that is away.

    Notes
    -----
    Nothing is acknowledged before it is committed, and nothing is left out: a batch that could not be
    recorded is tried again until it is, or is read again by whoever comes next.
    """

    def __init__(
        self,
        source: MessageSource,
        writer: BatchWriter,
        metrics: LoopMetrics,
        stop: Event,
        *,
        batch_messages: int = 500,
        backoff: Backoff | None = None,
    ) -> None:
        self._source = source
        self._writer = writer
        self._metrics = metrics
        self._stop = stop
        self._batch_messages = batch_messages
        self._backoff = backoff or Backoff()

    def run(self) -> None:
        """Work until told to stop, then leave the source.

        Raises
        ------
        BrokerError
            The broker will not have this reader.
        SchemaVersionError
            The database is not of this version.
        """
        try:
            while not self._stop.is_set():
                messages = self._persistently(lambda: self._source.poll(self._batch_messages, _POLL_S))
                if messages:
                    self._take_in(messages)
                self._metrics.turned(self._source)
        finally:
            self._source.close()
            self._writer.close()

    def _take_in(self, messages: Sequence[SourceMessage]) -> None:
        pairs = [(message.provider, message.payload) for message in messages]
        positions = positions_after(messages)
        began_at = time.perf_counter()
        receipts: Sequence[Receipt] | None = self._persistently(lambda: self._writer.write(pairs, positions))
        if receipts is None:
            return  # told to stop while the database was away; whoever comes next reads them again
        self._metrics.recorded(receipts, time.perf_counter() - began_at)
        self._source.acknowledge(positions)

    def _persistently(self, attempt: Callable[[], _T]) -> _T | None:
        """Try until it works; None when told to stop before it did."""
        while True:
            try:
                result = attempt()
            except OmsTopologyError as error:
                if not _may_pass(error):
                    raise
                self._metrics.failed(error)
                if not self._waited(error):
                    return None
            else:
                self._back_to_work()
                return result

    def _waited(self, error: OmsTopologyError) -> bool:
        """Keep the membership alive for a while; False when told to stop."""
        delay_s = self._backoff.next_s()
        _LOG.warning(
            "not recorded; trying again",
            extra={
                "provider": self._source.provider,
                "error": type(error).__name__,
                "attempts": self._backoff.attempts,
                "delay_s": round(delay_s, 3),
            },
        )
        self._source.pause()
        until = time.monotonic() + delay_s
        while time.monotonic() < until and not self._stop.is_set():
            self._source.keep_alive(min(_KEEP_ALIVE_S, delay_s))
            self._metrics.turned(self._source)
        return not self._stop.is_set()

    def _back_to_work(self) -> None:
        if self._backoff.attempts:
            _LOG.info("working again", extra={"provider": self._source.provider})
            self._backoff.reset()
            self._metrics.recovered()
            self._source.resume()


def _may_pass(error: OmsTopologyError) -> bool:
    # A database that refuses everything (rights, disk full) is repaired by people; messages wait for that.
    return error.is_transient or (isinstance(error, StoreError) and not is_the_messages_fault(error))
