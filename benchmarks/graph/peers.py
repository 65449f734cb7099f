"""The same tree in the graph libraries of this process: networkx, rustworkx, igraph, scipy."""

from __future__ import annotations

import gc
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import igraph
import networkx as nx
import numpy as np
import rustworkx
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.graph.networks import Tree

_Graph = TypeVar("_Graph")

__all__ = ["FAST", "SLOW", "Peers"]

FAST = ("igraph", "scipy")
"""Those that are asked at ten million meters too."""
SLOW = ("networkx", "rustworkx")


class Peers:
    """Graphs over the nodes of a tree, made when first asked for; nodes are integers.

    Parameters
    ----------
    tree : Tree
        The network.
    names : iterable of str
        The libraries that bear its size.
    """

    def __init__(self, tree: Tree, names: Iterable[str]) -> None:
        self.tree, self.names = tree, tuple(names)

    @cached_property
    def networkx(self) -> nx.DiGraph[int]:
        """A ``networkx.DiGraph``."""
        return _settled(networkx_graph(self.tree))

    @cached_property
    def rustworkx(self) -> rustworkx.PyDiGraph[int, None]:
        """A ``rustworkx.PyDiGraph``."""
        return _settled(rustworkx_graph(self.tree))

    @cached_property
    def igraph(self) -> igraph.Graph:
        """A directed ``igraph.Graph``."""
        return _settled(igraph_graph(self.tree))

    @cached_property
    def scipy(self) -> csr_array:
        """A sparse matrix of the edges."""
        return _settled(scipy_graph(self.tree))

    def below(self) -> dict[str, Callable[[int], Iterable[int]]]:
        """Give for each library what lists all nodes below a node."""
        ways: dict[str, Callable[[int], Any]] = {}
        if "networkx" in self.names:
            plain = self.networkx
            ways["networkx"] = lambda node: nx.descendants(plain, node)
        if "rustworkx" in self.names:
            rust = self.rustworkx
            ways["rustworkx"] = lambda node: rustworkx.descendants(rust, node)
        if "igraph" in self.names:
            native = self.igraph
            ways["igraph"] = lambda node: native.subcomponent(node, mode="out")
        if "scipy" in self.names:
            matrix = self.scipy
            ways["scipy"] = lambda node: breadth_first_order(matrix, node, return_predecessors=False)
        return ways


def _settled(graph: _Graph) -> _Graph:
    """Spare the garbage collector the look at millions of objects before every round."""
    gc.collect()
    gc.freeze()
    return graph


def networkx_graph(tree: Tree) -> nx.DiGraph[int]:
    """Build it from integers."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from(zip(*(end.tolist() for end in tree.edges), strict=True))
    return graph


def rustworkx_graph(tree: Tree) -> rustworkx.PyDiGraph[int, None]:
    """Build it from integers."""
    graph: rustworkx.PyDiGraph[int, None] = rustworkx.PyDiGraph()
    graph.add_nodes_from(range(tree.nodes))
    pairs: Any = zip(*(end.tolist() for end in tree.edges), strict=True)
    graph.extend_from_edge_list(list(pairs))  # type: ignore[misc]
    return graph


def igraph_graph(tree: Tree) -> igraph.Graph:
    """Build it from an array, which it reads fastest."""
    edges: Any = np.stack(tree.edges, axis=1).astype(np.int64)
    return igraph.Graph(n=tree.nodes, edges=memoryview(edges), directed=True)


def scipy_graph(tree: Tree) -> csr_array:
    """Build it from the edges as scipy does."""
    start, end = tree.edges
    return csr_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(tree.nodes, tree.nodes))
