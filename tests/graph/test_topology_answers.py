"""Downstream, upstream, common upstream and sets of meters, on networks drawn in a line of text."""

from __future__ import annotations

import pickle

import networkx as nx
import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.errors import AmbiguousDeviceError, TopologyError, UnknownDeviceError
from oms_topology.model import DeviceKind, NetworkColumns

TOWN = "SS1 > F1 >SW1> DP1 > M1..M3; F1 > DP2 > M4; SS1 > F2 > DP3 > M5, M6; DP2 /T1/ DP1; DP3 /T2/ DP2"


@pytest.fixture
def town() -> Topology:
    return Topology.from_text(TOWN)


def test_downstream_is_in_preorder(town: Topology) -> None:
    assert list(town.downstream("SS1")) == ["M1", "M2", "M3", "M4", "M5", "M6"]
    assert list(town.downstream("F1")) == ["M1", "M2", "M3", "M4"]


def test_meters_at_a_device_come_before_those_below_it() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M9; F1 > M5; SS1 > M7")
    assert list(net.meters) == ["M7", "M5", "M9"]


def test_downstream_of_a_meter_is_the_meter(town: Topology) -> None:
    assert list(town.downstream("M4")) == ["M4"]
    assert list(town.downstream("M4", state="normal")) == ["M4"]


def test_downstream_of_a_switch_follows_its_state(town: Topology) -> None:
    assert list(town.downstream("SW1")) == ["M1", "M2", "M3"]
    assert list(town.downstream("T1")) == []
    town.open("SW1")
    assert list(town.downstream("SW1")) == []
    assert list(town.downstream("SW1", state="normal")) == ["M1", "M2", "M3"]
    town.close("T1")
    assert list(town.downstream("T1")) == ["M1", "M2", "M3"]


def test_what_no_source_reaches_supplies_nothing(town: Topology) -> None:
    town.open("SW1")
    assert list(town.downstream("DP1")) == []
    assert not town.is_energised("DP1")
    assert not town.is_energised("M1")
    assert town.upstream("M1") == []
    assert town.common_upstream(["M1", "M2"]) is None
    assert len(town.meters) == 6
    assert list(town.meters)[-3:] == ["M1", "M2", "M3"]
    assert list(town.energised) == ["M4", "M5", "M6"]
    assert len(town.downstream("DP1", state="normal")) == 3


def test_upstream_and_common_upstream(town: Topology) -> None:
    assert town.upstream("M1") == ["DP1", "F1", "SS1"]
    assert town.upstream("F1") == ["SS1"]
    assert town.upstream("SS1") == []
    assert town.upstream("SW1") == ["F1", "SS1"]
    assert town.upstream("T1") == []
    assert town.common_upstream(["M1", "M4"]) == "F1"
    assert town.common_upstream(["M1", "M6"]) == "SS1"
    assert town.common_upstream(["M1"]) == "DP1"
    assert town.common_upstream(["F1", "DP1"]) == "F1"
    assert town.common_upstream([]) is None


def test_no_device_is_common_to_two_sources() -> None:
    net = Topology.from_text("SS1 > F1 > M1; SS2 > F2 > M2")
    assert net.common_upstream(["M1", "M2"]) is None


def test_transfer_to_another_feeder_by_a_tie(town: Topology) -> None:
    town.open("SW1")
    town.close("T1")
    assert town.upstream("M1") == ["DP1", "DP2", "F1", "SS1"]
    assert town.downstream("F1").count_by("distribution_point") == {"DP1": 3, "DP2": 1}


def test_closing_a_tie_into_a_loop_keeps_the_way_of_fewest_hops(town: Topology) -> None:
    town.close("T1")
    town.close("T2")
    assert town.upstream("M4") == ["DP2", "F1", "SS1"]
    assert len(town.downstream("SS1")) == 6
    assert town.validate() == []


def test_what_if_leaves_the_network_alone(town: Topology) -> None:
    other = town.what_if(open=["SW1"])
    assert len(other.downstream("F1")) == 1
    assert len(town.downstream("F1")) == 4
    assert len(other.downstream("F1", state="normal")) == 4
    assert other.is_open("SW1")
    assert not town.is_open("SW1")


def test_a_network_and_its_what_if_take_meters_apart(town: Topology) -> None:
    other = town.what_if(open=["SW1"])
    town.add_meter("M8", "DP2")
    town.add_meter("M7", "DP2")
    other.add_meter("M7", "DP3")
    assert town.upstream("M7") == ["DP2", "F1", "SS1"]
    assert other.upstream("M7") == ["DP3", "F2", "SS1"]
    assert "M8" not in other.meters
    assert list(other.downstream("F2") & town.downstream("F1")) == ["M7"]


def test_sets_given_before_a_change_stay(town: Topology) -> None:
    before = town.downstream("F1")
    graph = town.graph
    town.open("SW1")
    town.remove_meter("M4")
    town.move_meter("M1", "DP3")
    assert list(before) == ["M1", "M2", "M3", "M4"]
    assert "M4" in before
    assert graph.has_edge("F1", "DP1")
    assert not town.graph.has_edge("F1", "DP1")


def test_meters_move_come_and_go(town: Topology) -> None:
    town.move_meter("M1", "DP3")
    assert town.upstream("M1") == ["DP3", "F2", "SS1"]
    town.add_meter("M7", "DP2", customer_id="C7", priority=1)
    assert list(town.downstream("DP2")) == ["M4", "M7"]
    assert list(town.impact("DP2").critical) == ["M7"]
    town.remove_meter("M7")
    assert "M7" not in town.meters
    with pytest.raises(UnknownDeviceError):
        town.downstream("M7")
    town.add_meter("M7", "DP3")
    assert list(town.downstream("DP3")) == ["M1", "M5", "M6", "M7"]
    assert list(town.impact("DP3").critical) == []
    again = Topology.from_columns(town.columns)
    assert sorted(again.downstream("DP3")) == ["M1", "M5", "M6", "M7"]


@pytest.mark.parametrize(
    ("number", "device"),
    [("M1", "DP1"), ("", "DP1"), ("  ", "DP1"), ("M8", "SW1"), ("M8", "M1"), ("M8", "DP9")],
)
def test_meters_that_cannot_be_added(town: Topology, number: str, device: str) -> None:
    with pytest.raises(TopologyError):
        town.add_meter(number, device)
    assert len(town.meters) == 6


def test_unknown_codes_name_near_ones(town: Topology) -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        town.downstream("DP11")
    assert "DP1" in caught.value.near
    assert not caught.value.is_transient
    for ask in (town.upstream, town.impact, town.open, town.close, town.kind, town.is_energised):
        with pytest.raises(UnknownDeviceError):
            ask("nowhere")


def test_open_refuses_what_is_no_switch_and_changes_nothing(town: Topology) -> None:
    with pytest.raises(UnknownDeviceError):
        town.open("SW1", "DP1")
    assert not town.is_open("SW1")


def test_codes_that_collide_are_kept_apart_by_kind() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["17"]},
        feeders={"feeder_id": ["17", "18"], "substation_id": ["17", "17"]},
        meters={"meter_number": [17, 99], "feeder_id": [18, 17]},
        switches={"switch_id": ["99"], "from_id": ["18"], "to_id": ["18"]},
    )
    with pytest.raises(AmbiguousDeviceError) as caught:
        net.downstream("17")
    assert set(caught.value.kinds) == {"substation", "feeder", "meter"}
    assert sorted(net.downstream("17", kind="substation")) == ["17", "99"]
    assert list(net.downstream("17", kind="feeder")) == ["99"]
    assert net.upstream("17", kind="meter") == ["18", "17"]
    assert {"code_collision", "self_loop"} <= {finding.rule for finding in net.validate()}
    assert ("feeder", "17") in net.graph
    with pytest.raises(UnknownDeviceError):
        net.downstream("17", kind="switch")
    with pytest.raises(UnknownDeviceError):
        net.downstream("17", kind="transformer_station")


def test_a_new_meter_can_make_a_code_ambiguous(town: Topology) -> None:
    town.add_meter("F1", "DP1")
    with pytest.raises(AmbiguousDeviceError):
        town.downstream("F1")
    assert len(town.downstream("F1", kind="feeder")) == 5
    town.remove_meter("F1")
    assert len(town.downstream("F1")) == 4


def test_an_unknown_state_is_an_error(town: Topology) -> None:
    with pytest.raises(TopologyError, match="what_if"):
        town.downstream("F1", state="tomorrow")  # type: ignore[arg-type]


def test_parallel_branches_are_one_with_members() -> None:
    net = Topology.from_text("SS1 > F1 >A> DP1 > M1; F1 >B> DP1")
    assert net.validate() == []
    assert list(net.impact("A").lost) == []
    assert list(net.impact("A").backed_up) == ["M1"]
    net.open("A")
    assert net.is_energised("M1")
    assert list(net.downstream("B")) == ["M1"]
    assert list(net.impact("B").lost) == ["M1"]
    net.open("B")
    assert not net.is_energised("M1")


def test_set_algebra_and_membership(town: Topology) -> None:
    first, second = town.downstream("F1"), town.downstream("DP2")
    assert list(first & second) == ["M4"]
    assert list(first - second) == ["M1", "M2", "M3"]
    assert list(second | first) == ["M4", "M1", "M2", "M3"]
    assert list(first ^ town.downstream("SS1")) == ["M5", "M6"]
    assert second < first
    assert second.isdisjoint(town.downstream("F2"))
    assert second == {"M4"}
    assert {"M4", "M5"} & second == {"M4"}
    assert first - {"M1", "elsewhere"} == {"M2", "M3", "M4"}
    assert "M1" in first
    assert 17 not in first
    assert "M1" not in first - {"M1"}
    assert {"M4"} | second == {"M4"}
    with pytest.raises(UnknownDeviceError):
        first | {"elsewhere"}
    with pytest.raises(TopologyError):
        first & ["M1"]  # type: ignore[operator]


def test_sets_of_two_networks_combine_by_number(town: Topology) -> None:
    other = Topology.from_text("SS1 > F1 > M4, M1, M99")
    assert list(town.downstream("F1") & other.meters) == ["M1", "M4"]
    assert town.downstream("F1") - other.meters == {"M2", "M3"}


def test_counts_most_first_then_by_code(town: Topology) -> None:
    assert list(town.meters.count_by("distribution_point").items()) == [("DP1", 3), ("DP3", 2), ("DP2", 1)]
    assert town.meters.count_by("feeder") == {"F1": 4, "F2": 2}
    assert town.meters.count_by("kind") == {"distribution_point": 6}
    town.open("SW1")
    assert town.meters.count_by("substation") == {"": 3, "SS1": 3}
    assert town.downstream("DP1").count_by("feeder") == {}
    with pytest.raises(TopologyError, match="colour"):
        town.meters.count_by("colour")


def test_numbers_rows_frame_and_geojson() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        meters={
            "meter_number": ["M1", "M2"],
            "feeder_id": ["F1", "F1"],
            "longitude": [35.9, None],
            "latitude": [31.9, None],
            "phase": ["A", "B"],
        },
    )
    below = net.downstream("F1")
    assert isinstance(below.meter_numbers, np.ndarray)
    assert below.meter_numbers.tolist() == ["M1", "M2"]
    with pytest.raises(ValueError, match="read-only"):
        below.rows[0] = 1
    frame = below.to_frame()
    assert frame["phase"].tolist() == ["A", "B"]
    assert frame["feeder"].tolist() == ["F1", "F1"]
    features = below.to_geojson()["features"]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [35.9, 31.9]}
    assert features[1]["geometry"] is None
    assert below.count_by("phase") == {"A": 1, "B": 1}
    assert repr(below) == "MeterSet(2 meters: M1, M2)"


def test_graph_is_a_frozen_digraph_of_the_current_state(town: Topology) -> None:
    assert isinstance(town.graph, nx.DiGraph)
    with pytest.raises(nx.NetworkXError):
        town.graph.add_edge("F1", "M9")
    assert set(nx.descendants(town.graph, "F1")) == {"DP1", "DP2", "M1", "M2", "M3", "M4"}
    assert town.graph.edges["F1", "DP1"]["code"] == "SW1"
    assert town.graph.nodes["DP1"]["kind"] == "distribution_point"
    assert town.graph is town.graph


def test_a_chain_of_five_thousand_is_no_trouble() -> None:
    length = 5_000
    chain = np.arange(length, dtype=np.int32)
    net = Topology.from_columns(
        NetworkColumns(
            device_kind=np.array(["substation"] + ["section"] * (length - 1), dtype=object),
            device_code=np.array([f"D{row}" for row in chain], dtype=object),
            device_is_source=chain == 0,
            branch_from=chain[:-1],
            branch_to=chain[1:],
            branch_code=np.array([f"S{row}" for row in chain[:-1]], dtype=object),
            branch_is_switch=np.full(length - 1, True),
            meter_number=np.array([f"M{row}" for row in chain], dtype=object),
            meter_device=chain,
        )
    )
    assert len(net.downstream("D0")) == length
    assert len(net.downstream("D4000")) == 1000
    assert len(net.upstream("M4999")) == length
    assert net.common_upstream(["M4999", "M2500"]) == "D2500"
    net.open("S2499")
    assert len(net.energised) == 2500
    assert net.validate() == []


def test_an_empty_network_answers() -> None:
    net = Topology.from_frames(substations=None, feeders=None)
    assert len(net.meters) == 0
    assert net.devices == ()
    assert net.validate() == []
    assert len(net.graph) == 0
    with pytest.raises(UnknownDeviceError):
        net.downstream("SS1")


def test_copies_by_pickle_answer_alike(town: Topology) -> None:
    town.open("SW1")
    town.add_meter("M9", "DP2")
    again = pickle.loads(pickle.dumps(town))
    assert list(again.downstream("F1")) == list(town.downstream("F1")) == ["M4", "M9"]
    assert again.kind("M9") is DeviceKind.METER
