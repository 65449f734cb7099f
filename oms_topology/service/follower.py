"""A network and the statuses of its meters in whatever process, kept in step with the database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import OmsTopologyError
from oms_topology.graph.topology import Topology
from oms_topology.persistence.database import Database
from oms_topology.persistence.feed import ChangeFeed
from oms_topology.persistence.schema import require_version
from oms_topology.persistence.store import Store
from oms_topology.service.following import followed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from oms_topology.persistence.meter_status import MeterStatuses
    from oms_topology.persistence.network_changes import NetworkChanges

__all__ = ["Follower"]

_LOOK_S = 1.0
_ABSENT = -1


class Follower:
    """Holds the network and what each meter's status is; :meth:`update` brings both up to date.

    One follower belongs to one thread; the networks and arrays that it gives out may be read by others.

    Parameters
    ----------
    database : Database, str or sqlalchemy.Engine
        A database with the schema of this version; the primary server. Everything is read at once.

    Attributes
    ----------
    topology : Topology
        The network as of the last update. One that was given out before stays as it was.
    power_status, communication_status : uint8 arrays, one per meter row of ``topology``
        0 unknown, 1 on or online, 2 off or offline, for ``topology.downstream(...).status_counts(...)``. An
        update writes into the arrays, and gives longer ones where meters were added.

    Raises
    ------
    SchemaVersionError
        The database was not upgraded.
    StoreUnavailableError, ConflictError
        Try again.
    """

    def __init__(self, database: Database | str | Engine) -> None:
        self._database = database if isinstance(database, Database) else Database(database)
        self._owns_database = not isinstance(database, Database)
        require_version(self._database.engine)
        self._feed, self._store = ChangeFeed(self._database), Store(self._database.engine)
        self._numbered, self._is_placed = _Numbered(), False
        self.topology = Topology.from_postgres(self._database)
        self.power_status = self.communication_status = np.empty(0, dtype=np.uint8)
        self.update()

    def update(self) -> bool:
        """Take in what was committed since the last update.

        Returns
        -------
        bool
            Whether a status or the network may be another than before.

        Raises
        ------
        StoreUnavailableError, ConflictError
            The same call may work later; nothing is lost by that.
        """
        was_placed, self._is_placed = self._is_placed, False  # until this has come to its end
        changes = self._feed.poll()
        if changes.is_everything:
            self._numbered = _Numbered()
        self._numbered.take_in(changes.meters)
        before = self.topology
        self.topology, moved = followed(self._database, before)
        if moved is None or changes.is_everything or not was_placed:
            self._place_all()
        else:
            self._write(changes.meters.meter_no)
            self._place_changed(moved)
        self._is_placed = True
        return bool(changes) or self.topology is not before

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until there is something to update.

        Parameters
        ----------
        timeout_s : float, optional
            At the most so long, in seconds; without end when left out.

        Returns
        -------
        bool
            False when the time is over.

        Notes
        -----
        A status rings a bell; an edit of the network's tables is found within a second.
        """
        ends_at = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while True:
            left_s = ends_at - time.monotonic()
            if self._feed.wait(max(0.0, min(_LOOK_S, left_s))) or self._is_behind():
                return True
            if left_s <= 0:
                return False

    def close(self) -> None:
        """Give back the connections; a database that was handed in stays open."""
        self._feed.close()
        self._store.close()
        if self._owns_database:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_behind(self) -> bool:
        try:
            return self._store.topology_version() != self.topology.topology_version
        except OmsTopologyError as error:
            if not error.is_transient:
                raise
            return False

    def _place_all(self) -> None:
        """Find the row of each meter anew, and write all statuses there."""
        meters = self.topology.meters
        rows = dict(zip(meters.meter_numbers.tolist(), meters.rows.tolist(), strict=True))
        known = self._numbered.meter_number
        self._numbered.row = np.array([rows.get(number, _ABSENT) for number in known], dtype=np.int32)
        count = int(meters.rows.max(initial=-1)) + 1
        self.power_status = np.zeros(count, dtype=np.uint8)
        self.communication_status = np.zeros(count, dtype=np.uint8)
        self._write(np.arange(len(known), dtype=np.int32))

    def _place_changed(self, changes: NetworkChanges) -> None:
        """Find the rows of the meters that came, and forget those of the meters that left."""
        numbers = np.array([*{*changes.meters_before, *changes.rewired_meters}], dtype=np.int32)
        self._numbered.make_room(numbers)
        self._numbered.row[numbers] = _ABSENT
        there = [(no, meter.meter_number) for no, meter in changes.meters_now.items()]
        if there:
            self._numbered.row[[no for no, _ in there]] = self.topology.meter_rows(name for _, name in there)
        self._write(numbers)

    def _write(self, meter_nos: NDArray[np.int32]) -> None:
        """Write what is known of meters to their rows, where they are in the network."""
        rows = self._numbered.row[meter_nos]
        present, at = meter_nos[rows >= 0], rows[rows >= 0]
        longest = int(at.max(initial=-1)) + 1
        if longest > len(self.power_status):
            more = np.zeros(longest - len(self.power_status), dtype=np.uint8)
            self.power_status = np.concatenate((self.power_status, more))
            self.communication_status = np.concatenate((self.communication_status, more))
        self.power_status[at] = self._numbered.power_status[present]
        self.communication_status[at] = self._numbered.communication_status[present]


class _Numbered:
    """What is known of each meter, in arrays by its number in the database."""

    def __init__(self) -> None:
        self.meter_number: NDArray[np.object_] = np.empty(0, dtype=object)
        self.power_status: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self.communication_status: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self.row: NDArray[np.int32] = np.empty(0, dtype=np.int32)

    def take_in(self, meters: MeterStatuses) -> None:
        self.make_room(np.concatenate((meters.meter_no, meters.gone)))
        self.meter_number[meters.meter_no] = meters.meter_number
        self.power_status[meters.meter_no] = meters.power_status
        self.communication_status[meters.meter_no] = meters.communication_status
        self.meter_number[meters.gone] = None

    def make_room(self, meter_nos: NDArray[np.int32]) -> None:
        more = int(meter_nos.max(initial=-1)) + 1 - len(self.row)
        if more > 0:
            more = max(more, len(self.row) // 8)
            self.meter_number = np.concatenate((self.meter_number, np.full(more, None, dtype=object)))
            self.power_status = np.concatenate((self.power_status, np.zeros(more, dtype=np.uint8)))
            self.communication_status = np.concatenate(
                (self.communication_status, np.zeros(more, dtype=np.uint8))
            )
            self.row = np.concatenate((self.row, np.full(more, _ABSENT, dtype=np.int32)))
