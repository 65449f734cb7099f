"""The traces that an operator needs: ways, protection, isolation, restoration, differences, phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.graph.batch import Batches, feeding_places
from oms_topology.graph.reading.phase_codes import phase_letters, single_phase
from oms_topology.graph.traces.differences import difference_of
from oms_topology.graph.traces.feeding import feeds_of
from oms_topology.graph.traces.islands import dead_islands_of, dual_fed_of
from oms_topology.graph.traces.landmarks import kind_words
from oms_topology.graph.traces.paths import located, path_up, paths_up, protection, protections
from oms_topology.graph.traces.phases import on_phase, phases_at
from oms_topology.graph.traces.restoration import restoration_of
from oms_topology.graph.traces.sections import by_section, isolation_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.graph.meter_set import MeterSet
    from oms_topology.graph.traces.differences import Difference
    from oms_topology.graph.traces.feeding import Feeds
    from oms_topology.graph.traces.islands import Island
    from oms_topology.graph.traces.restoration import Restoration, Tie
    from oms_topology.graph.traces.sections import Isolation
    from oms_topology.model import PathStep

__all__ = ["Tracing"]


class Tracing(Batches):
    """The methods of :class:`~oms_topology.graph.topology.Topology` that trace through the network.

    Each asks about a device, switch or meter by its code, in the current state (``state="current"``)
    or the normal one (``"normal"``); ``kind=`` says which is meant where several kinds share a code.
    Methods that end in ``_of`` ask about many at once, in one version of the network.
    """

    __slots__ = ()

    def path(
        self,
        code: str,
        kinds: Iterable[str] | None = None,
        *,
        state: str = "current",
        kind: str | None = None,
    ) -> list[PathStep]:
        """Give the devices and switches between a meter, device or switch and its source.

        Parameters
        ----------
        code : str
            The meter, device or switch.
        kinds : iterable of str, optional
            What is asked for: kinds of devices (``"feeder"`` ...), ``"switch"`` for all that can be
            switched, or words that stand in the kind of a branch (``"fuse"``, ``"breaker"``,
            ``"transformer"``, ``"line"``). All devices and switches when left out.
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The kind of ``code`` meant, where several kinds share it.

        Returns
        -------
        list of PathStep
            Nearest first: a branch before the device that feeds it, parallel ones in the order of
            their rows. Neither a device nor a switch is on its own way. Empty without supply. Costs
            a few nanoseconds for a device passed by, a few microseconds for one listed.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            A kind is neither known nor in this network.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 >SW1> L1 > DP1 > M1")
        >>> [str(step) for step in net.path("M1")]
        ['distribution_point DP1', 'section L1', 'switch SW1', 'feeder F1', 'substation SS1']
        >>> [step.code for step in net.path("M1", ["switch", "feeder"])]
        ['SW1', 'F1']
        """
        words = kind_words(kinds)
        return self._ask(state, lambda asked: path_up(asked, located(asked, code, kind), words))

    def paths_of(
        self, codes: Iterable[str], kinds: Iterable[str] | None = None, *, state: str = "current"
    ) -> list[list[PathStep]]:
        """Give the ways of many meters, devices and switches; each as :meth:`path` does.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1; SS1 > F2 > M2")
        >>> [[step.code for step in path] for path in net.paths_of(["M1", "F2"])]
        [['F1', 'SS1'], ['SS1']]
        """
        wanted, words = list(codes), kind_words(kinds)
        return self._ask(
            state, lambda asked: paths_up(asked, [located(asked, code) for code in wanted], words)
        )

    def next_protective(
        self,
        code: str,
        *,
        kinds: Iterable[str] | None = None,
        state: str = "current",
        kind: str | None = None,
    ) -> str | None:
        """Give the next upstream protective device: what has to trip when there is a fault.

        Parameters
        ----------
        code : str
            The meter, device or switch with the fault.
        kinds : iterable of str, optional
            The kinds that protect, as words that stand in the branch's kind. When left out, these are
            breakers, reclosers, fuses and cutouts. Where the data call every switch just ``switch``
            nobody can tell: then there is none, unless ``kinds=["switch"]`` lets all count.
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The kind of ``code`` meant, where several kinds share it.

        Returns
        -------
        str or None
            Its switch code; of several in parallel the one of the lowest row. None where nothing
            protects it, and without supply. A protective device that a closed branch of another kind
            bridges interrupts nothing and does not count. The cost is that of the way to it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            A kind is neither known nor in this network.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_edges(
        ...     nodes={"id": ["s", "a", "b"], "kind": ["source", "bus", "bus"]},
        ...     edges={"from": "sa", "to": "ab", "kind": ["breaker", "fuse"], "name": ["CB", "FU"]},
        ...     customers={"id": ["c1"], "node": ["b"]},
        ... )
        >>> net.next_protective("c1"), net.next_protective("FU"), net.next_protective("CB")
        ('FU', 'CB', None)
        """
        words = kind_words(kinds)
        return self._ask(
            state, lambda asked: next(protection(asked, located(asked, code, kind), words), None)
        )

    def next_protective_of(
        self, codes: Iterable[str], *, kinds: Iterable[str] | None = None, state: str = "current"
    ) -> list[str | None]:
        """Give the next upstream protective device of each of many; each as :meth:`next_protective`.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 >SW2> DP1 > M1; F1 > M2")
        >>> net.next_protective_of(["M1", "M2", "SS1"], kinds=["switch"])
        ['SW2', 'SW1', None]
        """
        wanted, words = [str(code) for code in codes], kind_words(kinds)
        return self._ask(
            state, lambda asked: protections(asked, feeding_places(asked, wanted).tolist(), words)
        )

    def protection_path(
        self,
        code: str,
        *,
        kinds: Iterable[str] | None = None,
        state: str = "current",
        kind: str | None = None,
    ) -> list[str]:
        """Give all protective devices between something and its source, nearest first.

        Parameters
        ----------
        code, kinds, state, kind
            As for :meth:`next_protective`.

        Returns
        -------
        list of str
            Switch codes; parallel ones in the order of their rows.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError, TopologyError
            As for :meth:`next_protective`.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 >SW2> DP1 > M1")
        >>> net.protection_path("M1", kinds=["switch"]), net.protection_path("M1")
        (['SW2', 'SW1'], [])
        """
        words = kind_words(kinds)
        return self._ask(state, lambda asked: list(protection(asked, located(asked, code, kind), words)))

    def isolating_switches(self, code: str, *, state: str = "current", kind: str | None = None) -> Isolation:
        """Give the switches around the section in which a device stands, and what their opening takes away.

        The section is what closed branches that cannot be switched hold together. That of a meter is
        the one of the device that supplies it; to isolate a switch, the sections at both of its ends
        are taken together.

        Parameters
        ----------
        code : str
            The device, switch or meter.
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The kind of ``code`` meant, where several kinds share it.

        Returns
        -------
        Isolation
            The switches to open, those that have to stay open, and who else would be without
            supply. Costs the size of the section and of what hangs below it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > L1 > M1; L1 >SW2> L2 > M2; L1 /T1/ L3; SS1 > L3 > M3")
        >>> isolation = net.isolating_switches("L1")
        >>> isolation.switches, isolation.open_switches, list(isolation.meters), list(isolation.also_lost)
        (('SW1', 'SW2'), ('T1',), ['M1'], ['M2'])
        """
        return self._ask(state, lambda asked: isolation_of(asked, located(asked, code, kind)))

    def isolating_switches_of(self, codes: Iterable[str], *, state: str = "current") -> list[Isolation]:
        """Isolate each of many on its own; each as :meth:`isolating_switches`, every section looked at once.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1, M2; SS1 >SW2> F2 > M3")
        >>> [isolation.switches for isolation in net.isolating_switches_of(["M1", "F1", "M3"])]
        [('SW1',), ('SW1',), ('SW2',)]
        """
        wanted = list(codes)
        return self._ask(state, lambda asked: by_section(asked, wanted, isolation_of))

    def restoration(self, code: str, *, state: str = "current", kind: str | None = None) -> Restoration:
        """Tell which tie could restore whom when a device fails and its section is isolated.

        A device or meter fails with its section (see :meth:`isolating_switches`); a switch fails by
        opening, or by staying open, as for ``impact``. Nothing is changed by asking.

        Parameters
        ----------
        code : str
            What fails; it may be dark already.
        state : {"current", "normal"}
            The state it fails in.
        kind : str, optional
            The kind of ``code`` meant, where several kinds share it.

        Returns
        -------
        Restoration
            The switches to open; then the open switches that lead from a part with supply to a part
            without, each with the meters that it picks up and their load, best first; and whom none
            can restore. A part that no such switch reaches is reached through others, by the fewest
            switches (:attr:`Tie.after`). Costs the size of what goes dark.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; F1 >SW2> L2 > M2, M3; L2 /T1/ F2; SS1 >SW3> F2 > M4")
        >>> plan = net.restoration("F1")
        >>> plan.switches_to_open, plan.ties, list(plan.unrestorable)
        (('SW1', 'SW2'), (Tie(T1: 2 meters from F2),), [])
        >>> list(plan.ties[0].meters), plan.ties[0].load_kw
        (['M2', 'M3'], None)
        """
        return self._ask(state, lambda asked: restoration_of(asked, located(asked, code, kind)))

    def restorations_of(self, codes: Iterable[str], *, state: str = "current") -> list[Restoration]:
        """Plan for the failure of each of many on its own; each as :meth:`restoration`.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; SS1 >SW2> F2 > M2; F1 /T1/ F2")
        >>> [len(plan.ties) for plan in net.restorations_of(["SW1", "F1", "SW2"])]
        [1, 0, 1]
        """
        wanted = list(codes)
        return self._ask(state, lambda asked: by_section(asked, wanted, restoration_of))

    def ties(self, code: str, *, state: str = "current", kind: str | None = None) -> tuple[Tie, ...]:
        """Give the ties of :meth:`restoration`, best first.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 >SW1> F1 > M1; SS1 >SW2> F2 > M2; F1 /T1/ F2")
        >>> net.ties("SW1")
        (Tie(T1: 1 meters from F2),)
        """
        return self.restoration(code, state=state, kind=kind).ties

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

    def difference(self, before: str | Tracing = "normal", *, state: str = "current") -> Difference:
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
        if isinstance(before, Tracing):
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
