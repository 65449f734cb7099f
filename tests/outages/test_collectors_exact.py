"""With dead collectors among the causes, answers are those of all explanations and collector states."""

from __future__ import annotations

import os

import numpy as np
import pytest

from oms_topology.errors import TopologyError
from oms_topology.outages.collectors import CollectorInference, Likelihoods
from oms_topology.outages.inference import ForestInference
from tests.outages.brute_force import all_sets

FORESTS = int(os.environ.get("OMS_TOPOLOGY_COLLECTOR_FORESTS", "60"))


def random_likelihoods(rng: np.random.Generator, count: int) -> Likelihoods:
    return Likelihoods(*(rng.integers(-4, 4, count) * 600 for _ in range(3)))


def all_scores(
    parent: np.ndarray, collector: np.ndarray, heard: Likelihoods, deaf: Likelihoods, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores by set of failed nodes (rows) and of dead collectors (columns); also the sets' dead nodes."""
    failed, is_deaf = all_sets(len(parent)), all_sets(len(prior))
    dead = failed.copy()
    for node, above in enumerate(parent):
        if above >= 0:
            dead[:, node] |= dead[:, above]
    score = np.zeros((len(failed), len(is_deaf)), dtype=np.int64)
    for column, states in enumerate(is_deaf):
        mute = np.where(collector >= 0, states[collector] if len(states) else False, False)
        alive, lost, broken = (
            np.where(mute, getattr(deaf, name), getattr(heard, name)) for name in ("alive", "dead", "failed")
        )
        score[:, column] = np.where(failed, broken, np.where(dead, lost, alive)).sum(axis=1)
        score[:, column] += prior[states].sum()
    return score, failed, dead


def test_all_answers_are_those_of_all_explanations_and_collector_states() -> None:
    rng = np.random.default_rng(611)
    for _ in range(FORESTS):
        count, collectors = int(rng.integers(1, 10)), int(rng.integers(1, 4))
        parent = np.array([rng.integers(-1, node) if node else -1 for node in range(count)])
        collector = rng.integers(-1, collectors, count)
        heard, deaf = random_likelihoods(rng, count), random_likelihoods(rng, count)
        prior = rng.integers(-4, 1, collectors) * 900
        score, failed, dead = all_scores(parent, collector, heard, deaf, prior)
        inference = CollectorInference(parent, collector, heard, deaf, prior)
        best = inference.explanation()
        row = int((1 << best.failed.astype(np.int64)).sum())
        assert best.score == score.max() == score[row].max()
        weight = np.exp((score - score.max()) / 1024)
        weight /= weight.sum()
        found = inference.posteriors()
        np.testing.assert_allclose(found.is_failed, weight.sum(axis=1) @ failed, atol=1e-9)
        np.testing.assert_allclose(found.is_dead, weight.sum(axis=1) @ dead, atol=1e-9)
        np.testing.assert_allclose(found.is_deaf, weight.sum(axis=0) @ all_sets(collectors), atol=1e-9)


def test_without_collectors_it_is_plain_inference_ties_included() -> None:
    rng = np.random.default_rng(5)
    for _ in range(FORESTS):
        count = int(rng.integers(1, 30))
        parent = np.array([rng.integers(-1, node) if node else -1 for node in range(count)])
        dead = rng.integers(-3, 4, count)
        failed = dead - rng.integers(0, 5, count)
        heard = Likelihoods(np.zeros(count, dtype=np.int64), dead, failed)
        none = np.full(count, -1)
        plain = ForestInference(parent, dead, failed)
        both = CollectorInference(parent, none, heard, heard, np.empty(0, dtype=np.int64))
        assert both.explanation().failed.tolist() == plain.explanation().failed.tolist()
        assert both.explanation().score == plain.score
        np.testing.assert_allclose(both.posteriors().is_dead, plain.posteriors().is_dead, atol=1e-8)


def test_too_many_overlapping_collectors_are_refused() -> None:
    zeros = np.zeros(23, dtype=np.int64)
    same = Likelihoods(zeros, zeros, zeros - 1)
    parent = np.array([-1] + [0] * 11 + [1] * 11)
    collector = np.array([-1, *range(11), *range(11)])
    with pytest.raises(TopologyError, match="overlap"):
        CollectorInference(parent, collector, same, same, np.zeros(11, dtype=np.int64))
