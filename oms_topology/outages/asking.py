"""What to ask next: the meter whose answer tells most about what has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.outages.inference import ForestInference
    from oms_topology.outages.rates import ReportRates

__all__ = ["most_telling", "ping_list", "take_answer"]


def most_telling(
    is_dead: NDArray[np.float64], candidates: NDArray[np.int32], *, least_doubt: float = 0.02
) -> int:
    """Choose whom to ask: the node that is nearest to being as probably dead as alive.

    Parameters
    ----------
    is_dead : float array, one per node
        Probability that each has no power.
    candidates : int array
        Nodes that can be asked.
    least_doubt : float
        Smallest probability, either way, for which an answer is worth asking.

    Returns
    -------
    int
        The node, among equals the first candidate; -1 when every answer is as good as known.

    Examples
    --------
    >>> most_telling(np.array([0.9, 0.99, 0.4, 0.001]), np.array([1, 2, 3]))
    2
    >>> most_telling(np.array([0.9, 0.99, 0.4, 0.001]), np.array([1, 3]))
    -1
    """
    if not len(candidates):
        return -1
    probable = is_dead[candidates]
    doubt = np.minimum(probable, 1.0 - probable)
    best = int(doubt.argmax())
    return int(candidates[best]) if doubt[best] >= least_doubt else -1


def take_answer(inference: ForestInference, node: int, *, is_dead: bool, rates: ReportRates) -> None:
    """Count a ping's answer, or its staying away, as evidence about a node; O(d).

    Parameters
    ----------
    inference : ForestInference
        What is known; changed in place.
    node : int
        The node that was asked.
    is_dead : bool
        Whether it did not answer.
    rates : ReportRates
        Detection: probability that a node without power does not answer. False alarm: that one with
        power does not.
    """
    inference.add_evidence(node, rates.weight if is_dead else rates.weight_of_absence)


def ping_list(
    inference: ForestInference, candidates: NDArray[np.int32], count: int, rates: ReportRates
) -> list[int]:
    """Choose several meters to ask at once.

    Each is the one that tells most if those before it answer as is most probable. Where answers come
    one by one, ask for one, count it by :func:`take_answer`, and ask again: that needs fewer.

    Parameters
    ----------
    inference : ForestInference
        What is known; it is left as it is.
    candidates : int array
        Nodes that can be asked.
    count : int
        How many at most.
    rates : ReportRates
        Of the pings, as for :func:`take_answer`.

    Returns
    -------
    list of int
        Distinct nodes, the most telling first; fewer when nothing else is in doubt. O(n) each.
    """
    dead, failed = inference.dead, inference.failed
    chosen: list[int] = []
    left = np.asarray(candidates)
    while len(chosen) < count:
        is_dead = inference.posteriors().is_dead
        node = most_telling(is_dead, left)
        if node < 0:
            break
        chosen.append(node)
        left = left[left != node]
        take_answer(inference, node, is_dead=bool(is_dead[node] >= 0.5), rates=rates)
    for node in chosen:
        inference.set_evidence(node, int(dead[node]), int(failed[node]))
    return chosen
