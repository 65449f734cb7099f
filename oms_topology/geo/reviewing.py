"""What a person should look at: links that are not sure, points without one, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from oms_topology.geo.candidates import nearest_candidates
from oms_topology.geo.linking import LinkStatus, link_nearest
from oms_topology.geo.nearest import LONGEST_LIMIT_M
from oms_topology.geo.reading import has_lines, read_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.linking import Links

__all__ = ["SURE", "certainty", "link_columns", "work_list"]

SURE: Final = 0.7
"""The confidence from which on a link needs no second look, unless somebody says otherwise."""

_LOOK_FARTHER: Final = 10
_PLACED: Final = (LinkStatus.LINKED, LinkStatus.TOO_FAR, LinkStatus.NO_CAPACITY)
_METRES_PER_DEGREE: Final = 111_200.0

Columns = dict[str, "NDArray[Any]"]


def link_columns(points: Any, links: Links, *, point_ids: NDArray[Any], target_ids: NDArray[Any]) -> Columns:
    """Give links as columns with ids, ready for a frame or a file.

    Parameters
    ----------
    points : as in `link_nearest`
        What was linked.
    links : Links
        The links of these points.
    point_ids, target_ids : array of str
        Shapes (n,) and (m,).

    Returns
    -------
    dict of str to array
        ``id``, ``longitude`` and ``latitude`` in degrees, ``target`` (its id, empty for none),
        ``distance_m``, ``second_distance_m``, ``confidence`` (NaN for none), ``status`` and ``rule``; in the
        order of the points.

    Examples
    --------
    >>> import numpy as np
    >>> import oms_topology as omt
    >>> points, pillars = np.array([[35.9, 31.95]]), np.array([[35.901, 31.95]])
    >>> links = omt.link_nearest(points, pillars, max_distance_m=500)
    >>> link_columns(points, links, point_ids=np.array(["M1"]), target_ids=np.array(["DP7"]))["target"]
    array(['DP7'], dtype='<U3')
    """
    read = read_points(points, "points")
    return {
        "id": np.asarray(point_ids),
        "longitude": read.longitude_deg,
        "latitude": read.latitude_deg,
        "target": np.append(target_ids, "")[links.target],
        "distance_m": links.distance_m,
        "second_distance_m": links.second_distance_m,
        "confidence": links.confidence,
        "status": links.status_names,
        "rule": np.full(len(links), links.rule),
    }


def work_list(
    points: Any,
    targets: Any,
    links: Links,
    *,
    point_ids: NDArray[Any],
    target_ids: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
    sure: float = SURE,
    also: NDArray[np.bool_] | None = None,
    shown: int = 3,
) -> Columns:
    """List the points whose link is not sure, or that have none, with the targets that could be right.

    Parameters
    ----------
    points, targets, groups, target_groups : as in `link_nearest`
        What was linked to what.
    links : Links
        The links of these points.
    point_ids, target_ids : array of str
        Shapes (n,) and (m,).
    sure : float
        Links of at least this confidence are left out,
    also : array of bool, optional
        but for these points, shape (n,): such as those of whom two rules say different things.
    shown : int
        How many candidates to give for each point: the nearest ones, up to ten times the limit away. Where
        targets are lines, only the first is known.

    Returns
    -------
    dict of str to array
        The columns of `link_columns`, and ``candidate_1``, ``candidate_1_m``, ...: ids (empty for none) and
        metres (NaN). The least sure first, points without a link last, equal ones in the order of ids. A
        point without a usable position has no candidates.

    Examples
    --------
    >>> import numpy as np
    >>> import oms_topology as omt
    >>> points = np.array([[35.9, 31.95], [35.9005, 31.95], [35.97, 31.95]])
    >>> pillars, names = np.array([[35.9, 31.95], [35.901, 31.95]]), np.array(["DP1", "DP2"])
    >>> links = omt.link_nearest(points, pillars, max_distance_m=500)
    >>> rows = work_list(points, pillars, links, point_ids=np.array(["M1", "M2", "M3"]), target_ids=names)
    >>> rows["id"].tolist(), rows["status"].tolist(), rows["candidate_2"].tolist()
    (['M2', 'M3'], ['linked', 'too_far'], ['DP2', ''])
    """
    confidence = links.confidence
    doubtful = ~(confidence >= sure)
    rows = np.flatnonzero(doubtful if also is None else doubtful | also)
    rows = rows[np.lexsort((np.asarray(point_ids)[rows], confidence[rows]))]
    every = link_columns(points, links, point_ids=point_ids, target_ids=target_ids)
    listed = {name: column[rows] for name, column in every.items()}
    groups = None if groups is None else np.asarray(groups)[rows]
    target, distance_m = _candidates(
        np.column_stack([listed["longitude"], listed["latitude"]]),
        targets,
        shown,
        min(links.max_distance_m * _LOOK_FARTHER, LONGEST_LIMIT_M),
        {"target_ids": target_ids, "groups": groups, "target_groups": target_groups},
    )
    names = np.append(target_ids, "")
    for place in range(shown):
        listed[f"candidate_{place + 1}"] = names[target[:, place]]
        listed[f"candidate_{place + 1}_m"] = distance_m[:, place]
    return listed


def _candidates(
    points: NDArray[np.float64], targets: Any, shown: int, limit_m: float, how: dict[str, Any]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Give rows of targets and metres, shape (n, shown)."""
    if not has_lines(targets):
        found = nearest_candidates(points, targets, shown, limit_m, **how)
        return found.target, found.distance_m
    target, distance_m = np.full((len(points), shown), -1), np.full((len(points), shown), np.nan)
    links = link_nearest(points, targets, max_distance_m=limit_m, **how)
    target[:, 0], distance_m[:, 0] = links.target, links.distance_m
    return target, distance_m


def certainty(
    points: Any,
    links: Links,
    *,
    groups: NDArray[Any] | None = None,
    cell_m: float = 500.0,
    sure: float = SURE,
) -> Columns:
    """Say how sure the links of each part of the town are.

    Parameters
    ----------
    points : as in `link_nearest`
        What was linked.
    links : Links
        The links of these points.
    groups : array, optional
        The part that each point belongs to, such as its substation; cells of a grid if not given.
    cell_m : float
        How wide and high a cell is, in metres.
    sure : float
        The confidence from which on a link counts as sure.

    Returns
    -------
    dict of str to array
        One row for each part with at least one usable position: ``part``, ``longitude`` and ``latitude`` of
        its middle, ``points``, ``linked``, ``unsure`` (links below ``sure``), ``expected_right`` (the mean
        confidence of the links, NaN without any). The least sure first, parts without a link last. O(n log
        n).

    Examples
    --------
    >>> import numpy as np
    >>> import oms_topology as omt
    >>> points = np.array([[35.9, 31.95], [35.9005, 31.95], [35.97, 31.95]])
    >>> links = omt.link_nearest(points, np.array([[35.9, 31.95], [35.901, 31.95]]), max_distance_m=500)
    >>> parts = certainty(points, links, groups=np.array(["north", "south", "south"]))
    >>> parts["part"].tolist(), parts["linked"].tolist(), parts["expected_right"].round(2).tolist()
    (['south', 'north'], [1, 1], [0.3, 0.99])
    """
    read = read_points(points, "points")
    placed = np.flatnonzero(np.isin(links.status, _PLACED))
    longitude, latitude = read.longitude_deg[placed], read.latitude_deg[placed]
    named = _cells(longitude, latitude, cell_m) if groups is None else np.asarray(groups)[placed]
    part, at = np.unique(named, return_inverse=True)
    confidence = links.confidence[placed]
    is_linked = np.isfinite(confidence)
    counts, linked = np.bincount(at, minlength=len(part)), np.bincount(at[is_linked], minlength=len(part))
    with np.errstate(invalid="ignore"):
        expected = np.bincount(at, np.nan_to_num(confidence), minlength=len(part)) / linked
    columns = {
        "part": part,
        "longitude": np.bincount(at, longitude, minlength=len(part)) / np.maximum(counts, 1),
        "latitude": np.bincount(at, latitude, minlength=len(part)) / np.maximum(counts, 1),
        "points": counts,
        "linked": linked,
        "unsure": np.bincount(at[is_linked & (confidence < sure)], minlength=len(part)),
        "expected_right": expected,
    }
    order = np.lexsort((part, expected))
    return {name: column[order] for name, column in columns.items()}


def _cells(
    longitude_deg: NDArray[np.float64], latitude_deg: NDArray[np.float64], cell_m: float
) -> NDArray[np.str_]:
    """Name the cell of each position by its south-western corner."""
    height_deg = cell_m / _METRES_PER_DEGREE
    south_deg = np.floor(latitude_deg / height_deg) * height_deg
    width_deg = height_deg / np.maximum(np.cos(np.radians(south_deg)), 1e-6)
    west_deg = np.floor(longitude_deg / width_deg) * width_deg
    corners = np.column_stack([south_deg, west_deg])
    different, at = np.unique(corners, axis=0, return_inverse=True)
    names = np.array([f"{south:.5f},{west:.5f}" for south, west in different.tolist()], dtype=np.str_)
    return names[at] if len(names) else np.empty(0, dtype=np.str_)
