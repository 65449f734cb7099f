"""What becomes of nodes, and of what was concluded about them, when a network gives way to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.tracking import Tracks

__all__ = ["Carried", "Change"]


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """How the nodes of one network are found in the next.

    Attributes
    ----------
    at : datetime
        When it changed.
    old, new : SupplyForest
        The networks.
    new_of : int32 array, one per old node
        The same device or meter in the new network; -1 where it is gone.
    moved : tuple of (int, int)
        Nodes that another device feeds from then on, by their old and their new number.
    """

    at: datetime
    old: SupplyForest
    new: SupplyForest
    new_of: NDArray[np.int32]
    moved: tuple[tuple[int, int], ...]

    @classmethod
    def between(cls, at: datetime, old: SupplyForest, new: SupplyForest) -> Change:
        """Compare two networks; linear in both."""
        new_of = _found(old, new)
        known = np.flatnonzero(new_of >= 0)
        # Below what was no node, or is none any more, is another place than below any other or none.
        mapped = np.append(np.where(new_of >= 0, new_of, -2), -1).astype(np.int32)
        moved = known[mapped[old.parent[known]] != new.parent[new_of[known]]]
        return cls(at, old, new, new_of, tuple(zip(moved.tolist(), new_of[moved].tolist(), strict=True)))

    def node(self, node: int) -> int:
        """Find an old node in the new network; -1 where it is gone."""
        return int(self.new_of[node])

    def taken_along(self, windows: Iterable[PlannedWindow]) -> list[PlannedWindow]:
        """Give what windows of old nodes explain of nodes that hang elsewhere now: up to the change."""
        return [
            (new, begins_at, min(ends_at, self.at))
            for top, begins_at, ends_at in windows
            for old, new in self.moved
            if begins_at < self.at and old != top and self.old.is_below(old, top)
            if self.node(top) < 0 or not self.new.is_below(new, self.node(top))
        ]

    def left(self, top: int) -> list[str]:
        """Give the numbers of the meters that were below an old node and are not any more, in preorder."""
        below = self.old.meters_below(top)
        new, place = self.new_of[below], self.node(top)
        stay = new == place
        if 0 <= place < self.new.devices:
            stay = (self.new.first_meter[place] <= new) & (new < self.new.last_meter[place])
        return [self.old.reference(int(node)).code for node in below[~stay | (new < 0)]]


def _found(old: SupplyForest, new: SupplyForest) -> NDArray[np.int32]:
    codes = old.index.network.columns.device_code[old.device_rows]
    place = {
        (kind, code): node
        for node, (kind, code) in enumerate(
            zip(
                new.kind[: new.devices].tolist(),
                new.index.network.columns.device_code[new.device_rows].tolist(),
                strict=True,
            )
        )
    }
    kinds = old.kind[: old.devices].tolist()
    devices = [place.get(key, -1) for key in zip(kinds, codes.tolist(), strict=True)]
    meters = new.meter_nodes(old.index.network.columns.meter_number[old.meter_rows].tolist())
    return np.concatenate((np.array(devices, dtype=np.int32), meters))


@dataclass(frozen=True, slots=True)
class Carried:
    """What is known of the nodes of a network from the ones before it.

    Attributes
    ----------
    planned, explained : tuple of (int, datetime, datetime)
        Between which times a node was without supply where it hung before: as planned, or by an outage there.
    arrived : mapping of int to datetime
        Since when a node hangs where it does.
    """

    planned: tuple[PlannedWindow, ...] = ()
    explained: tuple[PlannedWindow, ...] = ()
    arrived: Mapping[int, datetime] = field(default_factory=dict)

    def over(self, change: Change, planned: Iterable[PlannedWindow], tracks: Tracks) -> Carried:
        """Go on to the next network.

        Parameters
        ----------
        change : Change
            How it came about.
        planned : iterable of (int, datetime, datetime)
            All planned windows of the old nodes.
        tracks : Tracks
            Outages on the old nodes; they stay as they are.
        """
        outages = [
            *((node, track.started_at, change.at) for node, track in tracks.open.items()),
            *(track.explains for track in tracks.every if track.explains is not None),
        ]
        return Carried(
            (*self._kept(self.planned, change), *change.taken_along(planned)),
            (*self._kept(self.explained, change), *change.taken_along([*self.explained, *outages])),
            {change.node(node): at for node, at in self.arrived.items() if change.node(node) >= 0}
            | {new: change.at for _, new in change.moved},
        )

    @staticmethod
    def _kept(windows: Iterable[PlannedWindow], change: Change) -> list[PlannedWindow]:
        return [
            (change.node(node), begins_at, ends_at)
            for node, begins_at, ends_at in windows
            if change.node(node) >= 0
        ]
