"""What is nearest, by measuring every pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyproj import Geod

from oms_topology.geo.coordinates import Positions
from oms_topology.geo.nearest import Nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

GEOD = Geod(ellps="WGS84")


def all_lengths_m(points: Positions, targets: Positions) -> NDArray[np.float64]:
    """The geodesic of every point (row) to every target (column)."""
    shape = (len(points.longitude_deg), len(targets.longitude_deg))
    pairs = [np.broadcast_to(axis[:, None], shape).ravel() for axis in points]
    pairs += [np.broadcast_to(axis, shape).ravel() for axis in targets]
    return np.asarray(GEOD.inv(*pairs)[2], dtype=np.float64).reshape(shape)


def nearest_by_brute_force(points: Positions, targets: Positions, max_distance_m: float) -> Nearest:
    """The same answer as `nearest_points`, rows deciding between equals."""
    length_m = all_lengths_m(points, targets)
    length_m[length_m > max_distance_m] = np.inf
    length_m = np.column_stack([length_m, np.full((len(length_m), 2), np.inf)])
    target = length_m.argmin(axis=1)
    two_m = np.partition(length_m, 1, axis=1)[:, :2]
    two_m[np.isinf(two_m)] = np.nan
    return Nearest(np.where(np.isnan(two_m[:, 0]), -1, target), two_m[:, 0], two_m[:, 1])


def scattered(
    rng: np.random.Generator, count: int, longitude_deg: float, latitude_deg: float, spread_deg: float
) -> Positions:
    """Positions around a place, across the antimeridian where it lies there, and never beyond the pole."""
    longitude = longitude_deg + rng.uniform(-spread_deg, spread_deg, count)
    latitude = latitude_deg + rng.uniform(-spread_deg, spread_deg, count) / 2
    return Positions((longitude + 180) % 360 - 180, np.clip(latitude, -90, 90))
