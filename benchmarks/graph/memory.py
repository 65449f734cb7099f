"""Bytes per meter, each thing in a process of its own: ours, and the graphs of the libraries without ids.

``python -m benchmarks.graph.memory WHAT METERS`` prints one of them as JSON. Resident memory (RSS) is
read before and after, when the allocator has given back what is free; the input is not counted, except
that ours keeps the arrays of its columns. Beside it what the index says of itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.graph.networks import Tree, city
from benchmarks.graph.peers import igraph_graph, networkx_graph, rustworkx_graph, scipy_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.graph.reporting import Report

__all__ = ["measure"]

_PEERS: dict[str, Callable[[Tree], Any]] = {
    "networkx": networkx_graph,
    "rustworkx": rustworkx_graph,
    "igraph": igraph_graph,
    "scipy": scipy_graph,
}
_FAST = ("igraph", "scipy")
_MOST_FOR_ALL = 2_000_000
_LEAST = 20_000
_GOALS = {"index as written": "20 B", "index and meter numbers": "50 B"}


def measure(report: Report, meters: int) -> None:
    """Measure one size, in children; a few thousand meters drown in what a process costs."""
    if meters < _LEAST:
        report.skip(f"memory of {meters:,} meters", "it drowns in what the process costs")
        return
    report.begin("Memory", meters)
    for work, found in _child("oms_topology", meters).items():
        report.size(work, meters, found, "B/meter", goal=_GOALS.get(work, ""))
    for who in _PEERS:
        if who in _FAST or meters <= _MOST_FOR_ALL:
            for work, found in _child(who, meters).items():
                report.size(work, meters, found, "B/meter", who=f"{who}, without ids")


def _child(what: str, meters: int) -> dict[str, float]:
    call = [sys.executable, "-m", "benchmarks.graph.memory", what, str(meters)]
    found: dict[str, float] = json.loads(
        subprocess.run(call, capture_output=True, text=True, check=True).stdout
    )
    return found


def _resident() -> int:
    """Bytes of this process in memory; free memory goes back to the system first where that can be asked."""
    gc.collect()
    with contextlib.suppress(OSError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _ours(meters: int) -> dict[str, float]:
    """Measure the whole network with the input given up, the graph on columns, and the parts."""
    from oms_topology import Topology

    columns = city(1_000)
    Topology.from_columns(columns).graph.number_of_nodes()  # what is loaded once, and not for each meter
    begin = _resident()
    columns = city(meters)
    given = _resident()
    net = Topology.from_columns(columns)
    made = _resident()
    del columns
    alone = _resident()
    net.graph.number_of_nodes()
    drawn = _resident()
    editor, names = net._editor, net._editor.network.names
    states = editor.normal, editor.current
    index = editor.normal.arena.nbytes + sum(each.position.nbytes + each.layout.nbytes for each in states)
    table = names.meters.nbytes
    found = {
        "index as written": index,
        "meter numbers, the table that finds them included": table,
        "index and meter numbers": index + table,
        "Topology, beside its input (RSS)": made - given,
        "Topology, input given up (RSS)": alone - begin,
        "Topology and its networkx graph (RSS)": drawn - begin,
    }
    return {work: count / meters for work, count in found.items()}


def _theirs(who: str, meters: int) -> dict[str, float]:
    tree = Tree(city(meters))
    _ = tree.edges
    begin = _resident()
    graph = _PEERS[who](tree)
    held = _resident() - begin
    del graph
    return {"graph alone (RSS)": held / meters}


if __name__ == "__main__":
    _what, _count = sys.argv[1], int(sys.argv[2])
    print(json.dumps(_ours(_count) if _what == "oms_topology" else _theirs(_what, _count)))
