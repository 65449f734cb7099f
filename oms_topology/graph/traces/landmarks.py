"""Devices and branches of some kinds, and where they are: what a walk through the network looks out for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.reading.phase_codes import ALL_PHASES
from oms_topology.graph.traces.beside import Beside
from oms_topology.graph.traces.spans import listed
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from oms_topology.graph.engine.network import Network
    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.model import NetworkColumns

__all__ = [
    "PROTECTIVE",
    "Landmarks",
    "branches_among",
    "devices_of_kind",
    "kind_words",
    "landmarks_of_kinds",
    "landmarks_of_phases",
]

PROTECTIVE = frozenset({"breaker", "recloser", "fuse", "cutout"})
"""Kinds of branches that interrupt a fault by themselves; disconnectors and sectionalisers do not."""

_DEVICES = frozenset(kind.value for kind in DeviceKind)
_BRANCHES = PROTECTIVE | {"line", "transformer", "jumper", "sectionaliser", "sectionalizer", "disconnector"}
_BREAKER_SHORT = re.compile(r"(^|:)cb$")
_FEW_STEPS = 16
_NOTHING = np.empty(0, dtype=np.int32)


class Landmarks:
    """What of a network is of some kinds, and which devices are worth a look because of it.

    Parameters
    ----------
    words : frozenset of str
        The kinds.
    marks : uint8 array
        Added up for each device: 1 if it is of the kinds, 2 if a branch of the kinds ended there when the
        network's branches were sorted by device. Devices that were added later, and those whose branches
        have changed since, are always worth a look.
    """

    __slots__ = ("_marks", "_matching", "marks", "words")

    def __init__(self, words: frozenset[str], marks: NDArray[np.uint8]) -> None:
        self.words, self.marks = words, marks
        self._marks = marks.data
        self._matching: dict[str, bool] = {}

    def is_branch(self, columns: NetworkColumns, branch: int) -> bool:
        """Tell whether a branch is of the kinds."""
        kind = columns.branch_kind[branch]
        matching = self._matching.get(kind)
        if matching is None:
            matching = self._matching[kind] = _matches(str(kind).casefold(), self.words - _DEVICES)
        return matching or (DeviceKind.SWITCH.value in self.words and bool(columns.branch_is_switch[branch]))

    def has_branch(self, state: SupplyState, device: int) -> bool:
        """Tell whether a branch of the kinds may end at a device."""
        marks = self._marks
        return device >= len(marks) or marks[device] > 1 or device in state.network.later_branches

    def next(self, state: SupplyState, place: int) -> int:
        """Climb from a place to the first, itself included, whose device is worth a look; -1 for none."""
        arena, marks, later = state.arena, self._marks, state.network.later_branches
        device_at, parents, known = arena.device_at, arena.parents, len(marks)
        for _ in range(_FEW_STEPS):
            if place < 0:
                return -1
            device = device_at.item(place)
            if device >= known or marks[device] or device in later:
                return place
            place = parents[place]
        from oms_topology.graph.traces.batch_kernels import climb

        return int(climb(device_at, arena.parent, self.marks, _sorted(later), place))


_landmarks: Beside[Landmarks] = Beside()
_kind_rows: Beside[NDArray[np.int32]] = Beside()


def _sorted(devices: Collection[int]) -> NDArray[np.int32]:
    return np.sort(np.array(list(devices), dtype=np.int32)) if devices else _NOTHING


def kind_words(kinds: Iterable[str] | None) -> frozenset[str] | None:
    """Read the kinds that a caller names; a single word counts as one kind."""
    if kinds is None:
        return None
    return frozenset(str(kind).casefold() for kind in ([kinds] if isinstance(kinds, str) else kinds))


def landmarks_of_kinds(network: Network, words: frozenset[str]) -> Landmarks:
    """Find the devices and branches of some kinds; linear at the first time, then kept.

    Parameters
    ----------
    network : Network
        Where they are.
    words : frozenset of str
        Kinds of devices; ``"switch"`` for every branch that can be switched; or words that stand in
        the kind of a branch, without regard to case: ``"fuse"``, ``"breaker"`` (also ``CB`` behind a
        colon), ``"transformer"``.

    Returns
    -------
    Landmarks
        What is of any of these kinds.

    Raises
    ------
    TopologyError
        A word is no kind that this network has or that is known.
    """
    starts, rows = network.sorted_branches

    def make() -> Landmarks:
        columns = network.columns
        known = set(columns.branch_kind.tolist())
        _check_words(words, known)
        matching = {kind: _matches(str(kind).casefold(), words - _DEVICES) for kind in known}
        is_branch = np.array([matching[kind] for kind in columns.branch_kind.tolist()], dtype=np.bool_)
        if DeviceKind.SWITCH.value in words:
            is_branch |= columns.branch_is_switch
        marks = _ends_at(starts, rows, is_branch)
        kinds = columns.device_kind[: len(marks)].tolist()
        marks += np.array([kind in words for kind in kinds], dtype=np.uint8)
        return Landmarks(words, marks)

    return _landmarks.of((rows,), words, make)


def _ends_at(
    starts: NDArray[np.int32], rows: NDArray[np.int32], is_branch: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Mark by 2 the devices at which any of the branches ended."""
    found = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum(is_branch[rows], out=found[1:])
    marked: NDArray[np.bool_] = found[starts[1:]] > found[starts[:-1]]
    return marked.astype(np.uint8) * np.uint8(2)


def _check_words(words: frozenset[str], kinds: set[str]) -> None:
    for word in sorted(words - _DEVICES - _BRANCHES):
        if not any(_matches(str(kind).casefold(), frozenset({word})) for kind in kinds):
            raise TopologyError(
                f"There is no kind {word!r} of device or branch; there are: "
                f"{', '.join(sorted(_DEVICES | set(map(str, kinds))))}."
            )


def _matches(kind: str, words: frozenset[str]) -> bool:
    if "breaker" in words and _BREAKER_SHORT.search(kind):
        return True
    return any(word in kind for word in words)


def landmarks_of_phases(network: Network) -> Landmarks:
    """Find the devices at which branches end that are known not to carry all phases."""
    starts, rows = network.sorted_branches
    phases = network.columns.branch_phases

    def make() -> Landmarks:
        return Landmarks(frozenset(), _ends_at(starts, rows, (phases > 0) & (phases < ALL_PHASES)))

    return _landmarks.of((rows,), "phases", make)


def branches_among(network: Network, devices: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give the branches that end at any of the devices, each once, ascending.

    Where branches have been given other ends, some that ended at one of the devices may be among them.
    """
    starts, rows = network.sorted_branches
    early = devices[devices < len(starts) - 1]
    found = rows[listed(starts[early], starts[early + 1] - starts[early])]
    later = network.later_branches
    if later:
        here = set(devices.tolist())
        more = [row for device, rows in list(later.items()) if device in here for row in list(rows)]
        found = np.concatenate((found, np.array(more, dtype=np.int32)))
    return np.unique(found)


def devices_of_kind(columns: NetworkColumns, kind: str) -> NDArray[np.int32]:
    """Give the rows of the devices of a kind; linear at the first time, then kept."""
    return _kind_rows.of(
        (columns.device_kind,), kind, lambda: np.flatnonzero(columns.device_kind == kind).astype(np.int32)
    )
