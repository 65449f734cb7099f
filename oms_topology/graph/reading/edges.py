"""A network from three tables of any depth: nodes, edges and customers, as network models give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.forest import Forest, grow
from oms_topology.graph.reading.book import BranchBook, DeviceBook, is_switchable, network
from oms_topology.graph.reading.phase_codes import phases_column
from oms_topology.graph.reading.tables import Table
from oms_topology.graph.troubles import Troubles
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["columns_from_edges"]

_MEDIUM_VOLTAGE_KV = 36.0
_LOW_VOLTAGE_KV = 1.0
_KINDS = {kind.value: kind for kind in DeviceKind if kind not in (DeviceKind.METER, DeviceKind.SWITCH)}
_VOLTAGE_COLUMNS = ("kv_ll", "kv", "vn_kv", "voltage_kv")


def columns_from_edges(nodes: Any, edges: Any, customers: Any) -> tuple[NetworkColumns, Troubles]:
    """Read the tables; what they mean is told at ``Topology.from_edges``.

    Parameters
    ----------
    nodes, edges, customers : tables
        Anything that :class:`~oms_topology.graph.reading.tables.Table` reads.

    Returns
    -------
    columns : NetworkColumns
        The network.
    troubles : Troubles
        What the tables said that cannot be.
    """
    troubles = Troubles()
    node_table = Table(nodes, "nodes")
    devices = DeviceBook(troubles)
    kept = _enter_nodes(devices, node_table)
    branches = _enter_edges(devices, Table(edges, "edges"), troubles)
    meters = _meters(devices, Table(customers, "customers"), troubles)
    columns = network(devices, branches, **meters)
    _place_meters(columns)
    if not {"feeder", "distribution_point"} & set(columns.device_kind.tolist()):
        _name_the_parts(columns, node_table.numbers(*_VOLTAGE_COLUMNS)[kept])
    return columns, troubles


def _enter_nodes(devices: DeviceBook, table: Table) -> NDArray[np.intp]:
    used = ("kind", "parent", "parent_edge")
    kept = devices.add_table(DeviceKind.SECTION, table, "id", *used)
    kinds = np.char.lower(table.codes("kind")[kept].astype(str)).tolist()
    is_source = [kind in ("source", "slack", "external_grid") for kind in kinds]
    if not any(is_source):
        is_source = [kind == "substation" for kind in kinds]
    devices.is_source[:] = is_source
    for row, kind in enumerate(kinds):
        if is_source[row]:
            devices.kinds[row] = DeviceKind.SUBSTATION.value
        elif kind in _KINDS:
            devices.kinds[row] = kind
    return kept


def _enter_edges(devices: DeviceBook, table: Table, troubles: Troubles) -> BranchBook:
    table.need("from", "to")
    branches = BranchBook()
    kinds, names = table.codes("kind").tolist(), table.codes("name", "switch_id", "id").tolist()
    normally_open = table.flags("normally_open").tolist()
    is_open = table.flags("is_open").tolist() if "is_open" in table else normally_open
    phases = phases_column(table).tolist()
    ends = zip(table.codes("from").tolist(), table.codes("to").tolist(), strict=True)
    for row, codes in enumerate(ends):
        start, end = (devices.find(code, DeviceKind.SECTION) for code in codes)
        if start < 0 or end < 0:
            troubles.add("dangling_id", [names[row] or f"edges row {row}"])
            continue
        branches.add(
            start,
            end,
            kind=kinds[row] or "line",
            code=names[row],
            is_switch=is_switchable(kinds[row]) or normally_open[row],
            normally_open=normally_open[row],
            is_open=is_open[row],
            phases=phases[row],
        )
    return branches


def _meters(devices: DeviceBook, table: Table, troubles: Troubles) -> dict[str, Any]:
    table.need("id", "node")
    numbers, nodes = table.codes("id"), table.codes("node").tolist()
    device = np.array([devices.find(node, DeviceKind.SECTION) for node in nodes], dtype=np.int32)
    troubles.add(
        "dangling_id", numbers[(device < 0) & np.array([node != "" for node in nodes], dtype=bool)].tolist()
    )
    used = ("id", "node", "customer_id", "priority", "longitude", "lon", "latitude", "lat")
    return {
        "meter_number": numbers,
        "meter_device": device,
        "meter_customer": table.codes("customer_id", "id"),
        "meter_priority": np.nan_to_num(table.numbers("priority"), nan=0).clip(0, 100).astype(np.int8),
        "meter_longitude": table.numbers("longitude", "lon"),
        "meter_latitude": table.numbers("latitude", "lat"),
        "meter_phases": phases_column(table),
        "meter_attributes": table.rest(*used),
    }


def _place_meters(columns: NetworkColumns) -> None:
    """Let a customer without a position of its own stand where its node stands."""
    lacking = (
        np.isnan(columns.meter_longitude) & np.isnan(columns.meter_latitude) & (columns.meter_device >= 0)
    )
    node = columns.meter_device[lacking]
    columns.meter_longitude[lacking] = columns.device_longitude[node]
    columns.meter_latitude[lacking] = columns.device_latitude[node]


def _name_the_parts(columns: NetworkColumns, kv: NDArray[np.float64]) -> None:
    """Find feeders and distribution points by the normal state; the rest stays sections."""
    closed = np.flatnonzero(~columns.branch_normally_open).astype(np.int32)
    sources = np.flatnonzero(columns.device_is_source).astype(np.int32)
    ends = columns.branch_from[closed], columns.branch_to[closed]
    forest = grow(*ends, closed, sources, len(columns.device_code))
    heads = _feeder_heads(columns, forest, kv)
    columns.device_kind[heads] = DeviceKind.FEEDER.value
    columns.device_kind[_distribution_points(columns, forest, kv)] = DeviceKind.DISTRIBUTION_POINT.value


def _feeder_heads(columns: NetworkColumns, forest: Forest, kv: NDArray[np.float64]) -> list[int]:
    """Nodes behind the first switch of each way out; a source without one has its branches for feeders."""
    in_feeder = np.zeros(len(kv), dtype=np.bool_)
    source_of = np.full(len(kv), -1, dtype=np.int32)
    heads: list[int] = []
    for device in forest.order.tolist():
        parent = forest.parent[device]
        if parent < 0:
            source_of[device] = device
            continue
        source_of[device] = source_of[parent]
        behind_switch = columns.branch_is_switch[forest.parent_branch[device]]
        is_head = bool(behind_switch) and not in_feeder[parent] and not kv[device] > _MEDIUM_VOLTAGE_KV
        in_feeder[device] = is_head or in_feeder[parent]
        if is_head:
            heads.append(device)
    switchless = ~np.isin(source_of[forest.parent], source_of[heads]) & (forest.depth == 1)
    return heads + np.flatnonzero(switchless).tolist()


def _distribution_points(columns: NetworkColumns, forest: Forest, kv: NDArray[np.float64]) -> list[int]:
    served = np.bincount(columns.meter_device[columns.meter_device >= 0], minlength=len(kv))
    parents = forest.parent[forest.parent >= 0]
    ways = served + np.bincount(parents, minlength=len(kv))
    is_secondary = _are_secondaries(columns, forest, kv)
    taken = (DeviceKind.SUBSTATION.value, DeviceKind.FEEDER.value)
    points = (
        _point_for(node, columns, forest, kv, ways, is_secondary) for node in np.flatnonzero(served).tolist()
    )
    return sorted({point for point in points if point >= 0 and columns.device_kind[point] not in taken})


def _are_secondaries(columns: NetworkColumns, forest: Forest, kv: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Nodes fed by a transformer down to low voltage; a regulator keeps its voltage and is none."""
    fed = np.flatnonzero(forest.parent >= 0)
    kinds = columns.branch_kind[forest.parent_branch[fed]]
    by_transformer = np.array(["transformer" in kind.casefold() for kind in kinds.tolist()], dtype=np.bool_)
    steps_down = ~(kv[fed] >= _LOW_VOLTAGE_KV) & (kv[fed] != kv[forest.parent[fed]])
    secondaries = np.zeros(len(kv), dtype=np.bool_)
    secondaries[fed[by_transformer & steps_down]] = True
    return secondaries


def _point_for(
    node: int,
    columns: NetworkColumns,
    forest: Forest,
    kv: NDArray[np.float64],
    ways: NDArray[np.intp],
    is_secondary: NDArray[np.bool_],
) -> int:
    """Choose the distribution point of a node's customers, between the node and its feeder's head."""
    if forest.position[node] < 0 or kv[node] >= _LOW_VOLTAGE_KV:
        return node if forest.position[node] >= 0 else -1
    branching, at = -1, node
    while at >= 0 and columns.device_kind[at] == DeviceKind.SECTION.value:
        if is_secondary[at]:
            return at
        if branching < 0 and ways[at] > 1:
            branching = at
        at = int(forest.parent[at])
    return branching if branching >= 0 else node
