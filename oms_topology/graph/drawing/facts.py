"""What is known of the nodes and edges of a graph on columns, as read-only dictionaries."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import networkx as nx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oms_topology.graph.engine.index import SupplyIndex

__all__ = ["Facts", "FactsTable", "ListedFacts", "NetworkFacts"]


def _refused(*_: object, **__: object) -> NoReturn:
    raise nx.NetworkXError("Frozen graph can't be modified; its copy() can.")


class Facts(dict[str, Any]):
    """The attributes of one node or edge; copies of it are ordinary dictionaries.

    Examples
    --------
    >>> facts = Facts(kind="meter")
    >>> facts["kind"], facts.copy() | {"seen": True}
    ('meter', {'kind': 'meter', 'seen': True})
    >>> facts["kind"] = "feeder"
    Traceback (most recent call last):
        ...
    networkx.exception.NetworkXError: Frozen graph can't be modified; its copy() can.
    """

    __slots__ = ()

    __setitem__ = __delitem__ = _refused
    clear = pop = popitem = setdefault = update = _refused

    def __ior__(self, other: object) -> NoReturn:  # type: ignore[misc]
        _refused()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {name: deepcopy(value, memo) for name, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Facts, (dict(self),)


def _degrees(value: Any) -> Any:
    """Give one and the same nan each time: so a node equals itself and its copies."""
    return math.nan if value != value else value


_METER = Facts(kind="meter")
_SERVICE = Facts(kind="service", code="")
_NOTHING = Facts()


class FactsTable(Protocol):
    """Attributes by row; an edge goes by the row of the node that it feeds."""

    def node(self, row: int) -> Mapping[str, Any]:
        """Give the attributes of a node."""

    def edge(self, row: int) -> Mapping[str, Any]:
        """Give the attributes of the edge that leads to a node."""

    def has_edge_attribute(self, name: object) -> bool:
        """Whether any edge may have an attribute."""


class NetworkFacts:
    """What a network's columns say of its devices, meters and branches.

    Parameters
    ----------
    index : SupplyIndex
        The state: it tells which branch feeds a device.
    """

    __slots__ = ("_branch", "_branch_code", "_branch_kind", "_kind", "_latitude", "_longitude", "_name")

    def __init__(self, index: SupplyIndex) -> None:
        columns = index.network.columns
        self._kind, self._name = columns.device_kind, columns.device_name
        self._longitude, self._latitude = columns.device_longitude, columns.device_latitude
        self._branch, self._branch_kind = index.forest.parent_branch, columns.branch_kind
        self._branch_code = columns.branch_code

    def node(self, row: int) -> Facts:
        """Give kind, name and place of a device; of a meter the kind."""
        if row >= len(self._kind):
            return _METER
        return Facts(
            kind=self._kind.item(row),
            name=self._name.item(row),
            longitude=_degrees(self._longitude.item(row)),
            latitude=_degrees(self._latitude.item(row)),
        )

    def edge(self, row: int) -> Facts:
        """Give kind and code of the branch that feeds a device; a meter hangs on a service."""
        if row >= len(self._kind):
            return _SERVICE
        branch = self._branch.item(row)
        return Facts(kind=self._branch_kind.item(branch), code=self._branch_code.item(branch))

    def has_edge_attribute(self, name: object) -> bool:
        """Whether the name is one of the two that every edge has."""
        return name in _SERVICE


class ListedFacts:
    """Attributes that came with a graph from elsewhere.

    Parameters
    ----------
    nodes, edges : sequences of dict, one per row, optional
        Attributes of each node, and of the edge that leads to it.
    """

    __slots__ = ("_edges", "_nodes")

    def __init__(
        self,
        nodes: Sequence[Mapping[str, Any]] | None = None,
        edges: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self._nodes = None if nodes is None else [Facts(each) for each in nodes]
        self._edges = None if edges is None else [Facts(each) for each in edges]

    def node(self, row: int) -> Facts:
        """Give the attributes of a node."""
        return _NOTHING if self._nodes is None else self._nodes[row]

    def edge(self, row: int) -> Facts:
        """Give the attributes of the edge that leads to a node."""
        return _NOTHING if self._edges is None else self._edges[row]

    def has_edge_attribute(self, name: object) -> bool:
        """Whether any edge has an attribute."""
        return self._edges is not None and any(name in facts for facts in self._edges)
