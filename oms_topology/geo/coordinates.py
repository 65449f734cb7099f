"""What can be wrong with a position, told and never repaired."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["Bounds", "PositionStatus", "Positions", "bounds_of", "position_status", "suspected_swaps"]


class PositionStatus(IntEnum):
    """Whether a position can be used, and why not."""

    USABLE = 0
    NO_POSITION = 2
    """No geometry, or an empty one."""
    NOT_A_NUMBER = 3
    """NaN or infinite."""
    OUT_OF_RANGE = 4
    """Longitude beyond 180 degrees, or latitude beyond 90."""
    NULL_ISLAND = 5
    """Longitude and latitude are both exactly 0: a field that nobody filled in."""
    SUSPECTED_SWAP = 6
    """Outside the network as it is, inside with longitude and latitude exchanged."""
    WRONG_GEOMETRY = 7
    """Neither a point nor a line, among targets that are lines."""


class Positions(NamedTuple):
    """WGS84 positions in degrees, both arrays of shape (n,)."""

    longitude_deg: Floats
    latitude_deg: Floats


class Bounds(NamedTuple):
    """A box in degrees; where it crosses the antimeridian, ``west_deg`` is greater than ``east_deg``."""

    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float

    def contain(self, longitude_deg: Floats, latitude_deg: Floats) -> NDArray[np.bool_]:
        """Tell which positions lie inside or on the edge; NaN does not."""
        east_of_west, west_of_east = longitude_deg >= self.west_deg, longitude_deg <= self.east_deg
        across = self.west_deg > self.east_deg
        between = east_of_west | west_of_east if across else east_of_west & west_of_east
        return between & (latitude_deg >= self.south_deg) & (latitude_deg <= self.north_deg)


def position_status(
    longitude_deg: Floats, latitude_deg: Floats, absent: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Say of each position whether it can be used.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Degrees, shape (n,); anything may stand in them.
    absent : array of bool
        Shape (n,); true where there is no position at all.

    Returns
    -------
    array of uint8
        Shape (n,), codes of `PositionStatus`; swaps are not looked for here.

    Examples
    --------
    >>> import numpy as np
    >>> longitude, latitude = np.array([[35.9, np.nan, 181, 0, 0], [31.9, 31.9, 31.9, 0, np.nan]])
    >>> position_status(longitude, latitude, np.array([False] * 4 + [True]))
    array([0, 3, 4, 5, 2], dtype=uint8)
    """
    status = np.zeros(len(longitude_deg), dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        inside = (np.abs(longitude_deg) <= 180) & (np.abs(latitude_deg) <= 90)
    status[~inside] = PositionStatus.OUT_OF_RANGE
    status[(longitude_deg == 0) & (latitude_deg == 0)] = PositionStatus.NULL_ISLAND
    if not inside.all():
        status[~(np.isfinite(longitude_deg) & np.isfinite(latitude_deg))] = PositionStatus.NOT_A_NUMBER
    status[absent] = PositionStatus.NO_POSITION
    return status


def bounds_of(longitude_deg: Floats, latitude_deg: Floats) -> Bounds | None:
    """Give the box around positions, the short way round the earth.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Usable positions in degrees, shape (n,).

    Returns
    -------
    Bounds or None
        None for no positions.

    Examples
    --------
    >>> import numpy as np
    >>> bounds_of(np.array([178.4, -179.9]), np.array([-18.1, -16.5]))
    Bounds(west_deg=178.4, south_deg=-18.1, east_deg=-179.9, north_deg=-16.5)
    """
    if not len(longitude_deg):
        return None
    west, east = float(longitude_deg.min()), float(longitude_deg.max())
    if east - west > 180:  # it may be shorter across the antimeridian: leave out the widest gap
        ordered = np.unique(longitude_deg)
        gaps = np.diff(ordered)
        widest = int(gaps.argmax())
        if gaps[widest] > 360 - (east - west):
            west, east = float(ordered[widest + 1]), float(ordered[widest])
    return Bounds(west, float(latitude_deg.min()), east, float(latitude_deg.max()))


def suspected_swaps(longitude_deg: Floats, latitude_deg: Floats, bounds: Bounds) -> NDArray[np.bool_]:
    """Tell which positions lie outside the bounds, but inside with longitude and latitude exchanged.

    Parameters
    ----------
    longitude_deg, latitude_deg : array of float
        Degrees, shape (n,); anything may stand in them.
    bounds : Bounds
        Where the network is.

    Returns
    -------
    array of bool
        Shape (n,). False for a position whose exchange cannot be told from it (both lie inside).

    Examples
    --------
    >>> import numpy as np
    >>> jordan = Bounds(34.9, 29.2, 39.3, 33.4)
    >>> suspected_swaps(np.array([31.9, 35.9]), np.array([35.9, 31.9]), jordan)
    array([ True, False])
    """
    inside = bounds.contain(longitude_deg, latitude_deg)
    return bounds.contain(latitude_deg, longitude_deg) & ~inside
