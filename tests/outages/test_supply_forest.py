"""The nodes of inference are the network's own answers; what to ask and what to count follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from oms_topology import samples
from oms_topology.graph.topology import Topology
from oms_topology.model import DeviceKind, Source
from oms_topology.outages.asking import most_telling, ping_list, take_answer
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.inference import ForestInference
from oms_topology.outages.rates import EvidenceRates, Priors, ReportKind
from oms_topology.outages.rules import CorrelationRules

LOG_ODDS = {kind: Priors().log_odds(kind) for kind in DeviceKind}


@pytest.mark.parametrize("sample", ["ieee9500", "lv_schutterwald"])
def test_below_and_above_a_node_is_what_the_network_says(sample: str) -> None:
    net = samples.load(sample)
    forest = SupplyForest.of(net)
    rng = np.random.default_rng(2)
    assert len(forest.meter_rows) == len(net.energised)
    everything = np.arange(len(forest), dtype=np.int32)
    for node in rng.integers(0, forest.devices, 40).tolist():
        device = forest.reference(node)
        kind = str(device.kind)
        below = [forest.reference(each).code for each in forest.meters_below(node).tolist()]
        assert below == list(net.downstream(device.code, kind=kind))
        above = [forest.reference(each).code for each in forest.path(node)[1:]]
        assert above == net.upstream(device.code, kind=kind)[1:] or above == net.upstream(
            device.code, kind=kind
        )
        inside = set(forest.places_below(everything, node).tolist())
        assert inside == {each for each in range(len(forest)) if node in forest.path(each)}


def test_a_part_of_a_network_has_the_same_nodes_as_the_whole() -> None:
    net = samples.load("ieee9500")
    whole, part = SupplyForest.of(net), SupplyForest.of(net, below="m1047300")
    top = whole.node(DeviceKind.FEEDER, "m1047300")
    count = int(whole.last_device[top]) - top
    assert part.devices == count
    assert part.device_rows.tolist() == whole.device_rows[top : top + count].tolist()
    assert part.parent[0] == -1
    assert [part.reference(node) for node in part.parent[1:].tolist()] == [
        whole.reference(
            int(whole.parent[whole.node(DeviceKind(part.reference(node).kind), part.reference(node).code)])
        )
        for node in range(1, len(part))
    ]


def test_what_has_no_supply_is_no_node() -> None:
    net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1..M3; F1 > M4")
    net.open("SW1")
    forest = SupplyForest.of(net)
    assert (forest.meter_node("M1"), forest.node(DeviceKind.SWITCH, "SW1")) == (-1, -1)
    assert forest.meter_nodes(["M4", "M1", "nobody"]).tolist() == [2, -1, -1]
    assert len(SupplyForest.of(net, state="normal")) == len(forest) + 4
    assert len(SupplyForest.of(net, below="DP1")) == 0


def test_priors_of_a_run_are_given_to_one_of_it_and_keep_their_sum() -> None:
    forest = SupplyForest.of(Topology.from_text("SS1 > F1 > A > B > DP1 > M1, M2; SS1 > F2 > M3, M4"))
    each, merged = forest.priors(LOG_ODDS, range(forest.devices)), forest.priors(LOG_ODDS)
    run = [
        forest.node(kind, code)
        for kind, code in ((DeviceKind.FEEDER, "F1"), (DeviceKind.DISTRIBUTION_POINT, "DP1"))
    ]
    candidates = np.flatnonzero(merged[run[0] : run[1] + 1] > -20 * 1024) + run[0]
    assert candidates.tolist() == [run[0]]
    odds = np.exp(each[run[0] : run[1] + 1] / 1024).sum()
    assert np.exp(merged[run[0]] / 1024) == pytest.approx(odds, rel=1e-3)
    assert merged[forest.devices :].tolist() == each[forest.devices :].tolist()


def test_answers_come_in_until_nothing_is_in_doubt() -> None:
    ping = EvidenceRates().reports[ReportKind.PING]
    parent = np.array([-1, 0, 0, 0, 0, 0])
    heard = np.array([0, 5000, 3000, -500, -500, -500])
    inference = ForestInference(parent, heard, heard + np.array([-7000, *[-9000] * 5]))
    meters = np.arange(1, 6, dtype=np.int32)
    before = inference.posteriors()
    listed = ping_list(inference, meters, 3, ping)
    assert inference.posteriors().is_dead.tolist() == before.is_dead.tolist()
    assert listed[0] == most_telling(before.is_dead, meters)
    assert len(set(listed)) == len(listed)
    for _ in range(10):
        node = most_telling(inference.posteriors().is_dead, meters)
        if node < 0:
            break
        take_answer(inference, node, is_dead=True, rates=ping)
    assert node == -1
    assert inference.explanation().blamed.tolist() == [0]
    assert ping_list(inference, meters, 3, ping) == []


def test_rules_are_read_from_the_rows_of_the_database() -> None:
    storm = CorrelationRules.from_row(
        {"auto_activation_threshold": 100, "correlation_window_minutes": 60, "confidence_threshold": 0.5}
    )
    assert (storm.name, storm.window.total_seconds(), storm.threshold) == ("Storm", 3600.0, 0.5)
    only_scada = CorrelationRules.from_row(
        {"rule_name": "SCADA Priority", "source_types": ["scada", "martian"], "weight_kaifa": 0}
    )
    assert only_scada.sources == {Source.SCADA}
    assert only_scada.confidence({Source.SCADA: 1, Source.KAIFA: 1}) == 0.5
    assert CorrelationRules().confidence({}) == 0.0
