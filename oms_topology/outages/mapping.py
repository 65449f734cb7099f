"""Meters that may hang elsewhere than the network says: a mixture per meter, learned from closed outages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.collectors import Likelihoods
from oms_topology.outages.units import UNITS_PER_NAT, to_units

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["doubted", "wrong_mapping_after"]


def doubted(
    about_power: NDArray[np.int64],
    prior: NDArray[np.int64],
    wrong_mapping: ArrayLike,
    dead_elsewhere: float,
) -> Likelihoods:
    """Weaken each node's evidence by the chance that it does not hang where the network says.

    With probability ``wrong_mapping`` a node's reports say nothing about the supply that the network
    gives it: they are then those of a node that is dead with probability ``dead_elsewhere``. What a
    node says therefore never weighs more than its own mapping is sure.

    Parameters
    ----------
    about_power : int64 array, one per node
        Log-likelihood ratio of its reports, dead against alive, in 1/1024 nat.
    prior : int64 array, one per node
        Log-odds of its own failure.
    wrong_mapping : float or array, one per node
        Probability that it hangs elsewhere; 0 leaves the evidence as it is.
    dead_elsewhere : float
        Probability that it is dead there.

    Returns
    -------
    Likelihoods
        With ``alive`` as the common zero.

    Examples
    --------
    >>> none = np.array([0])
    >>> doubted(np.array([9000]), none, 0.0, 0.001).dead.tolist()
    [9000]
    >>> doubted(np.array([9000]), none, 0.02, 0.001).dead.tolist()
    [8853]
    >>> doubted(np.array([-9000]), none, 0.02, 0.001).dead.tolist()
    [-3999]
    """
    ratio = about_power / UNITS_PER_NAT
    wrong = np.broadcast_to(np.asarray(wrong_mapping, dtype=np.float64), ratio.shape)
    with np.errstate(divide="ignore"):
        right, astray = np.log1p(-wrong), np.log(wrong)
    elsewhere = astray + np.logaddexp(np.log1p(-dead_elsewhere), np.log(dead_elsewhere) + ratio)
    alive = np.logaddexp(right, elsewhere)
    dead = to_units(np.logaddexp(right + ratio, elsewhere) - alive)
    failed = prior + to_units(ratio - alive)
    return Likelihoods(np.zeros_like(dead), dead, failed)


def wrong_mapping_after(
    prior: float,
    was_heard: NDArray[np.bool_],
    was_dead: NDArray[np.bool_],
    detection: float,
    false_alarm: float,
    dead_elsewhere: float,
) -> NDArray[np.float64]:
    """Learn from closed outages which meters hang elsewhere than the network says.

    Parameters
    ----------
    prior : float
        Share of meters that are wrongly mapped.
    was_heard : bool array, shape (outages, meters)
        Whether each meter reported a loss in each of the closed outages.
    was_dead : bool array, shape (outages, meters)
        Whether it was dead there by the network and what was found to have failed.
    detection, false_alarm : float
        Rates of the reports.
    dead_elsewhere : float
        Probability that a meter that hangs elsewhere was dead in one of these outages.

    Returns
    -------
    float array, one per meter
        Posterior probability that it hangs elsewhere; the prior where there were no outages.

    Examples
    --------
    A meter that was silent in five outages of its transformer, and one that spoke in three of five:

    >>> dead = np.ones((5, 2), dtype=bool)
    >>> heard = np.array([[0, 1], [0, 1], [0, 0], [0, 1], [0, 0]], dtype=bool)
    >>> wrong_mapping_after(0.02, heard, dead, 0.7, 0.001, 0.01).round(3).tolist()
    [0.89, 0.0]
    """
    if_mapped = np.where(was_dead, detection, false_alarm)
    if_astray = dead_elsewhere * detection + (1.0 - dead_elsewhere) * false_alarm
    weight = np.where(
        was_heard,
        np.log(if_astray / if_mapped),
        np.log((1.0 - if_astray) / (1.0 - if_mapped)),
    )
    odds = np.log(prior / (1.0 - prior)) + weight.sum(axis=0)
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))
