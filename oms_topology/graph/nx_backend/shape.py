"""What kind of graph it is: of a forest nearly all is known beforehand."""
# ruff: noqa: N803 (NetworkX calls its graphs G, also by keyword)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from oms_topology.graph.nx_backend.listing import members_below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = [
    "has_cycle",
    "is_arborescence",
    "is_branching",
    "is_directed_acyclic_graph",
    "is_forest",
    "is_strongly_connected",
    "is_tree",
    "is_weakly_connected",
    "number_strongly_connected_components",
    "number_weakly_connected_components",
    "weakly_connected_components",
]


def has_cycle(G: ColumnGraph) -> bool:  # noqa: ARG001
    """Tell that there is none."""
    return False


def is_directed_acyclic_graph(G: ColumnGraph) -> bool:  # noqa: ARG001
    """Tell that it is one."""
    return True


def is_forest(G: ColumnGraph) -> bool:
    """Tell that it is one, as long as there is a node."""
    if not len(G):
        raise nx.NetworkXPointlessConcept("G has no nodes.")
    return True


def is_branching(G: ColumnGraph) -> bool:
    """Tell that it is one: no node is fed twice."""
    return is_forest(G)


def is_tree(G: ColumnGraph) -> bool:
    """Whether one source feeds everything."""
    return is_forest(G) and number_weakly_connected_components(G) == 1


def is_arborescence(G: ColumnGraph) -> bool:
    """Whether one source feeds everything."""
    return is_tree(G)


def is_weakly_connected(G: ColumnGraph) -> bool:
    """Whether one source feeds everything."""
    _check_not_null(G)
    return number_weakly_connected_components(G) == 1


def is_strongly_connected(G: ColumnGraph) -> bool:
    """Whether there is one node and no other."""
    _check_not_null(G)
    return len(G) == 1


def number_weakly_connected_components(G: ColumnGraph) -> int:
    """Count the trees; a node without supply is one."""
    return len(G) - G._tree.edges


def number_strongly_connected_components(G: ColumnGraph) -> int:
    """Count the nodes: each is a component."""
    return len(G)


def weakly_connected_components(G: ColumnGraph) -> Iterator[set[Any]]:
    """Give the trees as sets of nodes, in the order of the first node of each."""
    tree, names = G._tree, G._names
    alone = (
        np.ones(tree.devices + tree.meters, dtype=np.bool_) if tree.present is None else tree.present.copy()
    )
    alone[tree.order] = False
    alone[tree.devices + tree.meter_order[: tree.supplied]] = False
    roots = tree.order[np.asarray(tree.parent)[tree.order] < 0]
    starts = np.asarray(tree.position)[roots]
    firsts = np.minimum.reduceat(tree.order, starts) if len(starts) else roots
    rest = np.flatnonzero(alone)
    sort = np.argsort(np.concatenate((firsts, rest)), kind="stable")
    for row in np.concatenate((roots, rest))[sort].tolist():
        yield {names.node(row)} | members_below(G, row)


def _check_not_null(G: ColumnGraph) -> None:
    if not len(G):
        raise nx.NetworkXPointlessConcept("Connectivity is undefined for the null graph.")
