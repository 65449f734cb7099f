"""What feeds every meter, in one pass over the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.engine.labels import labels_below
from oms_topology.graph.traces.landmarks import devices_of_kind
from oms_topology.graph.traces.spans import meter_spans, subtree_starts
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState
    from oms_topology.model import NetworkColumns

__all__ = ["Feeds", "device_feeds", "feeds_of", "has_supply"]

_KINDS = tuple(kind.value for kind in DeviceKind if kind not in (DeviceKind.METER, DeviceKind.SWITCH))


class Feeds:
    """The device of one kind that feeds each meter, as it was when asked.

    Attributes
    ----------
    kind : str
        The kind of device.
    devices : int32 array, one per meter row
        Row of the device; -1 for a meter that none feeds, and for one taken out of the network.

    Examples
    --------
    >>> from oms_topology import Topology
    >>> feeds = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3").energised_by("feeder")
    >>> feeds.codes.tolist(), feeds.counts()
    (['F1', 'F1', 'F2'], {'F1': 2, 'F2': 1})
    """

    __slots__ = ("_columns", "devices", "kind")

    def __init__(self, columns: NetworkColumns, kind: str, devices: NDArray[np.int32]) -> None:
        self._columns, self.kind, self.devices = columns, kind, devices

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def codes(self) -> NDArray[np.object_]:
        """Codes of the devices, an object array of ``str``, one per meter row; ``""`` for none."""
        codes: NDArray[np.object_] = np.append(self._columns.device_code, "")[self.devices]
        return codes

    @property
    def meter_numbers(self) -> NDArray[np.object_]:
        """Numbers of the meters, an object array of ``str``, one per meter row."""
        return self._columns.meter_number

    def counts(self) -> dict[str, int]:
        """Count the meters by device, most first, equal counts by code; without those that none feeds."""
        rows, counts = np.unique(self.devices[self.devices >= 0], return_counts=True)
        codes = map(str, self._columns.device_code[rows].tolist())
        pairs = zip(codes, counts.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def __repr__(self) -> str:
        return f"Feeds({len(self)} meters by {self.kind})"


def feeds_of(state: SupplyState, kind: str) -> Feeds:
    """Find for every meter the nearest device of a kind that feeds it, or its source; linear.

    Parameters
    ----------
    state : SupplyState
        The state.
    kind : str
        A kind of device, or ``"source"``.

    Raises
    ------
    TopologyError
        There is no such kind.
    """
    columns = state.network.columns
    if kind not in (*_KINDS, "source"):
        raise TopologyError(
            f"Meters are not fed by a {kind!r}; ask for one of {', '.join(_KINDS)}, or the source."
        )
    arena = state.arena
    rows, places = _placed(state, kind)
    begin, end = meter_spans(state, places)
    counts = end - begin
    fed = np.full(len(columns.meter_device), -1, dtype=np.int32)
    if counts.sum() <= 2 * state.supplied:
        _label(fed, arena.meter_at, begin, counts, rows)
        return Feeds(columns, kind, fed)
    for base in state.tree_bases().tolist():
        labels = labels_below(arena, base, columns.device_kind, kind)
        starts = subtree_starts(state, base)
        fed[arena.meter_at[starts[0] : starts[-1]]] = np.repeat(labels, np.diff(starts))
    return Feeds(columns, kind, fed)


def device_feeds(state: SupplyState, kind: str) -> NDArray[np.int32]:
    """Find for every device row the nearest device of a kind at or above it, -1 for none; linear."""
    arena, columns = state.arena, state.network.columns
    rows, places = _placed(state, kind)
    counts = arena.size[places]
    fed = np.full(len(columns.device_code), -1, dtype=np.int32)
    if counts.sum() <= 2 * len(fed):
        _label(fed, arena.device_at, places, counts, rows)
        return fed
    for base in state.tree_bases().tolist():
        devices = arena.device_at[base : base + arena.sizes[base]]
        fed[devices] = labels_below(arena, base, columns.device_kind, kind)
    return fed


def _placed(state: SupplyState, kind: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rows and places of the devices of a kind with supply, those above before those below."""
    network = state.network
    rows = network.sources if kind == "source" else devices_of_kind(network.columns, kind)
    places = state.position[rows] if len(rows) else np.empty(0, dtype=np.int32)
    sort = np.argsort(places, kind="stable")
    sort = sort[np.searchsorted(places[sort], 0) :]
    return rows[sort], places[sort]


def _label(
    fed: NDArray[np.int32],
    members: NDArray[np.int32],
    begin: NDArray[np.int32],
    counts: NDArray[np.int32],
    rows: NDArray[np.int32],
) -> None:
    """Write each row at ``members[begin:begin + count]``; of runs that lie in one another the last counts."""
    stop = np.cumsum(counts, dtype=np.int32)
    at = np.repeat(begin - (stop - counts), counts)
    at += np.arange(len(at), dtype=np.int32)
    fed[members.take(at)] = np.repeat(rows, counts)


def has_supply(state: SupplyState) -> NDArray[np.bool_]:
    """Tell for each meter row whether it has supply; linear."""
    return feeds_of(state, "source").devices >= 0
