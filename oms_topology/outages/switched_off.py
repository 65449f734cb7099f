"""The network that outages are judged on: what is switched off hangs where it normally does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from oms_topology.graph.topology import Topology

__all__ = ["with_switched_off"]


def with_switched_off(topology: Topology) -> Topology:
    """Give a network in which open switches do not hide what they leave without supply.

    Crews open switches around a fault. Who is behind them still has no power, and what was said about them
    still belongs to the outage.

    Parameters
    ----------
    topology : Topology
        The network as it is switched; it stays as it is.

    Returns
    -------
    Topology
        The same one where no normally closed switch leaves anything without supply; else a copy in which
        these switches are closed. Linear in the devices and switches.

    Examples
    --------
    >>> from oms_topology.graph.topology import Topology
    >>> net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1, M2; F1 > DP2 > M3")
    >>> net.open("SW1")
    >>> len(net.energised), len(with_switched_off(net).energised), len(net.energised)
    (1, 3, 1)
    """
    index = topology.supply_index()
    columns = index.network.columns
    is_hiding = columns.branch_is_switch & ~columns.branch_normally_open & index.is_open
    rows = np.flatnonzero(is_hiding)
    has_supply = index.forest.position >= 0
    rows = rows[~(has_supply[columns.branch_from[rows]] & has_supply[columns.branch_to[rows]])]
    codes = sorted({str(code) for code in columns.branch_code[rows] if code})
    if not codes:
        return topology
    hung = topology.copy()
    hung.close(*codes)
    return hung
