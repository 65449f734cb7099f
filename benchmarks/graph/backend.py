"""``nx.descendants`` and kin on our graph, by way of the NetworkX backend: figures of ``columnar``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from benchmarks.graph.measuring import Timing, agree
from oms_topology.graph.nx_backend import reach

if TYPE_CHECKING:
    from benchmarks.graph.case import Case
    from benchmarks.graph.reporting import Report

__all__ = ["check", "measure"]

_WAYS = {"backend": "through the backend", "dictionaries": "networkx", "columns": "networkx on our graph"}
_GOALS = {"descendants_backend_times_dictionaries": "10", "descendants_lazy_times_dictionaries": "60"}


def check(case: Case) -> None:
    """Hold the backend's answers against networkx on a graph of dictionaries."""
    graph: Any = case.net.graph
    plain: nx.DiGraph[str] = nx.DiGraph(graph)
    for kind in ("substation", "feeder"):
        for code in case.codes(kind, 3):
            expected = nx.descendants(plain, code)
            agree(f"descendants of {code}", reach.descendants(graph, code), expected)
            agree(f"lazy descendants of {code}", set(reach.descendants(graph, code, lazy=True)), expected)


def measure(report: Report, *, quick: bool) -> None:
    """Measure at the sizes of ``columnar``, in a process of its own in which the backend is installed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        call = [sys.executable, "-m", "benchmarks.graph.columnar", "--json", str(path)]
        subprocess.run([*call, *["--quick"] * quick], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(path.read_text())
    for meters, figures in found.items():
        report.begin("NetworkX on our graph", int(meters))
        for name, value in figures.items():
            _note(report, name, int(meters), value)


def _note(report: Report, name: str, meters: int, value: float) -> None:
    if name in _GOALS:
        way = "lazy set" if "lazy" in name else "set"
        report.size(
            f"nx.descendants, 1,000 meters, {way}: times networkx", meters, value, "x", goal=_GOALS[name]
        )
    elif name == "descendants_lazy_us":
        report.time("nx.descendants, lazy", meters, Timing(value / 1e6, value / 1e6), "us")
    elif name.endswith("_us") and (asked := name.removesuffix("_us").rpartition("_"))[2] in _WAYS:
        who = "oms_topology" if asked[2] == "backend" else _WAYS[asked[2]]
        report.time(f"nx.{asked[0]}", meters, Timing(value / 1e6, value / 1e6), "us", who=who)
    elif name.endswith("_bytes_per_node"):
        work = name.removesuffix("_bytes_per_node").replace("_", " ")
        report.size(f"{work}, by columnar", meters, value, "B/node")
    elif name == "draw_rows_ms":
        report.time("drawing the graph", meters, Timing(value / 1e3, value / 1e3), "ms")
