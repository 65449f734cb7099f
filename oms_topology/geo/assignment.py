"""Who gets which candidate where targets can take only so much.

Loads are counted in thousandths, as whole numbers: their sums are the same in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.geodesy import Floats

__all__ = ["Offers", "deferred_acceptance", "least_total_distance"]

_THOUSANDTHS: Final = 1000


class Offers(NamedTuple):
    """What can be chosen from.

    Attributes
    ----------
    target : array of int
        Candidates of each point, nearest first, shape (n, k); -1 behind the last.
    distance_m : array of float
        Metres to them, shape (n, k); NaN behind the last.
    capacity : array of float
        How much each target can take, shape (m,).
    demand : array of float
        How much each point needs, shape (n,), in the same unit.
    """

    target: NDArray[np.intp]
    distance_m: Floats
    capacity: Floats
    demand: Floats


def deferred_acceptance(offers: Offers, rank: NDArray[np.intp]) -> NDArray[np.intp]:
    """Let every point ask its nearest candidate; who is turned away asks the next.

    A target keeps the nearest of those who ask, up to the first that does not fit. Who needs more than a
    target could ever take does not ask there. When nobody asks any more, what is left is given out in the
    same way to those who have nothing, until it helps nobody.

    Parameters
    ----------
    offers : Offers
        The candidates.
    rank : array of int
        A permutation of 0 to n - 1: of equally near points the lowest is kept.

    Returns
    -------
    array of int
        The chosen column of each point, -1 for none, shape (n,). Where every demand is the same it is what
        taking all pairs in the order of their distances gives: no point and target would both rather have
        each other. It does not depend on the order of rows. O(n k log n) at most, and mostly far less.

    Examples
    --------
    >>> import numpy as np
    >>> near = Offers(np.array([[0, 1], [0, 1]]), np.array([[5.0, 9.0], [4.0, 9.0]]), np.ones(2), np.ones(2))
    >>> deferred_acceptance(near, rank=np.arange(2))
    array([1, 0])
    """
    left, demand = _whole(offers.capacity, np.floor), _whole(offers.demand, np.ceil)
    chosen = np.full(len(demand), -1)
    waiting = (
        np.flatnonzero(offers.target[:, 0] >= 0) if offers.target.shape[1] else np.empty(0, dtype=np.intp)
    )
    while len(waiting):
        asking = _Asking(offers, waiting, left, demand, rank)
        column = asking.settle()
        got = column >= 0
        if not got.any():
            break
        taken = waiting[got]
        chosen[taken] = column[got]
        np.subtract.at(left, offers.target[taken, column[got]], demand[taken])
        waiting = waiting[~got]
    return chosen


def _whole(amount: Floats, rounded: np.ufunc) -> NDArray[np.int64]:
    """Count in thousandths; a trillion stands for no limit."""
    return np.asarray(rounded(np.minimum(amount, 1e12) * _THOUSANDTHS), dtype=np.int64)


class _Asking:
    """One giving out of what is left."""

    def __init__(
        self,
        offers: Offers,
        rows: NDArray[np.intp],
        left: NDArray[np.int64],
        demand: NDArray[np.int64],
        rank: NDArray[np.intp],
    ) -> None:
        self.target, self.distance_m = offers.target[rows], offers.distance_m[rows]
        self.left, self.demand, self.rank = left, demand[rows], rank[rows]
        self.can = (self.target >= 0) & (self.demand[:, None] <= left[self.target])
        self.column = np.zeros(len(rows), dtype=np.intp)
        # Who is not nearer than the first that a target turned away need not ask there.
        self.cut_m = np.full(len(left), np.inf)
        self.cut_rank = np.full(len(left), len(rank))

    def settle(self) -> NDArray[np.intp]:
        """Give the column that each row ends with, -1 for none."""
        self._next(np.arange(len(self.column)))
        while len(refused := self._refused()):
            self.column[refused] += 1
            self._next(refused)
        return self.column

    def _next(self, rows: NDArray[np.intp]) -> None:
        """Move rows on to the next candidate that they can ask, -1 where there is none."""
        width = self.target.shape[1]
        while len(rows):
            out = self.column[rows] >= width
            self.column[rows[out]] = -1
            rows = rows[~out]
            column = self.column[rows]
            target, distance_m = self.target[rows, column], self.distance_m[rows, column]
            nearer = (distance_m < self.cut_m[target]) | (
                (distance_m == self.cut_m[target]) & (self.rank[rows] < self.cut_rank[target])
            )
            rows = rows[~(nearer & self.can[rows, column])]
            self.column[rows] += 1

    def _refused(self) -> NDArray[np.intp]:
        """Find who does not fit where it asks, and cut there."""
        asking = np.flatnonzero(self.column >= 0)
        target = self.target[asking, self.column[asking]]
        load = np.bincount(target, self.demand[asking], minlength=len(self.left))
        crowded = (load > self.left)[target]
        asking, target = asking[crowded], target[crowded]
        distance_m = self.distance_m[asking, self.column[asking]]
        order = np.lexsort((self.rank[asking], distance_m, target))
        asking, target, distance_m = asking[order], target[order], distance_m[order]
        over = _running_total(self.demand[asking], target) > self.left[target]
        asking, target, distance_m = asking[over], target[over], distance_m[over]
        first = np.flatnonzero(np.diff(target, prepend=-1))
        self.cut_m[target[first]] = distance_m[first]
        self.cut_rank[target[first]] = self.rank[asking[first]]
        return asking


def _running_total(amount: NDArray[np.int64], group: NDArray[np.intp]) -> NDArray[np.int64]:
    """Sum up within each run of equal groups."""
    total = np.cumsum(amount)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    before = np.repeat(total[first] - amount[first], np.diff(first, append=len(group)))
    return np.asarray(total - before)


def least_total_distance(offers: Offers) -> NDArray[np.intp]:
    """Give as many points as possible a candidate, and of all such ways choose the least sum of distances.

    Parameters
    ----------
    offers : Offers
        The candidates, in an order of rows that does not change: of equally good ways the solver chooses.

    Returns
    -------
    array of int
        The chosen column of each point, -1 for none, shape (n,). Two integer programs for HiGHS: seconds for
        some ten thousand points whose demands are alike, more where they differ.

    Raises
    ------
    RuntimeError
        The solver did not end with a proven answer.

    Examples
    --------
    >>> import numpy as np
    >>> near = Offers(np.array([[0, 1], [0, 1]]), np.array([[5.0, 9.0], [4.0, 7.0]]), np.ones(2), np.ones(2))
    >>> least_total_distance(near)
    array([0, 1])
    """
    demand, capacity = _whole(offers.demand, np.ceil), _whole(offers.capacity, np.floor)
    chosen = np.full(len(demand), -1)
    point, column = np.nonzero((offers.target >= 0) & (demand[:, None] <= capacity[offers.target]))
    if not len(point):
        return chosen
    target, distance_m = offers.target[point, column], offers.distance_m[point, column]
    used, slot = np.unique(target, return_inverse=True)
    whole = bool((demand != demand[0]).any())
    if not whole:  # counted in points, the corners of the linear program are whole numbers by themselves
        demand, capacity = np.ones_like(demand), capacity // demand[0]
    fits = [
        _at_most(point, np.ones(len(point)), np.ones(len(demand))),
        _at_most(slot, demand[point].astype(np.float64), capacity[used].astype(np.float64)),
    ]
    most = _solved(-np.ones(len(point)), fits, whole=whole).sum()
    all_of_them = LinearConstraint(np.ones(len(point)), most, most)
    taken = np.flatnonzero(_solved(distance_m, [*fits, all_of_them], whole=whole))
    chosen[point[taken]] = column[taken]
    return chosen


def _at_most(row: NDArray[np.intp], weight: Floats, limit: Floats) -> LinearConstraint:
    """Limit the sum of the weights of each row's pairs."""
    matrix = coo_array((weight, (row, np.arange(len(row)))), (len(limit), len(row)))
    return LinearConstraint(matrix.tocsr(), -np.inf, limit)


def _solved(cost: Floats, constraints: list[LinearConstraint], *, whole: bool) -> NDArray[np.bool_]:
    """Choose the pairs of the least cost."""
    solved = milp(
        cost,
        integrality=np.full(len(cost), int(whole)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0},
    )
    if solved.x is None or solved.status != 0:
        raise RuntimeError(f"no proven answer: {solved.message}")
    return np.asarray(solved.x > 0.5)
