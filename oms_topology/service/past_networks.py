"""The networks that outages are judged on: the present one, and those that stood when things were said."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from oms_topology.errors import AmbiguousDeviceError, TopologyHistoryError, UnknownDeviceError
from oms_topology.graph.topology import Topology
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.switched_off import with_switched_off
from oms_topology.service.concluding import AreaCache
from oms_topology.service.following import followed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from oms_topology.persistence.database import Database

__all__ = ["MissingNetworksError", "Networks", "told_apart"]

_LOG = logging.getLogger(__name__)
_MOST_TREES: Final = 64
_MOST_CHANGES: Final = 16
_MOST_PAST_METERS: Final = 2_000_000
_STEP: Final = timedelta(seconds=30)


class MissingNetworksError(Exception):
    """Networks of the past are wanted that are not in memory; they are to be loaded outside of a transaction.

    Parameters
    ----------
    versions : iterable of int
        Their versions.
    """

    def __init__(self, versions: Iterable[int]) -> None:
        self.versions = tuple(versions)
        super().__init__(f"networks of versions {self.versions} are not loaded")


class Networks:
    """The present network of a database, followed, and the last few that stood or were asked for.

    Parameters
    ----------
    database : Database
        Where they are.

    Attributes
    ----------
    most_past : int
        How many networks of the past are held: sixteen, fewer of networks with more than 125,000 meters,
        so that all together have no more than two million, but one at the least.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.most_past = _MOST_CHANGES
        self._read: Topology | None = None
        self._hung: Topology | None = None
        self._trees: dict[tuple[int, ...], AreaCache] = {}
        self._past: dict[int, Topology | None] = {}
        self._forests: dict[tuple[int, tuple[str, ...]], SupplyForest] = {}

    def present(self, version: int) -> Topology:
        """Give the present network, which has a version; what is switched off hangs as it normally does."""
        if self._read is None or self._read.topology_version != version:
            if self._read is None:
                self._read = Topology.from_postgres(self._database)
            else:
                self._keep(self._read.topology_version, self._hung)
                self._read = followed(self._database, self._read).topology
            self._hung, self._trees = with_switched_off(self._read), {}
            meters = len(self._hung.supply_index().meter_order)
            self.most_past = max(1, min(_MOST_CHANGES, _MOST_PAST_METERS // max(1, meters)))
        assert self._hung is not None  # noqa: S101
        return self._hung

    def tree(self, topology: Topology, segment_nos: tuple[int, ...], roots: Sequence[str]) -> AreaCache:
        """Give the nodes of trees of the present network, with their outages' areas."""
        if segment_nos not in self._trees:
            if len(self._trees) >= _MOST_TREES:
                self._trees.pop(next(iter(self._trees)))
            self._trees[segment_nos] = AreaCache(_forest_of(topology, roots))
        return self._trees[segment_nos]

    def former(
        self, changes: Iterable[tuple[datetime, int]], roots: tuple[str, ...]
    ) -> list[tuple[datetime, SupplyForest]]:
        """Give what supplied what before each of some changes.

        Parameters
        ----------
        changes : iterable of (datetime, int)
            Until when a version stood, and which; no more than ``most_past``.
        roots : tuple of str
            Codes of the sources of the trees that are wanted.

        Raises
        ------
        MissingNetworksError
            Some are not in memory.
        """
        changes = list(changes)
        for _, version in changes:
            if version in self._past:
                self._past[version] = self._past.pop(version)  # what was asked for last goes last
        missing = [version for _, version in changes if version not in self._past]
        if missing:
            raise MissingNetworksError(missing)
        found = []
        for until, version in changes:
            topology = self._past[version]
            if topology is not None:
                key = version, roots
                if key not in self._forests:
                    self._forests[key] = _forest_of(topology, roots)
                found.append((until, self._forests[key]))
        return found

    def load(self, versions: Iterable[int]) -> None:
        """Load networks of the past; what the database does not remember any more is done without."""
        for version in versions:
            try:
                topology = Topology.from_postgres(self._database, as_of=version)
            except TopologyHistoryError:
                _LOG.warning("a network of the past is forgotten", extra={"topology_version": version})
                self._keep(version, None)
            else:
                self._keep(version, with_switched_off(topology))

    def _keep(self, version: int, topology: Topology | None) -> None:
        self._past[version] = topology
        while len(self._past) > self.most_past:
            del self._past[next(iter(self._past))]
        self._forests = {key: each for key, each in self._forests.items() if key[0] in self._past}


def told_apart(
    changes: Sequence[tuple[datetime, int]], first_at: datetime, most: int = _MOST_CHANGES
) -> list[tuple[datetime, int]]:
    """Choose the changes of a network that conclusions tell apart.

    Parameters
    ----------
    changes : sequence of (datetime, int)
        When each was, and the version before it, ascending.
    first_at : datetime
        When the first thing was said: what changed before that is of no account.
    most : int
        How many to choose at the most: the longer the steps are that changes of one step are one in.

    Returns
    -------
    list of (datetime, int)
        Ascending. Of several within one step of 30 seconds, or of the least doubling of that with which there
        are no more than ``most``, the last time, with the version before the first.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 3, 14, tzinfo=UTC)
    >>> changes = [(at + timedelta(seconds=each), each) for each in (0, 1, 5, 40, 300)]
    >>> [(when.minute, when.second, version) for when, version in told_apart(changes, at)]
    [(0, 5, 1), (0, 40, 40), (5, 0, 300)]
    """
    later = [change for change in changes if change[0] > first_at]
    step = _STEP
    while True:
        slots: dict[int, tuple[datetime, int]] = {}
        for changed_at, version in later:
            slot = int(changed_at.timestamp() // step.total_seconds())
            slots[slot] = changed_at, slots[slot][1] if slot in slots else version
        if len(slots) <= most:
            return list(slots.values())
        step *= 2


def _forest_of(topology: Topology, roots: Sequence[str]) -> SupplyForest:
    known = []
    for root in roots:
        try:
            topology.upstream(root)
        except UnknownDeviceError:
            continue
        except AmbiguousDeviceError:  # a feeder, say, has the same code: all trees, then
            return SupplyForest.of(topology)
        known.append(root)
    return SupplyForest.of(topology, below=known)
