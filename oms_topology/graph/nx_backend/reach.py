"""What is below and above a node."""
# ruff: noqa: N803 (NetworkX calls its graphs G, also by keyword)

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx

from oms_topology.graph.nx_backend import levels
from oms_topology.graph.nx_backend.listing import members_below
from oms_topology.graph.nx_backend.node_set import NodeSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = ["ancestors", "bfs_edges", "bfs_tree", "descendants", "descendants_at_distance"]


def descendants(G: ColumnGraph, source: Any, *, lazy: bool | None = None) -> set[Any] | NodeSet:
    """Give the nodes below a node; as a :class:`NodeSet` where ``lazy``, or the configuration, says so."""
    row = _row(G, source)
    if lazy is None:
        config: Any = nx.config
        lazy = config.backends.oms_topology.lazy_sets if "oms_topology" in config.backends else False
    if lazy:
        return NodeSet(G, row)
    return members_below(G, row)


def ancestors(G: ColumnGraph, source: Any) -> set[Any]:
    """Give the nodes on the way from a node to its root."""
    return {G._names.node(row) for row in G._tree.path_up(_row(G, source))[1:]}


def descendants_at_distance(G: ColumnGraph, source: Any, distance: Any) -> set[Any]:
    """Give the nodes so many edges below a node."""
    if source not in G:
        raise nx.NetworkXError(f"The node {source} is not in the graph.")
    found = levels.below(G._tree, G._names.row(source))
    for level, rows in enumerate(found):
        if level == distance:
            return set(levels.named(G, rows))
    return set()


def bfs_edges(
    G: ColumnGraph,
    source: Any,
    reverse: bool = False,
    depth_limit: Any = None,
    sort_neighbors: Any = None,
) -> Iterator[tuple[Any, Any]]:
    """Give the edges below a node, or with ``reverse`` above it, as a breadth-first search meets them."""
    if sort_neighbors is not None:
        raise NotImplementedError("the index has one order of neighbours")
    return _edges(G, source, reverse, len(G) if depth_limit is None else depth_limit)


def _edges(G: ColumnGraph, source: Any, reverse: bool, depth_limit: Any) -> Iterator[tuple[Any, Any]]:
    row = _row(G, source)
    if reverse:
        path = [G._names.node(each) for each in G._tree.path_up(row)]
        for depth, edge in enumerate(pairwise(path)):
            if depth >= depth_limit:
                return
            yield edge
        return
    for depth, rows in enumerate(levels.below(G._tree, row)[1:]):
        if depth >= depth_limit:
            return
        above = levels.named(G, levels.parents(G._tree, rows))
        yield from zip(above, levels.named(G, rows), strict=True)


def bfs_tree(
    G: ColumnGraph,
    source: Any,
    reverse: bool = False,
    depth_limit: Any = None,
    sort_neighbors: Any = None,
) -> nx.DiGraph[Any]:
    """Give those edges as a graph of their own."""
    edges = bfs_edges(G, source, reverse, depth_limit, sort_neighbors)
    tree: nx.DiGraph[Any] = nx.DiGraph()
    tree.add_node(source)
    tree.add_edges_from(edges)
    return tree


def _row(G: ColumnGraph, node: Any) -> int:
    row = G._names.row(node)
    if row < 0:
        raise nx.NetworkXError(f"The node {node} is not in the digraph.")
    return row
