"""Cases of traces that are easily got wrong: parallel members, phases in words, codes that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.errors import AmbiguousDeviceError, TopologyError, UnknownDeviceError
from oms_topology.graph.reading.phase_codes import phase_bits, phase_letters
from oms_topology.model import NetworkColumns, PathStep


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("ABC", "ABC"),
        ("cba", "ABC"),
        ("ABCN", "ABC"),
        ("A", "A"),
        ("b N", "B"),
        ("A;C", "AC"),
        ("R,T", "AC"),
        ("L1", "A"),
        ("L2L3", "BC"),
        ("L1-L2-L3-N", "ABC"),
        ("UVW", "ABC"),
        (".2", "B"),
        ("1.3", "AC"),
        ("1.2.3.0", "ABC"),
        ("3", "ABC"),
        ("3.0", "ABC"),
        ("2", ""),
        ("1", ""),
        ("1.0", ""),
        ("123", ""),
        ("", ""),
        ("N", ""),
        ("X", ""),
        ("s1N", ""),
        ("A1", ""),
        ("5.6", ""),
        ("AR", ""),
    ],
)
def test_phases_in_words(text: str, letters: str) -> None:
    assert phase_letters(phase_bits(text)) == letters


def _laterals(**changed: object) -> Topology:
    """A feeder whose lateral hangs on one fuse for each phase."""
    edges: dict[str, list[object]] = {
        "from": ["s", "a", "a", "a", "b"],
        "to": ["a", "b", "b", "b", "c"],
        "kind": ["breaker", "fuse", "fuse", "fuse", "line"],
        "name": ["CB", "FA", "FB", "FC", "L"],
        "phases": ["ABC", "A", "B", "C", ""],
    }
    customers = {"id": ["ma", "mb", "mc", "all"], "node": ["c"] * 4, "phases": ["A", "B", "C", "3"]}
    nodes = {"id": ["s", "a", "b", "c"], "kind": ["source", "feeder", "section", "distribution_point"]}
    return Topology.from_edges(nodes=nodes, edges={**edges, **changed}, customers=customers)


def test_one_fuse_of_three_takes_its_phase_away() -> None:
    net = _laterals()
    assert list(net.downstream_phase("CB", "B")) == ["mb", "all"]
    assert list(net.downstream_phase("FB", "B")) == ["mb", "all"]
    assert not net.downstream_phase("FA", "B")
    assert (net.phases("FA"), net.phases("b"), net.phases("mb")) == ("A", "ABC", "B")
    net.open("FB")
    assert not net.downstream_phase("s", "B")
    assert list(net.downstream_phase("s", "B", state="normal")) == ["mb", "all"]
    assert (net.phases("b"), net.phases("all"), net.phases("mb"), net.phases("FB")) == ("AC", "AC", "", "")
    assert len(net.downstream("b")) == 4  # without phases all still have supply
    assert net.protection_path("ma") == ["FA", "FC", "CB"]


def test_a_fuse_that_is_bridged_interrupts_nothing() -> None:
    net = _laterals(kind=["breaker", "fuse", "disconnector", "fuse", "line"])
    assert net.next_protective("ma") == "CB"
    net.open("FB")
    assert net.protection_path("ma") == ["FA", "FC", "CB"]
    assert net.protection_path("ma", kinds=["disconnector", "fuse"]) == ["FA", "FC"]
    assert net.path("c", ["breaker"]) == [PathStep("breaker", "CB")]


def test_members_of_a_gang_are_one_switch() -> None:
    net = _laterals(name=["CB", "F", "F", "F", "L"])
    assert [step.code for step in net.path("ma", ["switch"])] == ["F", "CB"]
    assert net.isolating_switches("c").switches == ("F",)
    assert net.phases("F") == "ABC"
    assert net.restoration("F").unrestorable == {"ma", "mb", "mc", "all"}


def test_phases_of_switches_and_meters_from_a_registry() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        distribution_points={"dp_id": ["DP1"], "feeder_id": ["F1"]},
        meters={"meter_number": ["M1", "M2", "M3"], "dp_id": ["DP1"] * 3, "phases": ["A", "B", None]},
        switches={
            "switch_id": ["FU"],
            "from_id": ["F1"],
            "to_id": ["DP1"],
            "kind": ["fuse"],
            "phases": ["AC"],
        },
    )
    assert net.columns.branch_phases.tolist() == [0, 5]
    assert list(net.downstream_phase("SS1", "A")) == ["M1", "M3"]
    assert list(net.downstream_phase("SS1", "B")) == []
    again = Topology.from_columns(net.columns)
    assert list(again.downstream_phase("SS1", "C")) == ["M3"]
    with pytest.raises(TopologyError, match="no phase 'AB'"):
        net.downstream_phase("SS1", "AB")


def test_columns_without_phases_know_none() -> None:
    columns = Topology.from_text("SS1 > F1 > M1").columns
    assert (columns.branch_phases.tolist(), columns.meter_phases.tolist()) == ([0], [0])
    assert columns.branch_phases.dtype == columns.meter_phases.dtype == np.uint8


def test_a_breaker_by_its_short_name() -> None:
    net = _laterals(kind=["switch:CB", "switch:LBS", "switch:LBS", "switch:LBS", "line"])
    assert net.next_protective("ma") == "CB"
    assert net.next_protective("ma", kinds=["LBS"]) == "FA"
    assert net.next_protective("ma", kinds="switch") == "FA"


def test_kinds_that_nobody_knows_are_told() -> None:
    net = _laterals()
    with pytest.raises(TopologyError, match="no kind 'braker'"):
        net.path("ma", ["braker"])
    assert net.path("ma", ["recloser"]) == []
    with pytest.raises(TopologyError, match="'river'"):
        net.energised_by("river")


def test_codes_that_nothing_or_too_much_has() -> None:
    net = Topology.from_edges(
        nodes={"id": ["s", "x"], "kind": ["source", "feeder"]},
        edges={"from": ["s"], "to": ["x"], "kind": ["switch"], "name": ["x"]},
        customers={"id": ["m"], "node": ["x"]},
    )
    for ask in (net.path, net.next_protective, net.isolating_switches, net.restoration, net.phases, net.ties):
        with pytest.raises(UnknownDeviceError):
            ask("y")
        with pytest.raises(AmbiguousDeviceError):
            ask("x")
    assert net.next_protective("x", kind="feeder", kinds=["switch"]) == "x"
    assert net.restoration("x", kind="switch").unrestorable == {"m"}
    with pytest.raises(AmbiguousDeviceError):
        net.rows(["s", "x"])
    with pytest.raises(UnknownDeviceError):
        net.count_below(["s", "y"])
    with pytest.raises(UnknownDeviceError):
        net.meter_rows(["m", "s"])
    with pytest.raises(TopologyError, match="meter"):
        net.rows(["m"])


def test_batches_of_nothing_and_of_what_does_not_fit() -> None:
    net = Topology.from_text("SS1 >SW1> F1 > M1, M2; SS1 > F2 > M3")
    assert net.rows([]).tolist() == net.count_below([]).tolist() == net.paths_of([]) == []
    assert [part.tolist() for part in net.meters_below([])] == [[0], []]
    assert net.histograms_below([], np.zeros(3, dtype=np.int8)).shape == (0, 3)
    assert net.common_upstream_of([]) == []
    assert net.common_upstream_row(np.array([], dtype=np.int64)) == -1
    assert net.count_below(np.array([1, -1, 0])).tolist() == [2, 0, 3]
    assert net.common_upstream_row(np.array([1, -1])) == -1
    for rows in ([3], [-2], [2**40]):
        with pytest.raises(TopologyError, match="rows go from"):
            net.count_below(np.array(rows))
        with pytest.raises(TopologyError, match="rows go from"):
            net.common_upstream_row(np.array(rows))
    for statuses in (np.zeros(2, dtype=np.int8), np.array([0, 1, 3]), np.array([0, -1, 1]), np.zeros(3)):
        with pytest.raises(TopologyError, match=r"[Ss]tatuses"):
            net.histograms_below(["SS1"], statuses)
    assert net.histograms_below(["SS1", "M3"], np.array([0, 4, 4]), kinds=5).tolist() == [
        [1, 0, 0, 0, 2],
        [0, 0, 0, 0, 1],
    ]
    with pytest.raises(TopologyError, match="3 meter rows"):
        net.dark_below(np.array([True]))
    net.open("SW1")
    assert net.count_below(["F1", "SW1", "SS1"]).tolist() == [0, 0, 1]
    assert net.dark_below(np.ones(3, dtype=np.bool_)).tolist() == [1, 0, 1]
    assert net.dark_below(np.ones(3, dtype=np.bool_), state="normal").tolist() == [3, 2, 1]


def test_a_network_of_nothing_has_empty_traces() -> None:
    none = np.empty(0, dtype=object)
    net = Topology.from_columns(NetworkColumns(device_kind=none, device_code=none))
    assert net.dead_islands() == []
    assert not net.dual_fed()
    assert len(net.energised_by("feeder")) == 0
    assert not net.difference("normal")
    assert net.dark_below(np.empty(0, dtype=np.bool_)).tolist() == []
    assert net.count_below([]).tolist() == []


def test_ties_lead_through_other_dark_parts_when_nothing_else_does() -> None:
    net = Topology.from_text(
        "SS1 >SW1> F1 >SW2> L1 > M1; F1 >SW3> L2 > M2, M3; L1 /T1/ L2; L2 /T2/ F2"
        "; SS1 >SW4> F2 > M4; L1 /T3/ F1"
    )
    plan = net.restoration("F1")
    assert plan.switches_to_open == ("SW1", "SW2", "SW3")
    assert [(tie.switch, tie.after, list(tie.meters)) for tie in plan.ties] == [
        ("T2", (), ["M2", "M3"]),
        ("T1", ("T2",), ["M1"]),
    ]
    assert not plan.unrestorable
    net.open("SW4")
    assert not net.restoration("F1").ties
    assert net.restoration("F1").unrestorable == {"M1", "M2", "M3"}


def test_a_dark_section_is_restored_from_both_sides() -> None:
    net = Topology.from_text("SS1 >SW1> F1 > M1; F1 >SW2> L1 > M2; L1 >SW3> L2 > M3; L2 /T1/ F2; SS1 > F2")
    net.open("SW1")
    plan = net.restoration("L1")
    assert plan.switches_to_open == ("SW2", "SW3")
    assert {tie.switch: list(tie.meters) for tie in plan.ties} == {"SW1": ["M1"], "T1": ["M3"]}
    assert [(tie.feeder, tie.feeder_meters) for tie in plan.ties] == [("SS1", 0), ("F2", 0)]


def test_difference_of_networks_that_number_their_rows_otherwise() -> None:
    one = Topology.from_text("SS1 > F1 >SW1> DP1 > M1, M2; SS1 > F2 > M3")
    other = Topology.from_text("SS1 > F2 > M3, M4; F2 > M2; SS1 > F1 >SW1> DP1 > M1")
    other.open("SW1")
    difference = other.difference(one)
    assert list(difference.lost) == ["M1"]
    assert list(difference.changed_feeder) == ["M2"]
    assert list(difference.added) == ["M4"]
    assert list(difference.removed) == []
    assert list(one.difference(other).removed) == ["M4"]
    assert difference.devices_lost == ("DP1",)
    assert difference.lost.count_by("feeder") == {"F1": 1}
    one.remove_meter("M3")
    assert list(one.difference(other).removed) == ["M3", "M4"]
    assert bool(difference)


def test_a_device_put_in_again_is_the_same_device() -> None:
    net = Topology.from_text("SS1 > F1 > M1; SS1 > F2")
    before = net.what_if()
    net.remove_device("F2")
    net.add_device("F2", kind="feeder", parent="SS1")
    net.move_meter("M1", "F2")
    difference = net.difference(before)
    assert list(difference.changed_feeder) == ["M1"]
    assert difference.devices_lost == difference.devices_regained == difference.devices_changed_feeder == ()
