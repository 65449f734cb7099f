"""How well blamed devices are the failed ones, trial by trial, and two engines side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from benchmarks.outages.grid import Grid


@dataclass
class Score:
    """Counts of all trials of one engine in one row."""

    hits: list[int] = field(default_factory=list)
    blamed: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    wrong_customers: list[float] = field(default_factory=list)

    def add(
        self, grid: Grid, truth: NDArray[np.int64], found: Iterable[int], dead: NDArray[np.bool_]
    ) -> None:
        """Count one trial: what truly failed below a living supply, and what was blamed."""
        blamed = np.array(sorted(found), dtype=np.int64)
        self.hits.append(len(np.intersect1d(truth, blamed)))
        self.blamed.append(len(blamed))
        self.failed.append(len(truth))
        self.wrong_customers.append(float((grid.dead(blamed)[grid.meters] != dead).mean()))

    def f1(self, trials: NDArray[np.int64] | slice = slice(None)) -> float:
        hits, blamed, failed = (
            np.array(each)[trials].sum() for each in (self.hits, self.blamed, self.failed)
        )
        return float(2 * hits / max(1, blamed + failed))

    @property
    def same_set(self) -> float:
        hits, blamed, failed = (np.array(each) for each in (self.hits, self.blamed, self.failed))
        return float(((hits == blamed) & (hits == failed)).mean())

    @property
    def opened(self) -> float:
        return sum(self.blamed) / max(1, sum(self.failed))

    def __str__(self) -> str:
        wrong = 100 * float(np.mean(self.wrong_customers))
        return f"{self.same_set:.2f} / {self.f1():.3f} / {self.opened:.2f} ({wrong:.2f} %)"


def ahead(one: Score, other: Score) -> tuple[float, float, float]:
    """Give the lead in F1 on the same trials, with the ends of its 95 % interval (bootstrap over trials)."""
    rng = np.random.default_rng(20261123)
    size = len(one.hits)
    draws = [rng.integers(0, size, size) for _ in range(1000)]
    leads = np.array([one.f1(draw) - other.f1(draw) for draw in draws])
    low, high = np.quantile(leads, [0.025, 0.975])
    return one.f1() - other.f1(), float(low), float(high)


def calibration_error(said: NDArray[np.float64], is_true: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance between what was said and what came true, over bins of equal width."""
    which = np.minimum((said * bins).astype(np.int64), bins - 1)
    total = 0.0
    for each in range(bins):
        inside = which == each
        if inside.any():
            total += abs(said[inside].mean() - is_true[inside].mean()) * inside.mean()
    return total
