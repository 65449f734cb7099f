"""The nodes in an order in which nothing comes before what feeds it, and how deep that goes."""
# ruff: noqa: N803 (NetworkX calls its graphs G, also by keyword)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.graph.nx_backend import levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = ["dag_longest_path", "dag_longest_path_length", "topological_generations", "topological_sort"]


def topological_generations(G: ColumnGraph) -> Iterator[list[Any]]:
    """Give the nodes level by level."""
    for rows in levels.everything(G._tree):
        yield levels.named(G, rows)


def topological_sort(G: ColumnGraph) -> Iterator[Any]:
    """Give the nodes, level after level."""
    for generation in topological_generations(G):
        yield from generation


def dag_longest_path(
    G: ColumnGraph, weight: Any = "weight", default_weight: Any = 1, topo_order: Any = None
) -> list[Any]:
    """List the nodes of the way to the first of the deepest nodes."""
    if topo_order is not None:
        raise NotImplementedError("the index has an order of its own")
    _check(G, weight, default_weight)
    found = levels.everything(G._tree)
    if not found:
        return []
    return [G._names.node(row) for row in reversed(G._tree.path_up(int(found[-1][0])))]


def dag_longest_path_length(G: ColumnGraph, weight: Any = "weight", default_weight: Any = 1) -> Any:
    """Count the edges of the way to the deepest node, times the weight that each has."""
    _check(G, weight, default_weight)
    return max(len(levels.everything(G._tree)) - 1, 0) * default_weight


def _check(G: ColumnGraph, weight: Any, default_weight: Any) -> None:
    if type(default_weight) is not int or default_weight <= 0 or G._facts.has_edge_attribute(weight):
        raise NotImplementedError("the index knows no weights")
