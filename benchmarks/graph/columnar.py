"""Measure the graph on columns and its NetworkX backend against a graph of dictionaries.

    python -m benchmarks.graph.columnar [--quick] [--json FILE]

Both graphs have the same codes for nodes. Every figure is the median of several rounds with the
garbage collector off; ids are permuted, as they are in a real extract, and every question is asked
of another node than the one before.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from benchmarks.graph.networks import city
from oms_topology import Topology
from oms_topology.graph.drawing import directed
from oms_topology.graph.drawing.directed import directed_graph
from oms_topology.graph.names.codes import CodeTable, Names
from oms_topology.graph.nx_backend.info import NAME
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Callable

Figures = dict[str, float]

_ENTRY_POINTS = f"""[networkx.backends]
{NAME} = oms_topology.graph.nx_backend.interface:BACKEND

[networkx.backend_info]
{NAME} = oms_topology.graph.nx_backend.info:backend_info
"""


def ensure_installed() -> None:
    """Start over with the entry points on the path where the package itself is not installed."""
    if NAME in nx.utils.backends.backends:
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "oms_topology_entry_points-0.dist-info"
        home.mkdir()
        (home / "METADATA").write_text("Metadata-Version: 2.1\nName: oms_topology_entry_points\nVersion: 0\n")
        (home / "entry_points.txt").write_text(_ENTRY_POINTS)
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        again = [sys.executable, "-m", "benchmarks.graph.columnar", *sys.argv[1:]]
        sys.exit(subprocess.run(again, env={**os.environ, "PYTHONPATH": path}, check=False).returncode)


def micros(ask: Callable[[], Any], rounds: int) -> float:
    """Median time of one call in microseconds, each call measured alone."""
    taken = []
    if rounds > 1:
        ask()
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        begin = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begin)
    gc.enable()
    return 1e6 * statistics.median(taken)


def drawing(meters: int, rounds: int) -> Figures:
    """Time the drawing: of the index alone, after a change, and from columns on."""
    columns = city(meters)
    indexes: list[Any] = []

    def draw(index: Any) -> Any:
        indexes.append(index)
        return directed_graph(index)

    directed.directed_graph, kept = draw, directed.directed_graph
    net = Topology.from_columns(columns)
    numbers, points = (
        itertools.cycle(columns.meter_number.tolist()),
        itertools.cycle(net.codes("distribution_point")),
    )

    def after_a_change() -> Any:
        net.move_meter(next(numbers), next(points))
        return net.graph

    figures = {
        "from_columns_to_graph_ms": micros(lambda: Topology.from_columns(columns).graph, rounds) / 1e3,
        "graph_after_a_change_ms": micros(after_a_change, rounds) / 1e3,
        "draw_codes_ms": micros(lambda: directed_graph(indexes[-1]), rounds) / 1e3,
        "draw_rows_ms": micros(lambda: directed_graph(indexes[-1], nodes="rows"), rounds) / 1e3,
    }
    directed.directed_graph = kept
    graph = net.graph
    return figures | {"dictionaries_ms": micros(lambda: nx.DiGraph(graph), 1) / 1e3}


def holding(meters: int) -> Figures:
    """Count bytes a node: of ids, of the tables that find them, of the graph, of all, of dictionaries."""
    tracemalloc.start()
    counts = [0]

    def more() -> float:
        counts.append(tracemalloc.get_traced_memory()[0])
        return counts[-1] - counts[-2]

    full = city(meters)
    columns = NetworkColumns(
        device_kind=full.device_kind, device_code=full.device_code, meter_number=full.meter_number
    )
    del full
    ids = more()
    names = Names(columns, CodeTable(columns.meter_number))
    tables = more()
    del names, columns
    counts.append(tracemalloc.get_traced_memory()[0])
    net = Topology.from_columns(city(meters))
    network = more()
    graph = net.graph
    drawn = more()
    plain = nx.DiGraph(graph)
    dictionaries = more()
    tracemalloc.stop()
    held = {
        "graph_of_rows_bytes_per_node": drawn,
        "graph_ids_and_tables_bytes_per_node": drawn + ids + tables,
        "network_and_graph_bytes_per_node": network + drawn,
        "dictionaries_without_ids_bytes_per_node": dictionaries,
    }
    return {name: count / len(plain) for name, count in held.items()}


def asking(meters: int, rounds: int) -> Figures:
    """Time the questions about a substation of 1,000 meters and about single meters."""
    columns = city(meters)
    graph = Topology.from_columns(columns).graph
    plain = nx.DiGraph(graph)
    stations = itertools.cycle(columns.device_code[columns.device_is_source].tolist())
    numbers = itertools.cycle(columns.meter_number.tolist())
    asked: dict[str, Callable[[Any], Any]] = {
        "descendants": lambda each: nx.descendants(each, next(stations)),
        "lowest_common_ancestor": lambda each: nx.lowest_common_ancestor(each, next(numbers), next(numbers)),
        "ancestors": lambda each: nx.ancestors(each, next(numbers)),
        "has_path": lambda each: nx.has_path(each, next(stations), next(numbers)),
    }
    # NetworkX lists all nodes to find one ancestor: one round is enough to wait for.
    few = {"lowest_common_ancestor": 1}
    figures: Figures = {}
    for name, ask in asked.items():
        figures[f"{name}_dictionaries_us"] = micros(lambda ask=ask: ask(plain), few.get(name, rounds))  # type: ignore[misc]
        figures[f"{name}_columns_us"] = micros(lambda ask=ask: ask(graph), few.get(name, rounds))  # type: ignore[misc]
    with nx.config(backend_priority=[NAME]):
        figures["descendants_first_us"] = micros(lambda: nx.descendants(graph, next(stations)), rounds)
        for _ in range(len(graph) // 1_000):
            nx.descendants(graph, next(stations))
        for name, ask in asked.items():
            figures[f"{name}_backend_us"] = micros(lambda ask=ask: ask(graph), 10 * rounds)  # type: ignore[misc]
        figures["descendants_lazy_us"] = micros(
            lambda: nx.descendants(graph, next(stations), lazy=True), 10 * rounds
        )
    by_name = {"backend": NAME, "lazy": True}
    figures["descendants_lazy_by_keyword_us"] = micros(
        lambda: nx.descendants(graph, next(stations), **by_name), 10 * rounds
    )
    for how in ("backend", "lazy"):
        figures[f"descendants_{how}_times_dictionaries"] = (
            figures["descendants_dictionaries_us"] / figures[f"descendants_{how}_us"]
        )
    return figures | other_calls()


def other_calls() -> Figures:
    """Time a call that has nothing to do with us: as it is, and as NetworkX would make it."""
    dispatchable: Any = nx.utils.backends._dispatchable
    graph = nx.DiGraph([(1, 2)])

    def thousand() -> None:
        for _ in range(1_000):
            nx.is_empty(graph)

    figures = {}
    kept = dispatchable.__call__
    ways = {
        "spared": kept,
        "searched": dispatchable._call_if_any_backends_installed,
        "nothing_installed": dispatchable._call_if_no_backends_installed,
    }
    for name, way in ways.items():
        dispatchable.__call__ = way
        figures[f"other_call_{name}_us"] = micros(thousand, 21) / 1e3
    dispatchable.__call__ = kept
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 meters, few rounds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    scales, rounds = ((1_000, 20_000), 5) if chosen.quick else ((1_000, 1_000_000), 100)
    figures: dict[str, Figures] = {}
    for meters in scales:
        figures[str(meters)] = drawing(meters, min(rounds, 9)) | holding(meters) | asking(meters, rounds)
        print(f"{meters:,} meters")
        for name, value in figures[str(meters)].items():
            print(f"  {name:44} {value:14,.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    ensure_installed()
    sys.exit(main())
