"""What is lost when devices fail: who goes dark, and who is held up by another supply."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.forest import hops
from oms_topology.graph.meter_set import MeterSet
from oms_topology.model import DeviceKind, DeviceReference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.codes import Place
    from oms_topology.graph.index import SupplyIndex

__all__ = ["Impact", "assess", "fed_by"]

_CRITICAL = 1


@dataclass(frozen=True, eq=False)
class Impact:
    """What the failure of one or several devices takes away, in the state it was asked for.

    ``a | b`` is the impact of both failing together, which may be more than the two apart: a meter
    that each of two feeders holds up is lost when both fail. ``total``, ``lost`` and ``backed_up``
    are sets, so ``a.lost & b.lost``, ``a.lost - b.lost`` say the rest.

    Attributes
    ----------
    devices : tuple of DeviceReference
        What fails, in the order asked.
    total : MeterSet
        The meters that the devices supply now.
    lost : MeterSet
        Those of them whose every supply fails.
    backed_up : MeterSet
        Those of them that another supply holds up: an alternate feed, a closed loop, or a parallel
        member of the branch. ``lost`` and ``backed_up`` together are ``total``.

    Examples
    --------
    >>> from oms_topology import Topology
    >>> net = Topology.from_text("SS1 > F1 > DP1 > M1..M3; SS1 > F2 > DP2 > M4; F2 ~> M1")
    >>> impact = net.impact("F1")
    >>> len(impact.total), list(impact.lost), list(impact.backed_up), impact.customers
    (3, ['M2', 'M3'], ['M1'], 2)
    >>> (impact | net.impact("F2")).lost == {"M1", "M2", "M3", "M4"}
    True
    """

    devices: tuple[DeviceReference, ...]
    total: MeterSet
    lost: MeterSet
    backed_up: MeterSet
    _index: SupplyIndex = field(repr=False)
    _places: tuple[Place, ...] = field(repr=False)

    @cached_property
    def customers(self) -> int:
        """Distinct customers of the lost meters; a meter without one counts as one."""
        return self.lost.customers

    @cached_property
    def critical(self) -> MeterSet:
        """The lost meters of priority 1 (hospitals and the like)."""
        priority = self._index.network.columns.meter_priority[self.lost.rows]
        return self.lost._picked(priority == _CRITICAL)

    @cached_property
    def by_feeder(self) -> dict[str, int]:
        """Lost meters by feeder, most first; ``""`` for those below no feeder."""
        return self.lost.count_by("feeder")

    @cached_property
    def by_distribution_point(self) -> dict[str, int]:
        """Lost meters by distribution point, most first; ``""`` for those below none."""
        return self.lost.count_by("distribution_point")

    def __or__(self, other: Impact) -> Impact:
        if not isinstance(other, Impact):
            return NotImplemented
        if other._index is not self._index:
            raise TopologyError(
                "Impacts of two states or versions of a network do not combine; ask for both again."
            )
        return assess(self._index, tuple(dict.fromkeys((*self._places, *other._places))))


def fed_by(index: SupplyIndex, place: Place) -> MeterSet:
    """Give the meters that a device or switch supplies in a state; for a meter, the meter itself."""
    kind, row = place
    if kind is DeviceKind.METER:
        at = int(index.meter_position[row])
        return MeterSet(index, at, at + 1)
    device = index.below_branch(row) if kind is DeviceKind.SWITCH else row
    if device < 0:
        return MeterSet(index, 0, 0)
    return MeterSet(index, index.first[device], index.last[device])


def assess(index: SupplyIndex, places: Sequence[Place]) -> Impact:
    """Find what the joint failure of devices takes away in a state.

    Parameters
    ----------
    index : SupplyIndex
        The state.
    places : sequence of Place
        What fails. A switch fails by being open; a meter fails alone.

    Returns
    -------
    Impact
        Costs the size of the answer where supply is radial and single; one pass over the network
        where a closed loop reaches what is below the devices.
    """
    total = _joined(index, [fed_by(index, place) for place in places])
    holds = _holds(index, places, total)
    kept = np.flatnonzero(holds)
    if len(kept):
        lost, backed_up = total._picked(~holds), total._picked(holds)
    else:
        lost, backed_up = total, MeterSet(index, 0, 0)
    return Impact(
        tuple(_reference(index, place) for place in places), total, lost, backed_up, index, tuple(places)
    )


def _joined(index: SupplyIndex, parts: list[MeterSet]) -> MeterSet:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return MeterSet(index, 0, 0)
    positions = np.unique(np.concatenate([index.meter_position[part.rows] for part in parts]))
    return MeterSet(index, 0, len(positions), index.meter_order[positions])


def _reference(index: SupplyIndex, place: Place) -> DeviceReference:
    kind, row = place
    columns = index.network.columns
    column = {DeviceKind.METER: columns.meter_number, DeviceKind.SWITCH: columns.branch_code}
    return DeviceReference(kind, str(column.get(kind, columns.device_code)[row]))


def _holds(index: SupplyIndex, places: Sequence[Place], total: MeterSet) -> NDArray[np.bool_]:
    """Tell for each meter of the total whether some supply of it outlives the failure."""
    columns, rows = index.network.columns, total.rows
    failing = [row for kind, row in places if kind is not DeviceKind.METER]
    seconds = index.second_supply
    if not failing or (not len(seconds) and not len(index.idle_branches())):
        return np.zeros(len(rows), dtype=np.bool_)
    alive = _alive_after(index, places)
    own = columns.meter_device[rows]
    holds = (own >= 0) & alive[np.maximum(own, 0)]
    if len(seconds):
        helped = np.zeros(len(columns.meter_device), dtype=np.bool_)
        helped[columns.alternate_meter[seconds[alive[columns.alternate_device[seconds]]]]] = True
        holds |= helped[rows]
    holds &= ~np.isin(rows, [row for kind, row in places if kind is DeviceKind.METER])
    return holds


def _alive_after(index: SupplyIndex, places: Sequence[Place]) -> NDArray[np.bool_]:
    """Tell for each device whether power still reaches it when the places have failed."""
    forest = index.forest
    alive = forest.position >= 0
    below = np.zeros(len(forest.order) + 1, dtype=np.bool_)
    for kind, row in places:
        top = index.below_branch(row) if kind is DeviceKind.SWITCH else row
        if kind is not DeviceKind.METER and top >= 0 and forest.position[top] >= 0:
            below[forest.position[top] : forest.position[top] + forest.size[top]] = True
    fallen = below[forest.position]
    columns, idle = index.network.columns, index.idle_branches()
    if (fallen[columns.branch_from[idle]] != fallen[columns.branch_to[idle]]).any():
        return _reached_without(index, places)
    survivors: NDArray[np.bool_] = alive & ~fallen
    return survivors


def _reached_without(index: SupplyIndex, places: Sequence[Place]) -> NDArray[np.bool_]:
    network, columns = index.network, index.network.columns
    gone = np.zeros(len(columns.device_code), dtype=np.bool_)
    closed = ~index.is_open
    for kind, row in places:
        if kind is DeviceKind.SWITCH:
            closed[network.names.switch_rows[columns.branch_code[row]]] = False
        elif kind is not DeviceKind.METER:
            gone[row] = True
    closed &= ~gone[columns.branch_from] & ~gone[columns.branch_to]
    sources = network.sources[~gone[network.sources]]
    reached = hops(columns.branch_from[closed], columns.branch_to[closed], sources, len(gone)) >= 0
    alive: NDArray[np.bool_] = reached & ~gone
    return alive
