"""The loop that finds the two nearest places of each position in a grid.

Chords are added up as scipy's tree adds them: both give the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.geo.compiling import compiled
from oms_topology.geo.target_grid import AXES, EDGE_M, Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

    Found = tuple[int, float, float]
    """Row of the nearest place, and the squares of the chords to it and to the second nearest."""

__all__ = ["two_nearest_places"]


@compiled
def _nearer(asked: Floats, table: Floats, begin: int, end: int, found: Found) -> Found:
    """Look at some places too, where there are groups at those of the same one."""
    nearest, first, second = found
    x, y, z, has_groups = asked[0], asked[1], asked[2], len(asked) > AXES
    for at in range(begin, end):
        if has_groups and asked[AXES] != table[at, AXES]:
            continue
        to_x, to_y, to_z = x - table[at, 0], y - table[at, 1], z - table[at, 2]
        square = to_x * to_x + to_y * to_y + to_z * to_z
        if square < first:
            nearest, first, second = at, square, first
        elif square < second:
            second = square
    return nearest, first, second


@compiled
def _beyond_m(along_m: float, at: int, ring: int, cell_m: float, cells: int) -> float:
    """Tell how near, along one axis, a place outside of the ring around a cell can be."""
    near_m = np.inf
    if at - ring > 0:
        near_m = along_m - (at - ring) * cell_m
    if at + ring + 1 < cells:
        near_m = min(near_m, (at + ring + 1) * cell_m - along_m)
    return near_m - EDGE_M


@compiled
def two_nearest_places(
    at_m: Floats, grid: Cells, chord_m: float, place: NDArray[np.intp], chords_m: Floats
) -> None:
    """Find for each position the nearest place, and the chords to it and to the second nearest.

    Parameters
    ----------
    at_m : array of float
        Earth-centred metres, shape (n, 3), or (n, 4) with groups.
    grid : Cells
        Where the places stand.
    chord_m : float
        Only places nearer than this count.
    place : array of int
        Written here, shape (n,): the row in the grid's table, -1 for none.
    chords_m : array of float
        Written here, shape (2, n): infinity for none.
    """
    table, first, cell_m = grid.table, grid.first, grid.cell_m
    wide, high = grid.cells
    limit = chord_m * chord_m
    for row in range(len(at_m)):
        asked = at_m[row]
        along_m, up_m = asked[grid.axes[0]] - grid.least_m[0], asked[grid.axes[1]] - grid.least_m[1]
        column = min(max(int(along_m / cell_m), 0), wide - 1)
        line = min(max(int(up_m / cell_m), 0), high - 1)
        found, ring, beyond_m = (-1, limit, limit), 0, 0.0
        while beyond_m <= 0.0 or beyond_m * beyond_m < found[2]:
            ring += 1
            left, right = max(column - ring, 0), min(column + ring, wide - 1)
            for other in range(max(line - ring, 0), min(line + ring, high - 1) + 1):
                start = other * wide
                if ring == 1 or abs(other - line) == ring:  # of the first ring the midst, too
                    found = _nearer(asked, table, first[start + left], first[start + right + 1], found)
                    continue
                if column - ring >= 0:
                    found = _nearer(asked, table, first[start + left], first[start + left + 1], found)
                if column + ring < wide:
                    found = _nearer(asked, table, first[start + right], first[start + right + 1], found)
            beyond_m = min(
                _beyond_m(along_m, column, ring, cell_m, wide), _beyond_m(up_m, line, ring, cell_m, high)
            )
        place[row] = found[0]
        chords_m[0, row] = np.sqrt(found[1]) if found[1] < limit else np.inf
        chords_m[1, row] = np.sqrt(found[2]) if found[2] < limit else np.inf
