"""Distances on the WGS84 ellipsoid, in bulk.

Truth is the geodesic. Its length ``s`` is bounded by the straight chord ``c`` through the earth::

    c <= s <= 2 R asin(c / 2 R),    R = b^2 / a

``a / b^2`` is the largest normal curvature of the ellipsoid, so no geodesic bends more than a circle of
radius R. Of two curves of equal length the one that bends less has the longer chord (Schur's comparison
theorem), which is the right-hand side, for lengths up to pi R = 19,903 km.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

__all__ = [
    "ECCENTRICITY_SQUARED",
    "ROUNDING_M",
    "SEMI_MAJOR_M",
    "SEMI_MINOR_M",
    "SERIES_LIMIT_M",
    "SMALLEST_RADIUS_M",
    "WGS84",
    "Floats",
    "geodesic_at_most_m",
    "geodesic_from_short_chord_m",
    "geodesic_m",
    "to_earth_centred_m",
]

Floats: TypeAlias = NDArray[np.float64]

WGS84: Final = Geod(ellps="WGS84")
SEMI_MAJOR_M: Final = float(WGS84.a)
SEMI_MINOR_M: Final = float(WGS84.b)
ECCENTRICITY_SQUARED: Final = float(WGS84.es)
SMALLEST_RADIUS_M: Final = SEMI_MINOR_M**2 / SEMI_MAJOR_M

ROUNDING_M: Final = 1e-6
"""More than all rounding of coordinates, chords and geodesics together, which stays below 0.1 micrometres."""

SERIES_LIMIT_M: Final = 2_000.0
"""Up to this chord the series is as good as the geodesic: within 0.1 micrometres."""

# 1 / (24 R^2) for a curve of radius R, in the middle between the most and the least bent geodesic of the
# ellipsoid.
_CUBIC_PER_M2: Final = (1 / SMALLEST_RADIUS_M**2 + (SEMI_MINOR_M / SEMI_MAJOR_M**2) ** 2) / 48


def geodesic_m(
    from_longitude_deg: Floats, from_latitude_deg: Floats, to_longitude_deg: Floats, to_latitude_deg: Floats
) -> Floats:
    """Measure the geodesic between each pair of positions, in metres.

    Parameters
    ----------
    from_longitude_deg, from_latitude_deg, to_longitude_deg, to_latitude_deg : array of float
        Usable WGS84 positions in degrees, all of the same shape (n,).

    Returns
    -------
    array of float
        Shape (n,); empty for no pairs. About half a microsecond each.

    Examples
    --------
    >>> import numpy as np
    >>> geodesic_m(*np.array([[35.9], [31.9], [35.0], [29.5]])).round(3)
    array([279691.948])
    """
    if not len(from_longitude_deg):
        return np.empty(0)
    length = WGS84.inv(
        from_longitude_deg, from_latitude_deg, to_longitude_deg, to_latitude_deg, return_back_azimuth=False
    )[2]
    return np.asarray(length, dtype=np.float64)


def to_earth_centred_m(longitude_deg: Floats, latitude_deg: Floats) -> Floats:
    """Turn positions on the ellipsoid into earth-centred coordinates x, y, z in metres.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Usable WGS84 positions in degrees, shape (n,).

    Returns
    -------
    array of float
        Shape (n, 3), exact to 10 nanometres.

    Examples
    --------
    >>> import numpy as np
    >>> to_earth_centred_m(np.array([0.0, 90.0]), np.array([90.0, 0.0])).round(3).tolist()
    [[0.0, 0.0, 6356752.314], [0.0, 6378137.0, 0.0]]
    """
    longitude, latitude = np.radians(longitude_deg), np.radians(latitude_deg)
    sine = np.sin(latitude)
    across_m = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_SQUARED * sine * sine)
    from_axis_m = across_m * np.cos(latitude)
    earth_centred = np.empty((len(longitude), 3))
    np.multiply(from_axis_m, np.cos(longitude), out=earth_centred[:, 0])
    np.multiply(from_axis_m, np.sin(longitude), out=earth_centred[:, 1])
    np.multiply(across_m * (1 - ECCENTRICITY_SQUARED), sine, out=earth_centred[:, 2])
    return earth_centred


def geodesic_at_most_m(chord_m: Floats) -> Floats:
    """Give the longest geodesic that can lie over a chord: the bound of this module's page.

    Parameters
    ----------
    chord_m : array of float
        Straight distances in metres; infinite ones stay so.

    Returns
    -------
    array of float
        Of the same shape. The bound holds below 12,000 km.

    Examples
    --------
    >>> import numpy as np
    >>> (geodesic_at_most_m(np.array([1_000.0, 10_000.0])) - [1_000, 10_000]).round(6)
    array([1.000e-06, 1.038e-03])
    """
    double = 2 * SMALLEST_RADIUS_M
    with np.errstate(invalid="ignore"):
        bound = double * np.arcsin(np.minimum(chord_m / double, 1))
    return np.where(np.isinf(chord_m), np.inf, bound)


def geodesic_from_short_chord_m(chord_m: Floats) -> Floats:
    """Give the geodesic over a chord of at most ``SERIES_LIMIT_M``, within 0.1 micrometres.

    Parameters
    ----------
    chord_m : array of float
        Straight distances in metres; infinite ones stay so.

    Returns
    -------
    array of float
        Of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> geodesic_from_short_chord_m(np.array([0.0, 2_000.0])).tolist()
    [0.0, 2000.0000082...]
    """
    return np.asarray(chord_m + chord_m * chord_m * chord_m * _CUBIC_PER_M2)
