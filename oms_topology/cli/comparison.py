"""Tells whether two networks say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_topology.graph.topology import State, Topology

__all__ = ["differences"]


def differences(one: Topology, other: Topology) -> list[str]:
    """Say in what two networks differ, whatever the order of their rows.

    Parameters
    ----------
    one, other : Topology
        The networks.

    Returns
    -------
    list of str
        Among ``"devices"``, ``"normal supply"``, ``"current supply"``, ``"switches"``, ``"meters"`` and
        ``"customers"``; empty when they say the same.

    Examples
    --------
    >>> from oms_topology import Topology
    >>> net = Topology.from_text("SS1 > F1 > DP1 > M1, M2")
    >>> differences(net, Topology.from_text("SS1 > F1 > DP1 > M2, M1"))
    []
    >>> differences(net, Topology.from_text("SS1 > F1 > M1, M2; F1 > DP1"))
    ['meters']
    """
    mine, theirs = _told(one), _told(other)
    return [what for what in mine if mine[what] != theirs[what]]


def _told(net: Topology) -> dict[str, Any]:
    columns = net.columns
    names = list(zip(columns.device_kind.tolist(), columns.device_code.tolist(), strict=True))
    numbers = columns.meter_number.tolist()
    # The last name stands for row -1, "none".
    at = [(*names, None)[row] for row in columns.meter_device.tolist()]
    return {
        "devices": sorted(names),
        "normal supply": _supply(net, names, "normal"),
        "current supply": _supply(net, names, "current"),
        "switches": {
            code: (net.is_open(code), net.is_open(code, state="normal")) for code in sorted(net.switches)
        },
        "meters": dict(zip(numbers, at, strict=True)),
        "customers": dict(zip(numbers, columns.meter_customer.tolist(), strict=True)),
    }


def _supply(net: Topology, names: list[tuple[str, str]], state: State) -> dict[Any, Any]:
    return {
        name: (*names, None)[parent]
        for name, parent in zip(names, net.supply_parents(state).tolist(), strict=True)
    }
