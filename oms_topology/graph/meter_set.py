"""A set of meters as a view: mostly one slice of an index, and cheap however large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import TopologyError, UnknownDeviceError
from oms_topology.graph.engine.edition import Edition
from oms_topology.graph.engine.labels import labels_below, labels_of
from oms_topology.graph.hull import convex_hull
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.model import NetworkColumns

__all__ = ["NOT_COUNTED", "MeterSet"]

NOT_COUNTED = -1
"""Stands for the count in a set that has not looked yet where its meters stand."""

_LABELS = tuple(kind.value for kind in DeviceKind if kind not in (DeviceKind.METER, DeviceKind.SWITCH))
_FEEDING = (*_LABELS, "device", "kind")
_MANY = 256
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

    __slots__ = (
        "_count",
        "_edition",
        "_first",
        "_members",
        "_offset",
        "_places",
        "_rows",
        "_top",
    )

    _edition: Edition
    _top: int
    _offset: int
    _first: int
    _count: int
    _rows: NDArray[np.int32]
    _places: NDArray[np.int32]
    _members: frozenset[int]

    def __init__(self, state: SupplyState, top: int, offset: int, first: int, count: int) -> None:
        self._edition = state.edition or Edition(state)
        self._top = top
        self._offset = offset
        self._first = first
        self._count = count

    @property
    def _state(self) -> SupplyState:
        return self._edition.state

    @property
    def _columns(self) -> NetworkColumns:
        return self._edition.columns

    @classmethod
    def below(cls, state: SupplyState, top: int) -> MeterSet:
        """Make the set of the meters below a place; in the midst of a change too."""
        arena = state.arena
        offset = state.offsets[arena.trees[top]]
        first = arena.firsts[top + offset]
        return cls(state, top, offset, first, arena.firsts[top + arena.sizes[top] + offset] - first)

    @classmethod
    def empty(cls, state: SupplyState) -> MeterSet:
        """Make the set without meters."""
        nothing = np.empty(0, dtype=np.int32)
        return cls.of_rows(state, nothing, nothing)

    @classmethod
    def of_rows(
        cls, state: SupplyState, rows: NDArray[np.int32], places: NDArray[np.int32] | None = None
    ) -> MeterSet:
        """Make a set of meter rows, in their order.

        Parameters
        ----------
        state : SupplyState
            The state, as it is now.
        rows : int32 array
            The meters, each once.
        places : int32 array, optional
            The place of what supplies each, -1 for none; looked up when left out.
        """
        made = cls(state, -1, 0, 0, len(rows))
        rows.flags.writeable = False
        made._rows, made._places = rows, state.places_of(rows) if places is None else places
        return made

    @classmethod
    def of_trees(cls, state: SupplyState, bases: Iterable[int]) -> MeterSet:
        """Make the set of the meters of whole trees, one tree after the other."""
        parts = [cls.below(state, base) for base in bases]
        rows = [part.rows for part in parts] or [np.empty(0, dtype=np.int32)]
        places = [part.places for part in parts] or [np.empty(0, dtype=np.int32)]
        return cls.of_rows(state, np.concatenate(rows), np.concatenate(places))

    def __len__(self) -> int:
        count = self._count
        return count if count >= 0 else self._looked_up()

    def _looked_up(self) -> int:
        """Find where the meters stood in the version that the set is of; returns how many there are."""
        edition, top = self._edition, self._top
        state = edition.state
        offset = state.offset_as_of(top, edition.written)
        arena = state.arena
        first = arena.firsts[top + offset]
        count = arena.firsts[top + arena.sizes[top] + offset] - first
        self._offset, self._first = offset, first
        self._count = count
        return count

    @property
    def rows(self) -> NDArray[np.int32]:
        """Rows of the meters in the network's columns, int32, in the set's order; not to be written to."""
        if self._top < 0:
            return self._rows
        count = len(self)
        rows: NDArray[np.int32] = self._state.arena.meter_at[self._first : self._first + count]
        rows.flags.writeable = False
        return rows

    @property
    def run(self) -> tuple[NDArray[np.int32], int]:
        """An array in which the rows stand one after another, and where they begin; not to be written to."""
        if self._top < 0:
            return self._rows, 0
        if self._count < 0:
            self._looked_up()
        return self._state.arena.meter_at, self._first

    @property
    def span(self) -> tuple[int, int] | None:
        """First place and end of the subtree of which these are all meters; None for other sets."""
        top = self._top
        return (top, top + self._edition.state.arena.sizes[top]) if top >= 0 else None

    @property
    def places(self) -> NDArray[np.int32]:
        """The place in the arena of what supplies each meter, int32, -1 for none."""
        if self._top < 0:
            return self._places
        places, counts = self._own_counts()
        repeated: NDArray[np.int32] = np.repeat(places, counts)
        return repeated

    def _own_counts(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Give the places of the subtree, and how many meters hang on each directly."""
        if self._count < 0:
            self._looked_up()
        arena, top = self._state.arena, self._top
        stop, offset = top + arena.sizes[top], self._offset
        return np.arange(top, stop, dtype=np.int32), np.diff(arena.first[top + offset : stop + 1 + offset])

    @property
    def meter_numbers(self) -> NDArray[np.object_]:
        """Numbers of the meters, an object array of ``str``, in the set's order."""
        numbers: NDArray[np.object_] = self._columns.meter_number[self.rows]
        return numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.meter_numbers.tolist())

    def __contains__(self, number: object) -> bool:
        return isinstance(number, str) and self._has_row(self._state.network.names.meters.row(number))

    def _has_row(self, row: int) -> bool:
        if row < 0:
            return False
        if self._is_present():
            place = self._state.place(self._state.feed(row))
            return self._top <= place < self._top + self._state.arena.sizes[self._top]
        try:
            return row in self._members
        except AttributeError:
            self._members = frozenset(self.rows.tolist())
            return row in self._members

    def _is_present(self) -> bool:
        """Tell whether this is still everything below its device."""
        return self._top >= 0 and self._edition.sequence == self._state.sequence

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MeterSet) and other._numbering() is self._numbering():
            return len(self) == len(other) and np.array_equal(np.sort(self.rows), np.sort(other.rows))
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def _numbering(self) -> object:
        return self._state.network.names.meters

    def __and__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in both; ``other`` may be any set of numbers."""
        return self._picked(self._among(other))

    def __sub__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters of this set that the other has not; ``other`` may be any set of numbers."""
        return self._picked(~self._among(other))

    def __or__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in either; raises UnknownDeviceError for a number that is no meter here."""
        return self._joined(other, self.rows, self.places)

    def __xor__(self, other: AbstractSet[Any]) -> MeterSet:
        """Meters in exactly one; raises UnknownDeviceError for a number that is no meter here."""
        mine = ~np.isin(self.rows, self._rows_of(other, strict=True))
        return self._joined(other, self.rows[mine], self.places[mine])

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def _joined(
        self, other: AbstractSet[Any], rows: NDArray[np.int32], places: NDArray[np.int32]
    ) -> MeterSet:
        others = self._rows_of(other, strict=True)
        new = ~np.isin(others, self.rows)
        if isinstance(other, MeterSet) and other._state is self._state:
            more = other.places[new]
        else:
            more = self._state.places_of(others[new])
        return self._of(np.concatenate((rows, others[new])), np.concatenate((places, more)))

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> frozenset[Any]:
        return frozenset(it)

    def _picked(self, mask: NDArray[np.bool_]) -> MeterSet:
        return self if mask.all() else self._of(self.rows[mask], self.places[mask])

    def _of(self, rows: NDArray[np.int32], places: NDArray[np.int32]) -> MeterSet:
        made = MeterSet.of_rows(self._state, rows, places)
        made._edition = self._edition
        return made

    def _among(self, other: AbstractSet[Any]) -> NDArray[np.bool_]:
        """Tell for each meter whether the other set has it; by places where both tell of one instant."""
        same = isinstance(other, MeterSet) and other._state is self._state
        if same and other._top >= 0 and other._edition.sequence == self._edition.sequence:  # type: ignore[attr-defined]
            top = other._top  # type: ignore[attr-defined]
            places = self.places
            inside: NDArray[np.bool_] = (places >= top) & (places < top + self._state.arena.sizes[top])
            return inside
        return np.isin(self.rows, self._rows_of(other, strict=False))

    def _rows_of(self, other: AbstractSet[Any], *, strict: bool) -> NDArray[np.int32]:
        """Rows, in this set's network, of another set's meters; unknown ones are errors or left out."""
        if not isinstance(other, AbstractSet):
            raise TopologyError(
                f"A MeterSet combines with sets of meter numbers, not with {type(other).__name__}."
            )
        known = len(self._columns.meter_number)
        if isinstance(other, MeterSet) and other._numbering() is self._numbering():
            rows = other.rows
        else:
            meters = self._state.network.names.meters
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
        codes = Counter(self._columns.meter_customer[self.rows].tolist())
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
        counts = self._counted(what)
        return {
            str(value): count
            for value, count in sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        }

    def _counted(self, what: str) -> Counter[Any]:
        if self._top < 0 or what not in _FEEDING:
            return Counter(self._values(what).tolist())
        # Everything below one device: count devices, each with its meters, and list none.
        places, counts = self._own_counts()
        texts = self._texts(what, self._devices(what, places, is_subtree=True))
        counted: Counter[Any] = Counter()
        for text, count in zip(texts.tolist(), counts.tolist(), strict=True):
            if count:
                counted[text] += count
        return counted

    def _values(self, what: str) -> NDArray[Any]:
        columns = self._columns
        if what in _COLUMNS:
            values: NDArray[Any] = getattr(columns, _COLUMNS[what])[self.rows]
            return values
        if what in _FEEDING:
            return self._texts(what, self._devices(what, self.places))
        if what not in columns.meter_attributes:
            known = [*_FEEDING, *_COLUMNS, *columns.meter_attributes]
            raise TopologyError(f"Meters cannot be counted by {what!r}; there are: {', '.join(known)}.")
        return columns.meter_attributes[what][self.rows]

    def _devices(
        self, what: str, places: NDArray[np.int32], *, is_subtree: bool = False
    ) -> NDArray[np.int32]:
        """Row of the device that feeds each place, or of the nearest of a kind; -1 for none."""
        arena, kinds = self._state.arena, self._columns.device_kind
        if what not in _LABELS:
            return np.where(places < 0, np.int32(-1), arena.device_at[places])
        if is_subtree:
            return labels_below(arena, self._top, kinds, what)
        return labels_of(arena, places, kinds, what)

    def _texts(self, what: str, devices: NDArray[np.int32]) -> NDArray[np.object_]:
        column = self._columns.device_kind if what == "kind" else self._columns.device_code
        texts: NDArray[np.object_] = column[devices] if len(column) else np.full(len(devices), "", object)
        texts[devices < 0] = ""
        return texts

    def status_counts(self, statuses: NDArray[np.integer], *, kinds: int = 3) -> NDArray[np.intp]:
        """Count the meters by a status that is kept beside the network.

        Parameters
        ----------
        statuses : integer array, one per meter row
            A small number for each meter of the network's columns, from 0 on.
        kinds : int
            How many there are.

        Returns
        -------
        int array, shape (kinds,)
            How many of these meters have each status.

        Raises
        ------
        TopologyError
            There are fewer statuses than meter rows, or they are no whole numbers from 0 on.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3")
        >>> net.downstream("F1").status_counts(np.array([0, 1, 1], dtype=np.int8)).tolist()
        [1, 2, 0]
        """
        count = len(self)
        if count >= _MANY and kinds > 0 and _is_plain(statuses):
            from oms_topology.graph.traces import batch_kernels

            counts = np.zeros(kinds, dtype=np.intp)
            rows, begin = self.run
            if batch_kernels.is_compiled and batch_kernels.histogram(
                rows, begin, begin + count, statuses, counts
            ):
                return counts
        try:
            return np.bincount(statuses.take(self.rows), minlength=kinds)
        except (IndexError, TypeError, ValueError):
            raise TopologyError(
                f"Statuses are whole numbers from 0 on, one for each of {len(self._columns.meter_number)} "
                f"meter rows; {len(statuses)} of type {statuses.dtype} were given."
            ) from None

    def bounding_box(self) -> tuple[float, float, float, float] | None:
        """Give the smallest box around the meters, in degrees.

        Returns
        -------
        tuple of west, south, east, north, or None
            None where no position is known. Positions on both sides of the antimeridian give the
            box around the whole globe between them.
        """
        points = self._points()
        if not len(points):
            return None
        (west, south), (east, north) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return west, south, east, north

    def hull(self) -> NDArray[np.float64]:
        """Give the convex hull of the meters' positions.

        Returns
        -------
        float array, shape (n, 2)
            Longitude and latitude in degrees of the corners, counterclockwise, the first not repeated;
            fewer than three where the positions are few or in one line.
        """
        return convex_hull(self._points())

    def _points(self) -> NDArray[np.float64]:
        rows = self.rows
        points = np.stack((self._columns.meter_longitude[rows], self._columns.meter_latitude[rows]), axis=1)
        return points[np.isfinite(points).all(axis=1)]

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
        columns, rows = self._columns, self.rows
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


def _is_plain(statuses: NDArray[Any]) -> bool:
    return statuses.ndim == 1 and statuses.dtype.kind in "iub" and statuses.dtype.isnative
