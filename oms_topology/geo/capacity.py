"""Links that no target is overloaded by: a transformer cannot feed nine hundred meters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.geo.asking import rank_of_ids
from oms_topology.geo.assignment import Offers, deferred_acceptance, least_total_distance
from oms_topology.geo.candidates import Candidates, nearest_candidates
from oms_topology.geo.confidence import DEFAULT_POSITION_ERROR_M
from oms_topology.geo.linking import Links, LinkStatus, link_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["link_within_capacity"]


def link_within_capacity(
    points: Any,
    targets: Any,
    capacity: Sequence[float] | Floats,
    *,
    max_distance_m: float,
    demand: Sequence[float] | Floats | None = None,
    candidates: int = 8,
    least_total: bool = False,
    point_ids: Sequence[Any] | NDArray[Any] | None = None,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    position_error_m: float = DEFAULT_POSITION_ERROR_M,
) -> Links:
    """Link each point to a near target that can still take it.

    Parameters
    ----------
    points, targets, max_distance_m, target_ids, groups, target_groups, bounds, position_error_m
        As in `link_nearest`.
    capacity : sequence of float
        How much each target can take, in meters, kVA or what you like, 0 or more; infinite for no limit. One
        for each target. Counted in thousandths, rounded down.
    demand : sequence of float, optional
        How much each point needs, in the same unit, 0 or more; 1 if not given. Counted in thousandths,
        rounded up.
    candidates : int
        How many of the nearest targets a point may be linked to, at least 1.
    least_total : bool
        Choose the least sum of distances of all ways that link as many points as possible, instead of letting
        targets keep the nearest who ask: exact, and for thousands of points rather than for millions.
    point_ids : sequence of str or int, optional
        One for each point: of equally near points that with the lowest id is kept. If not given, the row
        decides.

    Returns
    -------
    Links
        Of the rule ``"capacity"``, or ``"least_total"``. ``second_distance_m`` is the distance of the
        nearest of all other targets, and may be less than ``distance_m``. A point whose candidates are all
        taken has the status ``no_capacity``. It does not depend on the order of rows where there are ids for
        both sides; of several ways with the same least sum the solver chooses one, and always the same one.

    Raises
    ------
    GeometryError
        As in `link_nearest`.
    ValueError
        As in `link_nearest`, and for a capacity or a demand that is negative, NaN, or not one for each row.

    Notes
    -----
    A target keeps the nearest of those who ask, up to the first that does not fit; who is turned away asks
    the next nearest. Then what is left is given out in the same way. O((n + m) log m + n k log n).

    Examples
    --------
    >>> from shapely import Point
    >>> meters = [Point(35.9000, 31.95), Point(35.9001, 31.95), Point(35.9002, 31.95)]
    >>> transformers = [Point(35.9001, 31.9501), Point(35.91, 31.95)]
    >>> links = link_within_capacity(meters, transformers, [2, 1], max_distance_m=2_000)
    >>> links.target, links.distance_m.round(1)
    (array([0, 0, 1]), array([ 14.6,  11.1, 926.5]))
    """
    free = link_nearest(
        points,
        targets,
        max_distance_m=max_distance_m,
        target_ids=target_ids,
        groups=groups,
        target_groups=target_groups,
        bounds=bounds,
        position_error_m=position_error_m,
    )
    found = nearest_candidates(
        points,
        targets,
        candidates,
        max_distance_m,
        target_ids=target_ids,
        groups=groups,
        target_groups=target_groups,
    )
    offers = Offers(
        found.target,
        found.distance_m,
        _amounts(capacity, len(free.target_status), "capacity"),
        np.ones(len(free)) if demand is None else _amounts(demand, len(free), "demand"),
    )
    rows = np.arange(len(free))
    rank = rows if point_ids is None else rank_of_ids(point_ids, len(free), rows)
    column = _least_total(offers, rank, target_ids) if least_total else deferred_acceptance(offers, rank)
    return _linked(free, found, column, "least_total" if least_total else "capacity")


def _amounts(amounts: Sequence[float] | Floats, count: int, argument: str) -> Floats:
    numbers = np.asarray(amounts, dtype=np.float64)
    if numbers.shape != (count,):
        raise ValueError(
            f"{argument} must be one for each of the {count} rows, not of the shape {numbers.shape}"
        )
    if not (numbers >= 0).all():
        row = int(np.flatnonzero(~(numbers >= 0))[0])
        raise ValueError(f"{argument} must be 0 or more, not {numbers[row]} as in row {row}")
    return numbers


def _least_total(
    offers: Offers, rank: NDArray[np.intp], target_ids: Sequence[Any] | NDArray[Any] | None
) -> NDArray[np.intp]:
    """Let the solver see rows and targets in the order of their ids, which does not change."""
    count = len(offers.capacity)
    targets = np.arange(count)
    target_rank = targets if target_ids is None else rank_of_ids(target_ids, count, targets)
    order, capacity = np.argsort(rank), np.empty(count)
    capacity[target_rank] = offers.capacity
    renamed = np.append(target_rank, -1)[offers.target[order]]
    column = np.empty(len(order), dtype=np.intp)
    column[order] = least_total_distance(
        Offers(renamed, offers.distance_m[order], capacity, offers.demand[order])
    )
    return column


def _linked(free: Links, found: Candidates, column: NDArray[np.intp], rule: str) -> Links:
    """Put the chosen candidates in the place of the nearest."""
    target, status = np.full(len(free), -1), free.status.copy()
    distance_m, second_m = np.full(len(free), np.nan), free.second_distance_m.copy()
    got = np.flatnonzero(column >= 0)
    target[got], distance_m[got] = found.target[got, column[got]], found.distance_m[got, column[got]]
    moved = got[target[got] != free.target[got]]
    second_m[moved] = free.distance_m[moved]
    left_over = (free.status == LinkStatus.LINKED) & (column < 0)
    status[left_over] = LinkStatus.NO_CAPACITY
    second_m[left_over] = np.nan
    return replace(
        free, target=target, distance_m=distance_m, second_distance_m=second_m, status=status, rule=rule
    )
