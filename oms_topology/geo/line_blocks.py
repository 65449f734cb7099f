"""The two nearest lines of each point without a compiler: for blocks of neighbouring points, by numpy.

A block asks a tree of the pieces' middles once, far enough for each of its points; the pieces found are then
measured to all of them. It gives the bits that `line_kernels` gives.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from oms_topology.geo.geodesy import Floats, geodesic_at_most_m
from oms_topology.geo.pieces import feet_m, lengths_m
from oms_topology.geo.target_tree import GROUPS_APART_M

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oms_topology.geo.line_tree import LineTree

__all__ = ["two_nearest_lines_by_blocks"]

_BLOCK: Final = 16
_CELL_M: Final = 100.0
_PAIRS: Final = 1_000_000
"""Pairs of point and piece measured at a time."""


class _Blocks(NamedTuple):
    """Points of one group, next to one another: in one cell, and not too many.

    Attributes
    ----------
    first, counts : array of int
        Where each begins and how many points it has, shapes (b,).
    centre : array of float
        Earth-centred metres and the group's number, shape (b, 4).
    radius_m : array of float
        How far its points are from the centre at most, shape (b,).
    """

    first: NDArray[np.intp]
    counts: NDArray[np.intp]
    centre: Floats
    radius_m: Floats


def two_nearest_lines_by_blocks(
    at_m: Floats, group: NDArray[np.intp], limit_m: float, tie_m: float, lines: LineTree
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Give for each point the piece it is nearest to, how far that is, and how far the second line is.

    Parameters
    ----------
    at_m : array of float
        Earth-centred metres, shape (3, n), neighbours next to one another.
    group : array of int
        Shape (n,).
    limit_m, tie_m : float
        Farther lines are none; lines that close to the nearest are equally near.
    lines : LineTree
        The pieces.

    Returns
    -------
    tuple of arrays
        Shapes (n,); -1 and infinity where there is none. Some ten microseconds for each point.
    """
    count = at_m.shape[1]
    piece, length_m, second_m = np.full(count, -1), np.full(count, np.inf), np.full(count, np.inf)
    blocks = _blocks_of(at_m, group)
    for point, near in _pairs(blocks, limit_m, tie_m, lines):
        at = at_m[:, point]
        length = lengths_m(at, feet_m(at, lines.pieces, near))[0]
        kept = np.flatnonzero(length <= limit_m)
        _reduce(point[kept], near[kept], length[kept], limit_m, tie_m, lines, (piece, length_m, second_m))
    return piece, length_m, second_m


def _blocks_of(at_m: Floats, group: NDArray[np.intp]) -> _Blocks:
    count = at_m.shape[1]
    row, cell = np.arange(count), np.floor(at_m / _CELL_M)
    begins = np.ones(count, dtype=bool)
    begins[1:] = (np.diff(group) != 0) | (np.diff(cell, axis=1) != 0).any(axis=0)
    changes = np.flatnonzero(begins)
    since = row - np.repeat(changes, np.diff(changes, append=count))
    first = np.flatnonzero(since % _BLOCK == 0)
    counts = np.diff(first, append=count)
    centre_m = np.add.reduceat(at_m, first, axis=1) / counts
    away_m = np.sqrt(((at_m - np.repeat(centre_m, counts, axis=1)) ** 2).sum(axis=0))
    centre = np.column_stack([centre_m.T, group[first] * GROUPS_APART_M])
    return _Blocks(first, counts, centre, np.maximum.reduceat(away_m, first))


def _pairs(
    blocks: _Blocks, limit_m: float, tie_m: float, lines: LineTree
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Give pairs of point and piece, all of a point in one go, the points ascending."""
    pieces = lines.pieces
    end_m = pieces.begin_m + pieces.along_m
    middle = np.column_stack([((pieces.begin_m + end_m) / 2).T, lines.group * GROUPS_APART_M])
    tree = KDTree(middle, balanced_tree=False)
    half_m = float(np.sqrt((pieces.along_m**2).sum(axis=0)).max()) / 2 + float(pieces.bulge_m.max())
    second_m = _second_at_most_m(blocks, limit_m, half_m, tree, lines)
    far_m = geodesic_at_most_m(np.minimum(second_m + blocks.radius_m, limit_m))
    reach_m = far_m + blocks.radius_m + half_m + tie_m + 1e-3
    begin = 0
    while begin < len(blocks.first):
        end = begin + 4_096
        balls = tree.query_ball_point(blocks.centre[begin:end], reach_m[begin:end], return_sorted=False)
        sizes = np.array([len(ball) for ball in balls]) * blocks.counts[begin:end]
        taken = max(1, int(np.searchsorted(sizes.cumsum(), _PAIRS, side="right")))
        yield _expanded(blocks, begin, list(balls[:taken]))
        begin += taken


def _expanded(
    blocks: _Blocks, begin: int, balls: list[list[int]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair the pieces of each block with each of its points."""
    part = slice(begin, begin + len(balls))
    sizes = np.array([len(ball) for ball in balls])
    flat = np.fromiter(chain.from_iterable(balls), dtype=np.intp, count=int(sizes.sum()))
    counts = blocks.counts[part]
    block = np.repeat(np.arange(len(balls)), counts)
    point = np.arange(len(block)) + blocks.first[begin]
    each = sizes[block]
    start = (sizes.cumsum() - sizes)[block]
    offset = np.arange(int(each.sum())) - np.repeat(each.cumsum() - each, each)
    return np.repeat(point, each), flat[np.repeat(start, each) + offset]


def _second_at_most_m(
    blocks: _Blocks, limit_m: float, half_m: float, tree: KDTree, lines: LineTree
) -> Floats:
    """Bound how far the second line is from each centre: by the middle of a piece not of the first."""
    bound_m = np.full(len(blocks.first), np.inf)
    reach_m = limit_m + float(blocks.radius_m.max()) + half_m
    open_, asked, count = np.arange(len(bound_m)), 8, len(lines.group)
    rank = np.append(lines.rank, -1)
    while len(open_):
        answer = tree.query(blocks.centre[open_], k=min(asked, count), distance_upper_bound=reach_m)
        away_m, near = (np.asarray(part).reshape(len(open_), -1) for part in answer)
        is_other = np.isfinite(away_m) & (rank[near] != rank[near[:, :1]])
        found = is_other.any(axis=1)
        bound_m[open_[found]] = away_m[found, is_other[found].argmax(axis=1)]
        open_ = open_[~found & np.isfinite(away_m[:, -1])]
        if asked >= count:
            break
        asked *= 4
    return bound_m + half_m


def _reduce(
    point: NDArray[np.intp],
    piece: NDArray[np.intp],
    length_m: Floats,
    limit_m: float,
    tie_m: float,
    lines: LineTree,
    into: tuple[NDArray[np.intp], Floats, Floats],
) -> None:
    """Take the nearest line of each point, the lowest rank of equally near ones, and the second's length."""
    if not len(point):
        return
    begins = np.flatnonzero(np.diff(point, prepend=-1))
    counts = np.diff(begins, append=len(point))

    def to_pairs(of_point: NDArray[np.float64] | NDArray[np.intp]) -> NDArray[np.float64]:
        return np.repeat(of_point, counts)

    tied_m = np.minimum(np.minimum.reduceat(length_m, begins) + tie_m, limit_m)
    rank, none = lines.rank[piece], np.iinfo(np.intp).max
    chosen = np.minimum.reduceat(np.where(length_m <= to_pairs(tied_m), rank, none), begins)
    is_chosen = rank == to_pairs(chosen)
    first_m = np.minimum.reduceat(np.where(is_chosen, length_m, np.inf), begins)
    other_m = np.minimum.reduceat(np.where(is_chosen, np.inf, length_m), begins)
    is_nearest = is_chosen & (length_m == to_pairs(first_m))
    number = np.minimum.reduceat(np.where(is_nearest, lines.number[piece], none), begins)
    asked = point[begins]
    into[0][asked] = lines.sorted_of_number[number]
    into[1][asked] = first_m
    into[2][asked] = np.maximum(first_m, other_m)
