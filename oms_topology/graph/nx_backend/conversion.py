"""From graphs of dictionaries to graphs on columns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.drawing.column_graph import ColumnGraph
from oms_topology.graph.drawing.facts import ListedFacts
from oms_topology.graph.drawing.node_names import ListedNames
from oms_topology.graph.drawing.supply_tree import SupplyTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["convert_from_nx", "convert_to_nx"]


def convert_from_nx(
    graph: Any,
    *,
    edge_attrs: Mapping[str, Any] | None = None,
    node_attrs: Mapping[str, Any] | None = None,
    preserve_edge_attrs: bool = False,
    preserve_node_attrs: bool = False,
    preserve_graph_attrs: bool = False,
    name: str | None = None,  # noqa: ARG001
    graph_name: str | None = None,  # noqa: ARG001
) -> ColumnGraph:
    """Read a directed graph in which no node has two predecessors and no way leads back.

    Parameters
    ----------
    graph : networkx.DiGraph
        The graph; one of ours is given back as it is.
    edge_attrs, node_attrs : mappings of attribute to default, optional
        The attributes to keep.
    preserve_edge_attrs, preserve_node_attrs, preserve_graph_attrs : bool
        Keep all of them.
    name, graph_name : str, optional
        Who asks; of no matter here.

    Returns
    -------
    ColumnGraph
        Nodes and neighbours in the order of ``graph``. Costs about 3 us a node.

    Raises
    ------
    NotImplementedError
        The graph is not directed, has parallel edges, or is no such forest: NetworkX then looks for
        another backend, and in the end takes its own code.
    """
    if isinstance(graph, ColumnGraph):
        return graph
    if not graph.is_directed() or graph.is_multigraph():
        raise NotImplementedError("the index is one of directed graphs without parallel edges")
    nodes = list(graph)
    tree = _tree(graph, nodes)
    node_facts = _kept(graph.nodes.values(), node_attrs, all_of_them=preserve_node_attrs)
    edges: Iterator[dict[str, Any]] = (next(iter(above.values()), {}) for above in graph.pred.values())
    edge_facts = _kept(edges, edge_attrs, all_of_them=preserve_edge_attrs)
    attributes = dict(graph.graph) if preserve_graph_attrs else {}
    return ColumnGraph.drawn(
        tree, ListedNames(nodes, len(nodes)), ListedFacts(node_facts, edge_facts), attributes
    )


def convert_to_nx(result: Any) -> Any:
    """Make a graph of dictionaries of a graph of ours; anything else is given back as it is."""
    return result.copy() if isinstance(result, ColumnGraph) else result


def _kept(facts: Any, wanted: Mapping[str, Any] | None, *, all_of_them: bool) -> list[dict[str, Any]] | None:
    if all_of_them:
        return [dict(each) for each in facts]
    if not wanted:
        return None
    return [
        {key: each.get(key, default) for key, default in wanted.items() if key in each or default is not None}
        for each in facts
    ]


def _tree(graph: Any, nodes: list[Any]) -> SupplyTree:
    count = len(nodes)
    rows = {node: row for row, node in enumerate(nodes)}
    parent = np.full(count, -1, dtype=np.int32)
    for row, above in enumerate(graph.pred.values()):
        if len(above) > 1:
            raise NotImplementedError("a node has two predecessors: this is no forest")
        for node in above:
            parent[row] = rows[node]
    order = _preorder(graph, nodes, rows, np.flatnonzero(parent < 0).tolist())
    if len(order) < count:
        raise NotImplementedError("a way leads back to its start: this is no forest")
    depth, position, size = (np.zeros(count, dtype=np.int32) for _ in range(3))
    position[order] = np.arange(count, dtype=np.int32)
    for row in order:
        depth[row] = depth[parent[row]] + 1 if parent[row] >= 0 else 0
    size += 1
    for row in reversed(order):
        if parent[row] >= 0:
            size[parent[row]] += size[row]
    none = np.zeros(count, dtype=np.int32)
    no_meters = np.empty(0, dtype=np.int32)
    ordered = np.array(order, dtype=np.int32)
    return SupplyTree(parent, depth, position, size, ordered, none, none, no_meters, no_meters, None, 0)


def _preorder(graph: Any, nodes: list[Any], rows: dict[Any, int], roots: list[int]) -> list[int]:
    order: list[int] = []
    waiting = roots[::-1]
    while waiting:
        row = waiting.pop()
        order.append(row)
        waiting.extend(rows[node] for node in reversed(list(graph.adj[nodes[row]])))
    return order
