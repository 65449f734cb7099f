"""The several nearest targets of each point, in the exact order of their distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from oms_topology.geo.asking import asked_of_points, check_limit
from oms_topology.geo.geodesy import (
    ROUNDING_M,
    SERIES_LIMIT_M,
    Floats,
    geodesic_at_most_m,
    geodesic_from_short_chord_m,
)
from oms_topology.geo.nearest import measured_m
from oms_topology.geo.places import Places, places_of
from oms_topology.geo.target_tree import TargetTree, in_space
from oms_topology.geo.threads import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Candidates", "nearest_candidates"]

_CHUNK: Final = 400_000
"""Candidates asked for at a time."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidates:
    """The nearest targets of each point, row by row.

    Attributes
    ----------
    target : array of int
        Rows of the targets, nearest first, shape (n, k); -1 where there are no more within the limit.
    distance_m : array of float
        Geodesic metres to them, shape (n, k); NaN where there is none.
    status : array of uint8
        Codes of `PositionStatus` for each point; one that is not usable has no candidates.
    target_status : array of uint8
        The same for each target; one that is not usable is nobody's candidate.
    """

    target: NDArray[np.intp]
    distance_m: Floats
    status: NDArray[np.uint8]
    target_status: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.target)

    def __repr__(self) -> str:
        found = np.count_nonzero(self.target >= 0)
        return f"Candidates({len(self):,} points, {found:,} candidates)"


def nearest_candidates(
    points: Any,
    targets: Any,
    k: int,
    max_distance_m: float,
    *,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
) -> Candidates:
    """Find the k nearest targets of each point, by the geodesic on the WGS84 ellipsoid.

    Parameters
    ----------
    points, targets : GeoSeries, GeoDataFrame, sequence of shapely points, or array of float of shape (n, 2)
        Longitude and latitude in degrees, in this order.
    k : int
        How many for each point, at least 1.
    max_distance_m : float
        Targets farther than this many metres are no candidates; above 0, at most 10,000 km.
    target_ids : sequence of str or int, optional
        Equally near targets stand in the order of these, or of rows if not given.
    groups, target_groups : sequence of str or int, optional
        Only targets of the same group as the point, as in `link_nearest`.

    Returns
    -------
    Candidates
        Shapes (n, k). It depends neither on the order of rows (with ``target_ids``) nor on the number of
        processors; the first column is the target of `link_nearest`.

    Raises
    ------
    GeometryError
        For a missing or another coordinate reference system than WGS84 longitude and latitude, and for what
        is no point.
    ValueError
        For k below 1, a limit out of its range, and ids or groups that are not one for each row.

    Notes
    -----
    O((n + m) log m + n k). Distances up to 2 km are within 0.2 micrometres of those of pyproj's ``Geod``,
    longer ones equal to them; the order is that of ``Geod``.

    Examples
    --------
    >>> from shapely import Point
    >>> pillars = [Point(35.9010, 31.95), Point(35.8995, 31.95), Point(35.9010, 31.95)]
    >>> found = nearest_candidates([Point(35.9, 31.95), None], pillars, 3, 500, target_ids=["C", "B", "A"])
    >>> found.target.tolist(), found.distance_m[0].round(1).tolist()
    ([[1, 2, 0], [-1, -1, -1]], [47.3, 94.5, 94.5])
    """
    check_limit(max_distance_m)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    asked = asked_of_points(points, targets, target_ids, groups, target_groups)
    places = places_of(*asked.usable_points, asked.group)
    tree = TargetTree(asked.usable_targets, asked.target_rank, asked.target_group)
    found = _nearest_of_places(places, tree, k, max_distance_m)
    target = np.full((len(asked.status), k), -1)
    distance_m = np.full((len(asked.status), k), np.nan)
    rows = places.to_rows(found.target)
    target[asked.usable] = np.append(asked.choice, -1)[rows]
    distance_m[asked.usable] = places.to_rows(found.distance_m)
    return Candidates(target, distance_m, asked.status, asked.target_status)


class _Found(NamedTuple):
    target: NDArray[np.intp]
    distance_m: Floats


class _Members(NamedTuple):
    """The targets at each place, lowest rank first."""

    rows: NDArray[np.intp]
    ranks: NDArray[np.intp]
    first: NDArray[np.intp]
    counts: NDArray[np.intp]


def _nearest_of_places(asked: Places, targets: TargetTree, k: int, max_distance_m: float) -> _Found:
    count = len(asked.longitude_deg)
    found = _Found(np.full((count, k), -1), np.full((count, k), np.nan))
    if not len(targets.rank):
        return found
    # One more of each: the place that stands for "none" has no targets.
    counts, first = np.append(targets.counts, 0), np.append(targets.first_of_place, 0)
    ranks = targets.ranks_by_place()
    members = _Members(targets.row_of_rank[ranks], ranks, first, counts)

    def answer(part: slice) -> None:
        into = _Found(found.target[part], found.distance_m[part])
        _search(asked.part(part), targets, members, max_distance_m, into)

    in_parts(answer, count, max(1, _CHUNK // (k + 1)))
    return found


def _search(
    asked: Places,
    targets: TargetTree,
    members: _Members,
    max_distance_m: float,
    found: _Found,
) -> None:
    """Fill in what is found for some places: by chord where that is proven, else by measuring."""
    k = found.target.shape[1]
    at_m = in_space(asked)
    place, chord_m = targets.nearest(at_m, k + 1, max_distance_m + ROUNDING_M)
    is_open = _is_open(chord_m, max_distance_m)

    clear = np.flatnonzero(~is_open)
    _spread(place[clear], geodesic_from_short_chord_m(chord_m[clear]), members, clear, found)

    if len(doubtful := np.flatnonzero(is_open)):
        known_m = np.where(np.isfinite(chord_m[doubtful, :k]), chord_m[doubtful, :k], 0).max(axis=1)
        reach_m = np.minimum(geodesic_at_most_m(known_m), max_distance_m) + ROUNDING_M
        row, near = targets.within(at_m[doubtful], reach_m)
        _measure(asked, doubtful[row], near, targets, members, max_distance_m, found)


def _is_open(chord_m: Floats, max_distance_m: float) -> NDArray[np.bool_]:
    """Tell which rows chords leave open: by their order, by the limit, or by their length."""
    is_there = np.isfinite(chord_m)
    bound_m = geodesic_at_most_m(chord_m) + ROUNDING_M
    is_unordered = is_there[:, 1:] & (chord_m[:, 1:] <= bound_m[:, :-1])
    is_long = is_there & ((chord_m > SERIES_LIMIT_M) | (bound_m > max_distance_m))
    return np.asarray(is_unordered.any(axis=1) | is_long.any(axis=1))


def _spread(
    place: NDArray[np.intp],
    length_m: Floats,
    members: _Members,
    into: NDArray[np.intp],
    found: _Found,
) -> None:
    """Take the first targets of places that are in order."""
    up_to = members.counts[place].cumsum(axis=1)
    rows = np.arange(len(place))
    for slot in range(found.target.shape[1]):
        column = np.minimum((up_to <= slot).sum(axis=1), place.shape[1] - 1)
        is_there = up_to[rows, column] > slot
        at = place[rows, column]
        offset = slot - (up_to[rows, column] - members.counts[at])
        member = np.where(is_there, members.first[at] + offset, 0)
        found.target[into, slot] = np.where(is_there, members.rows[member], -1)
        found.distance_m[into, slot] = np.where(is_there, length_m[rows, column], np.nan)


def _measure(
    asked: Places,
    point: NDArray[np.intp],
    place: NDArray[np.intp],
    targets: TargetTree,
    members: _Members,
    max_distance_m: float,
    found: _Found,
) -> None:
    """Measure pairs of point and place, and take the first targets of each point in the order of lengths."""
    length_m = measured_m(asked, point, targets, place)
    within = np.flatnonzero(length_m <= max_distance_m)
    counts = members.counts[place[within]]
    pair = np.repeat(within, counts)
    offset = np.arange(len(pair)) - np.repeat(counts.cumsum() - counts, counts)
    member = members.first[place[pair]] + offset
    order = np.lexsort((members.ranks[member], length_m[pair], point[pair]))
    point, row, length_m = point[pair][order], members.rows[member[order]], length_m[pair][order]
    begins = np.flatnonzero(np.diff(point, prepend=-1))
    slot = np.arange(len(point)) - np.repeat(begins, np.diff(begins, append=len(point)))
    taken = slot < found.target.shape[1]
    found.target[point[taken], slot[taken]] = row[taken]
    found.distance_m[point[taken], slot[taken]] = length_m[taken]
