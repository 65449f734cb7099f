"""The section in which a device stands, between the switches around it, and what its isolation takes away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.traces.falling import Fallen
from oms_topology.graph.traces.paths import located
from oms_topology.graph.traces.spans import listed, own_spans
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place

__all__ = ["Isolation", "Section", "by_section", "isolated", "isolation_of", "meters_at", "section_around"]

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Isolation:
    """How a section is isolated, and what that takes away besides.

    Attributes
    ----------
    devices : tuple of str
        The devices of the section, in the order of their rows.
    switches : tuple of str
        The closed switches around it, which have to be opened, in the order of their rows.
    open_switches : tuple of str
        The switches around it that are open already and have to stay so.
    sources : tuple of str
        Devices of the section at which power enters: no switch isolates it from these.
    meters : MeterSet
        The meters in the section, with supply or without.
    also_lost : MeterSet
        The meters outside it that have supply now and would have none.
    backed_up : MeterSet
        The meters in it, or supplied through it, that another supply would hold up.
    """

    devices: tuple[str, ...]
    switches: tuple[str, ...]
    open_switches: tuple[str, ...]
    sources: tuple[str, ...]
    meters: MeterSet
    also_lost: MeterSet
    backed_up: MeterSet


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """Devices that closed branches without switches hold together, as rows.

    Attributes
    ----------
    devices : list of int
        Device rows, ascending.
    closed, open : lists of int
        Rows of the switches with an end in it, ascending.
    """

    devices: list[int]
    closed: list[int]
    open: list[int]


def section_around(state: SupplyState, starts: Iterable[int], crossed: frozenset[int]) -> Section:
    """Walk from devices over closed branches up to the switches.

    Parameters
    ----------
    state : SupplyState
        The state.
    starts : iterable of int
        Device rows.
    crossed : frozenset of int
        Branches that are walked over as if they were closed and no switches.

    Returns
    -------
    Section
        A switch both of whose ends are in the section is around nothing and left out. Costs the
        size of the section.
    """
    network, is_open = state.network, state.is_open
    is_switch = network.columns.branch_is_switch
    reached, waiting = set(starts), list(starts)
    around: set[int] = set()
    while waiting:
        device = waiting.pop()
        for branch in network.branches_at(device):
            if branch in crossed or not (is_switch[branch] or is_open[branch]):
                start, end = network.ends(branch)
                other = end if start == device else start
                if other not in reached:
                    reached.add(other)
                    waiting.append(other)
            elif is_switch[branch]:
                around.add(branch)
    border = sorted(branch for branch in around if not reached.issuperset(network.ends(branch)))
    closed = [branch for branch in border if not is_open[branch]]
    return Section(sorted(reached), closed, [branch for branch in border if is_open[branch]])


def isolated(state: SupplyState, found: Place) -> Section:
    """Find the section of a device or meter; of a switch, the sections at both of its ends."""
    kind, row = found
    if kind is DeviceKind.SWITCH:
        code = state.network.columns.branch_code[row]
        return section_around(
            state, state.network.ends(row), frozenset(state.network.names.switch_rows[code])
        )
    device = state.feed(row) if kind is DeviceKind.METER else row
    return section_around(state, [device] if device >= 0 else [], frozenset())


def by_section(
    state: SupplyState,
    codes: Iterable[object],
    make: Callable[[SupplyState, Place, Section | None], _Answer],
) -> list[_Answer]:
    """Answer for each of many codes, once for all that stand in one section, and once for each switch."""
    known: dict[Place, _Answer] = {}
    answers = []
    for code in codes:
        found = located(state, code)
        if found[0] is DeviceKind.METER and (feed := state.feed(found[1])) >= 0:
            found = DeviceKind.SECTION, feed
        elif found[0] not in (DeviceKind.METER, DeviceKind.SWITCH):
            found = DeviceKind.SECTION, found[1]
        if found not in known:
            section = isolated(state, found)
            known[found] = make(state, found, section)
            if found[0] is DeviceKind.SECTION:
                known.update(((DeviceKind.SECTION, row), known[found]) for row in section.devices)
        answers.append(known[found])
    return answers


def isolation_of(state: SupplyState, found: Place, section: Section | None = None) -> Isolation:
    """Tell what opening the switches around a section takes away; see ``Topology.isolating_switches``."""
    section = section or isolated(state, found)
    fallen = Fallen(state, section.devices, frozenset())
    network = state.network
    codes = network.columns.branch_code
    is_source = set(network.sources.tolist())
    return Isolation(
        _device_codes(state, section.devices),
        tuple(dict.fromkeys(str(codes[row]) for row in section.closed)),
        tuple(dict.fromkeys(str(codes[row]) for row in section.open)),
        _device_codes(state, [row for row in section.devices if row in is_source]),
        meters_at(state, section.devices),
        fallen.also_lost(),
        fallen.backed_up(),
    )


def _device_codes(state: SupplyState, rows: list[int]) -> tuple[str, ...]:
    codes = state.network.columns.device_code
    return tuple(str(codes[row]) for row in rows)


def meters_at(state: SupplyState, devices: list[int]) -> MeterSet:
    """Give the meters that hang on some devices themselves, with supply or without, by place."""
    if not devices:
        return MeterSet.empty(state)
    at = state.position[np.array(devices)]
    places = np.concatenate((np.sort(at[at >= 0]), np.sort(-2 - at[at < -1])))
    begin, end = own_spans(state, places)
    return MeterSet.of_rows(state, state.arena.meter_at[listed(begin, end - begin)])
