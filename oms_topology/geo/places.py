"""Rows that stand at the same place asked once, and neighbours asked one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["Places", "along_the_curve", "places_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Positions along a space-filling curve, all of them different.

    Attributes
    ----------
    longitude_deg, latitude_deg : array of float
        The places, shape (p,).
    rows : array of int
        The rows that they were made of in the order of the curve, shape (n,).
    first : array of int
        Where in ``rows`` each place begins, shape (p,).
    group : array of int or None
        The group of each place, shape (p,); rows of several groups at one position are several places.
    """

    longitude_deg: Floats
    latitude_deg: Floats
    rows: NDArray[np.intp]
    first: NDArray[np.intp]
    group: NDArray[np.intp] | None = None

    @property
    def row_counts(self) -> NDArray[np.intp]:
        """How many rows stand at each place."""
        return np.diff(self.first, append=len(self.rows))

    def part(self, places: slice) -> Places:
        """Look at some places, which are then no longer known by the rows they were made of."""
        group = None if self.group is None else self.group[places]
        longitude, latitude = self.longitude_deg[places], self.latitude_deg[places]
        count = len(longitude)
        return Places(longitude, latitude, np.arange(count), np.arange(count), group)

    def to_rows(self, of_place: NDArray[Any]) -> NDArray[Any]:
        """Give each row what its place has, along the first axis."""
        of_row = np.empty((len(self.rows), *of_place.shape[1:]), dtype=of_place.dtype)
        of_row[self.rows] = np.repeat(of_place, self.row_counts, axis=0)
        return of_row


def places_of(longitude_deg: Floats, latitude_deg: Floats, group: NDArray[np.intp] | None = None) -> Places:
    """Sort positions along the curve, and take neighbours that are equal together.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Usable positions in degrees, shape (n,).
    group : array of int, optional
        Shape (n,); rows of different groups are not taken together.

    Returns
    -------
    Places
        All different. O(n log n).

    Examples
    --------
    >>> import numpy as np
    >>> places_of(np.array([36.0, 35.0, 36.0]), np.array([32.0, 31.0, 32.0])).row_counts
    array([1, 2])
    """
    rows, cell = along_the_curve(longitude_deg, latitude_deg)
    columns = [longitude_deg, latitude_deg] + ([] if group is None else [group])
    begins = _begins(columns, rows)
    if (mixed := begins[1:] & (cell[1:] == cell[:-1])).any():
        _sort_within(np.unique(cell[1:][mixed]), cell, columns, rows)
        begins = _begins(columns, rows)
    first = np.flatnonzero(begins)
    return Places(
        longitude_deg[rows[first]],
        latitude_deg[rows[first]],
        rows,
        first,
        None if group is None else group[rows[first]],
    )


def _begins(columns: list[NDArray[Any]], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell where in the order of the rows another place begins."""
    begins = np.zeros(len(rows), dtype=bool)
    begins[:1] = True
    for column in columns:
        ordered = column[rows]
        begins[1:] |= ordered[1:] != ordered[:-1]
    return begins


def _sort_within(
    cells: NDArray[np.uint64], cell: NDArray[np.uint64], columns: list[NDArray[Any]], rows: NDArray[np.intp]
) -> None:
    """Bring equal places of those cells together that hold several."""
    at = np.flatnonzero(np.isin(cell, cells))
    rows[at] = rows[at][np.lexsort((*(column[rows[at]] for column in columns), cell[at]))]


def along_the_curve(
    longitude_deg: Floats, latitude_deg: Floats
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Order rows along Morton's curve, and tell the cell of each; rows of one cell keep their order."""
    count = len(longitude_deg)
    if not count:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.uint64)
    # The row stands in the low bits of what is sorted: sorting values is several times faster than argsort.
    row_bits = max(1, (count - 1).bit_length())
    axis_bits = (64 - row_bits) // 2
    curve = _spread(longitude_deg, axis_bits) | (_spread(latitude_deg, axis_bits) << np.uint64(1))
    keys = (curve << np.uint64(row_bits)) | np.arange(count, dtype=np.uint64)
    keys.sort()
    rows = (keys & np.uint64((1 << row_bits) - 1)).astype(np.intp)
    keys >>= np.uint64(row_bits)
    return rows, keys


def _spread(angle_deg: Floats, bits: int) -> NDArray[np.uint64]:
    """Cut the range of the angles into cells, and put a zero bit before each bit of their numbers."""
    least = angle_deg.min()
    per_degree = (2.0**bits - 1) / max(float(angle_deg.max() - least), 1e-9)
    cell = ((angle_deg - least) * per_degree).astype(np.uint32)
    table = _spread_table()
    high, low = table[cell >> np.uint32(16)], table[cell & np.uint32(0xFFFF)]
    spread: NDArray[np.uint64] = (high << np.uint64(32)) | low
    return spread


@cache
def _spread_table() -> NDArray[np.uint64]:
    numbers = np.arange(2**16, dtype=np.uint64)
    spread = np.zeros_like(numbers)
    for bit in range(16):
        spread |= ((numbers >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit)
    return spread
