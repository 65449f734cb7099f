"""The nodes below one, as a set that is read from the index when asked."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oms_topology.graph.drawing.column_graph import ColumnGraph

__all__ = ["NodeSet"]

_SHOWN = 3


class NodeSet(AbstractSet[Any]):
    """The descendants of a node: ``len`` and ``in`` cost a look-up, the rest is listed when asked for.

    It equals the set of the same nodes; ``& | - ^`` give sets.

    Parameters
    ----------
    graph : ColumnGraph
        The graph.
    row : int
        The row of the node.

    Examples
    --------
    >>> from oms_topology import Topology
    >>> graph = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2").graph
    >>> below = NodeSet(graph, 0)
    >>> below, len(below), "M2" in below, below & {"F1", "SS1"}
    (NodeSet(4 nodes: 'F1', 'F2', 'M1', ...), 4, True, {'F1'})
    >>> below == {"F1", "F2", "M1", "M2"}
    True
    """

    __slots__ = ("_names", "_row", "_tree")

    def __init__(self, graph: ColumnGraph, row: int) -> None:
        self._tree, self._names, self._row = graph._tree, graph._names, row

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)

    def __len__(self) -> int:
        tree, row = self._tree, self._row
        if row >= tree.devices or tree.position[row] < 0:
            return 0
        return int(tree.size[row] - 1 + tree.last[row] - tree.first[row])

    def __contains__(self, node: object) -> bool:
        row = self._names.row(node)
        return row >= 0 and self._tree.is_below(row, self._row)

    def __iter__(self) -> Iterator[Any]:
        yield from self._names.devices(self._tree.devices_below(self._row))
        yield from self._names.meters(self._tree.meters_below(self._row))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, islice(self, _SHOWN)))
        return f"NodeSet({len(self)} nodes: {shown}{', ...' if len(self) > _SHOWN else ''})"
