"""The way up from a meter, device or switch to its source, and what protects it on that way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.graph.traces.landmarks import PROTECTIVE, landmarks_of_kinds
from oms_topology.model import DeviceKind, PathStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place
    from oms_topology.graph.traces.landmarks import Landmarks

__all__ = ["begin_of_path", "located", "path_up", "paths_up", "protection", "protections"]

_EVERYTHING = frozenset({"substation", "feeder", "section", "distribution_point", "switch"})


def located(state: SupplyState, code: object, kind: str | None = None) -> Place:
    """Find what a code names; raises as ``Topology.downstream`` does."""
    return state.network.names.locate(state.network.columns, code, kind)


def begin_of_path(state: SupplyState, found: Place) -> tuple[int, bool]:
    """Give the place at which the way up begins, and whether the device there lies on it.

    Parameters
    ----------
    state : SupplyState
        The state.
    found : Place
        Where it begins. The way of a meter begins with the device that supplies it, that of a switch
        with the device that feeds the switch, and that of a device with the branch that feeds it.

    Returns
    -------
    place : int
        -1 without supply, and for a switch that feeds nothing.
    is_included : bool
        Whether the device at the place lies on the way.
    """
    kind, row = found
    if kind is DeviceKind.METER:
        return state.place(state.feed(row)), True
    if kind is DeviceKind.SWITCH:
        below = state.place(state.below_branch(row))
        return (state.arena.parents[below] if below >= 0 else -1), True
    return state.place(row), False


def path_up(state: SupplyState, found: Place, words: frozenset[str] | None) -> list[PathStep]:
    """List what of some kinds lies on the way to the source; see ``Topology.path``."""
    return paths_up(state, [found], words)[0]


def paths_up(
    state: SupplyState, founds: Iterable[Place], words: frozenset[str] | None
) -> list[list[PathStep]]:
    """List many ways to the source, each landmark looked at once."""
    landmarks = landmarks_of_kinds(state.network, _EVERYTHING if words is None else words)
    known: dict[int, tuple[PathStep | None, list[PathStep]]] = {}
    parents = state.arena.parents
    paths = []
    for found in founds:
        place, is_included = begin_of_path(state, found)
        left_out = -1 if is_included else place
        steps: list[PathStep] = []
        while (place := landmarks.next(state, place)) >= 0:
            if place not in known:
                known[place] = _steps_at(state, landmarks, place)
            own, feeding = known[place]
            if own is not None and place != left_out:
                steps.append(own)
            steps += feeding
            place = parents[place]
        paths.append(steps)
    return paths


def _steps_at(state: SupplyState, landmarks: Landmarks, place: int) -> tuple[PathStep | None, list[PathStep]]:
    """Give the device at a place if it is of the kinds, and those of the branches that feed it."""
    columns, device = state.network.columns, state.arena.device_at.item(place)
    kind, own = str(columns.device_kind[device]), None
    if kind in landmarks.words:
        own = PathStep(kind, str(columns.device_code[device]))
    branches = _feeding(state, landmarks, place)
    passed = (PathStep(str(columns.branch_kind[row]), str(columns.branch_code[row])) for row in branches)
    return own, list(dict.fromkeys(passed))


def _feeding(state: SupplyState, landmarks: Landmarks, place: int) -> list[int]:
    """List the closed branches of the kinds between the device at a place and the one that feeds it."""
    arena = state.arena
    above = arena.parents[place]
    if above < 0:
        return []
    device, feeding = arena.device_at.item(place), arena.device_at.item(above)
    if not landmarks.has_branch(state, device):
        return []
    network, is_open = state.network, state.is_open
    return [
        row
        for row in network.branches_between(device, feeding)
        if not is_open[row] and landmarks.is_branch(network.columns, row)
    ]


def protection(state: SupplyState, found: Place, words: frozenset[str] | None) -> Iterator[str]:
    """Give the codes of the protective devices on the way to the source, nearest first.

    A protective device with a closed branch of another kind beside it interrupts nothing and is left out.
    """
    landmarks = landmarks_of_kinds(state.network, PROTECTIVE if words is None else words)
    place = begin_of_path(state, found)[0]
    while (place := landmarks.next(state, place)) >= 0:
        yield from _protecting(state, landmarks, place)
        place = state.arena.parents[place]


def _protecting(state: SupplyState, landmarks: Landmarks, place: int) -> list[str]:
    rows = _feeding(state, landmarks, place)
    columns = state.network.columns
    if not rows or (state.idle and _is_bypassed(state, landmarks, rows[0])):
        return []
    codes = (str(columns.branch_code[row]) for row in rows if columns.branch_is_switch[row])
    return list(dict.fromkeys(codes))


def _is_bypassed(state: SupplyState, landmarks: Landmarks, branch: int) -> bool:
    beside = state.network.branches_between(*state.network.ends(branch))
    columns = state.network.columns
    return any(not state.is_open[row] and not landmarks.is_branch(columns, row) for row in beside)


def protections(state: SupplyState, begins: list[int], words: frozenset[str] | None) -> list[str | None]:
    """Find for many places the next protective device, each protective one looked at once.

    Parameters
    ----------
    state : SupplyState
        The state.
    begins : list of int
        Places at which the ways begin; -1 for none.
    words : frozenset of str, optional
        The kinds that protect.

    Returns
    -------
    list of str or None
        One code per place.
    """
    arena = state.arena
    landmarks = landmarks_of_kinds(state.network, PROTECTIVE if words is None else words)
    known: dict[int, str | None] = {-1: None}
    for begin in begins:
        place, passed = begin, []
        while place not in known:
            passed.append(place)
            place = landmarks.next(state, place)
            if place >= 0 and place not in known:
                passed.append(place)
                if codes := _protecting(state, landmarks, place):
                    known[place] = codes[0]
                else:
                    place = arena.parents[place]
        known.update(dict.fromkeys(passed, known[place]))
    return [known[begin] for begin in begins]
