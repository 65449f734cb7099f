"""Answers to many questions at once, over one version of a state: what the methods of Batches read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.traces.paths import begin_of_path
from oms_topology.graph.traces.spans import listed, meter_spans
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

    Asked = Sequence[str] | NDArray[np.integer]

__all__ = [
    "common_codes",
    "common_row",
    "dark_counts",
    "device_rows",
    "feeding_places",
    "meter_counts",
    "meter_lists",
    "meter_rows",
    "status_histograms",
]

_FEW_STATUSES = 256
_MANY = 1_000
_MOST_ROWS = np.iinfo(np.int32).max


def device_rows(state: SupplyState, codes: list[str]) -> NDArray[np.int32]:
    """Give the row of each device; raises for what is none."""
    network = state.network
    rows, meters = network.names.rows(codes, network.columns)
    for at in np.flatnonzero((rows < 0) | (meters >= 0)).tolist():
        kind, row = network.names.locate(network.columns, codes[at])
        if kind in (DeviceKind.SWITCH, DeviceKind.METER):
            raise TopologyError(f"{codes[at]!r} is a {kind.value}'s code and has no row among the devices.")
        rows[at] = row
    return rows


def meter_rows(state: SupplyState, numbers: list[str]) -> NDArray[np.int32]:
    """Give the row of each meter number; raises for what is none."""
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


def meter_counts(state: SupplyState, devices: Asked) -> NDArray[np.int32]:
    """Count the meters below each device, 1 for a meter, 0 without supply."""
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


def meter_lists(state: SupplyState, devices: Asked) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """List the meters below each device: offsets, and rows one list after another."""
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


def status_histograms(
    state: SupplyState, devices: Asked, statuses: NDArray[np.integer], kinds: int
) -> NDArray[np.int64]:
    """Count by status the meters below each device."""
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


def dark_counts(state: SupplyState, is_dark: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Count the marked meters below every device of the network."""
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


def common_row(state: SupplyState, devices: NDArray[np.integer]) -> int:
    """Give the row of the lowest device that feeds all the rows; -1 for none."""
    from oms_topology.graph.traces.batch_kernels import UNKNOWN, common_of

    rows = np.asarray(devices)
    if rows.dtype != np.int32:
        rows = np.clip(rows, -2, _MOST_ROWS).astype(np.int32)
    known = len(state.network.columns.device_code)
    place = common_of(state.position, state.arena.size, state.arena.parent, rows, known)
    if place == UNKNOWN:
        raise TopologyError(f"Device rows go from 0 to {known - 1}, and -1 for none.")
    return state.arena.device_at.item(place) if place >= 0 else -1


def common_codes(state: SupplyState, groups: list[list[str]]) -> list[str | None]:
    """Give for each group the code of the lowest device that feeds all in it; None for none."""
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
