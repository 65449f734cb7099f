"""No target takes more than it can; the nearest are kept; the order of rows decides nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

import oms_topology as omt
from oms_topology.geo.assignment import Offers, deferred_acceptance, least_total_distance

TRANSFORMERS = [Point(35.9001, 31.9501), Point(35.91, 31.95)]


def by_pairs(offers: Offers, rank: np.ndarray) -> np.ndarray:
    """Take all pairs in the order of distance, target, and rank of the point, one after the other."""
    points, columns = np.nonzero(offers.target >= 0)
    pairs = zip(points, columns, strict=True)
    left, chosen = offers.capacity.copy(), np.full(len(rank), -1)
    for point, column in sorted(
        pairs, key=lambda pair: (offers.distance_m[pair], offers.target[pair], rank[pair[0]])
    ):
        target = offers.target[point, column]
        if chosen[point] < 0 and left[target] >= 1:
            chosen[point] = column
            left[target] -= 1
    return chosen


def best_of_all(offers: Offers) -> tuple[int, float]:
    """Try every way: as many as possible, and of these the least sum."""
    count, width = offers.target.shape
    best = (0, 0.0)
    for ways in product(range(-1, width), repeat=count):
        chosen = [(row, column) for row, column in enumerate(ways) if column >= 0]
        if any(offers.target[pair] < 0 for pair in chosen):
            continue
        load = np.zeros(len(offers.capacity))
        for row, column in chosen:
            load[offers.target[row, column]] += offers.demand[row]
        if (load <= offers.capacity + 1e-9).all():
            best = min(best, (-len(chosen), float(sum(offers.distance_m[pair] for pair in chosen))))
    return best


@st.composite
def some_offers(draw: st.DrawFn, points: int, width: int, *, alike: bool) -> Offers:
    count, targets = draw(st.integers(1, points)), draw(st.integers(width, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    target = np.array([rng.permutation(targets)[:width] for _ in range(count)])
    # Few different distances, so that there are ties.
    distance_m = rng.integers(1, draw(st.integers(2, 50)), target.shape).astype(float)
    order = np.lexsort((target, distance_m), axis=1)
    target, distance_m = (np.take_along_axis(table, order, axis=1) for table in (target, distance_m))
    behind = np.arange(width) >= rng.integers(0, width + 1, count)[:, None]
    target[behind], distance_m[behind] = -1, np.nan
    demand = np.ones(count) if alike else rng.integers(1, 30, count) / 10
    return Offers(target, distance_m, rng.integers(0, 5, targets).astype(float), demand)


@given(offers=some_offers(40, 4, alike=True), seed=st.integers(0, 2**32 - 1))
def test_equal_demands_are_met_as_if_pairs_were_taken_by_distance(offers: Offers, seed: int) -> None:
    rank = np.random.default_rng(seed).permutation(len(offers.demand))
    assert deferred_acceptance(offers, rank).tolist() == by_pairs(offers, rank).tolist()


@given(offers=some_offers(40, 4, alike=False), seed=st.integers(0, 2**32 - 1))
def test_nobody_is_overloaded_and_the_order_of_rows_decides_nothing(offers: Offers, seed: int) -> None:
    rank = np.arange(len(offers.demand))
    column = deferred_acceptance(offers, rank)
    got = np.flatnonzero(column >= 0)
    load = np.bincount(offers.target[got, column[got]], offers.demand[got], minlength=len(offers.capacity))
    assert (load <= offers.capacity + 1e-9).all()
    # Who has nothing would fit nowhere.
    for row in np.flatnonzero(column < 0):
        asked = offers.target[row][offers.target[row] >= 0]
        assert (offers.capacity[asked] - load[asked] < offers.demand[row] - 1e-9).all()
    order = np.random.default_rng(seed).permutation(len(rank))
    mixed = Offers(offers.target[order], offers.distance_m[order], offers.capacity, offers.demand[order])
    assert deferred_acceptance(mixed, rank[order]).tolist() == column[order].tolist()


@pytest.mark.parametrize("alike", [True, False])
def test_the_least_sum_is_that_of_all_ways_tried(alike: bool) -> None:
    @given(offers=some_offers(5, 3, alike=alike))
    def compare(offers: Offers) -> None:
        column = least_total_distance(offers)
        got = np.flatnonzero(column >= 0)
        count, total_m = best_of_all(offers)
        assert -len(got) == count
        assert offers.distance_m[got, column[got]].sum() == pytest.approx(total_m)

    compare()


def test_links_say_what_became_of_who_was_turned_away() -> None:
    meters = [Point(35.9000, 31.95), Point(35.9001, 31.95), Point(35.9002, 31.95), None, Point(35.7, 31.95)]
    links = omt.link_within_capacity(meters, TRANSFORMERS, [1, 1], max_distance_m=2_000)
    assert links.status_names.tolist() == ["no_capacity", "linked", "linked", "no_position", "too_far"]
    assert links.target.tolist() == [-1, 0, 1, -1, -1]
    assert links.rule == "capacity"
    # The second link is to what is not the nearest, and is not trusted.
    assert links.second_distance_m[2] < links.distance_m[2]
    assert links.confidence[2] <= 0.3 < links.confidence[1]
    assert np.isnan(links.confidence[[0, 3, 4]]).all()
    free = omt.link_within_capacity(meters, TRANSFORMERS, [np.inf, 0], max_distance_m=2_000)
    nearest = omt.link_nearest(meters, TRANSFORMERS, max_distance_m=2_000)
    for name in ("target", "distance_m", "second_distance_m", "status", "confidence"):
        np.testing.assert_array_equal(getattr(free, name), getattr(nearest, name))


@pytest.mark.parametrize("least_total", [False, True])
def test_ids_and_not_rows_decide(least_total: bool) -> None:
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 0.002, (60, 2)).round(4)
    points, targets = places[rng.integers(0, 60, 150)], places[:30]
    names, codes = rng.permutation(150).astype(str), rng.permutation(30).astype(str)
    capacity, demand = rng.integers(1, 8, 30), np.ones(150) if least_total else rng.uniform(0.5, 2, 150)

    def named(order: np.ndarray, choice: np.ndarray) -> dict[str, str]:
        links = omt.link_within_capacity(
            points[order],
            targets[choice],
            capacity[choice],
            max_distance_m=150,
            demand=demand[order],
            least_total=least_total,
            point_ids=names[order],
            target_ids=codes[choice],
        )
        found = np.append(codes[choice], "")[links.target]
        return dict(zip(names[order].tolist(), found.tolist(), strict=True))

    first = named(np.arange(150), np.arange(30))
    assert len(set(first.values())) > 10
    for _ in range(3):
        assert named(rng.permutation(150), rng.permutation(30)) == first


@pytest.mark.parametrize(
    ("capacity", "demand", "said"),
    [
        ([1], None, "capacity must be one for each"),
        ([1, -1], None, "not -1.0 as in row 1"),
        ([1, np.nan], None, "not nan"),
        ([1, 1], [1, 2], "demand must be one for each"),
    ],
)
def test_amounts_that_cannot_be_are_refused(capacity: list[float], demand: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        omt.link_within_capacity(
            [Point(35.9, 31.95)], TRANSFORMERS, capacity, max_distance_m=500, demand=demand
        )
