"""Messages of a Kafka topic, shared by the members of a group and begun where PostgreSQL says."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from oms_topology.errors import BrokerError, MissingExtraError
from oms_topology.service.consumers.source import SourceMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import confluent_kafka

    from oms_topology.model import StreamPosition
    from oms_topology.service.consumers.bookmarks import Bookmarks
    from oms_topology.service.consumers.settings import ConsumerSettings

__all__ = ["KafkaSource"]

_LOG = logging.getLogger(__name__)
_STATISTICS_MS = 2000
_PREFETCH_KIB = 16 * 1024


class KafkaSource:
    """One member of a consumer group; a :class:`~oms_topology.service.consumers.source.MessageSource`.

    Parameters
    ----------
    provider : str
        Whose messages the topic holds.
    bookmarks : Bookmarks
        Group and topic, and where to begin. The group's offsets at the broker are written for its tools, and
        never read.
    settings : ConsumerSettings
        Brokers, linger time and options.

    Raises
    ------
    MissingExtraError
        The extra ``kafka`` is not installed.
    BrokerError
        The options make no sense to the client.
    """

    def __init__(self, provider: str, bookmarks: Bookmarks, settings: ConsumerSettings) -> None:
        self._provider = provider
        self._bookmarks = bookmarks
        self._linger_s = settings.linger_s
        self._unplaced: list[int] | None = None  # assigned, but not yet put where the database says
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._is_connected = False
        self._is_paused = False
        self._kafka = _client_library()
        self._consumer = self._member(settings)
        self._consumer.subscribe(
            [bookmarks.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    @property
    def provider(self) -> str:
        """Whose messages these are."""
        return self._provider

    @property
    def is_connected(self) -> bool:
        """Whether a broker was connected when the client last counted, every two seconds."""
        return self._is_connected

    @property
    def lag(self) -> Mapping[StreamPosition, int]:
        """How many messages each partition of this member holds behind what was read, as last heard."""
        return {
            self._bookmarks.position(partition, begun): max(0, self._ends[partition] - begun)
            for partition, begun in self._next.items()
            if partition in self._ends
        }

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[SourceMessage]:
        """Wait for a first message, then a moment for more; see the protocol."""
        try:
            self._place()
            raw = self._consumer.consume(1, timeout_s)
            if raw and max_messages > 1:
                raw += self._consumer.consume(max_messages - 1, self._linger_s)
            return self._accepted(raw)
        except BaseException:
            # Whatever was fetched may not have been handed on: read it again.
            if self._unplaced is None and self._next:
                self._unplaced = sorted(self._next)
            raise

    def pause(self) -> None:
        """Fetch nothing more; the member stays in its group as long as it keeps alive."""
        if not self._is_paused:
            self._is_paused = True
            self._consumer.pause(self._consumer.assignment())

    def keep_alive(self, timeout_s: float) -> None:
        """Serve the group while paused; what comes all the same is read again later."""
        if any(message.error() is None for message in self._consumer.consume(1, timeout_s)):
            self._unplaced = sorted(self._next)

    def resume(self) -> None:
        """Fetch again."""
        if self._is_paused:
            self._is_paused = False
            self._consumer.resume(self._consumer.assignment())

    def acknowledge(self, positions: Sequence[StreamPosition]) -> None:
        """Write the group's offsets at the broker, for its tools."""
        offsets = [self._partition(held.partition, held.next_offset) for held in positions]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except self._kafka.KafkaException as error:  # for instance no longer a member
            _LOG.info("offsets not noted at the broker", extra={"error": _name(error.args[0])})

    def close(self) -> None:
        """Leave the group; its partitions go to others at once."""
        self._consumer.close()

    def _member(self, settings: ConsumerSettings) -> confluent_kafka.Consumer:
        options: dict[str, Any] = {
            "client.id": f"oms_topology-{self._provider}",
            "queued.max.messages.kbytes": _PREFETCH_KIB,
            "session.timeout.ms": int(settings.session_timeout_s * 1000),
            "heartbeat.interval.ms": int(settings.session_timeout_s * 1000 / 3),
            **settings.kafka_options,
            # What the promise of losing nothing rests on is not to be set from outside.
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": self._bookmarks.consumer_group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self._counted,
            "error_cb": self._troubled,
        }
        try:
            member: confluent_kafka.Consumer = self._kafka.Consumer(options, logger=_LOG)
        except self._kafka.KafkaException as error:
            raise BrokerError(_name(error.args[0])) from error
        return member

    def _accepted(self, raw: Sequence[confluent_kafka.Message]) -> list[SourceMessage]:
        accepted: list[SourceMessage] = []
        for message in raw:
            error = message.error()
            if error is not None:
                self._troubled(error)
                continue
            partition, offset = int(message.partition() or 0), int(message.offset() or 0)
            if offset < self._next.get(partition, 0):
                self._begun_anew(partition, offset)
            self._next[partition] = offset + 1
            position = self._bookmarks.position(partition, offset + 1)
            accepted.append(SourceMessage(self._provider, message.value() or b"", position))
        return accepted

    def _begun_anew(self, partition: int, offset: int) -> None:
        # The recorded offset was beyond the end: somebody made the topic anew, or its tail was lost.
        _LOG.warning("the stream begins anew", extra={"partition": partition, "offset": offset})
        self._bookmarks.forget([partition])

    def _assigned(self, _consumer: confluent_kafka.Consumer, partitions: Sequence[Any]) -> None:
        # Asking the database here could fail where nobody can catch it; poll() does so.
        self._unplaced = sorted(partition.partition for partition in partitions)
        self._next.clear()
        self._consumer.assign([])
        self._is_connected = True
        _LOG.info("partitions assigned", extra=self._told(self._unplaced))

    def _revoked(self, _consumer: confluent_kafka.Consumer, partitions: Sequence[Any]) -> None:
        self._unplaced = None
        self._next.clear()
        self._ends.clear()
        self._consumer.unassign()
        _LOG.info("partitions revoked", extra=self._told([held.partition for held in partitions]))

    def _place(self) -> None:
        if self._unplaced is None:
            return
        known = self._bookmarks.next_offsets()
        partitions = self._unplaced
        beginning = self._kafka.OFFSET_BEGINNING
        placed = [self._partition(number, known.get(number, beginning)) for number in partitions]
        self._consumer.assign(placed)
        # The client keeps a partition paused that was taken away while paused and then came back.
        self._consumer.resume(placed)
        self._next = {number: known.get(number, 0) for number in partitions}
        self._unplaced = None

    def _counted(self, statistics: str) -> None:
        told = json.loads(statistics)
        brokers = told.get("brokers", {}).values()
        self._is_connected = any(broker.get("state") == "UP" for broker in brokers)
        partitions = told.get("topics", {}).get(self._bookmarks.topic, {}).get("partitions", {})
        for number, partition in partitions.items():
            if int(number) in self._next and partition.get("hi_offset", -1) >= 0:
                self._ends[int(number)] = partition["hi_offset"]

    def _troubled(self, error: confluent_kafka.KafkaError) -> None:
        codes = self._kafka.KafkaError
        if error.fatal() or error.code() in _refusals(codes):
            raise BrokerError(error.name())
        if error.code() == codes._ALL_BROKERS_DOWN:
            self._is_connected = False
        _LOG.warning("trouble with the broker", extra={"provider": self._provider, "error": error.name()})

    def _partition(self, number: int, offset: int) -> confluent_kafka.TopicPartition:
        made: confluent_kafka.TopicPartition = self._kafka.TopicPartition(
            self._bookmarks.topic, number, offset
        )
        return made

    def _told(self, partitions: Sequence[int]) -> dict[str, Any]:
        return {"provider": self._provider, "partitions": list(partitions)}


def _refusals(codes: Any) -> set[int]:
    return {
        codes.TOPIC_AUTHORIZATION_FAILED,
        codes.GROUP_AUTHORIZATION_FAILED,
        codes.CLUSTER_AUTHORIZATION_FAILED,
        codes._AUTHENTICATION,
        codes.SASL_AUTHENTICATION_FAILED,
    }


def _name(error: Any) -> str:
    return str(error.name()) if hasattr(error, "name") else type(error).__name__


def _client_library() -> Any:
    try:
        import confluent_kafka
    except ImportError:
        raise MissingExtraError("Reading from Kafka", "kafka") from None
    return confluent_kafka
