"""The network of the trials: a substation, feeders, sections in series, laterals, distribution points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBSTATION, FEEDER, SECTION, LATERAL, POINT, METER = range(6)
KINDS = ("substation", "feeder", "section", "lateral", "distribution point", "meter")
FEEDERS = 10


@dataclass(frozen=True)
class Grid:
    """A radial network in preorder."""

    parent: NDArray[np.int32]
    kind: NDArray[np.int8]

    @cached_property
    def meters(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.kind == METER)

    @cached_property
    def points(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.kind == POINT)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        return np.bincount(self.kind, minlength=6)

    @cached_property
    def lateral_of(self) -> NDArray[np.int32]:
        """Number of the lateral at or above each node, from 0; -1 above all laterals."""
        number = np.full(len(self.parent), -1, dtype=np.int32)
        seen = 0
        for node, above in enumerate(self.parent.tolist()):
            if self.kind[node] == LATERAL:
                number[node], seen = seen, seen + 1
            elif above >= 0:
                number[node] = number[above]
        return number

    def dead(self, failed: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which nodes have no power when these fail."""
        is_dead = np.zeros(len(self.parent), dtype=np.bool_)
        is_dead[failed] = True
        by_depth = self.levels
        for nodes in by_depth[1:]:
            is_dead[nodes] |= is_dead[self.parent[nodes]]
        return is_dead

    @cached_property
    def levels(self) -> list[NDArray[np.int64]]:
        depth = np.zeros(len(self.parent), dtype=np.int64)
        for node, above in enumerate(self.parent.tolist()):
            depth[node] = depth[above] + 1 if above >= 0 else 0
        return [np.flatnonzero(depth == level) for level in range(int(depth.max()) + 1)]

    def topmost(self, failed: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep those whose supply is there when the others fail."""
        is_dead = self.dead(failed)
        above = self.parent[failed]
        return failed[(above < 0) | ~is_dead[np.maximum(above, 0)]]


def make_grid(seed: int) -> Grid:
    """Draw a network of about 7,000 meters."""
    rng = np.random.default_rng([seed, 1])
    parent, kind = [-1], [SUBSTATION]

    def add(above: int, what: int) -> int:
        parent.append(above)
        kind.append(what)
        return len(parent) - 1

    for _ in range(FEEDERS):
        above = add(0, FEEDER)
        for _ in range(int(rng.integers(1, 4))):
            above = add(above, SECTION)
            for _ in range(int(rng.integers(3, 9))):
                lateral = add(above, LATERAL)
                for _ in range(int(rng.integers(1, 7))):
                    point = add(lateral, POINT)
                    for _ in range(max(1, int(rng.lognormal(2.6, 0.8)))):
                        add(point, METER)
    return Grid(np.array(parent, dtype=np.int32), np.array(kind, dtype=np.int8))
