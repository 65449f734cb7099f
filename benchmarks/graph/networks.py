"""Networks of any size for measuring: rows and ids in no order, as in a real extract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

METERS_PER_SUBSTATION = 1_000
_FEEDERS, _POINTS = 10, 100
_DEVICES = 1 + _FEEDERS + _POINTS


def city(meters: int, seed: int = 7) -> NetworkColumns:
    """Draw substations of 10 feeders, 100 distribution points and 1,000 meters each, all permuted."""
    random = np.random.default_rng(seed)
    stations = meters // METERS_PER_SUBSTATION
    at = np.arange(stations * _DEVICES)
    station, place = at // _DEVICES, at % _DEVICES
    is_station, is_feeder = place == 0, (place > 0) & (place <= _FEEDERS)
    feeder = station * _DEVICES + 1 + (place - 1 - _FEEDERS) // (_POINTS // _FEEDERS)
    parent = np.where(is_feeder, station * _DEVICES, feeder)
    row = random.permutation(len(at)).astype(np.int32)
    kind, code = np.empty(len(at), dtype=object), np.empty(len(at), dtype=object)
    kind[row] = np.select([is_station, is_feeder], ["substation", "feeder"], "distribution_point").astype(
        object
    )
    prefix = np.select([is_station, is_feeder], ["SS", "FD"], "DP")
    numbers = np.where(is_station, station, at)
    code[row] = [f"{letters}{number:07d}" for letters, number in zip(prefix, numbers, strict=True)]
    is_source = np.zeros(len(at), dtype=np.bool_)
    is_source[row] = is_station
    below = random.permutation(np.flatnonzero(~is_station))
    meter = random.permutation(stations * METERS_PER_SUBSTATION)
    point = (meter // METERS_PER_SUBSTATION) * _DEVICES + 1 + _FEEDERS + meter % METERS_PER_SUBSTATION // 10
    labels = random.permutation(len(meter))
    return NetworkColumns(
        device_kind=kind,
        device_code=code,
        device_is_source=is_source,
        branch_from=row[parent[below]],
        branch_to=row[below],
        meter_number=np.array([f"M{label:09d}" for label in labels], dtype=object),
        meter_device=row[point],
    )


def with_breakers(columns: NetworkColumns) -> NetworkColumns:
    """Let the branch to each feeder be a breaker with the feeder's number: ``CB...`` for ``FD...``."""
    fed = columns.device_code[columns.branch_to]
    is_switch: NDArray[np.bool_] = columns.device_kind[columns.branch_to] == "feeder"
    code = np.full(len(fed), "", dtype=object)
    code[is_switch] = [f"CB{feeder[2:]}" for feeder in fed[is_switch].tolist()]
    kind = np.where(is_switch, "breaker", "line").astype(object)
    return replace(columns, branch_is_switch=is_switch, branch_code=code, branch_kind=kind)


def with_transfers(stations: int, seed: int = 7) -> NetworkColumns:
    """Draw substations of one feeder with 1,000 meters, 100 of them with a second supply elsewhere.

    Every feeder has a breaker; one meter of ten, at every distribution point, can be fed from the feeder
    of the next substation too.
    """
    random = np.random.default_rng(seed)
    per_station = 2 + _POINTS
    at = np.arange(stations * per_station)
    station, place = at // per_station, at % per_station
    first = station * per_station
    parent = np.where(place == 1, first, first + 1)
    row = random.permutation(len(at)).astype(np.int32)
    kind, code = np.empty(len(at), dtype=object), np.empty(len(at), dtype=object)
    kind[row] = np.select([place == 0, place == 1], ["substation", "feeder"], "distribution_point")
    prefix = np.select([place == 0, place == 1], ["SS", "FD"], "DP")
    code[row] = [f"{letters}{number:07d}" for letters, number in zip(prefix, at, strict=True)]
    is_source = np.zeros(len(at), dtype=np.bool_)
    is_source[row] = place == 0
    below = random.permutation(np.flatnonzero(place > 0))
    meter = random.permutation(stations * METERS_PER_SUBSTATION)
    home = meter // METERS_PER_SUBSTATION
    chosen = np.flatnonzero(meter % 10 == 0).astype(np.int32)
    columns = NetworkColumns(
        device_kind=kind,
        device_code=code,
        device_is_source=is_source,
        branch_from=row[parent[below]],
        branch_to=row[below],
        meter_number=np.array([f"M{label:09d}" for label in random.permutation(len(meter))], dtype=object),
        meter_device=row[home * per_station + 2 + meter % METERS_PER_SUBSTATION // 10],
        alternate_meter=chosen,
        alternate_device=row[(home[chosen] + 1) % stations * per_station + 1],
    )
    return with_breakers(columns)


def strands(
    meters: int, depth: int = 432, meters_per_device: int | None = None, lines: int = 2, seed: int = 7
) -> NetworkColumns:
    """Draw feeders that are one long line: substations of some lines, each so deep, meters all along.

    Parameters
    ----------
    meters : int
        About how many meters; whole lines are drawn, at least one substation.
    depth : int
        Hops from the substation to the last device of a line.
    meters_per_device : int, optional
        Meters on each device of a line; when left out nine, as a city has them, or so few as are left
        for one substation.
    lines : int
        Lines that leave each substation.
    seed : int
        Of the permutations.
    """
    random = np.random.default_rng(seed)
    if meters_per_device is None:
        meters_per_device = min(9, max(1, meters // (lines * depth)))
    per_station = 1 + lines * depth
    stations = max(1, round(meters / (lines * depth * meters_per_device)))
    at = np.arange(stations * per_station)
    station, place = at // per_station, at % per_station
    is_first = (place > 0) & ((place - 1) % depth == 0)
    parent = np.where(is_first, station * per_station, at - 1)
    row = random.permutation(len(at)).astype(np.int32)
    kind, code = np.empty(len(at), dtype=object), np.empty(len(at), dtype=object)
    kind[row] = np.select([place == 0, is_first], ["substation", "feeder"], "section")
    prefix = np.select([place == 0, is_first], ["SS", "FD"], "L")
    code[row] = [f"{letters}{number:07d}" for letters, number in zip(prefix, at, strict=True)]
    is_source = np.zeros(len(at), dtype=np.bool_)
    is_source[row] = place == 0
    below = random.permutation(np.flatnonzero(place > 0))
    device = random.permutation(np.repeat(below, meters_per_device))
    return NetworkColumns(
        device_kind=kind,
        device_code=code,
        device_is_source=is_source,
        branch_from=row[parent[below]],
        branch_to=row[below],
        meter_number=np.array([f"M{label:09d}" for label in random.permutation(len(device))], dtype=object),
        meter_device=row[device],
    )


@dataclass(frozen=True)
class Tree:
    """A radial network as plain arrays, read from the columns, not from the engine: the measure of answers.

    Nodes are counted from 0: the devices by row, then the meters.
    """

    columns: NetworkColumns
    _rows: dict[str, NDArray[np.intp]] = field(default_factory=dict)

    @property
    def devices(self) -> int:
        """How many nodes are devices."""
        return len(self.columns.device_code)

    @property
    def nodes(self) -> int:
        """Devices and meters together."""
        return self.devices + len(self.columns.meter_number)

    @cached_property
    def parent(self) -> NDArray[np.int32]:
        """What feeds each node, -1 at the sources; drawn branches lead downstream."""
        parent = np.full(self.nodes, -1, dtype=np.int32)
        parent[self.columns.branch_to] = self.columns.branch_from
        parent[self.devices :] = self.columns.meter_device
        return parent

    @cached_property
    def parents(self) -> list[int]:
        """The same as a list."""
        parents: list[int] = self.parent.tolist()
        return parents

    @cached_property
    def edges(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Start and end of every edge, in the order of the columns."""
        meters = np.arange(self.devices, self.nodes, dtype=np.int32)
        columns = self.columns
        return (
            np.concatenate((columns.branch_from, columns.meter_device)),
            np.concatenate((columns.branch_to, meters)),
        )

    def rows(self, kind: str) -> NDArray[np.intp]:
        """Give the nodes of one kind of device."""
        if kind not in self._rows:
            self._rows[kind] = np.flatnonzero(self.columns.device_kind == kind)
        return self._rows[kind]

    def above(self, nodes: NDArray[Any], kind: str) -> NDArray[np.int32]:
        """Give for each node the nearest device of a kind at or above it, -1 for none; steps double."""
        step = np.append(self.parent, np.int32(-1))
        step[self.rows(kind)] = self.rows(kind)
        while not np.array_equal(further := step[step], step):
            step = further
        found: NDArray[np.int32] = step[nodes]
        return found
