"""Changes that cannot be made say why, and leave the network as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.errors import TopologyError, UnknownDeviceError


def test_a_device_that_backs_up_a_meter_stays_whenever_the_meter_came() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1; SS1 > F2; SS1 > F3; F3 ~> M1")
    net.add_meter("M9", "DP1", alternates=["F2"])
    for code in ("F2", "F3"):
        with pytest.raises(TopologyError, match="second supply"):
            net.remove_device(code)
    assert sorted(net.dual_fed()) == sorted(Topology.from_columns(net.columns).dual_fed()) == ["M1", "M9"]
    net.remove_meter("M9")
    net.remove_device("F2")
    assert list(net.dual_fed()) == ["M1"]
    assert net.undo()
    assert net.undo()
    assert sorted(net.dual_fed()) == ["M1", "M9"]


@pytest.mark.parametrize("priority", [5, -1, 300, 1.5, "high"])
def test_a_priority_that_is_none(priority: object) -> None:
    net = Topology.from_text("SS1 > F1 > M1")
    with pytest.raises(TopologyError, match="Priority"):
        net.add_meter("M2", "F1", priority=priority)  # type: ignore[arg-type]
    assert (net.version, list(net.meters)) == (0, ["M1"])


def test_a_time_or_version_that_cannot_be() -> None:
    net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1")
    net.open("SW1", changed_at=datetime(2026, 3, 2, tzinfo=UTC))
    for moment in (2, -1, datetime(2026, 3, 2)):  # noqa: DTZ001 - a naive time is what is tried
        with pytest.raises(TopologyError):
            net.as_of(moment)
    for changed_at in (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3)):  # noqa: DTZ001
        with pytest.raises(TopologyError):
            net.close("SW1", changed_at=changed_at)
        with pytest.raises(TopologyError):
            net.add_meter("M2", "DP1", changed_at=changed_at)
    assert net.version == 1
    with pytest.raises(UnknownDeviceError):
        net.upstream("M2")


@pytest.mark.parametrize("statuses", [np.zeros(1, np.int8), np.full(3, -1), np.zeros(3)])
def test_statuses_that_do_not_fit(statuses: np.ndarray) -> None:
    net = Topology.from_text("SS1 > F1 > M1..M3")
    with pytest.raises(TopologyError, match="3 meter rows"):
        net.downstream("F1").status_counts(statuses)


def test_what_is_added_has_phases() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1; SS1 > F2")
    net.add_device("L1", kind="section", parent="F1", phases="AB")
    net.add_meter("M2", "L1", phases="A")
    net.add_meter("M3", "L1", phases="BC")
    net.jumper("L1", "F2", phases="C")
    assert [net.phases(code) for code in ("L1", "M1", "M2", "M3")] == ["AB", "ABC", "A", "B"]
    assert list(net.downstream_phase("SS1", "B")) == ["M1", "M3"]
    net.cut("F1", "L1")
    assert [net.phases(code) for code in ("L1", "M2", "M3")] == ["C", "", "C"]
    net.remove_meter("M2")
    net.add_meter("M2", "L1", phases="C")
    assert net.phases("M2") == "C"
    assert Topology.from_columns(net.columns).phases("M3") == "C"
    assert net.undo()
    assert net.undo()
    assert net.phases("M2") == ""


def test_phases_that_are_none() -> None:
    net = Topology.from_text("SS1 > F1 > M1; SS1 > F2")
    for change in (
        lambda: net.add_meter("M2", "F1", phases="1"),
        lambda: net.add_device("L1", kind="section", parent="F1", phases="XY"),
        lambda: net.jumper("F1", "F2", phases="?"),
    ):
        with pytest.raises(TopologyError, match="phases"):
            change()
    assert (net.version, net.devices, list(net.meters)) == (0, ("SS1", "F1", "F2"), ["M1"])
