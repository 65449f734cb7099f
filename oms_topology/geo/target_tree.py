"""The distinct places of targets, in a tree that chords are asked of."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import KDTree

from oms_topology.geo.coordinates import Positions
from oms_topology.geo.geodesy import Floats, to_earth_centred_m
from oms_topology.geo.places import Places, places_of
from oms_topology.geo.target_grid import Cells, cells_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GROUPS_APART_M", "TargetTree", "in_space"]

GROUPS_APART_M: Final = 1e8
"""Farther than any limit, and whole, so that within a group not a bit of a distance changes."""


def in_space(places: Places) -> Floats:
    """Put places into earth-centred coordinates, those of different groups out of each other's reach.

    Parameters
    ----------
    places : Places
        With groups or without.

    Returns
    -------
    array of float
        Shape (p, 3) in metres, or (p, 4) with groups.

    Examples
    --------
    >>> import numpy as np
    >>> in_space(places_of(np.array([0.0]), np.array([0.0]), np.array([2]))).tolist()
    [[6378137.0, 0.0, 0.0, 200000000.0]]
    """
    at_m = to_earth_centred_m(places.longitude_deg, places.latitude_deg)
    return at_m if places.group is None else np.column_stack([at_m, places.group * GROUPS_APART_M])


class TargetTree:
    """The distinct places of targets, in a tree.

    Parameters
    ----------
    targets : Positions
        Usable positions in degrees, shapes (m,).
    rank : array of int or None
        A permutation of 0 to m - 1; rows if not given.
    group : array of int or None
        Only points of the same group reach a target, if given.

    Attributes
    ----------
    positions : Positions
        The places, shapes (p,).
    rank : array of int
        The lowest rank at each place.
    counts : array of int
        How many targets stand at each place.
    is_shared : array of bool
        Whether several targets stand there.
    row_of_rank : array of int
        Row of each rank, shape (m,).
    """

    def __init__(
        self, targets: Positions, rank: NDArray[np.intp] | None, group: NDArray[np.intp] | None = None
    ) -> None:
        places = places_of(*targets, group)
        rows = np.arange(len(places.rows))
        self.row_of_rank = rows if rank is None else np.argsort(rank)
        self._ranked = places.rows if rank is None else rank[places.rows]
        self._first = places.first
        self.rank: NDArray[np.intp] = np.minimum.reduceat(self._ranked, places.first) if len(rows) else rows
        self.counts = places.row_counts
        self.is_shared: NDArray[np.bool_] = self.counts > 1
        self.positions = Positions(places.longitude_deg, places.latitude_deg)
        self._at_m = in_space(places)
        self._cells: tuple[float, Cells | None] | None = None

    @cached_property
    def _tree(self) -> KDTree:
        # A tree split at medians answers no sooner than one split in the middle.
        return KDTree(self._at_m, leafsize=16, balanced_tree=False)

    def cells(self, chord_m: float) -> Cells | None:
        """Give the places in cells, for `two_nearest` within a chord.

        Parameters
        ----------
        chord_m : float
            How far will be looked at the most.

        Returns
        -------
        Cells or None
            None where the tree is quicker, or there is no compiler. It takes the compiler
            half a second to load.
        """
        if self._cells is None or self._cells[0] != chord_m:
            from oms_topology.geo.compiling import is_compiled

            usable = is_compiled and len(self._at_m)
            self._cells = chord_m, cells_of(self._at_m, chord_m) if usable else None
        return self._cells[1]

    def two_nearest(
        self, at_m: Floats, chord_m: float, cells: Cells | None
    ) -> tuple[NDArray[np.intp], Floats, Floats]:
        """Give the nearest place by chord, its chord, and that of the second nearest, shapes (n,).

        Parameters
        ----------
        at_m : array of float
            From where, as `in_space` gives it.
        chord_m : float
            Only places nearer than this count.
        cells : Cells or None
            Where to look; in the tree if None. Chords have the same bits either way.

        Returns
        -------
        tuple of arrays
            Where there is none, any place and infinity.
        """
        if cells is None:
            places, chords_m = self.nearest(at_m, 2, chord_m)
            return places[:, 0], *np.ascontiguousarray(chords_m.T)
        from oms_topology.geo.grid_kernels import two_nearest_places

        row, found_m = np.empty(len(at_m), dtype=np.intp), np.empty((2, len(at_m)))
        two_nearest_places(at_m, cells, chord_m, row, found_m)
        return cells.place[row], found_m[0], found_m[1]

    def nearest(self, at_m: Floats, count: int, chord_m: float) -> tuple[NDArray[np.intp], Floats]:
        """Give the nearest places by chord and their chords, shapes (n, count).

        Parameters
        ----------
        at_m : array of float
            From where, as `in_space` gives it.
        count : int
            How many, at least two.
        chord_m : float
            How far at most.

        Returns
        -------
        tuple of arrays
            Places, nearest first, and chords in metres. Where there is none, the number of places and
            infinity.
        """
        chords_m, places = self._tree.query(at_m, k=count, distance_upper_bound=chord_m)
        return np.asarray(places), np.asarray(chords_m)

    def within(self, at_m: Floats, chord_m: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give all places within each row's chord, as pairs of row and place."""
        balls = self._tree.query_ball_point(at_m, chord_m, return_sorted=False)
        rows = np.repeat(np.arange(len(at_m)), [len(ball) for ball in balls])
        return rows, np.fromiter(chain.from_iterable(balls), dtype=np.intp, count=len(rows))

    def row(self, place: NDArray[np.intp]) -> NDArray[np.intp]:
        """Give the target of the lowest rank at each place."""
        return self.row_of_rank[self.rank[place]]

    def ranks_by_place(self) -> NDArray[np.intp]:
        """Give the ranks of all targets, place after place (`first_of_place`), lowest first."""
        place = np.repeat(np.arange(len(self.counts)), self.counts)
        return self._ranked[np.lexsort((self._ranked, place))]

    @property
    def first_of_place(self) -> NDArray[np.intp]:
        """Where in `ranks_by_place` each place begins, shape (p,)."""
        return self._first
