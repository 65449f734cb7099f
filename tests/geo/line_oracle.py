"""How far a line is, by searching along its geodesics with pyproj."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from tests.geo.brute_force import GEOD

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 64
_ROUNDS = 6


def segments_of(line: shapely.Geometry) -> NDArray[np.float64]:
    """Both ends of each segment, shape (s, 4); a point is a segment without length."""
    found = []
    for part in shapely.get_parts(line):
        vertices = shapely.get_coordinates(part)
        vertices = np.vstack([vertices, vertices]) if len(vertices) == 1 else vertices
        found.append(np.hstack([vertices[:-1], vertices[1:]]))
    return np.vstack(found)


def to_line_m(point: tuple[float, float], line: shapely.Geometry) -> float:
    """Metres from a point to a line: samples of each segment, ever closer around the nearest of them."""
    begin_x, begin_y, end_x, end_y = segments_of(line).T
    azimuth, _, length = GEOD.inv(begin_x, begin_y, end_x, end_y)
    low, high = np.zeros_like(length), length.copy()
    best = np.full(len(length), np.inf)
    for _ in range(_ROUNDS):
        share = np.linspace(0, 1, _SAMPLES)
        along = low[:, None] + (high - low)[:, None] * share
        shape = along.shape
        start = [np.broadcast_to(axis[:, None], shape).ravel() for axis in (begin_x, begin_y, azimuth)]
        longitude, latitude, _ = GEOD.fwd(*start, along.ravel())
        there = np.broadcast_to(point[0], longitude.shape), np.broadcast_to(point[1], longitude.shape)
        away = np.asarray(GEOD.inv(longitude, latitude, *there)[2]).reshape(shape)
        best = np.minimum(best, away.min(axis=1))
        nearest = away.argmin(axis=1)
        row = np.arange(len(nearest))
        low, high = along[row, np.maximum(nearest - 1, 0)], along[row, np.minimum(nearest + 1, _SAMPLES - 1)]
    return float(best.min())


def all_to_lines_m(points: NDArray[np.float64], lines: list[shapely.Geometry]) -> NDArray[np.float64]:
    """The metres of every point (row) to every line (column)."""
    return np.array([[to_line_m((x, y), line) for line in lines] for x, y in points])
