"""Which drawn line hangs on which target: a drawing, joined where lines meet, and cut where feeds meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import shapely
from pyproj import Transformer
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from oms_topology.geo.coordinates import position_status
from oms_topology.geo.geodesy import (
    ECCENTRICITY_SQUARED,
    Floats,
    geodesic_m,
    to_earth_centred_m,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.reading import Lines, Read

__all__ = ["lines_by_target"]

_NEXT_TO_NOTHING_M: Final = 1e-6  # a weight of zero would be no edge


class _Drawing(NamedTuple):
    """Vertices of lines, and then targets, as one list of places.

    Attributes
    ----------
    degrees : array of float
        Longitude and latitude, shape (v, 2).
    at_m : array of float
        The same, earth-centred, shape (v, 3).
    segments : array of int
        The two ends of each straight piece of a line, shape (s, 2).
    targets : array of int
        The places of targets that can be used, shape (t,).
    """

    degrees: Floats
    at_m: Floats
    segments: NDArray[np.intp]
    targets: NDArray[np.intp]


def lines_by_target(lines: Lines, targets: Read, snap_m: float) -> NDArray[np.object_]:
    """Give the lines that each target feeds.

    Parameters
    ----------
    lines : Lines
        As `read_lines` gives them.
    targets : Read
        Where the targets are.
    snap_m : float
        What is at most this many metres apart is joined: ends, vertices and targets, to each other and to the
        middle of a piece; above 0.

    Returns
    -------
    array of MultiLineString or None
        One for each target, None for one that feeds nothing drawn. Each piece belongs to the target that is
        nearest along the drawing, cut where two are equally near; what hangs on no target belongs to none,
        and what hangs on several at one place to the first of them. O(v log v).

    Examples
    --------
    >>> from shapely import LineString
    >>> from oms_topology.geo.reading import Read, read_lines
    >>> drawn = [LineString([(35.9, 31.9), (35.9, 31.902)]), LineString([(36, 32), (36, 32.1)])]
    >>> lines = read_lines(drawn, "lines")
    >>> ends = Read(np.array([35.9, 35.9]), np.array([31.9, 31.902]), np.zeros(2, dtype=bool))
    >>> [fed.bounds for fed in lines_by_target(lines, ends, 1.0)]
    [(35.9, 31.9, 35.9, 31.901), (35.9, 31.901, 35.9, 31.902)]
    """
    drawing, row = _drawing(lines, targets)
    fed = np.full(len(targets.absent), None, dtype=object)
    if not len(drawing.segments) or not len(drawing.targets):
        return fed
    away_m, source = _nearest_along(drawing, snap_m)
    pieces, owner = _cut(drawing, away_m, source)
    drawn = shapely.linestrings(pieces)
    order = np.argsort(owner, kind="stable")
    owners, first = np.unique(owner[order], return_index=True)
    last = np.append(first, len(order))[1:]
    for target, begin, end in zip(row[owners], first, last, strict=True):
        fed[target] = shapely.multilinestrings(drawn[order[begin:end]])
    return fed


def _drawing(lines: Lines, targets: Read) -> tuple[_Drawing, NDArray[np.intp]]:
    """Put vertices and targets into one list; also give the row of each target that can be used."""
    vertices = np.column_stack([lines.longitude_deg, lines.latitude_deg])
    begin = np.flatnonzero(lines.part[1:] == lines.part[:-1])
    row = np.flatnonzero(position_status(*targets) == 0)
    row = np.sort(row[np.unique(np.column_stack(targets.positions(row)), axis=0, return_index=True)[1]])
    places = targets.positions(row)
    degrees = np.concatenate([vertices, np.column_stack(places)])
    return _Drawing(
        degrees,
        to_earth_centred_m(*degrees.T),
        np.column_stack([begin, begin + 1]),
        np.arange(len(vertices), len(degrees)),
    ), row


def _nearest_along(drawing: _Drawing, snap_m: float) -> tuple[Floats, NDArray[np.intp]]:
    """Give each place the way along the drawing to the nearest target, and which one that is, -1 for none."""
    count = len(drawing.degrees)
    ends = np.concatenate([drawing.segments, *_joints(drawing, snap_m)])
    pairs = np.unique(np.sort(ends, axis=1), axis=0)
    start, end = drawing.degrees[pairs].transpose(1, 2, 0)
    length_m = np.maximum(geodesic_m(*start.copy(), *end.copy()), _NEXT_TO_NOTHING_M)
    graph = coo_array((length_m, tuple(pairs.T)), (count, count)).tocsr()
    away_m, _, source = dijkstra(
        graph, directed=False, indices=drawing.targets, min_only=True, return_predecessors=True
    )
    known = np.isfinite(away_m)
    return away_m, np.where(known, source - drawing.targets[0], -1)


def _joints(drawing: _Drawing, snap_m: float) -> list[NDArray[np.intp]]:
    """Pair places that are as good as one, and places beside a piece with both ends of it."""
    near = KDTree(drawing.at_m).query_pairs(snap_m, output_type="ndarray")
    flat, scale = _mercator(drawing.degrees)
    tree = shapely.STRtree(shapely.linestrings(flat[drawing.segments]))
    place, segment = tree.query(shapely.points(flat), predicate="dwithin", distance=snap_m * scale)
    ends = drawing.segments[segment]
    beside = (ends != place[:, None]).all(axis=1)
    place, ends = place[beside], ends[beside]
    return [near.astype(np.intp), *(np.column_stack([place, end]) for end in ends.T)]


def _mercator(degrees: Floats) -> tuple[Floats, Floats]:
    """Give Mercator's plane, in which small things keep their shape, and by how much it enlarges."""
    shifted = degrees.copy()
    shifted[:, 0] = _shortest_way(degrees[:, 0] - degrees[0, 0])  # so that no drawing is torn at its edge
    plane = Transformer.from_crs(4326, 3395, always_xy=True).transform(*shifted.T)
    sine, cosine = np.sin(np.radians(degrees[:, 1])), np.cos(np.radians(degrees[:, 1]))
    return np.column_stack(plane), np.sqrt(1 - ECCENTRICITY_SQUARED * sine * sine) / np.maximum(cosine, 1e-3)


def _shortest_way(longitude_deg: Floats) -> Floats:
    """Bring differences of longitudes between -180 and 180 degrees, and leave alone those that are there."""
    around = np.abs(longitude_deg) > 180
    return np.where(around, (longitude_deg + 180) % 360 - 180, longitude_deg)


def _cut(drawing: _Drawing, away_m: Floats, source: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    """Give the pieces that hang on a target, shape (p, 2, 2), and their targets."""
    fed = drawing.segments[(source[drawing.segments] >= 0).all(axis=1)]
    ends, whose = drawing.degrees[fed], source[fed]
    whole = whose[:, 0] == whose[:, 1]
    ends_cut, whose_cut = ends[~whole], whose[~whole]
    begin, end = ends_cut[:, 0], ends_cut[:, 1]
    length_m = np.maximum(geodesic_m(*begin.T.copy(), *end.T.copy()), _NEXT_TO_NOTHING_M)
    behind_m = np.diff(away_m[fed[~whole]], axis=1)[:, 0]
    share = np.clip((1 + behind_m / length_m) / 2, 0, 1)[:, None]
    way = end - begin
    way[:, 0] = _shortest_way(way[:, 0])
    middle = begin + share * way
    middle[:, 0] = _shortest_way(middle[:, 0])
    halves = [np.stack([begin, middle], axis=1), np.stack([middle, end], axis=1)]
    pieces = np.concatenate([ends[whole], *halves])
    return pieces, np.concatenate([whose[whole, 0], whose_cut[:, 0], whose_cut[:, 1]])
