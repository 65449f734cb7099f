"""Candidates stand in the order that measuring every pair gives, and groups do not mix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point

import oms_topology as omt
from oms_topology.geo.candidates import nearest_candidates
from oms_topology.geo.coordinates import Positions
from tests.geo.brute_force import all_lengths_m, scattered

PLACE = st.sampled_from(
    [(36.0, 0.0), (36.001, 0.0), (35.999, 0.0), (36.0, 0.0005), (180.0, 5.0), (-180.0, 5.0)]
)
ANY = PLACE | st.tuples(st.floats(35.99, 36.01), st.floats(-0.01, 0.01)) | st.just((0.0, 0.0))


def expected_of(
    points: np.ndarray, targets: np.ndarray, k: int, limit_m: float, allowed: np.ndarray, ids: list[int]
):
    """Rows and lengths of the nearest of those allowed, by every pair measured, ties by id."""
    sound = [~(table == 0).all(axis=1) for table in (points, targets)]
    lengths = all_lengths_m(Positions(*points.T), Positions(*targets.T))
    lengths[~allowed | (lengths > limit_m) | ~sound[0][:, None] | ~sound[1][None, :]] = np.inf
    rows, metres = np.full((len(points), k), -1), np.full((len(points), k), np.nan)
    for point, row in enumerate(lengths):
        order = sorted(np.flatnonzero(np.isfinite(row)), key=lambda target: (row[target], ids[target]))[:k]
        rows[point, : len(order)] = order
        metres[point, : len(order)] = row[order]
    return rows, metres


@settings(max_examples=60)
@given(
    points=st.lists(ANY, min_size=1, max_size=8),
    targets=st.lists(ANY, min_size=1, max_size=12),
    k=st.integers(1, 6),
    limit_m=st.sampled_from([200.0, 3_000.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_any_candidates_and_groups(
    points: list[tuple[float, float]],
    targets: list[tuple[float, float]],
    k: int,
    limit_m: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.permutation(len(targets)).tolist()
    groups = rng.choice(np.array(["SS1", "SS2", "SS9", None], dtype=object), len(points))
    of_targets = rng.choice(np.array(["SS1", "SS2", None], dtype=object), len(targets))
    asked, offered = np.array(points), np.array(targets)
    same = np.array([[left is not None and left == right for right in of_targets] for left in groups])
    for grouped, allowed in ((False, np.ones_like(same)), (True, same)):
        options = {"target_ids": ids}
        if grouped:
            options |= {"groups": groups, "target_groups": of_targets}
        rows, metres = expected_of(asked, offered, k, limit_m, allowed, ids)
        found = nearest_candidates(asked, offered, k, limit_m, **options)
        np.testing.assert_array_equal(found.target, rows)
        np.testing.assert_allclose(found.distance_m, metres, rtol=0, atol=2e-7)
        links = omt.link_nearest(asked, offered, max_distance_m=limit_m, **options)
        np.testing.assert_array_equal(links.target, rows[:, 0])


@pytest.mark.parametrize("grouped", [False, True])
def test_a_town_with_pillars_at_one_place_in_any_order(grouped: bool) -> None:
    rng = np.random.default_rng(5)
    points, targets = scattered(rng, 3_000, 36.0, 31.9, 0.02), scattered(rng, 300, 36.0, 31.9, 0.02)
    targets = Positions(*(np.concatenate([axis, axis[:150], axis[:50]]) for axis in targets))
    asked, offered = np.column_stack(points), np.column_stack(targets)
    group, of_target = rng.integers(0, 5, 3_000), rng.integers(0, 5, 500)
    allowed = group[:, None] == of_target if grouped else np.ones((3_000, 500), dtype=bool)
    rows, metres = expected_of(asked, offered, 5, 600, allowed, list(range(500)))
    options = {"groups": group, "target_groups": of_target} if grouped else {}
    found = nearest_candidates(asked, offered, 5, 600, **options)
    np.testing.assert_array_equal(found.target, rows)
    np.testing.assert_allclose(found.distance_m, metres, rtol=0, atol=2e-7)
    shuffled, moved = rng.permutation(3_000), rng.permutation(500)
    options = {"groups": group[shuffled], "target_groups": of_target[moved]} if grouped else {}
    again = nearest_candidates(asked[shuffled], offered[moved], 5, 600, target_ids=moved, **options)
    np.testing.assert_array_equal(np.append(moved, -1)[again.target], found.target[shuffled])
    assert again.distance_m.tobytes() == found.distance_m[shuffled].tobytes()


def test_a_point_without_a_group_or_with_an_unknown_one_is_too_far() -> None:
    meters = [Point(35.9, 31.95)] * 4 + [None]
    links = omt.link_nearest(
        meters,
        [Point(35.9, 31.95), Point(35.9001, 31.95)],
        max_distance_m=500,
        groups=[2.0, 3.0, np.nan, None, 1.0],
        target_groups=[np.nan, 2.0],
    )
    assert links.target.tolist() == [1, -1, -1, -1, -1]
    assert links.status_names.tolist() == ["linked", "too_far", "too_far", "too_far", "no_position"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"groups": ["A"]}, "belong together"),
        ({"groups": ["A"], "target_groups": ["A", "B"]}, "target_groups must be one for each of 1, not 2"),
        ({"groups": [], "target_groups": ["A"]}, "groups must be one for each of 1, not 0"),
        ({"k": 0}, "k must be at least 1"),
        ({"max_distance_m": 0.0}, "max_distance_m must be above 0"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nearest_candidates([Point(1, 2)], [Point(1, 2)], **{"k": 1, "max_distance_m": 5.0} | options)


def test_no_points_and_no_targets() -> None:
    assert nearest_candidates([], [Point(1, 2)], 3, 500).target.shape == (0, 3)
    assert nearest_candidates([Point(1, 2)], [], 3, 500).target.tolist() == [[-1, -1, -1]]
    assert (
        repr(nearest_candidates([Point(1, 2)], [Point(1, 2)], 3, 500)) == "Candidates(1 points, 1 candidates)"
    )
