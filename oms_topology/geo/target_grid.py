"""Places in a grid of cells, for those who look around themselves in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["AXES", "EDGE_M", "Cells", "cells_of"]

AXES: Final = 3
"""Of space; what follows them is the group."""
EDGE_M: Final = 1e-6
"""How far a place may stand outside of its cell, at the most: more than rounding does."""
_A_CELL: Final = 1.5
"""Places in a cell, on average."""
_MOST_MET: Final = 8.0
"""Places in the cell of a place, on average; where they crowd more, a tree is quicker."""
_MOST_RINGS: Final = 16.0
_MOST_RINGS_OF_GROUPS: Final = 4.0
"""Cells that a chord may be long; of a group all those may be empty that are near."""


class Cells(NamedTuple):
    """Places in square cells, as they are seen along one of the three axes.

    What is apart by so much as it is seen is at least so far apart in space. So of the places that stand
    outside of a ring of cells none is nearer than the ring is wide, on whatever side of the earth.

    Attributes
    ----------
    table : array of float
        The places, row after row of cells, shape (p, 3), or (p, 4) with groups.
    place : array of int
        Which place each row of the table is.
    first : array of int
        Where in the table each cell begins, and where the last one ends.
    axes : array of int
        The two axes that the cells run along.
    least_m, cell_m : array of float, and float
        Where the cells begin along each, and how wide they are.
    cells : array of int
        How many there are along each.
    """

    table: Floats
    place: NDArray[np.intp]
    first: NDArray[np.intp]
    axes: NDArray[np.intp]
    least_m: Floats
    cell_m: float
    cells: NDArray[np.intp]


def cells_of(at_m: Floats, chord_m: float) -> Cells | None:
    """Put places into cells, where that serves to look for all within a chord.

    Parameters
    ----------
    at_m : array of float
        Earth-centred places in metres, shape (p, 3), or (p, 4) with groups, at least one.
    chord_m : float
        How far will be looked at the most.

    Returns
    -------
    Cells or None
        None where places crowd in few of the cells, or the chord is as long as very many of them. O(p log p).

    Examples
    --------
    >>> import numpy as np
    >>> at_m = np.random.default_rng(1).uniform(0, 1000, (500, 3))
    >>> cells_of(at_m, 100.0).cells.tolist(), cells_of(at_m, 1e6)
    ([19, 19], None)
    """
    axes = np.sort(np.argsort(np.ptp(at_m[:, :AXES], axis=0))[1:])
    seen_m = at_m[:, axes]
    least_m = seen_m.min(axis=0)
    extent_m = np.maximum(np.ptp(seen_m, axis=0), 1.0)
    cell_m = float(np.sqrt(extent_m.prod() * _A_CELL / len(at_m)))
    cells = (extent_m / cell_m).astype(np.intp) + 1
    most_rings = _MOST_RINGS if at_m.shape[1] == AXES else _MOST_RINGS_OF_GROUPS
    if chord_m > most_rings * cell_m or cells.prod() > len(at_m) + 1:
        return None
    column, line = np.minimum(((seen_m - least_m) / cell_m).astype(np.intp), cells - 1).T
    cell = line * cells[0] + column
    counts = np.bincount(cell, minlength=int(cells.prod()))
    if (counts * counts).sum() > _MOST_MET * len(at_m):
        return None
    place = np.argsort(cell, kind="stable")
    first = np.append(0, counts.cumsum())
    return Cells(at_m[place], place, first, axes, least_m, cell_m, cells)
