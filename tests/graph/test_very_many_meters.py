"""Networks so large that their meters' numbers are kept in the code table alone behave as all others."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from oms_topology import Topology
from oms_topology.graph.engine import network as network_module
from oms_topology.graph.names.code_column import CodeColumn
from tests.properties.test_changes_in_place import ChangingMachine


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "_MOST_NUMBERS", 0)


def test_changes_are_the_same() -> None:
    few = settings(max_examples=10, stateful_step_count=12, deadline=None, database=None)
    run_state_machine_as_test(ChangingMachine, settings=few)


def test_numbers_come_out_as_they_went_in() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1..M5; F1 > M9")
    assert isinstance(net._editor.network.columns.meter_number, CodeColumn)
    assert net.meters.meter_numbers.tolist() == ["M9", "M1", "M2", "M3", "M4", "M5"]
    other = net.what_if()
    other.add_meter("M7", "DP1")
    net.add_meter("M8", "DP1")
    assert list(net.downstream("DP1"))[-1] == "M8"
    assert list(other.downstream("DP1"))[-1] == "M7"
    assert isinstance(net.columns.meter_number, np.ndarray)
    assert pickle.loads(pickle.dumps(net)).meters == net.meters
    assert sorted(net.graph.nodes) == sorted(["SS1", "F1", "DP1", *net.meters])
    assert net.impact("M8").devices[0].code == "M8"
