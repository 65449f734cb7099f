"""From the codes that people use to rows, and back: compact for meters, one dictionary for devices."""

from __future__ import annotations

import difflib
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import AmbiguousDeviceError, UnknownDeviceError
from oms_topology.graph.grouping import grouped
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["CodeTable", "Names", "Place"]

Place = tuple[DeviceKind, int]
"""A kind, and a row among the devices, the branches (for a switch) or the meters."""

_NEAR_POOL = 20_000


class CodeTable:
    """A hash index over a column of distinct codes: 8 bytes a code beside the column itself.

    Codes can be appended but never leave; a copy made by :meth:`fork` appends on its own.

    Parameters
    ----------
    codes : object array of str
        The codes. Of equal codes the first is found.
    rivals : iterable of str
        Codes of other things; those that stand here too are kept in ``shared_codes``.

    Attributes
    ----------
    duplicate_rows : int32 array
        Rows whose code an earlier row has, ascending.
    shared_codes : list of str
        The rivals that have a row here.

    Examples
    --------
    >>> table = CodeTable(np.array(["M1", "M2"], dtype=object))
    >>> table.row("M2"), table.row("M3")
    (1, -1)
    """

    __slots__ = ("_added", "_codes", "_mask", "_rows", "_starts", "duplicate_rows", "shared_codes")

    def __init__(self, codes: NDArray[np.object_], rivals: Iterable[str] = ()) -> None:
        hashes = _hashes(codes)
        self._codes = codes
        self._mask = (1 << max(len(codes) - 1, 1).bit_length()) - 1
        starts, rows = grouped((hashes & self._mask).astype(np.int32), self._mask + 1)
        self._starts, self._rows = starts.data, rows.data
        self._added: dict[str, int] = {}
        by_bucket = hashes[rows]
        self.duplicate_rows = _duplicates(codes, by_bucket, starts, rows)
        self.shared_codes = self._shared_with(list(rivals), by_bucket)

    def row(self, code: str) -> int:
        """Give the row of a code, -1 when there is none; about 0.5 us."""
        bucket = hash(code) & self._mask
        for place in range(self._starts[bucket], self._starts[bucket + 1]):
            row = self._rows[place]
            if self._codes[row] == code:
                return row
        return self._added.get(code, -1)

    def _shared_with(self, codes: list[str], by_bucket: NDArray[np.int64]) -> list[str]:
        """Compare hashes first, all at once: strings are touched only where these are equal."""
        hashes = np.fromiter(map(hash, codes), dtype=np.int64, count=len(codes))
        buckets, starts = (hashes & self._mask).astype(np.intp), np.asarray(self._starts)
        place, ends = starts[buckets], starts[buckets + 1]
        alike: list[int] = []
        left = np.flatnonzero(place < ends)
        while len(left):
            alike.extend(left[by_bucket[place[left]] == hashes[left]].tolist())
            place[left] += 1
            left = left[place[left] < ends[left]]
        return [codes[at] for at in sorted(set(alike)) if self.row(codes[at]) >= 0]

    def append(self, code: str, row: int) -> None:
        """Add a code that the table does not have."""
        self._added[code] = row

    def fork(self) -> CodeTable:
        """Make a table that knows the same codes and appends on its own."""
        other = object.__new__(CodeTable)
        for slot in self.__slots__:
            setattr(other, slot, getattr(self, slot))
        other._added = dict(self._added)
        return other

    def __iter__(self) -> Iterator[str]:
        yield from self._codes
        yield from self._added

    @property
    def nbytes(self) -> int:
        """Bytes of the index itself, without the codes."""
        return self._starts.nbytes + self._rows.nbytes


def _hashes(codes: NDArray[np.object_]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, codes.tolist()), dtype=np.int64, count=len(codes))


def _duplicates(
    codes: NDArray[np.object_],
    by_bucket: NDArray[np.int64],
    starts: NDArray[np.int32],
    rows: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Rows whose code an earlier row has: equal hashes can only stand in one bucket."""
    found: set[int] = set()
    longest = int(np.diff(starts).max(initial=0))
    for step in range(1, longest):
        for place in np.flatnonzero(by_bucket[step:] == by_bucket[:-step]):
            early, late = rows[place], rows[place + step]
            if codes[early] == codes[late]:
                found.add(int(late))
    return np.array(sorted(found), dtype=np.int32)


class Names:
    """Every code of a network: who has it, and whether it says enough without its kind.

    Parameters
    ----------
    columns : NetworkColumns
        A cleaned network; device codes are distinct within a kind.

    Attributes
    ----------
    devices : dict of str to int
        Row of each device whose code nothing else has: all that the hot path looks at.
    meters : CodeTable
        Rows of the meters.
    switch_rows : dict of str to list of int
        Branch rows that each switch code opens and closes.
    shared : dict of str to list of Place
        The codes that several kinds have.
    """

    __slots__ = ("devices", "meters", "shared", "switch_rows")

    def __init__(self, columns: NetworkColumns, meters: CodeTable) -> None:
        self.meters = meters
        self.switch_rows = _switch_rows(columns)
        codes = columns.device_code.tolist()
        self.devices: dict[str, int] = dict(zip(codes, range(len(codes)), strict=True))
        self.shared: dict[str, list[Place]] = {}
        self._set_shared_apart(columns, codes)

    def _set_shared_apart(self, columns: NetworkColumns, codes: list[str]) -> None:
        shared = set(self.meters.shared_codes)
        shared.update(self.devices.keys() & self.switch_rows.keys())
        if len(self.devices) < len(codes):
            seen: set[str] = set()
            shared.update(code for code in codes if code in seen or seen.add(code))  # type: ignore[func-returns-value]
        if not shared:
            return
        for row, code in enumerate(codes):
            if code in shared:
                self.shared.setdefault(code, []).append((DeviceKind(columns.device_kind[row]), row))
                self.devices.pop(code, None)
        for code in shared:
            places = self.shared.setdefault(code, [])
            if code in self.switch_rows:
                places.append((DeviceKind.SWITCH, self.switch_rows[code][0]))
            if (meter := self.meters.row(code)) >= 0:
                places.append((DeviceKind.METER, meter))

    def fork(self) -> Names:
        """Make names that know the same codes and take new meters on their own."""
        other = object.__new__(Names)
        other.meters = self.meters.fork()
        other.devices, other.shared = dict(self.devices), dict(self.shared)
        other.switch_rows = self.switch_rows
        return other

    def append_meter(self, columns: NetworkColumns, number: str, row: int) -> None:
        """Add a meter, which may make a device's or a switch's bare code ambiguous."""
        places = self.shared.get(number) or self._bare_places(columns, number)
        if places:
            self.shared[number] = [*places, (DeviceKind.METER, row)]
            self.devices.pop(number, None)
        self.meters.append(number, row)

    def _bare_places(self, columns: NetworkColumns, code: str) -> list[Place]:
        row = self.devices.get(code, -1)
        if row >= 0:
            return [(DeviceKind(columns.device_kind[row]), row)]
        if code in self.switch_rows:
            return [(DeviceKind.SWITCH, self.switch_rows[code][0])]
        meter = self.meters.row(code)
        return [(DeviceKind.METER, meter)] if meter >= 0 else []

    def locate(self, columns: NetworkColumns, code: object, kind: str | None = None) -> Place:
        """Find what a code names.

        Parameters
        ----------
        columns : NetworkColumns
            The network as it stands, for the kinds of its devices and for meters taken away.
        code : object
            The code; anything but a ``str`` is read as its text.
        kind : str, optional
            Look only among devices of this :class:`~oms_topology.model.DeviceKind`.

        Returns
        -------
        Place
            Kind and row.

        Raises
        ------
        UnknownDeviceError
            Nothing has the code; carries codes that look alike.
        AmbiguousDeviceError
            Several kinds have it and none was named.
        """
        text = code if isinstance(code, str) else str(code)
        places = self.shared.get(text) or self._bare_places(columns, text)
        wanted = None if kind is None else _kind(kind)
        places = [
            (found, row)
            for found, row in places
            if wanted in (None, found) and not (found is DeviceKind.METER and _is_gone(columns, row))
        ]
        if not places:
            raise UnknownDeviceError(text, kind=wanted, near=self._near(text))
        if len(places) > 1:
            raise AmbiguousDeviceError(text, [found.value for found, _ in places])
        return places[0]

    def _near(self, code: str) -> list[str]:
        """Codes that look alike; of a large registry only those that begin alike are compared."""
        pool = [*islice(self.devices, _NEAR_POOL), *islice(self.switch_rows, _NEAR_POOL), *self.shared]
        pool.extend(islice((number for number in self.meters if number[:2] == code[:2]), _NEAR_POOL))
        return difflib.get_close_matches(code, pool, n=3)


def _kind(kind: str) -> DeviceKind:
    try:
        return DeviceKind(kind)
    except ValueError:
        raise UnknownDeviceError(
            kind, kind="kind of device", near=[each.value for each in DeviceKind]
        ) from None


def _is_gone(columns: NetworkColumns, row: int) -> bool:
    return bool(columns.meter_device[row] < -1)


def _switch_rows(columns: NetworkColumns) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(columns.branch_is_switch).tolist():
        rows.setdefault(columns.branch_code[row], []).append(row)
    return rows
