"""Networks that are wide instead of deep: very many children of one device, very many roots."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from oms_topology import Topology
from oms_topology.model import NetworkColumns


def _columns(count: int, *, branches: bool) -> NetworkColumns:
    rows = np.arange(1, count, dtype=np.int32) if branches else np.empty(0, dtype=np.int32)
    return NetworkColumns(
        device_kind=np.full(count, "section", dtype=object),
        device_code=np.array([f"d{row}" for row in range(count)], dtype=object),
        device_is_source=np.arange(count) == 0,
        branch_from=np.zeros(len(rows), dtype=np.int32),
        branch_to=rows,
        meter_number=np.array([f"m{row}" for row in range(count)], dtype=object),
        meter_device=np.arange(count, dtype=np.int32),
    )


def test_a_quarter_of_a_million_devices_on_one() -> None:
    net = Topology.from_columns(_columns(250_000, branches=True))
    assert len(net.downstream("d0")) == 250_000
    assert net.upstream("m249999") == ["d249999", "d0"]
    assert net.meters.rows[:4].tolist() == [0, 1, 2, 3]


def test_a_quarter_of_a_million_devices_alone() -> None:
    net = Topology.from_columns(_columns(250_000, branches=False))
    assert len(net.energised) == 1
    orphans = next(finding for finding in net.validate() if finding.rule == "orphan_device")
    assert orphans.count == 249_999


def test_a_network_that_nobody_holds_is_gone_at_once() -> None:
    net = Topology.from_text("SS1 > F1 > M1")
    other = net.what_if()
    places = weakref.ref(net._editor.normal.position)
    gc.disable()
    try:
        del net
        assert places() is None
    finally:
        gc.enable()
    assert len(other.energised) == 1
