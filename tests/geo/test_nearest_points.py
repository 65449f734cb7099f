"""The nearest target is the one that measuring every pair finds, everywhere on earth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.geo.coordinates import Positions
from oms_topology.geo.nearest import Nearest, nearest_points
from tests.geo.brute_force import GEOD, all_lengths_m, nearest_by_brute_force, scattered

AROUND = {
    "Amman, on the edge of two zones": (36.0, 31.95, 0.02, 500.0),
    "rural Jordan": (36.8, 30.5, 0.5, 5_000.0),
    "Tromso": (18.95, 69.65, 0.03, 500.0),
    "Longyearbyen": (15.63, 78.22, 0.05, 500.0),
    "Fiji, across the antimeridian": (180.0, -16.8, 0.05, 800.0),
    "Quito": (-78.5, 0.0, 0.02, 500.0),
    "the pole": (0.0, 89.9995, 179.0, 60_000.0),
    "the south pole": (0.0, -89.0, 180.0, 900_000.0),
    "a sparse country": (36.0, 31.0, 2.0, 20_000.0),
    "the world": (1.0, 0.0, 179.0, 10_000_000.0),
}


def same(found: Nearest, expected: Nearest, within_m: float = 2e-7) -> None:
    np.testing.assert_array_equal(found.target, expected.target)
    np.testing.assert_allclose(found.distance_m, expected.distance_m, rtol=0, atol=within_m)
    np.testing.assert_allclose(found.second_distance_m, expected.second_distance_m, rtol=0, atol=within_m)


@pytest.mark.parametrize("where", AROUND)
def test_every_pair_measured_gives_the_same(where: str) -> None:
    *place, max_distance_m = AROUND[where]
    rng = np.random.default_rng(len(where))
    points, targets = scattered(rng, 400, *place), scattered(rng, 300, *place)
    found = nearest_points(points, targets, max_distance_m=max_distance_m)
    same(found, nearest_by_brute_force(points, targets, max_distance_m))
    assert np.count_nonzero(found.target >= 0) > 0


@pytest.mark.parametrize("length_m", [300.0, 5_000.0, 50_000.0, 900_000.0])
@pytest.mark.parametrize("latitude_deg", [0.0, 31.95, 69.65, 89.0])
def test_where_chords_alone_are_wrong(length_m: float, latitude_deg: float) -> None:
    """Rings of targets around each point, all but equally far: less apart than the bound leaves open."""
    rng = np.random.default_rng(int(length_m))
    points = scattered(rng, 20, 36.0, latitude_deg, 0.5)
    open_m = length_m * (length_m / 6.335e6) ** 2 / 24
    longitude, latitude = [], []
    for at in zip(*points, strict=True):
        radius_m = length_m + rng.uniform(0, open_m, 8) * 0.02
        ring = GEOD.fwd(np.full(8, at[0]), np.full(8, at[1]), np.arange(8) * 45.0, radius_m)
        longitude.append(ring[0])
        latitude.append(ring[1])
    targets = Positions(np.concatenate(longitude), np.concatenate(latitude))
    found = nearest_points(points, targets, max_distance_m=length_m * 1.01)
    same(found, nearest_by_brute_force(points, targets, length_m * 1.01))


LONGITUDE = st.sampled_from([-180.0, -179.999999, 0.0, 35.9, 35.9000001, 36.0, 180.0]) | st.floats(-180, 180)
LATITUDE = st.sampled_from([-90.0, 0.0, 31.9, 31.9000001, 78.0, 89.9999999, 90.0]) | st.floats(-90, 90)
SOME = st.lists(st.tuples(LONGITUDE, LATITUDE), max_size=12)


def positions(pairs: list[tuple[float, float]]) -> Positions:
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return Positions(table[:, 0].copy(), table[:, 1].copy())


@given(points=SOME, targets=SOME, max_distance_m=st.sampled_from([0.01, 500.0, 3_000.0, 2e6, 1e7]))
def test_any_positions_at_all(
    points: list[tuple[float, float]], targets: list[tuple[float, float]], max_distance_m: float
) -> None:
    """Poles, the antimeridian by both its names, identical places, and ties among them."""
    asked, offered = positions(points), positions(targets + points[:3])
    found = nearest_points(asked, offered, max_distance_m=max_distance_m)
    same(found, nearest_by_brute_force(asked, offered, max_distance_m))


def test_equally_near_targets_go_by_row_or_by_rank() -> None:
    points = positions([(36.0, 0.0)])
    targets = positions([(36.002, 0.0), (36.001, 0.0), (35.999, 0.0), (36.001, 0.0)])
    lengths = all_lengths_m(points, targets)[0]
    assert lengths[1] == lengths[2] == lengths[3]
    assert nearest_points(points, targets, max_distance_m=500).target.tolist() == [1]
    for rank, taken in (([0, 1, 2, 3], 1), ([0, 3, 2, 1], 3), ([3, 2, 0, 1], 2)):
        found = nearest_points(points, targets, max_distance_m=500, target_rank=np.array(rank))
        assert found.target.tolist() == [taken]
        assert found.second_distance_m[0] == found.distance_m[0] == lengths[1]


def test_a_target_exactly_at_the_limit_is_within() -> None:
    points, targets = positions([(36.0, 31.9)]), positions([(36.004, 31.9), (36.02, 31.9)])
    first_m, second_m = all_lengths_m(points, targets)[0]
    assert nearest_points(points, targets, max_distance_m=first_m).target.tolist() == [0]
    assert nearest_points(points, targets, max_distance_m=np.nextafter(first_m, 0)).target.tolist() == [-1]
    at_both = nearest_points(points, targets, max_distance_m=second_m)
    assert at_both.second_distance_m[0] == pytest.approx(second_m, abs=1e-7)
    below = nearest_points(points, targets, max_distance_m=np.nextafter(second_m, 0))
    assert np.isnan(below.second_distance_m[0])


def test_the_order_of_rows_changes_no_bit() -> None:
    rng = np.random.default_rng(5)
    points, targets = scattered(rng, 30_000, 36.0, 31.9, 0.2), scattered(rng, 3_000, 36.0, 31.9, 0.2)
    points = Positions(*(axis[rng.integers(0, 20_000, 30_000)] for axis in points))
    found = nearest_points(points, targets, max_distance_m=500)
    shuffled, moved = rng.permutation(30_000), rng.permutation(3_000)
    again = nearest_points(
        Positions(*(axis[shuffled] for axis in points)),
        Positions(*(axis[moved] for axis in targets)),
        max_distance_m=500,
        target_rank=moved,
    )
    was = np.where(again.target >= 0, moved[again.target], -1)
    np.testing.assert_array_equal(was, found.target[shuffled])
    np.testing.assert_array_equal(again.distance_m, found.distance_m[shuffled])
    np.testing.assert_array_equal(again.second_distance_m, found.second_distance_m[shuffled])


def test_nothing_asked_and_nothing_there() -> None:
    some, none = positions([(36.0, 31.9)]), positions([])
    assert nearest_points(none, some, max_distance_m=500).target.shape == (0,)
    assert nearest_points(some, none, max_distance_m=500).target.tolist() == [-1]
