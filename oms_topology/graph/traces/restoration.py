"""Which tie could restore whom after a section is isolated or a switch has failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oms_topology.graph.engine.labels import labels_of
from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.traces.falling import ALIVE, Fallen
from oms_topology.graph.traces.landmarks import branches_among
from oms_topology.graph.traces.sections import isolated
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place
    from oms_topology.graph.traces.sections import Section

__all__ = ["Restoration", "Tie", "restoration_of"]

_LOADS = ("load_kw", "kw", "demand_kw")


class Tie:
    """A switch that would give supply to a part that is dark, by being closed.

    Attributes
    ----------
    switch : str
        Its code.
    after : tuple of str
        The switches to be closed before it, in this order; empty where it leads to supply at once.
    meters : MeterSet
        The meters it picks up.
    from_device, to_device : str
        Its ends: the one with supply, and the one without.
    feeder : str
        The feeder that supplies the first end now and would take the load over; the source where there
        is no feeder.
    feeder_meters : int
        How many meters that one supplies before.
    """

    __slots__ = (
        "__dict__",
        "after",
        "feeder",
        "feeder_meters",
        "from_device",
        "meters",
        "switch",
        "to_device",
    )

    def __init__(
        self,
        switch: str,
        after: tuple[str, ...],
        meters: MeterSet,
        ends: tuple[str, str],
        feeder: tuple[str, int],
    ) -> None:
        self.switch, self.after, self.meters = switch, after, meters
        self.from_device, self.to_device = ends
        self.feeder, self.feeder_meters = feeder

    def __len__(self) -> int:
        return len(self.meters)

    def __bool__(self) -> bool:
        return True

    @cached_property
    def load_kw(self) -> float | None:
        """The load of the meters it picks up, in kW; None where the network does not tell it.

        Their further column ``load_kw``, ``kw`` or ``demand_kw`` does; a missing value counts nothing.
        """
        return load_kw(self.meters)

    def __repr__(self) -> str:
        behind = f" after {', '.join(self.after)}" if self.after else ""
        return f"Tie({self.switch}{behind}: {len(self)} meters from {self.feeder})"


def load_kw(meters: MeterSet) -> float | None:
    """Add up the load of meters; None where no column tells it."""
    attributes = meters._columns.meter_attributes
    name = next((name for name in _LOADS if name in attributes), None)
    if name is None:
        return None
    return math.fsum(map(_number, attributes[name][meters.rows].tolist()))


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """What can be done when a device or switch fails.

    Attributes
    ----------
    switches_to_open : tuple of str
        The closed switches to open first, so that the failed section is isolated.
    ties : tuple of Tie
        What can then be closed, best first: most meters, then fewest switches before it, then the
        feeder with the fewest meters, then by code.
    restorable : MeterSet
        The meters outside the failed section without supply that some tie picks up.
    unrestorable : MeterSet
        Those that none does; they wait for the repair, like the section's own.
    """

    switches_to_open: tuple[str, ...]
    ties: tuple[Tie, ...]
    restorable: MeterSet
    unrestorable: MeterSet


def restoration_of(state: SupplyState, found: Place, section: Section | None = None) -> Restoration:
    """Find the ties; see ``Topology.restoration``."""
    network = state.network
    if found[0] is DeviceKind.SWITCH:
        cut = frozenset(network.names.switch_rows[network.columns.branch_code[found[1]]])
        fallen = Fallen(state, (), cut)
        opened: tuple[str, ...] = ()
    else:
        section = section or isolated(state, found)
        cut = frozenset(section.closed)
        fallen = Fallen(state, section.devices, frozenset())
        codes = (str(network.columns.branch_code[row]) for row in section.closed)
        opened = tuple(dict.fromkeys(codes))
    return _Search(state, fallen, cut).result(opened)


class _Link(NamedTuple):
    code: str
    near: int
    far: int
    part: int


class _Search:
    """Works outwards from what has supply, one switch further at each turn."""

    def __init__(self, state: SupplyState, fallen: Fallen, cut: frozenset[int]) -> None:
        self.state, self.fallen = state, fallen
        self.links = self._open_links(cut)
        self.chain: dict[int, tuple[str, ...]] = {ALIVE: ()}
        self.parts_before: dict[int, frozenset[int]] = {ALIVE: frozenset()}
        self._feeders: dict[int, tuple[str, int]] = {}

    def _open_links(self, cut: frozenset[int]) -> list[tuple[str, tuple[int, int], tuple[int, int]]]:
        """List the open switches at the dark parts: code, ends, and what stands at the ends."""
        network, fallen = self.state.network, self.fallen
        columns = network.columns
        dark = fallen.devices[fallen.status >= 0]
        rows = branches_among(network, dark)
        rows = rows[columns.branch_is_switch[rows] & self.state.is_open[rows]]
        chosen = [row for row in rows.tolist() if row not in cut and row not in network.gone_branches]
        ends = np.array([network.ends(row) for row in chosen], dtype=np.int32).reshape(-1, 2)
        status = fallen.status_of(ends.ravel()).reshape(-1, 2)
        codes = (str(columns.branch_code[row]) for row in chosen)
        rows_of = zip(codes, ends.tolist(), status.tolist(), strict=True)
        found = [(code, (start, end), (one, other)) for code, (start, end), (one, other) in rows_of]
        return list(dict.fromkeys(found))

    def result(self, opened: tuple[str, ...]) -> Restoration:
        ties: list[Tie] = []
        frontier = [ALIVE]
        while frontier:
            reached = self._reached_from(set(frontier))
            best: dict[int, tuple[Tie, int]] = {}
            for link, before in reached:
                tie = self._tie(link, before)
                ties.append(tie)
                if link.part not in best or _rank(tie) < _rank(best[link.part][0]):
                    best[link.part] = tie, before
            for part, (tie, before) in best.items():
                self.chain[part] = (*tie.after, tie.switch)
                self.parts_before[part] = self.parts_before[before] | {part}
                self._feeders[part] = tie.feeder, tie.feeder_meters
            frontier = list(best)
        ties = [tie for tie in ties if len(tie)]
        return Restoration(opened, tuple(sorted(ties, key=_rank)), *self._sorted_out(ties))

    def _reached_from(self, near: set[int]) -> list[tuple[_Link, int]]:
        """Find the links from parts that have supply by now to parts that have not."""
        reached = []
        for code, ends, status in self.links:
            for side in (0, 1):
                before, part = status[side], status[1 - side]
                if before in near and part >= 0 and part not in self.chain:
                    reached.append((_Link(code, ends[side], ends[1 - side], part), before))
        return reached

    def _tie(self, link: _Link, before: int) -> Tie:
        rows = self.fallen.picked_up(link.part, self.parts_before[before])
        codes = self.state.network.columns.device_code
        feeder = self._feeder(link.near) if before == ALIVE else self._feeders[before]
        ends = str(codes[link.near]), str(codes[link.far])
        return Tie(link.code, self.chain[before], MeterSet.of_rows(self.state, rows), ends, feeder)

    def _feeder(self, device: int) -> tuple[str, int]:
        """Give the feeder above a device with supply, and how many meters it has."""
        state, columns = self.state, self.state.network.columns
        place = state.place(device)
        label = int(labels_of(state.arena, np.array([place]), columns.device_kind, "feeder")[0])
        if label < 0:
            label = state.arena.device_at.item(state.root(place))
        return str(columns.device_code[label]), state.meters_below(state.place(label))

    def _sorted_out(self, ties: list[Tie]) -> tuple[MeterSet, MeterSet]:
        lost: NDArray[np.int32] = self.fallen.lost_outside()
        none = np.empty(0, dtype=np.int32)
        picked = np.concatenate([none, *(tie.meters.rows for tie in ties)])
        can = np.isin(lost, picked)
        more = np.setdiff1d(picked, lost).astype(np.int32)
        restorable = np.concatenate((lost[can], more))
        return MeterSet.of_rows(self.state, restorable), MeterSet.of_rows(self.state, lost[~can])


def _rank(tie: Tie) -> tuple[int, int, int, str]:
    return -len(tie), len(tie.after), tie.feeder_meters, tie.switch
