"""The area around affected meters holds them all, is valid GeoJSON, and covers no land that it need not."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.errors import GeometryError
from oms_topology.geo.area import affected_area
from oms_topology.geo.geodesy import WGS84

if TYPE_CHECKING:
    import random

AMMAN = (35.91, 31.95)


def drawn(geometry: dict[str, Any] | None) -> Any:
    """Read a geometry back as any other program would, and check what RFC 7946 asks of it."""
    assert geometry is not None
    shape = shapely.from_geojson(json.dumps(geometry))
    assert shape.is_valid, shapely.is_valid_reason(shape)
    assert not shape.is_empty
    for polygon in shapely.get_parts(shape):
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)
    west, south, east, north = shape.bounds
    assert west >= -180
    assert east <= 180
    assert south >= -90
    assert north <= 90
    return shape


def area_m2(shape: Any) -> float:
    return abs(float(WGS84.geometry_area_perimeter(shape)[0]))


def around(east_m: float, north_m: float, middle: tuple[float, float] = AMMAN) -> tuple[float, float]:
    cosine = math.cos(math.radians(middle[1]))
    return middle[0] + east_m / (111_320 * cosine), middle[1] + north_m / 111_320


near = st.builds(around, st.floats(-800, 800), st.floats(-800, 800))
anywhere = st.one_of(
    st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
    st.tuples(st.floats(179.99, 180) | st.floats(-180, -179.99), st.floats(-0.01, 0.01)),
    st.tuples(st.floats(-180, 180), st.floats(89.999, 90)),
    near,
    st.sampled_from([(np.nan, 31.9), (0.0, 0.0), (200.0, 10.0), (35.9, np.inf)]),
)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(anywhere, max_size=25),
    pieces=st.lists(st.tuples(near, near), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_every_meter_is_inside_a_valid_shape_wherever_on_earth(
    places: list[tuple[float, float]], pieces: list[Any], order: random.Random
) -> None:
    positions = np.array(places, dtype=float).reshape(-1, 2)
    lines = np.array(pieces, dtype=float).reshape(-1, 2, 2)
    found = affected_area(positions, lines)
    usable = [
        (east, north)
        for east, north in places
        if abs(east) <= 180 and abs(north) <= 90 and (east, north) != (0, 0)
    ]
    if found is None:
        assert not usable
        return
    shape = drawn(found)
    assert shapely.covers(shape, shapely.points(np.array(usable).reshape(-1, 2))).all()
    again = places * 2
    order.shuffle(again)
    assert affected_area(np.array(again, dtype=float).reshape(-1, 2), lines[::-1]) == found


def test_one_meter_is_a_small_disc() -> None:
    shape = drawn(affected_area(np.array([AMMAN])))
    assert 0.8 * math.pi * 25**2 < area_m2(shape) < 1.05 * math.pi * 25**2
    assert affected_area(np.empty((0, 2))) is None


def test_two_villages_are_two_areas_and_a_bend_of_a_street_is_not_filled() -> None:
    street = [around(50.0 * step, 0) for step in range(41)] + [
        around(0, 50.0 * step) for step in range(1, 41)
    ]
    bend = drawn(affected_area(np.array(street)))
    assert bend.geom_type == "Polygon"
    # Two streets of 2 km with 25 m on either side, and the corner between them.
    assert area_m2(bend) < 2 * 2_000 * 50 + 300**2
    assert not shapely.covers(bend, shapely.Point(around(1_000, 1_000)))
    far = [around(9_000 + east, north) for east, north in ((0, 0), (100, 0), (0, 100))]
    both = drawn(affected_area(np.array(street + far)))
    assert both.geom_type == "MultiPolygon"
    assert not shapely.covers(both, shapely.Point(around(5_000, 0)))


def test_lines_join_what_they_lead_to() -> None:
    ends = np.array([around(0, 0), around(5_000, 0)])
    assert drawn(affected_area(ends)).geom_type == "MultiPolygon"
    joined = drawn(affected_area(ends, ends[None]))
    assert joined.geom_type == "Polygon"
    along = [around(100.0 * step, 0) for step in range(51)]
    assert shapely.covers(joined, shapely.points(along)).all()


def test_across_the_antimeridian_is_cut_there() -> None:
    fiji = np.array([(179.9995, -16.8), (-179.9995, -16.8), (179.9990, -16.801)])
    shape = drawn(affected_area(fiji))
    assert shape.geom_type == "MultiPolygon"
    assert {part.bounds[0] < 0 for part in shape.geoms} == {True, False}
    assert shapely.covers(shape, shapely.points(fiji)).all()
    assert area_m2(shape) < 1e5


@pytest.mark.parametrize("count", [3_000, 60_000])
def test_many_meters_stay_a_small_text_with_all_inside(count: int) -> None:
    rng = np.random.default_rng(count)
    town = np.array([around(0, 0)]) + rng.normal(0, 0.02, (count, 2))
    found = affected_area(town)
    shape = drawn(found)
    assert shapely.covers(shape, shapely.points(town)).all()
    assert len(json.dumps(found)) < 60_000


@pytest.mark.parametrize(
    ("positions", "lines", "lengths"),
    [
        (np.zeros(4), None, {}),
        (np.zeros((2, 3)), None, {}),
        (np.zeros((2, 2)), np.zeros((2, 2)), {}),
        (np.zeros((2, 2)), None, {"margin_m": 0.0}),
        (np.zeros((2, 2)), None, {"margin_m": 200.0, "gap_m": 300.0}),
        (np.zeros((2, 2)), None, {"gap_m": math.inf}),
    ],
)
def test_what_is_no_table_of_positions_is_refused(positions, lines, lengths) -> None:
    with pytest.raises(GeometryError):
        affected_area(positions, lines, **lengths)
