"""One state of a network, normal or current: who feeds whom, changed in place tree by tree."""

from __future__ import annotations

import functools
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.arena import FULL
from oms_topology.graph.engine.edition import Edition
from oms_topology.graph.engine.planting import Planting, grown, plant
from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.reading.cleaning import NOWHERE as _NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from numpy.typing import NDArray

    from oms_topology.graph.engine.arena import Arena
    from oms_topology.graph.engine.arrays import Arrays
    from oms_topology.graph.engine.index import SupplyIndex
    from oms_topology.graph.engine.network import Network

__all__ = ["SupplyState", "kernel", "kernels"]

_NEW_TREES = 4
_FEW_STEPS = 64
_LAST = np.iinfo(np.int32).max


@functools.cache
def kernels() -> ModuleType:
    """Load the kernels, and the compiler where there is one, when they are first needed."""
    from oms_topology.graph.engine import kernels as module

    return module


@functools.cache
def kernel(name: str) -> Callable[..., int]:
    """Give a kernel of which all arguments are integers or handles."""
    from oms_topology.graph.engine.compiling import entry_of

    return entry_of(getattr(kernels(), name))


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
    layout, offsets : int64 array and memoryview of it, one per tree number
        From the places of each tree to the numbers that say where their meters begin.
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
    edition : Edition or None
        The version as it is now, once somebody has asked for it by :meth:`publish`. Who changes something
        takes it away first, so that who reads can see whether it was there all the time.
    is_held : bool
        Whether an answer was given that may still read the layouts as they are. Who gives one sets it
        before looking at ``sequence`` or ``edition`` for the last time; who changes something takes it back.
    written : int
        How many layout numbers the arena had after the last change: the layouts of this version are
        those that begin before it.
    """

    __slots__ = (
        "_flat",
        "_gripped",
        "_handle",
        "_kept",
        "_normal",
        "_supplies",
        "arena",
        "edition",
        "idle",
        "is_held",
        "is_open",
        "lacking",
        "layout",
        "network",
        "offsets",
        "overrides",
        "places",
        "position",
        "sequence",
        "supplied",
        "written",
    )

    def __init__(
        self,
        network: Network,
        arena: Arena,
        is_open: NDArray[np.bool_],
        normal: SupplyState | None = None,
    ) -> None:
        self.network, self.arena, self.is_open = network, arena, is_open
        self._normal = normal
        self.stand(
            np.full(len(network.columns.device_code), -1, dtype=np.int32), np.zeros(16, dtype=np.int64)
        )
        self.edition: Edition | None = None
        self.is_held = False
        self.overrides: dict[int, int] = {}
        self.lacking: set[int] = set()
        self.idle: set[int] = set()
        self.supplied = 0
        self.sequence = self.written = 0
        self._flat: tuple[int, SupplyIndex] | None = None

    def fork(
        self, network: Network, is_open: NDArray[np.bool_], normal: SupplyState | None = None
    ) -> SupplyState:
        """Make a copy that changes on its own, in the same arena."""
        other = object.__new__(SupplyState)
        other._normal = normal
        other.network, other.arena, other.is_open = network, self.arena, is_open
        other.stand(self.position.copy(), self.layout.copy())
        other.edition, other.is_held = None, False
        other.overrides, other.lacking, other.idle = dict(self.overrides), set(self.lacking), set(self.idle)
        other.supplied, other.written = self.supplied, self.written
        other.sequence, other._flat = 0, None
        return other

    def stand(self, position: NDArray[np.int32], layout: NDArray[np.int64]) -> None:
        """Let the devices and the layouts stand elsewhere; the only place where the arrays are replaced."""
        self._gripped: object = None
        self._supplies: tuple[Edition | None, tuple[NDArray[Any], ...], Any, Any] | None = None
        self.position, self.places = position, position.data
        self.layout, self.offsets = layout, layout.data

    @property
    def arrays(self) -> Arrays:
        """The arrays that the kernels read and write."""
        from oms_topology.graph.engine.arrays import Arrays

        arena = self.arena
        tables = arena.device_at, arena.size, arena.parent, arena.tree, arena.first, arena.meter_at
        return Arrays(*tables, arena.used, self.position, self.layout)

    def handle(self) -> Any:
        """Give what stands for the arrays when a kernel is called; good until one of them is replaced."""
        if self._gripped is not self.arena.firsts:
            from oms_topology.graph.engine.arrays import handle_of

            self._gripped = self.arena.firsts
            self._handle, self._kept = handle_of(self.arrays)
        return self._handle

    def supplies(self, meter_at: NDArray[np.int32]) -> tuple[Any, Any]:
        """Give what stands for the arrays of :class:`Supplies` when a kernel is called, and what to keep."""
        known, edition = self._supplies, self.edition
        if known and edition and known[0] is edition and known[1][3] is meter_at:
            return known[2], known
        network = self.network
        standing = self.arena.size, self.position, self.normal.position, meter_at
        arrays = (*standing, network.columns.meter_device, *network.backups.arrays())
        if known is not None and all(map(is_, known[1], arrays)):
            known = edition, arrays, *known[2:]
        else:
            from oms_topology.graph.engine.arrays import Supplies, handle_of

            known = edition, arrays, *handle_of(Supplies(*arrays))
        self._supplies = known
        return known[2], known

    # What readers ask.

    @property
    def normal(self) -> SupplyState:
        """The normal state; it may be this one."""
        return self._normal or self

    def publish(self) -> Edition:
        """Give the version as it is now; while nobody changes anything it is the :attr:`edition`."""
        lock = self.arena.lock
        if not lock.acquire(blocking=False):
            return Edition(self)
        try:
            self.edition = edition = Edition(self)
        finally:
            lock.release()
        return edition

    def place(self, device: int) -> int:
        """Give the place of a device that has supply, -1 for another."""
        return self.places[device] if device >= 0 and self.places[device] >= 0 else -1

    def any_place(self, device: int) -> int:
        """Give the place of a device, with supply or without; -1 for one that is gone."""
        at = self.places[device] if 0 <= device < len(self.places) else -1
        return -2 - at if at < -1 else at

    def is_normal_at(self, place: int) -> bool:
        """Tell whether the normal state shares the tree of a place."""
        return self.normal.places[self.arena.device_at.item(place)] == place

    def feed(self, meter: int) -> int:
        """Give the device that a meter hangs on: its own, or the second supply that holds it up."""
        return self.overrides[meter] if meter in self.overrides else self.network.meter_device(meter)

    def offset_as_of(self, place: int, written: int) -> int:
        """Give the offset of a place's tree when so many layout numbers were written."""
        offset = self.offsets[self.arena.trees[place]]
        if place + offset >= written:
            base = self.root(place)
            while base + offset >= written:
                offset = self.arena.firsts[base + offset - 1]
        return offset

    def meters_below(self, place: int) -> int:
        """Count the meters below a place."""
        arena = self.arena
        at = place + self.offsets[arena.trees[place]]
        return arena.firsts[at + arena.sizes[place]] - arena.firsts[at]

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
        parents = self.arena.parents
        while (above := parents[place]) >= 0:
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
        parents, depth = self.arena.parents, 0
        while (place := parents[place]) >= 0:
            depth += 1
        return depth

    def parent(self, device: int) -> int:
        """Give the device that feeds a device, in whatever tree it stands; -1 at a root."""
        place = self.any_place(device)
        above = self.arena.parents[place] if place >= 0 else -1
        return self.arena.device_at.item(above) if above >= 0 else -1

    def hangs_below(self, device: int, other: int) -> bool:
        """Tell whether a device is another one or stands below it, in whatever tree."""
        place, top = self.any_place(device), self.any_place(other)
        return 0 <= top <= place < top + self.arena.sizes[top]

    def lowest_common(self, low: int, high: int) -> int:
        """Give the place of the lowest device at or above two places, the lower first; -1 for none."""
        arena = self.arena
        sizes, parents = arena.sizes, arena.parents
        for _ in range(_FEW_STEPS):
            if low < 0 or low + sizes[low] > high:
                return low
            low = parents[low]
        return int(kernels().lowest_common(arena.size, arena.parent, low, high))

    def devices_from(self, place: int) -> list[int]:
        """List the devices from a place up to its root."""
        parents, device_at = self.arena.parents, self.arena.device_at
        devices = []
        while place >= 0:
            devices.append(device_at.item(place))
            place = parents[place]
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
        from oms_topology.graph.engine.index import SupplyIndex

        if self._flat is None or self._flat[0] != self.sequence:
            self._flat = self.sequence, SupplyIndex(self)
        return self._flat[1]

    # What changes it; the caller holds the arena's lock and minds the sequence.

    def grow_all(self) -> None:
        """Grow all trees from nothing."""
        forest, is_alive, idle = grown(self.network, self.is_open)
        devices = np.arange(len(self.position), dtype=np.int32)
        own = self.network.columns.meter_device
        if own.min(initial=0) >= 0:
            meters, feeds = np.arange(len(own), dtype=np.int32), own
        else:
            meters = np.flatnonzero(own >= 0).astype(np.int32)
            feeds = own[meters]
        self._take(plant(self.arena, forest, is_alive, devices, meters, feeds, idle))
        self.feed_again(self.network.backups.meters())
        self.written = self.arena.counts[1]

    def _take(self, planting: Planting) -> None:
        """Point the devices at trees that were planted, all at once for who reads meanwhile."""
        position = self.position.copy()
        position[planting.devices] = planting.position
        self._make_layout_room(planting.trees.stop)
        self.layout[planting.trees.start : planting.trees.stop] = planting.offset
        self.stand(position, self.layout)
        self.idle |= planting.idle
        self.supplied += planting.supplied

    def _regrow(self, ends: Iterable[int]) -> None:
        """Grow the trees of some devices anew, with all that closed branches join to them."""
        bases = self._joined({self.root(self.any_place(end)) for end in ends})
        arena = self.arena
        devices, meters, feeds = [], [], []
        for base in sorted(bases):
            below = MeterSet.below(self, base)
            devices.append(arena.device_at[base : base + arena.size.item(base)])
            meters.append(below.rows)
            feeds.append(arena.device_at[below.places])
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
        if not self.idle and not self.is_open.item(branch):
            return False
        start, end = self.network.ends(branch)
        places = self.any_place(start), self.any_place(end)
        if min(places) < 0:
            return False
        if self.is_open.item(branch):
            roots = self.root(places[0]), self.root(places[1])
            if roots[0] == roots[1] or (self.places[start] >= 0 and self.places[end] >= 0):
                return (
                    self.parent(start) != end and self.parent(end) != start and not self._is_level(start, end)
                )
            return self._touches_idle(roots)
        fed = self._fed_over(start, end)
        if fed < 0:
            return False
        if branch in self.idle or self._twin(branch) >= 0:
            return self._has_rivals(fed, {start, end})
        return self._touches_idle((self.root(places[0]),))

    def _fed_over(self, start: int, end: int) -> int:
        """Tell which of two devices the other one feeds, -1 for neither."""
        if self.parent(end) == start:
            return end
        return start if self.parent(start) == end else -1

    def _has_rivals(self, device: int, ends: set[int]) -> bool:
        """Tell whether closed branches that are not between these two ends meet at a device."""
        return any(
            device in others and set(others) != ends
            for others in (self.network.ends(branch) for branch in self.idle)
        )

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
        if not self.idle:
            return -1
        ends = set(self.network.ends(branch))
        return next(
            (other for other in self.idle if other != branch and set(self.network.ends(other)) == ends), -1
        )

    def set_open(self, branch: int, is_open: bool, *, needs_regrowth: bool | None = None) -> None:
        """Open or close a branch; nothing happens if it is so already."""
        if self.is_open.item(branch) == is_open:
            return
        if needs_regrowth is None:
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
        self.prune(self._fed_over(*self.network.ends(branch)))

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
        had_supply = self.places[device] >= 0
        lost = self._run("prune", device)
        if had_supply:
            self.supplied -= lost
        if had_supply and self.network.backups:
            self.feed_again(self.network.backups.among(self.meters_of_tree(device)).tolist())

    def graft(self, device: int, target: int) -> None:
        """Feed the tree of a device that has no supply from another device."""
        gained = self._run("graft", device, target)
        if self.places[target] >= 0:
            self.supplied += gained
            self.feed_displaced()

    def _run(self, name: str, *arguments: int) -> int:
        while (done := kernel(name)(self.handle(), *arguments)) == FULL:
            self.make_room()
        return done

    def make_room(self, *others: SupplyState) -> None:
        """Make room for what a kernel found none for: in layouts, of other states too, or in the arena."""
        arena, states = self.arena, (self, *others)
        trees = arena.used.item(3) + _NEW_TREES
        if all(trees <= len(state.layout) for state in states):
            arena.reserve(*arena.used[:3].tolist())
        for state in states:
            state._make_layout_room(trees)

    def admit(self, device: int) -> None:
        """Give a device that was added a tree of its own."""
        self._make_room(device)
        row, size = np.array([[device, -1], [1, -1]], dtype=np.int32)
        none = np.zeros(2, dtype=np.int32)
        base, tree, offset = self.arena.append(row, size, none - 1, none, none, none[:0])
        self._make_layout_room(tree + 1)
        self.layout[tree] = offset
        self.position[device] = base if device in self.network.sources else -2 - base

    def share(self, other: SupplyState, device: int) -> None:
        """Let a device that was added stand where it stands in another state."""
        self._make_room(device)
        tree = self.arena.tree[other.any_place(device)]
        self._make_layout_room(int(tree) + 1)
        self.layout[tree] = other.layout[tree]
        self.position[device] = other.position[device]

    def _make_layout_room(self, trees: int) -> None:
        if trees > len(self.layout):
            longer = np.zeros(2 * trees, dtype=np.int64)
            longer[: len(self.layout)] = self.layout
            self.stand(self.position, longer)

    def _make_room(self, device: int) -> None:
        if device >= len(self.position):
            longer = np.full(max(2 * device, 16), -1, dtype=np.int32)
            longer[: len(self.position)] = self.position
            self.stand(longer, self.layout)

    def dismiss(self, device: int) -> None:
        """Take out a device that stands alone and has no meters."""
        self.position[device] = -1

    def adopt(self, other: SupplyState, device: int) -> None:
        """Share the block in which another state has a device."""
        self._make_layout_room(self.arena.used.item(3))
        kernel("adopt")(other.handle(), self.handle(), device)

    def meters_of_tree(self, device: int) -> NDArray[np.int32]:
        """Give the meters of the tree in which a device stands."""
        return MeterSet.below(self, self.root(self.any_place(device))).rows

    # Meters.

    def move_meter(self, meter: int, source: int, target: int) -> None:
        """Take a meter from one device and hang it on another, where they are any, in this state alone."""
        move = kernel("move_meter")
        while move(self.handle(), self.handle(), meter, source, target, _LAST) == FULL:
            self.make_room()
        self.supplied += (self.place(target) >= 0) - (self.place(source) >= 0)

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
        return low >= 0 and 0 <= high <= low < high + self.arena.sizes[high]

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
                self.move_meter(meter, source, target)
            self.settle_feed(meter, target)

    def feed_displaced(self) -> None:
        """Find again what feeds the meters whose own device is dead."""
        if self.overrides or self.lacking:
            self.feed_again([*self.overrides, *self.lacking])
