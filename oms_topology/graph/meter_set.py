"""A set of meters as a view: mostly one slice of an index, and cheap however large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import TopologyError, UnknownDeviceError
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from oms_topology.graph.index import SupplyIndex

__all__ = ["MeterSet"]

_LABELS = {kind.value: kind for kind in DeviceKind if kind not in (DeviceKind.METER, DeviceKind.SWITCH)}
_COLUMNS = {"customer_id": "meter_customer", "priority": "meter_priority"}


class MeterSet(AbstractSet[str]):
    """Meters of a network, as they stood when the set was made.

    A set compares, and combines with other sets, by meter number. It iterates in *preorder*: the
    meters at a device in the order in which they came, then those below it, device by device; meters
    without supply come last. A combination keeps the order of its left side, with what the right side
    adds behind. Later changes to the network do not reach a set already made.

    Sets come from :class:`~oms_topology.graph.topology.Topology`; they are not made by hand.

    Examples
    --------
    >>> from oms_topology import Topology
    >>> net = Topology.from_text("SS1 > F1 > DP1 > M1..M3; F1 > DP2 > M4")
    >>> below = net.downstream("F1")
    >>> len(below), "M4" in below, list(below - net.downstream("DP2"))
    (4, True, ['M1', 'M2', 'M3'])
    """

    __slots__ = ("_first", "_index", "_last", "_rows")

    def __init__(
        self, index: SupplyIndex, first: int, last: int, rows: NDArray[np.int32] | None = None
    ) -> None:
        self._index = index
        self._first = first
        self._last = last
        self._rows = rows

    def __len__(self) -> int:
        return self._last - self._first

    @property
    def rows(self) -> NDArray[np.int32]:
        """Rows of the meters in the network's columns, int32, in the set's order; not to be written to."""
        if self._rows is not None:
            return self._rows
        rows = self._index.meter_order[self._first : self._last]
        rows.flags.writeable = False
        return rows

    @property
    def meter_numbers(self) -> NDArray[np.object_]:
        """Numbers of the meters, an object array of ``str``, in the set's order."""
        numbers: NDArray[np.object_] = self._index.network.columns.meter_number[self.rows]
        return numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.meter_numbers.tolist())

    def __contains__(self, number: object) -> bool:
        return isinstance(number, str) and self._has_row(self._index.network.names.meters.row(number))

    def _has_row(self, row: int) -> bool:
        if not 0 <= row < len(self._index.meter_position):
            return False
        if self._rows is None:
            return bool(self._first <= self._index.meter_position[row] < self._last)
        return bool((self._rows == row).any())

    def __and__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in both; ``other`` may be any set of numbers."""
        return self._picked(self._among(other))

    def __sub__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters of this set that the other has not; ``other`` may be any set of numbers."""
        return self._picked(~self._among(other))

    def __or__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in either; raises UnknownDeviceError for a number that is no meter here."""
        rows = self._rows_of(other, strict=True)
        return self._of_rows(np.concatenate((self.rows, rows[~np.isin(rows, self.rows)])))

    def __xor__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in exactly one; raises UnknownDeviceError for a number that is no meter here."""
        rows = self._rows_of(other, strict=True)
        mine = self.rows[~np.isin(self.rows, rows)]
        return self._of_rows(np.concatenate((mine, rows[~np.isin(rows, self.rows)])))

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> frozenset[Any]:
        return frozenset(it)

    def _picked(self, mask: NDArray[np.bool_]) -> MeterSet:
        return self if mask.all() else self._of_rows(self.rows[mask])

    def _of_rows(self, rows: NDArray[np.int32]) -> MeterSet:
        return MeterSet(self._index, 0, len(rows), rows)

    def _among(self, other: AbstractSet[Any]) -> NDArray[np.bool_]:
        if isinstance(other, MeterSet) and other._index is self._index and other._rows is None:
            position = self._index.meter_position[self.rows]
            inside: NDArray[np.bool_] = (position >= other._first) & (position < other._last)
            return inside
        return np.isin(self.rows, self._rows_of(other, strict=False))

    def _rows_of(self, other: AbstractSet[Any], *, strict: bool) -> NDArray[np.int32]:
        """Rows, in this set's network, of another set's meters; unknown ones are errors or left out."""
        if not isinstance(other, AbstractSet):
            raise TopologyError(
                f"A MeterSet combines with sets of meter numbers, not with {type(other).__name__}."
            )
        meters = self._index.network.names.meters
        known = len(self._index.meter_position)
        if isinstance(other, MeterSet) and other._index.network.names.meters is meters:
            rows = other.rows
        else:
            rows = np.array(
                [meters.row(number) if isinstance(number, str) else -1 for number in other], dtype=np.int32
            )
        usable = (rows >= 0) & (rows < known)
        if strict and not usable.all():
            missing = [number for number, kept in zip(other, usable, strict=True) if not kept]
            raise UnknownDeviceError(missing[0], kind="meter")
        return rows[usable]

    @property
    def customers(self) -> int:
        """Distinct customers of the meters; a meter without one counts as one."""
        codes = Counter(self._index.network.columns.meter_customer[self.rows].tolist())
        nameless = codes.pop("", 0)
        return len(codes) + nameless

    def count_by(self, what: str) -> dict[str, int]:
        """Count the meters by what feeds them, or by a column.

        Parameters
        ----------
        what : str
            ``"substation"``, ``"feeder"``, ``"section"`` or ``"distribution_point"``: the nearest one
            that supplies the meter; ``"device"``: the device it hangs on; ``"kind"``: that device's
            kind; ``"customer_id"``, ``"priority"``, or the name of a further column of the meters.

        Returns
        -------
        dict of str to int
            Most meters first, equal counts by code. Meters that have none count under ``""``; groups
            without meters do not appear.

        Raises
        ------
        TopologyError
            There is no such column.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > DP1 > M1..M3; F1 > DP2 > M4").meters.count_by("distribution_point")
        {'DP1': 3, 'DP2': 1}
        """
        counts = Counter(self._values(what).tolist())
        return {
            str(value): count
            for value, count in sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        }

    def _values(self, what: str) -> NDArray[Any]:
        columns, rows = self._index.network.columns, self.rows
        if what in _COLUMNS:
            values: NDArray[Any] = getattr(columns, _COLUMNS[what])[rows]
            return values
        if what in _LABELS or what in ("device", "kind"):
            return self._feeding(what)
        if what not in columns.meter_attributes:
            known = [*_LABELS, "device", "kind", *_COLUMNS, *columns.meter_attributes]
            raise TopologyError(f"Meters cannot be counted by {what!r}; there are: {', '.join(known)}.")
        return columns.meter_attributes[what][rows]

    def _feeding(self, what: str) -> NDArray[np.object_]:
        """Code (or kind) of the device that feeds each meter, ``""`` for meters without supply."""
        columns = self._index.network.columns
        feed = self._index.meter_feed[self.rows]
        feed = np.where(self._index.has_supply(feed), feed, -1)
        if what in _LABELS:
            labels = np.append(self._index.label(_LABELS[what]), np.int32(-1))
            feed = labels[feed]
        texts = np.append(columns.device_kind if what == "kind" else columns.device_code, "")
        values: NDArray[np.object_] = texts[feed]
        return values

    def to_columns(self) -> Mapping[str, NDArray[Any]]:
        """Give what is known of the meters as one array per column, in the set's order.

        Returns
        -------
        mapping of str to array
            ``meter_number``, ``customer_id``, ``priority`` (1 critical to 4 low, 0 unknown),
            ``substation``, ``feeder``, ``distribution_point``, ``device`` (codes of what feeds it
            now, ``""`` for none), ``longitude``, ``latitude`` (degrees, nan unknown), then the
            source's further columns.
        """
        columns, rows = self._index.network.columns, self.rows
        table: dict[str, NDArray[Any]] = {"meter_number": self.meter_numbers}
        for name in ("customer_id", "priority", "substation", "feeder", "distribution_point", "device"):
            table[name] = self._values(name)
        table["longitude"] = columns.meter_longitude[rows]
        table["latitude"] = columns.meter_latitude[rows]
        for name, values in columns.meter_attributes.items():
            table.setdefault(name, values[rows])
        return table

    def to_frame(self) -> Any:
        """Give the meters as a ``pandas.DataFrame`` with the columns of :meth:`to_columns`.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        from oms_topology.io.frames import to_frame

        return to_frame(self.to_columns())

    def to_geojson(self) -> dict[str, Any]:
        """Give the meters as a GeoJSON FeatureCollection (RFC 7946, WGS 84).

        Returns
        -------
        dict
            One point per meter, in the set's order; ``geometry`` is None where no position is
            known. The properties are the other columns of :meth:`to_columns`, as plain values.
        """
        from oms_topology.io.geojson import feature_collection

        return feature_collection(self.to_columns())

    def __repr__(self) -> str:
        shown = ", ".join(self.meter_numbers[:5].tolist())
        return f"MeterSet({len(self)} meters: {shown}{', ...' if len(self) > 5 else ''})"
