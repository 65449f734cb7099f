"""Who is fed by what, in the whole network: feeds of all meters, differences, islands, phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.graph.batch import Batches
from oms_topology.graph.reading.phase_codes import phase_letters, single_phase
from oms_topology.graph.traces.differences import difference_of
from oms_topology.graph.traces.feeding import feeds_of
from oms_topology.graph.traces.islands import dead_islands_of, dual_fed_of
from oms_topology.graph.traces.paths import located
from oms_topology.graph.traces.phases import on_phase, phases_at

if TYPE_CHECKING:
    from oms_topology.graph.meter_set import MeterSet
    from oms_topology.graph.traces.differences import Difference
    from oms_topology.graph.traces.feeding import Feeds
    from oms_topology.graph.traces.islands import Island

__all__ = ["Supplying"]


class Supplying(Batches):
    """The methods of :class:`~oms_topology.graph.topology.Topology` that look at how all meters are fed."""

    __slots__ = ()

    def energised_by(self, kind: str = "substation", *, state: str = "current") -> Feeds:
        """Tell for every meter which device of a kind feeds it, in one pass.

        Parameters
        ----------
        kind : str
            ``"substation"``, ``"feeder"``, ``"section"``, ``"distribution_point"``: the nearest one; or
            ``"source"``, whatever its kind.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        Feeds
            One device row or code per meter row; none for a meter without supply.

        Raises
        ------
        TopologyError
            There is no such kind.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; SS2 > F2 > M2; F1 /T1/ F2")
        >>> net.open("SW1")
        >>> net.close("T1")
        >>> net.energised_by().codes.tolist(), net.normally_fed_by().codes.tolist()
        (['SS2', 'SS2'], ['F1', 'F2'])
        """
        return self._ask(state, lambda asked: feeds_of(asked, kind))

    def normally_fed_by(self, kind: str = "feeder") -> Feeds:
        """Tell for every meter which device of a kind normally feeds it; see :meth:`energised_by`."""
        return self._ask("normal", lambda asked: feeds_of(asked, kind))

    def difference(self, before: str | Supplying = "normal", *, state: str = "current") -> Difference:
        """Tell what differs between another state, or another network, and this network's state.

        Parameters
        ----------
        before : {"normal", "current"} or Topology
            What to compare with: a state of this network, or the current state of another one, for
            instance of the one that a :meth:`what_if` started from.
        state : {"current", "normal"}
            The state of this network.

        Returns
        -------
        Difference
            Who lost supply, regained it, or changed feeder, on the way from there to here. Meters
            and devices are the same where number, or kind and code, are. Costs what changed where one
            network was made of the other (``what_if``, ``as_of``, the two states of one); else linear.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; SS1 > F2 > M2; F1 /T1/ F2 >SW2> DP1 > M3")
        >>> other = net.what_if(open=["SW1", "SW2"], close=["T1"])
        >>> other.difference(net)
        Difference(1 meters lost supply, 0 regained it, 0 changed feeder)
        >>> list(other.difference(net).lost), other.difference(net).devices_lost
        (['M3'], ('DP1',))
        """
        if isinstance(before, Supplying):
            return self._ask(
                state, lambda after: before._ask("current", lambda asked: difference_of(asked, after))
            )
        if before == state:
            return self._ask(state, lambda asked: difference_of(asked, asked))
        return self._ask(before, lambda asked: self._ask(state, lambda after: difference_of(asked, after)))

    def dead_islands(self, *, state: str = "current") -> list[Island]:
        """Give the parts that no source reaches, each held together by closed branches.

        Returns
        -------
        list of Island
            Most meters first, then most devices; each with the open switches that lead out of it.
            A device that stands alone is an island too.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; F1 > L1 /T1/ L2; SS1 > L2")
        >>> net.open("SW1")
        >>> [(island.devices, list(island.meters), island.switches) for island in net.dead_islands()]
        [(('F1', 'L1'), ['M1'], ('SW1', 'T1'))]
        """
        return self._ask(state, dead_islands_of)

    def dual_fed(self, *, state: str = "current") -> MeterSet:
        """Give the meters with supply that have a second supply too, by a way of its own.

        Returns
        -------
        MeterSet
            In preorder. A second supply is a way of its own when the device it comes from has supply
            and stands neither above nor below the one that feeds the meter.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1, M2, M3; SS1 > F2 > M4; F2 ~> M1; F1 ~> M2")
        >>> list(net.dual_fed())
        ['M1']
        >>> net.open("SW1")
        >>> list(net.dual_fed()), list(net.dual_fed(state="normal"))
        ([], ['M1'])
        """
        return self._ask(state, dual_fed_of)

    def downstream_phase(
        self, code: str, phase: str, *, state: str = "current", kind: str | None = None
    ) -> MeterSet:
        """Give the meters below a device or switch that have supply on a phase.

        A meter has supply on a phase if it takes the phase and every branch above it, up to the source,
        carries it; a branch of parallel members carries what any closed one does. Phases that are not
        known count as all three.

        Parameters
        ----------
        code : str
            The device or switch; below a switch, what is supplied by its own phases. For a meter, the
            meter itself.
        phase : str
            ``"A"``, ``"B"`` or ``"C"`` (or ``"R"``, ``"L1"`` ... and so on).
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The kind of ``code`` meant, where several kinds share it.

        Returns
        -------
        MeterSet
            In preorder.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            There is no such phase.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_edges(
        ...     nodes={"id": ["s", "a", "b"], "kind": ["source", "bus", "bus"]},
        ...     edges={"from": ["s", "a"], "to": ["a", "b"], "kind": ["fuse", "line"], "name": ["FU", "L"],
        ...            "phases": ["ABC", "B"]},
        ...     customers={"id": ["c1", "c2"], "node": ["a", "b"], "phases": ["A", "B"]},
        ... )
        >>> list(net.downstream_phase("FU", "B")), list(net.downstream_phase("s", "A"))
        (['c2'], ['c1'])
        """
        bit = single_phase(phase)
        return self._ask(state, lambda asked: on_phase(asked, located(asked, code, kind), bit))

    def phases(self, code: str, *, state: str = "current", kind: str | None = None) -> str:
        """Tell which phases reach a device, which a meter has, or which a switch passes.

        Returns
        -------
        str
            Of the letters A, B and C those that do, in this order, as far as the data tell: what is
            not known counts as all three. Empty without supply.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > M1").phases("M1")
        'ABC'
        """
        return self._ask(state, lambda asked: phase_letters(phases_at(asked, located(asked, code, kind))))
