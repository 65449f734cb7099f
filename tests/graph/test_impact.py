"""Lost and backed up: alternate supplies, loops, several failures at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.errors import TopologyError
from oms_topology.model import DeviceKind


def test_a_meter_is_lost_only_when_every_supply_is() -> None:
    net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3; SS2 > F3 > M4; F2 ~> M1; F3 ~> M1")
    impact = net.impact("F1")
    assert (list(impact.total), list(impact.lost), list(impact.backed_up)) == (["M1", "M2"], ["M2"], ["M1"])
    assert list(net.impact(["F1", "F2"]).backed_up) == ["M1"]
    assert list(net.impact(["F1", "F2", "F3"]).lost) == ["M1", "M2", "M3", "M4"]
    assert list(net.impact("SS1").backed_up) == ["M1"]


def test_a_feed_from_above_the_meter_is_no_second_supply() -> None:
    net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1; F1 ~> M1")
    assert list(net.impact("DP1").lost) == ["M1"]
    net.open("SW1")
    assert not net.is_energised("M1")


def test_a_meter_counts_below_the_feed_that_holds_it_up_now() -> None:
    net = Topology.from_text("SS1 >SW1> F1 > M1; SS1 > F2 > M2; F2 ~> M1")
    assert list(net.downstream("F2")) == ["M2"]
    net.open("SW1")
    assert list(net.downstream("F2")) == ["M1", "M2"]
    assert net.upstream("M1") == ["F2", "SS1"]
    assert list(net.impact("F2").lost) == ["M1", "M2"]
    assert list(net.downstream("F1", state="normal")) == ["M1"]


def test_alternates_are_taken_in_their_order() -> None:
    supplies = {"meter_number": ["M1", "M1"], "feeder_id": ["F3", "F2"], "priority": [3, 2]}
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1", "F2", "F3"], "substation_id": ["SS1"] * 3},
        meters={"meter_number": ["M1"], "feeder_id": ["F1"]},
        switches={"switch_id": ["S1", "S2"], "from_id": ["SS1", "SS1"], "to_id": ["F1", "F2"]},
        supplies=supplies,
    )
    net.open("S1")
    assert net.upstream("M1") == ["F2", "SS1"]
    net.open("S2")
    assert net.upstream("M1") == ["F3", "SS1"]


def test_priority_orders_alternates_whatever_their_rows() -> None:
    columns = Topology.from_text("SS1 >S1> F1 > M1; SS1 > F2; SS1 > F3; F2 ~> M1; F3 ~> M1").columns
    net = Topology.from_columns(replace(columns, alternate_priority=np.array([9, 1], dtype=np.int8)))
    net.open("S1")
    assert net.upstream("M1") == ["F3", "SS1"]


def test_a_closed_loop_backs_up_and_an_open_tie_does_not() -> None:
    net = Topology.from_text("SS1 > F1 > A > M1; SS1 > F2 > B > M2; A /T1/ B")
    assert list(net.impact("F1").lost) == ["M1"]
    net.close("T1")
    assert list(net.impact("F1").backed_up) == ["M1"]
    assert list(net.impact("A").lost) == ["M1"]
    assert list(net.impact(["F1", "F2"]).lost) == ["M1", "M2"]
    assert list(net.impact("F1", state="normal").lost) == ["M1"]


def test_customers_critical_and_by_what() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        distribution_points={"dp_id": ["DP1", "DP2"], "feeder_id": ["F1", "F1"]},
        meters={
            "meter_number": ["M1", "M2", "M3", "M4", "M5"],
            "dp_id": ["DP1", "DP1", "DP2", "DP2", None],
            "feeder_id": ["F1"] * 5,
            "customer_id": ["C1", "C1", "C2", None, ""],
            "priority": [1, 4, None, 2, 1],
        },
    )
    impact = net.impact("F1")
    assert impact.customers == 4
    assert sorted(impact.critical) == ["M1", "M5"]
    assert impact.by_feeder == {"F1": 5}
    assert impact.by_distribution_point == {"DP1": 2, "DP2": 2, "": 1}
    assert impact.devices[0].kind is DeviceKind.FEEDER
    assert net.impact("M1").customers == 1


def test_impacts_join_and_those_of_two_states_do_not() -> None:
    net = Topology.from_text("SS1 > F1 > M1; SS1 > F2 > M2; F2 ~> M1")
    joint = net.impact("F1") | net.impact("F2")
    assert list(joint.lost) == ["M1", "M2"]
    assert [str(device) for device in joint.devices] == ["feeder F1", "feeder F2"]
    before = net.impact("F1")
    net.move_meter("M2", "F1")
    with pytest.raises(TopologyError):
        before | net.impact("F2")


def test_no_device_no_impact() -> None:
    net = Topology.from_text("SS1 > F1 > M1")
    impact = net.impact([])
    assert (len(impact.total), len(impact.lost), impact.customers, impact.by_feeder) == (0, 0, 0, {})
