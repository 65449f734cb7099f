"""A town cut into parts that can be linked apart, each with all the targets that its points can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oms_topology.geo.coordinates import position_status
from oms_topology.geo.geodesy import ROUNDING_M, to_earth_centred_m
from oms_topology.geo.places import places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from oms_topology.geo.reading import Read

__all__ = ["Part", "spatial_parts"]


class Part(NamedTuple):
    """Rows of points, and the rows of all targets within the limit of any of them, ascending."""

    points: NDArray[np.intp]
    targets: NDArray[np.intp]


def spatial_parts(points: Read, targets: Read, *, max_distance_m: float, rows_a_part: int) -> Iterator[Part]:
    """Cut the points that can be used into parts that lie together.

    Parameters
    ----------
    points, targets : Read
        All rows; those that cannot be used are in no part.
    max_distance_m : float
        The limit of the links.
    rows_a_part : int
        How many points a part has at most, at least 1.

    Yields
    ------
    Part
        Along a space-filling curve. A target at a seam is in every part that can reach it: a chord is no
        longer than its geodesic, so no target outside of the box around a part, widened by the limit, can be
        linked to it.

    Examples
    --------
    >>> import numpy as np
    >>> from oms_topology.geo.reading import read_points
    >>> asked = read_points(np.array([[35.9, 31.9], [36.9, 31.9], [35.9, 31.9]]), "points")
    >>> offered = read_points(np.array([[35.9001, 31.9], [36.9001, 31.9]]), "targets")
    >>> parts = spatial_parts(asked, offered, max_distance_m=500, rows_a_part=2)
    >>> [(part.points.tolist(), part.targets.tolist()) for part in parts]
    [([0, 2], [0]), ([1], [1])]
    """
    usable = np.flatnonzero(position_status(*points) == 0)
    choice = np.flatnonzero(position_status(*targets) == 0)
    there_m = to_earth_centred_m(*targets.positions(choice))
    along = usable[places_of(*points.positions(usable)).rows]
    for begin in range(0, len(along), rows_a_part):
        rows = along[begin : begin + rows_a_part]
        here_m = to_earth_centred_m(*points.positions(rows))
        reach_m = max_distance_m + ROUNDING_M
        near = (there_m >= here_m.min(axis=0) - reach_m) & (there_m <= here_m.max(axis=0) + reach_m)
        yield Part(rows, choice[near.all(axis=1)])
