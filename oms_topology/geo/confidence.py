"""How probable it is that the nearest target is the one that truly feeds a point.

Two things decide it: by how much the second target is farther, and how good the positions are compared with
the way between targets. Both are shares of the second distance, and so hold for a village as for a city.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from oms_topology.geo.geodesy import Floats

__all__ = ["DEFAULT_POSITION_ERROR_M", "link_confidence"]

DEFAULT_POSITION_ERROR_M: Final = 5.0
"""What a hand-held receiver does outdoors: standard deviation on each axis."""

# Fitted on the samples smartds_p1uhs23 and ieee9500, whose links are known, the poorer of both:
# python -m benchmarks.geo.calibration
RATIOS: Final = np.array([0.0, 0.3, 0.5, 0.65, 0.75, 0.85, 1.0])
ERROR_SHARES: Final = np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.65, 1.0, 1.5, 3.0])
TABLE: Final = np.array(
    [
        [0.99, 0.99, 0.99, 0.89, 0.73, 0.53, 0.36, 0.22, 0.1],
        [0.99, 0.98, 0.93, 0.86, 0.7, 0.53, 0.33, 0.22, 0.08],
        [0.94, 0.94, 0.91, 0.84, 0.67, 0.52, 0.33, 0.21, 0.08],
        [0.87, 0.87, 0.87, 0.79, 0.62, 0.46, 0.32, 0.2, 0.08],
        [0.8, 0.8, 0.8, 0.74, 0.57, 0.41, 0.27, 0.17, 0.08],
        [0.73, 0.73, 0.67, 0.65, 0.5, 0.34, 0.24, 0.16, 0.08],
        [0.48, 0.48, 0.45, 0.41, 0.3, 0.23, 0.18, 0.14, 0.08],
    ]
)
TWINS: Final = 0.3
"""At most, where the second target is as near or nearer: banks of three at one place are common."""


def link_confidence(
    distance_m: Floats,
    second_distance_m: Floats,
    *,
    max_distance_m: float,
    position_error_m: float = DEFAULT_POSITION_ERROR_M,
) -> Floats:
    """Say how probable it is that each nearest target is the right one.

    Parameters
    ----------
    distance_m, second_distance_m : array of float
        Metres to the nearest and to the second target, shape (n,); NaN for none.
    max_distance_m : float
        The limit: a second target that is not there may stand just beyond it.
    position_error_m : float
        How good positions of points are compared with those of targets: standard deviation on each axis in
        metres, 0 or more.

    Returns
    -------
    array of float
        Shape (n,), from 0 to 1; NaN where there is no target. Of links of confidence 0.9 at least nine in ten
        are right where the error of positions is as said; it falls with the ratio of the distances and with
        the error. O(n).

    Examples
    --------
    >>> import numpy as np
    >>> near, second = np.array([10.0, 30.0, 40.0, np.nan]), np.array([100.0, 40.0, np.nan, np.nan])
    >>> link_confidence(near, second, max_distance_m=500).round(2)
    array([0.99, 0.8 , 0.99,  nan])
    """
    second_m = np.where(np.isnan(second_distance_m), max_distance_m, second_distance_m)
    apart_m = np.maximum(second_m, 1e-9)
    confidence = interpolated(distance_m / apart_m, position_error_m / apart_m, TABLE)
    not_nearest = distance_m >= second_m
    confidence[not_nearest] = np.minimum(confidence[not_nearest], TWINS)
    confidence[np.isnan(distance_m)] = np.nan
    return confidence


def interpolated(ratio: Floats, error_share: Floats, table: Floats) -> Floats:
    """Read between the knots of a table, rows by ratio and columns by error."""
    at = np.interp(ratio, RATIOS, np.arange(len(RATIOS)))
    beside = np.interp(error_share, ERROR_SHARES, np.arange(len(ERROR_SHARES)))
    row, column = (
        np.fmin(at, len(RATIOS) - 2).astype(np.intp),
        np.fmin(beside, len(ERROR_SHARES) - 2).astype(np.intp),
    )
    down, across = at - row, beside - column
    upper = table[row, column] * (1 - across) + table[row, column + 1] * across
    lower = table[row + 1, column] * (1 - across) + table[row + 1, column + 1] * across
    return np.asarray(upper * (1 - down) + lower * down)
