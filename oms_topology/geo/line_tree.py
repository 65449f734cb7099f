"""The pieces of lines in the order in which they are searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.geo.pieces import pieces_of, to_degrees
from oms_topology.geo.places import along_the_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.reading import Lines

__all__ = ["LineTree"]


class LineTree:
    """Pieces of lines, by group and along a space-filling curve.

    Parameters
    ----------
    lines : Lines
        As read.
    rank : array of int or None
        The place of each row in the order of ids, shape (m,); rows if not given.
    group : array of int or None
        The group of each row, shape (m,); -1 for one that nobody reaches.

    Attributes
    ----------
    pieces : Pieces
        In the order of the search.
    rank, group : array of int
        The rank and the group of the line of each piece, shape (p,); groups are 0 if not given.
    number : array of int
        The number that each piece has along the lines as given, shape (p,).
    sorted_of_number : array of int
        Where in the order of the search the piece of each number is, shape (p,).
    """

    def __init__(self, lines: Lines, rank: NDArray[np.intp] | None, group: NDArray[np.intp] | None) -> None:
        pieces = pieces_of(lines)
        of_piece = np.zeros(len(pieces.line), dtype=np.intp) if group is None else group[pieces.line]
        order = along_the_curve(*to_degrees(pieces.begin_m))[0]
        if group is not None:
            order = order[np.argsort(of_piece[order], kind="stable")]
            order = order[of_piece[order] >= 0]
        self.pieces = pieces.taken(order)
        self.group: NDArray[np.intp] = of_piece[order]
        self.rank: NDArray[np.intp] = self.pieces.line if rank is None else rank[self.pieces.line]
        self.number: NDArray[np.intp] = order
        self.sorted_of_number = np.full(len(pieces.line), -1)
        self.sorted_of_number[order] = np.arange(len(order))
