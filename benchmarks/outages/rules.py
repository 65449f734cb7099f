"""The rules that commercial systems use: shares and minimums of what hangs below, and "two below"."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oms_topology.graph.engine.compiling import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

POINT, METER = 4, 5


class Rule(NamedTuple):
    """Blame a device when this share, and at least so many, of what hangs below it is out."""

    point_share: float
    point_least: int
    upper_share: float
    upper_least: int
    meter_votes: int


TWO_UP = Rule(0.0, 2, 0.0, 2, 1)


def all_rules() -> Iterator[Rule]:
    """Give the grid of 648 rules."""
    return (
        Rule(*each)
        for each in product(
            (0.03, 0.1, 0.2, 0.3, 0.45, 0.6), (1, 2, 3), (0.3, 0.5, 0.7, 0.9), (1, 2, 3), (1, 2, 3)
        )
    )


@compiled
def blamed_by(
    parent: NDArray[np.int32], kind: NDArray[np.int8], votes: NDArray[np.int64], rule: Rule
) -> NDArray[np.int64]:
    """Give the uppermost devices that a rule blames.

    A distribution point counts its meters with any vote, every device above it the devices right below
    that are out; a lone meter needs votes of its own.
    """
    count = len(parent)
    children, out = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    is_out = np.zeros(count, dtype=np.bool_)
    for node in range(count - 1, -1, -1):
        if kind[node] == METER:
            is_out[node] = votes[node] >= rule.meter_votes
            counts = votes[node] > 0
        else:
            share = rule.point_share if kind[node] == POINT else rule.upper_share
            least = rule.point_least if kind[node] == POINT else rule.upper_least
            enough = out[node] >= min(least, children[node]) and out[node] > 0
            is_out[node] = enough and out[node] >= share * children[node]
            counts = is_out[node]
        if parent[node] >= 0:
            children[parent[node]] += 1
            out[parent[node]] += counts
    dead = np.zeros(count, dtype=np.bool_)
    found = np.empty(count, dtype=np.int64)
    size = 0
    for node in range(count):
        lost = parent[node] >= 0 and dead[parent[node]]
        dead[node] = lost or is_out[node]
        if is_out[node] and not lost:
            found[size] = node
            size += 1
    return found[:size]
