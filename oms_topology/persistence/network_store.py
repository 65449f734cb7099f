"""Writes a network into the tables: by COPY into temporary tables, then by sets, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from sqlalchemy import text

from oms_topology.errors import TopologyError
from oms_topology.persistence.database import translated_errors
from oms_topology.persistence.queries import script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Engine

    from oms_topology.model import NetworkColumns

__all__ = ["SupplyTree", "store_network"]

_LONGEST_CODE = 64
_MOST_SHOWN = 5


class SupplyTree(Protocol):
    """A network that knows which device feeds which; :class:`~oms_topology.Topology` is one."""

    @property
    def columns(self) -> NetworkColumns:
        """The network."""

    def supply_parents(self, state: Literal["current", "normal"]) -> NDArray[np.int32]:
        """Row of the device that feeds each device in a state; -1 at sources and where nothing does."""


def store_network(engine: Engine, network: SupplyTree) -> None:
    """Write devices, branches, meters, customers and supplies; what is there already is updated.

    Codes decide what is the same. Statuses, signals and outages are not touched. Either all of it is
    stored, or none.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.
    network : Topology
        What to write.

    Raises
    ------
    StoreUnavailableError, ConflictError
        Nothing was written; try again.
    TopologyError
        Codes do not fit the columns of the tables (64 characters, none of them NUL); nothing was written.

    Notes
    -----
    About 10 s per 100,000 meters, keys and mappings included.
    """
    _check_codes(network.columns)
    with translated_errors(), engine.begin() as connection:
        connection.execute(text(script("store_network_tables")))
        _copy_devices(connection, network)
        _copy_branches(connection, network.columns)
        _copy_meters(connection, network)
        _copy_alternates(connection, network)
        for step in ("store_devices", "store_branches", "store_meters"):
            connection.exec_driver_sql(script(step))


def _check_codes(columns: NetworkColumns) -> None:
    meters = columns.meter_number.tolist()
    held = [(code, code) for code in (*columns.device_code.tolist(), *meters)]
    # A customer's code is nobody else's business: the meter tells where to look.
    held += zip(columns.meter_customer.tolist(), meters, strict=True)
    unfit = sorted({name for code, name in held if len(code) > _LONGEST_CODE or "\0" in code})
    if unfit:
        shown = ", ".join(repr(name[:_LONGEST_CODE]) for name in unfit[:_MOST_SHOWN])
        raise TopologyError(
            f"{len(unfit)} codes, or codes of the customers of meters, cannot be stored, beginning with"
            f" {shown}: give them at most {_LONGEST_CODE} characters, none of them NUL."
        )


def _copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _copy_devices(connection: Connection, network: SupplyTree) -> None:
    columns = network.columns
    current, normal = network.supply_parents("current"), network.supply_parents("normal")
    _copy(
        connection,
        "COPY new_device (row_no, kind, code, name, parent_row, normal_parent_row, substation_row,"
        " feeder_row, is_source, longitude, latitude) FROM STDIN",
        zip(
            range(len(columns.device_code)),
            columns.device_kind.tolist(),
            columns.device_code.tolist(),
            columns.device_name.tolist(),
            _or_none(current),
            _or_none(normal),
            _or_none(_nearest_above(columns, normal, "substation")),
            _or_none(_nearest_above(columns, normal, "feeder")),
            columns.device_is_source.tolist(),
            _finite(columns.device_longitude),
            _finite(columns.device_latitude),
            strict=True,
        ),
    )


def _copy_branches(connection: Connection, columns: NetworkColumns) -> None:
    _copy(
        connection,
        "COPY new_branch (row_no, from_row, to_row, kind, code, is_switch, normally_open, is_open)"
        " FROM STDIN",
        zip(
            range(len(columns.branch_from)),
            columns.branch_from.tolist(),
            columns.branch_to.tolist(),
            columns.branch_kind.tolist(),
            columns.branch_code.tolist(),
            columns.branch_is_switch.tolist(),
            columns.branch_normally_open.tolist(),
            columns.branch_is_open.tolist(),
            strict=True,
        ),
    )


def _copy_meters(connection: Connection, network: SupplyTree) -> None:
    columns = network.columns
    normal = network.supply_parents("normal")
    above = {
        kind: _nearest_above(columns, normal, kind) for kind in ("substation", "feeder", "distribution_point")
    }
    at = columns.meter_device
    _copy(
        connection,
        "COPY new_meter (row_no, meter_number, device_row, substation_row, feeder_row, dp_row, customer_id,"
        " priority, longitude, latitude) FROM STDIN",
        zip(
            range(len(columns.meter_number)),
            columns.meter_number.tolist(),
            _or_none(at),
            *(_or_none(np.where(at >= 0, nearest[at], -1)) for nearest in above.values()),
            (code or None for code in columns.meter_customer.tolist()),
            (priority or None for priority in columns.meter_priority.tolist()),
            _finite(columns.meter_longitude),
            _finite(columns.meter_latitude),
            strict=True,
        ),
    )


def _copy_alternates(connection: Connection, network: SupplyTree) -> None:
    columns = network.columns
    rows = np.flatnonzero(~_on_the_way(columns, network.supply_parents("normal")))
    _copy(
        connection,
        "COPY new_alternate (meter_row, device_row, priority) FROM STDIN",
        zip(
            columns.alternate_meter[rows].tolist(),
            columns.alternate_device[rows].tolist(),
            columns.alternate_priority[rows].tolist(),
            strict=True,
        ),
    )


def _on_the_way(columns: NetworkColumns, parents: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which alternates stand above their meter anyway: the same way told twice holds nothing up."""
    at = columns.meter_device[columns.alternate_meter]
    above = np.append(parents, -1)
    met = np.zeros(len(at), dtype=np.bool_)
    while (at >= 0).any():
        met |= at == columns.alternate_device
        at = above[at]
    return met


def _nearest_above(columns: NetworkColumns, parents: NDArray[np.int32], kind: str) -> NDArray[np.int64]:
    """Row of the nearest device of a kind at or above each device, -1 where there is none."""
    is_kind = columns.device_kind == kind
    count = len(parents)
    # A pointer past the end stands for "none"; jumps double, so depth costs its logarithm.
    jump = np.where(is_kind, np.arange(count), np.where(parents >= 0, parents, count))
    jump = np.append(jump, count)
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            break
        jump = further
    found = jump[:count]
    return np.where(found < count, found, -1)


def _or_none(rows: NDArray[Any]) -> list[int | None]:
    return [row if row >= 0 else None for row in rows.tolist()]


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [value if value == value else None for value in values.tolist()]
