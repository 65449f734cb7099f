"""What every measurement is given: one network of one size, ours and the peers', and how often to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.graph.networks import Tree
from benchmarks.graph.peers import FAST, SLOW, Peers
from oms_topology import Topology

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.graph.reporting import Report
    from oms_topology.model import NetworkColumns

__all__ = ["Case"]

_MOST_FOR_SLOW = 2_000_000


@dataclass(frozen=True)
class Case:
    """One network to be measured.

    Attributes
    ----------
    columns : NetworkColumns
        The network.
    meters : int
        The size under which its figures stand.
    rounds : int
        How often what is quick is repeated; long work less often.
    report : Report
        Where the figures go.
    """

    columns: NetworkColumns
    meters: int
    rounds: int
    report: Report

    @cached_property
    def net(self) -> Topology:
        """The network as the public face gives it; what changes it makes one of its own."""
        return Topology.from_columns(self.columns)

    @cached_property
    def tree(self) -> Tree:
        """The same as plain arrays."""
        return Tree(self.columns)

    @cached_property
    def peers(self) -> Peers:
        """The same in the libraries that bear the size."""
        return Peers(self.tree, FAST if self.meters > _MOST_FOR_SLOW else (*SLOW, *FAST))

    @cached_property
    def stations(self) -> NDArray[np.int32]:
        """The substation of every meter, as a node."""
        return self.tree.above(self.columns.meter_device, "substation")

    @cached_property
    def meters_by_station(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Meters sorted by substation, and where those of each device row begin."""
        order = np.argsort(self.stations, kind="stable")
        return order, np.searchsorted(self.stations[order], np.arange(self.tree.devices + 1))

    @cached_property
    def a_meter_at(self) -> NDArray[np.int32]:
        """For every device a meter that hangs on it, -1 where none does."""
        found = np.full(self.tree.devices, -1, dtype=np.int32)
        found[self.columns.meter_device] = np.arange(len(self.columns.meter_number), dtype=np.int32)
        return found

    @property
    def few(self) -> int:
        """How often long work is repeated."""
        return max(1, self.rounds // 3)

    @property
    def few_of_peers(self) -> int:
        """The same for peers: once, where it takes them many seconds."""
        return 1 if self.meters > _MOST_FOR_SLOW else self.few

    def codes(self, kind: str, count: int, seed: int = 11) -> list[str]:
        """Draw codes of devices of a kind at random."""
        random = np.random.default_rng(seed)
        codes = self.columns.device_code[self.tree.rows(kind)]
        return [str(code) for code in codes[random.integers(0, len(codes), count)].tolist()]

    def nodes(self, kind: str, count: int, seed: int = 11) -> list[int]:
        """Draw the same devices as :meth:`codes`, as nodes."""
        random = np.random.default_rng(seed)
        rows = self.tree.rows(kind)
        return [int(row) for row in rows[random.integers(0, len(rows), count)].tolist()]
