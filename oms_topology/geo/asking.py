"""What is asked of the nearest: rows that can be used, and the order and groups of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oms_topology.geo.coordinates import Positions, position_status
from oms_topology.geo.grouping import group_numbers
from oms_topology.geo.nearest import LONGEST_LIMIT_M
from oms_topology.geo.reading import Lines, Read, read_lines, read_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Asked", "AskedOfLines", "asked_of_lines", "asked_of_points", "check_limit", "rank_of_ids"]


class Asked(NamedTuple):
    """Points and targets as read, and what of them can be used.

    Attributes
    ----------
    points, targets : Read
        All rows, in degrees.
    status, target_status : array of uint8
        Codes of `PositionStatus`, one for each row.
    usable, choice : array of int
        The rows of points, and of targets, that can be used.
    target_rank : array of int or None
        The place of each target of ``choice`` in the order of ids.
    group, target_group : array of int or None
        The groups of ``usable`` and of ``choice``.
    """

    points: Read
    targets: Read
    status: NDArray[np.uint8]
    target_status: NDArray[np.uint8]
    usable: NDArray[np.intp]
    choice: NDArray[np.intp]
    target_rank: NDArray[np.intp] | None
    group: NDArray[np.intp] | None
    target_group: NDArray[np.intp] | None

    @property
    def usable_points(self) -> Positions:
        """The positions of ``usable``."""
        return self.points.positions(self.usable)

    @property
    def usable_targets(self) -> Positions:
        """The positions of ``choice``."""
        return self.targets.positions(self.choice)


def asked_of_points(
    points: Any,
    targets: Any,
    target_ids: Sequence[Any] | NDArray[Any] | None,
    groups: Sequence[Any] | NDArray[Any] | None,
    target_groups: Sequence[Any] | NDArray[Any] | None,
) -> Asked:
    """Read points and targets as `link_nearest` documents them, and choose what can be used.

    Parameters
    ----------
    points, targets, target_ids, groups, target_groups
        As in `link_nearest`.

    Returns
    -------
    Asked
        Points and targets without a group are not among the usable ones where there are groups.

    Raises
    ------
    GeometryError
        For a wrong coordinate reference system, and for what is no point.
    ValueError
        For ids or groups that are not one for each row.

    Examples
    --------
    >>> from shapely import Point
    >>> asked_of_points([Point(1, 2), None], [Point(1, 2), Point(1, 2)], ["B", "A"], None, None).target_rank
    array([1, 0])
    """
    asked, offered = read_points(points, "points"), read_points(targets, "targets")
    status, target_status = position_status(*asked), position_status(*offered)
    numbers = group_numbers(groups, target_groups, len(status), len(target_status))
    can_ask, can_be = status == 0, target_status == 0
    if numbers is not None:
        can_ask &= numbers[0] >= 0
        can_be &= numbers[1] >= 0
    usable, choice = np.flatnonzero(can_ask), np.flatnonzero(can_be)
    rank = None if target_ids is None else rank_of_ids(target_ids, len(target_status), choice)
    group, target_group = (None, None) if numbers is None else (numbers[0][usable], numbers[1][choice])
    return Asked(asked, offered, status, target_status, usable, choice, rank, group, target_group)


class AskedOfLines(NamedTuple):
    """Points and lines as read, and what of them can be used.

    Attributes
    ----------
    points : Read
        All rows, in degrees.
    lines : Lines
        The vertices of lines that can be used.
    status : array of uint8
        Codes of `PositionStatus`, one for each point.
    usable : array of int
        The rows of points that can be used.
    target_rank, target_group : array of int or None
        The place of each line in the order of ids, and its group.
    group : array of int or None
        The groups of ``usable``.
    """

    points: Read
    lines: Lines
    status: NDArray[np.uint8]
    usable: NDArray[np.intp]
    target_rank: NDArray[np.intp] | None
    group: NDArray[np.intp] | None
    target_group: NDArray[np.intp] | None


def asked_of_lines(
    points: Any,
    targets: Any,
    target_ids: Sequence[Any] | NDArray[Any] | None,
    groups: Sequence[Any] | NDArray[Any] | None,
    target_groups: Sequence[Any] | NDArray[Any] | None,
) -> AskedOfLines:
    """Read points and lines as `link_nearest` documents them, and choose what can be used.

    Parameters
    ----------
    points, targets, target_ids, groups, target_groups
        As in `link_nearest`.

    Returns
    -------
    AskedOfLines
        Points without a group are not among the usable ones where there are groups.

    Raises
    ------
    GeometryError
        For a wrong coordinate reference system, and for what is no geometry.
    ValueError
        For ids or groups that are not one for each row.

    Examples
    --------
    >>> from shapely import LineString, Point
    >>> asked_of_lines([Point(1, 2), None], [LineString([(1, 2), (1, 3)])], None, None, None).usable
    array([0])
    """
    asked, lines = read_points(points, "points"), read_lines(targets, "targets")
    status = position_status(*asked)
    rank = None
    if target_ids is not None:
        rank = rank_of_ids(target_ids, len(lines.status), np.arange(len(lines.status)))
    numbers = group_numbers(groups, target_groups, len(status), len(lines.status))
    if numbers is None:
        return AskedOfLines(asked, lines, status, np.flatnonzero(status == 0), rank, None, None)
    usable = np.flatnonzero((status == 0) & (numbers[0] >= 0))
    return AskedOfLines(asked, lines, status, usable, rank, numbers[0][usable], numbers[1])


def check_limit(max_distance_m: float) -> None:
    """Raise ValueError for a limit that is not above 0, or beyond what is proven.

    Examples
    --------
    >>> check_limit(500.0)
    """
    if not 0 < max_distance_m <= LONGEST_LIMIT_M:
        raise ValueError(
            f"max_distance_m must be above 0 and at most {LONGEST_LIMIT_M:,.0f}, not {max_distance_m}"
        )


def rank_of_ids(
    target_ids: Sequence[Any] | NDArray[Any], count: int, usable: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Give each usable target its place in the order of ids; rows decide between equal ids.

    Parameters
    ----------
    target_ids : sequence of str or int
        One for each of ``count`` targets.
    count : int
        How many targets there are.
    usable : array of int
        Which of them can be used, shape (m,).

    Returns
    -------
    array of int
        A permutation of 0 to m - 1. O(count log count).

    Raises
    ------
    ValueError
        For ids that are not one for each target.

    Examples
    --------
    >>> import numpy as np
    >>> rank_of_ids(["C", "A", "B"], 3, np.array([0, 2]))
    array([1, 0])
    """
    ids = np.asarray(target_ids)
    if ids.shape != (count,):
        raise ValueError(
            f"target_ids must be one for each of the {count} targets, not of the shape {ids.shape}"
        )
    rank = np.empty(len(usable), dtype=np.intp)
    rank[np.argsort(ids[usable], kind="stable")] = np.arange(len(usable))
    return rank
