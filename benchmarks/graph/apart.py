"""Asks the peers of ``peers_apart``, each in a process and if need be an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.graph.below import BELOW, LEVELS, view_of
from benchmarks.graph.measuring import Timing, agree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.graph.case import Case

__all__ = ["measure"]

_MODULES = {
    "pandapower": "pandapower",
    "power-grid-model-ds": "power_grid_model_ds",
    "nx-rustworkx": "nx_rustworkx",
}
_APART = "Further work of peers"
_QUESTIONS = 60
_MOST = {"pandapower": 150_000, "power-grid-model-ds": 150_000, "nx-rustworkx": 2_000_000}
"""Meters of the largest network that each is asked about: beyond, they take minutes."""
_ROOT = Path(__file__).resolve().parents[2]


def measure(case: Case, interpreters: Sequence[str]) -> None:
    """Measure one network with every peer that one of the interpreters can import."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edges.npz"
        _write(case, path)
        for peer, most in _MOST.items():
            if case.meters > most:
                case.report.skip(f"{peer}, {case.meters:,} meters", f"asked of {most:,} at most")
            elif python := _with_peer(peer, interpreters):
                _ask(case, peer, python, path)
            else:
                case.report.skip(peer, "not installed here, nor in the environment of --peers-python")


def _write(case: Case, path: Path) -> None:
    start, end = case.tree.edges
    asked: dict[str, Any] = {f"asked_{kind}": np.array(case.nodes(kind, _QUESTIONS)) for kind in LEVELS}
    sources = np.flatnonzero(case.columns.device_is_source)
    np.savez(path, start=start, end=end, sources=sources, parent=case.tree.parent, **asked)


def _with_peer(peer: str, interpreters: Sequence[str]) -> str | None:
    for python in interpreters:
        look = f"import importlib.util as u, sys; sys.exit(u.find_spec({_MODULES[peer]!r}) is None)"
        if subprocess.run([python, "-c", look], check=False, capture_output=True).returncode == 0:
            return python
    return None


def _ask(case: Case, peer: str, python: str, path: Path) -> None:
    call = [python, "-W", "ignore", "-m", "benchmarks.graph.peers_apart", str(path), peer]
    done = subprocess.run(
        call,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        case.report.skip(
            f"{peer}, {case.meters:,} meters", f"it failed: {done.stderr.strip().splitlines()[-1]}"
        )
        return
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    case.report.begin(BELOW, case.meters)
    for kind in LEVELS:
        agree(f"nodes below a {kind} by {peer}", found["answers"][kind], _expected(case, kind))
        timing = Timing(*found["times"].pop(kind))
        case.report.time(view_of(kind), case.meters, timing, "us", who=peer)
    case.report.begin(_APART, case.meters)
    for work, taken in found["times"].items():
        case.report.time(work, case.meters, Timing(*taken), "ms", who=peer)


def _expected(case: Case, kind: str) -> list[list[int]]:
    """How many nodes are below the first three asked about, and the sum of their numbers."""
    expected = []
    for node in case.nodes(kind, _QUESTIONS)[:3]:
        nodes = np.arange(case.tree.nodes)
        below = np.flatnonzero(case.tree.above(nodes, kind) == node)
        below = below[below != node]
        expected.append([len(below), int(below.sum())])
    return expected
