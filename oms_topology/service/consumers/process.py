"""A consumer process: one thread a source, stopped together."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from threading import Event, Thread
from typing import TYPE_CHECKING

from oms_topology.service.consumers.backoff import Backoff
from oms_topology.service.consumers.bookmarks import Bookmarks
from oms_topology.service.consumers.health import HealthServer
from oms_topology.service.consumers.kafka import KafkaSource
from oms_topology.service.consumers.loop import ConsumerLoop
from oms_topology.service.consumers.metrics import ConsumerMetrics
from oms_topology.service.consumers.writer import BatchWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.persistence.database import Database
    from oms_topology.service.consumers.settings import ConsumerSettings

__all__ = ["ConsumerProcess"]

_LOG = logging.getLogger(__name__)


class ConsumerProcess:
    """Takes the messages of several sources in, side by side.

    Parameters
    ----------
    database : Database
        Where they go.
    providers : sequence of str
        Whose messages; each has a member of its own group, in a thread of its own.
    settings : ConsumerSettings
        What holds for all of them.

    Raises
    ------
    MissingExtraError
        The extra ``kafka`` is not installed.
    """

    def __init__(self, database: Database, providers: Sequence[str], settings: ConsumerSettings) -> None:
        self.metrics = ConsumerMetrics()
        self.stop = Event()
        self._errors: list[BaseException] = []
        self._threads = [
            Thread(target=self._run, args=(database, provider, settings), name=provider)
            for provider in providers
        ]

    def run(self, *, health_address: tuple[str, int] | None = None) -> None:
        """Work until :attr:`stop` is set, or one of the sources ends with an error.

        Parameters
        ----------
        health_address : (str, int), optional
            Host and port of the health page; none when left out.

        Raises
        ------
        BrokerError, SchemaVersionError
            A source could not go on; the others have been stopped in good order.
        OSError
            The address of the health page is not free; nothing was read.
        """
        with ExitStack() as stack:
            if health_address is not None:
                server = stack.enter_context(HealthServer(self.metrics, *health_address))
                _LOG.info("health page", extra={"port": server.port})
            for thread in self._threads:
                thread.start()
            self.stop.wait()
            for thread in self._threads:
                thread.join()
        if self._errors:
            raise self._errors[0]

    def _loop(self, database: Database, provider: str, settings: ConsumerSettings) -> ConsumerLoop:
        stream = settings.stream(provider)
        bookmarks = Bookmarks(database.engine, stream.consumer_group, stream.topic)
        return ConsumerLoop(
            KafkaSource(provider, bookmarks, settings),
            BatchWriter(database),
            self.metrics.of(provider),
            self.stop,
            batch_messages=settings.batch_messages,
            backoff=Backoff(limit_s=settings.retry_limit_s),
        )

    def _run(self, database: Database, provider: str, settings: ConsumerSettings) -> None:
        try:
            self._loop(database, provider, settings).run()
        except BaseException as error:  # noqa: BLE001 - told to the main thread, which raises it
            _LOG.exception("a source ended")
            self._errors.append(error)
        finally:
            self.stop.set()
