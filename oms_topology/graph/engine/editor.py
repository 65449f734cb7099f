"""The two states of a network and the one place where they are changed."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oms_topology.graph.engine.arena import Arena
from oms_topology.graph.engine.repacking import repacked
from oms_topology.graph.engine.state import SupplyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oms_topology.graph.engine.network import Network

__all__ = ["Editor", "Entry", "Step"]

Step = tuple[str, int, Any]
"""What changes (see :meth:`Editor._apply`), the row, and the new value."""
Done = tuple[str, int, Any, Any]
"""The same with the value before."""

_MOST_IN_PLACE = 32
_MOST_ENTRIES = 1_000_000
_SPARE = 1 << 18
_SPARE_TIMES = 64


class Entry(NamedTuple):
    """One change as the journal keeps it.

    Attributes
    ----------
    version : int
        The version that it made.
    changed_at : datetime
        When, aware, UTC.
    steps : tuple of (what, row, before, after)
        What it did, in order.
    """

    version: int
    changed_at: datetime
    steps: tuple[Done, ...]

    def inverse(self) -> list[Step]:
        """Give the steps that take it back."""
        return [(what, row, before) for what, row, before, _ in reversed(self.steps)]


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
    journal : deque of Entry
        The latest changes, oldest first.
    """

    __slots__ = ("_most", "_undoable", "current", "journal", "network", "normal", "version")

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
        self.journal: deque[Entry] = deque(maxlen=_MOST_ENTRIES)
        self._undoable: list[Entry] = []

    def fork(self) -> Editor:
        """Make a copy that changes on its own; it shares trees and columns until one of them changes."""
        other = object.__new__(Editor)
        with self.normal.arena.lock:
            other._take_copies(self)
            other._most = self._most
            other.version = self.version
            other.journal = self.journal.copy()
            other._undoable = list(self._undoable)
        return other

    def _take_copies(self, original: Editor) -> None:
        network = original.network.fork()
        normal = original.normal.fork(network, network.columns.branch_normally_open)
        self.current = original.current.fork(network, network.columns.branch_is_open, normal)
        self.network, self.normal = network, normal

    def commit(self, steps: Sequence[Step], changed_at: datetime | None = None) -> Entry | None:
        """Make a change: all of its steps, seen by readers as one.

        Parameters
        ----------
        steps : sequence of Step
            Checked already: none of them can fail.
        changed_at : datetime, optional
            When it happened; now when left out.

        Returns
        -------
        Entry or None
            What the journal says; None when nothing was to be changed.
        """
        with self.normal.arena.lock:
            entry = self._commit(steps, changed_at)
            if entry is not None:
                self._undoable.append(entry)
            return entry

    def _commit(self, steps: Sequence[Step], changed_at: datetime | None) -> Entry | None:
        done = self._done_at_once(steps[0]) if len(steps) == 1 else None
        if done is None:
            done = self._done_in_steps(steps)
        if not done:
            return None
        self.version += 1
        entry = Entry(self.version, changed_at or self._now(), tuple(done))
        self.journal.append(entry)
        self._compact()
        return entry

    def _done_at_once(self, step: Step) -> list[Done] | None:
        """Do one of the two changes that come by the thousand; None where it is not a plain one."""
        what, row, after = step
        normal, current = self.normal, self.current
        if what == "meter" and not self.network.backups:
            before = self.network.meter_device(row)
            if before == after:
                return []
            normal.sequence += 1
            current.sequence += 1
            try:
                self.network.set_meter_device(row, after)
                self._carry(row, max(before, -1), max(after, -1))
            finally:
                normal.sequence += 1
                current.sequence += 1
        elif what == "open" and not current.needs_regrowth(row):
            before = current.is_open.item(row)
            if before == after:
                return []
            current.sequence += 1
            try:
                current.set_open(row, after, needs_regrowth=False)
            finally:
                current.sequence += 1
        else:
            return None
        return [(what, row, before, after)]

    def _done_in_steps(self, steps: Sequence[Step]) -> list[Done]:
        old = self.normal, self.current
        in_place = len(steps) <= _MOST_IN_PLACE and not self._needs_regrowth(steps)
        if in_place:
            for state in old:
                state.sequence += 1
            try:
                done = self._do(steps)
            finally:
                for state in old:
                    state.sequence += 1
        else:
            copies = object.__new__(Editor)
            copies._take_copies(self)
            done = copies._do(steps)
            self._replace(copies)
        return done

    def _now(self) -> datetime:
        """Give the time of a change that none was given for: never before the change before it."""
        now = datetime.now(UTC)
        return max(now, self.journal[-1].changed_at) if self.journal else now

    def _replace(self, copies: Editor) -> None:
        """Let changed copies take the place of what they were made of."""
        old = self.normal, self.current
        self.network, self.normal, self.current = copies.network, copies.normal, copies.current
        for state in old:
            state.sequence += 2

    def _do(self, steps: Sequence[Step]) -> list[Done]:
        done = []
        for what, row, after in steps:
            before = self._before(what, row)
            if before != after:
                self._apply(what, row, after)
                done.append((what, row, before, after))
        return done

    def undo(self) -> Entry | None:
        """Take back the latest change that still stands; None when there is none."""
        with self.normal.arena.lock:
            if not self._undoable:
                return None
            entry = self._undoable.pop()
            self._commit(entry.inverse(), None)
            return entry

    def rewind(self, entries: Iterable[Entry]) -> None:
        """Take back changes, given from the latest on, and forget that they were made."""
        with self.normal.arena.lock:
            for entry in entries:
                self._commit(entry.inverse(), entry.changed_at)
                self.version = entry.version - 1

    def _needs_regrowth(self, steps: Sequence[Step]) -> bool:
        """Tell whether the first opening or closing is a large one; those after it depend on it."""
        for what, row, _ in steps:
            if what == "open":
                return self.current.needs_regrowth(row)
            if what == "normal":
                return self.normal.needs_regrowth(row)
            if what == "both":
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
        if what == "ends":
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
        where it is the same in both; ``ends`` what it joins, while it is open; ``meter`` the device of a
        meter, ``backups`` its second supplies, ``facts`` its columns; ``device`` and ``branch`` whether
        there is one.
        """
        network = self.network
        if what == "meter":
            self._move(row, value)
        elif what == "open":
            self.current.set_open(row, value)
        elif what == "normal":
            self.normal.set_open(row, value)
            self._redo_second_supplies()
        elif what == "both":
            self._set_both(row, value)
        elif what == "ends":
            network.set_ends(row, value)
        elif what == "backups":
            network.backups.set(row, value)
            for state in (self.normal, self.current):
                state.feed_again([row])
        elif what == "device":
            self._set_device(row, value)
        elif what == "branch":
            network.set_branch(row, is_there=value)
        else:
            network.set_facts(row, value)

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
        source, target = max(before[0], -1), max(after[0], -1)
        if before[0] == before[1] and after[0] == after[1]:
            if source != target:
                self._carry(meter, source, target)
            return
        for state, left, found in zip((normal, current), before, after, strict=True):
            if left != found:
                state.move_meter(meter, max(left, -1), max(found, -1), state)

    def _carry(self, meter: int, source: int, target: int) -> None:
        """Move a meter between the same two devices in both states; trees that they share stay shared."""
        normal, current = self.normal, self.current
        apart = normal.move_meter(meter, source, target, current)
        current.supplied += (current.place(target) >= 0) - (current.place(source) >= 0)
        if apart:
            supplied = current.supplied
            current.move_meter(meter, source if apart & 1 else -1, target if apart & 2 else -1, current)
            current.supplied = supplied

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
        used, most = self.normal.arena.used, self._most
        if max(used.item(0), used.item(1)) <= most[0] and used.item(2) <= most[1]:
            return
        copies = object.__new__(Editor)
        copies._take_copies(self)
        repacked(copies.normal, copies.current, *(2 * room for room in self._room()))
        self._replace(copies)
        self._most = self._room()

    def _room(self) -> tuple[int, int]:
        """How many places and meters an arena shall hold before it is repacked."""
        columns = self.network.columns
        devices, meters = len(columns.device_code) + len(self.network.sources), len(columns.meter_number)
        spare = min(_SPARE, _SPARE_TIMES * (devices + meters))
        return 4 * devices + spare, 4 * meters + spare
