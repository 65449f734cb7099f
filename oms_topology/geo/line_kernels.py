"""The loop that finds the two nearest lines of each point by descending a tree of boxes.

Its arithmetic is that of `pieces.feet_m` and `pieces.lengths_m`, operation by operation: both give the same
bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.geo.boxes import LEAF
from oms_topology.geo.compiling import compiled
from oms_topology.geo.pieces import PER_MAJOR_M2, PER_MINOR_M2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["two_nearest_lines"]

_DEPTH = 64


@compiled
def _length_m(x: float, y: float, z: float, table: Floats, piece: int, bound_m: float) -> float:
    """Give the geodesic to a piece, or infinity if even the chord is longer than the bound."""
    begin_x, begin_y, begin_z = table[piece, 0], table[piece, 1], table[piece, 2]
    along_x, along_y, along_z = table[piece, 3], table[piece, 4], table[piece, 5]
    share = ((x - begin_x) * along_x + (y - begin_y) * along_y + (z - begin_z) * along_z) * table[piece, 6]
    share = min(max(share, 0.0), 1.0)
    at_x, at_y, at_z = begin_x + share * along_x, begin_y + share * along_y, begin_z + share * along_z
    reach_m = bound_m + table[piece, 7]
    away_m2 = (at_x - x) * (at_x - x) + (at_y - y) * (at_y - y) + (at_z - z) * (at_z - z)
    if away_m2 > reach_m * reach_m:
        return np.inf
    up_x, up_y, up_z = at_x * PER_MAJOR_M2, at_y * PER_MAJOR_M2, at_z * PER_MINOR_M2
    inside = at_x * up_x + at_y * up_y + at_z * up_z - 1.0
    lift = inside / (2.0 * (up_x * up_x + up_y * up_y + up_z * up_z))
    return _geodesic_m(x, y, z, at_x - up_x * lift, at_y - up_y * lift, at_z - up_z * lift)


@compiled
def _geodesic_m(x: float, y: float, z: float, foot_x: float, foot_y: float, foot_z: float) -> float:
    to_x, to_y, to_z = foot_x - x, foot_y - y, foot_z - z
    chord_m2 = to_x * to_x + to_y * to_y + to_z * to_z
    if chord_m2 <= 0.0:
        return 0.0
    chord_m: float = np.sqrt(chord_m2)
    mid_x, mid_y, mid_z = (foot_x + x) * 0.5, (foot_y + y) * 0.5, (foot_z + z) * 0.5
    up_x, up_y, up_z = mid_x * PER_MAJOR_M2, mid_y * PER_MAJOR_M2, mid_z * PER_MINOR_M2
    inside = mid_x * up_x + mid_y * up_y + mid_z * up_z
    bend = (to_x * to_x + to_y * to_y) * PER_MAJOR_M2 + to_z * to_z * PER_MINOR_M2
    steep = chord_m2 * (up_x * up_x + up_y * up_y + up_z * up_z)
    turned = bend * bend * inside / steep
    return chord_m * (1.0 + turned * (1.0 / 24.0 + turned * (3.0 / 640.0)))


@compiled
def _to_box_m2(x: float, y: float, z: float, boxes: Floats, node: int) -> float:
    away_x = max(boxes[node, 0] - x, x - boxes[node, 3], 0.0)
    away_y = max(boxes[node, 1] - y, y - boxes[node, 4], 0.0)
    away_z = max(boxes[node, 2] - z, z - boxes[node, 5], 0.0)
    away_m2: float = away_x * away_x + away_y * away_y + away_z * away_z
    return away_m2


@compiled
def _enter_one(
    piece: int,
    length_m: float,
    rank: NDArray[np.intp],
    number: NDArray[np.intp],
    found: NDArray[np.intp],
    length: Floats,
) -> None:
    """Keep the lowest rank, and the nearest piece of it."""
    best = found[0]
    if best >= 0 and rank[piece] > rank[best]:
        return
    is_lower = best < 0 or rank[piece] < rank[best]
    is_nearer = length_m < length[0] or (length_m == length[0] and number[piece] < number[best])
    if is_lower or is_nearer:
        found[0], length[0] = piece, length_m


@compiled
def _enter_two(
    piece: int,
    length_m: float,
    rank: NDArray[np.intp],
    number: NDArray[np.intp],
    found: NDArray[np.intp],
    length: Floats,
) -> None:
    """Keep the nearest pieces of the two nearest lines."""
    for place in range(2):
        if found[place] >= 0 and rank[found[place]] == rank[piece]:
            is_nearer = length_m < length[place]
            if is_nearer or (length_m == length[place] and number[piece] < number[found[place]]):
                found[place], length[place] = piece, length_m
            break
    else:
        if found[0] < 0:
            found[0], length[0] = piece, length_m
        else:
            found[1], length[1] = piece, length_m
    if found[1] >= 0 and length[1] < length[0]:
        found[0], found[1] = found[1], found[0]
        length[0], length[1] = length[1], length[0]


@compiled
def _descend(
    x: float,
    y: float,
    z: float,
    group: int,
    is_tie: bool,
    length: Floats,
    found: NDArray[np.intp],
    stack: NDArray[np.intp],
    stack_m2: Floats,
    table: Floats,
    rank: NDArray[np.intp],
    of_group: NDArray[np.intp],
    number: NDArray[np.intp],
    boxes: Floats,
    first_leaf: int,
) -> None:
    """Look at all pieces up to ``length[1]`` away, which shrinks as nearer ones are found."""
    depth, stack[0], stack_m2[0] = 1, 0, _to_box_m2(x, y, z, boxes, 0)
    while depth:
        depth -= 1
        node = stack[depth]
        if stack_m2[depth] > length[1] * length[1]:
            continue
        if node >= first_leaf:
            begin = (node - first_leaf) * LEAF
            for piece in range(begin, min(begin + LEAF, len(rank))):
                length_m = _length_m(x, y, z, table, piece, length[1])
                if length_m <= length[1] and of_group[piece] == group:
                    if is_tie:
                        _enter_one(piece, length_m, rank, number, found, length)
                    else:
                        _enter_two(piece, length_m, rank, number, found, length)
            continue
        near, far = 2 * node + 1, 2 * node + 2
        near_m2, far_m2 = _to_box_m2(x, y, z, boxes, near), _to_box_m2(x, y, z, boxes, far)
        if far_m2 < near_m2:
            near, far, near_m2, far_m2 = far, near, far_m2, near_m2
        if boxes[far, 6] <= group <= boxes[far, 7]:
            stack[depth], stack_m2[depth], depth = far, far_m2, depth + 1
        if boxes[near, 6] <= group <= boxes[near, 7]:
            stack[depth], stack_m2[depth], depth = near, near_m2, depth + 1


@compiled
def two_nearest_lines(
    at_m: Floats,
    group: NDArray[np.intp],
    limit_m: float,
    tie_m: float,
    table: Floats,
    rank: NDArray[np.intp],
    of_group: NDArray[np.intp],
    number: NDArray[np.intp],
    boxes: Floats,
    first_leaf: int,
    piece: NDArray[np.intp],
    length_m: Floats,
    second_m: Floats,
) -> None:
    """Fill in for each point the piece that it is nearest to, how far that is, and how far the second line.

    Lines within ``tie_m`` of the nearest are equally near: that of the lowest rank is taken. Equally near
    pieces of one line go by ``number``. -1 and infinity where there is none. ``table`` holds for each piece
    where it begins, the way to its end, 1 / length² and its bulge.
    """
    found, before = np.full(2, -1, np.intp), np.empty(2, np.intp)
    length = np.empty(2)
    stack, stack_m2 = np.empty(_DEPTH, np.intp), np.empty(_DEPTH)
    for row in range(at_m.shape[1]):
        x, y, z = at_m[0, row], at_m[1, row], at_m[2, row]
        before[0], before[1] = found[0], found[1]
        found[0], found[1], length[0], length[1] = -1, -1, np.inf, limit_m
        for place in range(2):  # what the neighbour found is a tight bound to begin with
            near = before[place]
            if near >= 0 and of_group[near] == group[row]:
                near_m = _length_m(x, y, z, table, near, length[1])
                if near_m <= length[1]:
                    _enter_two(near, near_m, rank, number, found, length)
        _descend(
            x, y, z, group[row], False, length, found, stack, stack_m2,
            table, rank, of_group, number, boxes, first_leaf,
        )  # fmt: skip
        piece[row], length_m[row] = found[0], length[0]
        second_m[row] = length[1] if found[1] >= 0 else np.inf
        if found[1] >= 0 and length[1] <= length[0] + tie_m:
            nearest, first_m, other_m, second = found[0], length[0], length[1], found[1]
            found[0], length[0], length[1] = -1, np.inf, min(first_m + tie_m, limit_m)
            _descend(
                x, y, z, group[row], True, length, found, stack, stack_m2,
                table, rank, of_group, number, boxes, first_leaf,
            )  # fmt: skip
            piece[row], length_m[row] = found[0], length[0]
            other_m = other_m if rank[found[0]] == rank[nearest] else first_m
            second_m[row] = max(other_m, length[0])
            found[0], found[1] = nearest, second
