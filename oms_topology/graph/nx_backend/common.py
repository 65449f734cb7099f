"""The lowest node at or above others."""
# ruff: noqa: N803 (NetworkX calls its graphs G, also by keyword)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = ["all_pairs_lowest_common_ancestor", "lowest_common_ancestor"]


def all_pairs_lowest_common_ancestor(G: ColumnGraph, pairs: Any = None) -> Iterator[tuple[Any, Any]]:
    """Give each pair that has a common ancestor, once, with the lowest one."""
    _check_not_null(G)
    if pairs is None:
        raise NotImplementedError("all pairs of a graph are a walk through all of it")
    wanted = dict.fromkeys(pairs)
    for pair in wanted:
        _check_known(G, pair)
    return _found(G, wanted)


def _found(G: ColumnGraph, pairs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for one, other in pairs:
        row = G._tree.common(G._names.row(one), G._names.row(other))
        if row >= 0:
            yield (one, other), G._names.node(row)


def lowest_common_ancestor(G: ColumnGraph, node1: Any, node2: Any, default: Any = None) -> Any:
    """Give the lowest node at or above two nodes."""
    _check_not_null(G)
    one, other = G._names.row(node1), G._names.row(node2)
    if one < 0 or other < 0:
        _check_known(G, (node1, node2))
    row = G._tree.common(one, other)
    return default if row < 0 else G._names.node(row)


def _check_not_null(G: ColumnGraph) -> None:
    if not len(G):
        raise nx.NetworkXPointlessConcept("LCA meaningless on null graphs.")


def _check_known(G: ColumnGraph, pair: Any) -> None:
    unknown = {node for node in set(pair) if node not in G}
    if unknown:
        raise nx.NodeNotFound(f"Node(s) {unknown} from pair {pair} not in G.")
