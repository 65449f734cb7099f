"""Reads the network, as it is or as it was, into columns, at near the speed of the server's own COPY."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import text

from oms_topology.errors import TopologyHistoryError
from oms_topology.model import NetworkColumns
from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

__all__ = ["load_network"]

_SETTLE = text("SELECT oms_topology.settle()")
_VERSIONS = text(
    """
    SELECT f.topology_version, f.changed_at, l.topology_version
    FROM (SELECT topology_version, changed_at FROM oms_topology.topology_change
          ORDER BY topology_version LIMIT 1) f,
         (SELECT max(topology_version) AS topology_version FROM oms_topology.topology_change) l
    """
)
_VERSION_AT = text("SELECT oms_topology.topology_version_at(:instant)")
# Compiling a query of a table without statistics takes longer than to run it.
_PLAIN = text("SET LOCAL jit = off")
_SNAPSHOT = text("SELECT pg_export_snapshot()")
_PAGES = text("SELECT (pg_relation_size('public.oms_meters') / current_setting('block_size')::int)::int")
_DEVICES = """
    SELECT d.device_no, d.kind, d.code, COALESCE(d.name, ''),
           d.is_source::int, COALESCE(d.longitude, 'NaN'), COALESCE(d.latitude, 'NaN')
    FROM oms_topology.devices_as_of(:version) d ORDER BY d.device_no
"""
# A device that no drawn branch joins to its feeding device hangs on it directly.
_BRANCHES = """
    WITH b AS MATERIALIZED (SELECT * FROM oms_topology.branches_as_of(:version))
    SELECT b.from_no, b.to_no, b.kind, COALESCE(b.code, ''), b.is_switch::int, b.normally_open::int,
           b.is_open::int, b.branch_no
    FROM b
    UNION ALL
    SELECT d.normal_parent_no, d.device_no, 'direct', '', 0, 0, 0, 2147483647
    FROM oms_topology.devices_as_of(:version) d
    WHERE d.normal_parent_no IS NOT NULL
      AND NOT EXISTS (SELECT FROM b WHERE b.to_no = d.device_no AND b.from_no = d.normal_parent_no)
      AND NOT EXISTS (SELECT FROM b WHERE b.from_no = d.device_no AND b.to_no = d.normal_parent_no)
    ORDER BY branch_no, 2
"""
_DEVICE_TYPES = (">i4", "text", "text", "text", ">i4", ">f8", ">f8")
_BRANCH_TYPES = (">i4", ">i4", "text", "text", ">i4", ">i4", ">i4", ">i4")
_ALTERNATES = text(
    """
    SELECT a.meter_no, a.device_no, GREATEST(LEAST(a.priority, 127), -128)
    FROM oms_topology.alternates_as_of(:version) a
    ORDER BY a.meter_no, a.priority, a.device_no
    """
)
# network_substation_meters.priority is criticality; only what is not low needs to travel.
_PRIORITIES = text(
    """
    SELECT m.meter_no, min(s.priority) FROM public.network_substation_meters s
    JOIN public.oms_meters m ON m.id = s.meter_id
    WHERE s.priority BETWEEN 1 AND 3 GROUP BY m.meter_no
    """
)
_METERS = text(
    """
    SELECT string_agg(m.meter_number, E'\\x1f'), string_agg(COALESCE(c.customer_id, ''), E'\\x1f'),
           array_send(array_agg(m.meter_no)), array_send(array_agg(m.listed_device_no)),
           array_send(array_agg(COALESCE(m.location_lng::float8, 'NaN'))),
           array_send(array_agg(COALESCE(m.location_lat::float8, 'NaN')))
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE m.listed_device_no IS NOT NULL
      AND m.ctid >= CAST(:first AS tid) AND m.ctid < CAST(:past AS tid)
    """
)
_METER_ROWS = text(
    """
    SELECT m.meter_number, COALESCE(c.customer_id, ''), m.meter_no, m.listed_device_no,
           COALESCE(m.location_lng::float8, 'NaN'), COALESCE(m.location_lat::float8, 'NaN')
    FROM public.oms_meters m LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    WHERE m.listed_device_no IS NOT NULL
      AND m.ctid >= CAST(:first AS tid) AND m.ctid < CAST(:past AS tid)
    """
)
_FORMER_METERS = text(
    """
    SELECT f.meter_no, COALESCE(f.meter_number, ''), f.device_no
    FROM oms_topology.former_meters(:version) f ORDER BY f.meter_no
    """
)
# What a meter is beside its place is told as it is today, of the meter that has the number today.
_DETAILS = text(
    """
    SELECT COALESCE(m.meter_no, -1), COALESCE(c.customer_id, ''),
           COALESCE(m.location_lng::float8, 'NaN'), COALESCE(m.location_lat::float8, 'NaN')
    FROM unnest(CAST(:numbers AS text[])) WITH ORDINALITY AS u (meter_number, place)
    LEFT JOIN public.oms_meters m ON m.meter_number = u.meter_number
    LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    ORDER BY u.place
    """
)
_CONNECTIONS = 2
_PAGES_A_CHUNK = 8192
_METER_TYPES = (">i4", ">i4", ">f8", ">f8")


@dataclass(slots=True)
class _Meters:
    number: NDArray[np.object_]
    customer: NDArray[np.object_]
    meter_no: NDArray[np.int64]
    device_no: NDArray[np.int64]
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    priority: NDArray[np.int8]


def load_network(engine: Engine, *, as_of: datetime | int | None = None) -> NetworkColumns:
    """Read devices, branches, active meters and alternate supplies, all of one version of the topology.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.
    as_of : datetime or int, optional
        The network as it stood then: an instant, aware of its zone (what was settled by then; one that is
        yet to come is now), or a ``topology_version``. By default the network of now.

    Returns
    -------
    NetworkColumns
        Devices in the order of their numbers; meters in the order of the table, then, by their numbers,
        those of a past network that are gone today or have another meter number. A meter that no device
        feeds has -1. ``topology_version`` is the one that stood. Names, coordinates, customers and
        priorities are today's, of whatever has the code today, and empty where nothing has.

    Raises
    ------
    TopologyHistoryError
        The database remembers nothing as old as ``as_of``, or has no such version yet.
    ValueError
        ``as_of`` is a time without a zone.
    StoreUnavailableError
        The database cannot be reached.

    Notes
    -----
    Whole columns travel as one value each, on connections that share a snapshot, so the cost is
    the server's scan; see ``benchmarks/README.md``. The past costs as much, and besides some
    ten microseconds for each meter that has changed its place since.
    """
    if isinstance(as_of, datetime) and as_of.utcoffset() is None:
        raise ValueError(f"as_of={as_of.isoformat()} has no time zone; pass an aware time, such as UTC.")
    with translated_errors():
        with engine.begin() as connection:
            connection.execute(_SETTLE)
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            return _columns(engine, connection, as_of)


def _columns(engine: Engine, connection: Connection, as_of: datetime | int | None) -> NetworkColumns:
    connection.execute(_PLAIN)
    snapshot = connection.execute(_SNAPSHOT).scalar_one()
    version = _version(connection, as_of)
    asked = {"version": version}
    pages = int(connection.execute(_PAGES).scalar_one())
    if pages > _PAGES_A_CHUNK:
        with ThreadPoolExecutor(1) as beside:
            drawn = beside.submit(_drawn_beside, engine, snapshot, asked)
            meters = _as_of(connection, version, _meters(engine, connection, snapshot, pages))
            devices, branches = drawn.result()
    else:
        devices, branches = _drawn(connection, asked)
        meters = _as_of(connection, version, _meters(engine, connection, snapshot, pages))
    device_nos = devices[0].astype(np.int64)
    alternates = _transposed(connection.execute(_ALTERNATES, asked).all(), 3)
    alternate_meter = _rows_of(meters.meter_no, alternates[0])
    listed = alternate_meter >= 0
    return NetworkColumns(
        device_kind=devices[1],
        device_code=devices[2],
        device_name=devices[3],
        device_is_source=devices[4].astype(np.bool_),
        device_longitude=devices[5],
        device_latitude=devices[6],
        branch_from=_rows_of(device_nos, branches[0]),
        branch_to=_rows_of(device_nos, branches[1]),
        branch_kind=branches[2],
        branch_code=branches[3],
        branch_is_switch=branches[4].astype(np.bool_),
        branch_normally_open=branches[5].astype(np.bool_),
        branch_is_open=branches[6].astype(np.bool_),
        meter_number=meters.number,
        meter_customer=meters.customer,
        meter_device=_rows_of(device_nos, meters.device_no),
        meter_priority=meters.priority,
        meter_longitude=meters.longitude,
        meter_latitude=meters.latitude,
        alternate_meter=alternate_meter[listed],
        alternate_device=_rows_of(device_nos, alternates[1])[listed],
        alternate_priority=np.array(alternates[2], dtype=np.int8)[listed],
        topology_version=version,
    )


def _drawn(connection: Connection, asked: dict[str, int]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Read the devices and the branches between them."""
    return (
        _table(connection, _DEVICES, _DEVICE_TYPES, asked),
        _table(connection, _BRANCHES, _BRANCH_TYPES, asked),
    )


def _drawn_beside(
    engine: Engine, snapshot: str, asked: dict[str, int]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    with _sharing(engine, snapshot) as connection:
        return _drawn(connection, asked)


def _table(
    connection: Connection, query: str, types: tuple[str, ...], asked: dict[str, int]
) -> list[NDArray[Any]]:
    """Read a query's rows as columns, each as one value; the types are numpy's, or ``text``."""
    names = [f"c{number}" for number in range(len(types))]
    whole = [
        f"string_agg({name}, E'\\x1f')" if each == "text" else f"array_send(array_agg({name}))"
        for name, each in zip(names, types, strict=True)
    ]
    joined = f"SELECT {', '.join(whole)} FROM ({query}) q ({', '.join(names)})"  # noqa: S608 - of constants
    row = connection.execute(text(joined), asked).one()
    columns = [_column(value, each) for value, each in zip(row, types, strict=True)]
    if len({len(column) for column in columns}) > 1:
        # A text holds the separator itself: row by row, then.
        rows = _transposed(connection.execute(text(query), asked).all(), len(types))
        columns = [
            _texts(values) if each == "text" else np.array(values)
            for values, each in zip(rows, types, strict=True)
        ]
    return columns


def _column(value: Any, numpy_type: str) -> NDArray[Any]:
    if numpy_type == "text":
        return _texts(value.split("\x1f") if value is not None else [])
    column: NDArray[Any] = _from_binary(value, numpy_type).astype(numpy_type.lstrip(">").replace("i4", "i8"))
    return column


def _version(connection: Connection, as_of: datetime | int | None) -> int:
    known = connection.execute(_VERSIONS).one_or_none()
    first, first_at, newest = known or (None, None, 0)
    if as_of is None:
        return int(newest)
    if isinstance(as_of, datetime):
        version = connection.execute(_VERSION_AT, {"instant": as_of}).scalar_one()
    else:
        version = as_of if first is not None and first <= as_of <= newest else None
    if version is None:
        raise TopologyHistoryError(as_of, first, first_at, newest)
    return int(version)


def _as_of(connection: Connection, version: int, meters: _Meters) -> _Meters:
    """Take back what has become of the present meters since a version."""
    former = connection.execute(_FORMER_METERS, {"version": version}).all()
    if not former:
        return meters
    no_column, number_column, device_column = _transposed(former, 3)
    meter_no, number = np.array(no_column, dtype=np.int64), _texts(number_column)
    was_listed = np.array([device is not None for device in device_column], dtype=np.bool_)
    device_no = np.array([-1 if device is None else device for device in device_column], dtype=np.int64)
    rows = _rows_of(meters.meter_no, meter_no)
    # What has the same number today has only moved; anything else goes, or comes back.
    moved = (rows >= 0) & was_listed
    moved[moved] = meters.number[rows[moved]] == number[moved]
    meters.device_no[rows[moved]] = device_no[moved]
    kept = np.ones(len(meters.meter_no), dtype=np.bool_)
    kept[rows[(rows >= 0) & ~moved]] = False
    comes = was_listed & ~moved
    back = _detailed(connection, number[comes], meter_no[comes], device_no[comes])
    pairs = [(getattr(meters, each.name), getattr(back, each.name)) for each in fields(_Meters)]
    return _Meters(*(np.concatenate([present[kept], past]) for present, past in pairs))


def _detailed(
    connection: Connection,
    number: NDArray[np.object_],
    meter_no: NDArray[np.int64],
    device_no: NDArray[np.int64],
) -> _Meters:
    details = connection.execute(_DETAILS, {"numbers": number.tolist()}).all() if len(number) else []
    today_no, customer, longitude, latitude = _transposed(details, 4)
    return _Meters(
        number=number,
        customer=_texts(customer),
        meter_no=meter_no,
        device_no=device_no,
        longitude=np.array(longitude, dtype=np.float64),
        latitude=np.array(latitude, dtype=np.float64),
        priority=_priorities(connection, np.array(today_no, dtype=np.int64)),
    )


def _transposed(rows: Any, width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) or [() for _ in range(width)]


def _texts(values: tuple[str, ...] | list[str]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _rows_of(numbers: NDArray[np.int64], wanted: Any) -> NDArray[np.int32]:
    """Rows at which the wanted numbers stand, -1 for those that do not."""
    wanted = np.asarray(wanted, dtype=np.int64)
    if not len(numbers) or not len(wanted):
        return np.full(len(wanted), -1, dtype=np.int32)
    row_of = np.full(int(max(numbers.max(), wanted.max())) + 2, -1, dtype=np.int32)
    row_of[numbers] = np.arange(len(numbers), dtype=np.int32)
    rows: NDArray[np.int32] = row_of[wanted]
    return rows


def _meters(engine: Engine, connection: Connection, snapshot: str, pages: int) -> _Meters:
    chunks = [(first, min(first + _PAGES_A_CHUNK, pages)) for first in range(0, pages, _PAGES_A_CHUNK)]
    if len(chunks) <= 1:
        parts = [_chunk(connection, 0, max(pages, 1))]
    else:
        shares = [chunks[start::_CONNECTIONS] for start in range(_CONNECTIONS)]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            done = list(pool.map(lambda share: _share(engine, snapshot, share), shares))
        parts = [done[number % _CONNECTIONS][number // _CONNECTIONS] for number in range(len(chunks))]
    number, customer, meter_no, device_no, longitude, latitude = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    priority = _priorities(connection, meter_no)
    return _Meters(number, customer, meter_no, device_no, longitude, latitude, priority)


def _priorities(connection: Connection, meter_no: NDArray[np.int64]) -> NDArray[np.int8]:
    """Criticality of meters by their present numbers in the table; 0 of what is none, such as -1."""
    nos, known = _transposed(connection.execute(_PRIORITIES).all(), 2)
    rows = _rows_of(np.array(nos, dtype=np.int64), meter_no)
    priority: NDArray[np.int8] = np.append(np.array(known, dtype=np.int8), np.int8(0))[rows]
    return priority


@contextmanager
def _sharing(engine: Engine, snapshot: str) -> Iterator[Connection]:
    """Give one more connection that sees what the first one sees."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # SET takes no parameters; the snapshot's name comes from the server itself.
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        connection.execute(_PLAIN)
        yield connection


def _share(engine: Engine, snapshot: str, chunks: list[tuple[int, int]]) -> list[tuple[NDArray[Any], ...]]:
    with _sharing(engine, snapshot) as connection:
        return [_chunk(connection, first, past) for first, past in chunks]


def _chunk(connection: Connection, first: int, past: int) -> tuple[NDArray[Any], ...]:
    pages = {"first": f"({first},0)", "past": f"({past},0)"}
    row = connection.execute(_METERS, pages).one()
    numbers, customers = (joined.split("\x1f") if joined is not None else [] for joined in row[:2])
    columns = [_from_binary(column, dtype) for column, dtype in zip(row[2:], _METER_TYPES, strict=True)]
    if not len(numbers) == len(customers) == len(columns[0]):
        # A code holds the separator itself: row by row, then.
        rows = _transposed(connection.execute(_METER_ROWS, pages).all(), 6)
        numbers, customers, columns = list(rows[0]), list(rows[1]), [np.array(each) for each in rows[2:]]
    return _texts(numbers), _texts(customers), *_native(columns)


def _native(columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return [column.astype(dtype) for column, dtype in zip(columns, ("i8", "i8", "f8", "f8"), strict=True)]


def _from_binary(array: bytes | None, dtype: str) -> NDArray[Any]:
    """Values of a one-dimensional array without NULLs, as ``array_send`` writes it; none for None."""
    if array is None:
        return np.empty(0, dtype)
    element = np.dtype([("length", ">i4"), ("value", dtype)])
    return np.frombuffer(array, dtype=element, offset=20)["value"]
