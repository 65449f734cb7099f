"""The network: what hangs below a device, what feeds it, what is lost when it fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np

from oms_topology.errors import TopologyError, ValidationError
from oms_topology.graph.changing import Changing
from oms_topology.graph.constructors import Constructors
from oms_topology.graph.engine.compacting import compacted
from oms_topology.graph.engine.editor import Editor
from oms_topology.graph.impact import Impact, assess, fed_by
from oms_topology.graph.meter_set import NOT_COUNTED, MeterSet
from oms_topology.graph.reading.cleaning import GONE
from oms_topology.graph.tracing import Tracing
from oms_topology.graph.validate import validated
from oms_topology.model import DeviceKind, FindingSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import networkx as nx
    from numpy.typing import NDArray

    from oms_topology.graph.engine.index import SupplyIndex
    from oms_topology.graph.engine.network import Network
    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.graph.names.codes import Place
    from oms_topology.graph.troubles import Troubles
    from oms_topology.model import Finding, NetworkColumns

__all__ = ["State", "Topology"]

_Answer = TypeVar("_Answer")
_new = object.__new__

State = Literal["current", "normal"]
"""As switched now, or as the switches normally stand."""


class Topology(Changing, Tracing, Constructors):
    """A distribution network in its normal and its current state.

    Made by :meth:`from_frames`, :meth:`from_edges`, :meth:`from_columns`, :meth:`from_postgres` or
    :meth:`from_text`. Devices are asked for by the codes that people use; a code that several kinds
    share needs ``kind=``. Supply runs from the sources over closed branches by the fewest hops, ties
    by the order of the branches, so answers are defined even in a loop; what no source reaches has
    no supply and supplies nothing. A meter with several supplies counts below the one that feeds it
    now: its own, or when that is dead the first alternate that is not.

    Answers are snapshots: a :class:`MeterSet` or :class:`Impact` once given does not change when the
    network does. Any number of threads may read, also while one thread changes the network: every
    answer is of one version, the one before a change or the one after.

    Ways, protection, isolation, ties, phases and batches: :class:`~oms_topology.graph.tracing.Tracing`.

    Examples
    --------
    >>> net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1..M3; F1 > DP2 > M4; DP2 /T1/ DP1")
    >>> len(net.downstream("F1")), net.upstream("M1"), net.common_upstream(["M1", "M4"])
    (4, ['DP1', 'F1', 'SS1'], 'F1')
    >>> net.open("SW1")
    >>> list(net.downstream("SS1")), len(net.downstream("SS1", state="normal"))
    (['M4'], 4)
    >>> list(net.what_if(close=["T1"]).downstream("DP2"))
    ['M4', 'M1', 'M2', 'M3']
    """

    __slots__ = ("_graph",)

    def __init__(self, network: Network) -> None:
        self._editor = Editor(network)
        self._graph: tuple[int, nx.DiGraph[Any]] | None = None

    @classmethod
    def _made_of(cls, network: Network) -> Self:
        return cls(network)

    @classmethod
    def _with_editor(cls, editor: Editor) -> Self:
        made = cls.__new__(cls)
        made._editor, made._graph = editor, None
        return made

    def _state(self, state: str) -> SupplyState:
        if state == "current":
            return self._editor.current
        if state == "normal":
            return self._editor.normal
        raise TopologyError(f"There is no state {state!r}; ask for 'current' or 'normal', or use what_if().")

    def _ask(self, state: str, question: Callable[[SupplyState], _Answer]) -> _Answer:
        """Read one version: read again when a change came between."""
        while True:
            asked = self._state(state)
            sequence = asked.sequence
            if not sequence & 1:
                if asked.edition is None:
                    asked.publish()
                try:
                    answer = question(asked)
                except Exception:
                    if asked.sequence == sequence:
                        raise
                else:
                    if asked.sequence == sequence:
                        return answer
            time.sleep(0)

    def downstream(self, code: str, *, state: State = "current", kind: str | None = None) -> MeterSet:
        """Give the meters that a device supplies.

        Parameters
        ----------
        code : str
            A device or switch; an open switch supplies nothing. For a meter, the meter itself.
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The :class:`~oms_topology.model.DeviceKind` meant, for codes that several kinds share.

        Returns
        -------
        MeterSet
            In preorder; empty where nothing is supplied. A view that costs the same, less than a
            microsecond, for one meter and for a million.

        Raises
        ------
        UnknownDeviceError
            Nothing has the code; the error names codes that look alike.
        AmbiguousDeviceError
            Several kinds have it.

        Examples
        --------
        >>> net = Topology.from_text("SS1 > F1 > DP1 > M1, M2")
        >>> list(net.downstream("F1")), len(net.downstream("DP1"))
        (['M1', 'M2'], 2)
        """
        if kind is None and state == "current":
            asked = self._editor.current
            edition = asked.edition or asked.publish()
            row = edition.few.get(code)
            if row is None:
                row = edition.far(code)
            if row >= 0:
                # By hand, not by a method or by calling the class: either takes as long as all the rest.
                meters: MeterSet = _new(MeterSet)
                meters._edition = edition
                meters._top = top = asked.places[row]
                meters._count = NOT_COUNTED
                if top >= 0 and asked.edition is edition:
                    return meters
        return self._ask(state, lambda asked: fed_by(asked, _located(asked, code, kind)))

    def upstream(self, code: str, *, state: State = "current", kind: str | None = None) -> list[str]:
        """Give the devices between a meter, device or switch and the source that feeds it.

        Parameters
        ----------
        code : str
            The meter, device or switch.
        state : {"current", "normal"}
            As switched now, or as normally.
        kind : str, optional
            The kind meant, for codes that several kinds share.

        Returns
        -------
        list of str
            Codes of devices, nearest first, the source last; ``code`` itself is not among them.
            Empty at a source, without supply, and for a switch that feeds nothing.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for :meth:`downstream`.
        """
        return self._ask(state, lambda asked: _upstream(asked, code, kind))

    def common_upstream(self, codes: Iterable[str], *, state: State = "current") -> str | None:
        """Give the lowest device that feeds all of the meters, devices and switches.

        Parameters
        ----------
        codes : iterable of str
            What is fed. A device counts as feeding itself.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        str or None
            None when they have no device in common, one has no supply, or there are none.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for :meth:`downstream`.
        """
        wanted = list(codes)
        return self._ask(state, lambda asked: _common_upstream(asked, wanted))

    def impact(
        self, code: str | Iterable[str], *, state: State = "current", kind: str | None = None
    ) -> Impact:
        """Tell what is lost when a device fails, or several at once.

        Parameters
        ----------
        code : str or iterable of str
            Devices, switches or meters. A switch fails by opening.
        state : {"current", "normal"}
            The state they fail in.
        kind : str, optional
            The kind meant, for codes that several kinds share.

        Returns
        -------
        Impact
            Total, lost and backed-up meters, in preorder; no code, no meter.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for :meth:`downstream`.

        Examples
        --------
        >>> impact = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3; F2 ~> M1").impact("F1")
        >>> list(impact.lost), list(impact.backed_up), impact.by_feeder
        (['M2'], ['M1'], {'F1': 1})
        """
        if isinstance(code, str):
            return self._ask(state, lambda asked: assess(asked, (_located(asked, code, kind),)))
        codes = list(code)
        return self._ask(
            state,
            lambda asked: assess(asked, tuple(dict.fromkeys(_located(asked, each, kind) for each in codes))),
        )

    def what_if(self, *, open: Iterable[str] = (), close: Iterable[str] = ()) -> Topology:  # noqa: A002
        """Give the network as it would be with other switches open and closed; this one stays as it is.

        Parameters
        ----------
        open, close : iterable of str
            Switches to open and to close, from the current state on.

        Returns
        -------
        Topology
            A network of its own, with the same normal state; it shares the arrays that do not differ.

        Raises
        ------
        UnknownDeviceError
            A code is no switch's.
        TopologyError
            A switch shall be both open and closed.
        """
        opened, closed = list(open), list(close)
        if both := sorted(set(opened) & set(closed)):
            raise TopologyError(f"Switch {both[0]!r} cannot be opened and closed at once.")
        steps = [*self._switching(opened, is_open=True), *self._switching(closed, is_open=False)]
        other = self._with_editor(self._editor.fork())
        other._commit(steps, None)
        return other

    def copy(self, *, topology_version: int | None = None) -> Topology:
        """Give a network of its own that is as this one is now; its journal begins with it.

        Parameters
        ----------
        topology_version : int, optional
            The :attr:`topology_version` of the copy; that of this one when left out.

        Returns
        -------
        Topology
            It shares the arrays that neither changes; rows are the same as here. About a millisecond for a
            million meters.

        Examples
        --------
        >>> net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2")
        >>> other = net.copy()
        >>> other.move_meter("M1", "F2")
        >>> list(net.downstream("F2")), list(other.downstream("F2"))
        ([], ['M1'])
        """
        editor = self._editor.fork()
        editor.begin_anew(topology_version)
        return self._with_editor(editor)

    def validate(self, *, strict: bool = False) -> list[Finding]:
        """Check the data and the normal state.

        Parameters
        ----------
        strict : bool
            Raise when there is an error among the findings.

        Returns
        -------
        list of Finding
            Errors first; empty when all is well. The rules are those of
            :data:`oms_topology.graph.troubles.RULES`.

        Raises
        ------
        ValidationError
            With ``strict``, and at least one finding is an error; it carries all.

        Examples
        --------
        >>> net = Topology.from_text("SS1 > F1 > A > B > M1; F1 > B")
        >>> [(finding.rule, finding.ids) for finding in net.validate()]
        [('loop', ('A-B',))]
        """
        findings = self._ask("normal", lambda asked: validated(asked.flat()))
        if strict and any(finding.severity is FindingSeverity.ERROR for finding in findings):
            raise ValidationError(findings)
        return findings

    @property
    def graph(self) -> nx.DiGraph[Any]:
        """The current state as a frozen ``networkx.DiGraph``, edges in the direction of supply.

        Nodes are the codes of devices and meters, with ``kind`` and what is known of them. It is
        drawn when first asked for and again after a change; a graph once given does not change.
        """
        from oms_topology.graph.drawing.directed import directed_graph

        version = self._editor.version
        if self._graph is None or self._graph[0] != version:
            self._editor.network.share_names()
            self._graph = version, self._ask("current", lambda asked: directed_graph(asked.flat()))
        return self._graph[1]

    @property
    def columns(self) -> NetworkColumns:
        """The network as columns; ``from_columns`` makes the same network of them."""
        return self._ask("current", lambda asked: compacted(asked.network))

    @property
    def meters(self) -> MeterSet:
        """All meters, in preorder of the current state, those without supply last."""
        return self._ask("current", _all_meters)

    @property
    def energised(self) -> MeterSet:
        """The meters that have supply in the current state, by whichever feed."""
        return self._ask("current", lambda asked: MeterSet.of_trees(asked, asked.tree_bases().tolist()))

    @property
    def devices(self) -> tuple[str, ...]:
        """Codes of all devices, in the order of their rows; switches and meters are not among them."""
        network = self._editor.network
        codes = network.columns.device_code.tolist()
        return tuple(code for row, code in enumerate(codes) if row not in network.gone_devices)

    @property
    def switches(self) -> tuple[str, ...]:
        """Codes of all switches, in the order of their rows."""
        return tuple(self._editor.network.names.switch_rows)

    def supply_parents(self, state: State = "current") -> NDArray[np.int32]:
        """Give the row of the device that feeds each device of :attr:`columns`.

        Parameters
        ----------
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        int array, one per device
            -1 at sources and where nothing supplies.
        """
        return self._ask(state, _supply_parents)

    def supply_index(self, state: State = "current") -> SupplyIndex:
        """Give one instant of a state over dense arrays, for what reads a whole network at once.

        Parameters
        ----------
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        SupplyIndex
            It does not follow later changes. Linear in the network, and kept until the next change.
        """
        return self._ask(state, lambda asked: asked.flat())

    @property
    def topology_version(self) -> int:
        """The database's version that the network was read at; 0 when it came from elsewhere."""
        return self._editor.network.columns.topology_version

    @property
    def has_assumed_sources(self) -> bool:
        """Whether power is taken to enter at topmost devices of parts for which the data name no source."""
        return bool(self._editor.network.is_assumed.any())

    def codes(self, kind: str) -> list[str]:
        """Give the codes of one kind of device (``"feeder"`` ...), in the order of their rows."""
        network = self._editor.network
        rows = np.flatnonzero(network.columns.device_kind == DeviceKind(kind).value).tolist()
        codes = network.columns.device_code
        return [str(codes[row]) for row in rows if row not in network.gone_devices]

    def kind(self, code: str) -> DeviceKind:
        """Tell what a code names; raises as :meth:`downstream` does."""
        return self._ask("current", lambda asked: _located(asked, code))[0]

    def is_open(self, switch: str, *, state: State = "current") -> bool:
        """Tell whether a switch is open; raises UnknownDeviceError for what is none."""
        return self._ask(
            state, lambda asked: bool(asked.is_open[_located(asked, switch, DeviceKind.SWITCH)[1]])
        )

    def is_energised(self, code: str, *, state: State = "current", kind: str | None = None) -> bool:
        """Tell whether a meter or device has supply, or a switch passes it; raises as :meth:`downstream`."""
        return self._ask(state, lambda asked: asked.place(_feeding(asked, code, kind)[0]) >= 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (self.columns, self._editor.network.troubles)

    def __repr__(self) -> str:
        network, current = self._editor.network, self._editor.current
        devices = len(network.columns.device_code) - len(network.gone_devices)
        meters = int((network.columns.meter_device != GONE).sum())
        return (
            f"Topology({devices} devices, {len(self.switches)} switches, "
            f"{meters} meters, {current.supplied} supplied)"
        )


def _revived(columns: NetworkColumns, troubles: Troubles) -> Topology:
    return Topology._of(columns, troubles)


def _located(state: SupplyState, code: object, kind: str | None = None) -> Place:
    network = state.network
    return network.names.locate(network.columns, code, kind)


def _feeding(state: SupplyState, code: object, kind: str | None = None) -> tuple[int, bool]:
    """Row of the device that feeds a meter or what is behind a switch; or a device itself."""
    found, row = _located(state, code, kind)
    if found is DeviceKind.METER:
        return state.feed(row), True
    if found is DeviceKind.SWITCH:
        below = state.below_branch(row)
        return (state.parent(below) if below >= 0 else -1), True
    return row, False


def _upstream(state: SupplyState, code: object, kind: str | None) -> list[str]:
    device, is_included = _feeding(state, code, kind)
    rows = state.devices_from(state.place(device))
    codes = state.network.columns.device_code
    return [str(codes[row]) for row in (rows if is_included else rows[1:])]


def _common_upstream(state: SupplyState, codes: Sequence[object]) -> str | None:
    places = [state.place(_feeding(state, code)[0]) for code in codes]
    if not places or min(places) < 0:
        return None
    place = state.lowest_common(min(places), max(places))
    return str(state.network.columns.device_code[state.arena.device_at[place]]) if place >= 0 else None


def _all_meters(state: SupplyState) -> MeterSet:
    supplied = MeterSet.of_trees(state, state.tree_bases().tolist())
    lacking = state.network.columns.meter_device != GONE
    lacking[supplied.rows] = False
    rest = np.flatnonzero(lacking).astype(np.int32)
    places = np.concatenate((supplied.places, np.full(len(rest), -1, dtype=np.int32)))
    return MeterSet.of_rows(state, np.concatenate((supplied.rows, rest)), places)


def _supply_parents(state: SupplyState) -> NDArray[np.int32]:
    kept = ~state.flat().network.is_gone
    new_row = np.append(np.cumsum(kept) - 1, -1).astype(np.int32)
    return new_row[state.flat().forest.parent[kept]]
