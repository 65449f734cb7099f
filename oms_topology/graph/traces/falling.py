"""What falls when devices are isolated or a switch fails: the parts that go dark, and the meters lost."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from oms_topology.graph.engine.grouping import ancestor_labels
from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.traces.spans import listed, own_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

__all__ = ["ALIVE", "DEAD", "ISOLATED", "Fallen"]

ALIVE, ISOLATED, DEAD = -1, -2, -3
"""What stands with supply; what is isolated itself; what had no supply anyway, elsewhere."""


class Fallen:
    """The parts of a network that a failure leaves without supply.

    Looks at the subtrees below what fails, or at the whole island where that has no supply, and at
    nothing else; a closed branch that the trees leave out joins parts, or holds one up.

    Parameters
    ----------
    state : SupplyState
        The state in which it fails.
    zone : sequence of int
        Rows of the devices that are isolated; what power enters there is of no use to others.
    cut : frozenset of int
        Branches that are open besides.

    Attributes
    ----------
    devices : int32 array
        Rows of the devices looked at, tree by tree in preorder.
    status : int32 array, one per device looked at
        The number of its dark part from 0 on, :data:`ALIVE` if a loop holds it up, or :data:`ISOLATED`.
    parts : int
        How many dark parts there are.
    meters : int32 array
        Rows of the meters that hang on these devices.
    """

    def __init__(self, state: SupplyState, zone: Sequence[int], cut: frozenset[int]) -> None:
        self._state = state
        self._cut = frozenset(branch for branch in cut if not _has_twin(state, branch, cut))
        self._zone = np.array(sorted(zone), dtype=np.int32)
        self._begin, self._end = self._slices()
        width = self._end - self._begin
        self._offset = np.cumsum(width) - width
        self._place = listed(self._begin, width)
        self.devices: NDArray[np.int32] = state.arena.device_at[self._place]
        self.status, self.parts = self._split()
        begin, end = own_spans(state, self._place)
        counts = end - begin
        self.meters: NDArray[np.int32] = state.arena.meter_at[listed(begin, counts)]
        self._meter_status = np.repeat(self.status, counts)
        self._meter_had_supply = np.repeat(state.position[self.devices] >= 0, counts)

    def _slices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the outermost subtrees, as first and last places."""
        state, size = self._state, self._state.arena.size
        tops = {self._top(device) for device in self._zone.tolist()}
        for branch in self._cut:
            start, end = state.network.ends(branch)
            if (below := state.below_branch(branch)) >= 0:
                tops.add(state.place(below))
            elif not state.is_open[branch] and state.place(start) < 0:
                tops |= {self._top(start), self._top(end)}
        begin: list[int] = []
        end_of: list[int] = []
        for top in sorted(top for top in tops if top >= 0):
            if not end_of or top >= end_of[-1]:
                begin.append(top)
                end_of.append(top + size.item(top))
        return np.array(begin, dtype=np.int64), np.array(end_of, dtype=np.int64)

    def _top(self, device: int) -> int:
        """Give where to look from: the device itself, or the root of its island without supply."""
        state = self._state
        place = state.place(device)
        if place >= 0:
            return place
        place = state.any_place(device)
        return state.root(place) if place >= 0 else -1

    def _split(self) -> tuple[NDArray[np.int32], int]:
        """Give each part between what is isolated and what is cut a number."""
        above = self._state.arena.parent[self._place]
        slice_of = np.repeat(np.arange(len(self._begin)), self._end - self._begin)
        local = above - self._begin[slice_of] + self._offset[slice_of]
        local = np.where(above >= self._begin[slice_of], local, -1).astype(np.int32)
        in_zone = np.isin(self.devices, self._zone)
        is_top = (local < 0) | in_zone[local] | self._is_cut_off(local)
        label = ancestor_labels(local, is_top | in_zone)
        tops = np.flatnonzero(is_top & ~in_zone)
        number = np.full(len(local), ISOLATED, dtype=np.int32)
        number[tops] = np.arange(len(tops), dtype=np.int32)
        status: NDArray[np.int32] = number[label]
        return self._joined(status, len(tops))

    def _is_cut_off(self, local: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell which devices a branch that is cut has fed."""
        cut_off = np.zeros(len(local), dtype=np.bool_)
        for branch in self._cut:
            for device, other in (ends := self._state.network.ends(branch)), ends[::-1]:
                for at in np.flatnonzero(self.devices == device).tolist():
                    cut_off[at] |= local[at] >= 0 and self.devices[local[at]] == other
        return cut_off

    def _joined(self, status: NDArray[np.int32], parts: int) -> tuple[NDArray[np.int32], int]:
        """Join parts by the closed branches outside the trees; one of these may lead to supply."""
        idle = self._state.idle - self._cut
        if not idle or not parts:
            return status, parts
        columns = self._state.network.columns
        rows = np.fromiter(idle, dtype=np.int32, count=len(idle))
        ends = np.stack(
            [self._looked_up(devices[rows], status) for devices in (columns.branch_from, columns.branch_to)]
        )
        ends = ends[:, (ends >= ALIVE).all(axis=0) & (ends >= 0).any(axis=0)]
        start, end = np.where(ends == ALIVE, parts, ends)
        links = (np.ones(len(start), dtype=np.int8), (start, end))
        found, joined = connected_components(csr_array(links, shape=(parts + 1, parts + 1)), directed=False)
        alive = joined[parts]
        new = np.full(found, ALIVE, dtype=np.int32)
        dark = np.unique(joined[:parts], return_index=True)
        order = dark[0][np.argsort(dark[1])]
        order = order[order != alive]
        new[order] = np.arange(len(order), dtype=np.int32)
        return np.where(status >= 0, new[joined[np.maximum(status, 0)]], status).astype(np.int32), len(order)

    def _looked_up(self, devices: NDArray[np.int32], status: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give the status of devices wherever they stand."""
        at = self._state.position[np.maximum(devices, 0)]
        place = np.where(at < -1, -2 - at, at)
        slice_of = np.searchsorted(self._begin, place, side="right") - 1
        inside = (slice_of >= 0) & (devices >= 0) & (at != -1)
        inside[inside] = place[inside] < self._end[slice_of[inside]]
        found = np.where((at >= 0) & (devices >= 0), ALIVE, DEAD).astype(np.int32)
        found[inside] = status[(place - self._begin[slice_of] + self._offset[slice_of])[inside]]
        return found

    def status_of(self, devices: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give for device rows the number of their dark part, or what else they are; -1 is :data:`DEAD`."""
        if not len(self._state.position):
            return np.full(len(devices), DEAD, dtype=np.int32)
        if not len(self._begin):
            at = self._state.position[np.maximum(devices, 0)]
            return np.where((at >= 0) & (devices >= 0), ALIVE, DEAD).astype(np.int32)
        return self._looked_up(devices, self.status)

    @cached_property
    def _ways(self) -> dict[int, frozenset[int]]:
        """For the meters with second supplies that are or may be dark, what their ways come to."""
        state, network = self._state, self._state.network
        if not network.backups:
            return {}
        meters = dict.fromkeys([*network.backups.among(self.meters).tolist(), *sorted(state.lacking)])
        ways: dict[int, list[int]] = {}
        for meter in meters:
            own, is_same_way = network.meter_device(meter), state.normal.is_same_way
            others = (device for device in network.backups.of(meter) if not is_same_way(own, device))
            ways[meter] = [max(own, -1), *others]
        devices = np.array([device for each in ways.values() for device in each], dtype=np.int32)
        status = iter(self.status_of(devices).tolist())
        return {meter: frozenset(next(status) for _ in each) for meter, each in ways.items()}

    @cached_property
    def _is_lost(self) -> NDArray[np.bool_]:
        lost: NDArray[np.bool_] = self._meter_status != ALIVE
        for meter, at in self._at.items():
            if ALIVE in self._ways[meter]:
                lost[at] = False
        return lost

    @cached_property
    def _at(self) -> dict[int, int]:
        """Where among the meters those with second supplies are."""
        if not self._ways:
            return {}
        at = np.flatnonzero(self._state.network.backups.is_among(self.meters))
        return dict(zip(self.meters[at].tolist(), at.tolist(), strict=True))

    def also_lost(self) -> MeterSet:
        """Give the meters outside the isolated devices that have supply now and would have none."""
        chosen = self._is_lost & self._meter_had_supply & (self._meter_status != ISOLATED)
        return MeterSet.of_rows(self._state, self.meters[chosen])

    def backed_up(self) -> MeterSet:
        """Give the meters that would keep supply, by a loop or a second supply."""
        return MeterSet.of_rows(self._state, self.meters[~self._is_lost & self._meter_had_supply])

    def picked_up(self, part: int, before: frozenset[int] = frozenset()) -> NDArray[np.int32]:
        """Give the rows of the meters that supply to a dark part would bring back.

        Parameters
        ----------
        part : int
            The part.
        before : frozenset of int
            Parts that have got supply before; their meters do not count again.
        """
        chosen = self._is_lost & (self._meter_status == part)
        elsewhere = []
        for meter, ways in self._ways.items():
            is_picked_up = part in ways and ALIVE not in ways and not ways & before
            if meter in self._at:
                chosen[self._at[meter]] = is_picked_up
            elif is_picked_up:
                elsewhere.append(meter)
        return np.concatenate((self.meters[chosen], np.array(elsewhere, dtype=np.int32)))

    def lost_outside(self) -> NDArray[np.int32]:
        """Give the rows of the meters outside the isolated devices without supply after the failure."""
        chosen = self._is_lost & (self._meter_status != ISOLATED)
        lost: NDArray[np.int32] = self.meters[chosen]
        return lost


def _has_twin(state: SupplyState, branch: int, cut: frozenset[int]) -> bool:
    """Tell whether another branch between the same ends is closed and stays so."""
    beside = state.network.branches_between(*state.network.ends(branch))
    return any(not state.is_open[row] and row not in cut for row in beside)
