"""Rows that stand at the same place asked once, and neighbours asked one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["Places", "places_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Positions along a space-filling curve, nearly all of them different.

    Attributes
    ----------
    longitude_deg, latitude_deg : array of float
        The places, shape (p,).
    rows : array of int
        The rows that they were made of in the order of the curve, shape (n,).
    first : array of int
        Where in ``rows`` each place begins, shape (p,).
    """

    longitude_deg: Floats
    latitude_deg: Floats
    rows: NDArray[np.intp]
    first: NDArray[np.intp]

    @property
    def row_counts(self) -> NDArray[np.intp]:
        """How many rows stand at each place."""
        return np.diff(self.first, append=len(self.rows))

    def to_rows(self, of_place: NDArray[Any]) -> NDArray[Any]:
        """Give each row what its place has."""
        of_row = np.empty(len(self.rows), dtype=of_place.dtype)
        of_row[self.rows] = np.repeat(of_place, self.row_counts)
        return of_row


def places_of(longitude_deg: Floats, latitude_deg: Floats) -> Places:
    """Sort positions along the curve, and take neighbours that are equal together.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Usable positions in degrees, shape (n,).

    Returns
    -------
    Places
        Equal positions may remain apart where another one lies in the same cell of the curve: decimetres in a
        country of a million rows. O(n log n).

    Examples
    --------
    >>> import numpy as np
    >>> places_of(np.array([36.0, 35.0, 36.0]), np.array([32.0, 31.0, 32.0])).row_counts
    array([1, 2])
    """
    rows = _along_the_curve(longitude_deg, latitude_deg)
    longitude, latitude = longitude_deg[rows], latitude_deg[rows]
    begins = np.ones(len(rows), dtype=bool)
    np.not_equal(longitude[1:], longitude[:-1], out=begins[1:])
    begins[1:] |= latitude[1:] != latitude[:-1]
    first = np.flatnonzero(begins)
    return Places(longitude[first], latitude[first], rows, first)


def _along_the_curve(longitude_deg: Floats, latitude_deg: Floats) -> NDArray[np.intp]:
    """Order rows along Morton's curve; rows of one cell keep their order."""
    count = len(longitude_deg)
    if not count:
        return np.empty(0, dtype=np.intp)
    # The row stands in the low bits of what is sorted: sorting values is several times faster than argsort.
    row_bits = max(1, (count - 1).bit_length())
    axis_bits = (64 - row_bits) // 2
    curve = _spread(longitude_deg, axis_bits) | (_spread(latitude_deg, axis_bits) << np.uint64(1))
    keys = (curve << np.uint64(row_bits)) | np.arange(count, dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64((1 << row_bits) - 1)).astype(np.intp)


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
