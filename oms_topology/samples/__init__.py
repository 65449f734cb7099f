"""Real networks that come with the package, for trying out, tests and benchmarks; no network needed.

Whose they are, and under what licence, is told in ``data/NOTICE`` beside them.
"""

from __future__ import annotations

import csv
import gzip
import io
from importlib.resources import files
from typing import TYPE_CHECKING

from oms_topology.errors import TopologyError

if TYPE_CHECKING:
    from oms_topology.graph.topology import Topology

__all__ = ["load", "names", "tables"]

_LONGITUDE_IN_X = frozenset({"ieee9500"})
_SUMMARY = {
    "ieee123": "IEEE 123-bus feeder: 91 loads, drawing coordinates",
    "ieee9500": "IEEE 9500-node test system: 1,275 customers, 11 tie switches, 188 hops deep",
    "lv_schutterwald": "a German low-voltage town: 14 transformers, 1,506 connections, 87 normally open",
    "mv_oberrhein": "a German medium-voltage grid: 2 transformers, 147 loads, 6 normally open",
    "na_lv_secondary_network": "IEEE low-voltage secondary network: 624 loads, meshed on purpose",
    "smartds_p1uhs23": "SMART-DS feeder from Austin: 188 customers, 54 transformers, UTM coordinates",
}


def names() -> tuple[str, ...]:
    """Give the names of the shipped networks.

    Returns
    -------
    tuple of str
        Sorted.

    Examples
    --------
    >>> names()[:2]
    ('ieee123', 'ieee9500')
    """
    return tuple(sorted(_SUMMARY))


def load(name: str) -> Topology:
    """Load a shipped network.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    Topology
        As :meth:`~oms_topology.Topology.from_edges` reads it; a new one each time, in a few tenths
        of a second.

    Raises
    ------
    TopologyError
        There is no network of that name.

    Examples
    --------
    >>> net = load("ieee123")
    >>> len(net.meters), len(net.switches)
    (91, 8)
    """
    from oms_topology.graph.topology import Topology

    return Topology.from_edges(**tables(name))


def tables(name: str) -> dict[str, dict[str, list[str]]]:
    """Give a shipped network as the columns of its three tables.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    dict
        ``nodes``, ``edges`` and ``customers``, each a dictionary of column name to list of text.
        Where ``x`` and ``y`` are degrees, they are called ``lon`` and ``lat``.

    Raises
    ------
    TopologyError
        There is no network of that name.

    Examples
    --------
    >>> list(tables("mv_oberrhein")["customers"])
    ['id', 'node', 'kw']
    """
    if name not in _SUMMARY:
        raise TopologyError(f"There is no sample network {name!r}; there are: {', '.join(names())}.")
    loaded = {table: _columns(f"{name}.{table}.csv.gz") for table in ("nodes", "edges", "customers")}
    if name in _LONGITUDE_IN_X:
        nodes = loaded["nodes"]
        loaded["nodes"] = {{"x": "lon", "y": "lat"}.get(key, key): values for key, values in nodes.items()}
    return loaded


def _columns(file_name: str) -> dict[str, list[str]]:
    packed = files(__name__).joinpath("data", file_name).read_bytes()
    header, *rows = csv.reader(io.StringIO(gzip.decompress(packed).decode("utf-8"), newline=""))
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
