"""Networks with known troubles: how many of each kind were put in is how many a validation has to find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.graph.networks import METERS_PER_SUBSTATION, Tree, city, with_breakers
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Troubled", "troubled"]

_LEAST_STATIONS = 10


@dataclass(frozen=True)
class Troubled:
    """A network with troubles.

    Attributes
    ----------
    columns : NetworkColumns
        The network.
    counts : dict of str to int
        How often each rule is broken; what is not named is not broken.
    """

    columns: NetworkColumns
    counts: dict[str, int]


def troubled(meters: int, each: int, seed: int = 7) -> Troubled:
    """Draw a city and put in troubles of every kind that columns can hold, ``each`` of one kind.

    Parameters
    ----------
    meters : int
        How many meters it has before, at least 10,000.
    each : int
        How many troubles of one kind, at most one for 100 meters; where a trouble is a feeder without
        supply, one for ten.
    seed : int
        Of the drawing.
    """
    if meters < _LEAST_STATIONS * METERS_PER_SUBSTATION or each * 100 > meters:
        raise ValueError(f"{each} troubles of each kind do not fit into {meters} meters")
    drawing = _Drawing(with_breakers(city(meters, seed)), each, np.random.default_rng(seed))
    for step in (
        drawing.loops,
        drawing.two_sources,
        drawing.orphans,
        drawing.places,
        drawing.collisions,
        drawing.bad_branches,
        drawing.bad_switches,
        drawing.bad_devices,
        drawing.bad_meters,
    ):
        step()
    return Troubled(drawing.columns, drawing.counts)


class _Drawing:
    """Puts troubles in, each kind in substations of its own where they could meet."""

    def __init__(self, columns: NetworkColumns, each: int, random: np.random.Generator) -> None:
        self.columns, self.each, self.random = columns, each, random
        self.counts: dict[str, int] = {}
        tree = Tree(columns)
        points = tree.rows("distribution_point").astype(np.int32)
        station = tree.above(points, "substation")
        self.points = points[np.argsort(station, kind="stable")].reshape(-1, 100)
        self.tree = tree

    def _count(self, rule: str, more: int) -> None:
        self.counts[rule] = self.counts.get(rule, 0) + more

    def _stations(self, share: int) -> NDArray[np.int32]:
        """Give the distribution points, substation by substation, of a tenth of the substations."""
        return self.points[share::_LEAST_STATIONS]

    def loops(self) -> None:
        """Tie distribution points of one substation, every pair once."""
        points = self._stations(0)
        pair = self.random.choice(len(points) * 100 * 99 // 2, self.each, replace=False)
        low, high = np.triu_indices(100, 1)
        row, which = pair // len(low), pair % len(low)
        self._append_branches(points[row, low[which]], points[row, high[which]])
        self._count("loop", self.each)

    def two_sources(self) -> None:
        """Tie distribution points of two substations, each of them at most once."""
        points = self._stations(1).ravel()
        other = self._stations(2).ravel()
        count = min(self.each, len(points), len(other))
        self._append_branches(self.random.permutation(points)[:count], self.random.permutation(other)[:count])
        self._count("two_sources", count)

    def orphans(self) -> None:
        """Open breakers of feeders: the feeder, its ten points and their hundred meters have no supply."""
        inside = np.zeros(self.tree.devices, dtype=np.bool_)
        inside[self.tree.parent[self._stations(3).ravel()]] = True
        columns = self.columns
        rows = np.flatnonzero(columns.branch_is_switch & inside[columns.branch_to])
        rows = rows[: max(1, self.each // 10)]
        for name in ("branch_normally_open", "branch_is_open"):
            flags = getattr(columns, name).copy()
            flags[rows] = True
            columns = replace(columns, **{name: flags})
        self.columns = columns
        self._count("orphan_device", 11 * len(rows))
        self._count("orphan_meter", 100 * len(rows))

    def places(self) -> None:
        """Put devices off the globe, and meters at zero degrees or at half a position."""
        columns, each = self.columns, self.each
        longitude, latitude = columns.meter_longitude.copy(), columns.meter_latitude.copy()
        longitude[:], latitude[:] = 46.7, 24.7
        longitude[:each] = latitude[:each] = 0
        latitude[each : 2 * each] = np.nan
        of_devices = columns.device_longitude.copy(), columns.device_latitude.copy()
        count = min(each, self.tree.devices)
        of_devices[0][:count], of_devices[1][:count] = 466_000.0, 2_700_000.0
        self.columns = replace(
            columns,
            meter_longitude=longitude,
            meter_latitude=latitude,
            device_longitude=of_devices[0],
            device_latitude=of_devices[1],
        )
        self._count("impossible_coordinates", 2 * each + count)

    def collisions(self) -> None:
        """Let meters have the codes of distribution points."""
        numbers = self.columns.meter_number.copy()
        points = self._stations(4).ravel()
        count = min(self.each, len(points))
        numbers[-count:] = self.columns.device_code[points[:count]]
        self.columns = replace(self.columns, meter_number=numbers)
        self._count("code_collision", count)

    def bad_branches(self) -> None:
        """Add branches to devices that are not there, and from devices to themselves."""
        each, devices = self.each, len(self.columns.device_code)
        rows = self.random.integers(0, devices, each).astype(np.int32)
        # Some beyond the table, some below it; bad_devices makes the table longer.
        missing = np.where(np.arange(each) % 2 == 0, np.int32(4 * devices), np.int32(-1)).astype(np.int32)
        self._append_branches(rows, missing)
        self._append_branches(rows, rows)
        self._count("dangling_id", each)
        self._count("self_loop", each)

    def bad_switches(self) -> None:
        """Add switches without a code, and with a code that another has."""
        points, each = self._stations(5), self.each
        columns = self.columns
        known = columns.branch_code[np.flatnonzero(columns.branch_is_switch)[:1]][0]
        for code, rule in (("", "empty_code"), (known, "duplicate_id")):
            low = self.random.integers(0, 99, each)
            row = self.random.integers(0, len(points), each)
            self._append_branches(points[row, low], points[row, low + 1], code=code, is_open=True)
            self._count(rule, each)

    def bad_devices(self) -> None:
        """Add devices with a code that one of their kind has, and devices without a code."""
        columns, each = self.columns, self.each
        points = self._stations(6).ravel()
        copied = points[self.random.integers(0, len(points), each)]
        self._append(
            "device",
            {
                "device_kind": np.full(2 * each, "distribution_point", dtype=object),
                "device_code": np.concatenate((columns.device_code[copied], np.full(each, "", dtype=object))),
            },
        )
        self._count("duplicate_id", each)
        self._count("empty_code", each)

    def bad_meters(self) -> None:
        """Add meters on no device, on a device that is not there, without a number, and twice the same."""
        columns, each = self.columns, self.each
        devices, meters = len(columns.device_code), len(columns.meter_number)
        names = [f"X{letter}{number:08d}" for letter in "AB" for number in range(each)]
        repeated = columns.meter_number[self.random.integers(0, meters - 2 * each, each)]
        point = self._stations(7)[0, 0]
        device = np.repeat(np.array([-1, 4 * devices, point, point], dtype=np.int32), each)
        numbers = np.concatenate((np.array(names, dtype=object), np.full(each, "", dtype=object), repeated))
        self._append("meter", {"meter_number": numbers, "meter_device": device})
        self._count("orphan_meter", 2 * each)
        self._count("dangling_id", each)
        self._count("empty_code", each)
        self._count("duplicate_id", each)

    def _append_branches(
        self, start: Any, end: Any, *, code: str | None = None, is_open: bool = False
    ) -> None:
        flags = np.full(len(start), is_open)
        self._append(
            "branch",
            {
                "branch_from": start,
                "branch_to": end,
                "branch_kind": np.full(len(start), "line", dtype=object),
                "branch_code": np.full(len(start), code or "", dtype=object),
                "branch_is_switch": np.full(len(start), code is not None),
                "branch_normally_open": flags,
                "branch_is_open": flags,
            },
        )

    def _append(self, table: str, values: dict[str, Any]) -> None:
        """Add rows to a table; columns that are not named get what NetworkColumns fills in."""
        count = len(next(iter(values.values())))
        blank = NetworkColumns(
            **{
                "device_kind": np.empty(0, object),
                "device_code": np.empty(0, object),
                **values,
            }
        )
        parts: dict[str, Any] = {}
        for name in NetworkColumns.__dataclass_fields__:
            if name.startswith(f"{table}_") and not name.endswith("_attributes"):
                added = np.asarray(getattr(blank, name))
                if len(added) != count:
                    raise ValueError(f"{name} has {len(added)} rows instead of {count}")
                kept = getattr(self.columns, name)
                parts[name] = np.concatenate((kept, added.astype(kept.dtype)))
        self.columns = replace(self.columns, **parts)
