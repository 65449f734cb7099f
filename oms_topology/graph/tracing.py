"""The traces that an operator needs from a device: ways, protection, isolation, restoration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.graph.supplying import Supplying
from oms_topology.graph.traces.landmarks import kind_words
from oms_topology.graph.traces.many import feeding_places
from oms_topology.graph.traces.paths import located, path_up, paths_up, protection, protections
from oms_topology.graph.traces.restoration import restoration_of
from oms_topology.graph.traces.sections import by_section, isolation_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.graph.traces.restoration import Restoration, Tie
    from oms_topology.graph.traces.sections import Isolation
    from oms_topology.model import PathStep

__all__ = ["Tracing"]


class Tracing(Supplying):
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
