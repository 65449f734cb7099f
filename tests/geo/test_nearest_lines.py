"""The nearest line is the one that searching along every geodesic finds, whoever searches."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiLineString, Point, Polygon

import oms_topology as omt
from oms_topology.geo.coordinates import Positions
from oms_topology.geo.nearest_lines import NearestLine, nearest_lines
from oms_topology.geo.reading import read_lines
from tests.geo.brute_force import GEOD, scattered
from tests.geo.line_oracle import all_to_lines_m

AROUND = {
    "Amman": (36.0, 31.95, 0.03, 900.0),
    "Longyearbyen": (15.63, 78.22, 0.2, 5_000.0),
    "Fiji, across the antimeridian": (180.0, -16.8, 0.05, 2_000.0),
    "Quito": (-78.5, 0.0, 0.02, 1_000.0),
    "the pole": (0.0, 89.99, 179.0, 60_000.0),
    "far away": (36.0, 31.0, 3.0, 300_000.0),
    "half the world": (1.0, 0.0, 50.0, 4_000_000.0),
}


def made(rng: np.random.Generator, count: int, *place: float) -> list[shapely.Geometry]:
    """Lines of one to four vertices, and of two parts."""
    lines: list[shapely.Geometry] = []
    for index in range(count):
        vertices = np.column_stack(scattered(rng, 2 + index % 3, *place))
        if index % 4 == 3:
            lines.append(MultiLineString([vertices[:2], np.column_stack(scattered(rng, 2, *place))]))
        else:
            lines.append(LineString(vertices) if index % 5 else Point(vertices[0]))
    return lines


def checked(found: NearestLine, lengths: np.ndarray, limit_m: float) -> None:
    """Compare with the lengths of every pair; what is all but equally far may be either."""
    for row, away in enumerate(lengths):
        order = np.argsort(away)
        if away[order[0]] > limit_m:
            assert found.target[row] == -1
            assert np.isnan(found.distance_m[row])
            continue
        within_m = 3e-7 if found.distance_m[row] < 5e6 else 1e-5
        assert found.distance_m[row] == pytest.approx(away[order[0]], abs=within_m)
        assert away[found.target[row]] <= away[order[0]] + 1.5e-6
        if len(order) > 1 and away[order[1]] <= limit_m:
            assert found.second_distance_m[row] == pytest.approx(away[order[1]], abs=1.5e-6 + within_m)
        else:
            assert np.isnan(found.second_distance_m[row])


@pytest.mark.parametrize("where", AROUND)
def test_every_line_searched_gives_the_same(where: str) -> None:
    *place, limit_m = AROUND[where]
    rng = np.random.default_rng(len(where))
    points, lines = scattered(rng, 16, *place), made(rng, 9, *place)
    lengths = all_to_lines_m(np.column_stack(points), lines)
    read = read_lines(lines, "targets")
    by_numpy = nearest_lines(points, read, max_distance_m=limit_m, compiled=False)
    checked(by_numpy, lengths, limit_m)
    assert np.count_nonzero(by_numpy.target >= 0) > 3
    by_numba = nearest_lines(points, read, max_distance_m=limit_m, compiled=True)
    assert [a.tobytes() for a in by_numba] == [a.tobytes() for a in by_numpy]
    linked = by_numpy.distance_m < 50_000
    foot = by_numpy.foot_longitude_deg[linked], by_numpy.foot_latitude_deg[linked]
    to_foot_m = GEOD.inv(points.longitude_deg[linked], points.latitude_deg[linked], *foot)[2]
    np.testing.assert_allclose(to_foot_m, by_numpy.distance_m[linked], rtol=0, atol=2e-5)


NEAR = st.tuples(st.floats(35.99, 36.01), st.floats(-0.01, 0.01))
VERTEX = st.sampled_from([(36.0, 0.0), (36.001, 0.0), (36.0, 0.002), (35.999, 0.0)]) | NEAR
LINE = st.lists(VERTEX, min_size=2, max_size=4).map(LineString) | VERTEX.map(Point)


@settings(max_examples=40)
@given(
    points=st.lists(VERTEX, min_size=1, max_size=5),
    lines=st.lists(LINE, min_size=1, max_size=7),
    limit_m=st.sampled_from([50.0, 400.0, 5_000.0]),
    seed=st.integers(0, 99),
)
def test_any_lines_with_ties_and_groups(
    points: list[tuple[float, float]], lines: list[shapely.Geometry], limit_m: float, seed: int
) -> None:
    """Shared vertices and shared segments among them: the lowest id of what is equally near."""
    rng = np.random.default_rng(seed)
    rank = rng.permutation(len(lines))
    lengths = all_to_lines_m(np.array(points), lines)
    asked = Positions(*np.array(points).T.copy())
    group, of_line = rng.integers(0, 2, len(points)), rng.integers(0, 2, len(lines))
    read = read_lines(lines, "targets")
    for options in ({}, {"group": group, "target_group": of_line}):
        allowed = group[:, None] == of_line if options else np.ones_like(lengths, dtype=bool)
        away = np.where(allowed, lengths, np.inf)
        found = [
            nearest_lines(asked, read, max_distance_m=limit_m, target_rank=rank, compiled=compiled, **options)
            for compiled in (False, True)
        ]
        assert [a.tobytes() for a in found[0]] == [a.tobytes() for a in found[1]]
        checked(found[0], away, limit_m)
        for row, target in enumerate(found[0].target):
            surely_equal = np.flatnonzero(away[row] <= min(away[row].min() + 5e-7, limit_m - 1e-6))
            if len(surely_equal):
                assert rank[target] <= rank[surely_equal].min()


def test_many_points_in_any_order_and_by_either_engine() -> None:
    rng = np.random.default_rng(11)
    place = (36.0, 31.95, 0.05)
    points, lines = scattered(rng, 5_000, *place), made(rng, 150, *place)
    read = read_lines(lines, "targets")
    first, *others = [
        nearest_lines(points, read, max_distance_m=200, compiled=compiled) for compiled in (True, False, None)
    ]
    shuffled, moved = rng.permutation(5_000), rng.permutation(150)
    again = nearest_lines(
        Positions(*(axis[shuffled] for axis in points)),
        read_lines([lines[row] for row in moved], "targets"),
        max_distance_m=200,
        target_rank=moved,
    )
    for other in others:
        assert [a.tobytes() for a in other] == [a.tobytes() for a in first]
    np.testing.assert_array_equal(np.append(moved, -1)[again.target], first.target[shuffled])
    for now, was in zip(again[1:3], first[1:3], strict=True):
        assert now.tobytes() == was[shuffled].tobytes()
    assert 0 < np.count_nonzero(first.target >= 0) < 5_000


def test_each_line_has_its_status_and_bad_ones_spoil_nothing() -> None:
    with np.errstate(invalid="ignore"):
        not_a_number = LineString([(35.9001, 31.9), (np.nan, 32.0)])
    lines = [
        LineString([(35.9, 31.9), (35.9, 32.0)]),
        None,
        LineString(),
        not_a_number,
        LineString([(35.9001, 31.9), (35.9, 132.0)]),
        LineString([(35.9001, 31.9), (0, 0)]),
        Polygon([(35.9, 31.9), (35.91, 31.9), (35.91, 32)]),
        Point(35.95, 31.95),
        MultiLineString([[(36.0, 31.9), (36.0, 31.94)], [(36.0, 31.96), (36.0, 32.0)]]),
    ]
    meters = [Point(35.9003, 31.95), Point(35.9501, 31.95), Point(36.0, 31.95), Point(31.95, 35.9), None]
    links = omt.link_nearest(meters, lines, max_distance_m=1_500)
    assert links.target_status.tolist() == [0, 2, 2, 3, 4, 5, 7, 0, 0]
    assert links.target.tolist() == [0, 7, 8, -1, -1]
    assert links.status_names.tolist() == ["linked"] * 3 + ["suspected_swap", "no_position"]
    assert links.foot_longitude_deg is not None
    assert links.foot_latitude_deg is not None
    np.testing.assert_allclose(links.foot_longitude_deg[:3], [35.9, 35.95, 36.0], rtol=0, atol=1e-9)
    assert np.isnan(links.foot_latitude_deg[3:]).all()
    assert links.distance_m[2] == pytest.approx(GEOD.inv(36, 31.95, 36, 31.94)[2], abs=1e-6)


def test_groups_ids_and_nothing_at_all() -> None:
    lines = [LineString([(36.0, 0.0), (36.001, 0.0)]), LineString([(36.001, 0.0), (36.0, 0.0)])]
    meters = [Point(36.0005, 0.001)] * 2
    options = {"groups": ["A", None], "target_groups": ["B", "A"]}
    assert omt.link_nearest(meters, lines, max_distance_m=500).target.tolist() == [0, 0]
    assert omt.link_nearest(meters, lines, max_distance_m=500, target_ids=["2", "1"]).target.tolist() == [
        1,
        1,
    ]
    assert omt.link_nearest(meters, lines, max_distance_m=500, **options).target.tolist() == [1, -1]
    assert omt.link_nearest([], lines, max_distance_m=500).target.shape == (0,)
    empty = omt.link_nearest(meters, [LineString([(0, 0), (1, 1)])], max_distance_m=500)
    assert empty.counts() == {"too_far": 2}
