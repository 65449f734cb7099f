"""What is wrong with a network in its normal state, as findings; it never stops at bad data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.forest import hops
from oms_topology.graph.reading.cleaning import GONE
from oms_topology.graph.troubles import Troubles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.index import SupplyIndex
    from oms_topology.model import Finding

__all__ = ["validated"]


def validated(normal: SupplyIndex) -> list[Finding]:
    """Check the normal state of a network against every rule.

    Parameters
    ----------
    normal : SupplyIndex
        The normal state.

    Returns
    -------
    list of Finding
        Errors first, then warnings, each in the order of the rules; empty when all is well.
        ``loop`` counts independent loops, parallel members of one branch not among them.
        Linear in the network.
    """
    troubles = Troubles()
    _check_loops(normal, troubles)
    _check_orphans(normal, troubles)
    troubles.add("code_collision", normal.network.names.shared)
    _check_places(normal, troubles)
    return normal.network.troubles.merged(troubles).findings()


def _check_loops(normal: SupplyIndex, troubles: Troubles) -> None:
    columns, forest = normal.network.columns, normal.forest
    idle = normal.idle_branches
    start, end = columns.branch_from[idle], columns.branch_to[idle]
    own_way = (forest.parent[start] == end) | (forest.parent[end] == start)
    pair = np.minimum(start, end).astype(np.int64) << 32 | np.maximum(start, end)
    first_of_pair = np.zeros(len(idle), dtype=np.bool_)
    first_of_pair[np.unique(pair, return_index=True)[1]] = True
    real = first_of_pair & ~own_way
    roots = _roots(normal)
    one_tree = roots[start] == roots[end]
    troubles.add("loop", [_branch_name(normal, branch) for branch in idle[real & one_tree].tolist()])
    meeting = real & ~one_tree
    further = np.where(forest.depth[start] > forest.depth[end], start, end)[meeting]
    troubles.add("two_sources", columns.device_code[further].tolist())


def _roots(normal: SupplyIndex) -> NDArray[np.int32]:
    """Row of the source that feeds each device; -1 without supply."""
    forest = normal.forest
    roots = np.full(len(forest.parent), -1, dtype=np.int32)
    starts = np.flatnonzero(forest.depth == 0)
    by_position = starts[np.argsort(forest.position[starts])]
    roots[forest.order] = np.repeat(by_position, forest.size[by_position])
    return roots


def _branch_name(normal: SupplyIndex, branch: int) -> str:
    columns = normal.network.columns
    start, end = columns.branch_from[branch], columns.branch_to[branch]
    return str(columns.branch_code[branch]) or f"{columns.device_code[start]}-{columns.device_code[end]}"


def _check_orphans(normal: SupplyIndex, troubles: Troubles) -> None:
    """Judge reach by the sources that the data name: an assumed one only keeps answers useful."""
    network, columns = normal.network, normal.network.columns
    closed = ~normal.is_open
    named = network.sources[~network.is_assumed[network.sources]]
    ends = columns.branch_from[closed], columns.branch_to[closed]
    reached = hops(*ends, named, len(columns.device_code)) >= 0
    troubles.add("orphan_device", columns.device_code[~reached & ~network.is_gone].tolist())
    fed = np.append(reached, False)[np.maximum(columns.meter_device, -1)]
    second = normal.second_supply
    fed[columns.alternate_meter[second[reached[columns.alternate_device[second]]]]] = True
    orphaned = ~fed & (columns.meter_device != GONE)
    troubles.add("orphan_meter", columns.meter_number[orphaned].tolist())


def _check_places(normal: SupplyIndex, troubles: Troubles) -> None:
    columns = normal.network.columns
    wrong = _impossible(columns.device_longitude, columns.device_latitude) & ~normal.network.is_gone
    troubles.add("impossible_coordinates", columns.device_code[wrong].tolist())
    wrong = _impossible(columns.meter_longitude, columns.meter_latitude) & (columns.meter_device != GONE)
    troubles.add("impossible_coordinates", columns.meter_number[wrong].tolist())


def _impossible(longitude: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.bool_]:
    off_globe = (np.abs(longitude) > 180) | (np.abs(latitude) > 90)
    half = np.isnan(longitude) != np.isnan(latitude)
    null_island = (longitude == 0) & (latitude == 0)
    wrong: NDArray[np.bool_] = off_globe | half | null_island
    return wrong
