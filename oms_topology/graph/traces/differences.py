"""What differs between two states of a network, or between two networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.engine.labels import labels_of
from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.reading.cleaning import GONE
from oms_topology.graph.traces.feeding import device_feeds, feeds_of, has_supply
from oms_topology.graph.traces.spans import meters_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

__all__ = ["Difference", "difference_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """What changed for meters and devices from one state to another.

    Attributes
    ----------
    lost : MeterSet
        Meters that had supply before and have none after, as they were before: ``count_by("feeder")``
        tells who lost them.
    regained : MeterSet
        Meters that had none before and have supply after.
    changed_feeder : MeterSet
        Meters with supply before and after, from another feeder; as they are after.
    devices_lost, devices_regained, devices_changed_feeder : tuples of str
        Devices likewise, in the order of their rows.
    added : MeterSet
        Meters that are only in the network after.
    removed : MeterSet
        Meters that are only in the network before.
    """

    lost: MeterSet
    regained: MeterSet
    changed_feeder: MeterSet
    devices_lost: tuple[str, ...]
    devices_regained: tuple[str, ...]
    devices_changed_feeder: tuple[str, ...]
    added: MeterSet
    removed: MeterSet

    def __bool__(self) -> bool:
        """Whether anything differs."""
        meters = (self.lost, self.regained, self.changed_feeder, self.added, self.removed)
        devices = (self.devices_lost, self.devices_regained, self.devices_changed_feeder)
        return any(map(len, (*meters, *devices)))

    def __repr__(self) -> str:
        return (
            f"Difference({len(self.lost)} meters lost supply, {len(self.regained)} regained it, "
            f"{len(self.changed_feeder)} changed feeder)"
        )


def difference_of(before: SupplyState, after: SupplyState) -> Difference:
    """Compare two states: what is not shared where they stand in one arena, else everything.

    States that were not made of one another, or of which one has meters or devices that the other does
    not know, are compared row by row, or by codes where they number their rows otherwise; that is linear.
    """
    changed = _changed_devices(before, after)
    if changed is not None:
        return _difference_at(before, after, changed)
    devices = _matched_devices(before, after)
    meters = _matched_meters(before, after)
    was, now = has_supply(before), has_supply(after)
    kept = np.flatnonzero(meters >= 0)
    old, new = kept, meters[kept]
    feeder_before, feeder_after = feeds_of(before, "feeder").devices, feeds_of(after, "feeder").devices
    moved = was[old] & now[new] & (np.append(devices, -1)[feeder_before[old]] != feeder_after[new])
    there = np.zeros(len(now), dtype=np.bool_)
    there[new] = True
    return Difference(
        _set(before, old[was[old] & ~now[new]]),
        _set(after, new[~was[old] & now[new]]),
        _set(after, new[moved]),
        *_compared_devices(before, after, devices),
        _set(after, np.flatnonzero(~there & _is_there(after))),
        _set(before, np.flatnonzero((meters < 0) & _is_there(before))),
    )


def _changed_devices(before: SupplyState, after: SupplyState) -> NDArray[np.int32] | None:
    """Find the devices that stand elsewhere; None where places or rows of the states do not compare."""
    one, other = before.network, after.network
    alike = (
        before.arena is after.arena
        and one.columns.device_code is other.columns.device_code
        and one.columns.meter_number is other.columns.meter_number
        and one.gone_devices == other.gone_devices
    )
    if not alike:
        return None
    count = len(one.columns.device_code)
    rows = np.flatnonzero(before.position[:count] != after.position[:count]).astype(np.int32)
    return None if 2 * len(rows) > count else rows


def _difference_at(before: SupplyState, after: SupplyState, devices: NDArray[np.int32]) -> Difference:
    """Compare two states at the devices that stand elsewhere and the meters there, and those that moved."""
    meters = _changed_meters(before, after, devices)
    was, now = before.places_of(meters), after.places_of(meters)
    there_before, there_after = (
        state.network.columns.meter_device[meters] != GONE for state in (before, after)
    )
    both = there_before & there_after
    was_fed, now_fed = both & (was >= 0), both & (now >= 0)
    moved = was_fed & now_fed & (_feeders(before, was) != _feeders(after, now))
    return Difference(
        _set(before, meters[was_fed & ~now_fed]),
        _set(after, meters[now_fed & ~was_fed]),
        _set(after, meters[moved]),
        *_compared_at(before, after, devices),
        _set(after, meters[there_after & ~there_before]),
        _set(before, meters[there_before & ~there_after]),
    )


def _changed_meters(before: SupplyState, after: SupplyState, devices: NDArray[np.int32]) -> NDArray[np.int32]:
    """Find the meters that hang on these devices or on another one than before, ascending."""
    parts = [meters_on(state, devices) for state in (before, after)]
    own, other = before.network.columns.meter_device, after.network.columns.meter_device
    if own is not other:
        parts.append(np.flatnonzero(own != other).astype(np.int32))
    held_up = {meter for meter, _ in before.overrides.items() ^ after.overrides.items()}
    return np.unique(np.concatenate((*parts, np.array(list(held_up), dtype=np.int32))))


def _feeders(state: SupplyState, places: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels_of(state.arena, places, state.network.columns.device_kind, "feeder")


def _compared_at(
    before: SupplyState, after: SupplyState, devices: NDArray[np.int32]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    was, now = before.position[devices], after.position[devices]
    changed = _feeders(before, np.maximum(was, -1)) != _feeders(after, np.maximum(now, -1))
    chosen = (was >= 0) & (now < 0), (was < 0) & (now >= 0), (was >= 0) & (now >= 0) & changed
    codes = before.network.columns.device_code
    lost, regained, moved = (tuple(map(str, codes[devices[mask]].tolist())) for mask in chosen)
    return lost, regained, moved


def _set(state: SupplyState, rows: NDArray[np.integer]) -> MeterSet:
    """Make a set in preorder."""
    meters: NDArray[np.int32] = rows.astype(np.int32)
    places = state.places_of(meters)
    order = np.lexsort((meters, places, state.roots_of(places)))
    return MeterSet.of_rows(state, meters[order], places[order])


def _is_there(state: SupplyState) -> NDArray[np.bool_]:
    there: NDArray[np.bool_] = state.network.columns.meter_device != GONE
    return there


def _matched_meters(before: SupplyState, after: SupplyState) -> NDArray[np.int32]:
    """Give for each meter row before its row after, -1 where there is none."""
    old, new = before.network.columns.meter_number, after.network.columns.meter_number
    if _is_same_column(old, new):
        rows = np.arange(len(old), dtype=np.int32)
        rows[len(new) :] = -1
    else:
        rows = after.network.names.meters.rows(old.tolist())
    rows[~_is_there(before)] = -1
    known = np.flatnonzero(rows >= 0)
    rows[known[~_is_there(after)[rows[known]]]] = -1
    return rows


def _matched_devices(before: SupplyState, after: SupplyState) -> NDArray[np.int32]:
    one, other = before.network.columns, after.network.columns
    gone = before.network.gone_devices, after.network.gone_devices
    columns = (one.device_code, other.device_code), (one.device_kind, other.device_kind)
    if not any(gone) and all(_is_same_column(*pair) for pair in columns):
        rows = np.arange(len(one.device_code), dtype=np.int32)
        rows[len(other.device_code) :] = -1
        return rows
    keys = zip(other.device_kind.tolist(), other.device_code.tolist(), strict=True)
    row_of = {key: row for row, key in enumerate(keys) if row not in gone[1]}
    keys = zip(one.device_kind.tolist(), one.device_code.tolist(), strict=True)
    found = [-1 if row in gone[0] else row_of.get(key, -1) for row, key in enumerate(keys)]
    return np.array(found, dtype=np.int32)


def _is_same_column(one: NDArray[np.object_], other: NDArray[np.object_]) -> bool:
    """Tell whether two columns number the same things, one of them perhaps with more behind."""
    shared = min(len(one), len(other))
    return one is other or (bool(shared) and np.array_equal(one[:shared], other[:shared]))


def _compared_devices(
    before: SupplyState, after: SupplyState, devices: NDArray[np.int32]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    old = np.flatnonzero(devices >= 0)
    new = devices[old]
    was = before.position[old] >= 0
    now = after.position[new] >= 0
    feeder_before = np.append(devices, -1)[device_feeds(before, "feeder")[old]]
    changed = was & now & (feeder_before != device_feeds(after, "feeder")[new])
    codes = before.network.columns.device_code
    chosen = (old[was & ~now], old[~was & now], old[changed])
    lost, regained, moved = (tuple(map(str, codes[rows].tolist())) for rows in chosen)
    return lost, regained, moved
