"""Ways between nodes: in a forest there is one or none."""
# ruff: noqa: N803 (NetworkX calls its graphs G, also by keyword)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx

from oms_topology.graph.nx_backend import levels

if TYPE_CHECKING:
    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = [
    "bidirectional_shortest_path",
    "has_path",
    "shortest_path",
    "shortest_path_length",
    "single_source_shortest_path",
    "single_source_shortest_path_length",
    "single_target_shortest_path",
    "single_target_shortest_path_length",
]


def has_path(G: ColumnGraph, source: Any, target: Any) -> bool:
    """Whether a node is, or is below, another one."""
    start, end = _ends(G, source, target)
    return start == end or G._tree.is_below(end, start)


def bidirectional_shortest_path(G: ColumnGraph, source: Any, target: Any) -> list[Any]:
    """List the nodes from a node to one below it."""
    start, end = _ends(G, source, target)
    if start != end and not G._tree.is_below(end, start):
        raise nx.NetworkXNoPath(f"No path between {source} and {target}.")
    path = G._tree.path_up(end)
    hops = G._tree.depth_of(end) - G._tree.depth_of(start)
    return [G._names.node(row) for row in path[hops::-1]]


def shortest_path(
    G: ColumnGraph, source: Any = None, target: Any = None, weight: Any = None, method: str = "dijkstra"
) -> Any:
    """List the nodes of one way; or of all ways from ``source``, or to ``target``, in a dictionary."""
    _check(source, target, weight, method)
    if source is None:
        if target not in G:
            raise nx.NodeNotFound(f"Source {target} not in G")
        return single_target_shortest_path(G, target)
    if target is None:
        return single_source_shortest_path(G, source)
    return bidirectional_shortest_path(G, source, target)


def shortest_path_length(
    G: ColumnGraph, source: Any = None, target: Any = None, weight: Any = None, method: str = "dijkstra"
) -> Any:
    """Count the edges of one way; or of all ways from ``source``, or to ``target``, in a dictionary."""
    _check(source, target, weight, method)
    if source is None:
        if target not in G:
            raise nx.NodeNotFound(f"Source {target} is not in G")
        return single_target_shortest_path_length(G, target)
    if target is None:
        return single_source_shortest_path_length(G, source)
    start, end = _ends(G, source, target)
    if start != end and not G._tree.is_below(end, start):
        raise nx.NetworkXNoPath(f"No path between {source} and {target}.")
    return G._tree.depth_of(end) - G._tree.depth_of(start)


def single_source_shortest_path(G: ColumnGraph, source: Any, cutoff: Any = None) -> dict[Any, list[Any]]:
    """List the nodes of every way down from a node."""
    if source not in G:
        raise nx.NodeNotFound(f"Source {source} not in G")
    paths = {source: [source]}
    for rows in _levels_below(G, source, cutoff):
        above = levels.named(G, levels.parents(G._tree, rows))
        for parent, node in zip(above, levels.named(G, rows), strict=True):
            paths[node] = [*paths[parent], node]
    return paths


def single_source_shortest_path_length(G: ColumnGraph, source: Any, cutoff: Any = None) -> dict[Any, int]:
    """Count the edges of every way down from a node."""
    if source not in G:
        raise nx.NodeNotFound(f"Source {source} is not in G")
    lengths = {source: 0}
    for level, rows in enumerate(_levels_below(G, source, cutoff), 1):
        lengths.update(dict.fromkeys(levels.named(G, rows), level))
    return lengths


def single_target_shortest_path(G: ColumnGraph, target: Any, cutoff: Any = None) -> dict[Any, list[Any]]:
    """List the nodes of every way that ends at a node."""
    if target not in G:
        raise nx.NodeNotFound(f"Target {target} not in G")
    path = _path_up(G, target, cutoff)
    return {node: path[level::-1] for level, node in enumerate(path)}


def single_target_shortest_path_length(G: ColumnGraph, target: Any, cutoff: Any = None) -> dict[Any, int]:
    """Count the edges of every way that ends at a node."""
    if target not in G:
        raise nx.NodeNotFound(f"Target {target} is not in G")
    return {node: level for level, node in enumerate(_path_up(G, target, cutoff))}


def _levels_below(G: ColumnGraph, source: Any, cutoff: Any) -> levels.Levels:
    found = levels.below(G._tree, G._names.row(source))
    return [rows for level, rows in enumerate(found) if level and _is_within(level, cutoff)]


def _path_up(G: ColumnGraph, target: Any, cutoff: Any) -> list[Any]:
    path = G._tree.path_up(G._names.row(target))
    return [G._names.node(row) for level, row in enumerate(path) if not level or _is_within(level, cutoff)]


def _is_within(level: int, cutoff: Any) -> bool:
    return cutoff is None or bool(cutoff > level - 1)


def _check(source: Any, target: Any, weight: Any, method: str) -> None:
    if method not in ("dijkstra", "bellman-ford"):
        raise ValueError(f"method not supported: {method}")
    if weight is not None or (source is None and target is None):
        raise NotImplementedError("answered are ways without weights, from a source or to a target")


def _ends(G: ColumnGraph, source: Any, target: Any) -> tuple[int, int]:
    if source not in G:
        raise nx.NodeNotFound(f"Source {source} is not in G")
    if target not in G:
        raise nx.NodeNotFound(f"Target {target} is not in G")
    return G._names.row(source), G._names.row(target)
