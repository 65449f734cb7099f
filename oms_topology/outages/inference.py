"""Exact inference on a forest: which devices failed, how sure that is, and what else it could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.outages import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Explanation", "ForestInference", "Posteriors"]

_FINE_UNITS_PER_UNIT = 2.0**-24


@dataclass(frozen=True, slots=True)
class Explanation:
    """One way in which everything heard could have come about.

    Attributes
    ----------
    score : int
        Log-probability in 1/1024 nat, counted from "nothing has failed", which has 0.
    failed : int32 array
        Nodes that failed, ascending.
    blamed : int32 array
        Those of them that have supply above: each is one outage. The others are nested, and show
        themselves when the one above is restored.
    """

    score: int
    failed: NDArray[np.int32]
    blamed: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Posteriors:
    """What is probable at each node, summed over all explanations.

    Attributes
    ----------
    is_failed, is_dead : float arrays, one per node
        Probability that it failed itself; that it has no power, for whatever reason.
    """

    is_failed: NDArray[np.float64]
    is_dead: NDArray[np.float64]


class ForestInference:
    """The failed devices of a forest as its evidence tells them, exactly; kept up to date report by report.

    A node is dead when it or a node above it failed. Failures are independent, each with a prior;
    evidence bears on one node each. The most probable set of failed nodes and all probabilities then
    cost one pass up and one down, and one more report costs the way to the root.

    Scores are whole numbers: the same evidence gives the same answer in whatever order it came. Ties
    go to the node nearer the source, and between a failure and none to none.

    Parameters
    ----------
    parent : int32 array, one per node
        The node that supplies each, always one with a smaller number; -1 at sources.
    dead : int64 array, one per node
        Log-likelihood ratio of everything heard about the node, dead against not, in 1/1024 nat; at
        most 32 nats.
    failed : int64 array, one per node
        The same for "it failed itself", with the prior's log-odds added: where nothing was heard
        about the device but about its power, ``prior + dead``.

    Raises
    ------
    TopologyError
        A parent does not come before its child.

    Notes
    -----
    Making one copies the arrays; every method says its cost, with n nodes and d steps to the source.

    Examples
    --------
    A transformer with three meters of which two said that they lost power:

    >>> import numpy as np
    >>> prior = np.array([-5, -7, -7, -7]) * 1024
    >>> heard = np.array([0, 3, 3, -2]) * 1024
    >>> forest = ForestInference(np.array([-1, 0, 0, 0]), heard, prior + heard)
    >>> forest.explanation().failed.tolist()
    []
    >>> forest.add_evidence(3, 4 * 1024)
    >>> forest.explanation().blamed.tolist(), forest.blamed_above(3)
    ([0], 0)
    >>> forest.posteriors().is_failed.round(3).tolist()
    [0.951, 0.002, 0.002, 0.001]
    """

    __slots__ = (
        "_belief",
        "_belief_sums",
        "_best",
        "_best_sums",
        "_dead",
        "_failed",
        "_order",
        "_parent",
    )

    def __init__(self, parent: NDArray[np.int32], dead: NDArray[np.int64], failed: NDArray[np.int64]) -> None:
        self._parent = np.array(parent, dtype=np.int32)
        self._dead = np.array(dead, dtype=np.int64)
        self._failed = np.array(failed, dtype=np.int64)
        nodes = np.arange(len(self._parent), dtype=np.int32)
        if (self._parent >= nodes).any() or (self._parent < -1).any():
            raise TopologyError("Each node of a forest must come after the one that supplies it.")
        self._order: NDArray[np.int32] | None = nodes
        self._best_sums: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._belief_sums: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._best = self._belief = 0

    def __len__(self) -> int:
        return len(self._parent)

    @property
    def parent(self) -> NDArray[np.int32]:
        """The node that supplies each, -1 at sources; a copy."""
        return self._parent.copy()

    @property
    def dead(self) -> NDArray[np.int64]:
        """Evidence about each node's power, in 1/1024 nat; a copy."""
        return self._dead.copy()

    @property
    def failed(self) -> NDArray[np.int64]:
        """Evidence of each node's failure, prior included, in 1/1024 nat; a copy."""
        return self._failed.copy()

    def _nodes(self) -> NDArray[np.int32]:
        """All nodes, each after its parent."""
        if self._order is None:
            self._order = kernels.depth_order(self._parent)
        return self._order

    def _evidence(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        return self._parent, self._dead, self._failed

    def _summed_best(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._best_sums is None:
            sums = np.zeros(len(self), dtype=np.int64), np.zeros(len(self), dtype=np.int64)
            self._best = int(kernels.best_up(self._nodes(), *self._evidence(), *sums))
            self._best_sums = sums
        return self._best_sums

    def _summed_beliefs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._belief_sums is None:
            sums = np.zeros(len(self), dtype=np.int64), np.zeros(len(self), dtype=np.int64)
            self._belief = int(kernels.believe_up(self._nodes(), *self._evidence(), *sums))
            self._belief_sums = sums
        return self._belief_sums

    @property
    def score(self) -> int:
        """Score of the most probable explanation, in 1/1024 nat; O(n) once, then kept."""
        self._summed_best()
        return self._best

    @property
    def log_evidence(self) -> float:
        """Log-odds of everything heard against "nothing has failed", in nats; O(n) once, then kept."""
        self._summed_beliefs()
        return self._belief * _FINE_UNITS_PER_UNIT / 1024

    def explanation(self) -> Explanation:
        """Give the most probable set of failed nodes; O(n).

        Returns
        -------
        Explanation
            Without any node where "nothing has failed" is as probable as anything else.
        """
        state = np.zeros(len(self), dtype=np.uint8)
        kernels.best_down(self._nodes(), *self._evidence(), *self._summed_best(), state)
        return explanation_of(self.score, self._parent, state)

    def posteriors(self) -> Posteriors:
        """Give the probability of every node's failure and of its being dead; O(n)."""
        is_failed, is_dead = np.empty(len(self)), np.empty(len(self))
        kernels.probabilities_down(
            self._nodes(), *self._evidence(), *self._summed_beliefs(), is_failed, is_dead
        )
        return Posteriors(is_failed, is_dead)

    def posterior(self, node: int) -> tuple[float, float]:
        """Give the probabilities that one node failed and that it is dead; O(d), once the sums are there."""
        is_failed, is_dead = kernels.belief_at(node, *self._evidence(), *self._summed_beliefs())
        return float(is_failed), float(is_dead)

    def blamed_above(self, node: int) -> int:
        """Give the node that the best explanation blames for a node's loss, -1 for none; O(d)."""
        return int(kernels.blamed_above(node, self._parent, self._failed, *self._summed_best()))

    def set_evidence(self, node: int, dead: int, failed: int) -> None:
        """Put other evidence at a node; O(d).

        Parameters
        ----------
        node : int
            The node.
        dead, failed : int
            As for the class, in 1/1024 nat.
        """
        old_dead, old_failed = int(self._dead[node]), int(self._failed[node])
        if self._best_sums is not None:
            self._best += kernels.change_best(node, dead, failed, *self._evidence(), *self._best_sums)
        self._dead[node], self._failed[node] = dead, failed
        if self._belief_sums is not None:
            self._belief += kernels.change_beliefs(
                node, old_dead, old_failed, *self._evidence(), *self._belief_sums
            )

    def add_evidence(self, node: int, about_power: int = 0, about_device: int = 0) -> None:
        """Add a report's weight at a node; O(d).

        Parameters
        ----------
        node : int
            The node that it is about.
        about_power : int
            Weight for "it has no power" against "it has", in 1/1024 nat.
        about_device : int
            Weight for "it failed itself" against "it did not".
        """
        self.set_evidence(
            node,
            int(self._dead[node]) + about_power,
            int(self._failed[node]) + about_power + about_device,
        )

    def hang(self, node: int, parent: int) -> None:
        """Let another node supply a node and all below it; O(d).

        Parameters
        ----------
        node : int
            The node that moves.
        parent : int
            What supplies it now; -1 makes it a source.

        Raises
        ------
        TopologyError
            The new parent hangs below the node.
        """
        above = parent
        while above >= 0:
            if above == node:
                raise TopologyError("A node cannot be supplied from below itself.")
            above = int(self._parent[above])
        if self._best_sums is not None:
            self._best += kernels.hang_best(node, parent, *self._evidence(), *self._best_sums)
        if self._belief_sums is not None:
            self._belief += kernels.hang_beliefs(node, parent, *self._evidence(), *self._belief_sums)
        self._parent[node] = parent
        self._order = None

    def best_explanations(self, count: int) -> list[Explanation]:
        """Give the most probable explanations, best first.

        Parameters
        ----------
        count : int
            How many; at most 100.

        Returns
        -------
        list of Explanation
            Distinct sets of failed nodes; fewer when there are fewer. Equal scores stand in an order
            that follows from the forest alone. The first is :meth:`explanation` unless that ties.

        Notes
        -----
        O(n k log k) time for k of them, and 50 k bytes a node.
        """
        from oms_topology.outages.alternatives import best_states

        scores, states = best_states(self._nodes(), *self._evidence(), count)
        return [
            explanation_of(int(score), self._parent, state)
            for score, state in zip(scores, states, strict=True)
        ]


def explanation_of(score: int, parent: NDArray[np.int32], state: NDArray[np.uint8]) -> Explanation:
    """Read an explanation off the marks of its nodes."""
    failed = np.flatnonzero(state & kernels.FAILED).astype(np.int32)
    above = parent[failed]
    is_nested = (above >= 0) & ((state[np.maximum(above, 0)] & kernels.DEAD) != 0)
    return Explanation(score, failed, failed[~is_nested])
