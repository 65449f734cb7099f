"""Points and lines as users have them, into arrays of degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from oms_topology.errors import GeometryError
from oms_topology.geo.coordinates import Positions, PositionStatus, position_status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["Lines", "Read", "has_lines", "read_lines", "read_points"]

_LONGITUDE_LATITUDE: Final = CRS.from_epsg(4326)
_POINT: Final = 0
_NONE: Final = -1
_LINES: Final = (1, 2, 5)  # line, ring, several lines


class Read(NamedTuple):
    """Points in degrees, shape (n,) each; NaN and ``absent`` where there is none."""

    longitude_deg: Floats
    latitude_deg: Floats
    absent: NDArray[np.bool_]

    def positions(self, rows: NDArray[np.intp]) -> Positions:
        """Take the positions of some rows."""
        return Positions(self.longitude_deg[rows], self.latitude_deg[rows])


class Lines(NamedTuple):
    """Vertices of lines in degrees, shape (v,) each.

    Attributes
    ----------
    longitude_deg, latitude_deg : array of float
        Of vertices that can be used.
    part : array of int
        Vertices of the same part are joined.
    line : array of int
        The row of the line of each vertex.
    status : array of uint8
        Codes of `PositionStatus` for each line, shape (m,).
    """

    longitude_deg: Floats
    latitude_deg: Floats
    part: NDArray[np.intp]
    line: NDArray[np.intp]
    status: NDArray[np.uint8]


def has_lines(targets: Any) -> bool:
    """Tell whether there is a line among geometries.

    Examples
    --------
    >>> from shapely import LineString, Point
    >>> has_lines([Point(1, 2), None]), has_lines([LineString([(1, 2), (3, 4)])])
    (False, True)
    """
    if isinstance(targets, np.ndarray) and targets.dtype != object:
        return False
    array = _geometries(targets)
    try:
        return bool(np.isin(shapely.get_type_id(array), _LINES).any())
    except TypeError:
        return False


def read_lines(lines: Any, argument: str) -> Lines:
    """Take the vertices out of lines.

    Parameters
    ----------
    lines : GeoSeries, GeoDataFrame, or sequence of shapely lines, lines of several parts, or points
        Longitude and latitude in degrees, in this order.
    argument : str
        What the user called them, for the error.

    Returns
    -------
    Lines
        Only of lines all of whose vertices can be used; the status tells of the others.

    Raises
    ------
    GeometryError
        For a missing or another coordinate reference system than WGS84 longitude and latitude, and for what
        is no geometry at all.

    Examples
    --------
    >>> from shapely import LineString, Polygon
    >>> read = read_lines([LineString([(35.9, 31.9), (35.9, 99)]), Polygon(), None], "targets")
    >>> read.status
    array([4, 7, 2], dtype=uint8)
    """
    if hasattr(lines, "crs") and hasattr(lines, "geometry"):
        _demand_degrees(lines.crs, argument)
    array = _geometries(lines)
    kinds = _kinds(array, argument)
    status = np.zeros(len(array), dtype=np.uint8)
    status[shapely.is_missing(array) | shapely.is_empty(array)] = PositionStatus.NO_POSITION
    status[~np.isin(kinds, (_POINT, _NONE, *_LINES))] = PositionStatus.WRONG_GEOMETRY
    rows = np.flatnonzero(status == 0)
    parts, of_row = shapely.get_parts(array[rows], return_index=True)
    coordinates, part = shapely.get_coordinates(parts, return_index=True)
    line = rows[of_row[part]]
    degrees = np.ascontiguousarray(coordinates.T)
    of_vertex = position_status(degrees[0], degrees[1], np.zeros(len(line), dtype=bool))
    np.maximum.at(status, line, of_vertex)
    sound = status[line] == 0
    return Lines(degrees[0][sound], degrees[1][sound], part[sound], line[sound], status)


def _geometries(geometries: Any) -> NDArray[np.object_]:
    if hasattr(geometries, "crs") and hasattr(geometries, "geometry"):
        geometries = geometries.geometry.array
    return np.asarray(geometries, dtype=object)


def _kinds(array: NDArray[np.object_], argument: str) -> NDArray[np.int32]:
    try:
        kinds = shapely.get_type_id(array)
    except TypeError:
        raise GeometryError(argument, "holds something that is no geometry of shapely") from None
    if array.ndim != 1:
        raise GeometryError(argument, f"wanted is one dimension, not the shape {array.shape}")
    return np.asarray(kinds)


def read_points(points: Any, argument: str) -> Read:
    """Take points out of what a user has them in.

    Parameters
    ----------
    points : GeoSeries, GeoDataFrame, sequence of shapely points, or array of float of shape (n, 2)
        Longitude and latitude in degrees, in this order.
    argument : str
        What the user called them, for the error.

    Returns
    -------
    Read
        In the order given. No position is judged here.

    Raises
    ------
    GeometryError
        For a missing or another coordinate reference system than WGS84 longitude and latitude, for geometries
        that are not points, and for what is no geometry at all.

    Examples
    --------
    >>> from shapely import Point
    >>> read_points([Point(35.9, 31.9), None], "points").longitude_deg
    array([35.9,  nan])
    """
    if hasattr(points, "crs") and hasattr(points, "geometry"):
        _demand_degrees(points.crs, argument)
    elif isinstance(points, np.ndarray) and points.dtype.kind in "fiu":
        return _read_numbers(points, argument)
    return _read_geometries(points, argument)


def _demand_degrees(crs: Any, argument: str) -> None:
    if crs is None:
        raise GeometryError(
            argument, "no coordinate reference system; if it holds longitude and latitude: .set_crs(4326)"
        )
    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        raise GeometryError(argument, "its coordinate reference system is unknown") from None
    if not known.equals(_LONGITUDE_LATITUDE, ignore_axis_order=True):
        kind = "projected" if known.is_projected else "of another datum"
        raise GeometryError(
            argument, f"its coordinates are {kind} ({known.name}), wanted are degrees of WGS84: .to_crs(4326)"
        )


def _read_numbers(numbers: NDArray[Any], argument: str) -> Read:
    if numbers.ndim != 2 or numbers.shape[1] != 2:
        raise GeometryError(
            argument, f"wanted is the shape (n, 2), longitude and latitude, not {numbers.shape}"
        )
    degrees = np.ascontiguousarray(numbers.T, dtype=np.float64)
    return Read(degrees[0], degrees[1], np.zeros(len(numbers), dtype=bool))


def _read_geometries(geometries: Any, argument: str) -> Read:
    array = _geometries(geometries)
    kinds = _kinds(array, argument)
    if not np.isin(kinds, (_POINT, _NONE)).all():
        row = int(np.flatnonzero(~np.isin(kinds, (_POINT, _NONE)))[0])
        raise GeometryError(argument, f"row {row} is a {array[row].geom_type}, wanted are points")
    return _read_coordinates(array)


def _read_coordinates(array: NDArray[np.object_]) -> Read:
    coordinates = shapely.get_coordinates(array)
    absent = np.zeros(len(array), dtype=bool)
    if len(coordinates) != len(array):
        absent = shapely.is_missing(array) | shapely.is_empty(array)
        every = np.full((len(array), 2), np.nan)
        every[~absent] = coordinates
        coordinates = every
    return Read(np.ascontiguousarray(coordinates[:, 0]), np.ascontiguousarray(coordinates[:, 1]), absent)
