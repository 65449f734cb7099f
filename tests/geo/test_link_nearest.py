"""Every row gets one status, one bad row spoils no other, and what cannot be trusted is refused."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from shapely import LineString, MultiPoint, Point

import oms_topology as omt
from oms_topology.errors import GeometryError
from oms_topology.geo.linking import LinkStatus
from tests.geo.brute_force import nearest_by_brute_force, scattered

JORDAN = (34.9, 29.2, 39.3, 33.4)
TRANSFORMERS = [Point(35.9010, 31.95), Point(35.8995, 31.95), Point(35.92, 31.97)]


def test_each_dirt_has_its_name_and_spoils_nothing() -> None:
    rows = {
        Point(35.9000, 31.9500): "linked",
        None: "no_position",
        Point(): "no_position",
        Point(np.nan, 31.9): "not_a_number",
        Point(35.9, np.inf): "not_a_number",
        Point(0, 0): "null_island",
        Point(-0.0, 0): "null_island",
        Point(35.9, 95): "out_of_range",
        Point(-180.5, 31.9): "out_of_range",
        Point(31.95, 35.9): "suspected_swap",
        Point(36.5, 31.9): "too_far",
        Point(35.92, 31.97): "linked",
    }
    links = omt.link_nearest(list(rows), TRANSFORMERS, max_distance_m=500, bounds=JORDAN)
    assert links.status_names.tolist() == list(rows.values())
    linked = links.status == LinkStatus.LINKED
    assert (links.target[linked].tolist(), links.distance_m[linked][1]) == ([1, 2], 0)
    assert (links.target[~linked] == -1).all()
    assert np.isnan(links.distance_m[~linked]).all()
    assert np.isnan(links.second_distance_m[~linked]).all()
    alone = omt.link_nearest([next(iter(rows))], TRANSFORMERS, max_distance_m=500)
    assert (alone.target[0], alone.distance_m[0]) == (links.target[0], links.distance_m[0])


def test_bad_targets_are_told_and_linked_to_nothing() -> None:
    targets = [None, Point(35.9, 131.95), Point(35.9001, 31.95), Point(np.nan, np.nan)]
    links = omt.link_nearest([Point(35.9, 31.95)], targets, max_distance_m=500)
    assert links.target.tolist() == [2]
    assert links.target_status.tolist()[:3] == [2, 4, 0]
    assert links.target_status[3] in (2, 3)
    assert omt.link_nearest([Point(35.9, 31.95)], [None], max_distance_m=500).counts() == {"too_far": 1}


def test_a_swap_is_looked_for_around_the_targets_across_the_antimeridian_too() -> None:
    fiji = [Point(178.4, -18.1), Point(-179.9, -16.5)]
    lost = [Point(-18.0, 178.9), Point(-17.0, -179.95), Point(-17.0, 50.0), Point(50.0, -17.0)]
    links = omt.link_nearest(lost, fiji, max_distance_m=500)
    assert links.status_names.tolist() == ["suspected_swap", "suspected_swap", "too_far", "too_far"]


def test_ids_decide_between_equally_near_targets_whatever_their_order() -> None:
    meter, pillars = [Point(36.0, 0.001)], [Point(36.001, 0.001), Point(35.999, 0.001), None]
    by_row = omt.link_nearest(meter, pillars, max_distance_m=500)
    by_id = omt.link_nearest(meter, pillars, max_distance_m=500, target_ids=["B", "A", "0"])
    turned = omt.link_nearest(meter, pillars[::-1], max_distance_m=500, target_ids=["0", "A", "B"])
    assert (by_row.target[0], by_id.target[0], turned.target[0]) == (0, 1, 1)
    with pytest.raises(ValueError, match="one for each of the 3 targets"):
        omt.link_nearest(meter, pillars, max_distance_m=500, target_ids=["A"])


@pytest.mark.parametrize("form", ["list", "shapely", "series", "frame", "numbers"])
def test_all_forms_of_points_say_the_same(form: str) -> None:
    rng = np.random.default_rng(3)
    points, targets = scattered(rng, 500, 36.0, 31.9, 0.01), scattered(rng, 200, 36.0, 31.9, 0.01)
    made = shapely.points(*points)
    series = geopandas.GeoSeries(made, crs=4326)
    forms = {
        "list": list(made),
        "shapely": made,
        "series": series,
        "frame": geopandas.GeoDataFrame({"meter": range(500)}, geometry=series),
        "numbers": np.column_stack(points),
    }
    links = omt.link_nearest(forms[form], shapely.points(*targets), max_distance_m=150)
    expected = nearest_by_brute_force(points, targets, 150)
    np.testing.assert_array_equal(links.target, expected.target)
    assert set(links.counts()) == {"linked", "too_far"}
    assert sum(links.counts().values()) == len(links) == 500


def test_coordinates_that_are_not_degrees_of_wgs84_are_refused_with_what_to_do() -> None:
    series = geopandas.GeoSeries(TRANSFORMERS)
    degrees = series.set_crs(4326)
    for wrong, told in (
        (series, r"set_crs\(4326\)"),
        (degrees.to_crs(32636), r"projected \(WGS 84 / UTM zone 36N\).*to_crs\(4326\)"),
        (degrees.to_crs(4281), r"another datum \(Palestine 1923\).*to_crs\(4326\)"),
    ):
        with pytest.raises(GeometryError, match="points: .*" + told):
            omt.link_nearest(wrong, TRANSFORMERS, max_distance_m=500)
        with pytest.raises(GeometryError, match="targets: .*" + told):
            omt.link_nearest(TRANSFORMERS, wrong, max_distance_m=500)
    same = geopandas.GeoSeries(TRANSFORMERS, crs="OGC:CRS84")
    assert omt.link_nearest(same, degrees, max_distance_m=500).target.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([Point(1, 2), LineString([(0, 0), (1, 1)])], "row 1 is a LineString"),
        ([MultiPoint([(0, 0), (1, 1)]), None], "row 0 is a MultiPoint"),
        (["POINT (1 2)"], "no geometry of shapely"),
        (np.zeros((3, 3)), r"the shape \(n, 2\)"),
        (Point(1, 2), "one dimension"),
    ],
)
def test_what_is_no_point_is_refused(wrong: object, told: str) -> None:
    with pytest.raises(GeometryError, match=told):
        omt.link_nearest(wrong, TRANSFORMERS, max_distance_m=500)


@pytest.mark.parametrize("max_distance_m", [0.0, -1.0, np.nan, np.inf, 2e7])
def test_a_limit_out_of_range_is_refused(max_distance_m: float) -> None:
    with pytest.raises(ValueError, match="max_distance_m must be above 0"):
        omt.link_nearest(TRANSFORMERS, TRANSFORMERS, max_distance_m=max_distance_m)


def test_no_points_and_no_targets() -> None:
    assert repr(omt.link_nearest([], TRANSFORMERS, max_distance_m=500)) == "Links(no points)"
    assert omt.link_nearest(TRANSFORMERS, [], max_distance_m=500).counts() == {"too_far": 3}
