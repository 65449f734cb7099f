"""Inference gives what looking at all explanations gives, from the start and after any change."""

from __future__ import annotations

import os

import numpy as np
import pytest

from oms_topology.errors import TopologyError
from oms_topology.outages.inference import Explanation, ForestInference
from tests.outages.brute_force import Everything, everything

FORESTS = int(os.environ.get("OMS_TOPOLOGY_INFERENCE_FORESTS", "150"))
LARGEST = 14
CHUNKS = 10


def random_forest(rng: np.random.Generator) -> ForestInference:
    count = int(rng.integers(1, LARGEST + 1))
    parent = np.array([rng.integers(-1, node) if node else -1 for node in range(count)], dtype=np.int32)
    # Small whole numbers make ties; the others look like real evidence.
    step = int(rng.choice([1, 700, 1024]))
    dead = rng.integers(-4, 5, count) * step
    failed = dead + rng.integers(-6, 3, count) * step
    return ForestInference(parent, dead, failed)


def change(forest: ForestInference, rng: np.random.Generator) -> None:
    node = int(rng.integers(len(forest)))
    if rng.random() < 0.6:
        forest.add_evidence(node, int(rng.integers(-3000, 3001)), int(rng.integers(-3000, 3001)))
        return
    targets = [-1, *range(len(forest))]
    try:
        forest.hang(node, int(rng.choice(targets)))
    except TopologyError:
        forest.hang(node, -1)


def assert_exact(forest: ForestInference) -> None:
    truth = everything(forest.parent, forest.dead, forest.failed)
    best = forest.explanation()
    assert forest.score == best.score == truth.score.max()
    assert truth.score_of(best.failed) == best.score
    assert_blames_the_uppermost(forest, best, truth)
    is_failed, is_dead, log_total = truth.probabilities()
    found = forest.posteriors()
    np.testing.assert_allclose(found.is_failed, is_failed, atol=1e-8)
    np.testing.assert_allclose(found.is_dead, is_dead, atol=1e-8)
    assert forest.log_evidence == pytest.approx(log_total, abs=1e-8)
    for node in range(len(forest)):
        assert forest.posterior(node) == pytest.approx((is_failed[node], is_dead[node]), abs=1e-8)
    assert_best_five(forest, truth)


def assert_blames_the_uppermost(forest: ForestInference, best: Explanation, truth: Everything) -> None:
    row = int((1 << best.failed.astype(np.int64)).sum())
    parent = forest.parent
    above = np.array([truth.dead[row, parent[node]] if parent[node] >= 0 else False for node in best.failed])
    assert best.blamed.tolist() == best.failed[~above.astype(bool)].tolist()
    for node in range(len(forest)):
        blamed = forest.blamed_above(node)
        assert (blamed >= 0) == truth.dead[row, node]
        assert blamed < 0 or blamed in best.blamed


def assert_best_five(forest: ForestInference, truth: Everything) -> None:
    found = forest.best_explanations(5)
    assert [each.score for each in found] == np.sort(truth.score)[::-1][:5].tolist()
    assert [truth.score_of(each.failed) for each in found] == [each.score for each in found]
    assert len({tuple(each.failed.tolist()) for each in found}) == len(found)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_all_answers_are_those_of_all_explanations(chunk: int) -> None:
    rng = np.random.default_rng([20261123, chunk])
    for _ in range(FORESTS // CHUNKS):
        forest = random_forest(rng)
        if rng.random() < 0.5:
            assert_exact(forest)
        for _ in range(int(rng.integers(1, 6))):
            change(forest, rng)
        assert_exact(forest)


def test_a_change_leaves_what_a_fresh_start_gives_to_the_last_bit() -> None:
    rng = np.random.default_rng(7)
    forest = random_forest(rng)
    while len(forest) < 10:
        forest = random_forest(rng)
    forest.posteriors(), forest.explanation()
    for _ in range(300):
        forest.add_evidence(int(rng.integers(len(forest))), int(rng.integers(-4000, 4001)))
    fresh = ForestInference(forest.parent, forest.dead, forest.failed)
    assert fresh.posteriors().is_dead.tolist() == forest.posteriors().is_dead.tolist()
    assert fresh.posteriors().is_failed.tolist() == forest.posteriors().is_failed.tolist()
    assert (fresh.score, fresh.log_evidence) == (forest.score, forest.log_evidence)


def test_a_tie_goes_to_the_device_nearer_the_source() -> None:
    parent = np.array([-1, 0, 1, 2])
    dead = np.array([0, 0, 0, 9000])
    forest = ForestInference(parent, dead, dead - 5000)
    assert forest.explanation().blamed.tolist() == [0]


def test_a_tie_with_nothing_failed_blames_nobody() -> None:
    forest = ForestInference(np.array([-1, 0]), np.array([0, 5000]), np.array([-5000, 0]))
    assert forest.explanation().failed.tolist() == []


def test_an_empty_forest_has_one_explanation() -> None:
    none = np.empty(0, dtype=np.int64)
    forest = ForestInference(none.astype(np.int32), none, none)
    assert (forest.score, forest.log_evidence) == (0, 0.0)
    assert forest.explanation().failed.tolist() == []
    assert [each.score for each in forest.best_explanations(3)] == [0]


def test_a_parent_after_its_child_is_refused() -> None:
    zeros = np.zeros(2, dtype=np.int64)
    with pytest.raises(TopologyError, match="must come after"):
        ForestInference(np.array([1, -1]), zeros, zeros)


def test_no_node_is_supplied_from_below_itself() -> None:
    zeros = np.zeros(3, dtype=np.int64)
    forest = ForestInference(np.array([-1, 0, 1]), zeros, zeros)
    with pytest.raises(TopologyError, match="from below itself"):
        forest.hang(0, 2)
