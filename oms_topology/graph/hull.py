"""The convex hull of positions on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["convex_hull"]


def convex_hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the corners of the convex hull of points in the plane.

    Parameters
    ----------
    points : float array, shape (n, 2)
        In any order, finite, doubles allowed.

    Returns
    -------
    float array, shape (k, 2)
        Corners counterclockwise from the lowest of the leftmost, none between two others in a line;
        one point where all are the same, two where all are in one line, none where there are none.

    Notes
    -----
    Andrew's monotone chain over what is left when the points inside the quadrilateral of the four
    extreme ones are thrown away; n log n at the worst.

    Examples
    --------
    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], dtype=float)
    >>> convex_hull(square).tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    """
    points = np.unique(_outer(points), axis=0)
    if len(points) < 3:
        return points
    lower, upper = _chain(points.tolist()), _chain(points[::-1].tolist())
    return np.array(lower[:-1] + upper[:-1])


def _outer(points: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(points) < 100:
        return points
    total, difference = points.sum(axis=1), points[:, 0] - points[:, 1]
    corners = points[[total.argmin(), difference.argmax(), total.argmax(), difference.argmin()]]
    inside = np.ones(len(points), dtype=np.bool_)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        step, way = end - start, points - start
        inside &= step[0] * way[:, 1] - step[1] * way[:, 0] > 0
    return points[~inside]


def _chain(points: list[list[float]]) -> list[list[float]]:
    chain: list[list[float]] = []
    for point in points:
        while len(chain) > 1 and not _turns_left(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return chain


def _turns_left(one: list[float], two: list[float], three: list[float]) -> bool:
    return (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0]) > 0
