"""Shapes out of numbers and out of GeoJSON, for those who have no geometries yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from oms_topology.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["points_of", "shapes_of_geojson"]


def points_of(
    longitude_deg: Floats, latitude_deg: Floats, absent: NDArray[np.bool_], argument: str
) -> NDArray[Any]:
    """Make what `link_nearest` takes of two columns.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Degrees, NaN for what is no number, shape (n,).
    absent : array of bool
        Where there is no position at all, shape (n,).
    argument : str
        What the table is called, for the error.

    Returns
    -------
    array
        Numbers of shape (n, 2) where every row has a position, else points and None, of shape (n,).

    Raises
    ------
    GeometryError
        Most of the numbers are too large for degrees: they are metres of some projection.

    Examples
    --------
    >>> import numpy as np
    >>> points_of(np.array([35.9, np.nan]), np.array([31.9, np.nan]), np.array([False, True]), "points")
    array([<POINT (35.9 31.9)>, None], dtype=object)
    """
    degrees = np.column_stack([longitude_deg, latitude_deg])
    finite = np.isfinite(degrees).all(axis=1)
    too_large = finite & (np.abs(degrees) > 360).any(axis=1)
    if too_large.sum() * 2 > finite.sum():
        east, north = degrees[np.flatnonzero(too_large)[0]]
        raise GeometryError(
            argument,
            f"positions such as ({east:.1f}, {north:.1f}) are no degrees but metres of some projection; "
            "wanted are longitude and latitude of WGS84, or a file that names its projection",
        )
    if not absent.any():
        return degrees
    made = np.full(len(degrees), None, dtype=object)
    made[~absent] = shapely.points(degrees[~absent])
    return made


def shapes_of_geojson(geometries: Sequence[dict[str, Any] | None], argument: str) -> NDArray[np.object_]:
    """Read the geometries of a feature collection.

    Parameters
    ----------
    geometries : sequence of dict or None
        As parsed from JSON.
    argument : str
        What they are called, for the error.

    Returns
    -------
    array of shapely geometries
        None where there was none, shape (n,).

    Raises
    ------
    GeometryError
        One is no geometry of GeoJSON.

    Examples
    --------
    >>> shapes_of_geojson([{"type": "Point", "coordinates": [35.9, 31.9]}, None], "points")
    array([<POINT (35.9 31.9)>, None], dtype=object)
    """
    shapes = np.full(len(geometries), None, dtype=object)
    for row, geometry in enumerate(geometries):
        if geometry is not None:
            try:
                shapes[row] = shapely.from_geojson(json.dumps(geometry))
            except shapely.GEOSException:
                raise GeometryError(argument, f"the geometry of feature {row} cannot be read") from None
    return shapes
