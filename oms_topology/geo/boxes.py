"""A tree of boxes around pieces, for those who descend it by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats
    from oms_topology.geo.pieces import Pieces

__all__ = ["LEAF", "Boxes", "boxes_around"]

LEAF: Final = 4
"""Pieces in a leaf."""


class Boxes(NamedTuple):
    """A complete binary tree: the children of node i are 2 i + 1 and 2 i + 2, leaves are its last level.

    Attributes
    ----------
    nodes : array of float
        Least x, y, z and greatest x, y, z of each node in metres, and its least and greatest group, shape
        (nodes, 8), a line of the processor's cache each; nowhere for one without pieces.
    first_leaf : int
        The node of the first leaf; leaf j holds the pieces from ``LEAF`` j on.
    """

    nodes: Floats
    first_leaf: int


def boxes_around(pieces: Pieces, group: NDArray[np.intp]) -> Boxes:
    """Put boxes around pieces in the order in which they stand.

    Parameters
    ----------
    pieces : Pieces
        Neighbours next to one another.
    group : array of int
        The group of each, ascending.

    Returns
    -------
    Boxes
        O(pieces).

    Examples
    --------
    >>> import numpy as np
    >>> from oms_topology.geo.pieces import Pieces
    >>> begin_m, along_m = np.array([[0.0, 5.0]] * 3), np.array([[1.0, -1.0]] * 3)
    >>> pieces = Pieces(begin_m, along_m, np.ones(2) / 3, np.zeros(2), np.arange(2))
    >>> boxes_around(pieces, np.zeros(2, dtype=np.intp)).nodes
    array([[0., 0., 0., 5., 5., 5., 0., 0.]])
    """
    end_m = pieces.begin_m + pieces.along_m
    count = len(pieces.line)
    leaves = 1
    while leaves * LEAF < count:
        leaves *= 2
    least = np.full((leaves * LEAF, 3), np.inf)
    greatest = np.full((leaves * LEAF, 3), -np.inf)
    least[:count] = (np.minimum(pieces.begin_m, end_m) - pieces.bulge_m).T
    greatest[:count] = (np.maximum(pieces.begin_m, end_m) + pieces.bulge_m).T
    low, high = np.full(leaves * LEAF, np.inf), np.full(leaves * LEAF, -np.inf)
    low[:count] = high[:count] = group
    least, greatest = np.column_stack([least, low]), np.column_stack([greatest, high])

    nodes = np.empty((2 * leaves - 1, 8))
    width, per = leaves, LEAF
    while width:
        least = least.reshape(width, per, 4).min(axis=1)
        greatest = greatest.reshape(width, per, 4).max(axis=1)
        level = slice(width - 1, 2 * width - 1)
        nodes[level, :3], nodes[level, 3:6] = least[:, :3], greatest[:, :3]
        nodes[level, 6], nodes[level, 7] = least[:, 3], greatest[:, 3]
        width, per = width // 2, 2
    return Boxes(nodes, leaves - 1)
