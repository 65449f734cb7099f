"""Link each point to its nearest target, and say of each row what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.geo.asking import AskedOfLines, asked_of_lines, asked_of_points, check_limit
from oms_topology.geo.confidence import DEFAULT_POSITION_ERROR_M, link_confidence
from oms_topology.geo.coordinates import (
    Bounds,
    PositionStatus,
    bounds_of,
    position_status,
    suspected_swaps,
)
from oms_topology.geo.nearest import nearest_in, nearest_points
from oms_topology.geo.nearest_lines import nearest_lines
from oms_topology.geo.reading import has_lines, read_points
from oms_topology.geo.target_tree import TargetTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats
    from oms_topology.geo.reading import Read

__all__ = ["LinkStatus", "Links", "link_batches", "link_nearest"]


class LinkStatus(IntEnum):
    """What became of a point; the codes from 2 on are those of `PositionStatus`."""

    LINKED = 0
    TOO_FAR = 1
    """No target within the limit."""
    NO_POSITION = PositionStatus.NO_POSITION
    NOT_A_NUMBER = PositionStatus.NOT_A_NUMBER
    OUT_OF_RANGE = PositionStatus.OUT_OF_RANGE
    NULL_ISLAND = PositionStatus.NULL_ISLAND
    SUSPECTED_SWAP = PositionStatus.SUSPECTED_SWAP
    NO_CAPACITY = 16
    """Targets are within the limit, and can take no more; see `link_within_capacity`."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Links:
    """The target of each point, row by row.

    Attributes
    ----------
    target : array of int
        Row of the nearest target, -1 for none.
    distance_m : array of float
        Geodesic metres to it, NaN for none.
    second_distance_m : array of float
        Metres to the nearest of all other targets; NaN where none is within the limit.
    status : array of uint8
        Codes of `LinkStatus`.
    target_status : array of uint8
        Codes of `PositionStatus`, for each target; one that is not usable is linked to nothing.
    max_distance_m, position_error_m : float
        As they were asked with.
    rule : str
        How the targets were chosen: ``"nearest"`` here. No rule is called ``"surveyed"``, so that a link
        that somebody has seen can be told from all of these.
    foot_longitude_deg, foot_latitude_deg : array of float or None
        The nearest position of the line, NaN for none; None where the targets are points.
    """

    target: NDArray[np.intp]
    distance_m: Floats
    second_distance_m: Floats
    status: NDArray[np.uint8]
    target_status: NDArray[np.uint8]
    max_distance_m: float
    position_error_m: float = DEFAULT_POSITION_ERROR_M
    rule: str = "nearest"
    foot_longitude_deg: Floats | None = None
    foot_latitude_deg: Floats | None = None

    def __len__(self) -> int:
        return len(self.target)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return f"Links({counts or 'no points'})"

    @property
    def status_names(self) -> NDArray[np.str_]:
        """The status of each point in words, such as ``"linked"`` or ``"too_far"``."""
        names = np.array([""] * (max(LinkStatus) + 1), dtype="<U16")
        for status in LinkStatus:
            names[status] = status.name.lower()
        return names[self.status]

    @property
    def confidence(self) -> Floats:
        """How probable it is that each link is right, 0 to 1, NaN for none; see `link_confidence`. O(n)."""
        return link_confidence(
            self.distance_m,
            self.second_distance_m,
            max_distance_m=self.max_distance_m,
            position_error_m=self.position_error_m,
        )

    def counts(self) -> dict[str, int]:
        """Count the points of each status that occurs, linked first."""
        counted = np.bincount(self.status, minlength=max(LinkStatus) + 1)
        return {status.name.lower(): int(counted[status]) for status in LinkStatus if counted[status]}


def link_nearest(
    points: Any,
    targets: Any,
    *,
    max_distance_m: float,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    position_error_m: float = DEFAULT_POSITION_ERROR_M,
) -> Links:
    """Link each point to the target that is truly nearest, by the geodesic on the WGS84 ellipsoid.

    Parameters
    ----------
    points, targets : GeoSeries, GeoDataFrame, sequence of shapely points, or array of float of shape (n, 2)
        Longitude and latitude in degrees, in this order. Rows without a usable position are told by their
        status and spoil no others. Targets may be lines, of several parts too, and points among them: a line
        runs along the geodesic from vertex to vertex, and is as far as its nearest position.
    max_distance_m : float
        Targets farther than this many metres are not linked to; above 0, at most 10,000 km.
    target_ids : sequence of str or int, optional
        One for each target: of several equally near ones that with the lowest id is taken. If not given, the
        row decides.
    groups, target_groups : sequence of str or int, optional
        One for each point and one for each target: only targets of the same group count, such as the
        feeders of a meter's substation. A point whose group is None or NaN, or has no target, is too far.
    bounds : tuple of float, optional
        West, south, east, north in degrees: where positions can be. A point outside that would lie inside
        with longitude and latitude exchanged is suspected to be swapped, and never repaired. The box around
        the targets if not given.
    position_error_m : float
        How good the positions are, for `Links.confidence` alone: the standard deviation on each axis in
        metres, 0 or more. It changes no link.

    Returns
    -------
    Links
        One entry for each point, in their order. It does not depend on the order of rows (with ``target_ids``
        not on that of targets either), nor on the number of processors, nor on whether numba is installed.

    Raises
    ------
    GeometryError
        For a missing or another coordinate reference system than WGS84 longitude and latitude, and for what
        is no point.
    ValueError
        For a limit or an error of positions out of its range, and for ids or groups that are not one for each
        row.

    Notes
    -----
    O((n + m) log m). Distances up to 2 km are within 0.2 micrometres of those of pyproj's ``Geod``, longer
    ones equal to them. To lines this holds up to 50 km, and lines within a micrometre of the nearest are
    equally near. Both 180 and -180 degrees are the antimeridian; at a pole any longitude is the same place.

    Examples
    --------
    >>> import oms_topology as omt
    >>> from shapely import Point
    >>> meters = [Point(35.9000, 31.9500), Point(31.95, 35.90), Point(35.95, 31.95), None]
    >>> transformers = [Point(35.9010, 31.9500), Point(35.8995, 31.9500)]
    >>> links = omt.link_nearest(meters, transformers, max_distance_m=500, bounds=(34.9, 29.2, 39.3, 33.4))
    >>> links
    Links(1 linked, 1 too_far, 1 no_position, 1 suspected_swap)
    >>> links.target, links.distance_m.round(1), links.second_distance_m.round(1)
    (array([ 1, -1, -1, -1]), array([47.3,  nan,  nan,  nan]), array([94.5,  nan,  nan,  nan]))
    >>> links.confidence.round(2)
    array([0.94,  nan,  nan,  nan])
    """
    check_limit(max_distance_m)
    if not 0 <= position_error_m < np.inf:
        raise ValueError(f"position_error_m must be 0 or more, not {position_error_m}")
    if has_lines(targets):
        to_lines = asked_of_lines(points, targets, target_ids, groups, target_groups)
        return _linked_to_lines(to_lines, max_distance_m, bounds, position_error_m)
    asked = asked_of_points(points, targets, target_ids, groups, target_groups)
    links = _nothing_linked(asked.status, asked.target_status, max_distance_m, position_error_m)
    found = nearest_points(
        asked.usable_points,
        asked.usable_targets,
        max_distance_m=max_distance_m,
        target_rank=asked.target_rank,
        group=asked.group,
        target_group=asked.target_group,
    )
    target = np.append(asked.choice, -1)[found.target]
    _fill(links, asked.usable, target, found.distance_m, found.second_distance_m)
    within = Bounds(*bounds) if bounds else bounds_of(*asked.usable_targets)
    _tell_swaps(asked.points, links.status, within)
    return links


def link_batches(
    batches: Iterable[NDArray[np.float64]],
    targets: Any,
    *,
    max_distance_m: float,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> Iterator[Links]:
    """Link points batch after batch, for more of them than the memory holds.

    Parameters
    ----------
    batches : iterable of array of float
        Shapes (n, 2), longitude and latitude in degrees; each is read when its turn comes.
    targets, max_distance_m, target_ids, bounds
        As in `link_nearest`; targets are points.

    Yields
    ------
    Links
        For each batch, with the bytes that `link_nearest` gives for its points.

    Raises
    ------
    GeometryError, ValueError
        As in `link_nearest`.

    Notes
    -----
    The tree of the targets is made once: about 150 bytes and two microseconds each.

    Examples
    --------
    >>> import numpy as np
    >>> batches = (np.array([[longitude, 31.95]]) for longitude in (35.9, 36.9))
    >>> list(link_batches(batches, np.array([[35.901, 31.95]]), max_distance_m=500))
    [Links(1 linked), Links(1 too_far)]
    """
    check_limit(max_distance_m)
    nobody = np.empty((0, 2))
    known = asked_of_points(nobody, targets, target_ids, None, None)
    tree = TargetTree(known.usable_targets, known.target_rank)
    within = Bounds(*bounds) if bounds else bounds_of(*known.usable_targets)
    choice = np.append(known.choice, -1)
    for batch in batches:
        read = read_points(batch, "points")
        links = _nothing_linked(
            position_status(*read), known.target_status, max_distance_m, DEFAULT_POSITION_ERROR_M
        )
        usable = np.flatnonzero(links.status == LinkStatus.LINKED)
        found = nearest_in(tree, read.positions(usable), max_distance_m=max_distance_m)
        _fill(links, usable, choice[found.target], found.distance_m, found.second_distance_m)
        _tell_swaps(read, links.status, within)
        yield links


def _linked_to_lines(
    asked: AskedOfLines,
    max_distance_m: float,
    bounds: tuple[float, float, float, float] | None,
    position_error_m: float,
) -> Links:
    found = nearest_lines(
        asked.points.positions(asked.usable),
        asked.lines,
        max_distance_m=max_distance_m,
        target_rank=asked.target_rank,
        group=asked.group,
        target_group=asked.target_group,
    )
    links = _nothing_linked(asked.status, asked.lines.status, max_distance_m, position_error_m)
    _fill(links, asked.usable, found.target, found.distance_m, found.second_distance_m)
    foot_deg = np.full((2, len(links)), np.nan)
    foot_deg[:, asked.usable] = found.foot_longitude_deg, found.foot_latitude_deg
    within = Bounds(*bounds) if bounds else bounds_of(asked.lines.longitude_deg, asked.lines.latitude_deg)
    _tell_swaps(asked.points, links.status, within)
    return replace(links, foot_longitude_deg=foot_deg[0], foot_latitude_deg=foot_deg[1])


def _fill(
    links: Links, usable: NDArray[np.intp], target: NDArray[np.intp], distance_m: Floats, second_m: Floats
) -> None:
    """Write what was found for the usable rows; the other sound ones are too far."""
    links.status[links.status == LinkStatus.LINKED] = LinkStatus.TOO_FAR
    links.status[usable[target >= 0]] = LinkStatus.LINKED
    links.target[usable] = target
    links.distance_m[usable] = distance_m
    links.second_distance_m[usable] = second_m


def _nothing_linked(
    status: NDArray[np.uint8],
    target_status: NDArray[np.uint8],
    max_distance_m: float,
    position_error_m: float,
) -> Links:
    target, nothing = np.full(len(status), -1), np.full(len(status), np.nan)
    return Links(
        target, nothing, nothing.copy(), status, target_status, float(max_distance_m), float(position_error_m)
    )


def _tell_swaps(asked: Read, status: NDArray[np.uint8], bounds: Bounds | None) -> None:
    """Mark points that found nothing, and would lie in the network with their coordinates exchanged."""
    if bounds is None:
        return
    lost = np.flatnonzero((status == LinkStatus.TOO_FAR) | (status == LinkStatus.OUT_OF_RANGE))
    swapped = suspected_swaps(asked.longitude_deg[lost], asked.latitude_deg[lost], bounds)
    status[lost[swapped]] = LinkStatus.SUSPECTED_SWAP
