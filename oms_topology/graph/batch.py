"""Many questions at once: counts, lists, histograms and common feeds of thousands of devices."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.traces.paths import begin_of_path
from oms_topology.graph.traces.spans import listed, meter_spans
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

    Asked = Sequence[str] | NDArray[np.integer]

__all__ = ["Batches", "feeding_places"]

_Answer = TypeVar("_Answer")
_FEW_STATUSES = 256
_MANY = 1_000
_MOST_ROWS = np.iinfo(np.int32).max


class Batches:
    """The methods of :class:`~oms_topology.graph.topology.Topology` that answer many questions at once.

    Devices are named by codes, or by *rows*: numbers that :meth:`rows` gives and that stay the same
    for as long as the network lives. Every answer is of one version of the network.
    """

    __slots__ = ()

    @abstractmethod
    def _ask(self, state: str, question: Callable[[SupplyState], _Answer]) -> _Answer:
        """Read one version."""

    def rows(self, codes: Iterable[str]) -> NDArray[np.int32]:
        """Translate codes of devices into rows.

        Parameters
        ----------
        codes : iterable of str
            Codes of devices: no switches, no meters.

        Returns
        -------
        int32 array, one per code
            Their rows. Some 0.2 us each.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``, for the first code in trouble.
        TopologyError
            A code is a switch's or a meter's.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > M1; SS1 > F2").rows(["F2", "SS1"]).tolist()
        [2, 0]
        """
        wanted = [str(code) for code in codes]
        return self._ask("current", lambda asked: _device_rows(asked, wanted))

    def meter_rows(self, numbers: Iterable[str]) -> NDArray[np.int32]:
        """Translate meter numbers into rows, as :attr:`MeterSet.rows` and all batches count meters.

        Raises
        ------
        UnknownDeviceError
            A number is no meter's.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > M1, M2").meter_rows(["M2"]).tolist()
        [1]
        """
        wanted = [str(number) for number in numbers]
        return self._ask("current", lambda asked: _meter_rows(asked, wanted))

    def count_below(self, devices: Asked, *, state: str = "current") -> NDArray[np.int32]:
        """Count the meters that each of many devices supplies.

        Parameters
        ----------
        devices : sequence of str, or integer array
            Codes of devices, switches and meters, mixed; or rows of devices, -1 for none.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        int32 array, one per device
            0 where nothing is supplied, 1 for a meter. Some 10 ns each from rows.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            A row is none of this network.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2")
        >>> net.count_below(["SS1", "F1", "F2", "M1"]).tolist(), net.count_below(net.rows(["F1"])).tolist()
        ([3, 3, 0, 1], [3])
        """
        return self._ask(state, lambda asked: _counts(asked, devices))

    def meters_below(
        self, devices: Asked, *, state: str = "current"
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """List the meters that each of many devices supplies.

        Parameters
        ----------
        devices, state
            As for :meth:`count_below`.

        Returns
        -------
        offsets : int64 array, one more than devices
            The meters of device ``i`` are ``meters[offsets[i]:offsets[i + 1]]``.
        meters : int32 array
            Rows of the meters, for each device in preorder. Some 5 ns each.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError, TopologyError
            As for :meth:`count_below`.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3")
        >>> [part.tolist() for part in net.meters_below(["F2", "SS1"])]
        [[0, 1, 4], [2, 0, 1, 2]]
        """
        return self._ask(state, lambda asked: _lists(asked, devices))

    def histograms_below(
        self, devices: Asked, statuses: NDArray[np.integer], *, kinds: int = 3, state: str = "current"
    ) -> NDArray[np.int64]:
        """Count by status the meters that each of many devices supplies.

        Parameters
        ----------
        devices, state
            As for :meth:`count_below`.
        statuses : integer array, one per meter row
            A number from 0 to ``kinds - 1`` for each meter, kept beside the network.
        kinds : int
            How many statuses there are.

        Returns
        -------
        int64 array, shape (devices, kinds)
            How many meters of each status each device supplies.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            The statuses are not one per meter row, or out of range.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2 > M4")
        >>> net.histograms_below(["F1", "SS1"], np.array([0, 1, 1, 2], dtype=np.int8)).tolist()
        [[1, 2, 0], [1, 2, 1]]
        """
        statuses = np.asarray(statuses)
        return self._ask(state, lambda asked: _histograms(asked, devices, statuses, kinds))

    def dark_below(self, is_dark: NDArray[np.bool_], *, state: str = "current") -> NDArray[np.int32]:
        """Count under every device at once the meters of which something is true.

        Parameters
        ----------
        is_dark : bool array, one per meter row
            The meters to be counted, for instance those that reported that they lost power.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        int32 array, one per device row
            How many of them each device supplies in that state; 0 for a device without supply.
            One pass over the network.

        Raises
        ------
        TopologyError
            The flags are not one per meter row.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2 > M4")
        >>> net.dark_below(np.array([True, False, True, True])).tolist()
        [3, 2, 1]
        """
        flags = np.asarray(is_dark, dtype=np.bool_)
        return self._ask(state, lambda asked: _dark_counts(asked, flags))

    def common_upstream_row(self, devices: NDArray[np.integer], *, state: str = "current") -> int:
        """Give the row of the lowest device that feeds all devices of an array of rows; -1 for none.

        A device counts as feeding itself. Without any device, or where one has no supply, there is none.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > DP1; F1 > DP2; SS1 > F2")
        >>> net.devices[net.common_upstream_row(net.rows(["DP1", "DP2"]))]
        'F1'
        """
        return self._ask(state, lambda asked: _common_row(asked, devices))

    def common_upstream_of(
        self, groups: Iterable[Iterable[str]], *, state: str = "current"
    ) -> list[str | None]:
        """Give for each of many groups the lowest device that feeds all in it.

        Parameters
        ----------
        groups : iterable of iterables of str
            Codes of meters, devices and switches. A device counts as feeding itself.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        list of str or None
            One per group, as ``common_upstream`` gives it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3")
        >>> net.common_upstream_of([["M1", "M2"], ["M1", "M3"], []])
        ['F1', 'SS1', None]
        """
        wanted = [[str(code) for code in group] for group in groups]
        return self._ask(state, lambda asked: _common_codes(asked, wanted))


def _device_rows(state: SupplyState, codes: list[str]) -> NDArray[np.int32]:
    network = state.network
    rows, meters = network.names.rows(codes, network.columns)
    for at in np.flatnonzero((rows < 0) | (meters >= 0)).tolist():
        kind, row = network.names.locate(network.columns, codes[at])
        if kind in (DeviceKind.SWITCH, DeviceKind.METER):
            raise TopologyError(f"{codes[at]!r} is a {kind.value}'s code and has no row among the devices.")
        rows[at] = row
    return rows


def _meter_rows(state: SupplyState, numbers: list[str]) -> NDArray[np.int32]:
    network = state.network
    rows = network.names.meters.rows(numbers)
    lacking = rows < 0
    lacking[~lacking] = network.columns.meter_device[rows[~lacking]] < -1
    for at in np.flatnonzero(lacking).tolist():
        network.names.locate(network.columns, numbers[at], DeviceKind.METER)
    return rows


def _rows(state: SupplyState, devices: Asked) -> tuple[NDArray[np.integer], NDArray[np.int32]]:
    """Give the row of each device, -1 where it supplies nothing; and its row where it is a meter."""
    if isinstance(devices, np.ndarray) and devices.dtype.kind in "iu":
        return devices, np.empty(0, dtype=np.int32)
    network, codes = state.network, [str(code) for code in devices]
    rows, meters = network.names.rows(codes, network.columns)
    for at in np.flatnonzero((rows < 0) & (meters < 0)).tolist():
        kind, row = network.names.locate(network.columns, codes[at])
        if kind is DeviceKind.METER:
            meters[at] = row
        else:
            rows[at] = state.below_branch(row) if kind is DeviceKind.SWITCH else row
    return rows, meters


def _places_of_rows(state: SupplyState, rows: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give the place of each device row; negative without supply."""
    known = len(state.network.columns.device_code)
    if not len(rows):
        return np.empty(0, dtype=np.int32)
    low, high = int(rows.min()), int(rows.max())
    if low < -1 or high >= known:
        raise TopologyError(
            f"Device rows go from 0 to {known - 1}, and -1 for none; {low} to {high} were given."
        )
    if not known:
        return np.full(len(rows), -1, dtype=np.int32)
    places: NDArray[np.int32] = state.position.take(rows if low >= 0 else np.maximum(rows, 0))
    if low < 0:
        places[rows < 0] = -1
    return places


def _spans(state: SupplyState, devices: Asked) -> tuple[Any, Any, Any]:
    """Give where in ``meter_at`` the meters of each device begin and end; and the meters asked for."""
    rows, meters = _rows(state, devices)
    places = _places_of_rows(state, rows)
    if not len(places) or places.min() >= 0:
        return *meter_spans(state, places), meters
    begin, end = meter_spans(state, np.maximum(places, 0))
    return begin, np.where(places < 0, begin, end), meters


def _counts(state: SupplyState, devices: Asked) -> NDArray[np.int32]:
    rows, meters = _rows(state, devices)
    counts = _counts_of_rows(state, rows)
    if len(meters):
        counts[meters >= 0] = 1
    return counts


def _counts_of_rows(state: SupplyState, rows: NDArray[np.integer]) -> NDArray[np.int32]:
    if len(rows) >= _MANY and rows.dtype == np.int32:
        from oms_topology.graph.traces import batch_kernels

        known, position = len(state.network.columns.device_code), state.position
        arena, counts = state.arena, np.empty(len(rows), dtype=np.int32)
        if batch_kernels.is_compiled and batch_kernels.count_below(
            position, arena.size, arena.tree, state.layout, arena.first, rows, known, counts
        ):
            return counts
    begin, end, _ = _spans(state, rows)
    found: NDArray[np.int32] = end - begin
    return found


def _lists(state: SupplyState, devices: Asked) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    begin, end, meters = _spans(state, devices)
    counts = end - begin
    is_meter = meters >= 0
    if is_meter.any():
        counts[is_meter], begin[is_meter] = 1, 0
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    at = listed(begin, counts)
    rows = state.arena.meter_at.take(at)
    if is_meter.any():
        rows[offsets[:-1][is_meter]] = meters[is_meter]
    return offsets, rows


def _histograms(
    state: SupplyState, devices: Asked, statuses: NDArray[np.integer], kinds: int
) -> NDArray[np.int64]:
    known = len(state.network.columns.meter_number)
    if len(statuses) != known or statuses.dtype.kind not in "iub" or not 0 < kinds <= _FEW_STATUSES:
        raise TopologyError(
            f"Statuses are whole numbers below {kinds}, one for each of {known} meter rows; "
            f"{len(statuses)} of type {statuses.dtype} were given."
        )
    if known and not 0 <= int(statuses.min()) <= int(statuses.max()) < kinds:
        raise TopologyError(
            f"Statuses go from 0 to {kinds - 1}; {statuses.min()} to {statuses.max()} were given."
        )
    begin, end, meters = _spans(state, devices)
    counts = np.zeros((len(begin), kinds), dtype=np.int64)
    from oms_topology.graph.traces import batch_kernels

    if batch_kernels.is_compiled:
        batch_kernels.histograms(begin, end, state.arena.meter_at, statuses, counts)
    else:
        _add_histograms(state, begin, end, statuses, counts)
    if len(meters):
        single = np.flatnonzero(meters >= 0)
        counts[single] = 0
        counts[single, statuses[meters[single]]] = 1
    return counts


def _add_histograms(
    state: SupplyState, begin: Any, end: Any, statuses: NDArray[np.integer], counts: NDArray[np.int64]
) -> None:
    """Do what the kernel does, by listing all the meters."""
    width, kinds = end - begin, counts.shape[1]
    found = statuses[state.arena.meter_at[listed(begin, width)]]
    cell = np.repeat(np.arange(len(width)) * kinds, width) + found
    counts += np.bincount(cell, minlength=counts.size).reshape(counts.shape)


def _dark_counts(state: SupplyState, is_dark: NDArray[np.bool_]) -> NDArray[np.int32]:
    known = len(state.network.columns.meter_number)
    if is_dark.shape != (known,):
        raise TopologyError(f"There are {known} meter rows; flags for {is_dark.shape} were given.")
    counts = np.zeros(len(state.network.columns.device_code), dtype=np.int32)
    bases, arena = state.tree_bases(), state.arena
    from oms_topology.graph.traces import batch_kernels

    if batch_kernels.is_compiled:
        before = np.empty(int(arena.size[bases].max(initial=0)) + 1, dtype=np.int32)
        offsets = state.layout[arena.tree[bases]]
        batch_kernels.count_marked(
            bases, offsets, arena.device_at, arena.size, arena.first, arena.meter_at, is_dark, before, counts
        )
    else:
        _add_dark(state, bases, is_dark, counts)
    return counts


def _add_dark(
    state: SupplyState, bases: NDArray[np.int32], is_dark: NDArray[np.bool_], counts: NDArray[np.int32]
) -> None:
    """Do what the kernel does, by one running sum over all trees."""
    arena = state.arena
    width = arena.size[bases]
    places = listed(bases, width)
    begin, end = meter_spans(state, bases)
    meters = end - begin
    at = listed(begin, meters)
    before = np.zeros(len(at) + 1, dtype=np.int32)
    np.cumsum(is_dark[arena.meter_at[at]], out=before[1:], dtype=np.int32)
    shift = np.repeat(begin - (np.cumsum(meters) - meters), width)
    begin, end = meter_spans(state, places)
    counts[arena.device_at[places]] = before[end - shift] - before[begin - shift]


def _common_row(state: SupplyState, devices: NDArray[np.integer]) -> int:
    from oms_topology.graph.traces.batch_kernels import UNKNOWN, common_of

    rows = np.asarray(devices)
    if rows.dtype != np.int32:
        rows = np.clip(rows, -2, _MOST_ROWS).astype(np.int32)
    known = len(state.network.columns.device_code)
    place = common_of(state.position, state.arena.size, state.arena.parent, rows, known)
    if place == UNKNOWN:
        raise TopologyError(f"Device rows go from 0 to {known - 1}, and -1 for none.")
    return state.arena.device_at.item(place) if place >= 0 else -1


def _common_codes(state: SupplyState, groups: list[list[str]]) -> list[str | None]:
    from oms_topology.graph.traces.batch_kernels import common_of_groups

    places = feeding_places(state, [code for group in groups for code in group])
    offsets = np.zeros(len(groups) + 1, dtype=np.int64)
    np.cumsum([len(group) for group in groups], out=offsets[1:])
    found = common_of_groups(state.arena.size, state.arena.parent, offsets, places)
    codes = state.network.columns.device_code
    rows = state.arena.device_at[found].tolist()
    return [None if place < 0 else str(codes[row]) for place, row in zip(found.tolist(), rows, strict=True)]


def feeding_places(state: SupplyState, codes: list[str]) -> NDArray[np.int32]:
    """Give the place of each device, of what feeds each meter, and of what feeds each switch; -1 for none."""
    network = state.network
    rows, meters = network.names.rows(codes, network.columns)
    places = np.maximum(_places_of_rows(state, rows), -1)
    is_meter = meters >= 0
    places[is_meter] = state.places_of(meters[is_meter])
    for at in np.flatnonzero((rows < 0) & ~is_meter).tolist():
        places[at] = begin_of_path(state, network.names.locate(network.columns, codes[at]))[0]
    return places
