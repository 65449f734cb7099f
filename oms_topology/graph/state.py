"""One state of a network, normal or current: who feeds whom, changed in place tree by tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.cleaning import NOWHERE as _NOWHERE
from oms_topology.graph.planting import Planting, grown, plant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from oms_topology.graph.arena import Arena
    from oms_topology.graph.index import SupplyIndex
    from oms_topology.graph.network import Network

__all__ = ["SupplyState"]

_FEW_STEPS = 64
_LAST = np.iinfo(np.int32).max


class SupplyState:
    """Where every device stands in the trees of one state, and what feeds each meter.

    Parameters
    ----------
    network : Network
        What the trees are made of.
    arena : Arena
        Where they are written.
    is_open : bool array, one per branch
        The state's own flags; it writes them.
    normal : SupplyState, optional
        The normal state, by which second supplies are told from a meter's own way; left out when
        this is it.

    Attributes
    ----------
    places : memoryview of int32, one per device
        Place of each device in the arena; ``-2 - place`` in a tree without supply, -1 for one that is gone.
    position : int32 array
        The same, for numpy.
    overrides : dict of meter row to device row
        Meters that a second supply feeds, as their own device is dead.
    lacking : set of meter rows
        Meters with second supplies of which none is alive, and neither is their own device.
    idle : set of branch rows
        Closed branches that the trees leave out: loops, ties, parallel members.
    supplied : int
        How many meters have supply.
    sequence : int
        Even while nothing changes, and another even number after every change.
    """

    __slots__ = (
        "_flat",
        "arena",
        "idle",
        "is_open",
        "lacking",
        "network",
        "normal",
        "overrides",
        "places",
        "position",
        "sequence",
        "supplied",
    )

    def __init__(
        self,
        network: Network,
        arena: Arena,
        is_open: NDArray[np.bool_],
        normal: SupplyState | None = None,
    ) -> None:
        self.network, self.arena, self.is_open = network, arena, is_open
        self.normal = normal or self
        self.position = np.full(len(network.columns.device_code), -1, dtype=np.int32)
        self.places = self.position.data
        self.overrides: dict[int, int] = {}
        self.lacking: set[int] = set()
        self.idle: set[int] = set()
        self.supplied = 0
        self.sequence = 0
        self._flat: tuple[int, SupplyIndex] | None = None

    def fork(
        self, network: Network, is_open: NDArray[np.bool_], normal: SupplyState | None = None
    ) -> SupplyState:
        """Make a copy that changes on its own, in the same arena."""
        other = object.__new__(SupplyState)
        other.normal = normal or other
        other.network, other.arena, other.is_open = network, self.arena, is_open
        other.position = self.position.copy()
        other.places = other.position.data
        other.overrides, other.lacking, other.idle = dict(self.overrides), set(self.lacking), set(self.idle)
        other.supplied, other.sequence, other._flat = self.supplied, 0, None
        return other

    # What readers ask.

    def place(self, device: int) -> int:
        """Give the place of a device that has supply, -1 for another."""
        return self.places[device] if device >= 0 and self.places[device] >= 0 else -1

    def any_place(self, device: int) -> int:
        """Give the place of a device, with supply or without; -1 for one that is gone."""
        at = self.places[device] if 0 <= device < len(self.places) else -1
        return -2 - at if at < -1 else at

    def feed(self, meter: int) -> int:
        """Give the device that a meter hangs on: its own, or the second supply that holds it up."""
        return self.overrides[meter] if meter in self.overrides else self.network.meter_device(meter)

    def meters_below(self, place: int) -> int:
        """Count the meters below a place."""
        first = self.arena.first
        return first.item(place + self.arena.size.item(place)) - first.item(place)

    def places_of(self, meters: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give the place of what supplies each of the meters, -1 for none."""
        feeds = self.network.columns.meter_device[meters]
        if self.overrides:
            for at in np.flatnonzero(self.network.backups.is_among(meters)).tolist():
                feeds[at] = self.overrides.get(int(meters[at]), feeds[at])
        if not len(self.position):
            return np.full(len(meters), -1, dtype=np.int32)
        places = self.position[np.maximum(feeds, 0)]
        return np.where((feeds < 0) | (places < 0), np.int32(-1), places)

    def tree_bases(self) -> NDArray[np.int32]:
        """Give the places at which the trees with supply begin, in the order of their sources' rows."""
        bases = self.position[self.network.sources]
        return bases[bases >= 0]

    def root(self, place: int) -> int:
        """Give the place of the root of a place's tree."""
        parent = self.arena.parent
        while (above := parent.item(place)) >= 0:
            place = above
        return place

    def roots_of(self, places: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give the row of the device at the root of each place's tree; the greatest number for no place."""
        distinct, back = np.unique(places, return_inverse=True)
        roots = [
            _LAST if place < 0 else self.arena.device_at.item(self.root(place)) for place in distinct.tolist()
        ]
        return np.array(roots, dtype=np.int32)[back]

    def depth(self, place: int) -> int:
        """Count the branches between a place and its root."""
        parent, depth = self.arena.parent, 0
        while (place := parent.item(place)) >= 0:
            depth += 1
        return depth

    def parent(self, device: int) -> int:
        """Give the device that feeds a device, in whatever tree it stands; -1 at a root."""
        place = self.any_place(device)
        above = self.arena.parent.item(place) if place >= 0 else -1
        return self.arena.device_at.item(above) if above >= 0 else -1

    def lowest_common(self, low: int, high: int) -> int:
        """Give the place of the lowest device at or above two places, the lower first; -1 for none."""
        size, parent = self.arena.size, self.arena.parent
        for _ in range(_FEW_STEPS):
            if low < 0 or low + size.item(low) > high:
                return low
            low = parent.item(low)
        from oms_topology.graph.kernels import lowest_common

        return int(lowest_common(size, parent, low, high))

    def devices_from(self, place: int) -> list[int]:
        """List the devices from a place up to its root."""
        parent, device_at = self.arena.parent, self.arena.device_at
        devices = []
        while place >= 0:
            devices.append(device_at.item(place))
            place = parent.item(place)
        return devices

    def below_branch(self, branch: int) -> int:
        """Give the device that a branch feeds in this state, -1 if it is open or feeds nothing."""
        if self.is_open[branch]:
            return -1
        start, end = self.network.ends(branch)
        if self.place(end) >= 0 and self.parent(end) == start:
            return end
        return start if self.place(start) >= 0 and self.parent(start) == end else -1

    def flat(self) -> SupplyIndex:
        """Give this state as one index over dense arrays; linear, and kept until the next change."""
        from oms_topology.graph.index import SupplyIndex

        if self._flat is None or self._flat[0] != self.sequence:
            self._flat = self.sequence, SupplyIndex(self)
        return self._flat[1]

    # What changes it; the caller holds the arena's lock and minds the sequence.

    def grow_all(self) -> None:
        """Grow all trees from nothing."""
        forest, is_alive, idle = grown(self.network, self.is_open)
        devices = np.arange(len(self.position), dtype=np.int32)
        own = self.network.columns.meter_device
        meters = np.flatnonzero(own >= 0).astype(np.int32)
        self._take(plant(self.arena, forest, is_alive, devices, meters, own[meters], idle))
        self.feed_again(self.network.backups.meters())

    def _take(self, planting: Planting) -> None:
        """Point the devices at trees that were planted, all at once for who reads meanwhile."""
        position = self.position.copy()
        position[planting.devices] = planting.position
        self.position, self.places = position, position.data
        self.idle |= planting.idle
        self.supplied += planting.supplied

    def _regrow(self, ends: Iterable[int]) -> None:
        """Grow the trees of some devices anew, with all that closed branches join to them."""
        bases = self._joined({self.root(self.any_place(end)) for end in ends})
        arena = self.arena
        devices, meters, feeds = [], [], []
        for base in sorted(bases):
            stop = base + arena.size.item(base)
            devices.append(arena.device_at[base:stop])
            meters.append(arena.meter_at[arena.first[base] : arena.first[stop]])
            feeds.append(np.repeat(devices[-1], np.diff(arena.first[base : stop + 1])))
            if self.places[devices[-1].item(0)] >= 0:
                self.supplied -= len(meters[-1])
        rows = np.sort(np.concatenate(devices))
        meter, feed = np.concatenate(meters), np.concatenate(feeds)
        by_row = np.argsort(meter)
        inside = set(rows.tolist())
        self.idle = {branch for branch in self.idle if self.network.ends(branch)[0] not in inside}
        forest, is_alive, idle = grown(self.network, self.is_open, rows)
        local = np.searchsorted(rows, feed[by_row]).astype(np.int32)
        self._take(plant(arena, forest, is_alive, rows, meter[by_row], local, idle))
        self.feed_again(self.network.backups.among(meter[by_row]).tolist())
        self.feed_displaced()

    def _joined(self, bases: set[int]) -> set[int]:
        """Add the trees that closed branches join to these."""
        links = [
            tuple(self.root(self.any_place(end)) for end in self.network.ends(branch)) for branch in self.idle
        ]
        while more := {base for link in links if bases & set(link) for base in link} - bases:
            bases = bases | more
        return bases

    def needs_regrowth(self, branch: int) -> bool:
        """Tell whether opening or closing a branch may change more than one subtree."""
        start, end = self.network.ends(branch)
        if self.any_place(start) < 0 or self.any_place(end) < 0:
            return False
        if self.is_open[branch]:
            roots = self.root(self.any_place(start)), self.root(self.any_place(end))
            if roots[0] == roots[1] or (self.places[start] >= 0 and self.places[end] >= 0):
                return (
                    self.parent(start) != end and self.parent(end) != start and not self._is_level(start, end)
                )
            return self._touches_idle(roots)
        if branch in self.idle or self._twin(branch) >= 0:
            return False
        return self._touches_idle((self.root(self.any_place(start)),))

    def _is_level(self, start: int, end: int) -> bool:
        return self.places[start] >= 0 and (
            self.depth(self.any_place(start)) == self.depth(self.any_place(end))
        )

    def _touches_idle(self, roots: Iterable[int]) -> bool:
        if not self.idle:
            return False
        wanted = set(roots)
        ends = (end for branch in self.idle for end in self.network.ends(branch))
        return any(self.root(self.any_place(end)) in wanted for end in ends)

    def _twin(self, branch: int) -> int:
        """Find a closed branch between the same ends that the trees leave out."""
        ends = set(self.network.ends(branch))
        return next(
            (other for other in self.idle if other != branch and set(self.network.ends(other)) == ends), -1
        )

    def set_open(self, branch: int, is_open: bool) -> None:
        """Open or close a branch; nothing happens if it is so already."""
        if self.is_open[branch] == is_open:
            return
        needs_regrowth = self.needs_regrowth(branch)
        self.is_open[branch] = is_open
        if needs_regrowth:
            if not is_open:
                self.idle.add(branch)
            self._regrow(self.network.ends(branch))
        elif is_open:
            self._opened(branch)
        else:
            self._closed(branch)

    def _opened(self, branch: int) -> None:
        if branch in self.idle:
            self.idle.discard(branch)
            return
        twin = self._twin(branch)
        if twin >= 0:
            self.idle.discard(twin)
            return
        start, end = self.network.ends(branch)
        self.prune(end if self.parent(end) == start else start)

    def _closed(self, branch: int) -> None:
        start, end = self.network.ends(branch)
        if self.root(self.any_place(start)) == self.root(self.any_place(end)) or (
            self.places[start] >= 0 and self.places[end] >= 0
        ):
            self.idle.add(branch)
        elif self.places[start] >= 0:
            self.graft(end, start)
        else:
            self.graft(start, end)

    def prune(self, device: int) -> None:
        """Take supply from a device and all below it."""
        from oms_topology.graph.kernels import prune

        had_supply = self.places[device] >= 0
        lost = self._run(prune, device)
        if had_supply:
            self.supplied -= lost
            self.feed_again(self.network.backups.among(self.meters_of_tree(device)).tolist())

    def graft(self, device: int, target: int) -> None:
        """Feed the tree of a device that has no supply from another device."""
        from oms_topology.graph.kernels import graft

        gained = self._run(graft, device, target)
        if self.places[target] >= 0:
            self.supplied += gained
            self.feed_displaced()

    def refeed(self, device: int, target: int) -> None:
        """Hang a device and all below it on another; both have supply, or neither."""
        from oms_topology.graph.kernels import refeed

        self._run(refeed, device, target)

    def _run(self, kernel: Any, *arguments: Any) -> int:
        arena = self.arena
        while True:
            done = kernel(
                arena.device_at,
                arena.size,
                arena.parent,
                arena.first,
                arena.meter_at,
                arena.used,
                self.position,
                *arguments,
            )
            if done >= 0:
                return int(done)
            arena.reserve(*arena.used.tolist())

    def admit(self, device: int) -> None:
        """Give a device that was added a tree of its own."""
        self._make_room(device)
        row, size = np.array([[device, -1], [1, -1]], dtype=np.int32)
        none = np.zeros(2, dtype=np.int32)
        base = self.arena.append(row, size, none - 1, none, none[:0])
        self.position[device] = base if device in self.network.sources else -2 - base

    def share(self, other: SupplyState, device: int) -> None:
        """Let a device that was added stand where it stands in another state."""
        self._make_room(device)
        self.position[device] = other.position[device]

    def _make_room(self, device: int) -> None:
        if device >= len(self.position):
            longer = np.full(max(2 * device, 16), -1, dtype=np.int32)
            longer[: len(self.position)] = self.position
            self.position, self.places = longer, longer.data

    def dismiss(self, device: int) -> None:
        """Take out a device that stands alone and has no meters."""
        self.position[device] = -1

    def adopt(self, other: SupplyState, device: int) -> None:
        """Share the block in which another state has a device."""
        from oms_topology.graph.kernels import adopt

        arena = self.arena
        adopt(arena.device_at, arena.size, arena.parent, other.position, self.position, device)

    def meters_of_tree(self, device: int) -> NDArray[np.int32]:
        """Give the meters of the tree in which a device stands."""
        base = self.root(self.any_place(device))
        first = self.arena.first
        return self.arena.meter_at[first[base] : first[base + self.arena.size[base]]]

    # Meters.

    def move_meter(self, meter: int, source: int, target: int, twin: SupplyState) -> int:
        """Take a meter from one device and hang it on another, -1 for neither.

        Returns
        -------
        int
            0 when ``twin``, the other state, shared all the trees touched and is done as well; else
            bit 1 when it did not share the one the meter was taken from, bit 2 the one it was put into.
        """
        from oms_topology.graph.kernels import move_meter

        self.supplied += (self.place(target) >= 0) - (self.place(source) >= 0)
        return self._run(move_meter, twin.position, meter, source, target)

    def choose_feed(self, meter: int) -> int:
        """Give the device that should feed a meter: its own, or if that is dead the first that is not."""
        own = self.network.meter_device(meter)
        if own < _NOWHERE or (own >= 0 and self.places[own] >= 0):
            return own
        for device in self.network.backups.of(meter):
            if self.places[device] >= 0 and not self.normal.is_same_way(own, device):
                return device
        return own

    def is_same_way(self, own: int, other: int) -> bool:
        """Tell whether another supply is a device at or above the own one, and so no second way."""
        if own == other:
            return True
        low, high = self.place(own), self.place(other)
        return low >= 0 and 0 <= high <= low < high + self.arena.size.item(high)

    def settle_feed(self, meter: int, target: int) -> None:
        """Note what feeds a meter now."""
        own = self.network.meter_device(meter)
        self.overrides.pop(meter, None)
        self.lacking.discard(meter)
        if target != own:
            self.overrides[meter] = target
        elif own >= _NOWHERE and self.place(own) < 0 and self.network.backups.of(meter):
            self.lacking.add(meter)

    def feed_again(self, meters: Iterable[int]) -> None:
        """Find for meters with second supplies what feeds them, after devices lost or got supply."""
        for meter in meters:
            source, target = self.feed(meter), self.choose_feed(meter)
            if source != target:
                self.move_meter(meter, max(source, -1), max(target, -1), self)
            self.settle_feed(meter, target)

    def feed_displaced(self) -> None:
        """Find again what feeds the meters whose own device is dead."""
        if self.overrides or self.lacking:
            self.feed_again([*self.overrides, *self.lacking])
