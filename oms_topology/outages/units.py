"""The unit of evidence: a whole number of 1/1024 nat, so that sums do not depend on their order."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["UNITS_PER_NAT", "log_odds", "log_ratio", "to_units"]

UNITS_PER_NAT = 1024
"""How many units of evidence make one nat (a factor of e in the odds)."""


def to_units(nats: ArrayLike) -> NDArray[np.int64]:
    """Round natural logarithms to whole units.

    Parameters
    ----------
    nats : array of float
        Log-likelihood ratios or log-odds, in nats.

    Returns
    -------
    int64 array of the same shape
        In 1/1024 nat.

    Examples
    --------
    >>> to_units([1.0, -0.5]).tolist()
    [1024, -512]
    """
    return np.rint(np.asarray(nats, dtype=np.float64) * UNITS_PER_NAT).astype(np.int64)


def log_odds(probability: float) -> int:
    """Give the log-odds of a probability, in 1/1024 nat.

    Examples
    --------
    >>> log_odds(0.5), log_odds(0.01)
    (0, -4705)
    """
    return round(math.log(probability / (1.0 - probability)) * UNITS_PER_NAT)


@lru_cache(maxsize=4096)
def log_ratio(if_true: float, if_false: float) -> int:
    """Give the weight of something seen, from its probability if true and if false, in 1/1024 nat.

    Examples
    --------
    >>> log_ratio(0.7, 0.001), log_ratio(1 - 0.7, 1 - 0.001)
    (6708, -1232)
    """
    return round(math.log(if_true / if_false) * UNITS_PER_NAT)
