"""The area that meters and lines cover on a map, as GeoJSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from scipy.spatial import Delaunay, QhullError
from shapely.geometry.polygon import orient

from oms_topology.errors import GeometryError
from oms_topology.geo.coordinates import bounds_of, position_status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["affected_area"]

_DEGREE_M: Final = 111_320.0
_MOST_PLACES: Final = 2_000
_GRAIN_M: Final = 0.01
_ROUNDED_DEG: Final = 1e-6
_GLOBE: Final = shapely.box(-180, -90, 180, 90)
_TURN: Final = 360.0
_ONCE_ROUND: Final = np.array([_TURN, 0.0])
# At a pole a degree of longitude has no length; what is left of it keeps the shape finite.
_SHORTEST_COSINE: Final = 0.01


def affected_area(
    positions: Floats, lines: Floats | None = None, *, margin_m: float = 25.0, gap_m: float = 300.0
) -> dict[str, Any] | None:
    """Draw the area that affected meters, and the lines between their devices, cover.

    What stands nearer together than ``gap_m`` is one area, filled between any three that are so near; what
    stands farther apart is an area of its own, so that two villages never cover the land between them.

    Parameters
    ----------
    positions : float array, shape (n, 2)
        Longitude and latitude of the meters, WGS 84 degrees; those that cannot be used (nan, out of range,
        both exactly 0) are left out.
    lines : float array, shape (k, 2, 2), optional
        Straight pieces of line from one position to another; those with an unusable end are left out.
    margin_m : float
        How far the area reaches beyond a meter or line, in metres, above 0: a single meter gives a small
        disc. Near the poles, and where an area reaches over many degrees of latitude, it is approximate.
    gap_m : float
        At least ``2 * margin_m``.

    Returns
    -------
    dict or None
        A Polygon or MultiPolygon of RFC 7946, ready for ``json.dumps``: valid, rounded to 0.1 m, exterior
        rings counterclockwise, cut at the antimeridian; all usable positions lie inside. None where there is
        none. The order of the rows, and doubled rows, change nothing.

    Raises
    ------
    GeometryError
        The arrays have another shape, or the lengths are out of range.

    Notes
    -----
    Triangles of Delaunay without a long side, with the margin around them. More than 2,000 places are
    gathered into squares first, and the margin grows with these, so that the cost stays that of 2,000 and a
    few sorts of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> area = affected_area(np.array([[35.91, 31.95], [35.912, 31.951], [36.1, 32.0]]))
    >>> area["type"], len(area["coordinates"])
    ('MultiPolygon', 2)
    >>> affected_area(np.array([[np.nan, 31.95]])) is None
    True
    """
    _check(positions, lines, margin_m, gap_m)
    points = positions[_is_usable(positions)]
    pieces = np.empty((0, 2, 2)) if lines is None else lines[_is_usable(lines).all(axis=1)]
    vertices = np.concatenate([points, pieces.reshape(-1, 2)])
    bounds = bounds_of(vertices[:, 0], vertices[:, 1])
    if bounds is None:
        return None
    west = bounds.west_deg
    middle = np.array(
        [west + (bounds.east_deg - west) % _TURN / 2, (bounds.south_deg + bounds.north_deg) / 2]
    )
    scale = _DEGREE_M * np.array([max(np.cos(np.radians(middle[1])), _SHORTEST_COSINE), 1.0])
    flat = [_shifted(part, middle) * scale for part in (points, pieces)]
    area = _grown(flat[0], flat[1], margin_m, gap_m)
    # The plane is a stretched map: straight there is straight here, and inside there is inside here.
    return _geometry(
        shapely.transform(area, lambda metres: metres / scale + middle), points, margin_m / scale
    )


def _check(positions: Floats, lines: Floats | None, margin_m: float, gap_m: float) -> None:
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise GeometryError("positions", f"an array of shape (n, 2) is wanted, not {positions.shape}")
    if lines is not None and (lines.ndim != 3 or lines.shape[1:] != (2, 2)):
        raise GeometryError("lines", f"an array of shape (k, 2, 2) is wanted, not {lines.shape}")
    if not 0 < 2 * margin_m <= gap_m < np.inf:
        raise GeometryError("margin_m", "wanted are metres above 0, and a gap of at least twice as many")


def _is_usable(degrees: Floats) -> NDArray[np.bool_]:
    flat = degrees.reshape(-1, 2)
    status = position_status(flat[:, 0], flat[:, 1], np.zeros(len(flat), dtype=np.bool_))
    return np.asarray(status == 0).reshape(degrees.shape[:-1])


def _shifted(degrees: Floats, middle: Floats) -> Floats:
    """Give positions relative to the middle, the short way round the earth."""
    away = degrees - middle
    around = np.abs(away[..., 0]) > _TURN / 2
    away[..., 0] = np.where(around, (away[..., 0] + _TURN / 2) % _TURN - _TURN / 2, away[..., 0])
    return away


def _grown(points: Floats, pieces: Floats, margin_m: float, gap_m: float) -> Any:
    """Fill triangles with short sides, and give these, bare short sides and lone points their margin."""
    together = np.concatenate([points, _along(pieces, gap_m / 2)])
    cell_m, places = 0.0, _distinct(np.rint(together / _GRAIN_M) * _GRAIN_M)
    while len(places) > _MOST_PLACES:
        cell_m = 2 * cell_m or margin_m
        places = _distinct(np.rint(places / cell_m) * cell_m)
    triangles, sides = _joined(places, gap_m + 3 * cell_m)
    is_lone = np.ones(len(places), dtype=np.bool_)
    is_lone[triangles], is_lone[sides] = False, False
    shapes = [
        _union(shapely.polygons(places[triangles])),
        shapely.multilinestrings(places[sides]),
        shapely.multipoints(places[is_lone]),
    ]
    # Gathered step by step, a place is at most 0.71 + 0.36 + ... of a cell away from where it was.
    grown = shapely.buffer(shapely.geometrycollections(shapes), margin_m + 1.5 * cell_m, quad_segs=4)
    return shapely.simplify(grown, margin_m / 5)


def _union(triangles: NDArray[np.object_]) -> Any:
    try:
        return shapely.coverage_union_all(triangles)
    except shapely.GEOSException:  # slivers that overlap by rounding
        return shapely.union_all(triangles)


def _distinct(points: Floats) -> Floats:
    """Give each point once, in order of east, then north."""
    ordered = np.unique(points[:, 0] + 1j * points[:, 1])
    return np.column_stack([ordered.real, ordered.imag])


def _along(pieces: Floats, step_m: float) -> Floats:
    """Give both ends of each piece, and points between them that are at most so far apart."""
    way = pieces[:, 1] - pieces[:, 0]
    steps = np.ceil(np.hypot(*way.T) / step_m).clip(1, _MOST_PLACES).astype(np.intp)
    row = np.repeat(np.arange(len(pieces)), steps + 1)
    share = (np.arange(len(row)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)) / steps[row]
    return np.asarray(pieces[row, 0] + share[:, None] * way[row], dtype=np.float64)


def _joined(places: Floats, gap_m: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the corners of triangles without a long side, and the short sides that bound none of these."""
    try:
        corners = Delaunay(places).simplices.astype(np.intp)
    except (QhullError, ValueError):  # too few, or all in one line, and so in order along it
        chain = np.column_stack([np.arange(len(places) - 1), np.arange(1, len(places))])
        return np.empty((0, 3), dtype=np.intp), chain[_length_m(places, chain) <= gap_m]
    sides = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
    is_short = _length_m(places, sides.reshape(-1, 2)).reshape(-1, 3) <= gap_m
    is_full = is_short.all(axis=1)
    code = sides[:, :, 0] * len(places) + sides[:, :, 1]
    bare = np.setdiff1d(code[~is_full][is_short[~is_full]], code[is_full])
    return corners[is_full], np.column_stack(np.divmod(bare, len(places)))


def _length_m(places: Floats, sides: NDArray[np.intp]) -> Floats:
    return np.asarray(np.hypot(*(places[sides[:, 1]] - places[sides[:, 0]]).T), dtype=np.float64)


def _geometry(area: Any, points: Floats, margin_deg: Floats) -> dict[str, Any]:
    """Cut at the antimeridian and the poles, round, and see to it that no meter is left outside."""
    west, _, east, _ = area.bounds
    parts = [area]
    if west < -_TURN / 2:
        parts.append(shapely.transform(area, lambda degrees: degrees + _ONCE_ROUND))
    if east > _TURN / 2:
        parts.append(shapely.transform(area, lambda degrees: degrees - _ONCE_ROUND))
    inside = shapely.union_all([shapely.intersection(part, _GLOBE) for part in parts])
    rounded = shapely.set_precision(inside, _ROUNDED_DEG)
    shapely.prepare(rounded)
    left = points[~shapely.covers(rounded, shapely.points(points))]
    if len(left):
        boxes = shapely.box(*(left - margin_deg).T, *(left + margin_deg).T)
        whole = shapely.union_all([rounded, *shapely.intersection(boxes, _GLOBE)])
        rounded = shapely.set_precision(whole, _ROUNDED_DEG)
    polygons = [orient(part) for part in shapely.get_parts(rounded) if part.geom_type == "Polygon"]
    polygons.sort(key=lambda polygon: polygon.bounds)
    merged = polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(merged))
    return geometry
