"""Who feeds a drawn line is who is nearest along the drawing, and links follow that."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely import LineString, MultiLineString, Point

import oms_topology as omt
from benchmarks.geo.truth import shaken, truth
from oms_topology.errors import GeometryError
from oms_topology.geo.drawing import lines_by_target
from oms_topology.geo.reading import read_lines, read_points

GEOD = Geod(ellps="WGS84")
STEP = 0.001


def fed(lines: list[LineString], targets: list[Point], snap_m: float = 1.0) -> list[MultiLineString | None]:
    return lines_by_target(read_lines(lines, "lines"), read_points(targets, "targets"), snap_m).tolist()


def crossings(edges: set[tuple[int, int]]) -> nx.Graph:
    """A street plan of six by six crossings, as a graph with geodesic lengths."""
    plan = nx.Graph()
    for edge in edges:
        plan.add_edge(*edge, length_m=GEOD.inv(*place(edge[0]), *place(edge[1]))[2])
    return plan


def place(crossing: int) -> tuple[float, float]:
    # Uneven streets, so that no two ways are equally long.
    row, column = divmod(crossing, 6)
    return 35.9 + STEP * (column + 0.013 * row * column), 31.95 + STEP * (row + 0.007 * row * row)


@settings(max_examples=40)
@given(
    keep=st.sets(st.integers(0, 59), min_size=1),
    at=st.sets(st.integers(0, 35), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_each_piece_belongs_to_the_target_nearest_along_the_drawing(
    keep: set[int], at: set[int], seed: int
) -> None:
    across = [(c, c + 1) for c in range(36) if c % 6 < 5]
    every = across + [(c, c + 6) for c in range(30)]
    edges = {every[number] for number in keep}
    plan, targets = crossings(edges), sorted(at)
    rng = np.random.default_rng(seed)
    lines = [LineString([place(c) for c in rng.permutation(edge).tolist()]) for edge in sorted(edges)]
    found = fed(lines, [Point(place(target)) for target in targets])
    away = {
        t: nx.single_source_dijkstra_path_length(plan, t, weight="length_m") if t in plan else {}
        for t in targets
    }
    total_m = 0.0
    for target, shape in zip(targets, found, strict=True):
        for piece in [] if shape is None else shape.geoms:
            total_m += GEOD.geometry_length(piece)
            middle = piece.interpolate(0.5, normalized=True)
            ways = {
                other: min(
                    (away[other][end] + GEOD.inv(*place(end), middle.x, middle.y)[2])
                    for edge in edges
                    if LineString([place(c) for c in edge]).distance(middle) < 1e-9
                    for end in edge
                    if end in away[other]
                )
                for other in targets
                if any(
                    end in away[other]
                    for edge in edges
                    if LineString([place(c) for c in edge]).distance(middle) < 1e-9
                    for end in edge
                )
            }
            assert ways[target] == pytest.approx(min(ways.values()), abs=0.01)
    reached = {end for ways in away.values() for end in ways}
    drawn_m = sum(length for a, b, length in plan.edges(data="length_m") if a in reached)
    assert total_m == pytest.approx(drawn_m, abs=0.01)


def test_what_is_as_good_as_joined_is_joined_and_what_is_not_is_not() -> None:
    street = LineString([(35.9, 31.95), (35.905, 31.95)])
    beside = LineString([(35.902, 31.950004), (35.902, 31.951)])  # half a metre from the middle of the street
    gap = LineString([(35.905003, 31.95), (35.906, 31.95)])  # 28 cm from its end
    away = LineString([(35.90602, 31.95), (35.907, 31.95)])  # 1.9 m farther
    drawn = [street, beside, gap, away]
    (joined,) = fed(drawn, [Point(35.9, 31.950005)])
    assert joined is not None
    assert GEOD.geometry_length(joined) == pytest.approx(sum(map(GEOD.geometry_length, drawn[:3])), abs=0.01)
    (all_of_it,) = fed(drawn, [Point(35.9, 31.950005)], snap_m=2.5)
    assert GEOD.geometry_length(all_of_it) == pytest.approx(sum(map(GEOD.geometry_length, drawn)), abs=0.01)
    assert fed(drawn, [Point(35.91, 31.95)]) == [None]
    assert fed([], [Point(35.91, 31.95)]) == [None]
    assert fed(drawn, []) == []
    assert fed(drawn, [None, Point(0, 0), Point(35.9, 31.95)])[:2] == [None, None]  # type: ignore[list-item]


def test_lines_across_the_antimeridian_are_cut_where_feeds_meet() -> None:
    west, east = fed([LineString([(179.99, -17), (-179.99, -17)])], [Point(179.99, -17), Point(-179.99, -17)])
    assert west is not None
    assert east is not None
    for shape in (west, east):
        (piece,) = shape.geoms
        ends = np.abs(shapely.get_coordinates(piece)[:, 0])
        assert np.sort(ends).tolist() == pytest.approx([179.99, 180])


def test_links_follow_the_line_and_not_the_nearest_target() -> None:
    transformers = [Point(35.900, 31.95), Point(35.904, 31.95), Point(35.9, 31.96), None]
    streets = [
        LineString([(35.900, 31.95), (35.903, 31.95)]),
        LineString([(35.904, 31.95), (35.904, 31.955)]),
    ]
    meters = [Point(35.9029, 31.9501), Point(35.9001, 31.96), Point(0, 0), Point(35.92, 31.95)]
    links = omt.link_along_lines(meters, streets, transformers, max_distance_m=200)
    assert links.target.tolist() == [0, 2, -1, -1]
    assert links.status_names.tolist() == ["linked", "linked", "null_island", "too_far"]
    assert links.rule == "line"
    assert omt.link_nearest(meters, transformers, max_distance_m=200).target[0] == 1
    # The second distance is that of a line of another target, however many lines the first one has.
    assert links.second_distance_m[0] == pytest.approx(
        GEOD.inv(35.9029, 31.9501, 35.904, 31.9501)[2], abs=0.01
    )
    with pytest.raises(ValueError, match="snap_m"):
        omt.link_along_lines(meters, streets, transformers, max_distance_m=200, snap_m=0)
    with pytest.raises(GeometryError, match="lines: holds something"):
        omt.link_along_lines(meters, ["street"], transformers, max_distance_m=200)


def test_the_order_of_rows_decides_nothing_and_lines_know_more_than_distances() -> None:
    known, rng = truth("smartds_p1uhs23"), np.random.default_rng(6)
    points = shaken(known.points, 2.0, rng)
    lines = shapely.linestrings(known.lines)

    def named(order: np.ndarray, lines_order: np.ndarray, choice: np.ndarray) -> list[str]:
        links = omt.link_along_lines(
            points[order],
            lines[lines_order],
            known.targets[choice],
            max_distance_m=500,
            target_ids=known.target_ids[choice],
        )
        found = np.empty(len(points), dtype=object)
        found[order] = known.target_ids[choice][links.target]
        return found.tolist()

    sizes = len(points), len(lines), len(known.targets)
    first = named(*map(np.arange, sizes))
    assert named(*map(rng.permutation, sizes)) == first
    nearest = omt.link_nearest(points, known.targets, max_distance_m=500).target
    right = known.target_ids[known.link]
    by_line = np.array(first) == right
    agree = np.array(first) == known.target_ids[nearest]
    assert by_line.mean() > (nearest == known.link).mean()
    assert by_line[agree].mean() > by_line.mean()


@pytest.mark.parametrize("error_m", [2.0, 5.0, 10.0, 20.0])
def test_confidence_holds_for_lines_as_it_does_for_points(error_m: float) -> None:
    known, rng = truth("smartds_p1uhs23"), np.random.default_rng(7)
    how = {"max_distance_m": 500, "target_ids": known.target_ids, "position_error_m": error_m}
    lines, told = shapely.linestrings(known.lines), []
    for _ in range(8):
        links = omt.link_along_lines(shaken(known.points, error_m, rng), lines, known.targets, **how)
        told.append(np.stack([links.confidence, links.target == known.link]))
    confidence, right = np.concatenate(told, axis=1)
    shares = [right[confidence >= least].mean() for least in (0.5, 0.7, 0.8, 0.9)]
    assert shares == sorted(shares)
    assert all(share >= least for share, least in zip(shares, (0.5, 0.7, 0.8, 0.9), strict=True))
