"""The network: what hangs below a device, what feeds it, what is lost when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from oms_topology.errors import TopologyError, ValidationError
from oms_topology.graph import switching
from oms_topology.graph.constructors import Constructors
from oms_topology.graph.directed import directed_graph
from oms_topology.graph.impact import Impact, assess, fed_by
from oms_topology.graph.index import SupplyIndex
from oms_topology.graph.meter_set import MeterSet
from oms_topology.graph.validate import validated
from oms_topology.model import DeviceKind, FindingSeverity

if TYPE_CHECKING:
    from collections.abc import Iterable

    import networkx as nx
    from numpy.typing import NDArray

    from oms_topology.graph.network import Network
    from oms_topology.graph.troubles import Troubles
    from oms_topology.model import Finding, NetworkColumns

__all__ = ["State", "Topology"]

State = Literal["current", "normal"]
"""As switched now, or as the switches normally stand."""


class Topology(Constructors):
    """A distribution network in its normal and its current state.

    Made by :meth:`from_frames`, :meth:`from_edges`, :meth:`from_columns`, :meth:`from_postgres` or
    :meth:`from_text`. Devices are asked for by the codes that people use; a code that several kinds
    share needs ``kind=``. Supply runs from the sources over closed branches by the fewest hops, ties
    by the order of the branches, so answers are defined even in a loop; what no source reaches has
    no supply and supplies nothing. A meter with several supplies counts below the one that feeds it
    now: its own, or when that is dead the first alternate that is not.

    Answers are snapshots: a :class:`MeterSet` or :class:`Impact` once given does not change when the
    network does. Reading from several threads is safe; changes are for one thread at a time.

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

    __slots__ = ("_current", "_devices", "_graph", "_network", "_normal", "_owns_names")

    def __init__(self, network: Network, normal: SupplyIndex | None = None) -> None:
        self._network = network
        self._normal = normal or SupplyIndex(network, network.columns.branch_normally_open)
        self._current: SupplyIndex | None = None
        self._graph: nx.DiGraph[Any] | None = None
        self._devices = network.names.devices
        self._owns_names = normal is None
        self._index("current")

    @classmethod
    def _made_of(cls, network: Network) -> Self:
        return cls(network)

    def _index(self, state: str) -> SupplyIndex:
        if state == "normal":
            return self._normal
        if state != "current":
            raise TopologyError(
                f"There is no state {state!r}; ask for 'current' or 'normal', or use what_if()."
            )
        if self._current is None:
            columns = self._network.columns
            as_normal = np.array_equal(columns.branch_is_open, columns.branch_normally_open)
            self._current = (
                self._normal
                if as_normal
                else SupplyIndex(self._network, columns.branch_is_open, normal=self._normal)
            )
        return self._current

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
        index = self._current
        if index is not None and kind is None and state == "current":
            device = self._devices.get(code)
            if device is not None:
                return MeterSet(index, index.first[device], index.last[device])
        return fed_by(self._index(state), self._locate(code, kind))

    def _locate(self, code: object, kind: str | None = None) -> tuple[DeviceKind, int]:
        return self._network.names.locate(self._network.columns, code, kind)

    def _feeding(self, index: SupplyIndex, code: object, kind: str | None) -> tuple[int, bool]:
        """Row of the device that feeds a meter or what is behind a switch; or a device itself."""
        found, row = self._locate(code, kind)
        if found is DeviceKind.METER:
            return int(index.meter_feed[row]), True
        if found is DeviceKind.SWITCH:
            below = index.below_branch(row)
            return (int(index.forest.parent[below]) if below >= 0 else -1), True
        return row, False

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
        index = self._index(state)
        device, included = self._feeding(index, code, kind)
        path = index.path(device)
        codes = self._network.columns.device_code
        return [str(codes[row]) for row in (path if included else path[1:])]

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
        index = self._index(state)
        row = index.common([self._feeding(index, code, None)[0] for code in codes])
        return str(self._network.columns.device_code[row]) if row >= 0 else None

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
        codes = [code] if isinstance(code, str) else list(code)
        places = dict.fromkeys(self._locate(each, kind) for each in codes)
        return assess(self._index(state), tuple(places))

    def open(self, *switches: str) -> None:
        """Open switches in the current state; what no source reaches then has no supply.

        Raises
        ------
        UnknownDeviceError
            A code is no switch's; then none is opened.
        """
        self._switch(switching.switched(self._network, opened=switches))

    def close(self, *switches: str) -> None:
        """Close switches in the current state, even if that makes a loop or joins two sources.

        Raises
        ------
        UnknownDeviceError
            A code is no switch's; then none is closed.
        """
        self._switch(switching.switched(self._network, closed=switches))

    def _switch(self, network: Network) -> None:
        self._network, self._current, self._graph = network, None, None

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
        network = switching.switched(self._network, opened=open, closed=close)
        self._owns_names = False
        return Topology(network, self._normal)

    def move_meter(self, meter: str, device: str) -> None:
        """Hang a meter on another device, in both states; its alternates stay.

        Raises
        ------
        UnknownDeviceError
            The meter or the device does not exist.
        TopologyError
            The device is a switch or a meter.
        """
        self._rewire(switching.move_meter(self._network, meter, device))

    def add_meter(
        self,
        meter_number: str,
        device: str,
        *,
        customer_id: str = "",
        priority: int = 0,
        longitude: float = float("nan"),
        latitude: float = float("nan"),
        alternates: Iterable[str] = (),
    ) -> None:
        """Put a meter on a device, in both states; it comes last among the meters there.

        Parameters
        ----------
        meter_number : str
            Its number; no other meter's.
        device : str
            What normally feeds it.
        customer_id : str
            Its customer, ``""`` if not known.
        priority : int
            1 critical to 4 low, 0 not known.
        longitude, latitude : float
            WGS 84 degrees, nan if not known.
        alternates : iterable of str
            Devices that can feed it too, in their order.

        Raises
        ------
        UnknownDeviceError
            A device does not exist.
        TopologyError
            The number is empty or in use, or a device is a switch or a meter.
        """
        if not self._owns_names:
            self._network = self._network.with_columns(self._network.columns, self._network.names.fork())
            self._owns_names = True
        values = {
            "customer": customer_id,
            "priority": priority,
            "longitude": longitude,
            "latitude": latitude,
        }
        self._rewire(switching.add_meter(self._network, meter_number, device, list(alternates), values))

    def remove_meter(self, meter: str) -> None:
        """Take a meter out, with its alternate supplies.

        Raises
        ------
        UnknownDeviceError
            There is no such meter.
        """
        self._rewire(switching.remove_meter(self._network, meter))

    def _rewire(self, network: Network) -> None:
        """Take on a version with other meters; the forests of both states stay as they are."""
        before, normal = self._index("current"), self._normal
        self._network, self._graph, self._devices = network, None, network.names.devices
        self._normal = SupplyIndex(network, normal.is_open, forest=normal.forest)
        if before is normal:
            self._current = self._normal
        else:
            self._current = SupplyIndex(network, before.is_open, normal=self._normal, forest=before.forest)

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
        findings = validated(self._normal)
        if strict and any(finding.severity is FindingSeverity.ERROR for finding in findings):
            raise ValidationError(findings)
        return findings

    @property
    def graph(self) -> nx.DiGraph[Any]:
        """The current state as a frozen ``networkx.DiGraph``, edges in the direction of supply.

        Nodes are the codes of devices and meters, with ``kind`` and what is known of them. It is
        drawn when first asked for and again after a change; a graph once given does not change.
        """
        if self._graph is None:
            self._graph = directed_graph(self._index("current"))
        return self._graph

    @property
    def columns(self) -> NetworkColumns:
        """The network as columns; ``from_columns`` makes the same network of them."""
        return switching.compacted(self._network.columns)

    @property
    def meters(self) -> MeterSet:
        """All meters, in preorder of the current state, those without supply last."""
        index = self._index("current")
        return MeterSet(index, 0, len(index.meter_order))

    @property
    def energised(self) -> MeterSet:
        """The meters that have supply in the current state, by whichever feed."""
        index = self._index("current")
        return MeterSet(index, 0, index.supplied)

    @property
    def devices(self) -> tuple[str, ...]:
        """Codes of all devices, in the order of their rows; switches and meters are not among them."""
        return tuple(self._network.columns.device_code.tolist())

    @property
    def switches(self) -> tuple[str, ...]:
        """Codes of all switches, in the order of their rows."""
        return tuple(self._network.names.switch_rows)

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
        return np.asarray(self._index(state).forest.parent, dtype=np.int32)

    @property
    def topology_version(self) -> int:
        """The database's version that the network was read at; 0 when it came from elsewhere."""
        return self._network.columns.topology_version

    def codes(self, kind: str) -> list[str]:
        """Give the codes of one kind of device (``"feeder"`` ...), in the order of their rows."""
        columns = self._network.columns
        return [str(code) for code in columns.device_code[columns.device_kind == DeviceKind(kind).value]]

    def kind(self, code: str) -> DeviceKind:
        """Tell what a code names; raises as :meth:`downstream` does."""
        return self._locate(code)[0]

    def is_open(self, switch: str, *, state: State = "current") -> bool:
        """Tell whether a switch is open; raises UnknownDeviceError for what is none."""
        _, row = self._locate(switch, DeviceKind.SWITCH)
        columns = self._network.columns
        is_open = columns.branch_normally_open if state == "normal" else columns.branch_is_open
        return bool(is_open[row])

    def is_energised(self, code: str, *, state: State = "current", kind: str | None = None) -> bool:
        """Tell whether a meter or device has supply, or a switch passes it; raises as :meth:`downstream`."""
        index = self._index(state)
        device, _ = self._feeding(index, code, kind)
        return bool(index.has_supply(np.array([device], dtype=np.int32))[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (self._network.columns, self._network.troubles)

    def __repr__(self) -> str:
        columns = self._network.columns
        return (
            f"Topology({len(columns.device_code)} devices, {len(self.switches)} switches, "
            f"{len(self.meters)} meters, {len(self.energised)} supplied)"
        )


def _revived(columns: NetworkColumns, troubles: Troubles) -> Topology:
    return Topology._of(columns, troubles)
