"""Networks whose true links between customers and transformers are known, and noise on their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pyproj import Transformer

from oms_topology import samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

NETWORKS: Final = ("smartds_p1uhs23", "ieee9500")
_ZONE: Final = {"smartds_p1uhs23": 32614}
_METRES_PER_DEGREE: Final = 111_200.0


class Truth(NamedTuple):
    """A network with known links.

    Attributes
    ----------
    points : array of float
        Longitude and latitude of the customers, shape (n, 2).
    targets : array of float
        The same of the low-voltage sides of the transformers, shape (m, 2).
    target_ids : array of str
        Shape (m,).
    link : array of int
        The transformer that feeds each customer, a row of ``targets``; shape (n,).
    lines : array of float
        Ends of the low-voltage lines, shape (l, 2, 2): those below a transformer, service drops among them.
    drops : array of float
        Those of ``lines`` that end at a customer, and would hardly be drawn; shape (d, 2, 2).
    kw : array of float
        Load of each customer, shape (n,).
    """

    points: NDArray[np.float64]
    targets: NDArray[np.float64]
    target_ids: NDArray[np.str_]
    link: NDArray[np.intp]
    lines: NDArray[np.float64]
    drops: NDArray[np.float64]
    kw: NDArray[np.float64]


def truth(name: str) -> Truth:
    """Take a shipped network apart."""
    tables = samples.tables(name)
    nodes, edges, customers = tables["nodes"], tables["edges"], tables["customers"]
    row = {code: at for at, code in enumerate(nodes["id"])}
    degrees = _degrees(name, nodes)
    feeds = _transformer_above(nodes, row)
    transformers = np.flatnonzero(np.array(nodes["kind"]) == "transformer_secondary")
    at = np.array([row[code] for code in customers["node"]])
    is_low = np.array([float(kv or "inf") < 1 for kv in nodes["kv_ll"]])
    pairs = zip(edges["from"], edges["to"], edges["kind"], strict=True)
    ends = np.array([(row[a], row[b]) for a, b, kind in pairs if kind.startswith("line")])
    ends = ends[is_low[ends].all(axis=1)]
    is_drop = np.isin(ends, at).any(axis=1)
    return Truth(
        degrees[at],
        degrees[transformers],
        np.array(nodes["id"])[transformers],
        np.searchsorted(transformers, feeds[at]),
        degrees[ends[~is_drop]],
        degrees[ends[is_drop]],
        np.array([float(kw or 0) for kw in customers["kw"]]),
    )


def _degrees(name: str, nodes: dict[str, list[str]]) -> NDArray[np.float64]:
    across, along = ("lon", "lat") if "lon" in nodes else ("x", "y")
    numbers = np.array([[float(text or "nan") for text in nodes[axis]] for axis in (across, along)])
    if name in _ZONE:
        numbers = np.array(Transformer.from_crs(_ZONE[name], 4326, always_xy=True).transform(*numbers))
    return numbers.T


def _transformer_above(nodes: dict[str, list[str]], row: dict[str, int]) -> NDArray[np.intp]:
    """Give each node the nearest transformer on its way to the source, itself included; -1 for none."""
    above = np.full(len(row), -1)
    for start in range(len(row)):
        at = start
        while nodes["kind"][at] != "transformer_secondary" and nodes["parent"][at]:
            at = row[nodes["parent"][at]]
        if nodes["kind"][at] == "transformer_secondary":
            above[start] = at
    return above


def shaken(points: NDArray[np.float64], error_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Move positions by a normal error of this standard deviation on each axis."""
    moved_m = rng.normal(0, error_m, points.shape)
    scale = np.column_stack([np.cos(np.radians(points[:, 1])), np.ones(len(points))]) * _METRES_PER_DEGREE
    return np.asarray(points + moved_m / scale)
