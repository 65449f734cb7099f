"""The shape of an outage on real networks: its meters and lines, and nobody else's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from oms_topology import samples
from oms_topology.graph.topology import Topology
from oms_topology.model import DeviceKind, DeviceReference
from oms_topology.outages.area import outage_area
from oms_topology.outages.forest import SupplyForest


@pytest.mark.parametrize("sample", ["ieee9500", "lv_schutterwald", "mv_oberrhein"])
def test_meters_and_the_lines_to_them_are_inside(sample: str) -> None:
    net = samples.load(sample)
    forest = SupplyForest.of(net)
    rng = np.random.default_rng(7)
    for node in rng.integers(0, forest.devices, 12).tolist():
        device = forest.reference(node)
        below = net.downstream(device.code, kind=str(device.kind))
        shape = shapely.from_geojson(json.dumps(outage_area(forest, device, below))) if below else None
        if shape is None:
            assert outage_area(forest, device, below) is None
            continue
        table = below.to_columns()
        assert shapely.covers(shape, shapely.points(table["longitude"], table["latitude"])).all()
        beside = [forest.device_rows[each] for each in forest.path(forest.meter_node(next(iter(below))))[1:]]
        inner = beside[: len(beside) - len(net.upstream(device.code, kind=str(device.kind)))]
        columns = net.columns
        points = shapely.points(columns.device_longitude[inner], columns.device_latitude[inner])
        assert shapely.covers(shape, points).all()


def test_lines_end_where_no_affected_meter_is_below() -> None:
    net = Topology.from_edges(
        nodes={
            "id": ["SS1", "F1", "A", "B"],
            "kind": ["substation", "feeder", "distribution_point", "distribution_point"],
            "longitude": [35.90, 35.91, 35.93, 35.91],
            "latitude": [31.95, 31.95, 31.95, 31.99],
        },
        edges={"from": ["SS1", "F1", "F1"], "to": ["F1", "A", "B"]},
        customers={"id": ["M1", "M2"], "node": ["A", "B"]},
    )
    forest = SupplyForest.of(net)
    feeder = DeviceReference(DeviceKind.FEEDER, "F1")
    one = shapely.from_geojson(json.dumps(outage_area(forest, feeder, ["M1", "nobody"])))
    assert shapely.covers(one, shapely.points([35.91, 35.92, 35.93], [31.95, 31.95, 31.95])).all()
    assert not shapely.covers(one, shapely.points([35.905, 35.91], [31.95, 31.97])).any()
    at_meter = outage_area(forest, DeviceReference(DeviceKind.METER, "M2"), ["M2"])
    assert shapely.from_geojson(json.dumps(at_meter)).distance(shapely.Point(35.91, 31.99)) == 0
    assert outage_area(forest, feeder, []) is None
