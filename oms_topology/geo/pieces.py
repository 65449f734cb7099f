"""Lines cut into short pieces, and how far a position is from one.

A line runs along the geodesic from vertex to vertex. A piece of it is at most ``LONGEST_PIECE_M`` long, so
that the straight chord between its ends, lifted onto the ellipsoid, is its geodesic within 10 nanometres. The
foot of a perpendicular on the chord, lifted likewise, is the nearest position of the piece: what that leaves
out moves it along the piece, where distances do not change. From the foot to the position, the geodesic
follows from its chord and from how much the ellipsoid bends in that direction in the middle between them:
within 0.1 micrometres up to ``NEAR_M``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from oms_topology.geo.geodesy import (
    ECCENTRICITY_SQUARED,
    SEMI_MAJOR_M,
    SEMI_MINOR_M,
    SMALLEST_RADIUS_M,
    WGS84,
    Floats,
    to_earth_centred_m,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.reading import Lines

__all__ = [
    "LONGEST_PIECE_M",
    "NEAR_M",
    "PER_MAJOR_M2",
    "PER_MINOR_M2",
    "Pieces",
    "feet_m",
    "lengths_m",
    "pieces_of",
    "to_degrees",
]

LONGEST_PIECE_M: Final = 1_000.0
NEAR_M: Final = 50_000.0
"""Up to here a length is as good as pyproj's; beyond, it is near enough to find what has to be measured."""

PER_MAJOR_M2: Final = 1 / SEMI_MAJOR_M**2
PER_MINOR_M2: Final = 1 / SEMI_MINOR_M**2


class Pieces(NamedTuple):
    """Pieces of lines in earth-centred metres.

    Attributes
    ----------
    begin_m, along_m : array of float
        Where each begins, and the way to its end; shapes (3, p).
    per_length_m2 : array of float
        1 / length², 0 for a piece without length; shape (p,).
    bulge_m : array of float
        No less than what the geodesic is away from the chord, shape (p,).
    line : array of int
        The line of each, shape (p,).
    """

    begin_m: Floats
    along_m: Floats
    per_length_m2: Floats
    bulge_m: Floats
    line: NDArray[np.intp]

    def taken(self, order: NDArray[np.intp]) -> Pieces:
        """Take some pieces, or all in another order."""
        begin_m = np.ascontiguousarray(self.begin_m[:, order])
        along_m = np.ascontiguousarray(self.along_m[:, order])
        return Pieces(begin_m, along_m, self.per_length_m2[order], self.bulge_m[order], self.line[order])


def pieces_of(lines: Lines) -> Pieces:
    """Cut lines into pieces.

    Parameters
    ----------
    lines : Lines
        Usable vertices; one alone in its part stands for itself.

    Returns
    -------
    Pieces
        In the order of the vertices. O(vertices + length / 1 km).

    Examples
    --------
    >>> from shapely import LineString
    >>> from oms_topology.geo.reading import read_lines
    >>> pieces = pieces_of(read_lines([LineString([(35.9, 31.9), (35.9, 31.95)])], "targets"))
    >>> len(pieces.line), (pieces.per_length_m2 ** -0.5).round(1).tolist()
    (6, [924.0, 924.0, 924.0, 924.0, 924.0, 924.0])
    """
    longitude_deg, latitude_deg, part, line = lines.longitude_deg, lines.latitude_deg, lines.part, lines.line
    joined = part[1:] == part[:-1]
    alone = np.flatnonzero((~np.append(joined, [False]) & ~np.append([False], joined))[: len(part)])
    begin = np.concatenate([np.flatnonzero(joined), alone])
    end = np.concatenate([np.flatnonzero(joined) + 1, alone])
    at_m = to_earth_centred_m(longitude_deg, latitude_deg)
    is_long = np.linalg.norm(at_m[end] - at_m[begin], axis=1) > LONGEST_PIECE_M * (1 - 1e-6)
    cut_begin_m, cut_end_m, of = _cut(longitude_deg, latitude_deg, begin[is_long], end[is_long])
    begin_m = np.concatenate([at_m[begin[~is_long]], cut_begin_m])
    end_m = np.concatenate([at_m[end[~is_long]], cut_end_m])
    of_line = np.concatenate([line[begin[~is_long]], line[begin[is_long]][of]])
    return _between(begin_m, end_m, of_line)


def _between(begin_m: Floats, end_m: Floats, line: NDArray[np.intp]) -> Pieces:
    along_m = end_m - begin_m
    length_m2 = (along_m * along_m).sum(axis=1)
    per_length_m2 = np.divide(1, length_m2, out=np.zeros(len(line)), where=length_m2 > 0)
    bulge_m = length_m2 / (7.9 * SMALLEST_RADIUS_M) + 1e-7
    return Pieces(
        np.ascontiguousarray(begin_m.T), np.ascontiguousarray(along_m.T), per_length_m2, bulge_m, line
    )


def _cut(
    longitude_deg: Floats, latitude_deg: Floats, begin: NDArray[np.intp], end: NDArray[np.intp]
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Cut the geodesics between vertices; gives begins, ends, and which geodesic each is of."""
    if not len(begin):
        return np.empty((0, 3)), np.empty((0, 3)), np.empty(0, dtype=np.intp)
    azimuth_deg, _, length_m = WGS84.inv(
        longitude_deg[begin], latitude_deg[begin], longitude_deg[end], latitude_deg[end]
    )
    counts = np.ceil(np.asarray(length_m) / LONGEST_PIECE_M).astype(np.intp)
    of = np.repeat(np.arange(len(begin)), counts)
    step = np.arange(len(of)) - np.repeat(counts.cumsum() - counts, counts)
    along_m = length_m[of] * (step + 1) / counts[of]
    start = begin[of]
    longitude, latitude, _ = WGS84.fwd(longitude_deg[start], latitude_deg[start], azimuth_deg[of], along_m)
    end_m = to_earth_centred_m(np.asarray(longitude), np.asarray(latitude))
    last = step == counts[of] - 1
    end_m[last] = to_earth_centred_m(longitude_deg[end], latitude_deg[end])
    begin_m = np.empty_like(end_m)
    begin_m[1:] = end_m[:-1]
    begin_m[step == 0] = to_earth_centred_m(longitude_deg[begin], latitude_deg[begin])
    return begin_m, end_m, of


def feet_m(at_m: Floats, pieces: Pieces, piece: NDArray[np.intp]) -> Floats:
    """Give the nearest position of a piece for each position.

    Parameters
    ----------
    at_m : array of float
        Earth-centred metres, shape (3, n).
    pieces : Pieces
        All pieces.
    piece : array of int
        Which of them for each position, shape (n,).

    Returns
    -------
    array of float
        On the ellipsoid, shape (3, n).
    """
    begin_m, along_m = pieces.begin_m[:, piece], pieces.along_m[:, piece]
    away = at_m - begin_m
    share = (away[0] * along_m[0] + away[1] * along_m[1] + away[2] * along_m[2]) * pieces.per_length_m2[piece]
    x, y, z = begin_m + np.minimum(np.maximum(share, 0.0), 1.0) * along_m
    up_x, up_y, up_z = x * PER_MAJOR_M2, y * PER_MAJOR_M2, z * PER_MINOR_M2
    inside = x * up_x + y * up_y + z * up_z - 1.0
    lift = inside / (2.0 * (up_x * up_x + up_y * up_y + up_z * up_z))
    return np.array([x - up_x * lift, y - up_y * lift, z - up_z * lift])


def lengths_m(at_m: Floats, foot_m: Floats) -> tuple[Floats, Floats]:
    """Give the geodesics between positions of the ellipsoid, and their chords, in metres.

    Parameters
    ----------
    at_m, foot_m : array of float
        Earth-centred metres, shapes (3, n).

    Returns
    -------
    tuple of arrays
        Shapes (n,). The geodesics within 0.1 micrometres up to ``NEAR_M``.

    Examples
    --------
    >>> import numpy as np
    >>> from oms_topology.geo.geodesy import geodesic_m, to_earth_centred_m
    >>> x, y = np.array([35.9, 36.1]), np.array([31.9, 32.1])
    >>> at_m = to_earth_centred_m(x, y).T
    >>> away_m = lengths_m(at_m[:, :1], at_m[:, 1:])[0] - geodesic_m(x[:1], y[:1], x[1:], y[1:])
    >>> bool(abs(away_m[0]) < 1e-7)
    True
    """
    x, y, z = foot_m - at_m
    chord_m2 = x * x + y * y + z * z
    chord_m = np.sqrt(chord_m2)
    mid_x, mid_y, mid_z = (foot_m + at_m) * 0.5
    up_x, up_y, up_z = mid_x * PER_MAJOR_M2, mid_y * PER_MAJOR_M2, mid_z * PER_MINOR_M2
    inside = mid_x * up_x + mid_y * up_y + mid_z * up_z
    bend = (x * x + y * y) * PER_MAJOR_M2 + z * z * PER_MINOR_M2
    steep = chord_m2 * (up_x * up_x + up_y * up_y + up_z * up_z)
    turned = np.divide(bend * bend * inside, steep, out=np.zeros_like(chord_m), where=chord_m2 > 0.0)
    return chord_m * (1.0 + turned * (1.0 / 24.0 + turned * (3.0 / 640.0))), chord_m


def to_degrees(on_m: Floats) -> tuple[Floats, Floats]:
    """Turn positions of the ellipsoid into longitude and latitude.

    Parameters
    ----------
    on_m : array of float
        Earth-centred metres, shape (3, n).

    Returns
    -------
    tuple of arrays
        Degrees, shapes (n,).

    Examples
    --------
    >>> import numpy as np
    >>> from oms_topology.geo.geodesy import to_earth_centred_m
    >>> there = to_degrees(to_earth_centred_m(np.array([35.9]), np.array([31.9])).T)
    >>> [float(degrees[0].round(9)) for degrees in there]
    [35.9, 31.9]
    """
    from_axis_m = np.hypot(on_m[0], on_m[1])
    latitude = np.arctan2(on_m[2], from_axis_m * (1 - ECCENTRICITY_SQUARED))
    return np.degrees(np.arctan2(on_m[1], on_m[0])), np.degrees(latitude)
