"""Lines that are far away, measured with pyproj, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.geo.geodesy import SEMI_MAJOR_M, WGS84, Floats, geodesic_at_most_m, geodesic_m
from oms_topology.geo.pieces import NEAR_M, feet_m, lengths_m, to_degrees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.line_tree import LineTree
    from oms_topology.geo.places import Places

__all__ = ["measure_far"]

_ROUNDS = 6


def measure_far(
    asked: Places,
    at_m: Floats,
    group: NDArray[np.intp],
    max_distance_m: float,
    tie_m: float,
    lines: LineTree,
    found: tuple[NDArray[np.intp], Floats, Floats],
) -> None:
    """Measure anew what was found for points whose nearest or second nearest line is beyond ``NEAR_M``.

    Parameters
    ----------
    asked : Places
        The points, in degrees.
    at_m : array of float
        The same in earth-centred metres, shape (3, n).
    group : array of int
        Shape (n,).
    max_distance_m, tie_m : float
        The limit, and how close lines are equally near.
    lines : LineTree
        All pieces.
    found : tuple of arrays
        Piece, length and second length of each point, corrected in place; -1 and infinity for none.
    """
    piece, length_m, second_m = found
    farthest_m = np.where(np.isfinite(second_m), second_m, length_m)
    for row in np.flatnonzero((piece >= 0) & (farthest_m > NEAR_M)):
        there = np.flatnonzero(lines.group == group[row])
        position = float(asked.longitude_deg[row]), float(asked.latitude_deg[row])
        near, lengths = _measured(position, at_m[:, row], there, max_distance_m, lines)
        piece[row], length_m[row], second_m[row] = _chosen(near, lengths, tie_m, lines)


def _measured(
    position: tuple[float, float],
    at_m: Floats,
    there: NDArray[np.intp],
    max_distance_m: float,
    lines: LineTree,
) -> tuple[NDArray[np.intp], Floats]:
    """Give the pieces that may hold the two nearest lines, and how far they are."""
    here = np.repeat(at_m[:, None], len(there), axis=1)
    near_m, chord_m = lengths_m(here, feet_m(here, lines.pieces, there))
    order = np.argsort(chord_m, kind="stable")
    rank = lines.rank[there[order]]
    others = np.flatnonzero(rank != rank[0])
    reach_m = chord_m[order[others[0]]] if len(others) else chord_m.min()
    bound_m = float(geodesic_at_most_m(np.array([min(reach_m, max_distance_m)]))[0])
    kept = np.flatnonzero(chord_m <= min(bound_m, max_distance_m) + 1e-3)
    length = near_m[kept]
    is_far = chord_m[kept] > NEAR_M
    length[is_far] = _shortest_m(position, lines, there[kept[is_far]])
    within = length <= max_distance_m
    return there[kept[within]], length[within]


def _shortest_m(position: tuple[float, float], lines: LineTree, piece: NDArray[np.intp]) -> Floats:
    """Walk along each piece to where the geodesic to the position stands at right angles, or to an end."""
    begin = to_degrees(lines.pieces.begin_m[:, piece])
    end = to_degrees(lines.pieces.begin_m[:, piece] + lines.pieces.along_m[:, piece])
    azimuth_deg, _, whole_m = WGS84.inv(*begin, *end)
    target = np.full(len(piece), position[0]), np.full(len(piece), position[1])
    along_m, shortest_m = whole_m / 2, np.minimum(geodesic_m(*begin, *target), geodesic_m(*end, *target))
    for _ in range(_ROUNDS):
        longitude, latitude, back_deg = WGS84.fwd(*begin, azimuth_deg, along_m)
        to_deg, _, length_m = WGS84.inv(longitude, latitude, target[0], target[1])
        shortest_m = np.minimum(shortest_m, length_m)
        turn = np.radians(to_deg - back_deg - 180)
        angle = np.minimum(length_m / SEMI_MAJOR_M, np.pi / 2 - 1e-3)
        bend = np.sin(turn) ** 2 / (np.tan(angle) * SEMI_MAJOR_M)
        along_m = np.clip(along_m + np.cos(turn) / np.maximum(bend, 1e-12), 0, whole_m)
    return np.asarray(shortest_m, dtype=np.float64)


def _chosen(
    piece: NDArray[np.intp], length_m: Floats, tie_m: float, lines: LineTree
) -> tuple[int, float, float]:
    """Choose the lowest rank of the equally near lines, its nearest piece, and the second's length."""
    if not len(piece):
        return -1, np.inf, np.inf
    rank = lines.rank[piece]
    chosen = rank[length_m <= length_m.min() + tie_m].min()
    mine = np.flatnonzero(rank == chosen)
    best = mine[np.lexsort((lines.number[piece[mine]], length_m[mine]))[0]]
    others = length_m[rank != chosen]
    second_m = max(float(others.min()), float(length_m[best])) if len(others) else np.inf
    return int(piece[best]), float(length_m[best]), second_m
