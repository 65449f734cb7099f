"""Measure the graph room against the graph libraries, in one run on one machine.

    python -m benchmarks.graph.run [--quick] [--json FILE]

Every figure is the median of several rounds with the garbage collector off; what is compared is
asked of networks whose ids are permuted, as they are in a real extract.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import igraph
import networkx as nx
import numpy as np
import rustworkx
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order

from benchmarks.graph.networks import METERS_PER_SUBSTATION, city
from oms_topology import Topology
from oms_topology.graph.grouping import grouped
from oms_topology.graph.index import SupplyIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oms_topology.model import NetworkColumns

Figures = dict[str, float]


def seconds(work: Callable[[], Any], *, rounds: int, inner: int = 1) -> float:
    """Median time of one call, over rounds of ``inner`` calls, garbage collector off."""
    work()
    taken = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        for _ in range(inner):
            work()
        taken.append((time.perf_counter() - begin) / inner)
        gc.enable()
    return statistics.median(taken)


def edges_of(columns: NetworkColumns) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """The whole network as one tree over integers: devices first, then meters."""
    devices = len(columns.device_code)
    meters = np.arange(len(columns.meter_number), dtype=np.int32) + devices
    start = np.concatenate((columns.branch_from, columns.meter_device))
    end = np.concatenate((columns.branch_to, meters))
    return start, end, devices + len(meters)


def below_a_substation(columns: NetworkColumns, rounds: int) -> Figures:
    """Time the 1,000 meters below a substation, ours through the public face from the code."""
    net = Topology.from_columns(columns)
    codes = itertools.cycle(net.codes("substation"))
    view = net.downstream(net.codes("substation")[0])
    if len(view) != METERS_PER_SUBSTATION:
        raise SystemExit(f"expected {METERS_PER_SUBSTATION} meters below a substation, found {len(view)}")
    inner = 20_000
    empty = seconds(lambda: next(codes), rounds=rounds, inner=inner)
    no_op = seconds(lambda: None, rounds=rounds, inner=inner)
    figures = {
        "view_us": 1e6 * (seconds(lambda: net.downstream(next(codes)), rounds=rounds, inner=inner) - empty),
        "count_us": 1e6 * (seconds(lambda: len(view), rounds=rounds, inner=inner) - no_op),
        "numbers_us": 1e6 * seconds(lambda: view.meter_numbers, rounds=rounds, inner=200),
        "impact_us": 1e6 * seconds(lambda: net.impact(next(codes)), rounds=rounds, inner=200),
    }
    return figures | others_below(columns, rounds)


def others_below(columns: NetworkColumns, rounds: int) -> Figures:
    """Time the same question, from the integer node, by walking the graph of three libraries."""
    start, end, nodes = edges_of(columns)
    stations = itertools.cycle(np.flatnonzero(columns.device_is_source).tolist())
    pairs = list(zip(start.tolist(), end.tolist(), strict=True))
    rust = rustworkx.PyDiGraph()
    rust.add_nodes_from(range(nodes))
    rust.extend_from_edge_list(pairs)
    native = igraph.Graph(n=nodes, edges=pairs, directed=True)
    plain: nx.DiGraph[int] = nx.DiGraph()
    plain.add_edges_from(pairs)
    walks: dict[str, Callable[[], Iterable[int]]] = {
        "networkx_us": lambda: nx.descendants(plain, next(stations)),
        "rustworkx_us": lambda: rustworkx.descendants(rust, next(stations)),
        "igraph_us": lambda: native.subcomponent(next(stations), mode="out"),
    }
    return {name: 1e6 * seconds(walk, rounds=rounds, inner=20) for name, walk in walks.items()}


def building(columns: NetworkColumns, rounds: int) -> Figures:
    """Time the index from arrays; beside it scipy's one depth-first pass and a networkx graph."""
    net = Topology.from_columns(columns)
    start, end, nodes = edges_of(columns)
    starts, rows = grouped(start, nodes)
    tree = csr_array((np.ones(len(rows)), end[rows], starts), shape=(nodes, nodes))
    roots = np.flatnonzero(columns.device_is_source).tolist()
    return {
        "index_ms": 1e3 * seconds(lambda: SupplyIndex(net._network, columns.branch_is_open), rounds=rounds),
        "topology_ms": 1e3 * seconds(lambda: Topology.from_columns(columns), rounds=rounds),
        "scipy_pass_ms": 1e3 * seconds(lambda: joined_pass(tree, roots, nodes), rounds=rounds),
        "networkx_ms": 1e3 * seconds(lambda: plain_graph(start, end), rounds=max(1, rounds // 3)),
    }


def joined_pass(tree: csr_array, roots: list[int], nodes: int) -> Any:
    """One scipy depth-first order over all trees, joined under one more node."""
    indptr = np.append(tree.indptr, tree.indptr[-1] + len(roots)).astype(np.int32)
    indices = np.append(tree.indices, roots).astype(np.int32)
    joined = csr_array((np.ones(len(indices)), indices, indptr), shape=(nodes + 1, nodes + 1))
    return depth_first_order(joined, nodes, return_predecessors=False)


def plain_graph(start: np.ndarray[Any, Any], end: np.ndarray[Any, Any]) -> nx.DiGraph[int]:
    """The network as a networkx graph, from integers."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from(zip(start.tolist(), end.tolist(), strict=True))
    return graph


def sizes(columns: NetworkColumns) -> Figures:
    """Count bytes a meter: the index as it says and as the allocator saw it, and the number table."""
    meters = len(columns.meter_number)
    net = Topology.from_columns(columns)
    tracemalloc.start()
    index = SupplyIndex(net._network, columns.branch_is_open)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "index_bytes_per_meter": index.nbytes / meters,
        "index_traced_bytes_per_meter": held / meters,
        "number_table_bytes_per_meter": net._network.names.meters.nbytes / meters,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 meters, few rounds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    scales, rounds = ((1_000, 20_000), 3) if chosen.quick else ((1_000, 1_000_000), 9)
    figures: dict[str, Figures] = {}
    for meters in scales:
        columns = city(meters)
        figures[str(meters)] = (
            below_a_substation(columns, rounds) | building(columns, rounds) | sizes(columns)
        )
        print(f"{meters:,} meters")
        for name, value in figures[str(meters)].items():
            print(f"  {name:32} {value:14,.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
