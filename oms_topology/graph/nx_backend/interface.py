"""The backend as NetworkX wants it: an object with the functions as attributes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from oms_topology.graph.drawing.column_graph import ColumnGraph
from oms_topology.graph.nx_backend import common, order, paths, reach, shape
from oms_topology.graph.nx_backend.conversion import convert_from_nx, convert_to_nx
from oms_topology.graph.nx_backend.sparing import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BACKEND"]


def _graph(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[0] if args else kwargs.get("G")


def _can_run(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool | str:  # noqa: ARG001
    """Tell NetworkX whether a graph is ours or may be converted."""
    graph = _graph(args, kwargs)
    if isinstance(graph, ColumnGraph):
        return True
    if getattr(graph, "__networkx_backend__", None) != "networkx":
        return "the graph belongs to another backend"
    return (graph.is_directed() and not graph.is_multigraph()) or "the graph is no directed forest"


def _should_run(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool | str:  # noqa: ARG001
    """Tell NetworkX to leave graphs of dictionaries alone: to convert one costs more than most answers."""
    return isinstance(_graph(args, kwargs), ColumnGraph) or "the graph is not on columns"


def _on_start_tests(items: Iterable[Any]) -> None:
    """Mark what NetworkX's own tests ask of a graph that is not converted."""
    import pytest

    reason = "the test changes the original graph while the converted one is read"
    for item in items:
        if item.name == "test_topological_sort6":
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


_FUNCTIONS = {
    name: getattr(module, name) for module in (common, order, paths, reach, shape) for name in module.__all__
}

_GRAPHS = {"bfs_tree"}
"""Functions that give graphs: other settings say which backend has them."""

ANSWERS[ColumnGraph] = {name: each for name, each in _FUNCTIONS.items() if name not in _GRAPHS}

BACKEND = SimpleNamespace(
    convert_from_nx=convert_from_nx,
    convert_to_nx=convert_to_nx,
    can_run=_can_run,
    should_run=_should_run,
    on_start_tests=_on_start_tests,
    **_FUNCTIONS,
)
"""What the entry point ``networkx.backends`` names; its functions are those of NetworkX of the same name."""
