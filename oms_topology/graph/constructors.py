"""The ways to make a network: from tables, files of edges, columns, text or a database."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from oms_topology.graph.engine.network import Network
from oms_topology.graph.reading.edges import columns_from_edges
from oms_topology.graph.reading.frames import columns_from_frames
from oms_topology.graph.reading.notation import columns_from_text

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.graph.troubles import Troubles
    from oms_topology.model import NetworkColumns

__all__ = ["Constructors"]


class Constructors:
    """The class methods of :class:`~oms_topology.graph.topology.Topology` that make one."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def _made_of(cls, network: Network) -> Self:
        """Make the network of its first version."""

    @classmethod
    def from_columns(cls, columns: NetworkColumns) -> Self:
        """Make a network of columns, such as the database or :attr:`columns` gives.

        Parameters
        ----------
        columns : NetworkColumns
            The network. It is not changed, and must not be changed afterwards: what needs no
            cleaning is used as it is. Bad rows are left out and told by :meth:`validate`.

        Returns
        -------
        Topology
            A million meters take about 0.2 s, most of it for their numbers.
        """
        return cls._made_of(Network.of(columns))

    @classmethod
    def _of(cls, columns: NetworkColumns, troubles: Troubles) -> Self:
        return cls._made_of(Network.of(columns, troubles))

    @classmethod
    def from_frames(
        cls,
        *,
        substations: Any,
        feeders: Any,
        distribution_points: Any = None,
        meters: Any = None,
        switches: Any = None,
        supplies: Any = None,
    ) -> Self:
        """Make a network of the tables of a registry.

        Every table is a data frame (pandas, polars), an Arrow table, a dictionary of columns or a
        list of row dictionaries. ``name``, ``longitude``, ``latitude`` are optional everywhere;
        further columns are kept as attributes. Codes are compared as stripped text. Of equal codes
        the first row counts, what names a missing device is dropped, and :meth:`validate` tells both.

        Parameters
        ----------
        substations : table
            ``substation_id``; optional ``parent_id``, the substation that feeds it. Power enters at
            those without a parent.
        feeders : table
            ``feeder_id``, ``substation_id``.
        distribution_points : table, optional
            ``dp_id``, ``feeder_id``; optional ``parent_id``, the distribution point or section
            between it and its feeder.
        meters : table, optional
            ``meter_number`` with ``dp_id``, ``feeder_id`` or ``substation_id`` (the lowest that is
            given and exists counts); optional ``customer_id`` and ``priority`` (1 critical to 4 low).
        switches : table, optional
            ``switch_id``, ``from_id``, ``to_id``, ``kind``, ``normally_open`` and optional
            ``is_open``. The ends are devices; a code that nothing else has is a section, if two rows
            name it. A switch takes the place of the plain branch between its ends, and a normally
            closed one of the plain branch to its ``to_id``, unless that would cut a device off.
        supplies : table, optional
            Alternate feeds: ``meter_number``, ``feeder_id`` (or ``dp_id``) and ``priority``, smallest
            first. Rows that name the meter's own feeder add nothing.

        Returns
        -------
        Topology
            The network; devices that no source reaches keep what hangs on them (see :meth:`validate`).

        Raises
        ------
        TopologyError
            A table lacks a needed column or cannot be read.

        Examples
        --------
        >>> import oms_topology as omt
        >>> net = omt.Topology.from_frames(
        ...     substations={"substation_id": ["SS1"]},
        ...     feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        ...     meters={"meter_number": ["M1", "M2"], "feeder_id": ["F1", "F1"]},
        ... )
        >>> list(net.downstream("SS1"))
        ['M1', 'M2']
        """
        tables = {
            "substations": substations,
            "feeders": feeders,
            "distribution_points": distribution_points,
            "meters": meters,
            "switches": switches,
            "supplies": supplies,
        }
        return cls._of(*columns_from_frames(tables))

    @classmethod
    def from_edges(cls, *, nodes: Any, edges: Any, customers: Any = None) -> Self:
        """Make a network of nodes, edges and customers, of any depth.

        Nodes become devices by their id, none left out: a node of kind ``source`` is a substation;
        the node behind the first switch on a way out of it (at 36 kV or less, where voltages are
        given) is a *feeder*, and where a source has no switch below it the nodes next to it are;
        a transformer's low-voltage secondary below the feeder's head is a *distribution point*, else
        the last bus before the customers at which ways part, or for customers at medium voltage
        their own bus; the others are sections. Nodes whose kind is already one of these words keep
        it, and then nothing is inferred. Feeders and distribution points are found in the normal
        state and stay what they are when switches move.

        Parameters
        ----------
        nodes : table
            ``id``; optional ``kind``, ``name``, ``lon`` and ``lat`` (or ``longitude``, ``latitude``,
            degrees), a voltage ``kv_ll`` or ``kv`` in kilovolts. ``x`` and ``y`` may be drawing units
            and are kept as attributes; ``parent`` columns are not believed but computed.
        edges : table
            ``from``, ``to``; optional ``kind``, ``normally_open``, ``is_open``, ``name``. What can be
            opened (kinds with switch, breaker, fuse, recloser ... in them, and all that is normally
            open) is a switch with its name as code. Direction does not matter.
        customers : table, optional
            ``id`` (the meter's number), ``node``; optional ``customer_id`` (else the id), ``priority``.

        Returns
        -------
        Topology
            The network.

        Raises
        ------
        TopologyError
            A table lacks a needed column or cannot be read.

        Examples
        --------
        >>> import oms_topology as omt
        >>> net = omt.Topology.from_edges(
        ...     nodes={"id": ["s", "a", "b"], "kind": ["source", "bus", "bus"]},
        ...     edges={"from": ["s", "a"], "to": ["a", "b"], "kind": ["fuse", "line"], "name": ["B1", "L1"]},
        ...     customers={"id": ["c1", "c2"], "node": ["b", "b"]},
        ... )
        >>> net.upstream("c1"), net.kind("a").value, net.kind("b").value
        (['b', 'a', 's'], 'feeder', 'distribution_point')
        """
        return cls._of(*columns_from_edges(nodes, edges, customers))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Make a small network of a line of text.

        Parameters
        ----------
        text : str
            Chains from the source outwards, separated by ``;`` or line ends: ``SS1 > F1 > DP1``. The
            first letters say the kind: ``SS`` substation (a source), ``F`` feeder, ``DP`` distribution
            point, ``M`` meter, anything else a section. ``F1 >SW1> DP1`` is a closed switch,
            ``DP1 /T1/ DP2`` a tie that is normally open, ``F2 ~> M1`` an alternate supply,
            ``M1..M5`` and ``M1, M2`` are several.

        Returns
        -------
        Topology
            The network.

        Raises
        ------
        TopologyError
            The text cannot be read.

        Examples
        --------
        >>> import oms_topology as omt
        >>> omt.Topology.from_text("SS1 > F1 > DP1 > M1..M5")
        Topology(3 devices, 0 switches, 5 meters, 5 supplied)
        """
        return cls._of(*columns_from_text(text))

    @classmethod
    def from_postgres(cls, target: Any, *, as_of: datetime | int | None = None) -> Self:
        """Read the network from a database.

        Parameters
        ----------
        target : str, sqlalchemy.Engine or Database
            The database: its URL, an engine on it, or a :class:`~oms_topology.Database`.
        as_of : datetime or int, optional
            A past instant, aware, or a ``topology_version``: the network as it stood then. The
            present when left out.

        Returns
        -------
        Topology
            The network as the tables say it; it does not follow them.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached.
        TopologyHistoryError
            The database remembers nothing as old as ``as_of``, or has no such version yet.
        """
        from oms_topology.persistence.database import as_engine
        from oms_topology.persistence.network import load_network

        return cls.from_columns(load_network(as_engine(target), as_of=as_of))
