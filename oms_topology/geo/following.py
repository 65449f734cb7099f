"""Links that follow the drawing: the nearest low-voltage line, and the target that feeds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from oms_topology.geo.asking import rank_of_ids
from oms_topology.geo.confidence import DEFAULT_POSITION_ERROR_M
from oms_topology.geo.drawing import lines_by_target
from oms_topology.geo.linking import link_nearest
from oms_topology.geo.reading import Lines, Read, read_lines, read_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.linking import Links

__all__ = ["link_along_lines"]


def link_along_lines(
    points: Any,
    lines: Any,
    targets: Any,
    *,
    max_distance_m: float,
    snap_m: float = 1.0,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    position_error_m: float = DEFAULT_POSITION_ERROR_M,
) -> Links:
    """Link each point to the target that feeds the nearest drawn line.

    Parameters
    ----------
    points, targets, target_ids, groups, target_groups, bounds, position_error_m
        As in `link_nearest`; targets are points.
    lines : GeoSeries, GeoDataFrame, or sequence of shapely lines
        The drawn low-voltage lines, without the service drops to the meters. Longitude and latitude in
        degrees.
    max_distance_m : float
        Lines farther than this many metres from a point do not count.
    snap_m : float
        What is at most this many metres apart in the drawing is taken to be joined; above 0.

    Returns
    -------
    Links
        Of the rule ``"line"``. ``distance_m`` leads to the nearest line that the target feeds, and
        ``second_distance_m`` to the nearest one of all other targets. A target that no line is drawn to
        stands for a line itself; lines that hang on no target do not count. Where lines of several targets
        meet, each piece is fed by the target that is nearer along the drawing.

    Raises
    ------
    GeometryError
        As in `link_nearest`, and for lines that are none.
    ValueError
        As in `link_nearest`, and for a ``snap_m`` that is not above 0.

    Notes
    -----
    O((n + v) log v) for v vertices.

    Examples
    --------
    >>> from shapely import LineString, Point
    >>> transformers = [Point(35.900, 31.95), Point(35.904, 31.95)]
    >>> streets = [[(35.900, 31.95), (35.903, 31.95)], [(35.904, 31.95), (35.904, 31.96)]]
    >>> streets = [LineString(street) for street in streets]
    >>> links = link_along_lines([Point(35.9029, 31.9501)], streets, transformers, max_distance_m=100)
    >>> links.target, links.distance_m.round(1), links.second_distance_m.round(1)
    (array([0]), array([11.1]), array([nan]))
    """
    if not 0 < snap_m < np.inf:
        raise ValueError(f"snap_m must be above 0, not {snap_m}")
    offered = read_points(targets, "targets")
    stands_for = _fed(read_lines(lines, "lines"), offered, snap_m, target_ids)
    undrawn = np.array([shape is None for shape in stands_for], dtype=bool) & ~offered.absent
    alone = np.column_stack([offered.longitude_deg, offered.latitude_deg])[undrawn]
    stands_for[undrawn] = shapely.points(alone)
    links = link_nearest(
        points,
        stands_for,
        max_distance_m=max_distance_m,
        target_ids=target_ids,
        groups=groups,
        target_groups=target_groups,
        bounds=bounds,
        position_error_m=position_error_m,
    )
    return replace(links, rule="line")


def _fed(
    lines: Lines, targets: Read, snap_m: float, target_ids: Sequence[Any] | NDArray[Any] | None
) -> NDArray[np.object_]:
    """Give each target its lines, whatever the order of targets."""
    order = np.arange(len(targets.absent))
    if target_ids is not None:
        order = np.argsort(rank_of_ids(target_ids, len(order), order))
    fed = np.empty(len(order), dtype=object)
    longitude_deg, latitude_deg = targets.positions(order)
    in_order = Read(longitude_deg, latitude_deg, targets.absent[order])
    fed[order] = lines_by_target(lines, in_order, snap_m)
    return fed
