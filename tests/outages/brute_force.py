"""Inference by looking at all explanations: the oracle for small forests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def all_sets(count: int) -> NDArray[np.bool_]:
    """Every set of ``count`` things, one a row."""
    return ((np.arange(1 << count)[:, None] >> np.arange(count)) & 1).astype(bool)


@dataclass(frozen=True)
class Everything:
    """All explanations with their scores, and what follows from them."""

    failed: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    score: NDArray[np.int64]

    def probabilities(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        weight = np.exp((self.score - self.score.max()) / 1024)
        total = weight.sum()
        log_total = float(np.log(total) + self.score.max() / 1024)
        return weight @ self.failed / total, weight @ self.dead / total, log_total

    def score_of(self, nodes: NDArray[np.int32]) -> int:
        return int(self.score[(1 << nodes.astype(np.int64)).sum()])


def everything(parent: NDArray[np.int32], dead: NDArray[np.int64], failed: NDArray[np.int64]) -> Everything:
    """Score all explanations of a forest of which parents may stand anywhere."""
    sets = all_sets(len(parent))
    is_dead = sets.copy()
    for _ in range(len(parent)):
        for node, above in enumerate(parent):
            if above >= 0:
                is_dead[:, node] |= is_dead[:, above]
    score = np.where(sets, failed, np.where(is_dead, dead, 0)).sum(axis=1)
    return Everything(sets, is_dead, score)
