"""Reads what has changed in the network since a version: what stood before, and what stands now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine

__all__ = ["Branch", "Device", "Meter", "NetworkChanges", "read_network_changes"]

_ATTEMPTS = 3
_SETTLE = text("SELECT oms_topology.settle()")
_VERSIONS = text(
    "SELECT COALESCE(min(topology_version), 0), COALESCE(max(topology_version), 0),"
    " EXISTS (SELECT FROM oms_topology.topology_before WHERE topology_version IS NULL)"
    " FROM oms_topology.topology_change"
)
_COUNT = text(
    """
    SELECT COALESCE(sum(cardinality(COALESCE(device_nos, '{}')) + cardinality(COALESCE(branch_nos, '{}'))
                        + cardinality(COALESCE(meter_nos, '{}'))
                        + cardinality(COALESCE(alternate_meter_nos, '{}'))), 0)
    FROM oms_topology.topology_before WHERE topology_version > :since
    """
)
_DEVICES_BEFORE = text(
    """
    SELECT DISTINCT ON (device_no) device_no, kind, code, normal_parent_no, is_source
    FROM oms_topology.device_before WHERE topology_version > :since
    ORDER BY device_no, topology_version, before_no
    """
)
_DEVICES_NOW = text(
    """
    SELECT device_no, kind, code, normal_parent_no, is_source, COALESCE(name, ''),
           COALESCE(longitude, 'NaN'), COALESCE(latitude, 'NaN')
    FROM oms_topology.device WHERE device_no = ANY (:numbers)
    """
)
_BRANCHES_BEFORE = text(
    """
    SELECT DISTINCT ON (branch_no) branch_no, from_no, to_no, kind, COALESCE(code, ''), is_switch,
           normally_open, is_open
    FROM oms_topology.branch_before WHERE topology_version > :since
    ORDER BY branch_no, topology_version, before_no
    """
)
_BRANCHES_NOW = text(
    """
    SELECT branch_no, from_no, to_no, kind, COALESCE(code, ''), is_switch, normally_open, is_open
    FROM oms_topology.branch
    WHERE branch_no = ANY (:numbers) OR from_no = ANY (:ends) OR to_no = ANY (:ends)
       OR is_switch AND code IN (SELECT code FROM oms_topology.branch WHERE branch_no = ANY (:numbers))
    """
)
_METERS_BEFORE = text(
    """
    SELECT DISTINCT ON (meter_no) meter_no, meter_number, device_no
    FROM oms_topology.meter_before WHERE topology_version > :since
    ORDER BY meter_no, topology_version, before_no
    """
)
_ALTERNATES_BEFORE = text(
    "SELECT DISTINCT meter_no FROM oms_topology.alternate_before WHERE topology_version > :since"
)
_METERS_NOW = text(
    """
    SELECT m.meter_no, m.meter_number, m.listed_device_no, COALESCE(c.customer_id, ''),
           COALESCE((SELECT min(s.priority) FROM public.network_substation_meters s
                     WHERE s.meter_id = m.id AND s.priority BETWEEN 1 AND 3), 0),
           COALESCE(m.location_lng::float8, 'NaN'), COALESCE(m.location_lat::float8, 'NaN'),
           ARRAY(SELECT a.device_no FROM oms_topology.alternate_supply a WHERE a.meter_no = m.meter_no
                 ORDER BY GREATEST(LEAST(a.priority, 127), -128), a.device_no)
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE m.meter_no = ANY (:numbers) AND m.listed_device_no IS NOT NULL
    """
)


class Device(NamedTuple):
    """A device; name and coordinates are today's, and those of a former state are not known."""

    kind: str
    code: str
    normal_parent_no: int | None
    is_source: bool
    name: str = ""
    longitude: float = float("nan")
    latitude: float = float("nan")


class Branch(NamedTuple):
    """A drawn branch; its ends are numbers of devices."""

    from_no: int
    to_no: int
    kind: str
    code: str
    is_switch: bool
    normally_open: bool
    is_open: bool


class Meter(NamedTuple):
    """A meter of the network: its number, and the number of the device that feeds it, -1 for none."""

    meter_number: str
    device_no: int
    customer_id: str = ""
    priority: int = 0
    longitude: float = float("nan")
    latitude: float = float("nan")
    alternate_nos: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChanges:
    """What stood before and what stands now, by the numbers that the tables give.

    Attributes
    ----------
    topology_version : int
        The version that stands now.
    devices_before, branches_before, meters_before : mappings of number to thing, or None
        All that was changed, as it stood; None for what was not there.
    devices_now, branches_now, meters_now : mappings of number to thing
        The same as it stands, with every device and branch that it refers to, what ends at a changed device,
        and all switches of a changed one's code. What is not there has no entry.
    rewired_meters : frozenset of int
        The meters whose alternate supplies were changed.
    """

    topology_version: int
    devices_before: dict[int, Device | None] = field(default_factory=dict)
    devices_now: dict[int, Device] = field(default_factory=dict)
    branches_before: dict[int, Branch | None] = field(default_factory=dict)
    branches_now: dict[int, Branch] = field(default_factory=dict)
    meters_before: dict[int, Meter | None] = field(default_factory=dict)
    meters_now: dict[int, Meter] = field(default_factory=dict)
    rewired_meters: frozenset[int] = frozenset()


def read_network_changes(engine: Engine, since: int, *, most: int) -> NetworkChanges | None:
    """Settle what is marked, and read what has changed since a version.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.
    since : int
        The ``topology_version`` that the reader has.
    most : int
        With more changed things than these, nothing is read.

    Returns
    -------
    NetworkChanges or None
        None where the network is to be loaded anew: too much has changed, the database does not remember that
        version, or others change it so fast that no moment without a half-done change was found.

    Raises
    ------
    StoreUnavailableError, ConflictError
        Nothing was read; try again.
    """
    with translated_errors():
        for _ in range(_ATTEMPTS):
            with engine.begin() as connection:
                connection.execute(_SETTLE)
            with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
                first, newest, is_unsettled = connection.execute(_VERSIONS).one()
                if not first <= since <= newest:
                    return None
                if is_unsettled:
                    continue
                if connection.execute(_COUNT, {"since": since}).scalar_one() > most:
                    return None
                return _read(connection, since, newest)
    return None


def _read(connection: Connection, since: int, newest: int) -> NetworkChanges:
    asked = {"since": since}
    devices_before = _before(connection.execute(_DEVICES_BEFORE, asked), Device)
    branches_before = _before(connection.execute(_BRANCHES_BEFORE, asked), Branch)
    meters_before = _before(connection.execute(_METERS_BEFORE, asked), Meter)
    rewired = frozenset(connection.execute(_ALTERNATES_BEFORE, asked).scalars())
    ends = {*devices_before}
    for branch in (*branches_before.values(), *_branches(connection, branches_before, ()).values()):
        ends |= {branch.from_no, branch.to_no} if branch else set()
    branches_now = _branches(connection, branches_before, ends)
    meters_now = _meters(connection, {*meters_before, *rewired})
    return NetworkChanges(
        topology_version=newest,
        devices_before=devices_before,
        devices_now=_devices(connection, ends, branches_now, meters_now),
        branches_before=branches_before,
        branches_now=branches_now,
        meters_before=meters_before,
        meters_now=meters_now,
        rewired_meters=rewired,
    )


def _before(rows: Iterable[Any], make: Any) -> dict[int, Any]:
    """By number; the second column of what was not there is NULL, or the third, of a meter."""
    return {no: None if None in (facts[0], facts[1]) else make(*facts) for no, *facts in rows}


def _meters(connection: Connection, numbers: set[int]) -> dict[int, Meter]:
    rows = connection.execute(_METERS_NOW, {"numbers": [*numbers]})
    return {no: Meter._make((*facts, tuple(alternates))) for no, *facts, alternates in rows}


def _branches(connection: Connection, changed: Iterable[int], ends: Iterable[int]) -> dict[int, Branch]:
    rows = connection.execute(_BRANCHES_NOW, {"numbers": [*changed], "ends": [*ends]})
    return {no: Branch(*facts) for no, *facts in rows}


def _devices(
    connection: Connection, ends: set[int], branches: dict[int, Branch], meters: dict[int, Meter]
) -> dict[int, Device]:
    numbers = {*ends}
    for branch in branches.values():
        numbers |= {branch.from_no, branch.to_no}
    for meter in meters.values():
        numbers |= {meter.device_no, *meter.alternate_nos}
    found: dict[int, Device] = {}
    while numbers:
        rows = connection.execute(_DEVICES_NOW, {"numbers": [*numbers]})
        read = {no: Device(*facts) for no, *facts in rows}
        found |= read
        # What feeds a changed device is asked for by its code.
        parents = {device.normal_parent_no for no, device in read.items() if no in ends}
        numbers = {no for no in parents if no is not None and no not in found}
    return found
