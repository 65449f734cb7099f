"""The two states of a network and the one place where they are changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.engine.arena import FULL, SPARE, UNCHANGED, WROTE, Arena
from oms_topology.graph.engine.journal import Journal, entry_of
from oms_topology.graph.engine.repacking import repacked
from oms_topology.graph.engine.state import SupplyState, kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.graph.engine.journal import Done, Step
    from oms_topology.graph.engine.network import Network

__all__ = ["Editor"]

_MOST_IN_PLACE = 32
_SPARE = 1 << 20
_SPARE_TIMES = 1 << 10
# Trees have more meters than places, and room that is left untouched costs large pages all the same.
_METERS_PER_PLACE = 8


class Editor:
    """A network in its normal and its current state, with the journal of its changes.

    A small change is made in place, in microseconds: who reads meanwhile sees by the states'
    ``sequence`` that it did, and reads again. A large one is made on copies, which then take the place
    of the originals: who reads meanwhile reads the old version to its end.

    Attributes
    ----------
    network : Network
        What the network is made of.
    normal, current : SupplyState
        As the switches normally stand, and as they stand now.
    version : int
        How many changes have been made.
    journal : Journal
        The latest changes, oldest first.
    """

    __slots__ = ("_held", "_most", "current", "journal", "network", "normal", "version")

    def __init__(self, network: Network) -> None:
        columns = network.columns
        self.network = network
        self._most = self._room()
        arena = Arena(2 * self._most[0], 2 * self._most[1])
        with arena.lock:
            self.normal = SupplyState(network, arena, columns.branch_normally_open)
            self.normal.grow_all()
            if np.array_equal(columns.branch_is_open, columns.branch_normally_open):
                self.current = self.normal.fork(network, columns.branch_is_open, self.normal)
            else:
                self.current = SupplyState(network, arena, columns.branch_is_open, self.normal)
                self.current.grow_all()
        self.version = 0
        self.journal = Journal()
        self._held = 0

    def fork(self) -> Editor:
        """Make a copy that changes on its own; it shares trees and columns until one of them changes."""
        other = object.__new__(Editor)
        with self.normal.arena.lock:
            other._take_copies(self)
            other._most = self._most
            other.version = self.version
            other.journal = self.journal.copy()
        return other

    def begin_anew(self, topology_version: int | None) -> None:
        """Forget what was changed so far, and that it was, and stand for a version of a database."""
        self.version = 0
        self.journal = Journal()
        if topology_version is not None:
            self.network.columns = replace(self.network.columns, topology_version=topology_version)

    def _take_copies(self, original: Editor) -> None:
        network = original.network.fork()
        normal = original.normal.fork(network, network.columns.branch_normally_open)
        self.current = original.current.fork(network, network.columns.branch_is_open, normal)
        self.network, self.normal = network, normal
        self._held = original._held = normal.arena.used.item(1)

    def commit(self, steps: Sequence[Step], changed_at: datetime | None = None, undone: Any = None) -> None:
        """Make a change: all of its steps, seen by readers as one; nothing when all is so already.

        Parameters
        ----------
        steps : sequence of Step
            Checked already: none of them can fail.
        changed_at : datetime, optional
            When it happened; now when left out.
        undone : optional
            The noted change that it takes back.
        """
        with self.normal.arena.lock:
            done = self._done(steps)
            if done:
                self.version += 1
                self.journal.note(self.version, changed_at, done, undone)

    # Changes that come by the thousand; False where one of them is not a plain one: commit() makes it.

    def move(self, meter: int, device: int, changed_at: datetime | None) -> bool:
        """Hang a meter on another device."""
        with self.normal.arena.lock:
            return self.network.backups.is_empty and self._noted(self._moved(meter, device), changed_at)

    def switch(self, branch: int, is_open: bool, changed_at: datetime | None) -> bool:
        """Open or close a branch in the current state."""
        with self.normal.arena.lock:
            return self.network.backups.is_empty and self._noted(self._switched(branch, is_open), changed_at)

    def refeed(self, device: int, target: int, changed_at: datetime | None) -> bool:
        """Feed a subtree, over the one branch that feeds it, from elsewhere."""
        with self.normal.arena.lock:
            network = self.network
            branches = network.branches_between(device, self.normal.parent(device))
            if len(branches) != 1 or not network.backups.is_empty:
                return False
            return self._noted(self._fed_elsewhere(branches[0], (target, device)), changed_at)

    def _noted(self, done: tuple[Done, ...] | None, changed_at: datetime | None) -> bool:
        if done:
            self.version += 1
            self.journal.note(self.version, changed_at, done)
        return done is not None

    def _done(self, steps: Sequence[Step]) -> tuple[Done, ...]:
        done: tuple[Done, ...] | None = None
        if len(steps) == 1 and self.network.backups.is_empty:
            what, row, after = steps[0]
            if what == "meter":
                done = self._moved(row, after)
            elif what == "open":
                done = self._switched(row, after)
            elif what == "feed":
                done = self._fed_elsewhere(row, after)
        if done is None:
            done = self._done_in_steps(steps)
            self._compact()
        return done

    def _moved(self, meter: int, after: int) -> tuple[Done, ...]:
        network, normal, current = self.network, self.normal, self.current
        before = network.feeds[meter]
        if before == after:
            return ()
        normal.sequence += 1
        current.sequence += 1
        normal.edition = current.edition = None
        try:
            if network.owns_meters:
                network.feeds[meter] = after
            else:
                network.set_meter_device(meter, after)
            is_fuller = self._carry(meter, before, after)
        finally:
            normal.sequence += 1
            current.sequence += 1
        if is_fuller:
            self._compact()
        return (("meter", meter, before, after),)

    def _switched(self, branch: int, is_open: bool) -> tuple[Done, ...] | None:
        current = self.current
        if current.is_open.item(branch) == is_open:
            return ()
        if current.idle:
            return None
        ends = self.network.ends(branch)
        current.sequence += 1
        current.edition = None
        try:
            while (done := kernel("switch")(current.handle(), self.normal.handle(), *ends, is_open)) == FULL:
                current.make_room()
            if done < 0:
                return None
            current.written = used = current.arena.counts[1]
            current.is_open[branch] = is_open
            current.supplied += -done if is_open else done
        finally:
            current.sequence += 1
        if used > self._most[0] or current.arena.counts[2] > self._most[1]:
            self._compact()
        return (("open", branch, not is_open, is_open),)

    def _fed_elsewhere(self, branch: int, ends: tuple[int, int]) -> tuple[Done, ...] | None:
        """Let the branch that feeds a subtree, in both states, end elsewhere."""
        network, normal, current = self.network, self.normal, self.current
        if normal.idle or current.idle or normal.is_open.item(branch) or current.is_open.item(branch):
            return None
        before = network.ends(branch)
        target, device = ends if ends[1] in before else ends[::-1]
        if normal.parent(device) not in before:
            return None
        normal.sequence += 1
        current.sequence += 1
        normal.edition = current.edition = None
        try:
            while (done := kernel("refeed")(normal.handle(), current.handle(), device, target)) == FULL:
                normal.make_room(current)
            if done < 0:
                return None
            normal.written = current.written = used = normal.arena.counts[1]
            network.set_ends(branch, ends)
        finally:
            normal.sequence += 1
            current.sequence += 1
        if used > self._most[0] or normal.arena.counts[2] > self._most[1]:
            self._compact()
        return (("feed", branch, before, ends),)

    def _done_in_steps(self, steps: Sequence[Step]) -> tuple[Done, ...]:
        old = self.normal, self.current
        in_place = len(steps) <= _MOST_IN_PLACE and not self._needs_regrowth(steps)
        if in_place:
            for state in old:
                state.sequence += 1
                state.edition = None
            try:
                done = self._do(steps)
            finally:
                for state in old:
                    state.written = state.arena.counts[1]
                    state.sequence += 1
        else:
            copies = object.__new__(Editor)
            copies._take_copies(self)
            done = copies._do(steps)
            self._replace(copies)
        return tuple(done)

    def _replace(self, copies: Editor) -> None:
        """Let changed copies take the place of what they were made of."""
        old = self.normal, self.current
        for state in (copies.normal, copies.current):
            state.written = state.arena.counts[1]
        self.network, self.normal, self.current = copies.network, copies.normal, copies.current
        self._held = copies._held
        for state in old:
            state.sequence += 2
            state.edition = None

    def _do(self, steps: Sequence[Step]) -> list[Done]:
        done = []
        for what, row, after in steps:
            before = self._before(what, row)
            if before != after:
                self._apply(what, row, after)
                done.append((what, row, before, after))
        return done

    def undo(self) -> bool:
        """Take back the latest change that still stands; False when there is none."""
        with self.normal.arena.lock:
            undone = self.journal.pop_standing()
            if undone is not None:
                self.commit(entry_of(undone).inverse(), undone=undone)
            return undone is not None

    def rewind(self, count: int) -> None:
        """Take back so many of the latest changes, and forget that they were made."""
        with self.normal.arena.lock:
            for _ in range(count):
                entry = self.journal.pop()
                self._done(entry.inverse())
                self.version = entry.version - 1

    def _needs_regrowth(self, steps: Sequence[Step]) -> bool:
        """Tell whether the first opening or closing is a large one; those after it depend on it."""
        for what, row, _ in steps:
            if what == "open":
                return self.current.needs_regrowth(row)
            if what == "normal":
                return self.normal.needs_regrowth(row)
            if what in ("both", "feed"):
                return self.normal.needs_regrowth(row) or self.current.needs_regrowth(row)
        return False

    def _before(self, what: str, row: int) -> Any:
        network = self.network
        if what == "meter":
            return network.meter_device(row)
        if what == "open":
            return bool(self.current.is_open[row])
        if what in ("normal", "both"):
            return bool(self.normal.is_open[row])
        if what in ("ends", "feed"):
            return network.ends(row)
        if what == "backups":
            return network.backups.of(row)
        if what == "device":
            return row not in network.gone_devices
        if what == "branch":
            return row not in network.gone_branches
        return network.facts(row)

    def _apply(self, what: str, row: int, value: Any) -> None:
        """Do one step.

        ``open``, ``normal`` and ``both`` set whether a branch is open now, normally, and in both states
        where it is the same in both; ``ends`` what it joins, while it is open, and ``feed`` while it is
        normally closed; ``meter`` the device of a meter, ``backups`` its second supplies, ``facts`` its
        columns; ``device`` and ``branch`` whether there is one.
        """
        network = self.network
        if what == "meter":
            self._move(row, value)
        elif what == "open":
            self.current.set_open(row, value)
        elif what == "normal":
            self._set_normal(row, value)
        elif what == "both":
            self._set_both(row, value)
        elif what == "ends":
            network.set_ends(row, value)
        elif what == "feed":
            self._set_feed(row, value)
        elif what == "backups":
            network.backups.set(row, value)
            for state in (self.normal, self.current):
                state.feed_again([row])
        else:
            self._set_thing(what, row, value)

    def _set_thing(self, what: str, row: int, value: Any) -> None:
        if what == "device":
            self._set_device(row, value)
        elif what == "branch":
            self.network.set_branch(row, is_there=value)
        else:
            self.network.set_facts(row, value)

    def _set_normal(self, branch: int, is_open: bool) -> None:
        self.normal.set_open(branch, is_open)
        self._redo_second_supplies()

    def _set_feed(self, branch: int, ends: tuple[int, int]) -> None:
        both = not self.current.is_open[branch]
        for is_open in (True, False):
            (self._set_both if both else self._set_normal)(branch, is_open)
            if is_open:
                self.network.set_ends(branch, ends)

    def _set_both(self, branch: int, is_open: bool) -> None:
        """Open or close a branch in both states; trees that they share stay shared."""
        normal, current = self.normal, self.current
        ends = self.network.ends(branch)
        together = (
            all(current.places[end] == normal.places[end] for end in ends)
            and current.is_open[branch] == normal.is_open[branch]
            and not (normal.idle or current.idle or self.network.backups)
        )
        if not together or normal.needs_regrowth(branch):
            normal.set_open(branch, is_open)
            current.set_open(branch, is_open)
            self._redo_second_supplies()
            return
        before = normal.supplied
        normal.set_open(branch, is_open)
        current.is_open[branch] = is_open
        current.idle |= normal.idle
        current.supplied += normal.supplied - before
        for end in ends:
            if current.places[end] != normal.places[end]:
                current.adopt(normal, end)

    def _redo_second_supplies(self) -> None:
        """Feed meters again after a change of the normal state, which says what a way of its own is."""
        if self.network.backups:
            for state in (self.normal, self.current):
                state.feed_displaced()

    def _move(self, meter: int, device: int) -> None:
        normal, current = self.normal, self.current
        before = normal.feed(meter), current.feed(meter)
        self.network.set_meter_device(meter, device)
        after = normal.choose_feed(meter), current.choose_feed(meter)
        for state, feed in ((normal, after[0]), (current, after[1])):
            state.settle_feed(meter, feed)
        if before[0] == before[1] and after[0] == after[1]:
            if before[0] != after[0]:
                self._carry(meter, before[0], after[0])
            return
        for state, left, found in zip((normal, current), before, after, strict=True):
            if left != found:
                state.move_meter(meter, left, found)

    def _carry(self, meter: int, source: int, target: int) -> bool:
        """Move a meter between the same two devices, if they are, in both states; shared trees stay shared.

        Returns whether the arena is fuller than before.
        """
        normal, current = self.normal, self.current
        if normal.is_held or current.is_held:
            normal.is_held = current.is_held = False
            self._held = normal.arena.used.item(1)
        move, held = kernel("move_meter"), self._held
        while (done := move(normal.handle(), current.handle(), meter, source, target, held)) == FULL:
            normal.make_room(current)
        if done != UNCHANGED:
            gained_now, gained = divmod(done % WROTE, 3)
            normal.supplied += gained - 1
            current.supplied += gained_now - 1
        if done >= WROTE:
            normal.written = current.written = normal.arena.counts[1]
            return True
        return False

    def _set_device(self, device: int, is_there: bool) -> None:
        normal, current = self.normal, self.current
        if is_there:
            self.network.set_device(device, is_there=True)
            normal.admit(device)
            current.share(normal, device)
            self.network.learn_device(device)
        else:
            self.network.forget_device(device)
            normal.dismiss(device)
            current.dismiss(device)
            self.network.set_device(device, is_there=False)

    def append(self, table: str, values: dict[str, Any]) -> int:
        """Add a row of a device, branch or meter that is not there yet; a step then lets it be."""
        with self.normal.arena.lock:
            row = self.network.append(table, values)
            if table == "branch":
                self.normal.is_open = self.network.columns.branch_normally_open
                self.current.is_open = self.network.columns.branch_is_open
            return row

    def _compact(self) -> None:
        """Leave old blocks behind when they outweigh the living; readers of old versions keep them."""
        used, most = self.normal.arena.counts, self._most
        if used[1] <= most[0] and used[2] <= most[1]:  # there are never more places than numbers
            return
        copies = object.__new__(Editor)
        copies._take_copies(self)
        repacked(copies.normal, copies.current, *(2 * room for room in self._room()))
        copies._held = 0  # nobody reads in the new arena yet
        self._replace(copies)
        self._most = self._room()

    def _room(self) -> tuple[int, int]:
        """How many places and meters an arena shall hold before it is repacked."""
        columns = self.network.columns
        devices, meters = len(columns.device_code) + len(self.network.sources), len(columns.meter_number)
        spare = min(_SPARE, _SPARE_TIMES * (devices + meters))
        return 4 * devices + spare // _METERS_PER_PLACE, 4 * meters + 2 * SPARE * devices + spare
