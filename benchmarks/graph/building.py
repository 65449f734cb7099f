"""From arrays to answers: the index alone and the whole network, with the compiler and without it.

``python -m benchmarks.graph.building METERS`` prints the times without numba as JSON; the benchmark
calls it so, since a process that has loaded the compiler cannot be without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order

from benchmarks.graph.measuring import Timing, agree, timed
from benchmarks.graph.networks import city, strands
from benchmarks.graph.peers import igraph_graph, networkx_graph, rustworkx_graph, scipy_graph
from oms_topology import Topology
from oms_topology.graph.engine.editor import Editor
from oms_topology.graph.engine.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.graph.case import Case
    from benchmarks.graph.networks import Tree
    from oms_topology.model import NetworkColumns

__all__ = ["SHAPES", "measure"]

SHAPES: dict[str, Callable[[int], NetworkColumns]] = {"3 deep": city, "432 deep": strands}
_MOST_FOR_ALL = 2_000_000
_INDEX, _WHOLE = "index", "whole Topology, codes hashed"
_GOALS = {
    ("3 deep", 1_000_000): "50 ms",
    ("432 deep", 1_000_000): "100 ms",
    ("3 deep", 10_000_000): "1,500 ms",
}
_GOALS_PLAIN = {("3 deep", 1_000_000): "150 ms", ("432 deep", 1_000_000): "250 ms"}


def measure(case: Case, shape: str) -> None:
    """Measure one network of one of the shapes."""
    report, meters, columns = case.report, case.meters, case.columns
    report.begin(f"Build from arrays, {shape}", meters)
    _check(case)
    index, whole = _ours(columns, case.few)
    goal = _GOALS.get((shape, meters), "")
    report.time(f"{_INDEX}, {shape}", meters, index, "ms", goal=goal)
    report.time(f"{_WHOLE}, {shape}", meters, whole, "ms")
    if meters <= _MOST_FOR_ALL:
        _without_numba(case, shape)
    for who, build in _ways(case.tree, meters).items():
        rounds = 1 if who.startswith(("networkx", "rustworkx")) and meters > 100_000 else case.few_of_peers
        report.time(f"{_INDEX}, {shape}", meters, timed(build, rounds, warm=rounds > 1), "ms", who=who)


def _check(case: Case) -> None:
    """Hold what feeds every device against plain arrays."""
    net, tree = case.net, case.tree
    agree("supplied meters", len(net.energised), len(case.columns.meter_number))
    agree("what feeds each device", net.supply_parents(), tree.parent[: tree.devices])


def _ours(columns: Any, rounds: int) -> tuple[Timing, Timing]:
    network = Network.of(columns)
    index = timed(lambda: Editor(network), rounds)
    return index, timed(lambda: Topology.from_columns(columns), rounds, warm=False)


def _without_numba(case: Case, shape: str) -> None:
    call = [sys.executable, "-m", "benchmarks.graph.building", str(case.meters), shape, str(case.few)]
    found = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    goal = _GOALS_PLAIN.get((shape, case.meters), "")
    for work, taken in found.items():
        timing = Timing(*taken)
        name = f"{work}, {shape}, without numba"
        case.report.time(name, case.meters, timing, "ms", goal=goal if work == _INDEX else "")


def _ways(tree: Tree, meters: int) -> dict[str, Callable[[], Any]]:
    _ = tree.edges
    ways: dict[str, Callable[[], Any]] = {
        "scipy, matrix and one depth-first pass": lambda: _joined_pass(tree),
        "igraph, the graph": lambda: igraph_graph(tree),
    }
    if meters <= _MOST_FOR_ALL:
        ways["networkx, the graph"] = lambda: networkx_graph(tree)
        ways["rustworkx, the graph"] = lambda: rustworkx_graph(tree)
    return ways


def _joined_pass(tree: Tree) -> Any:
    """Order all trees, joined under one more node."""
    matrix, roots = scipy_graph(tree), np.flatnonzero(tree.parent < 0)
    indptr = np.append(matrix.indptr, matrix.indptr[-1] + len(roots)).astype(np.int32)
    indices = np.append(matrix.indices, roots).astype(np.int32)
    nodes = tree.nodes + 1
    joined = csr_array((np.ones(len(indices)), indices, indptr), shape=(nodes, nodes))
    return depth_first_order(joined, nodes - 1, return_predecessors=False)


def _main(meters: str, shape: str, rounds: str) -> None:
    sys.modules["numba"] = None  # type: ignore[assignment]
    columns = SHAPES[shape](int(meters))
    index, whole = _ours(columns, int(rounds))
    print(json.dumps({_INDEX: [index.best_s, index.median_s], _WHOLE: [whole.best_s, whole.median_s]}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
