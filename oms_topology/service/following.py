"""Brings a network up to date by what has changed in its database, without loading it anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from oms_topology.errors import AmbiguousDeviceError, TopologyError, UnknownDeviceError
from oms_topology.graph.topology import Topology
from oms_topology.persistence.network_changes import Branch, Device, NetworkChanges, read_network_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oms_topology.persistence.database import Database

__all__ = ["Followed", "apply_changes", "followed"]

_MOST_CHANGES = 5_000
_Key = tuple[str, int]
_Edges = dict[_Key, Branch]


class Followed(NamedTuple):
    """A network brought up to date.

    Attributes
    ----------
    topology : Topology
        The network of the newest version.
    changes : NetworkChanges or None
        What led there; None where the network was loaded anew, and rows have other numbers.
    """

    topology: Topology
    changes: NetworkChanges | None


class _UnfamiliarError(Exception):
    """A change that the network is loaded anew for."""


def followed(database: Database, topology: Topology) -> Followed:
    """Bring a network that was read from a database up to date.

    Parameters
    ----------
    database : Database
        The database it was read from.
    topology : Topology
        The network; it stays as it is, whoever reads it meanwhile.

    Returns
    -------
    Followed
        The same network where nothing has changed. Else one that is equal to what
        :meth:`~oms_topology.Topology.from_postgres` gives now, but for the order of meters on one device,
        and for names, coordinates and customers of what has kept its place.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The same call may work later.

    Notes
    -----
    A few milliseconds for switches that were thrown and for meters and devices that were moved, put in or
    taken out, up to 5,000 at once. For more, and for what is drawn otherwise (branches between devices that
    were there, other codes, other normal states of switches), the network is loaded anew.
    """
    changes = read_network_changes(database.engine, topology.topology_version, most=_MOST_CHANGES)
    if changes is not None and changes.topology_version == topology.topology_version:
        return Followed(topology, changes)
    if changes is not None:
        copy = topology.copy(topology_version=changes.topology_version)
        try:
            apply_changes(copy, changes)
        except (_UnfamiliarError, TopologyError, UnknownDeviceError, AmbiguousDeviceError):
            pass
        else:
            return Followed(copy, changes)
    return Followed(Topology.from_postgres(database), None)


def apply_changes(topology: Topology, changes: NetworkChanges) -> None:
    """Make on a network what was changed in the database; an error leaves it half changed."""
    plan = _Plan.of(changes)
    if topology.has_assumed_sources and (plan.new or plan.refed or plan.gone):
        raise _UnfamiliarError
    now = changes.devices_now
    leaving, moving, coming = _sorted_meters(changes)
    for number in leaving:
        topology.remove_meter(number)
    for no, feed in plan.new_in_order(now):
        _add(topology, now, no, feed)
    for no, parent in plan.refed.items():
        topology.refeed(now[no].code, now[parent].code)
    if plan.opened:
        topology.open(*plan.opened)
    if plan.closed:
        topology.close(*plan.closed)
    for number, feeding in moving:
        topology.move_meter(number, _code(changes, feeding))
    for no in coming:
        _add_meter(topology, changes, no)
    for device in plan.gone_in_order():
        topology.remove_device(device.code, kind=device.kind)


@dataclass(slots=True)
class _Plan:
    """What became of devices and branches, in the words of the network's own methods."""

    new: dict[int, Branch | None] = field(default_factory=dict)
    refed: dict[int, int] = field(default_factory=dict)
    gone: dict[int, Device] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, changes: NetworkChanges) -> _Plan:
        plan = cls()
        before, now = _edges_before(changes), _edges_now(changes)
        explained = plan._take_devices(changes, before, now)
        for key in {*before, *now} - explained:
            old, new = before.get(key), now.get(key)
            if old != new:
                plan._take_edge(changes, key, old, new)
        return plan

    def _take_devices(self, changes: NetworkChanges, before: _Edges, now: _Edges) -> set[_Key]:
        """Sort devices that came and went, and give the edges that came and went with them."""
        explained: set[_Key] = set()
        for no, old in changes.devices_before.items():
            new = changes.devices_now.get(no)
            if old is None and new is not None:
                key = _feeding_edge(no, new, now)
                self.new[no] = now[key] if key else None
            elif old is not None and new is None:
                key = _feeding_edge(no, old, before)
                if key is None:  # what it was joined to by open ties may be without a source now
                    raise _UnfamiliarError
                self.gone[no] = old
            elif old != new and (
                old is None or new is None or old[:2] != new[:2] or old.is_source != new.is_source
            ):
                raise _UnfamiliarError
            else:
                continue
            explained |= {key} if key else set()
        return explained

    def _take_edge(self, changes: NetworkChanges, key: _Key, old: Branch | None, new: Branch | None) -> None:
        kind, no = key
        if old is None or new is None:
            raise _UnfamiliarError
        if kind == "direct":
            self.refed[no] = new.from_no
            return
        same = [b for b in changes.branches_now.values() if b.is_switch and b.code == new.code]
        # Of several switches of one code only the first is known by it.
        if not new.is_switch or old != new._replace(is_open=old.is_open) or len(same) != 1:
            raise _UnfamiliarError
        (self.opened if new.is_open else self.closed).add(new.code)

    def new_in_order(self, now: dict[int, Device]) -> Iterator[tuple[int, Branch | None]]:
        """Give the new devices, each after the one that feeds it."""
        waiting = dict(self.new)
        while waiting:
            ready = [no for no in waiting if now[no].normal_parent_no not in waiting]
            if not ready:
                raise _UnfamiliarError
            yield from ((no, waiting.pop(no)) for no in ready)

    def gone_in_order(self) -> Iterator[Device]:
        """Give the devices that went, each after those that it fed."""
        waiting = dict(self.gone)
        while waiting:
            feeding = {device.normal_parent_no for device in waiting.values()}
            ready = [no for no in waiting if no not in feeding]
            if not ready:
                raise _UnfamiliarError
            yield from (waiting.pop(no) for no in ready)


def _edges_before(changes: NetworkChanges) -> _Edges:
    devices = {**changes.devices_now, **changes.devices_before}
    kept = {no: branch for no, branch in changes.branches_now.items() if no not in changes.branches_before}
    return _edges(changes, devices, {**kept, **changes.branches_before})


def _edges_now(changes: NetworkChanges) -> _Edges:
    return _edges(changes, changes.devices_now, changes.branches_now)


def _edges(
    changes: NetworkChanges, devices: Mapping[int, Device | None], branches: Mapping[int, Branch | None]
) -> _Edges:
    """Give the drawn branches, and how what no branch joins to its feeding device hangs on it directly."""
    drawn = {("drawn", no): branch for no, branch in branches.items() if branch is not None}
    joined = {frozenset((branch.from_no, branch.to_no)) for branch in drawn.values()}
    direct: _Edges = {}
    for no in _changed_devices(changes):
        device = devices.get(no)
        parent = device.normal_parent_no if device else None
        if parent is not None and frozenset((no, parent)) not in joined:
            direct["direct", no] = Branch(parent, no, "direct", "", False, False, False)
    return {**drawn, **direct}


def _changed_devices(changes: NetworkChanges) -> set[int]:
    """Numbers of all devices that changed, or where a changed branch ends."""
    found = {*changes.devices_before}
    for no, before in changes.branches_before.items():
        for branch in (before, changes.branches_now.get(no)):
            found |= {branch.from_no, branch.to_no} if branch else set()
    return found


def _feeding_edge(no: int, device: Device, edges: _Edges) -> _Key | None:
    """Find the one edge by which a device is fed; None for a source."""
    parent = device.normal_parent_no
    if (parent is None) != device.is_source:
        raise _UnfamiliarError
    if parent is None:
        return None
    found = [key for key, edge in edges.items() if {edge.from_no, edge.to_no} == {no, parent}]
    if len(found) != 1:
        raise _UnfamiliarError
    return found[0]


def _add(topology: Topology, now: Mapping[int, Device], no: int, feed: Branch | None) -> None:
    device = now[no]
    if feed and (feed.normally_open or feed.is_open or feed.is_switch != bool(feed.code)):
        raise _UnfamiliarError
    topology.add_device(
        _as_added(device.code),
        kind=device.kind,
        parent=None if device.normal_parent_no is None else now[device.normal_parent_no].code,
        switch=feed.code if feed else "",
        branch_kind=feed.kind if feed else "direct",
        name=device.name,
        longitude=device.longitude,
        latitude=device.latitude,
    )


def _sorted_meters(changes: NetworkChanges) -> tuple[list[str], list[tuple[str, int]], list[int]]:
    """Sort meters into those that leave (by number), move (with their device) and come (by ``meter_no``)."""
    leaving: list[str] = []
    moving: list[tuple[str, int]] = []
    coming: list[int] = []
    for no in sorted({*changes.meters_before, *changes.rewired_meters}):
        new = changes.meters_now.get(no)
        old = changes.meters_before.get(no, new)
        is_other = old and new and (old.meter_number != new.meter_number or no in changes.rewired_meters)
        if old and (not new or is_other):
            leaving.append(old.meter_number)
        if new and (not old or is_other):
            coming.append(no)
        elif old and new and old.device_no != new.device_no:
            moving.append((new.meter_number, new.device_no))
    return leaving, moving, coming


def _add_meter(topology: Topology, changes: NetworkChanges, no: int) -> None:
    meter = changes.meters_now[no]
    topology.add_meter(
        _as_added(meter.meter_number),
        _code(changes, meter.device_no),
        customer_id=meter.customer_id,
        priority=meter.priority,
        longitude=meter.longitude,
        latitude=meter.latitude,
        alternates=[_code(changes, device) for device in meter.alternate_nos],
    )


def _code(changes: NetworkChanges, device_no: int) -> str:
    device = changes.devices_now.get(device_no)
    if device is None:
        raise _UnfamiliarError
    return device.code


def _as_added(code: str) -> str:
    """Give a code that the network's methods take as it is; they strip others."""
    if code != code.strip():
        raise _UnfamiliarError
    return code
