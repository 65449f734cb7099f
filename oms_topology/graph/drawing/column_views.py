"""Mappings that look like NetworkX's dictionaries and are read from arrays when asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Mapping, ValuesView
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.graph.drawing.facts import FactsTable
    from oms_topology.graph.drawing.node_names import NodeNames
    from oms_topology.graph.drawing.supply_tree import SupplyTree

__all__ = ["NodeView", "PredecessorView", "RowView", "SuccessorView"]

_CHUNK = 4096


class _Pairs(ItemsView[Any, Any]):
    """Items read row by row, so that no name is looked up."""

    _mapping: RowView | _Neighbours

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.pairs()


class _Values(ValuesView[Any]):
    _mapping: RowView | _Neighbours

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.pairs())


class _Lookup(Mapping[Any, Any]):
    """What all the views share: they are read-only, and a copy is a dictionary."""

    __slots__ = ("_facts", "_names", "_tree")

    def __init__(self, tree: SupplyTree, names: NodeNames, facts: FactsTable) -> None:
        self._tree, self._names, self._facts = tree, names, facts

    @abstractmethod
    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Give keys and values, row by row."""

    def items(self) -> ItemsView[Any, Any]:
        """Give the items, to be read as often as wanted."""
        return _Pairs(self)

    def values(self) -> ValuesView[Any]:
        """Give the values, to be read as often as wanted."""
        return _Values(self)

    def copy(self) -> dict[Any, Any]:
        """Give a dictionary of the same items."""
        return dict(self.pairs())

    def __repr__(self) -> str:
        return repr(self.copy())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._tree, self._names, self._facts)


class RowView(_Lookup):
    """A mapping from every node of a graph to what :meth:`at` makes of its row."""

    __slots__ = ()

    @abstractmethod
    def at(self, row: int) -> Mapping[Any, Any]:
        """Give the value of a row."""

    def __getitem__(self, node: object) -> Mapping[Any, Any]:
        row = self._names.row(node)
        if row < 0:
            raise KeyError(node)
        return self.at(row)

    def __contains__(self, node: object) -> bool:
        return self._names.row(node) >= 0

    def __len__(self) -> int:
        return self._tree.nodes

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(nodes for _, nodes in self._chunks())

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Give nodes and values, devices in row order, then meters."""
        for rows, nodes in self._chunks():
            yield from zip(nodes, map(self.at, rows), strict=True)

    def _chunks(self) -> Iterator[tuple[range | list[int], list[Any]]]:
        tree, names = self._tree, self._names
        for first, count, named in (
            (0, tree.devices, names.devices),
            (tree.devices, tree.meters, names.meters),
        ):
            for start in range(0, count, _CHUNK):
                stop = min(start + _CHUNK, count)
                if tree.present is None:
                    yield range(first + start, first + stop), named(slice(start, stop))
                else:
                    kept = np.flatnonzero(tree.present[first + start : first + stop]) + start
                    yield (first + kept).tolist(), named(kept.astype(np.int32))


class NodeView(RowView):
    """Every node and its attributes."""

    __slots__ = ()

    def at(self, row: int) -> Mapping[str, Any]:
        """Give the attributes of a row."""
        return self._facts.node(row)


class SuccessorView(RowView):
    """Every node and what it feeds."""

    __slots__ = ("_none",)

    def __init__(self, tree: SupplyTree, names: NodeNames, facts: FactsTable) -> None:
        super().__init__(tree, names, facts)
        self._none = _NoNeighbours(tree, names, facts, -1)

    def at(self, row: int) -> Mapping[Any, Any]:
        """Give what a row feeds; of a meter that is nothing."""
        if row >= self._tree.devices:
            return self._none
        return _Successors(self._tree, self._names, self._facts, row)


class PredecessorView(RowView):
    """Every node and what feeds it."""

    __slots__ = ("_none",)

    def __init__(self, tree: SupplyTree, names: NodeNames, facts: FactsTable) -> None:
        super().__init__(tree, names, facts)
        self._none = _NoNeighbours(tree, names, facts, -1)

    def at(self, row: int) -> Mapping[Any, Any]:
        """Give the one device that feeds a row, or nothing."""
        if self._tree.parent_of(row) < 0:
            return self._none
        return _Predecessors(self._tree, self._names, self._facts, row)


class _Neighbours(_Lookup):
    """The neighbours of one node and the attributes of the edges to them."""

    __slots__ = ("_row",)

    def __init__(self, tree: SupplyTree, names: NodeNames, facts: FactsTable, row: int) -> None:
        super().__init__(tree, names, facts)
        self._row = row

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._tree, self._names, self._facts, self._row)

    @abstractmethod
    def _edge(self, row: int) -> int:
        """Row at the lower end of the edge to a neighbour, -1 when there is no edge."""

    def __getitem__(self, node: object) -> Mapping[str, Any]:
        row = self._names.row(node)
        edge = self._edge(row) if row >= 0 else -1
        if edge < 0:
            raise KeyError(node)
        return self._facts.edge(edge)

    def __contains__(self, node: object) -> bool:
        row = self._names.row(node)
        return row >= 0 and self._edge(row) >= 0


class _Successors(_Neighbours):
    __slots__ = ()

    def _edge(self, row: int) -> int:
        return row if self._tree.parent_of(row) == self._row else -1

    def __len__(self) -> int:
        return sum(1 for _ in self._tree.child_devices(self._row)) + len(self._tree.meters_at(self._row))

    def __iter__(self) -> Iterator[Any]:
        yield from map(self._names.node, self._tree.child_devices(self._row))
        yield from self._names.meters(self._tree.meters_at(self._row))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Give devices, then meters, each with the edge to it."""
        tree, names, edge = self._tree, self._names, self._facts.edge
        for child in tree.child_devices(self._row):
            yield names.node(child), edge(child)
        meters = tree.meters_at(self._row)
        for row, node in zip(meters.tolist(), names.meters(meters), strict=True):
            yield node, edge(tree.devices + row)


class _Predecessors(_Neighbours):
    __slots__ = ()

    def _edge(self, row: int) -> int:
        return self._row if self._tree.parent_of(self._row) == row else -1

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield self._names.node(self._tree.parent_of(self._row))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Give the device that feeds the node, with the edge from it."""
        yield self._names.node(self._tree.parent_of(self._row)), self._facts.edge(self._row)


class _NoNeighbours(_Neighbours):
    """No neighbours: one object stands for all the nodes that have none."""

    __slots__ = ()

    def _edge(self, row: int) -> int:  # noqa: ARG002
        return -1

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Give nothing."""
        return iter(())
