"""The way of a datum: parse, find the impact, record. The file to read first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from oms_topology.errors import UnknownDeviceError
from oms_topology.graph.topology import Topology
from oms_topology.model import Source
from oms_topology.persistence.database import Database, translated_errors
from oms_topology.persistence.explain import explain_meter
from oms_topology.persistence.schema import require_version
from oms_topology.persistence.store import Store
from oms_topology.service.following import followed
from oms_topology.service.intake import read_divided, read_messages
from oms_topology.service.lanes import Lanes
from oms_topology.service.recent import RecentMessages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Engine

    from oms_topology.graph.impact import Impact
    from oms_topology.model import Receipt, Signal, StreamPosition
    from oms_topology.persistence.explain import Explanation
    from oms_topology.service.intake import Intake, Payload

    Group = tuple[str, list[int]]

__all__ = ["Pipeline"]

_MAINTAIN_EVERY_METERS = 200_000
_LOOK_EVERY_METERS = 5_000
_MESSAGES_AT_ONCE = 500
# Fewer are written sooner by one connection.
_MESSAGES_TO_DIVIDE = 100
_UTC = ZoneInfo("UTC")


class Pipeline:
    """Takes providers' messages in and keeps meters, outages and their evidence right.

    One pipeline belongs to one thread; several pipelines, in threads or processes, may share a
    database.

    Parameters
    ----------
    database : Database, str or sqlalchemy.Engine
        A database with the schema of this version.
    lanes : int
        Over how many connections a large batch is written at the same time.

    Raises
    ------
    SchemaVersionError
        The database was not upgraded.
    StoreUnavailableError
        The database cannot be reached now.

    Notes
    -----
    Same signals, same state, in any order of arrival: a message that comes late or twice changes
    what it should and nothing else.
    """

    def __init__(self, database: Database | str | Engine, *, lanes: int = 2) -> None:
        self._database = database if isinstance(database, Database) else Database(database)
        self._owns_database = not isinstance(database, Database)
        with translated_errors():
            require_version(self._database.engine)
        self._stores = [Store(self._database.engine) for _ in range(lanes)]
        self._store, self._lanes = self._stores[0], Lanes(self._stores)
        self._zones = {str(source): ZoneInfo(self._store.time_zone(source)) for source in Source}
        self._topology: Topology | None = None
        self._meters_since_maintenance = self._meters_since_look = 0
        self._recent = RecentMessages()

    def handle(self, source: str, payload: Payload, *, received_at: datetime | None = None) -> Receipt:
        """Take one message in: recorded with all its effects when this returns, or put aside.

        Parameters
        ----------
        source : str
            The provider: ``"scada"``, ``"onu"``, ``"kaifa"`` or ``"call_center"``.
        payload : bytes, str or dict
            The message in any of its forms.
        received_at : aware datetime, optional
            When it came; now when left out.

        Returns
        -------
        Receipt
            Counts and outages; ``duplicate`` for a message that was known; ``dead_letter_id`` for one
            that cannot be used, which is kept byte for byte and never raises.

        Raises
        ------
        StoreUnavailableError, ConflictError
            Nothing was recorded; the same call may work later.
        StoreError
            The database refused the message and nothing was recorded; a later call will fail too.
        """
        key = RecentMessages.key_of(source, payload)
        known = self._recent.recall(key)
        if known is not None:
            return known
        (receipt,) = self._read(source, (payload,), received_at or datetime.now(UTC)).recorded_by(self._store)
        self._recent.remember(key, receipt)
        self._maintain((receipt,))
        return receipt

    def handle_batch(
        self,
        messages: Sequence[tuple[str, Payload]],
        *,
        received_at: datetime | None = None,
        positions: Sequence[StreamPosition] = (),
    ) -> tuple[Receipt, ...]:
        """Take many messages in, and note with them how far their streams have been read.

        Parameters
        ----------
        messages : sequence of (str, bytes, str or dict)
            Providers and messages, in any order.
        received_at : aware datetime, optional
            When they came; now when left out.
        positions : sequence of StreamPosition
            Where their streams go on after these messages; recorded with the effects or behind them,
            never before any of them.

        Returns
        -------
        tuple of Receipt
            One for each message, in their order. What cannot be used is a dead letter, and costs the
            others nothing.

        Raises
        ------
        StoreUnavailableError, ConflictError
            Not all was recorded, and no position; the same call may work later, and what was recorded
            is a duplicate then.
        StoreError
            The database refuses what it is given; a later call will fail too.

        Notes
        -----
        One transaction for each provider, lane and some 500 messages; the next are read while these are
        written. A further delivery of one of the last 50,000, byte for byte, is known without reading it.
        """
        at = received_at or datetime.now(UTC)
        keys = [RecentMessages.key_of(*message) for message in messages]
        told = [self._recent.recall(key) for key in keys]
        groups = _groups(
            messages,
            [n for n, known in enumerate(told) if known is None],
            _MESSAGES_AT_ONCE * len(self._lanes),
        )
        for places, receipts in self._recorded(groups, messages, at, positions):
            for place, receipt in zip(places, receipts, strict=True):
                told[place] = receipt
                self._recent.remember(keys[place], receipt)
        receipts = tuple(receipt for receipt in told if receipt is not None)
        self._maintain(receipts)
        return receipts

    def replay(self, dead_letter_id: int) -> Receipt:
        """Take a dead letter up again, after what it lacked has been supplied; it stays, marked.

        Raises
        ------
        UnknownDeadLetterError
            There is no such one.
        """
        source, payload, received_at = self._store.dead_letter(dead_letter_id)
        receipt = self.handle(source, payload, received_at=received_at)
        if receipt.accepted:
            self._store.mark_replayed(dead_letter_id)
        return receipt

    def impact(self, signal: Signal) -> Impact | None:
        """Give who hangs below the device of a signal; None when the network does not have it."""
        try:
            return self.topology.impact(signal.device.code, kind=signal.device.kind.value)
        except UnknownDeviceError:
            return None

    @property
    def topology(self) -> Topology:
        """The network as the tables say it now; one that was given before stays as it was.

        Milliseconds after switches were thrown, or a few meters or devices moved; else it is loaded anew.
        """
        if self._topology is None:
            self._topology = Topology.from_postgres(self._database)
        elif self._topology.topology_version != self._store.topology_version():
            self._topology = followed(self._database, self._topology).topology
        return self._topology

    def explain(self, meter_number: str) -> Explanation:
        """Tell why a meter has its power status: the reports behind it and the outages above it.

        Raises
        ------
        UnknownDeviceError
            There is no such meter.
        """
        return explain_meter(self._database.engine, meter_number)

    def close(self) -> None:
        """Give back the connections; a database that was handed in stays open."""
        for store in self._stores:
            store.close()
        if self._owns_database:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, source: str, payloads: Sequence[Payload], received_at: datetime) -> Intake:
        return read_messages(source, payloads, received_at=received_at, zone=self._zones.get(source, _UTC))

    def _recorded(
        self,
        groups: Sequence[Group],
        messages: Sequence[tuple[str, Payload]],
        at: datetime,
        positions: Sequence[StreamPosition],
    ) -> Iterator[tuple[list[int], tuple[Receipt, ...]]]:
        if len(groups) == 1 and len(groups[0][1]) < _MESSAGES_TO_DIVIDE:
            ((source, places),) = groups
            intake = self._read(source, [messages[n][1] for n in places], at)
            yield places, intake.recorded_by(self._store, positions)
            return
        # Breakers first: what a meter says after its feeder is decided by its row alone.
        for of_breakers in (True, False):
            chosen = [group for group in groups if (group[0] == Source.SCADA) is of_breakers]
            yield from self._lanes.record(self._divided(group, messages, at) for group in chosen)
        self._store.record_positions(positions)

    def _divided(
        self, group: Group, messages: Sequence[tuple[str, Payload]], at: datetime
    ) -> list[tuple[list[int], Intake]]:
        source, places = group
        is_small = len(places) < _MESSAGES_TO_DIVIDE or source == Source.SCADA
        parts = read_divided(
            source,
            [messages[n][1] for n in places],
            received_at=at,
            zone=self._zones.get(source, _UTC),
            count=1 if is_small else len(self._lanes),
        )
        return [([places[n] for n in chosen], intake) for chosen, intake in parts]

    def _maintain(self, receipts: Sequence[Receipt]) -> None:
        # The audit's open part has no index; sealing it now and then keeps every look-up short.
        meters = sum(
            r.offline_meters + r.online_meters + r.restored_meters for r in receipts if not r.duplicate
        )
        self._meters_since_maintenance += meters
        self._meters_since_look += meters
        if self._meters_since_look >= _LOOK_EVERY_METERS:
            self._meters_since_look = 0
            self._store.index_busy_audit()
        if self._meters_since_maintenance >= _MAINTAIN_EVERY_METERS:
            self._meters_since_maintenance = 0
            self._store.maintain()


def _groups(messages: Sequence[tuple[str, Payload]], chosen: Sequence[int], most: int) -> list[Group]:
    places: dict[str, list[int]] = {str(source): [] for source in Source}
    for place in chosen:
        places.setdefault(messages[place][0], []).append(place)
    return [
        (source, of_source[start : start + most])
        for source, of_source in places.items()
        for start in range(0, len(of_source), most)
    ]
