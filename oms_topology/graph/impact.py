"""What is lost when devices fail: who goes dark, and who is held up by another supply."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.engine.holding import holds
from oms_topology.graph.meter_set import MeterSet
from oms_topology.model import DeviceKind, DeviceReference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place
    from oms_topology.model import NetworkColumns

__all__ = ["Impact", "assess", "fed_by"]

_CRITICAL = 1


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

    __slots__ = ("__dict__", "_is_held", "_places", "_sequence", "_state", "total")

    def __init__(
        self,
        state: SupplyState,
        places: tuple[Place, ...],
        total: MeterSet,
        is_held: NDArray[np.bool_] | None,
    ) -> None:
        self._state, self._sequence, self._places = state, state.sequence, places
        self.total = total
        self._is_held = is_held

    @cached_property
    def devices(self) -> tuple[DeviceReference, ...]:
        """What fails, in the order asked."""
        return tuple(_reference(self.total._columns, place) for place in self._places)

    @cached_property
    def lost(self) -> MeterSet:
        """Those of them whose every supply fails."""
        return self.total if self._is_held is None else self.total._picked(~self._is_held)

    @cached_property
    def backed_up(self) -> MeterSet:
        """Those of them that another supply holds up."""
        if self._is_held is None:
            return MeterSet.empty(self._state)
        return self.total._picked(self._is_held)

    @cached_property
    def customers(self) -> int:
        """Distinct customers of the lost meters; a meter without one counts as one."""
        return self.lost.customers

    @cached_property
    def critical(self) -> MeterSet:
        """The lost meters of priority 1 (hospitals and the like)."""
        priority = self.lost._columns.meter_priority[self.lost.rows]
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
        """Tell what the failure of both takes away."""
        if not isinstance(other, Impact):
            return NotImplemented
        if other._state is not self._state or not (other._sequence == self._sequence == self._state.sequence):
            raise TopologyError(
                "Impacts of two states or versions of a network do not combine; ask for both again."
            )
        return assess(self._state, tuple(dict.fromkeys((*self._places, *other._places))))

    def __repr__(self) -> str:
        names = ", ".join(device.code for device in self.devices)
        return f"Impact({names}: {len(self.total)} meters, {len(self.lost)} lost)"


def fed_by(state: SupplyState, place: Place) -> MeterSet:
    """Give the meters that a device or switch supplies in a state; for a meter, the meter itself."""
    kind, row = place
    if kind is DeviceKind.METER:
        return MeterSet.of_rows(state, np.array([row], dtype=np.int32))
    device = state.below_branch(row) if kind is DeviceKind.SWITCH else row
    top = state.place(device)
    return MeterSet.below(state, top) if top >= 0 else MeterSet.empty(state)


def assess(state: SupplyState, places: tuple[Place, ...]) -> Impact:
    """Find what the joint failure of devices takes away in a state.

    Parameters
    ----------
    state : SupplyState
        The state.
    places : tuple of Place
        What fails. A switch fails by being open; a meter fails alone.

    Returns
    -------
    Impact
        Costs the size of the answer where supply is radial and single; one pass over the network
        where a closed loop reaches what is below the devices.
    """
    if len(places) == 1:
        total = fed_by(state, places[0])
    else:
        total = _joined(state, [fed_by(state, place) for place in places])
    return Impact(state, places, total, holds(state, places, total))


def _joined(state: SupplyState, parts: list[MeterSet]) -> MeterSet:
    if not parts:
        return MeterSet.empty(state)
    rows = np.concatenate([part.rows for part in parts])
    places = np.concatenate([part.places for part in parts])
    roots = state.roots_of(places)
    _, distinct = np.unique(rows, return_index=True)
    order = distinct[np.lexsort((rows[distinct], places[distinct], roots[distinct]))]
    return MeterSet.of_rows(state, rows[order], places[order])


def _reference(columns: NetworkColumns, place: Place) -> DeviceReference:
    kind, row = place
    column = {DeviceKind.METER: columns.meter_number, DeviceKind.SWITCH: columns.branch_code}
    return DeviceReference(kind, str(column.get(kind, columns.device_code)[row]))
