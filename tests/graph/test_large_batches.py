"""Batches and sets large enough for the compiled loops: against NetworkX, and without the compiler."""

from __future__ import annotations

import subprocess
import sys
import threading

import networkx as nx
import numpy as np
import pytest

from oms_topology import Topology, samples
from oms_topology.errors import TopologyError

_ASKED = 3_000


def _with_dead_parts() -> Topology:
    net = samples.load("ieee9500")
    closed = [switch for switch in net.switches if not net.is_open(switch)]
    for switch in closed[:: len(closed) // 6]:
        net.open(switch)
    return net


def _below(net: Topology) -> list[int]:
    """Count by NetworkX the meters below each device, in the order of its rows."""
    graph = net.graph
    is_meter = {node: kind == "meter" for node, kind in graph.nodes(data="kind")}
    return [
        sum(is_meter[node] for node in nx.descendants(graph, code)) if net.is_energised(code) else 0
        for code in net.devices
    ]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16])
def test_counts_of_many_rows_are_those_of_the_graph(dtype: type[np.integer]) -> None:
    net = _with_dead_parts()
    below = np.array([*_below(net), 0])
    assert (below == 0).any()
    assert below.max() > 256
    rows = np.random.default_rng(1).integers(-1, len(below) - 1, _ASKED).astype(dtype)
    assert net.count_below(rows).tolist() == below[rows].tolist()
    codes = [net.devices[row] for row in rows.tolist() if row >= 0]
    numbers = list(net.meters)[:1_000]
    assert net.count_below([*codes, *numbers]).tolist() == [*below[rows[rows >= 0]].tolist(), *[1] * 1_000]


@pytest.mark.parametrize("wrong", [-2, 10**6])
def test_a_row_that_is_none_is_named_in_a_large_batch(wrong: int) -> None:
    net = samples.load("ieee9500")
    rows = np.zeros(_ASKED, dtype=np.int32)
    rows[7] = wrong
    with pytest.raises(TopologyError, match=str(wrong)):
        net.count_below(rows)


@pytest.mark.parametrize("dtype", ["i1", "u1", "?", "i4", ">i4", "i8", "u8"])
def test_status_counts_of_large_sets(dtype: str) -> None:
    net = _with_dead_parts()
    drawn = np.random.default_rng(2).integers(0, 2 if dtype == "?" else 3, 1_275)
    statuses = drawn.astype(dtype)
    source = net.downstream("sourcebus")
    for meters in (source, net.meters - net.downstream("m1047300"), net.meters):
        assert len(meters) > 256
        expected = np.bincount(drawn[meters.rows], minlength=3).tolist()
        assert meters.status_counts(statuses).tolist() == expected
        assert meters.status_counts(statuses, kinds=2).tolist() == expected[: max(2, drawn.max() + 1)]


@pytest.mark.parametrize(
    "statuses",
    [
        np.zeros(100, dtype=np.int8),
        np.full(1_275, -1, dtype=np.int8),
        np.full(1_275, 0.5),
        np.array(["1"] * 1_275),
    ],
)
def test_statuses_that_are_none_are_refused_for_large_sets(statuses: np.ndarray) -> None:
    with pytest.raises(TopologyError, match="whole numbers"):
        samples.load("ieee9500").meters.status_counts(statuses)


def test_large_batches_are_of_one_version_while_the_network_grows() -> None:
    """Each added meter is seen by all rows above it or by none, also when arrays are given more room."""
    net = samples.load("ieee9500")
    rows = np.resize(net.rows(["sourcebus", "m1047300"]), _ASKED).astype(np.int32)
    target = net.upstream(next(iter(net.downstream("m1047300"))))[0]
    between = int(np.diff(net.count_below(rows[:2]))[0])
    before = len(net.downstream("sourcebus"))
    stop = threading.Event()

    def grow() -> None:
        for number in range(60):
            net.add_device(f"new{number}", kind="section", parent=target)
            net.add_meter(f"more{number}", f"new{number}")
        stop.set()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        while not stop.is_set():
            counts = net.count_below(rows)
            assert counts.tolist() == np.resize(counts[:2], _ASKED).tolist()
            assert counts[1] - counts[0] == between
    finally:
        writer.join()
    assert net.count_below(rows)[0] == before + 60


_WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from oms_topology.graph.traces import batch_kernels
assert not batch_kernels.is_compiled
from tests.graph import test_large_batches as batches
batches.test_counts_of_many_rows_are_those_of_the_graph(np.int32)
for dtype in ("i1", "?"):
    batches.test_status_counts_of_large_sets(dtype)
print("as compiled")
"""


def test_without_numba_large_batches_are_the_same() -> None:
    run = subprocess.run([sys.executable, "-c", _WITHOUT_NUMBA], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "as compiled", run.stderr
