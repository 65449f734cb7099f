"""The way of a datum: parse, find the impact, record. The file to read first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from oms_topology.errors import SignalParseError, UnknownDeviceError
from oms_topology.events import parse
from oms_topology.events.json_text import canonical_text
from oms_topology.events.parse import decode
from oms_topology.graph.topology import Topology
from oms_topology.model import Source
from oms_topology.persistence.database import Database
from oms_topology.persistence.explain import explain_meter
from oms_topology.persistence.schema import require_version
from oms_topology.persistence.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Engine

    from oms_topology.graph.impact import Impact
    from oms_topology.model import Receipt, Signal, StreamPosition
    from oms_topology.persistence.explain import Explanation

__all__ = ["Pipeline"]

_MAINTAIN_EVERY_METERS = 200_000


class Pipeline:
    """Takes providers' messages in and keeps meters, outages and their evidence right.

    One pipeline belongs to one thread; several pipelines, in threads or processes, may share a
    database.

    Parameters
    ----------
    database : Database, str or sqlalchemy.Engine
        A database with the schema of this version.

    Raises
    ------
    SchemaVersionError
        The database was not upgraded.

    Notes
    -----
    Same signals, same state, in any order of arrival: a message that comes late or twice changes
    what it should and nothing else.
    """

    def __init__(self, database: Database | str | Engine) -> None:
        self._database = database if isinstance(database, Database) else Database(database)
        self._owns_database = not isinstance(database, Database)
        require_version(self._database.engine)
        self._store = Store(self._database.engine)
        self._zone = ZoneInfo(self._store.time_zone("scada"))
        self._topology: Topology | None = None
        self._meters_since_maintenance = 0

    def handle(
        self, source: str, payload: bytes | str | dict[str, Any], *, received_at: datetime | None = None
    ) -> Receipt:
        """Take one message in: recorded with all its effects when this returns, or put aside.

        Parameters
        ----------
        source : str
            The provider; ``"scada"`` so far.
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
        try:
            _require_recorded(source)
            (signal,) = parse(source, payload, received_at=received_at, zone=self._zone)
        except SignalParseError as error:
            return self._store.keep_dead_letter(source, error.field, error.reason, _raw_bytes(payload))
        receipt = self._store.record(signal, canonical_text(decode(source, payload)), _raw_bytes(payload))
        self._maintain(receipt)
        return receipt

    def handle_batch(
        self,
        messages: Sequence[tuple[str, bytes]],
        *,
        received_at: datetime | None = None,
        positions: Sequence[StreamPosition] = (),
    ) -> tuple[Receipt, ...]:
        """Take many messages in, and note with them how far their streams have been read.

        Parameters
        ----------
        messages : sequence of (str, bytes)
            Providers and messages, in any order.
        received_at : aware datetime, optional
            When they came; now when left out.
        positions : sequence of StreamPosition
            Where their streams go on after these messages; recorded after all effects, never before.

        Returns
        -------
        tuple of Receipt
            One for each message, in their order.

        Raises
        ------
        StoreUnavailableError, ConflictError
            No position was recorded; the same call may work later, and what was recorded of it is a
            duplicate then.
        StoreError
            The database refused one of the messages; a later call will fail too.
        """
        receipts = tuple(
            self.handle(source, payload, received_at=received_at) for source, payload in messages
        )
        self._store.record_positions(positions)
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
        """The network as the tables say it now; loaded anew when they have changed."""
        version = self._store.topology_version()
        if self._topology is None or self._topology.topology_version != version:
            self._topology = Topology.from_postgres(self._database)
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
        self._store.close()
        if self._owns_database:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _maintain(self, receipt: Receipt) -> None:
        # The audit's open part has no index; sealing it now and then keeps every look-up short.
        self._meters_since_maintenance += receipt.offline_meters + receipt.restored_meters
        if self._meters_since_maintenance >= _MAINTAIN_EVERY_METERS:
            self._meters_since_maintenance = 0
            self._store.maintain()


def _require_recorded(source: str) -> None:
    if source != Source.SCADA:  # the other providers can be parsed, but nothing records them yet
        raise SignalParseError(source, "source", "no parser for this source; known: scada")


def _raw_bytes(payload: bytes | str | dict[str, Any]) -> bytes:
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    try:
        text = json.dumps(payload, default=str, skipkeys=True)
    except (ValueError, RecursionError):  # it holds itself, or is nested beyond reason
        text = f"<{type(payload).__name__} that JSON cannot hold>"
    return text.encode("utf-8", "surrogatepass")
