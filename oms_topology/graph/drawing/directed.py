"""The network as NetworkX sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from oms_topology.graph.drawing.column_graph import ColumnGraph
from oms_topology.graph.drawing.facts import NetworkFacts
from oms_topology.graph.drawing.node_names import CodeNames, RowNames
from oms_topology.graph.drawing.supply_tree import SupplyTree

if TYPE_CHECKING:
    import networkx as nx

    from oms_topology.graph.drawing.node_names import NodeNames
    from oms_topology.graph.engine.index import SupplyIndex

__all__ = ["directed_graph"]


def directed_graph(index: SupplyIndex, *, nodes: Literal["codes", "rows"] = "codes") -> nx.DiGraph[Any]:
    """Draw a state as a frozen ``networkx.DiGraph``, edges in the direction of supply.

    Parameters
    ----------
    index : SupplyIndex
        The state.
    nodes : {"codes", "rows"}
        What the nodes are called: as people call them, or by number, devices in row order from 0 and
        meters after them.

    Returns
    -------
    ColumnGraph
        Nodes are the codes of devices and meters (the pair ``(kind, code)`` where kinds share a
        code), with ``kind``, and for devices ``name``, ``longitude``, ``latitude``; edges lead from
        a device to what it supplies, with ``kind`` and ``code`` of the branch. What has no supply
        stands alone. A view of the index and the columns: it is drawn in less than a millisecond at
        any size and holds nothing per node; it does not change when the network does.
    """
    tree = SupplyTree.of(index)
    names: NodeNames
    if nodes == "codes":
        names = CodeNames(index.network, tree.present)
    else:
        names = RowNames(tree.devices, tree.meters, tree.present)
    return ColumnGraph.drawn(tree, names, NetworkFacts(index))
