"""Inference where a dead collector may be why meters are silent: one hidden state for each, still exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.outages import collector_kernels as kernels
from oms_topology.outages.inference import Explanation, Posteriors, explanation_of
from oms_topology.outages.units import UNITS_PER_NAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CollectorInference", "CollectorPosteriors", "Likelihoods"]


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """How well each node's reports fit its three possible states, in 1/1024 nat from one common zero.

    Attributes
    ----------
    alive : int64 array, one per node
        It has power.
    dead : int64 array, one per node
        It has none, and did not fail itself.
    failed : int64 array, one per node
        It failed itself; the prior's log-odds included.
    """

    alive: NDArray[np.int64]
    dead: NDArray[np.int64]
    failed: NDArray[np.int64]

    def table(self) -> NDArray[np.float64]:
        """Put the three side by side: one row a node."""
        return np.stack((self.alive, self.dead, self.failed), axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class CollectorPosteriors(Posteriors):
    """What is probable at each node and of each collector.

    Attributes
    ----------
    is_deaf : float array, one per collector
        Probability that it passes nothing on; its prior where nothing hangs on it.
    """

    is_deaf: NDArray[np.float64]


class CollectorInference:
    """The failed devices of a forest some of whose meters speak through collectors that may be dead.

    As :class:`~oms_topology.outages.inference.ForestInference`, with one hidden state more for each
    collector (OLT, concentrator). Members may hang anywhere. Within the part of the forest that a
    collector's members span, every node is worked out once for each state of the collectors that have
    members both below it and elsewhere: with one such collector at a node, twice the work.

    Parameters
    ----------
    parent : int32 array, one per node
        As for :class:`~oms_topology.outages.inference.ForestInference`.
    collector : int32 array, one per node
        Which collector a node's reports come through, counted from 0; -1 for none.
    heard, deaf : Likelihoods
        Of each node's reports while its collector works, and while it passes nothing on.
    deaf_prior : int64 array, one per collector
        Log-odds that it passes nothing on, in 1/1024 nat.

    Raises
    ------
    TopologyError
        A parent does not come before its child; more than ten collectors overlap at one node.

    Examples
    --------
    Four silent meters behind one collector: rather it than the transformer.

    >>> silent = np.array([0, 2, 2, 2, 2]) * 1024
    >>> prior = np.array([-7, -9, -9, -9, -9]) * 1024
    >>> heard = Likelihoods(np.zeros(5, int), silent, prior + silent)
    >>> deaf = Likelihoods(silent, silent, prior + silent)
    >>> both = CollectorInference(
    ...     np.array([-1, 0, 0, 0, 0]), np.array([-1, 0, 0, 0, 0]), heard, deaf, np.array([-4 * 1024])
    ... )
    >>> both.explanation().blamed.tolist(), both.posteriors().is_deaf.round(2).tolist()
    ([], [0.94])
    """

    __slots__ = ("_collector", "_evidence", "_layout", "_order", "_parent", "_prior")

    def __init__(
        self,
        parent: NDArray[np.int32],
        collector: NDArray[np.int32],
        heard: Likelihoods,
        deaf: Likelihoods,
        deaf_prior: NDArray[np.int64],
    ) -> None:
        self._parent = np.asarray(parent, dtype=np.int32)
        self._collector = np.asarray(collector, dtype=np.int32)
        if (self._parent >= np.arange(len(self._parent))).any() or (self._parent < -1).any():
            raise TopologyError("Each node of a forest must come after the one that supplies it.")
        self._prior = np.asarray(deaf_prior, dtype=np.float64)
        self._evidence = np.stack((heard.table(), deaf.table()), axis=1)
        layout = kernels.layout_of(self._parent, self._collector, len(self._prior))
        if layout is None:
            raise TopologyError(f"More than {kernels.MOST_AT_ONCE} collectors overlap at one device.")
        self._layout = layout

    def _tables(self, *, is_hard: bool) -> tuple[NDArray[np.float64], NDArray[np.float64], kernels.Tables]:
        scale = 1.0 if is_hard else 1.0 / UNITS_PER_NAT
        evidence, prior = self._evidence * scale, self._prior * scale
        tables = kernels.tables_up(
            self._parent, self._collector, self._layout, evidence, prior, is_hard=is_hard
        )
        return evidence, prior, tables

    def explanation(self) -> Explanation:
        """Give the most probable set of failed nodes and dead collectors, taken together; O(n).

        Returns
        -------
        Explanation
            Its nodes; the score counts from "nothing failed and every collector works" with all reports
            as likely as their common zero.
        """
        evidence, prior, tables = self._tables(is_hard=True)
        state = np.zeros(len(self._parent), dtype=np.uint8)
        score = kernels.best_down(self._parent, self._collector, self._layout, evidence, prior, tables, state)
        return explanation_of(round(score), self._parent, state)

    def posteriors(self) -> CollectorPosteriors:
        """Give the probabilities of every node and collector, summed over all explanations; O(n)."""
        evidence, prior, tables = self._tables(is_hard=False)
        count = len(self._parent)
        is_failed, is_dead = np.zeros(count), np.zeros(count)
        is_deaf = 1.0 / (1.0 + np.exp(-prior))
        kernels.probabilities_down(
            self._parent, self._collector, self._layout, evidence, prior, tables, is_failed, is_dead, is_deaf
        )
        return CollectorPosteriors(is_failed, is_dead, is_deaf)
